"""What a feature's formula sees: bars with memoised causal primitives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np

from tradingai.engine.core.candles import Candles, Floats, Ints
from tradingai.engine.features import primitives
from tradingai.engine.features.primitives import Moments

T = TypeVar("T")


class Bars:
    """n bars of equal duration, oldest first, and what is computed from them, each thing once.

    Columns are float64 [n]. ``series`` names what the rolling primitives take.
    """

    def __init__(self, open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> None:
        self.open = open_
        self.high = high
        self.low = low
        self.close = close
        self.volume = volume
        self._memo: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.close)

    def memo(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, remembered under ``key`` for the life of these bars."""
        if key not in self._memo:
            self._memo[key] = make()
        found: T = self._memo[key]
        return found

    def series(self, name: str) -> Floats:
        """A named series of :data:`SERIES`, float64 [n]."""
        return self.memo(name, lambda: SERIES[name](self))

    def change(self, name: str, bars: int) -> Floats:
        """``x[i] - x[i - bars]`` of a series."""
        return self.memo(("change", name, bars), lambda: primitives.lagged_change(self.series(name), bars))

    def rolling_sum(self, name: str, length: int) -> Floats:
        """Sum over the last ``length`` bars."""
        return self.memo(("sum", name, length), lambda: self._rolling_sum(name, length))

    def rolling_mean(self, name: str, length: int) -> Floats:
        """Mean over the last ``length`` bars."""
        return self.memo(("mean", name, length), lambda: self.rolling_sum(name, length) * (1.0 / length))

    def rolling_std(self, name: str, length: int) -> Floats:
        """Population standard deviation over the last ``length`` bars; exactly 0 when all are equal."""
        return self.memo(
            ("std", name, length), lambda: np.sqrt(self._moments(name, length)[1] * (1.0 / length))
        )

    def rolling_max(self, name: str, length: int) -> Floats:
        """Maximum over the last ``length`` bars."""
        return self.memo(("max", name, length), lambda: self._extreme(name, length, np.maximum))

    def rolling_min(self, name: str, length: int) -> Floats:
        """Minimum over the last ``length`` bars."""
        return self.memo(("min", name, length), lambda: self._extreme(name, length, np.minimum))

    def ema(self, name: str, span: int) -> Floats:
        """Exponential moving average with weight 2 / (span + 1)."""
        return self.memo(
            ("ema", name, span), lambda: primitives.smoothed(self.series(name), 2.0 / (span + 1))
        )

    def wilder(self, name: str, length: int) -> Floats:
        """Wilder's smoothing: weight 1 / length."""
        return self.memo(
            ("wilder", name, length), lambda: primitives.smoothed(self.series(name), 1.0 / length)
        )

    def _power(self, name: str, length: int, combine: np.ufunc) -> Floats:
        """Window of ``length`` = 2^k bars, from the one of half that length."""
        if length == 1:
            return self.series(name)
        half = length // 2
        return self.memo(
            (combine.__name__, name, length),
            lambda: primitives.doubled(self._power(name, half, combine), half, combine),
        )

    def _rolling_sum(self, name: str, length: int) -> Floats:
        powers = _powers_of_two(length)
        total = self._power(name, powers[0], np.add)
        covered = powers[0]
        for power in powers[1:]:
            older = self._power(name, power, np.add)
            joined = total.copy() if covered == powers[0] else total
            joined[covered:] += older[: max(len(older) - covered, 0)]
            total = joined
            covered += power
        return total

    def _extreme(self, name: str, length: int, combine: np.ufunc) -> Floats:
        power = _powers_of_two(length)[-1]
        base = self._power(name, power, combine)
        return base if power == length else primitives.doubled(base, length - power, combine)

    def _moments(self, name: str, length: int) -> Moments:
        powers = _powers_of_two(length)
        moments = self._power_moments(name, powers[0])
        covered = powers[0]
        for power in powers[1:]:
            moments = primitives.merged_moments(moments, covered, self._power_moments(name, power), power)
            covered += power
        return moments

    def _power_moments(self, name: str, length: int) -> Moments:
        if length == 1:
            return self.series(name), np.zeros(len(self))
        half = length // 2
        return self.memo(
            ("moments", name, length),
            lambda: primitives.doubled_moments(self._power_moments(name, half), half),
        )


