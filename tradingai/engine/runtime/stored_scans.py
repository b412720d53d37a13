"""Scans over stored candles: the step of the live loop on a feed that is read from the data set."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.performance import Tally
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.inference.stream import FeatureSource, MarketStream
from tradingai.engine.runtime.dataset_feed import DatasetFeed
from tradingai.engine.runtime.runs import Finished, Run
from tradingai.engine.runtime.step import Controls, Prepared, ScanStep
from tradingai.engine.runtime.timing import Timings

SCANS_AT_ONCE: Final = 120
"""Scans stored in one transaction; a run that is killed loses its work, not its candles."""


class StoredScans:
    """The step, its feed and its sums; it knows neither kill switch nor a threshold of the moment."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        first_us: int,
        interval_us: int,
        config: DeskConfig,
        promoted: PromotedModels,
        feed: DatasetFeed,
        clock: Clock,
        source: FeatureSource,
        *,
        mode: str,
    ) -> None:
        """A fresh account whose first scan is at ``first_us``; all candles before are history.

        ``clock`` is the machine's, for measured times only; ``mode`` goes into every signal.
        """
        self.stream = MarketStream(symbols, promoted, config.decision.ensemble, source=source)
        self.step = ScanStep(self.stream, config, open_desk(config, first_us), mode=mode)
        self.tally = Tally(config.costs)
        self.timings = Timings()
        self._feed = feed
        self._clock = clock
        self._begun = 0.0
        self._known_us = first_us - interval_us - MINUTE_US
        self.stream.warm(self._feed.between(0, self._known_us))

    def prepare(self, at_us: int) -> Prepared:
        """Take in what closed since the scan before and bring the models to ``at_us``."""
        self._begun = self._clock.monotonic()
        candles = self._feed.between(self._known_us, at_us - MINUTE_US)
        self._known_us = at_us - MINUTE_US
        return self.step.prepare(at_us, at_us, candles)

    def decide(self, prepared: Prepared) -> Finished:
        """Decide on what was prepared and go on from there."""
        outcome = self.step.decide(prepared, Controls())
        self.step.adopt(outcome)
        took_ms = 1e3 * (self._clock.monotonic() - self._begun)
        self.tally.add(outcome.decisions, outcome.trades, outcome.events)
        self.timings.add(took_ms)
        return Finished(outcome, took_ms)

    def scan(self, at_us: int) -> Finished:
        """One scan at the simulated time ``at_us``."""
        return self.decide(self.prepare(at_us))


class Unstored:
    """Decided scans that wait to be stored together."""

    def __init__(self, run: Run, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._waiting: list[Finished] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """As many as one transaction holds."""
        return len(self._waiting) >= SCANS_AT_ONCE

    @property
    def age_s(self) -> float:
        """How long the oldest of them waits, in real time; 0 when none does."""
        return self._clock.monotonic() - self._since if self._waiting else 0.0

    def add(self, finished: Finished) -> None:
        """One more, newer than the others."""
        if not self._waiting:
            self._since = self._clock.monotonic()
        self._waiting.append(finished)

    async def store(self) -> None:
        """Store them all. Raises StoreError; they wait on then."""
        await self._run.store(self._waiting)
        self._waiting.clear()
