"""What happened: frozen dataclasses in the past tense, appended to the store with a sequence number."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from tradingai.engine.core.jsonio import plain

_TYPES: dict[str, type[Event]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. ``type`` in JSON is the class name."""

    level: ClassVar[str] = "info"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _TYPES[cls.__name__] = cls

    def as_json(self) -> dict[str, Any]:
        """``{"type": …, fields…}`` with JSON leaves."""
        document: dict[str, Any] = plain({"type": type(self).__name__, **asdict(self)})
        return document


def event_from_json(document: dict[str, Any]) -> Event:
    """Rebuild an event. Unknown fields are ignored; an unknown type raises KeyError."""
    cls = _TYPES[document["type"]]
    names = {item.name for item in fields(cls)}
    return cls(**{key: value for key, value in document.items() if key in names})


def event_level(type_name: str) -> str:
    """``info``, ``warning`` or ``error`` for an event type; ``info`` for one this version does not know."""
    cls = _TYPES.get(type_name)
    return cls.level if cls else "info"


@dataclass(frozen=True, kw_only=True)
class HomeCreated(Event):
    """A new home was initialised."""

    path: str


@dataclass(frozen=True, kw_only=True)
class JobStarted(Event):
    """A worker took a job."""

    job_id: str
    kind: str
    target: str
    pid: int
    resume: int = 0


@dataclass(frozen=True, kw_only=True)
class JobFinished(Event):
    """A job ended well."""

    job_id: str
    kind: str
    target: str
    seconds: float
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class JobSkipped(Event):
    """A job found its inputs and definitions unchanged and did nothing."""

    job_id: str
    kind: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobFailed(Event):
    """A job ended with an error, or its worker died."""

    level: ClassVar[str] = "error"
    job_id: str
    kind: str
    target: str
    code: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class JobInterrupted(Event):
    """A job stopped before its end and can be resumed."""

    level: ClassVar[str] = "warning"
    job_id: str
    kind: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkerDied(Event):
    """A worker ended without a last word; its job is started again."""

    level: ClassVar[str] = "warning"
    job_id: str
    kind: str
    target: str
    how: str
    resume: int


@dataclass(frozen=True, kw_only=True)
class CandlesStored(Event):
    """A symbol's candles were written and its manifest published."""

    symbol: str
    provider: str
    market: str | None
    rows: int
    seconds: float
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FeaturesBuilt(Event):
    """A symbol's feature matrix was written."""

    symbol: str
    rows: int
    features: int
    seconds: float
    rows_per_s: float
    peak_memory_mb: float
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(Event):
    """A training begins, or goes on after ``finished_epochs`` when it was interrupted."""

    model: str
    run: str
    epochs: int
    finished_epochs: int
    bars: int
    """Training bars an epoch."""
    lanes: int
    chunk: int
    device: str
    threads: int
    seed: int
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class TrainingDiscarded(Event):
    """An unfinished training of other inputs or settings was given up for a new one."""

    level: ClassVar[str] = "warning"
    model: str
    finished_epochs: int
    difference: str


@dataclass(frozen=True, kw_only=True)
class EpochFinished(Event):
    """One epoch of training ended. Losses are mean cross-entropy in nats, accuracies fractions."""

    model: str
    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    bars_per_s: float
    eta_s: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class PolicyUpdated(Event):
    """A stage of the agent's training ended: means over its updates, then its result on unseen rows.

    Returns are net log returns a minute in basis points: ``mean_return_bps`` while exploring, at the costs
    of that stage, ``validation_return_bps`` of the greedy policy at full costs. Entropy and KL in nats.
    """

    model: str
    stage: int
    stages: int
    env_steps: int
    """Since the training began."""
    mean_return_bps: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    value_loss: float
    validation_return_bps: float
    env_steps_per_s: float
    """Collecting and learning."""
    eta_s: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class TrainingFinished(Event):
    """A model's training ended and its artifact was published."""

    model: str
    epochs: int
    best_epoch: int
    validation_accuracy: float
    seconds: float
    sha256: str
    early_stopped: bool


@dataclass(frozen=True, kw_only=True)
class GateDecided(Event):
    """One promotion gate looked at one model."""

    model: str
    version: str
    gate: str
    passed: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class EvaluationFinished(Event):
    """A model was evaluated on its test range."""

    model: str
    version: str
    accuracy: float
    passed: bool
    attempt: int


@dataclass(frozen=True, kw_only=True)
class FoldScored(Event):
    """A model's training was repeated on one fold of the past and scored: a diagnosis, no evaluation."""

    model: str
    method: str
    """``walk_forward`` or ``k_fold``."""
    fold: int
    folds: int
    accuracy: float
    bars: int


