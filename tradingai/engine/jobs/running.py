"""The state of one job while its runner is responsible for it, and the words for its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.errors import InterruptedRunError, JobError, TradingAIError, error_class
from tradingai.engine.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobInterrupted,
    JobSkipped,
    event_from_json,
)
from tradingai.engine.core.reporting import Progress
from tradingai.engine.jobs.spec import JobResult, JobSpec, JobUpdate, OnUpdate
from tradingai.engine.store.job_rows import JobState

RESUME_REMEDY: Final = "What was finished is kept; the same command goes on from there."
AGAIN_REMEDY: Final = "The run keeps the scans it made; the same command begins a new one."
OVER_REMEDY: Final = "Nothing of it is kept; the same command does it from the beginning."
_REMEDIES: Final = {
    "replay": AGAIN_REMEDY, "drill": AGAIN_REMEDY, "simulate": OVER_REMEDY,
    "execution_import": OVER_REMEDY, "execution_measure": OVER_REMEDY,
}  # fmt: skip
"""Where another try does not go on: of kinds whose every try is a run of its own, and of a simulation."""


@dataclass(slots=True)
class Running:
    """A job that has not ended."""

    spec: JobSpec
    log: Path
    on_update: OnUpdate | None
    resumes: int = 0
    stop_reason: str = ""
    cancelled: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, reason: str, *, cancelled: bool = False) -> None:
        """Ask for a stop; the first reason counts."""
        if not self.stopping.is_set():
            self.stop_reason, self.cancelled = reason, cancelled
            self.stopping.set()

    def tell(self, events: Sequence[dict[str, Any]], progress: Sequence[dict[str, Any]]) -> None:
        """Hand what the worker said to whoever started the job."""
        if self.on_update is not None:
            for document in events:
                self.on_update(JobUpdate(self.spec, event=event_from_json(document)))
            for fields in progress[-1:]:
                self.on_update(JobUpdate(self.spec, progress=Progress(**fields)))

    @asynccontextmanager
    async def turn(self, slots: asyncio.Semaphore) -> AsyncIterator[None]:
        """Wait for a free slot and hold it; a job that is asked to stop meanwhile waits no longer."""
        acquire = asyncio.create_task(slots.acquire())
        halt = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({acquire, halt}, return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            halt.cancel()
            if acquire.done():
                slots.release()
            else:
                acquire.cancel()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: its state, the event that says so, and a result or an error."""

    state: JobState
    event: Event
    result: dict[str, Any] | None = None
    error: TradingAIError | None = None


def ending(running: Running, answer: dict[str, Any] | None, status: int, seconds: float) -> Ending:
    """The end of a job whose last worker said ``answer`` (None: it died) and ended with ``status``."""
    if answer is None:
        if running.stopping.is_set():
            return interruption(running, f"stopped: {running.stop_reason}")
        return failure(running, _death(running, status))
    if "result" in answer:
        return _success(running.spec, answer["result"], seconds)
    if "interrupted" in answer:
        return interruption(running, answer["interrupted"]["message"])
    error = answer["error"]
    return failure(running, error_class(error["code"])(error["message"], remedy=error["remedy"]))


def interruption(running: Running, reason: str) -> Ending:
    """The job stopped before its end."""
    spec = running.spec
    event = JobInterrupted(job_id=spec.id, kind=spec.kind, target=spec.target, reason=reason)
    remedy = _REMEDIES.get(spec.kind, RESUME_REMEDY)
    error = InterruptedRunError(f"{spec.title}: {reason}", remedy=remedy)
    return Ending("cancelled" if running.cancelled else "interrupted", event, error=error)


def failure(running: Running, error: TradingAIError) -> Ending:
    """The job failed with ``error``."""
    spec = running.spec
    event = JobFailed(
        job_id=spec.id,
        kind=spec.kind,
        target=spec.target,
        code=error.code,
        message=error.message,
        remedy=error.remedy,
    )
    return Ending("failed", event, error=error)


def surprise(running: Running, error: BaseException) -> Ending:
    """The end of a job whose runner was disturbed: by the store, by its caller, or by being cancelled."""
    if isinstance(error, TradingAIError):
        return failure(running, error)
    if isinstance(error, asyncio.CancelledError):
        return interruption(running, "its caller was cancelled")
    return interruption(running, f"its caller failed ({type(error).__name__})")


def _success(spec: JobSpec, result: dict[str, Any], seconds: float) -> Ending:
    event: Event
    if result.get("skipped"):
        reason = str(result.get("reason", "inputs are unchanged"))
        event = JobSkipped(job_id=spec.id, kind=spec.kind, target=spec.target, reason=reason)
    else:
        summary = str(result.get("summary", ""))
        event = JobFinished(
            job_id=spec.id, kind=spec.kind, target=spec.target, seconds=seconds, summary=summary
        )
    return Ending("finished", event, result=result)


def _death(running: Running, status: int) -> JobError:
    memory = " SIGKILL often means that memory ran out." if status == -signal.SIGKILL else ""
    times = "once" if running.resumes == 0 else f"{running.resumes + 1} times"
    return JobError(
        f"{running.spec.title}: its worker died {times}, at last it {how_it_ended(status)}",
        remedy=f"Look into {running.log}.{memory} The same command goes on from what was kept.",
    )


def how_it_ended(status: int) -> str:
    """How a worker without a last word ended, from its exit status or minus a signal's number."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status} and no result"


def job_result(running: Running, end: Ending, seconds: float) -> JobResult:
    """The result of a job that ended well. Raises its error when it did not."""
    if end.error is not None:
        raise end.error
    spec = running.spec
    return JobResult(spec.id, spec.kind, spec.target, end.result or {}, seconds, running.resumes)
