"""What there is to see of an observation: the continuous clock, the criteria, the evidence, the verdict.

Plain values that need neither numpy nor polars. Fractions are 0..1 (a margin of five points is 0.05), times
are aware UTC, durations seconds or hours as their names say; ``None`` means "not known". Nothing that was
before the clock's newest restart counts as evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from tradingai.engine.queries.model_snapshot import EMPTY_MAP, Problem

ObservationState = Literal["none", "running", "ended"]
CellState = Literal["whole", "late", "break", "open", "to_come"]
"""``open``: in progress, nothing late so far; ``late``: a scan came late, failed or fell out."""
IncidentKind = Literal["late", "failed", "missed", "break"]
RestartCause = Literal["gap", "crash", "reboot", "model", "threshold", "settings", "code", "feed"]
CriterionId = Literal["continuous", "drill", "delivery", "win_rate", "tiers", "approval"]
CriterionState = Literal["holds", "counting", "short", "failed", "open", "insufficient"]
"""``holds``; ``counting``: on its way, time alone is missing; ``short``: too little evidence so far, while
the clock counts; ``insufficient``: too little evidence although the clock is full; ``failed``: measured
and refused; ``open``: somebody has to do something.
"""
VerdictWord = Literal["GO", "NO-GO", "INSUFFICIENT", ""]
SnapshotState = Literal["written", "partial", "due", "waiting", "lost"]
"""``partial``: written before its day was full; ``due``: full and not written; ``waiting``: not full yet;
``lost``: it was written, and its files are not there any more.
"""

CRITERIA: Final[tuple[CriterionId, ...]] = (
    "continuous",
    "drill",
    "delivery",
    "win_rate",
    "tiers",
    "approval",
)
"""In the order in which they are shown."""
TIERS: Final = ("high", "medium", "low", "none")
"""Of scored decisions; ``none``: below the lowest tier."""
HALF_HOUR_S: Final = 1800.0
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Incident:
    """Something within a cell of the heartbeat strip that was not as it should be."""

    at: datetime
    kind: IncidentKind
    text: str
    """``1.2 s late``, ``gap of 412 s``."""


@dataclass(frozen=True, slots=True)
class StripCell:
    """A part of the heartbeat strip: half an hour, or an hour, counted from where the clock began.

    The cell in which a break falls ends where the clock began anew.
    """

    start: datetime
    end: datetime
    state: CellState
    incidents: tuple[Incident, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The clock began anew."""

    at: datetime
    """When it began to count again."""
    cause: RestartCause
    text: str
    """``gap of 412 s``, ``lstm_ETH-USD v1.0.0 → v1.1.0``."""
    hours_lost: float
    """What it had counted."""
    gap_s: float | None = None
    """Seconds without a heartbeat before it, where they could be measured."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One exit criterion with what was measured, and how to measure it again."""

    id: CriterionId
    title: str
    """``72 h continuous, zero crashes``."""
    state: CriterionState
    measured: str
    """``54:04 of 72:00``."""
    note: str = ""
    """``0 crashes``."""
    threshold: str = ""
    """In words: ``at least 72 h``."""
    numbers: Mapping[str, float | None] = field(default_factory=lambda: EMPTY_MAP)
    """The raw numbers behind ``measured``, by name."""
    evidence: str = ""
    """A sentence: what was looked at, and what would have to change."""
    command: str = ""
    """What measures it again, or what the operator has to do where it is open."""


@dataclass(frozen=True, slots=True)
class DaySnapshot:
    """The snapshot of one day of the observation."""

    day: str
    """``day0`` is the beginning, ``day1`` the end of the first 24 h."""
    due_at: datetime
    state: SnapshotState
    written_at: datetime | None = None
    json_path: str = ""
    """Relative to the home."""
    markdown_path: str = ""
    problem: str = ""
    """Why it could not be written."""


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """Alerts to Telegram over the last hours."""

    hours: float = 24.0
    total: int = 0
    delivered: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    repeats: int = 0
    """Delivered ones that were marked as a possible repeat."""
    dead: int = 0
    """Refused for ever."""
    configured: bool = False
    """Whether there is a chat to send to."""


@dataclass(frozen=True, slots=True)
class BaselineView:
    """The same loop over the promoted models' test range: what the observation is compared with."""

    run: str
    start: datetime
    end: datetime
    trades: int
    win_rate: float | None
    tiers: Mapping[str, float]
    """Share of each tier (``none``, ``low``, ``medium``, ``high``) among the scored decisions."""
    scored: int
    """Scored decisions."""
    threshold: float
    interval_s: float
    """Between two scans."""
    models: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAP)
    """Versions by model."""
    synthetic: bool = False
    command: str = ""
    """Makes the same run again."""


