"""From closes to bars: an intrabar path for high and low, and volume that goes with volatility."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import DAY_MINUTES
from tradingai.engine.providers.synthetic.profiles import by_day, volume_week
from tradingai.engine.providers.synthetic.streams import Stream

Floats = npt.NDArray[np.float64]

_VOLUME_NOISE: Final = 0.5
"""Standard deviation of the log of volume beyond session, volatility and move."""


def price_extremes(change: Floats, volatility: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """(highest, lowest) log price of each minute relative to its open, each like ``change``.

    The path goes from 0 to ``change`` as a Brownian bridge of the minute's ``volatility``: its midpoint is
    drawn (``draws[0]`` standard normal), then the extremes of both halves from their exact law, with
    ``draws[1:5]`` standard exponential: max = (b + sqrt(b² + 2 s² E)) / 2 for a bridge to b of variance s²
    (Karatzas and Shreve, Brownian Motion and Stochastic Calculus, 4.3.40).
    """
    middle = 0.5 * (change + volatility * draws[0])
    rest = change - middle
    variance = volatility * volatility
    first_square, rest_square = middle * middle, rest * rest
    high = np.maximum(
        0.5 * (middle + np.sqrt(first_square + variance * draws[1])),
        middle + 0.5 * (rest + np.sqrt(rest_square + variance * draws[2])),
    )
    low = np.minimum(
        0.5 * (middle - np.sqrt(first_square + variance * draws[3])),
        middle + 0.5 * (rest - np.sqrt(rest_square + variance * draws[4])),
    )
    return high, low


def volumes(typical: float, minute_volatility: float, change: Floats, volatility: Floats, noise: Floats,
            first_day: int) -> Floats:  # fmt: skip
    """Volume in coins of each minute [days, 1440].

    Proportional to the session's level and to volatility relative to ``minute_volatility``, more on a
    large move of either sign, times lognormal ``noise`` (standard normals).
    """
    days = change.shape[0]
    spread = np.exp(_VOLUME_NOISE * noise)
    move = 0.6 + 0.5 * np.minimum(np.abs(change) / volatility, 6.0)
    level = by_day(volume_week(), first_day, days) * (typical / minute_volatility)
    result: Floats = spread * move * level * volatility
    return result


def bar_draws(stream: Stream, first_day: int, days: int) -> Floats:
    """Draws for extremes and volume, [6, days, 1440]: midpoint, volume noise, then four exponentials."""
    draws: Floats = stream.minutes(first_day, days, normals=2, exponentials=4)
    return draws


MINUTES_A_YEAR: Final = 365 * DAY_MINUTES
