"""What Monitor and Risk show of one run of the scan loop: the live one, or a replay.

Fractions are 0..1, money is in the account's currency, prices in the coin's quote currency, times are aware
UTC of the run's own clock; ``None`` means "not known".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from tradingai.engine.queries.model_snapshot import EMPTY_MAP, Problem

NEWEST_REPLAY: Final = "replay"
"""As the run that is asked for: the newest replay, whichever it is by then."""
LoopState = Literal["off", "opening", "scanning", "stopping", "elsewhere"]
RunState = Literal["open", "finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class LoopView:
    """The scan loop of this home: whether it runs, where, and what the operator chose."""

    state: LoopState = "off"
    detail: str = ""
    """What it is busy with before its first scan: ``loading models, 2 of 3``."""
    chosen: bool = False
    """The operator's remembered choice: a console that opens this home goes on scanning."""
    interval_s: float | None = None
    pid: int | None = None
    stopped_why: str = ""
    """Why it is off although it was chosen."""
    refusal: str = ""
    """Why the store did not take this process's newest write."""
    remedy: str = ""
    """What to do about that."""


NO_LOOP: Final = LoopView()


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """The run a page is about."""

    run: str
    kind: Literal["live", "replay", "drill"]
    state: RunState
    started_at: datetime
    """By the machine's clock."""
    now: datetime | None = None
    """By the run's own clock: the newest scan."""
    scans: int = 0
    first_at: datetime | None = None
    """A replay's first scan."""
    last_at: datetime | None = None
    """A replay's last scan, planned while it goes on; None where that is not known."""
    speed: float | None = None
    """Simulated seconds in a second; None: as fast as it goes."""
    models: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAP)
    """Live models by id, with their versions."""
    candles: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAP)
    """Hashes of the candles a finished replay went through, by coin."""

    @property
    def replay(self) -> bool:
        """Whether everything about it has to be labelled REPLAY."""
        return self.kind != "live"


@dataclass(frozen=True, slots=True)
class CoinNow:
    """One coin at the newest scan that decided on it."""

    symbol: str
    at: datetime | None = None
    price: float | None = None
    price_at: datetime | None = None
    """When that price's candle closed."""
    change_15m: float | None = None
    p_up: float | None = None
    confidence: float | None = None
    side: str = ""
    tier: str = ""
    reason: str = ""
    detail: str = ""
    threshold: float | None = None
    candle: datetime | None = None
    size_factor: float | None = None
    """What the guard multiplied the risk of a trade with."""
    failed: bool = False
    """The rule that decided could not be evaluated."""
    outputs: Mapping[str, float | None] = field(default_factory=lambda: EMPTY_MAP)
    """Calibrated P(up) of each model."""
    weights: Mapping[str, float] = field(default_factory=lambda: EMPTY_MAP)
    """Share of each model in the ensemble."""
    versions: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAP)
    input_sha256: str = ""
    features_sha256: str = ""
    candles: int | None = None
    """Raw candles that were new to the scan."""
    signal_key: str = ""
    scan: int = 0
    again_at: datetime | None = None
    """The newest scan, which found no newer candle to decide on."""


@dataclass(frozen=True, slots=True)
class SignalView:
    """One emitted signal and what became of it."""

    key: str
    at: datetime
    symbol: str
    side: str
    tier: str
    confidence: float
    entry: float
    take_profit: float
    stop_loss: float
    reward_risk: float
    spread_bps: float
    slip_bps: float
    latency_ms: float
    state: str = ""
    """``waiting`` for its price, ``open``, the exit's reason, or ``cancelled``."""
    r: float | None = None
    """Net result, of an open position the floating one, in multiples of the initial risk."""


@dataclass(frozen=True, slots=True)
class FunnelView:
    """Decisions of the window by their reason; they add up to ``scanned``."""

    hours: float | None = None
    """Width of the window before the run's clock; None: the whole run."""
    scans: int = 0
    scanned: int = 0
    by_reason: Mapping[str, int] = field(default_factory=lambda: EMPTY_MAP)


NO_FUNNEL: Final = FunnelView()


@dataclass(frozen=True, slots=True)
class RateView:
    """How much of the rate limits is used."""

    total: int
    total_limit: int
    high: int
    high_limit: int
    window_minutes: int
    next_total_at: datetime | None = None
    """When the next slot is free by the run's clock; None: now."""
    next_high_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LatencyView:
    """Scans' measured durations over the funnel's window, in milliseconds."""

    last_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    budget_ms: float | None = None
    scans: int = 0
    late: int = 0
    failed: int = 0
    recent_ms: tuple[float, ...] = ()
    """Of the newest scans, oldest first."""


NO_LATENCY: Final = LatencyView()


@dataclass(frozen=True, slots=True)
class Bar:
    """A closed candle: ``at`` is when it opened."""

    at: datetime
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class PositionView:
    """An open position of the paper account."""

    key: str
    symbol: str
    side: str
    quantity: float
    entry_at: datetime
    entry: float
    price: float
    stop: float
    target: float
    time_exit_at: datetime
    floating: float
    """Half the spread and swap included; the entry's commission is paid, the exit's not owed."""
    risk_money: float
    r: float
    """``floating`` over ``risk_money``."""


@dataclass(frozen=True, slots=True)
class TradeView:
    """A closed position."""

    key: str
    exit_at: datetime
    symbol: str
    side: str
    entry: float
    exit: float
    exit_reason: str
    net: float
    r: float
    detail: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)
    """Every column of the stored trade, where a page shows one in full."""


