"""Commands that run jobs: an engine for the moment, progress on stderr, and Ctrl-C at a safe point."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from tradingai.bootstrap import open_engine
from tradingai.cli.context import Invocation
from tradingai.cli.progress import ProgressView, progress_view
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import JobCommand
from tradingai.engine.core.events import (
    EpochFinished,
    FoldScored,
    GateDecided,
    JobFinished,
    JobSkipped,
    StateRepaired,
)
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import lstm_name
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
        self._shown: set[str] = set()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Settings:
        """The home's settings."""
        return self.engine.settings

    def issue(self) -> Issuer:
        """The fields every command begins with."""
        return self.engine.issue()

    async def run(self, commands: Sequence[JobCommand]) -> list[JobResult]:
        """Carry out jobs and show them; raises the first one's error when all have ended."""
        return await self.engine.run_all(commands, self.hear)

    def hear(self, update: JobUpdate) -> None:
        """Show what a job says."""
        key, event = update.spec.id, update.event
        if key not in self._shown:
            self._shown.add(key)
            self.view.started(key, job_label(update.spec))
        if update.progress is not None:
            self.view.progressed(key, update.progress)
        if isinstance(event, JobFinished):
            self.view.ended(key, f"{event.summary or 'done'} ({event.seconds:.1f} s)")
        elif isinstance(event, JobSkipped):
            self.view.ended(key, f"nothing to do: {event.reason}")
        elif isinstance(event, EpochFinished):
            self.view.note(epoch_line(event))
        elif isinstance(event, GateDecided):
            self.view.note(gate_line(event))
        elif isinstance(event, FoldScored):
            self.view.note(fold_line(event))
        elif isinstance(event, StateRepaired):
            self.view.note(f"repaired {event.what}: {event.detail}")

    def stop(self, received: signal.Signals) -> None:
        """The first request stops jobs at their safe points, a second one at once."""
        name = "Ctrl-C" if received is signal.SIGINT else received.name
        if self._stopping is None:
            self.view.note(f"{name}: stopping at the next safe point; once more stops at once")
            self.on_stop(name)
            self._stopping = asyncio.create_task(self.engine.stop_jobs(name))
        else:
            raise KeyboardInterrupt


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
    if spec.kind == "train_lstm":
        return f"train {lstm_name(spec.target)}"
    return {"generate": "candles", "import": "import"}.get(spec.kind, spec.kind) + f" {spec.target}"


def epoch_line(event: EpochFinished) -> str:
    """One epoch of training in a line."""
    best = ", best so far" if event.best else ""
    return (
        f"{event.model}: epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}, "
        f"validation {event.validation_loss:.4f}, accuracy {100 * event.validation_accuracy:.1f} %, "
        f"{event.bars_per_s:,.0f} bars/s{best}"
    )
