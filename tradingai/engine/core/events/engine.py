"""The scan loop: its start and end, its scans, its replays, and what an operator told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


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
class UpkeepFailed(Event):
    """Something that can wait failed beside the scans: compaction, pruning, the ledger. It is tried again."""

    level: ClassVar[str] = "warning"
    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MetricsFailed(Event):
    """``/metrics`` and ``/healthz`` are not served: the port is taken or was lost. It is tried again."""

    level: ClassVar[str] = "warning"
    port: int
    reason: str
    remedy: str
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class MetricsServed(Event):
    """``/metrics`` and ``/healthz`` are served again."""

    port: int


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