@dataclass(frozen=True, kw_only=True)
class ModelPromoted(Event):
    """A version went live."""

    model: str
    version: str
    previous: str | None
    who: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ModelRolledBack(Event):
    """An earlier version went live again."""

    level: ClassVar[str] = "warning"
    model: str
    version: str
    previous: str
    who: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StateRepaired(Event):
    """Start-up found something derived that did not match its truth and repaired it."""

    level: ClassVar[str] = "warning"
    what: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class SignalEmitted(Event):
    """A decision passed every rule. ``key`` names the signal for ever: coin and candle."""

    key: str
    symbol: str
    side: str
    tier: str
    confidence: float
    entry: float
    take_profit: float
    stop_loss: float
    mode: str


@dataclass(frozen=True, kw_only=True)
class RuleFailed(Event):
    """A rule could not be evaluated; the decision was blocked by it."""

    level: ClassVar[str] = "error"
    symbol: str
    rule: str
    error: str
    at: str


@dataclass(frozen=True, kw_only=True)
class PositionOpened(Event):
    """A paper order was filled."""

    key: str
    symbol: str
    side: str
    quantity: float
    price: float
    at: str


@dataclass(frozen=True, kw_only=True)
class PositionClosed(Event):
    """A paper position ended. ``net`` is after all costs, ``r`` its multiple of the initial risk."""

    key: str
    symbol: str
    side: str
    price: float
    exit: str
    net: float
    r: float
    at: str


@dataclass(frozen=True, kw_only=True)
class EntryCancelled(Event):
    """A paper order was given up before it was filled."""

    level: ClassVar[str] = "warning"
    key: str
    symbol: str
    reason: str
    at: str


@dataclass(frozen=True, kw_only=True)
class PriceRejected(Event):
    """A candle that cannot be a price reached the paper account and was not used."""

    level: ClassVar[str] = "error"
    symbol: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class FtmoDayStarted(Event):
    """Prague's midnight passed and the floors were set from the balance it found."""

    at: str
    day: str
    balance: float
    daily_limit: float
    total_limit: float


@dataclass(frozen=True, kw_only=True)
class FtmoLimitBreached(Event):
    """Equity fell below a limit of the account."""

    level: ClassVar[str] = "error"
    limit: str
    equity: float
    floor: float
    at: str


@dataclass(frozen=True, kw_only=True)
class GuardStateChanged(Event):
    """The guard went from one of ACTIVE, REDUCING, HALTED to another."""

    level: ClassVar[str] = "warning"
    previous: str
    status: str
    cause: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class MessageShown(Event):
    """The console told its operator something that no other event says."""

    text: str
    severity: str
    """``info``, ``warning`` or ``error``."""


@dataclass(frozen=True, kw_only=True)
class BackupWritten(Event):
    """Database, registry and promoted versions were saved to a file."""

    file: str
    size_bytes: int
    versions: int


@dataclass(frozen=True, kw_only=True)
class HomeRestored(Event):
    """A home got its database, registry and promoted versions back from a file."""

    level: ClassVar[str] = "warning"
    file: str
    versions: int


@dataclass(frozen=True, kw_only=True)
class CandlesCleaned(Event):
    """Candles that arrived were not as they should be: what was filled, repaired or left out."""

    level: ClassVar[str] = "warning"
    symbol: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class ModelWarmed(Event):
    """A promoted model joined the loop; its state comes from the ``bars`` candles up to ``until``."""

    symbol: str
    model: str
    version: str
    bars: int
    until: str


@dataclass(frozen=True, kw_only=True)
class ModelRefused(Event):
    """A promoted model cannot be used; the loop goes on without it."""

    level: ClassVar[str] = "error"
    model: str
    version: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFailed(Event):
    """A model gave no number. Nothing is decided on it until it does again."""

    level: ClassVar[str] = "error"
    symbol: str
    model: str
    version: str
    error: str
    at: str


@dataclass(frozen=True, kw_only=True)
class EngineStarted(Event):
    """The scan loop begins: a new run, or one that goes on."""

    run_id: str
    engine: str
    """Names this start of the engine; its heartbeats carry it."""
    pid: int
    feed: str
    interval_s: float
    resumed: bool
    previous: str = ""
    """How the last start of the engine ended: ``stopped``, ``died``, or empty for a first one."""


@dataclass(frozen=True, kw_only=True)
class EngineStopped(Event):
    """The scan loop ended on request; everything it did is in the store."""

    run_id: str
    engine: str
    reason: str
    scans: int


@dataclass(frozen=True, kw_only=True)
class ScanLoopChosen(Event):
    """An operator chose that this home's console scans, or that it does not; the choice is remembered."""

    on: bool
    interval_s: float | None
    who: str
    surface: str


