"""A reporter for engine functions that a command calls in its own process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tradingai.cli.progress import ProgressView
from tradingai.engine.core.events import Event
from tradingai.engine.core.reporting import Progress


class ViewReporter:
    """Shows progress in a view; Ctrl-C interrupts at once, for such functions write nothing."""

    def __init__(self, view: ProgressView, label: str) -> None:
        self._view = view
        self._label = label

    def emit(self, event: Event) -> None:
        """Nothing: what only looks has nothing to record."""

    def progress(self, progress: Progress) -> None:
        """Show it."""
        self._view.progressed(self._label, progress)

    def safe_point(self) -> None:
        """Nothing: the signal itself interrupts."""

    def __enter__(self) -> Self:
        self._view.started(self._label, self._label)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.ended(self._label, "done" if error is None else "stopped")
