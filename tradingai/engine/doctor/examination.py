"""What an examination says: what was looked at, what is wrong, and what would be worth a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tradingai.engine.core.errors import TradingAIError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or of a hint: that is right but may not be meant so."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Examination:
    """One thing that was looked at."""

    name: str
    detail: str
    findings: tuple[Finding, ...] = ()
    hints: tuple[Finding, ...] = ()
    """No faults: ``doctor`` ends with 0 beside them."""

    def as_json(self) -> dict[str, Any]:
        """For ``doctor --json``."""
        return {**asdict(self), "ok": not self.findings}


def guarded(name: str, step: Callable[[], Examination]) -> Examination:
    """The examination; one that fails is a finding of its own."""
    try:
        return step()
    except TradingAIError as error:
        return Examination(name, "cannot be read", (Finding(error.message, error.remedy),))
    except OSError as error:
        finding = Finding(str(error), "Check the disk and its permissions.")
        return Examination(name, "cannot be read", (finding,))
