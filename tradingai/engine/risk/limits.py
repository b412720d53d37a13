"""Rate limits over a rolling window: so many signals in all, so many of the high tier."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import NamedTuple

from tradingai.engine.core.symbols import MINUTE_US


@dataclass(frozen=True, slots=True)
class RateLimits:
    """At most ``total`` signals, ``high`` of them high-tier, in any ``window_minutes``."""

    total: int = 10
    high: int = 5
    window_minutes: int = 60

    def __post_init__(self) -> None:
        if min(self.total, self.high, self.window_minutes) < 1:
            raise ValueError(f"rate limits are at least 1: {self}")

    @property
    def window_us(self) -> int:
        """The window in microseconds."""
        return self.window_minutes * MINUTE_US


@dataclass(frozen=True, slots=True)
class RateState:
    """The newest emission times, ascending: as many as the limits need, whatever the clock does.

    Nothing is forgotten because it looks old, so a clock that jumps forward and back frees no slot.
    """

    total_us: tuple[int, ...] = ()
    high_us: tuple[int, ...] = ()


class RateUse(NamedTuple):
    """Signals within the window, and when the next slot is free (None: now)."""

    total: int
    high: int
    next_total_us: int | None
    next_high_us: int | None


def rate_use(state: RateState, limits: RateLimits, at_us: int) -> RateUse:
    """What of the limits is used at ``at_us``. A signal exactly one window old no longer counts."""
    total, next_total = _use(state.total_us, limits.total, limits.window_us, at_us)
    high, next_high = _use(state.high_us, limits.high, limits.window_us, at_us)
    return RateUse(total, high, next_total, next_high)


def _use(times: tuple[int, ...], limit: int, window_us: int, at_us: int) -> tuple[int, int | None]:
    used = len(times) - bisect.bisect_right(times, at_us - window_us)
    if used < limit:
        return used, None
    return used, times[len(times) - limit] + window_us


def rate_refusal(state: RateState, limits: RateLimits, at_us: int, *, high: bool) -> str | None:
    """Why no signal may be emitted now, or None."""
    used, free_us = _use(state.total_us, limits.total, limits.window_us, at_us)
    if free_us is not None:
        return f"{used} of {limits.total} signals in {limits.window_minutes} minutes"
    if not high:
        return None
    used, free_us = _use(state.high_us, limits.high, limits.window_us, at_us)
    if free_us is not None:
        return f"{used} of {limits.high} high-tier signals in {limits.window_minutes} minutes"
    return None


def rate_emitted(state: RateState, limits: RateLimits, at_us: int, *, high: bool) -> RateState:
    """Count one signal at ``at_us``."""
    total = _insert(state.total_us, at_us, limits.total)
    return RateState(total, _insert(state.high_us, at_us, limits.high) if high else state.high_us)


def _insert(times: tuple[int, ...], at_us: int, keep: int) -> tuple[int, ...]:
    index = bisect.bisect_right(times, at_us)
    return (*times[:index], at_us, *times[index:])[-keep:]