def _powers_of_two(length: int) -> list[int]:
    """The powers of two that sum to ``length``, ascending."""
    return [1 << bit for bit in range(length.bit_length()) if length >> bit & 1]


class Window(Bars):
    """Consecutive one-minute bars of one coin, with the closes of its peers on the same rows."""

    def __init__(self, candles: Candles, peers: Mapping[str, Floats]) -> None:
        super().__init__(candles.open, candles.high, candles.low, candles.close, candles.volume)
        self.minute: Ints = candles.minute
        self._peers = peers

    @cached_property
    def minute_of_day(self) -> Ints:
        """Minutes since UTC midnight, int64 [n]."""
        return self.minute % 1440

    @cached_property
    def day_of_week(self) -> Ints:
        """0 is Monday, 6 is Sunday (UTC), int64 [n]. Day 0 of 1970 was a Thursday."""
        return (self.minute // 1440 + 3) % 7

    def peer_log_close(self, peer: str) -> Floats:
        """Natural logarithm of another coin's close, float64 [n]."""
        return self.memo(("peer", peer), lambda: np.log(self._peers[peer]))

    def timeframe(self, minutes: int) -> Bars:
        """The complete bars of ``minutes`` minutes, aligned to UTC: a bar the window cuts is left out."""
        return self.memo(("timeframe", minutes), lambda: self._resampled(minutes))

    def expand(self, bar_values: Floats, minutes: int) -> Floats:
        """At each minute the value of the last bar of ``minutes`` minutes that is complete by its close."""
        return primitives.expanded(bar_values, minutes, self._first_row(minutes), len(self))

    def _first_row(self, minutes: int) -> int:
        return int(-self.minute[0] % minutes)

    def _resampled(self, minutes: int) -> Bars:
        first = self._first_row(minutes)
        count = max(len(self) - first, 0) // minutes
        rows = slice(first, first + count * minutes)

        def split(column: Floats) -> Floats:
            return column[rows].reshape(count, minutes)

        return Bars(
            split(self.open)[:, 0].copy(),
            split(self.high).max(axis=1),
            split(self.low).min(axis=1),
            split(self.close)[:, -1].copy(),
            split(self.volume).sum(axis=1),
        )


def _true_range(bars: Bars) -> Floats:
    """Max of high - low, |high - previous close|, |low - previous close|. Source: Wilder (1978)."""
    previous = primitives.shifted(bars.series("close"), 1)
    return np.maximum(bars.high, previous) - np.minimum(bars.low, previous)


def _abdi_ranaldo(bars: Bars) -> Floats:
    """Two-bar relative spread, sqrt(max(4 (c[i-1] - m[i-1]) (c[i-1] - m[i]), 0)), m the log mid-range.

    Source: Abdi and Ranaldo (2017), "A Simple Estimation of Bid-Ask Spreads from Daily Close, High, and
    Low Prices", two-day-corrected version; known at bar i.
    """
    middle = 0.5 * (np.log(bars.high) + np.log(bars.low))
    close = primitives.shifted(bars.series("log_close"), 1)
    product = 4.0 * (close - primitives.shifted(middle, 1)) * (close - middle)
    return np.sqrt(np.maximum(product, 0.0))


SERIES: Final[Mapping[str, Callable[[Bars], Floats]]] = {
    "close": lambda bars: bars.close,
    "high": lambda bars: bars.high,
    "low": lambda bars: bars.low,
    "volume": lambda bars: bars.volume,
    "log_close": lambda bars: np.log(bars.close),
    "log_return": lambda bars: bars.change("log_close", 1),
    "squared_return": lambda bars: np.square(bars.series("log_return")),
    "true_range": _true_range,
    "gain": lambda bars: np.maximum(bars.change("close", 1), 0.0),
    "loss": lambda bars: np.maximum(-bars.change("close", 1), 0.0),
    "macd": lambda bars: bars.ema("close", 12) - bars.ema("close", 26),
    "signed_volume": lambda bars: np.sign(bars.change("close", 1)) * bars.volume,
    "abdi_ranaldo": _abdi_ranaldo,
}
"""Series by name. Prices in quote currency, returns natural logarithms, volume in base currency."""
