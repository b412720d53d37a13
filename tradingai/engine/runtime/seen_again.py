"""Where the candles that a run's scans saw are found again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.inference.stream import KEPT_MINUTES
from tradingai.engine.runtime.dataset_feed import DatasetFeed
from tradingai.engine.runtime.received import history_of
from tradingai.engine.store.database import Store
from tradingai.engine.store.manifests import read_dataset_manifest
from tradingai.engine.store.run_table import RunKind
from tradingai.engine.store.scan_rows import InputRow

ON_RECEIVED: Final[frozenset[RunKind]] = frozenset({"live", "soak"})
"""Kinds of run whose raw candles are kept as they were received; the others ran on stored datasets."""

Delivery = Mapping[str, Candles]
"""Raw candles by coin."""


class SeenCandles(Protocol):
    """The candles of one run."""

    async def history(self) -> Delivery:
        """What filled the windows before the first scan."""
        ...

    async def of_scans(self, rows: Sequence[InputRow]) -> Mapping[int, Delivery]:
        """What each scan saw, by its number; ``rows`` are whole scans in order."""
        ...


class ReceivedCandles:
    """The raw candles a live run kept."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    async def history(self) -> Delivery:
        """The candles its first stream began with."""
        rows = await self._store.live.candles(self._run_id, scans=(0, 0))
        return history_of([row for row in rows if row.warm])

    async def of_scans(self, rows: Sequence[InputRow]) -> Mapping[int, Delivery]:
        """Raises MissingError when candles of these scans are not kept any more."""
        span = rows[0].scan_seq, rows[-1].scan_seq
        kept = await self._store.live.candles(self._run_id, scans=span)
        by_scan = {
            seq: history_of([row for row in kept if row.scan_seq == seq and not row.warm])
            for seq in {row.scan_seq for row in rows}
        }
        for row in rows:
            if row.candles and row.symbol not in by_scan[row.scan_seq]:
                raise MissingError(
                    f"the candles of scan {row.scan_seq} of run {self._run_id} are not kept any more",
                    remedy="Raw candles are kept for EVENT_DAYS; verify a run within that time.",
                )
        return by_scan


class StoredCandles:
    """The stored datasets a replay went through."""

    def __init__(self, feed: DatasetFeed, first_us: int) -> None:
        """``first_us`` is the first candle that was new to the first scan."""
        self._feed = feed
        self._first_us = first_us

    @classmethod
    def read(cls, paths: HomePaths, coins: Iterable[str], first_us: int, last_us: int) -> StoredCandles:
        """Raises MissingError when the datasets do not cover what the run saw."""
        names = tuple(coins)
        there = max(datetime_to_us(read_dataset_manifest(paths, name).start) for name in names)
        begin = max(there, first_us - KEPT_MINUTES * MINUTE_US)
        return cls(DatasetFeed.read(paths, names, min(begin, first_us), last_us), first_us)

    async def history(self) -> Delivery:
        """As many candles before the first scan as a stream keeps."""
        return self._feed.between(0, self._first_us - MINUTE_US)

    async def of_scans(self, rows: Sequence[InputRow]) -> Mapping[int, Delivery]:
        """The recorded ranges of the datasets as they are now."""
        found: dict[int, dict[str, Candles]] = {}
        for row in rows:
            scan = found.setdefault(row.scan_seq, {})
            if row.first_candle is not None and row.last_candle is not None:
                first, last = datetime_to_us(row.first_candle), datetime_to_us(row.last_candle)
                scan[row.symbol] = self._feed.series[row.symbol].between(first - MINUTE_US, last)
        return found
