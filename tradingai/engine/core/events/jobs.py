"""Jobs, the processes that do them, and what happens to the home itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class HomeCreated(Event):
    """A new home was initialised."""

    path: str


@dataclass(frozen=True, kw_only=True)
class HomeRestored(Event):
    """A home got its database, registry and promoted versions back from a file."""

    level: ClassVar[str] = "warning"
    file: str
    versions: int


@dataclass(frozen=True, kw_only=True)
class BackupWritten(Event):
    """Database, registry and promoted versions were saved to a file."""

    file: str
    size_bytes: int
    versions: int


@dataclass(frozen=True, kw_only=True)
class StateRepaired(Event):
    """Start-up found something derived that did not match its truth and repaired it."""

    level: ClassVar[str] = "warning"
    what: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class LogsLost(Event):
    """The log of a process cannot be written or rotated; it is tried again with every line."""

    level: ClassVar[str] = "warning"
    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LogsResumed(Event):
    """The log of a process is written again; ``lost`` lines of the ``seconds`` before are missing in it."""

    file: str
    lost: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MessageShown(Event):
    """The console told its operator something that no other event says."""

    text: str
    severity: str
    """``info``, ``warning`` or ``error``."""


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