@dataclass(frozen=True, slots=True)
class ObservedView:
    """What was seen since the clock began."""

    trades: int = 0
    """Positions that were opened and closed since."""
    wins: int = 0
    win_rate: float | None = None
    low: float | None = None
    """The 95 % interval of the win rate."""
    high: float | None = None
    method: str = ""
    """Which interval it is."""
    trades_per_hour: float | None = None
    missing_trades: int = 0
    """Still needed for a verdict."""
    missing_s: float | None = None
    """How long that takes at this rate."""
    tiers: Mapping[str, float] = field(default_factory=lambda: EMPTY_MAP)
    """As in :class:`BaselineView`."""
    scored: int = 0
    net_r: float | None = None
    high_signals: int = 0
    high_delivered: int = 0
    high_p95_s: float | None = None
    """Of the high-tier signals' delivery times."""


@dataclass(frozen=True, slots=True)
class VerdictView:
    """GO, NO-GO or INSUFFICIENT; an empty word while the clock counts."""

    word: VerdictWord = ""
    decided_by: CriterionId | None = None
    """The criterion that decided; None for GO."""
    text: str = ""
    """One sentence with the reason."""
    reported_at: datetime | None = None
    """When ``observe report`` last wrote it down."""
    summary_path: str = ""
    """``summary.md`` of that report, relative to the home."""


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """An operator's approval."""

    at: datetime
    who: str
    surface: str
    typed: str
    hours: float
    """What the clock said."""
    counts: bool
    """False once the clock began anew."""


@dataclass(frozen=True, slots=True)
class ScaledSetting:
    """A setting of the observation that is not the product's."""

    name: str
    value: float
    product: float

    @property
    def text(self) -> str:
        """``OBSERVATION_HOURS=0.03 (product: 72)``."""
        return f"{self.name}={self.value:g} (product: {self.product:g})"


NO_DELIVERY: Final = DeliveryView()
NO_OBSERVED: Final = ObservedView()
NO_VERDICT: Final = VerdictView()


@dataclass(frozen=True, slots=True)
class ObservationView:
    """Everything of the Observation screen."""

    state: ObservationState = "none"
    id: str = ""
    started_at: datetime | None = None
    """When the observation was started; the clock may have begun later, or anew."""
    by: str = ""
    """Who started it, and on which surface: ``operator, cli``."""
    ended_at: datetime | None = None
    ended_why: str = ""
    required_hours: float = 72.0
    max_gap_s: float = 300.0
    heartbeat_s: float = 5.0
    continuous_s: float = 0.0
    """What the clock has counted without a break."""
    clock_started_at: datetime | None = None
    """Since when; None before the first heartbeat."""
    counting: bool = False
    """Whether the clock counts now: the loop runs, and its newest heartbeat is not older than the gap."""
    go_not_before: datetime | None = None
    """When the clock is full if nothing happens; None while nothing counts, past once it is full."""
    crashes: int = 0
    """Starts of the scan loop since the observation began whose predecessor never said that it stopped."""
    half_hours: tuple[StripCell, ...] = ()
    """The strip, oldest first: what lies before the newest restart, then what the clock needs."""
    hours: tuple[StripCell, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    """All six, in the order of :data:`CRITERIA`."""
    restarts: tuple[Restart, ...] = ()
    """Oldest first."""
    snapshots: tuple[DaySnapshot, ...] = ()
    """By day: all that are due or were written, and the next one."""
    folder: str = "reports/phase6_5"
    """Where they stand, relative to the home."""
    delivery: DeliveryView = NO_DELIVERY
    baseline: BaselineView | None = None
    observed: ObservedView = NO_OBSERVED
    verdict: VerdictView = NO_VERDICT
    approvals: tuple[ApprovalView, ...] = ()
    """Oldest first."""
    scaled: tuple[ScaledSetting, ...] = ()
    """Empty: the criteria are the product's."""
    replay: str = ""
    """The replayed run this is about; it never counts. Empty for the live observation."""
    loop_running: bool = False
    """Whether the scan loop runs in any process of this home."""
    promoted: bool = False
    """Whether any model is live: without one no observation can be started."""
    problem: Problem | None = None
    """Why something of it cannot be read."""

    @property
    def holding(self) -> int:
        """How many criteria hold."""
        return sum(one.state == "holds" for one in self.criteria)

    @property
    def continuous_hours(self) -> float:
        """What the clock has counted, in hours: what a change would give up."""
        return self.continuous_s / 3600

    def criterion(self, name: CriterionId) -> Criterion | None:
        """One of the six."""
        return next((one for one in self.criteria if one.id == name), None)


NO_OBSERVATION: Final = ObservationView()


def hours_words(seconds: float) -> str:
    """``54:04`` for 54 h 4 min, rounded down; below an hour with seconds, ``0:01:48``."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}" if hours else f"0:{minutes:02}:{left:02}"


def crash_words(crashes: int) -> str:
    """``1 crash``, ``2 crashes``."""
    return f"{crashes} crash" + ("" if crashes == 1 else "es")
