"""What runs beside the scan loop: an outbox a sink, supervised companions, the daily summary.

None of it can delay or end a scan: whatever fails is told as an event and started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

from tradingai.engine.alerts.outbox import Outbox
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import TelegramFailed
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.database import Store

LAST_WORDS_S: Final = 5.0
"""How long the end of the engine waits for alerts that can still be sent, beyond the attempt under way."""
LONGEST_PAUSE_S: Final = 30.0
_SUMMARY_LOOK_S: Final = 60.0


class Companion(Protocol):
    """Something that runs until it is cancelled."""

    @property
    def name(self) -> str:
        """What an operator calls it."""
        ...

    async def run(self) -> None:
        """Run. What it raises is told and it is run again; the texts hold no secret."""
        ...


@asynccontextmanager
async def alerting(
    store: Store,
    clock: Clock,
    settings: Settings,
    outboxes: Sequence[Outbox],
    companions: Sequence[Companion],
    *,
    channel: str,
    run_id: str,
) -> AsyncIterator[None]:
    """Empty the outboxes and run the companions until the block ends; then send what can be sent at once.

    ``channel`` is the one whose deliveries the daily summary counts. Raises StoreError when an outbox cannot
    be opened.
    """
    for outbox in outboxes:
        await outbox.open()
    emptying = [asyncio.create_task(outbox.run(), name="outbox") for outbox in outboxes]
    others = [asyncio.create_task(supervise(store, clock, one), name=one.name) for one in companions]
    others.append(asyncio.create_task(_summaries(store, clock, settings, channel, run_id), name="summaries"))
    try:
        yield
    finally:
        await _cancel(others)
        for outbox, task in zip(outboxes, emptying, strict=True):
            await _end(outbox, task, clock)


async def _end(outbox: Outbox, task: asyncio.Task[None], clock: Clock) -> None:
    """Stop between two attempts, never within one: what was cut off would have to be repeated."""
    outbox.ending = True
    if not outbox.sending:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await outbox.drain(until=clock.monotonic() + LAST_WORDS_S)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def supervise(store: Store, clock: Clock, companion: Companion) -> None:
    """Run it again whenever it ends, after pauses that double; the same failure is told once."""
    told, pause_s = "", 1.0
    while True:
        began = clock.monotonic()
        try:
            await companion.run()
            reason = "it ended by itself"
        except Exception as error:  # noqa: BLE001 - the companion's boundary: the scan loop goes on without it
            reason = f"{type(error).__name__}: {error}"
        if clock.monotonic() - began > LONGEST_PAUSE_S:
            told, pause_s = "", 1.0
        if reason != told:
            with suppress(StoreError):
                await store.events.append(
                    TelegramFailed(what=companion.name, reason=reason, retry_in_s=pause_s)
                )
            told = reason
        await clock.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


async def _summaries(store: Store, clock: Clock, settings: Settings, channel: str, run_id: str) -> None:
    """Once a day, from TELEGRAM_SUMMARY_HOUR on."""
    done = ""
    while True:
        now = clock.now()
        day = now.date().isoformat()
        if now.hour >= settings.telegram_summary_hour and day != done:
            with suppress(StoreError):  # it is tried again a minute later
                await store.bot.summarise(channel, run_id)
                done = day
        await clock.sleep(_SUMMARY_LOOK_S)