@dataclass(frozen=True, slots=True)
class DeskFacts:
    """What the decision code says of a stored account."""

    known: bool = False
    """Whether there is one and it could be read."""
    positions: tuple[PositionView, ...] = ()
    """By coin."""
    waiting: frozenset[str] = frozenset()
    """Keys of signals that wait for their price."""
    rates: RateView | None = None
    hysteresis: float | None = None
    guard: str = ""
    guard_since: datetime | None = None
    guard_detail: str = ""
    closed: int = 0
    win_rate: float | None = None
    net_r: float | None = None


NO_DESK: Final = DeskFacts()


@dataclass(frozen=True, slots=True)
class MonitorView:
    """Everything of the Monitor."""

    run: WatchedRun
    coins: tuple[CoinNow, ...] = ()
    funnel: FunnelView = NO_FUNNEL
    signals: tuple[SignalView, ...] = ()
    """Newest first."""
    signals_in_window: int = 0
    closed: int = 0
    """Positions that ended within the funnel's window."""
    win_rate: float | None = None
    """Those of them with net R > 0."""
    net_r: float | None = None
    tiers: Mapping[str, int] = field(default_factory=lambda: EMPTY_MAP)
    """Scored decisions of the funnel's window; those below the lowest tier are under ``none``."""
    rates: RateView | None = None
    latency: LatencyView = NO_LATENCY
    prices: Mapping[str, tuple[Bar, ...]] = field(default_factory=lambda: EMPTY_MAP)
    """Newest candles of the coin that is looked at, oldest first."""
    positions: tuple[PositionView, ...] = ()
    last_scan_at: datetime | None = None
    last_scan_state: str = ""
    last_scan_detail: str = ""
    next_due: datetime | None = None
    interval_s: float | None = None
    held_by_kill: int = 0
    """Decisions that the kill switch held since it was turned on."""
    hysteresis: float | None = None
    guard: str = ""
    """ACTIVE, REDUCING or HALTED."""
    guard_since: datetime | None = None
    guard_detail: str = ""
    decision: CoinNow | None = None
    """The decision of the signal that was asked for."""
    replays: bool = False
    """Whether there is a replay to watch."""
    problem: Problem | None = None
    """Why the run's account or its candles cannot be shown."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account at a scan, and the internal stops of that time; None where they are not known."""

    at: datetime
    equity: float
    daily_stop: float | None = None
    total_stop: float | None = None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the risk code says of a stored account."""

    document: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)
    """The document of ``ftmo status --json`` for the same run."""
    positions: tuple[PositionView, ...] = ()
    """By coin."""
    risk_per_trade: float | None = None
    """1 R in money at full size."""
    risk_share: float | None = None
    """1 R as a fraction of the initial balance."""
    size_factor: float | None = None
    """What the guard multiplies the risk of a trade with now."""
    reduced_factor: float | None = None
    """What it is multiplied with while REDUCING."""
    win_rate: float | None = None
    """Trades with net R > 0 over all closed trades of this account."""
    closed: int = 0
    net_r: float | None = None
    costs: str = ""
    """Where spread and slippage come from."""
    spread_bps: float | None = None
    """The defaults; what was measured goes by pair and session."""
    slippage_bps: float | None = None
    commission_rate: float | None = None
    """A side, as a fraction of the notional."""
    leaving: Literal["", "on", "fresh", "refused"] = ""
    """What leaving HALTED does: go on with this account, open a fresh one, be refused; empty: not HALTED."""
    leaving_why: str = ""
    """Why it would be refused."""
    leaving_remedy: str = ""


NO_ACCOUNT: Final = AccountFacts()


@dataclass(frozen=True, slots=True)
class DayView:
    """What was closed since the account's last Prague midnight."""

    trades: int = 0
    net_r: float = 0.0
    paid: float = 0.0
    """Commissions of both sides and swap, in money; negative when they cost."""


@dataclass(frozen=True, slots=True)
class RiskView:
    """Everything of the Risk screen."""

    run: WatchedRun
    live: bool = False
    """Whether it is the account that the scan loop goes on with: not a replay's, not an earlier run's."""
    facts: AccountFacts = NO_ACCOUNT
    problem: Problem | None = None
    """Why the stored account cannot be read."""
    trades: tuple[TradeView, ...] = ()
    """Closed since the account's last Prague midnight, newest first; the newest ones where there are many."""
    day: DayView = DayView()
    curve: tuple[EquityPoint, ...] = ()
    """Oldest first."""
    resets: tuple[datetime, ...] = ()
    """Prague midnights within the curve."""
    halt_event: int | None = None
    """Number of the event that says why the account is HALTED, while it is and the log still has it."""
    halt_closed: tuple[TradeView, ...] = ()
    """What the halt closed, oldest first."""
    halt_price: str = ""
    """The price that could not be used, where one halted the account."""
    runs: tuple[str, ...] = ()
    """The newest runs that can be watched, oldest first."""
    drill: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)
    """Result of the newest finished guard drill."""
    drill_at: datetime | None = None
    odds: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)
    """The document of the newest ``ftmo simulate``, whoever asked for it; empty: there is none."""
    odds_at: datetime | None = None

    @property
    def account(self) -> Mapping[str, Any]:
        """The document of ``ftmo status --json`` for the same run."""
        return self.facts.document
