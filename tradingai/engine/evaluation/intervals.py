"""Intervals that respect what makes market minutes dependent: Student t on one-day block sums.

Neighbouring bars share most of their label window, and whole hours share a regime, so bars are no
independent trials. Days nearly are. The estimator is the ratio Σ value ÷ Σ bars over UTC days; its
variance is the linearised one of survey sampling (Cochran, *Sampling Techniques*, 1977, section 6.3),
which equals the variance of the mean of day means when every day holds the same number of bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from tradingai.engine.core.report import Interval
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_BLOCKS: Final = 15
"""Fewer days than this give no interval."""
ACCURACY_ALPHA: Final = 0.05
DAY_US: Final = DAY_MINUTES * MINUTE_US


def attempt_alpha(attempt: int) -> float:
    """α of attempt k ≥ 1: 0.05·6/(π²k²), which sums to 0.05 over all attempts there can ever be."""
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    return 0.05 * 6.0 / (math.pi**2 * attempt**2)


@dataclass(frozen=True, slots=True)
class DayBlocks:
    """Which UTC day each of n bars belongs to. ``day`` counts 0, 1, … over the days that occur."""

    day: Ints
    """int64 [n]"""
    bars: Floats
    """Bars per day, float64 [D]"""
    first_us: Ints
    """Midnight of each day, microseconds, int64 [D]"""

    def __len__(self) -> int:
        return len(self.bars)

    def sums(self, values: npt.NDArray[np.float64] | npt.NDArray[np.bool_]) -> Floats:
        """Σ values per day; values [n] to float64 [D]."""
        weights = values.astype(np.float64)
        return np.bincount(self.day, weights=weights, minlength=len(self)).astype(np.float64)


def day_blocks(ts: Ints, block_us: int = DAY_US) -> DayBlocks:
    """Blocks of ``block_us`` (a UTC day) for bars with open times ``ts`` in microseconds, int64 [n]."""
    ids, day = np.unique(ts // block_us, return_inverse=True)
    bars = np.bincount(day, minlength=len(ids)).astype(np.float64)
    return DayBlocks(day.astype(np.int64), bars, ids.astype(np.int64) * block_us)


def ratio_interval(sums: Floats, bars: Floats, alpha: float) -> Interval:
    """The interval of Σ sums ÷ Σ bars from D block sums [D], with D − 1 degrees of freedom.

    Without enough blocks the bounds are None and the reason says how many there are.
    """
    blocks = len(bars)
    if blocks < MIN_BLOCKS:
        reason = f"{blocks} test days are too few for an interval; {MIN_BLOCKS} are needed"
        return Interval(None, None, alpha, blocks, reason)
    mean = float(sums.sum() / bars.sum())
    residuals = (sums - mean * bars) / bars.mean()
    error = math.sqrt(float(residuals @ residuals) / (blocks * (blocks - 1)))
    half = float(student_t.ppf(1.0 - alpha / 2.0, blocks - 1)) * error
    return Interval(mean - half, mean + half, alpha, blocks)
