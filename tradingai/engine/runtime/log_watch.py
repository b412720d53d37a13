"""That a process's log lost lines, told in the event log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.logs.rotating import Losses
from tradingai.engine.store.database import Store

LOOK_S: Final = 1.0
"""Between two looks at what was lost."""


@asynccontextmanager
async def telling_losses(store: Store, clock: Clock, losses: Losses) -> AsyncIterator[None]:
    """Tell losses as events until the block ends; what the store does not take is told later."""
    task = asyncio.create_task(_go_on(store, clock, losses), name="losses of the log")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tell_losses(store, losses)


async def tell_losses(store: Store, losses: Losses) -> None:
    """Append what there is to tell."""
    news = losses.news()
    if news:
        with suppress(StoreError):  # it is tried again at the next look
            await store.events.append(*news)
            losses.told(len(news))


async def _go_on(store: Store, clock: Clock, losses: Losses) -> None:
    while True:
        await tell_losses(store, losses)
        await clock.sleep(LOOK_S)
