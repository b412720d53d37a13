"""What a job is: described by its parent, carried out by a worker process."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import Event
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings

JobFunction = Callable[[HomePaths, Settings, Mapping[str, Any], Reporter], dict[str, Any]]
"""What a worker runs: home, settings, the job's parameters, a reporter → a result of JSON types.

A result with ``{"skipped": True, "reason": …}`` says that inputs and definitions were unchanged.
"""

_LOCK_FAMILY: Final = {
    "generate": "candles", "import": "candles", "fetch": "candles",
    "execution_import": "execution", "execution_measure": "execution",
    "observe": "replay",
}  # fmt: skip
"""Kinds that write the same files share one lock for each target; an observation begins with a replay."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job. ``params`` holds JSON types only; ``threads`` is part of the job and its checkpoint."""

    id: str
    kind: str
    target: str
    params: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"a job cannot run on {self.threads} threads", remedy="Give at least one.")

    @property
    def title(self) -> str:
        """``train lstm_BTC-USD``: how people are told of it."""
        return f"{self.kind} {self.target}"

    @property
    def lock_name(self) -> str:
        """The file below ``locks/`` that its worker holds for its whole life."""
        return lock_name(self.kind, self.target)

    @property
    def log_name(self) -> str:
        """The file below ``logs/jobs/`` that gets everything its workers print."""
        return f"{self.id}.log"


def new_job(
    kind: str, target: str, params: Mapping[str, Any] | None = None, *, clock: Clock, threads: int = 1
) -> JobSpec:
    """A job with an id of its own, which begins with the time so that ids sort by age."""
    identity = f"{clock.now():%Y%m%dT%H%M%S}-{_file_name(kind)}-{_file_name(target)}-{secrets.token_hex(3)}"
    return JobSpec(identity, kind, target, dict(params or {}), threads)


def params_to_go_on(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a job that had begun, for its next try.

    Starting over (``fresh``) was done when it began: done again it would throw away what it finished since.
    """
    if not params.get("fresh"):
        return dict(params)
    return {**params, "fresh": False, "replace_unfinished": True}


def lock_name(kind: str, target: str) -> str:
    """``<kind>-<target>``, the same for all kinds that write the same files."""
    return f"{_LOCK_FAMILY.get(kind, kind)}-{_file_name(target)}"


def _file_name(text: str) -> str:
    """``text`` itself where it can be part of a file name, else made so and kept apart by a hash."""
    safe = _UNSAFE.sub("_", text)[-80:].strip(".")
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that ended well."""

    job_id: str
    kind: str
    target: str
    result: Mapping[str, Any]
    seconds: float
    """From the first worker's start, crashes and resumes included."""
    resumes: int
    """How often it was resumed after its worker died."""

    @property
    def skipped(self) -> bool:
        """True when the job found its work done already."""
        return bool(self.result.get("skipped"))


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """What a running job said, for whoever started it; the store has it already."""

    spec: JobSpec
    event: Event | None = None
    progress: Progress | None = None


OnUpdate = Callable[[JobUpdate], None]
