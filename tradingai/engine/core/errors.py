"""The one exception tree.

A message says what is wrong, with which value; ``remedy`` says what to do about it.

    TradingAIError            exit 1  "failed"
    ├── UsageError            exit 2  wrong arguments, unknown symbol or provider
    │   ├── SettingsError             one or more settings are wrong, all listed
    │   └── HomeError                 the home cannot be used: not writable, newer schema
    ├── GateRefusedError      exit 3  a promotion gate refused
    ├── MissingError          exit 4  something needed is missing; the remedy names the command that makes it
    ├── DataError             exit 1  candles that cannot be trusted
    ├── ProviderError         exit 1  an exchange does not answer, or not in a form that can be used
    ├── ArtifactError         exit 1  a file does not match what its manifest or the ledger says
    │   └── OutdatedArtifactError     written by another version, with another schema
    ├── RegistryError         exit 1  the ledger refuses (broken chain, not promotable)
    ├── StoreError            exit 1  the database failed
    ├── LockHeldError         exit 1  another process holds the lock; its owner is named
    ├── JobError              exit 1  a job failed or its worker died
    └── InterruptedRunError   exit 130  stopped at a safe point on request
"""

from __future__ import annotations

from typing import ClassVar


class TradingAIError(Exception):
    """Root of the tree. ``str(error)`` is the message; ``remedy`` is one sentence for the operator."""

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def as_json(self) -> dict[str, dict[str, str]]:
        """The command line's failure document."""
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}


class UsageError(TradingAIError):
    """Wrong arguments: the command was understood but cannot mean anything."""

    code = "usage"
    exit_status = 2


class SettingsError(UsageError):
    """One or more settings are wrong; the message lists every one."""

    code = "settings"


class HomeError(UsageError):
    """The home folder cannot be used as it is."""

    code = "home"


class GateRefusedError(TradingAIError):
    """A promotion gate refused; there is no force option."""

    code = "gate_refused"
    exit_status = 3


class MissingError(TradingAIError):
    """Something needed is not there yet; the remedy names the command that makes it."""

    code = "missing"
    exit_status = 4


class DataError(TradingAIError):
    """Candles or features that cannot be trusted."""

    code = "data"


class ProviderError(TradingAIError):
    """An exchange or data vendor cannot be reached, refuses, or answers what nobody can use."""

    code = "provider"


class ArtifactError(TradingAIError):
    """A stored file is damaged or is not what its manifest says."""

    code = "artifact"


class OutdatedArtifactError(ArtifactError):
    """A stored file was written by another version, whose schema this one does not read."""

    code = "outdated"


class RegistryError(TradingAIError):
    """The model registry refuses the operation."""

    code = "registry"


class StoreError(TradingAIError):
    """The database failed or holds something this version cannot read."""

    code = "store"


class LockHeldError(TradingAIError):
    """Another process is doing this already."""

    code = "locked"


class JobError(TradingAIError):
    """A job failed; its log is named."""

    code = "job"


class InterruptedRunError(TradingAIError):
    """Stopped at a safe point because someone asked for it."""

    code = "interrupted"
    exit_status = 130


def error_class(code: str) -> type[TradingAIError]:
    """The class whose ``code`` this is; used when an error crosses a process boundary as JSON."""
    pending: list[type[TradingAIError]] = [TradingAIError]
    while pending:
        candidate = pending.pop()
        if candidate.code == code:
            return candidate
        pending.extend(candidate.__subclasses__())
    return TradingAIError
