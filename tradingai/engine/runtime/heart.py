"""Heartbeats: that the engine lives, by a clock that nobody can set."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.runtime.live_run import MODE
from tradingai.engine.runtime.runs import Run
from tradingai.engine.runtime.scan_lines import log_heartbeat
from tradingai.engine.store.database import Store
from tradingai.engine.store.live_rows import EngineState, Heartbeat

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Names this start of the machine; monotonic times of one start can be compared. Empty where unknown."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Heart:
    """Writes one engine's heartbeats."""

    def __init__(
        self, store: Store, run: Run, clock: Clock, *, engine: str, interval_s: float, every_s: float
    ) -> None:
        """``interval_s`` is between scans, ``every_s`` between heartbeats."""
        self._store = store
        self._run = run
        self._clock = clock
        self._engine = engine
        self._interval_s = interval_s
        self._every_s = every_s
        self._boot_id = boot_id()

    async def beat(self, state: EngineState, next_due: datetime | None = None) -> None:
        """Write one heartbeat. Raises StoreError."""
        beat = Heartbeat(
            run_id=self._run.run_id,
            engine=self._engine,
            boot_id=self._boot_id,
            pid=os.getpid(),
            at=self._clock.now(),
            monotonic_s=self._clock.monotonic(),
            interval_s=self._interval_s,
            scans=self._run.scans,
            next_due=next_due,
            state=state,
        )
        await self._store.live.beat(beat)
        log_heartbeat(beat, MODE)

    @asynccontextmanager
    async def beating(self, next_due: Callable[[], datetime]) -> AsyncIterator[None]:
        """Beat until the block ends, and say at its good end that the engine stopped.

        A heartbeat that cannot be written is missing: that is what an observer measures.
        """
        await self.beat("started", next_due())
        task = asyncio.create_task(self._go_on(next_due))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with suppress(StoreError):
            await self.beat("stopped")

    async def _go_on(self, next_due: Callable[[], datetime]) -> None:
        while True:
            await self._clock.sleep(self._every_s)
            with suppress(StoreError):
                await self.beat("scanning", next_due())
