"""How long a network remembers: measured, so that a cold start is as good as the carried state."""

from __future__ import annotations

from typing import Final

import numpy as np

from tradingai.engine.core.errors import DataError
from tradingai.engine.features.side_by_side import Matrix
from tradingai.engine.models.artifact import Warmup
from tradingai.engine.models.calibration import sigmoid
from tradingai.engine.models.predict import Predictor

LONGEST: Final = 1440
"""No warm-up is longer than this many bars: what a live tail has to hold."""
TOLERANCE: Final = 1e-6
STARTS: Final = 1024
MIN_ROWS: Final = 120
_MARGIN: Final = 2
"""Rare bars hold the state longer than any of those measured: seen so far, half as long again."""
_ROUNDED_TO: Final = 30


def measure_warmup(
    predictor: Predictor, values: Matrix, lo: int, hi: int, first: int = 0, longest: int = LONGEST
) -> Warmup:
    """Compare cold starts with the carried state on real rows [lo, hi).

    Up to 1,024 evenly spaced starts run for ``longest`` bars each (half the range when that is shorter)
    beside one lane that started as many bars before ``lo``, or at ``first``. A start has caught up at the bar
    from which on uncalibrated P(up) of every coin stays within 1e-6. The warm-up is twice that of the slowest
    start, in half hours, at most 1,440 bars; it ``agrees`` unless some start never caught up.
    Raises DataError for fewer than 120 rows and for features that are not finite.
    """
    if hi - lo < MIN_ROWS:
        raise DataError(f"{hi - lo} rows are too few to measure a warm-up: it takes {MIN_ROWS}")
    bars = min(longest, (hi - lo) // 2)
    carried = sigmoid(predictor.stream_all(values, lo, hi, min(longest, lo - first)))
    starts = np.unique(np.linspace(0, hi - lo - bars, STARTS).astype(np.int64))
    cold = sigmoid(predictor.cold_starts(values, lo + starts, bars))
    apart = np.abs(cold - carried[starts[:, None] + np.arange(bars)]).max(axis=(0, 2))
    beyond = np.flatnonzero(apart > TOLERANCE)
    measured = int(beyond[-1]) + 1 if len(beyond) else 0
    padded = -(-measured * _MARGIN // _ROUNDED_TO) * _ROUNDED_TO
    agrees = measured < bars
    warmup = min(max(padded, _ROUNDED_TO), LONGEST) if agrees else LONGEST
    return Warmup(
        bars=warmup,
        measured=measured,
        agrees=agrees,
        difference=float(apart[min(warmup, bars - 1) :].max()),
        tolerance=TOLERANCE,
        starts=len(starts),
    )
