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
