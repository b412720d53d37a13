"""How running jobs look on stderr: bars on a terminal, one line every few seconds otherwise."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

from tradingai.cli.output import count, duration, write_note
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.reporting import Progress

LINE_EVERY_S: Final = 3.0
"""Without a terminal, a job that goes on says so this often."""


class ProgressView(Protocol):
    """Where the command line shows jobs while they run."""

    def __enter__(self) -> Self:
        """Start drawing."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing and leave what was said on screen."""
        ...

    def started(self, key: str, label: str) -> None:
        """A job began; ``key`` names it from now on."""
        ...

    def progressed(self, key: str, progress: Progress) -> None:
        """How far it is."""
        ...

    def ended(self, key: str, text: str) -> None:
        """It is over; ``text`` says how."""
        ...

    def note(self, text: str) -> None:
        """Say something that is about no job."""
        ...


class LineView:
    """One line when a job begins and ends, and every few seconds in between."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._labels: dict[str, str] = {}
        self._spoke: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stderr.flush()

    def started(self, key: str, label: str) -> None:
        """Say that it began."""
        self._labels[key] = label
        self._spoke[key] = self._clock.monotonic()
        self._say(f"{label}: started")

    def progressed(self, key: str, progress: Progress) -> None:
        """Say how far it is, unless that was said a moment ago."""
        now = self._clock.monotonic()
        if now - self._spoke.get(key, now) >= LINE_EVERY_S:
            self._spoke[key] = now
            self._say(f"{self._labels[key]}: {describe(progress)}")

    def ended(self, key: str, text: str) -> None:
        """Say how it ended."""
        self._say(f"{self._labels.pop(key, key)}: {text}")

    def note(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def _say(self, text: str) -> None:
        write_note(f"{self._clock.now():%H:%M:%S}  {text}")


class BarView:
    """One bar per running job; what ended is left above them as text."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        self._tasks: dict[str, Any] = {}
        self._labels: dict[str, str] = {}
        self._bars = Bars(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[detail]}", table_column=Column(no_wrap=True, ratio=1)),
            console=Console(stderr=True, highlight=False),
            transient=True,
            expand=True,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, key: str, label: str) -> None:
        """Add its bar."""
        self._labels[key] = label
        self._tasks[key] = self._bars.add_task(label, total=None, detail="")

    def progressed(self, key: str, progress: Progress) -> None:
        """Move its bar."""
        if key in self._tasks:
            detail = describe(progress, share=False)
            self._bars.update(self._tasks[key], completed=progress.done, total=progress.total, detail=detail)

    def ended(self, key: str, text: str) -> None:
        """Replace its bar by a line."""
        if key in self._tasks:
            self._bars.remove_task(self._tasks.pop(key))
        self._print(f"{self._labels.pop(key, key)}: {text}")

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._bars.console.print(text, markup=False, soft_wrap=True)


def progress_view(clock: Clock) -> ProgressView:
    """Bars when stderr is a terminal, lines otherwise."""
    return BarView() if sys.stderr.isatty() else LineView(clock)


def describe(progress: Progress, *, share: bool = True) -> str:
    """``45 %, 77,000 of 172,800 bars, 51,000 bars/s, 3 s left, epoch 3, loss 0.61``."""
    parts: list[str] = []
    if share and progress.total > 0:
        parts.append(f"{100 * progress.done / progress.total:.0f} %")
    parts.append(f"{_number(progress.done)} of {_number(progress.total)} {progress.unit}")
    if progress.rate is not None:
        parts.append(f"{_number(progress.rate)} {progress.unit}/s")
    if progress.eta_s is not None:
        parts.append(f"{duration(progress.eta_s)} left")
    return ", ".join([*parts, *_details(progress.detail)])


def _details(detail: Mapping[str, Any]) -> list[str]:
    """What a line has room for: where it is and how it learns, each with its own form."""
    parts = [f"epoch {detail['epoch']}/{detail['epochs']}"] if {"epoch", "epochs"} <= set(detail) else []
    parts += [str(detail[name]) for name in ("stage", "check", "reading") if detail.get(name)]
    parts += [f"{name} {detail[name]:.3f}" for name in ("loss",) if detail.get(name) is not None]
    parts += [f"{name} {100 * detail[name]:.1f} %" for name in ("accuracy",) if detail.get(name) is not None]
    return parts


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "–"
    if value == int(value):
        return count(int(value))
    return count(round(value)) if abs(value) >= 100 else f"{value:.3g}"
