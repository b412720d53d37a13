"""Commands that run jobs: an engine for the moment, progress on stderr, and Ctrl-C at a safe point."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from tradingai.bootstrap import open_engine
from tradingai.cli.context import Invocation
from tradingai.cli.progress import ProgressView, progress_view
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import JobCommand
from tradingai.engine.core.events import (
    EpochFinished,
    Event,
    FetchDelayed,
    FoldScored,
    GateDecided,
    JobFailed,
    JobFinished,
    JobInterrupted,
    JobSkipped,
    JobStarted,
    StateRepaired,
    WorkerDied,
)
from tradingai.engine.core.settings import Settings
from tradingai.engine.facade import Engine, Issuer
from tradingai.engine.jobs.spec import JobResult, JobSpec, JobUpdate

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
T = TypeVar("T")


class Work:
    """An open engine and the view its jobs are shown in."""

    def __init__(self, engine: Engine, view: ProgressView) -> None:
        self.engine = engine
        self.view = view
        self.on_stop: Callable[[str], None] = lambda _reason: None
        """Called when the operator asks to stop, before running jobs are told."""
        self._workers: dict[str, int] = {}
        """Process of each running job."""
        self._stopping: asyncio.Task[None] | None = None
        self._alone = False
        """Whether one job runs, whose error is said when the command ends with it."""

    @property
    def settings(self) -> Settings:
        """The home's settings."""
        return self.engine.settings

    def issue(self) -> Issuer:
        """The fields every command begins with."""
        return self.engine.issue()

    async def run(self, commands: Sequence[JobCommand]) -> list[JobResult]:
        """Carry out jobs and show them; raises the first one's error when all have ended."""
        self._alone = len(commands) == 1
        return await self.engine.run_all(commands, self.hear)

    def hear(self, update: JobUpdate) -> None:
        """Show what a job says."""
        key = update.spec.id
        if isinstance(update.event, JobStarted):
            self._workers[key] = update.event.pid
            if update.event.resume == 0:
                self.view.started(key, job_label(update.spec))
        if update.progress is not None:
            self.view.progressed(key, update.progress)
        end = how_it_ended(update.event)
        if end and self._workers.pop(key, None) is not None:
            self.view.ended(key, "failed" if self._alone and isinstance(update.event, JobFailed) else end)
        note = worth_a_line(update.event)
        if note:
            self.view.note(note)

    def stop(self, received: signal.Signals) -> None:
        """The first request stops jobs at their safe points, a second kills them: what they wrote is safe."""
        name = "Ctrl-C" if received is signal.SIGINT else received.name
        if self._stopping is None:
            self.view.note(f"{name}: stopping at the next safe point; once more stops at once")
            self.on_stop(name)
            self._stopping = asyncio.create_task(self.engine.stop_jobs(name))
            return
        self.view.note(f"{name}: stopping at once")
        for pid in self._workers.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def work(call: Invocation, body: Callable[[Work], Awaitable[T]]) -> T:
    """Open an engine over the home, do ``body`` in it, close it. Makes the home when there is none."""
    return asyncio.run(_work(call, body))


async def _work(call: Invocation, body: Callable[[Work], Awaitable[T]]) -> T:
    clock = RealClock()
    async with open_engine(call.home, clock=clock) as engine:
        with progress_view(clock) as view, _signals(current := Work(engine, view)):
            for problem in engine.problems:
                view.note(f"warning: {problem.message} {problem.remedy}")
            return await body(current)


@contextmanager
def _signals(current: Work) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, current.stop, number)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def how_it_ended(event: Event | None) -> str:
    """A job's end in a line, or nothing for any other event."""
    match event:
        case JobFinished():
            return f"{event.summary or 'done'} ({event.seconds:.1f} s)"
        case JobSkipped():
            return f"nothing to do: {event.reason}"
        case JobInterrupted():
            return f"{event.reason}; what was finished is kept"
        case JobFailed():
            return f"failed: {event.message}"
        case _:
            return ""


def worth_a_line(event: Event | None) -> str:
    """What happened on the way, where an operator wants to see it; else nothing."""
    match event:
        case EpochFinished():
            line = epoch_line(event)
        case GateDecided():
            line = gate_line(event)
        case FoldScored():
            line = fold_line(event)
        case FetchDelayed():
            line = f"{event.symbol}: {event.reason}; goes on in {event.retry_in_s:.0f} s"
        case StateRepaired():
            line = f"repaired {event.what}: {event.detail}"
        case WorkerDied():
            line = f"the worker of {event.kind} {event.target} {event.how}; starting it again"
        case _:
            line = ""
    return line


def gate_line(event: GateDecided) -> str:
    """One gate's verdict; what it looked at only where it refused."""
    if event.passed:
        return f"{event.model}: gate {event.gate} passed"
    return f"{event.model}: gate {event.gate} REFUSED: {event.detail}"


def fold_line(event: FoldScored) -> str:
    """One fold's accuracy."""
    share = f"{100 * event.accuracy:.1f} % of {event.bars:,} bars"
    return f"{event.model}: fold {event.fold}/{event.folds}: {share}"


def job_label(spec: JobSpec) -> str:
    """What a job does, in an operator's words."""
    words = {"generate": "candles", "execution_import": "import", "execution_measure": "measure"}
    return words.get(spec.kind, spec.kind) + f" {spec.target}"


def epoch_line(event: EpochFinished) -> str:
    """One epoch of training in a line."""
    best = ", best so far" if event.best else ""
    return (
        f"{event.model}: epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}, "
        f"validation {event.validation_loss:.4f}, accuracy {100 * event.validation_accuracy:.1f} %, "
        f"{event.bars_per_s:,.0f} bars/s{best}"
    )
