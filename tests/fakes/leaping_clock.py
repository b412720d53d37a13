"""A clock on which waiting takes no time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class LeapingClock:
    """Whoever sleeps moves it on at once; ``slept`` is what was slept in all, in seconds."""

    def __init__(self, start: datetime = datetime(2025, 11, 10, 1, 0, tzinfo=UTC)) -> None:
        self._start = start
        self.slept = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.slept)

    def monotonic(self) -> float:
        return 1000.0 + self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += max(0.0, seconds)
        await asyncio.sleep(0)
