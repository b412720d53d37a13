"""What is said of one coin of several, as part of what is said of them all."""

from __future__ import annotations

from dataclasses import replace

from tradingai.engine.core.events import Event
from tradingai.engine.core.reporting import Progress, Reporter


class Coinwise:
    """Passes on what is said of one coin, with how far the others are; of a single coin as it is."""

    def __init__(self, reporter: Reporter, number: int, coins: int, symbol: str) -> None:
        self._reporter, self._number, self._coins, self._symbol = reporter, number, coins, symbol

    def emit(self, event: Event) -> None:
        """Pass it on."""
        self._reporter.emit(event)

    def progress(self, progress: Progress) -> None:
        """Count the checks of all coins together."""
        if self._coins > 1:
            detail = {**progress.detail, "coin": self._symbol}
            done = progress.done + self._number * progress.total
            progress = replace(progress, done=done, total=self._coins * progress.total, detail=detail)
        self._reporter.progress(progress)

    def safe_point(self) -> None:
        """Pass it on."""
        self._reporter.safe_point()
