"""The live scan loop over an isolated home: the real loop, store, models and rules, on stored candles and a
simulated clock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import SteppingClock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.events import Event
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.inference.promoted import PromotionWatch
from tradingai.engine.inference.stream import KEPT_MINUTES, MarketStream
from tradingai.engine.runtime.dataset_feed import DatasetFeed
from tradingai.engine.runtime.live_run import Begun, begin_live
from tradingai.engine.runtime.loop import LoopParts, ScanLoop
from tradingai.engine.runtime.reader import FeedReader
from tradingai.engine.runtime.scanned import Scanned
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics
from tradingai.engine.store.manifests import read_dataset_manifest
from tradingai.rehearsals.copies import PIPELINE

INTERVAL_S: Final = 120
"""Between two scans."""
SCANNED_HOURS: Final = 24
"""Candles that a rehearsal may scan through, the newest ones."""


class StoredFeed:
    """The stored candles as a live feed: at each time what had closed by then."""

    identity = "stored candles, a rehearsal"
    origin = DatasetIdentity("rehearsal", None, None, {})

    def __init__(self, feed: DatasetFeed) -> None:
        self._feed = feed

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        """As ``LiveFeed.closed``."""
        return self._feed.series[symbol].between(after_us, until_us - MINUTE_US)

    def told(self) -> Sequence[Event]:
        """Nothing happens to stored candles."""
        return ()

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Seen:
    """What a stretch of scans did."""

    scans: int = 0
    emitted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    """Paper positions that ended."""
    failed: int = 0

    def add(self, scanned: Scanned) -> None:
        """One more scan."""
        self.scans += 1
        self.emitted += len(scanned.signals)
        self.reasons.update(scanned.reasons)
        self.closed += len(scanned.trades)
        self.failed += scanned.state == "failed"


class RehearsedLoop:
    """A live loop that scans when it is told to."""

    def __init__(self, parts: LoopParts, begun: Begun, last_us: int) -> None:
        self._parts = parts
        self._last_us = last_us
        self._scans: list[Scanned] = []
        self._loop = ScanLoop(parts, self._scans.append)
        self.begun = begun

    @property
    def run_id(self) -> str:
        """The run of the isolated home."""
        return self.begun.run.run_id

    @property
    def scanned(self) -> int:
        """Scans so far."""
        return len(self._scans)

    def under(self, settings: Settings) -> None:
        """Go on as an engine with these settings: the loop reads its controls with them."""
        self._parts.settings = settings
        self._loop = ScanLoop(self._parts, self._scans.append)

    async def scan(self, count: int) -> Seen:
        """So many scans. Raises MissingError when the candles end before."""
        seen = Seen()
        before = len(self._scans)
        await self._loop.run(asyncio.Event(), self._loop.scanned + count)
        for scanned in self._scans[before:]:
            seen.add(scanned)
        if datetime_to_us(self._parts.clock.now()) > self._last_us:
            raise MissingError(
                f"the newest {SCANNED_HOURS} h of candles were scanned without what was waited for",
                remedy="See with `tradingai replay --hours 72` what the models decide, and why.",
            )
        return seen

    async def until_emitted(self, most: int) -> Seen:
        """Scan until a signal is emitted, at most ``most`` times."""
        seen = Seen()
        while seen.scans < most and not seen.emitted:
            one = await self.scan(1)
            seen.scans += 1
            seen.emitted += one.emitted
            seen.reasons += one.reasons
            seen.closed += one.closed
            seen.failed += one.failed
        return seen


@asynccontextmanager
async def rehearsed_loop(store: Store, paths: HomePaths, settings: Settings) -> AsyncIterator[RehearsedLoop]:
    """A live loop over the home's newest stored candles; the caller holds the home's engine lock.

    Raises MissingError without models that run, or when there are too few candles.
    """
    watch = PromotionWatch(paths, settings.symbols)
    watch.look()
    if not watch.current.models:
        refused = "; ".join(f"{one.model} was refused: {one.reason}" for one in watch.current.refused)
        raise MissingError(refused or "no promoted model speaks of SYMBOLS", remedy=PIPELINE)
    config = desk_config(settings, read_execution_metrics(paths))
    coins = MarketStream(settings.symbols, watch.current, config.decision.ensemble).coins
    manifests = [read_dataset_manifest(paths, coin) for coin in coins]
    last = min(manifest.end for manifest in manifests) + timedelta(minutes=1)
    clock = SteppingClock(last - timedelta(hours=SCANNED_HOURS))
    first_us = max(
        datetime_to_us(clock.now()) - KEPT_MINUTES * MINUTE_US,
        *(datetime_to_us(manifest.start) for manifest in manifests),
    )
    feed = StoredFeed(_read(paths, coins, first_us, datetime_to_us(last) - MINUTE_US))
    begun = await begin_live(store, paths, settings, clock, feed.identity, settings.symbols, watch.current)
    reader = FeedReader(feed, clock, np.random.default_rng(1), settings.provider_timeout_s)
    parts = LoopParts(store, begun.run, begun.step, reader, watch, settings, clock, INTERVAL_S)
    yield RehearsedLoop(parts, begun, datetime_to_us(last))


def _read(paths: HomePaths, coins: tuple[str, ...], first_us: int, last_us: int) -> DatasetFeed:
    if last_us - first_us < SCANNED_HOURS * 60 * MINUTE_US:
        raise MissingError(
            f"the candles begin at {us_to_datetime(first_us):%Y-%m-%d %H:%M}: a rehearsal needs "
            f"{SCANNED_HOURS} h and the models' history before them",
            remedy=PIPELINE,
        )
    return DatasetFeed.read(paths, coins, first_us, last_us)
