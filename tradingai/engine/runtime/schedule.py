"""When scans are due: multiples of the interval on the wall clock, whatever that clock does."""

from __future__ import annotations

from typing import Final, NamedTuple

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import Clock

JUMP_S: Final = 5.0
"""A wall clock that moved this much more or less than time passed was set."""
_SECOND_US: Final = 1_000_000


class Due(NamedTuple):
    """A scan whose time has come. All times in microseconds since 1970 UTC."""

    due_us: int
    now_us: int
    missed: int
    """Scans before this one whose time passed while nothing could be scanned."""
    first_missed_us: int

    @property
    def late_s(self) -> float:
        """Seconds since it was due."""
        return (self.now_us - self.due_us) / _SECOND_US


class Schedule:
    """Aligned to the clock: an interval of 120 s scans at 12:00:00, 12:02:00, …"""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock = clock
        self._interval_us = round(interval_s * _SECOND_US)
        self._seen = self._read()
        self._next_us = next_due(self._seen[0], self._interval_us)

    @property
    def next_us(self) -> int:
        """When the next scan is due."""
        return self._next_us

    def jumped(self) -> float:
        """Seconds the wall clock was set forward (positive) or back since the last call, 0 when it was not.

        After a jump back the next scan is due at the next multiple by the new time.
        """
        before, self._seen = self._seen, self._read()
        wall_s = (self._seen[0] - before[0]) / _SECOND_US
        jump = wall_s - (self._seen[1] - before[1])
        if abs(jump) < JUMP_S:
            return 0.0
        if jump < 0:
            self._next_us = next_due(self._seen[0], self._interval_us)
        return jump

    def remaining_s(self) -> float:
        """Seconds until the next scan is due, 0 when it is."""
        return max(0.0, (self._next_us - self._read()[0]) / _SECOND_US)

    def take(self) -> Due:
        """The scan that is due now, the newest one when several are; the next is one interval later."""
        now = self._read()[0]
        missed = max(0, (now - self._next_us) // self._interval_us)
        first, due = self._next_us, self._next_us + missed * self._interval_us
        self._next_us = due + self._interval_us
        return Due(due, now, missed, first)

    def _read(self) -> tuple[int, float]:
        return datetime_to_us(self._clock.now()), self._clock.monotonic()


def next_due(after_us: int, interval_us: int) -> int:
    """The first multiple of the interval after a time."""
    return (after_us // interval_us + 1) * interval_us
