"""The pace of a replay: when each of its scans is due in real time, and how often what it did is stored."""

from __future__ import annotations

import math
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.runtime.stored_scans import Unstored

STORE_EVERY_S: Final = 0.5
"""A decided scan waits no longer than this to be seen by others, in real time."""
STOP_CHECK_S: Final = 0.25
"""How often a replay that waits for its next scan looks whether it should stop."""


def check_speed(speed: float | None) -> None:
    """Raise UsageError for a speed that is no positive number; None is as fast as it goes."""
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise UsageError(
            f"a replay cannot run at a speed of {speed:g}",
            remedy="Give simulated seconds per real one, for example 600.",
        )


class Pace:
    """As fast as it goes, or ``speed`` simulated seconds in a real one.

    Every scan is due at a moment planned from the start, so that what one of them takes delays no other: a
    replay that fell behind catches up.
    """

    def __init__(self, clock: Clock, interval_s: int, speed: float | None) -> None:
        """Scans are ``interval_s`` simulated seconds apart, the first is due now. Raises UsageError."""
        check_speed(speed)
        self._clock = clock
        self._gap_s = None if speed is None else interval_s / speed
        self._begun = clock.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Real time since the first scan was due."""
        return self._clock.monotonic() - self._begun

    def until(self, number: int) -> float:
        """Seconds until scan ``number`` (from 1) is due, 0 when it is late or nothing has to wait."""
        if self._gap_s is None:
            return 0.0
        return max(0.0, self._begun + (number - 1) * self._gap_s - self._clock.monotonic())

    def must_store(self, number: int, unstored: Unstored) -> bool:
        """Whether scans up to ``number`` have to be stored before the next one is waited for."""
        if self._gap_s is None or not unstored:
            return False
        return unstored.age_s + self.until(number + 1) >= STORE_EVERY_S

    def eta_s(self, number: int, scans: int) -> float:
        """Seconds from scan ``number`` to the last of ``scans``: as planned, or at the rate so far."""
        if self._gap_s is not None:
            return self.until(scans)
        return (scans - number) * self.elapsed_s / max(number, 1)

    async def reach(self, number: int, unstored: Unstored, reporter: Reporter) -> None:
        """Wait until scan ``number`` is due. Raises InterruptedRunError, only while nothing is unstored."""
        while (left_s := self.until(number)) > 0:
            await self._clock.sleep(min(left_s, STOP_CHECK_S))
            if not unstored:
                reporter.safe_point()
