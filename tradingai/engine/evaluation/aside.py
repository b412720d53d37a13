"""A process beside the one that evaluates, for backtests: they are Python and would hold a core back.

The leakage battery and a backtest of the same coin need nothing of each other, so the second core trades
while the first one checks. What comes out is the same as without: a function and its arguments go over, its
result comes back.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event as ProcessEvent
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tradingai.engine.core.errors import InterruptedRunError, JobError, TradingAIError
from tradingai.engine.core.events import Event
from tradingai.engine.core.reporting import Progress, Reporter

T = TypeVar("T")
_BETWEEN_LOOKS_S: Final = 0.2


class Aside:
    """One process that carries out functions in the order they are given, while the context lasts.

    Whoever leaves the context early, by a stop or an error, stops it at the function's next safe point.
    What is over before a process could begin (``apart`` false) is carried out here, at once.
    """

    def __init__(self, *, apart: bool) -> None:
        context = get_context("spawn")
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._stop,))
        self._apart = apart

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Begin ``function(*args, reporter)`` over there; function and arguments are pickled.

        Its reporter has safe points and says nothing.
        """
        if self._apart:
            return self._pool.submit(_carry_out, function, args)
        here: Future[T] = Future()
        try:
            here.set_result(_carry_out(function, args))
        except TradingAIError as error:
            here.set_exception(error)
        return here


def result_of(future: Future[T], reporter: Reporter) -> T:
    """Wait for a result, with safe points.

    Raises what the function raised, and JobError when its process died.
    """
    while not wait((future,), _BETWEEN_LOOKS_S).done:
        reporter.safe_point()
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise JobError(
            "the process that carries out backtests beside the evaluation died",
            remedy="Give it more memory, or run the evaluation again.",
        ) from error


class _QuietReporter:
    """Over there: nobody listens, but the other side may ask to stop."""

    def __init__(self) -> None:
        self._stop: ProcessEvent | None = None

    def obey(self, stop: ProcessEvent) -> None:
        """Stop at the next safe point once this is set."""
        self._stop = stop

    def emit(self, event: Event) -> None:
        """Nobody listens."""

    def progress(self, progress: Progress) -> None:
        """Nobody listens."""

    def safe_point(self) -> None:
        """Raise InterruptedRunError once the other side has left."""
        if self._stop is not None and self._stop.is_set():
            raise InterruptedRunError("stopped with the evaluation it belongs to")


_OVER_THERE: Final = _QuietReporter()


def _begin(stop: ProcessEvent) -> None:
    """Once, over there: Ctrl-C is the other side's business, and its death ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _OVER_THERE.obey(stop)
    parent = parent_process()
    if parent is None:
        raise RuntimeError("this begins a process that another one started")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _carry_out(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    return function(*args, _OVER_THERE)
