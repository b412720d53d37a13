"""Stored candles as a feed: what a live loop would have been given at each moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.quality import Rule
from tradingai.engine.store.candle_files import read_candles, read_flags


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """One coin's stored minutes, and which of them are candles: minutes that cleaning filled are gaps."""

    candles: Candles
    real: NDArray[np.bool_]

    def between(self, after_us: int, until_us: int) -> Candles:
        """The real candles that open after ``after_us`` and not after ``until_us``."""
        first_us = int(self.candles.ts[0])
        lo = max(0, (after_us - first_us) // MINUTE_US + 1)
        hi = max(lo, (until_us - first_us) // MINUTE_US + 1)
        rows, real = self.candles[lo:hi], self.real[lo:hi]
        return rows if real.all() else rows[real]


class DatasetFeed:
    """The stored candles of several coins over one range."""

    def __init__(self, series: Mapping[str, StoredSeries]) -> None:
        self.series = series

    @classmethod
    def read(cls, paths: HomePaths, coins: Iterable[str], first_us: int, last_us: int) -> DatasetFeed:
        """Read and check the candles that open from ``first_us`` to ``last_us``, both included.

        Raises MissingError when a coin does not cover that range.
        """
        return cls({coin: _read(paths, coin, first_us, last_us) for coin in coins})

    @property
    def cleaned(self) -> dict[str, Candles]:
        """Every coin's minutes, the filled ones included."""
        return {coin: item.candles for coin, item in self.series.items()}

    def between(self, after_us: int, until_us: int) -> dict[str, Candles]:
        """Every coin's real candles that open after ``after_us`` and not after ``until_us``."""
        return {coin: item.between(after_us, until_us) for coin, item in self.series.items()}


def read_series(paths: HomePaths, coin: str, first_us: int, last_us: int) -> StoredSeries:
    """What is stored of the candles that open from ``first_us`` to ``last_us``, both included.

    Raises MissingError when there are none, ArtifactError for damaged files.
    """
    candles = read_candles(paths, coin, us_to_datetime(first_us), us_to_datetime(last_us))
    flags = read_flags(paths, coin)
    filled = flags.ts[(flags.mask & int(Rule.FILLED)) > 0]
    return StoredSeries(candles, ~np.isin(candles.ts, filled, assume_unique=True))


def _read(paths: HomePaths, coin: str, first_us: int, last_us: int) -> StoredSeries:
    series = read_series(paths, coin, first_us, last_us)
    first, last = us_to_datetime(first_us), us_to_datetime(last_us)
    candles = series.candles
    if (candles.start, candles.end) != (first, last):
        raise MissingError(
            f"candles of {coin} are needed from {iso_z(first)} to {iso_z(last)}; there are "
            f"{iso_z(candles.start)} to {iso_z(candles.end)}",
            remedy="Ask for fewer hours or an earlier --end, or make more candles (`tradingai data list`).",
        )
    return series
