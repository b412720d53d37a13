"""What bootstrap makes of the settings: one client, its sink and its bot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.database import Store
from tradingai.telegram.bot import TelegramBot
from tradingai.telegram.client import SEND_TIMEOUT_S, Client
from tradingai.telegram.desk import HomeDesk
from tradingai.telegram.sink import TelegramSink


class Telegram(NamedTuple):
    """Both ends of the bot."""

    sink: TelegramSink
    bot: TelegramBot
    close: Callable[[], Awaitable[None]]


def open_telegram(
    store: Store,
    paths: HomePaths,
    settings: Settings,
    clock: Clock,
    mode: str,
    *,
    timeout_s: float = SEND_TIMEOUT_S,
) -> Telegram:
    """Make them; nothing is sent yet.

    Raises MissingError without a token, RuntimeError for a proxy that httpx cannot use.
    """
    client = Client(settings, timeout_s=timeout_s)
    desk = HomeDesk(store, paths, settings, clock)
    bot = TelegramBot(client, desk, store, settings, clock, mode)
    return Telegram(TelegramSink(client), bot, client.close)