@dataclass(frozen=True, kw_only=True)
class ScanLoopFailed(Event):
    """The scan loop of a console ended without being asked to; nothing is scanned any more."""

    level: ClassVar[str] = "error"
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class ScanCompleted(Event):
    """One scan: how many coins had a new closed candle, and what was decided."""

    seq: int
    due: str
    new_candles: int
    reasons: dict[str, int]
    latency_ms: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ScanLate(Event):
    """A scan began after its time."""

    level: ClassVar[str] = "warning"
    due: str
    late_s: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScanOverrun(Event):
    """Scans fell out, because the one before took longer than the interval or the clock jumped past them."""

    level: ClassVar[str] = "warning"
    first_due: str
    last_due: str
    missed: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScanFailed(Event):
    """A scan could not be carried through; nothing was emitted by it."""

    level: ClassVar[str] = "error"
    due: str
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ClockJumped(Event):
    """The wall clock moved otherwise than time passed, forward (positive) or back."""

    level: ClassVar[str] = "warning"
    seconds: float
    at: str


@dataclass(frozen=True, kw_only=True)
class FeedFailed(Event):
    """The provider gave no candles of a coin; it is asked again after a pause."""

    level: ClassVar[str] = "warning"
    symbol: str
    provider: str
    reason: str
    failures: int
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class FeedRecovered(Event):
    """The provider answers again after an outage."""

    symbol: str
    provider: str
    failures: int
    outage_s: float
    candles: int


@dataclass(frozen=True, kw_only=True)
class CandlesRejected(Event):
    """Candles that a provider gave and that were not asked for: old, from the future, or no whole minutes."""

    level: ClassVar[str] = "warning"
    symbol: str
    provider: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class LiveCandlesCompacted(Event):
    """Complete days of live candles were written into the yearly file."""

    symbol: str
    rows: int
    until: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class UpkeepFailed(Event):
    """Something that can wait failed beside the scans: compaction, pruning, the ledger. It is tried again."""

    level: ClassVar[str] = "warning"
    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class KillSwitchSet(Event):
    """The kill switch was turned on or off."""

    level: ClassVar[str] = "warning"
    on: bool
    who: str
    surface: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ThresholdSet(Event):
    """The confidence a signal needs was set; ``value`` None: the settings' holds again."""

    level: ClassVar[str] = "warning"
    value: float | None
    previous: float
    who: str
    surface: str


@dataclass(frozen=True, kw_only=True)
class AccountReset(Event):
    """An operator let the account out of HALTED, or opened a fresh one."""

    level: ClassVar[str] = "warning"
    run_id: str
    fresh: bool
    who: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReplayStarted(Event):
    """The scan loop began to go through stored candles on a simulated clock."""

    run_id: str
    scans: int
    first_at: str
    last_at: str
    interval_s: int
    speed: float | None
    """Simulated seconds in a real one; None: as fast as it goes."""


@dataclass(frozen=True, kw_only=True)
class ReplayFinished(Event):
    """The scan loop went through stored candles on a simulated clock."""

    run_id: str
    scans: int
    signals: int
    win_rate: float | None
    equity: float
    seconds: float
    decisions_sha256: str


@dataclass(frozen=True, kw_only=True)
class DrillFinished(Event):
    """The guard was tried with a simulated loss on an account of its own."""

    run_id: str
    held: bool
    """It halted, closed what was open, and nothing was emitted that a twin without the loss did emit."""
    emitted_after: int
    twin_emitted: int
    positions_closed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AlertDelivered(Event):
    """An alert arrived; ``seconds`` since the event it tells of."""

    event_id: str
    kind: str
    title: str
    channel: str
    seconds: float
    repeat: bool


@dataclass(frozen=True, kw_only=True)
class AlertRefused(Event):
    """An alert will never be accepted and went to the dead letters."""

    level: ClassVar[str] = "error"
    event_id: str
    kind: str
    title: str
    channel: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SignalsMissed(Event):
    """Signals outlived their horizon before they could be told; they count as not delivered."""

    level: ClassVar[str] = "warning"
    channel: str
    ids: list[str]
    maybe: list[str]
    """Those of them whose outcome is unknown: they may have arrived."""


@dataclass(frozen=True, kw_only=True)
class DaySummarised(Event):
    """What the live runs did within the 24 hours before."""

    day: str
    """The UTC date it was made on; there is one a day."""
    scans: int
    failed: int
    signals: int
    high_signals: int
    trades: int
    wins: int
    net: float
    equity: float | None
    guard: str
    alerts_delivered: int
    alerts_lost: int
    """Dead, missed or stopped."""


@dataclass(frozen=True, kw_only=True)
class TelegramFailed(Event):
    """Something of the bot failed; it is started again, and the scan loop goes on without it."""

    level: ClassVar[str] = "warning"
    what: str
    reason: str
    retry_in_s: float
