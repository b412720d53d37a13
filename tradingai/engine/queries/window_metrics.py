"""The numbers of one run within a window of time, as plain values; ``window_reading`` reads them.

Fractions are 0..1, money is in the account's currency, times are aware UTC, durations carry their unit in the
name; ``None`` means "there was none to measure".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from tradingai.engine.core.jsonio import plain
from tradingai.engine.queries.run_snapshot import WatchedRun

TIERS: Final = ("high", "medium", "low", "none")
"""``none``: scored below the lowest tier."""
ALERT_STATES: Final = ("delivered", "waiting", "sending", "missed", "stopped", "dead")
MEMBERSHIP: Final = (
    "Rows of this run later than start and not later than end: scans, their decisions and signals by the time"
    " they decided by, trades by their exit, alerts, changes and heartbeats by when they happened. The end is"
    " the run's newest scan; a start of null is the run's beginning."
)


class Span(NamedTuple):
    """A window of time; ``start`` None reaches back to the run's beginning."""

    start: datetime | None
    end: datetime


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """Scans by how they went. ``missed``: due times that fell out and were never scanned."""

    total: int
    done: int
    late: int
    failed: int
    missed: int


@dataclass(frozen=True, slots=True)
class DecisionCounts:
    """The funnel: decisions by their one reason, and the scored ones by tier."""

    total: int
    by_reason: Mapping[str, int]
    by_tier: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """Emitted signals."""

    total: int
    by_tier: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TradeResults:
    """Positions that ended within the window; a win has net R > 0. ``net`` is money."""

    closed: int
    wins: int
    win_rate: float | None
    net_r: float
    mean_r: float | None
    net: float


@dataclass(frozen=True, slots=True)
class AccountEnd:
    """The account after the newest scan of the window that decided, in money; None where none did."""

    balance: float | None
    equity: float | None
    lowest_equity: float | None
    highest_equity: float | None
    max_drawdown: float | None
    """Of the account up to the end, as a fraction of the peak."""
    guard: str


@dataclass(frozen=True, slots=True)
class LatencyNumbers:
    """Of a live scan from its due time to its decisions, of a replayed one the time it took."""

    p50_ms: float | None
    p99_ms: float | None
    budget_ms: float
    over_budget: int
    """Scans that took longer."""
    within_budget: bool | None
    """Whether the p99 is; None without a scan."""


@dataclass(frozen=True, slots=True)
class FeedAge:
    """How old a coin's newest closed candle was when scans decided, since it closed."""

    newest_candle: datetime
    """Open time."""
    last_s: float
    p50_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class AlertNumbers:
    """Alerts to one channel by what became of them; delivery since their event."""

    channel: str
    total: int
    by_state: Mapping[str, int]
    repeats: int
    """Delivered after an attempt whose outcome nobody knows: the message said REPEAT."""
    p50_s: float | None
    p95_s: float | None
    high_signals: int
    high_signals_delivered: int


@dataclass(frozen=True, slots=True)
class HeartbeatNumbers:
    """The engine's signs of life."""

    count: int
    starts: int
    crashes: int
    """Starts that found the engine before them dead, as the event log has it."""
    uptime_s: float
    """Between neighbouring beats of one start, by its monotonic clock."""
    longest_gap_s: float | None
    """Between neighbouring beats, by the wall clock."""


@dataclass(frozen=True, slots=True)
class Change:
    """A control or the guard went from one value to another; the log keeps EVENT_DAYS days of them."""

    at: datetime
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed within the window, oldest first."""

    kill_switch: tuple[Change, ...]
    threshold: tuple[Change, ...]
    guard: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class WindowMetrics:
    """Everything of one run within one window. Fractions are 0..1, money is in the account's currency."""

    run: str
    kind: str
    feed: str
    """What a live run reads; empty for others."""
    synthetic: bool | None
    """Whether a generator made any of the prices; None while a run over stored candles has not ended."""
    start: datetime | None
    end: datetime
    first_scan: int
    """Number of the window's first scan; after ``last_scan`` when there is none."""
    last_scan: int
    scans: ScanCounts
    decisions: DecisionCounts
    signals: SignalCounts
    trades: TradeResults
    account: AccountEnd
    latency: LatencyNumbers
    feed_age: Mapping[str, FeedAge]
    models: Mapping[str, tuple[str, ...]]
    """Versions that took part in decisions, by model."""
    alerts: AlertNumbers | None
    """None where no chat is configured, and for a run that is not live: it sends to nobody."""
    heartbeats: HeartbeatNumbers | None
    """None for a run that is not live."""
    changes: Changes | None
    """None for a run that is not live: it knows neither kill switch nor the runtime's threshold."""

    def as_json(self) -> dict[str, Any]:
        """The document of ``metrics export``: every field, and which rows are in."""
        document: dict[str, Any] = plain(asdict(self))
        return {"rows": MEMBERSHIP, **document}


def last_hours(run: WatchedRun, hours: float | None) -> Span:
    """The window that ends with the run's newest scan; ``hours`` None takes the whole run."""
    end = run.now or run.started_at
    return Span(None if hours is None else end - timedelta(hours=hours), end)
