"""What the clock decides: volatility, volume and cycle amplitude by session and on weekends.

Sessions: Tokyo 00-08, London 08-16, New York 16-24 UTC, with half-cosine ramps of one hour around each
change.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import DAY_MINUTES

Floats = npt.NDArray[np.float64]

_RAMP_MINUTES: Final = 60
_SESSION_MINUTES: Final = 480
_WEEKEND: Final = (5, 6)
"""Saturday and Sunday, Monday being 0."""

VOLATILITY: Final = (0.85, 1.0, 1.13)
"""Tokyo, London, New York."""
VOLUME: Final = (0.8, 1.0, 1.25)
AMPLITUDE: Final = (0.85, 1.0, 1.13)
WEEKEND_VOLATILITY: Final = 0.7
WEEKEND_VOLUME: Final = 0.6


def weekday(day: int) -> int:
    """0 for Monday … 6 for Sunday; ``day`` counts from 1970-01-01, a Thursday."""
    return (day + 3) % 7


def _smooth_day(levels: tuple[float, float, float]) -> Floats:
    """The three levels over one day [1440], smoothed periodically at each change, midnight included."""
    steps = np.repeat(np.asarray(levels), _SESSION_MINUTES)
    kernel = 1.0 + np.cos(np.pi * (np.arange(_RAMP_MINUTES) + 0.5 - _RAMP_MINUTES / 2) / (_RAMP_MINUTES / 2))
    half = _RAMP_MINUTES // 2
    padded = np.concatenate([steps[-half:], steps, steps[:half]])
    smooth: Floats = np.convolve(padded, kernel / kernel.sum(), mode="valid")[:DAY_MINUTES]
    return smooth


def _week(levels: tuple[float, float, float], weekend: float) -> Floats:
    """Level by weekday and minute of day [7, 1440], mean square 1 over the week."""
    days = np.stack([_smooth_day(levels) * (weekend if day in _WEEKEND else 1.0) for day in range(7)])
    scaled: Floats = days / np.sqrt(np.mean(days**2))
    return scaled


@lru_cache(maxsize=1)
def volatility_week() -> Floats:
    """Relative volatility by weekday and minute of day, [7, 1440], mean square 1."""
    return _week(VOLATILITY, WEEKEND_VOLATILITY)


@lru_cache(maxsize=1)
def volume_week() -> Floats:
    """Relative volume by weekday and minute, beyond what volatility brings: [7, 1440], mean square 1."""
    return _week(VOLUME, WEEKEND_VOLUME)


@lru_cache(maxsize=1)
def amplitude_day() -> Floats:
    """Relative cycle amplitude by minute of day, [1440], mean square 1."""
    day = _smooth_day(AMPLITUDE)
    scaled: Floats = day / np.sqrt(np.mean(day**2))
    return scaled


def by_day(week: Floats, first_day: int, days: int) -> Floats:
    """Rows of a [7, 1440] profile for consecutive days, [days, 1440]."""
    return week[(np.arange(first_day, first_day + days) + 3) % 7]
