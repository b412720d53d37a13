"""Time is injected: this module is the only one that reads the wall clock or sleeps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux: a clock nobody can set, which goes on while the machine is suspended. CLOCK_MONOTONIC stands still
there meanwhile; elsewhere it is the one that goes on."""


class Clock(Protocol):
    """Wall time in UTC, a monotonic counter in seconds, and sleep."""

    def now(self) -> datetime:
        """The current time, timezone-aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; time in which the machine was suspended is among them."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed on this clock."""
        ...


class RealClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current time, UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes backwards."""
        return time.clock_gettime(_ELAPSED)

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 - the one place that sleeps


class SimulatedClock:
    """A clock that moves only when told to, or as far as the next sleeper needs.

    ``advance`` wakes every sleeper whose time has come, in order of their wake-up times.
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"a simulated clock starts at an aware time, not {start!r}")
        self._now = start.astimezone(UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The simulated time, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Simulated seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced past the wake-up time."""
        if seconds <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time forward by ``seconds`` (>= 0) and wake whoever slept until then."""
        if seconds < 0:
            raise ValueError(f"time cannot be advanced by {seconds} s")
        self._elapsed += seconds
        self._now += timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def set_wall(self, moment: datetime) -> None:
        """Set the wall clock without moving monotonic time, as an NTP step does."""
        self._now = moment.astimezone(UTC)


class SteppingClock(SimulatedClock):
    """A simulated clock that jumps as far as whoever sleeps wants to: for a loop that has it to itself."""

    async def sleep(self, seconds: float) -> None:
        """Move time forward by ``seconds`` and give other tasks a turn."""
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)  # noqa: TID251 - a turn for others, no waiting
