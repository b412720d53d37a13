"""Causal array primitives, float64 [n] in and out.

Every rolling value at row i is put together from the rows of its own window only, always in the same
order, so that it does not depend on where the array starts: a block of a batch, a live tail and a prefix
give the same bits. Rows before a window is full hold the value of the rows there are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.core.candles import Floats

FORGOTTEN: Final = 1e-16
"""Share of a value below which a moving average does not know it any more."""

Moments = tuple[Floats, Floats]
"""Sum and sum of squared deviations from the mean over one window length."""


def lagged_change(values: Floats, bars: int) -> Floats:
    """``values[i] - values[i - bars]``; 0 for the first ``bars`` rows."""
    out = np.zeros_like(values)
    np.subtract(values[bars:], values[: max(len(values) - bars, 0)], out=out[bars:])
    return out


def shifted(values: Floats, bars: int) -> Floats:
    """``values[i - bars]``; the first value for the first ``bars`` rows."""
    out = np.empty_like(values)
    out[bars:] = values[: max(len(values) - bars, 0)]
    out[:bars] = values[0]
    return out


def ratio(numerator: Floats, denominator: Floats, undefined: float) -> Floats:
    """``numerator / denominator``, and ``undefined`` where the denominator is 0."""
    out = np.full_like(numerator, undefined)
    np.divide(numerator, denominator, out=out, where=denominator != 0.0)
    return out


def doubled(values: Floats, length: int, combine: np.ufunc) -> Floats:
    """Windows of ``2 * length`` from windows of ``length``: ``combine(values[i], values[i - length])``."""
    out = values.copy()
    combine(values[length:], values[: max(len(values) - length, 0)], out=out[length:])
    return out


def doubled_moments(moments: Moments, length: int) -> Moments:
    """Sum and squared deviations over ``2 * length`` rows from those over ``length``.

    Source: Chan, Golub, LeVeque (1983), pairwise update. All terms are >= 0, so nothing cancels, and a
    window of equal values has a deviation of exactly 0.
    """
    total, deviation = moments
    earlier = max(len(total) - length, 0)
    out_total, out_deviation = total.copy(), deviation.copy()
    np.add(total[length:], total[:earlier], out=out_total[length:])
    between = total[length:] - total[:earlier]
    between *= between
    between *= 0.5 / length
    between += deviation[length:]
    np.add(between, deviation[:earlier], out=out_deviation[length:])
    return out_total, out_deviation


def merged_moments(recent: Moments, recent_length: int, older: Moments, older_length: int) -> Moments:
    """Moments of ``recent_length + older_length`` rows: the older window ends where the recent one starts."""
    total, deviation = recent[0].copy(), recent[1].copy()
    earlier = max(len(total) - recent_length, 0)
    between = recent[0][recent_length:] * (1.0 / recent_length)
    between -= older[0][:earlier] * (1.0 / older_length)
    between *= between
    between *= recent_length * older_length / (recent_length + older_length)
    between += older[1][:earlier]
    deviation[recent_length:] += between
    total[recent_length:] += older[0][:earlier]
    return total, deviation


def memory(weight: float) -> int:
    """Bars after which a first-order recursion has forgotten a value: its share is below 1e-16.

    The smallest such power of two, for example 512 for Wilder's 1/14.
    """
    length = 1
    while (1.0 - weight) ** length >= FORGOTTEN:
        length *= 2
    return length


def smoothed(values: Floats, weight: float) -> Floats:
    """First-order recursion ``y[i] = y[i-1] + weight * (values[i] - y[i-1])``, started at ``values[0]``.

    ``weight`` is 2 / (span + 1) for an exponential moving average and 1 / n for Wilder's smoothing. It is
    the weighted sum over the last :func:`memory` rows, doubled up like the rolling sums: what the
    recursion would add from before is below the last bit.
    """
    out = values * weight
    other = np.empty_like(out)
    length = 1
    while length < memory(weight):
        earlier = out[: max(len(out) - length, 0)]
        np.multiply(earlier, (1.0 - weight) ** length, out=other[length:])
        other[length:] += out[length:]
        other[:length] = out[:length]
        out, other = other, out
        length *= 2
    start = out[:length]
    start += values[:1] * (1.0 - weight) ** np.arange(1, len(start) + 1)
    return out


def trailing_rank(values: Floats, step: int, count: int, tolerance: float = 1e-9) -> Floats:
    """Share of the values at ``step, 2*step … count*step`` rows back that are lower than the current one.

    In [0, 1]; equal values (to a relative ``tolerance``) count one half. ``count`` <= 127.
    """
    below = values * (1.0 - tolerance)
    above = values * (1.0 + tolerance)
    lower = np.zeros(len(values), dtype=np.int8)
    not_higher = np.zeros(len(values), dtype=np.int8)
    for lag in range(step, step * count + 1, step):
        past = values[: max(len(values) - lag, 0)]
        lower[lag:] += (past < below[lag:]).view(np.int8)
        not_higher[lag:] += (past <= above[lag:]).view(np.int8)
    out: Floats = lower.astype(np.float64)
    out += not_higher
    out *= 0.5 / count
    return out


def expanded(bar_values: Floats, bars: int, first: int, rows: int) -> Floats:
    """Bar j's value from the row in which it is complete until the next one is.

    Bar j covers rows ``first + j*bars … first + (j+1)*bars - 1``. Rows before the first complete bar
    hold 0. Returns float64 [rows].
    """
    out = np.zeros(rows)
    start = first + bars - 1
    repeated = np.repeat(bar_values, bars)[: max(rows - start, 0)]
    out[start : start + len(repeated)] = repeated
    return out


def as_flag(condition: NDArray[np.bool_]) -> Floats:
    """1.0 where true, 0.0 where not."""
    return condition.astype(np.float64)
