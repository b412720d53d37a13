"""The real bot over an isolated home, asked by a rehearsed user on a loopback Bot API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from pydantic import SecretStr

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.runtime.live_run import MODE
from tradingai.engine.store.database import Store
from tradingai.rehearsals.bot_api import CHAT, TOKEN, BotApi, bot_api
from tradingai.telegram.service import open_telegram

PATIENCE_S: Final = 15.0
"""An answer that takes longer is taken for none."""


class Answer(NamedTuple):
    """What the bot said, and how long it took from the moment the server had the question."""

    text: str
    seconds: float


class Chat:
    """A conversation with the bot."""

    def __init__(self, api: BotApi) -> None:
        self._api = api

    async def ask(self, text: str) -> Answer | None:
        """Send one message; None when no answer came within PATIENCE_S."""
        asked, before = self._api.say(text)
        found = await asyncio.to_thread(self._api.answer_after, before, PATIENCE_S)
        return None if found is None else Answer(found[0], found[1] - asked)

    @property
    def odd(self) -> list[str]:
        """Requests that the bot should not make."""
        return self._api.odd


@asynccontextmanager
async def rehearsed_chat(
    store: Store, paths: HomePaths, settings: Settings, clock: Clock
) -> AsyncIterator[Chat]:
    """The bot of the product, polling a server on this machine, as long as the block lasts."""
    with bot_api(clock) as api:
        mine = settings.model_copy(
            update={
                "telegram_token": SecretStr(TOKEN),
                "telegram_chat_id": CHAT,
                "telegram_api_url": api.url,
                "proxy_url": None,
            }
        )
        telegram = open_telegram(store, paths, mine, clock, MODE)
        running = asyncio.create_task(telegram.bot.run(), name="rehearsed bot")
        try:
            yield Chat(api)
            if running.done():
                raise TradingAIError(f"the bot ended by itself: {running.exception()}")
        finally:
            api.end()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await telegram.close()
