"""From raw candles to features on any window: what checks 1, 2 and 7 run with less or another future."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.compute import align_peer, compute
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.providers.cleaning import clean

Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

CANDLE_NAMES = tuple(f"candles.{name}" for name in PRICE_COLUMNS)
"""The cleaned candles themselves are compared too, under these names."""

FeatureFunction = Callable[[Candles, Mapping[str, Candles]], npt.NDArray[np.floating]]
"""(cleaned candles [n], peers' cleaned candles) to features [n, F]; NaN where the past is too short."""
Cleaner = Callable[[Candles, int], Candles]
"""(raw candles, last minute in microseconds) to consecutive minutes up to that minute."""


def clean_until(raw: Candles, until: int) -> Candles:
    """The product's cleaning."""
    return clean(raw, until=until).candles


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Cleaning and features as functions, so that a test can plant a leak in either."""

    names: tuple[str, ...]
    lookback: int
    """Bars before a row that its features may need."""
    features: FeatureFunction
    cleaner: Cleaner = clean_until

    @classmethod
    def of(cls, declared: FeatureSet) -> Pipeline:
        """The declared features behind the product's cleaning."""

        def features(own: Candles, peers: Mapping[str, Candles]) -> npt.NDArray[np.floating]:
            return compute(
                declared, own, {name: align_peer(own, name, peers[name]) for name in declared.peers}
            )

        return cls(declared.names, declared.lookback, features)

    def run(self, raw: Mapping[str, Candles], symbol: str, start: int, end: int) -> Run:
        """Clean and compute the minutes ``start`` … ``end`` (microseconds) of ``symbol`` beside its peers.

        ``raw`` is what :func:`window` cut out for them, or less.
        """
        cleaned = {}
        for name, series in raw.items():
            minutes = self.cleaner(series, end)
            cleaned[name] = minutes[int(np.searchsorted(minutes.ts, start)) :]
        own = cleaned.pop(symbol)
        features = np.asarray(self.features(own, cleaned), dtype=np.float64)
        return Run(own, features)


@dataclass(frozen=True, slots=True)
class Run:
    """Cleaned minutes [n] and their features float64 [n, F]."""

    candles: Candles
    features: Values

    def at(self, ts: npt.NDArray[np.int64]) -> tuple[Values, Values]:
        """Candle columns [k, 5] and features [k, F] at minutes that lie within the run."""
        rows = (ts - self.candles.ts[0]) // MINUTE_US
        return price_columns(self.candles, rows), self.features[rows]


def price_columns(candles: Candles, rows: npt.NDArray[np.int64]) -> Values:
    """Open, high, low, close and volume of k rows, float64 [k, 5]."""
    return np.stack([getattr(candles, name)[rows] for name in PRICE_COLUMNS], axis=1)


def window(raw: Mapping[str, Candles], start: int, end: int) -> dict[str, Candles]:
    """The raw rows from the last one at or before ``start`` to ``end`` (microseconds, included).

    The row before ``start`` is there so that a window that begins within a gap knows the last close.
    """
    return {
        name: series[_last_at_or_before(series, start) : _after(series, end)] for name, series in raw.items()
    }


def until(raw: Mapping[str, Candles], end: int) -> dict[str, Candles]:
    """Every series up to ``end`` (microseconds, included)."""
    return {name: series[: _after(series, end)] for name, series in raw.items()}


def raw_of(stored: Candles, filled: Bools) -> Candles:
    """The rows that cleaning kept, without those it filled: cleaning them again gives ``stored``."""
    return stored[~filled] if filled.any() else stored


def without(raw: Candles, gaps: Sequence[tuple[int, int]]) -> Candles:
    """``raw`` without the rows in the half-open ranges [lo, hi) of microseconds."""
    keep = np.ones(len(raw), dtype=bool)
    for lo, hi in gaps:
        keep[np.searchsorted(raw.ts, lo) : np.searchsorted(raw.ts, hi)] = False
    return raw[keep]


def perturbed_after(raw: Candles, cut: int, rng: np.random.Generator) -> Candles:
    """``raw`` with all after ``cut`` (microseconds) changed: other prices and volumes, rows missing."""
    first = _after(raw, cut)
    count = len(raw) - first
    factor = np.ones(len(raw))
    factor[first:] = 1.09 * np.exp(0.004 * rng.standard_normal(count))
    volume = raw.volume.copy()
    volume[first:] *= np.exp(rng.standard_normal(count))
    keep = np.ones(len(raw), dtype=bool)
    keep[first:] = rng.random(count) >= 0.1
    changed = Candles(
        raw.ts, raw.open * factor, raw.high * factor, raw.low * factor, raw.close * factor, volume
    )
    return changed[keep]


def _last_at_or_before(series: Candles, ts: int) -> int:
    return max(0, int(np.searchsorted(series.ts, ts, side="right")) - 1)


def _after(series: Candles, ts: int) -> int:
    return int(np.searchsorted(series.ts, ts, side="right"))
