"""python-telegram-bot's Bot, and what its exceptions mean for a message: sent, not sent, or nobody knows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from telegram import Bot, Update
from tradingai.engine.alerts.protocols import Outcome
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.logs.redact import Redactor
from tradingai.engine.core.settings import Settings
from tradingai.telegram.redact import guard_logs

SEND_TIMEOUT_S: Final = 10.0
"""For the answer to a message."""
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LONGEST_REASON: Final = 200


class Client:
    """A bot with two connections of its own: one polls, one sends."""

    def __init__(self, settings: Settings, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Raises MissingError without TELEGRAM_TOKEN and TELEGRAM_CHAT_ID."""
        if settings.telegram_token is None or settings.telegram_chat_id is None:
            raise MissingError(
                "TELEGRAM_TOKEN is not set: Telegram is off",
                remedy="Put TELEGRAM_TOKEN and TELEGRAM_CHAT_ID into the home's .env (see docs/telegram.md).",
            )
        token = settings.telegram_token.get_secret_value()
        proxy = settings.proxy_url.get_secret_value() if settings.proxy_url else None
        self.bot_id = int(token.partition(":")[0])
        self.chat_id = settings.telegram_chat_id
        self.redact = Redactor(token)
        guard_logs(self.redact)
        self._requests = tuple(
            HTTPXRequest(
                connection_pool_size=size,
                read_timeout=timeout_s,
                connect_timeout=timeout_s,
                pool_timeout=timeout_s,
                proxy=proxy,
                httpx_kwargs={"trust_env": False},
            )
            for size in (2, 8)
        )
        self.bot = Bot(
            token,
            base_url=f"{settings.telegram_api_url}/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )

    async def updates(self, offset: int, hold_s: int) -> list[Update]:
        """The oldest updates that were not confirmed, held for ``hold_s`` while there are none.

        An update that the library cannot read is passed on with nothing in it: the library would throw away
        all that came with it, and fetch it again for ever. Raises what the library raises.
        """
        try:
            found = await self.bot.get_updates(offset=offset, timeout=hold_s, allowed_updates=["message"])
        except TelegramError:
            raise
        except Exception:  # noqa: BLE001 - whatever reading a strange update raises; each is read by itself then
            raw = await self._requests[0].post(f"{self.bot.base_url}/getUpdates?offset={offset}&timeout=0")
            return [self._read(document) for document in raw] if isinstance(raw, list) else []
        return list(found)

    def _read(self, document: dict[str, Any]) -> Update:
        try:
            return Update.de_json(document, self.bot)
        except Exception:  # noqa: BLE001 - as above
            return Update(int(document["update_id"]))

    async def close(self) -> None:
        """Close the connections."""
        for request in self._requests:
            await request.shutdown()

    def words(self, error: BaseException) -> str:
        """What went wrong in one line, without the token."""
        text = self.redact(str(error)).partition("\n")[0]
        return f"{type(error).__name__}: {text}"[:_LONGEST_REASON].rstrip(": ")

    def outcome(self, error: Exception) -> Outcome:
        """What an exception of ``send_message`` says about the message.

        The library's classes do not tell a request that was never sent from one whose answer was lost; its
        cause does. A BadRequest is a NetworkError there, and nothing to try again.
        """
        reason = self.words(error)
        match error:
            case RetryAfter():
                return Outcome("waiting", reason, seconds_of(error))
            case BadRequest() | Forbidden():
                return Outcome("refused", reason)
            case InvalidToken() | Conflict() | ChatMigrated():
                return Outcome("waiting", reason)
            case NetworkError() if "too many requests" in str(error).lower():
                return Outcome("waiting", reason)
        if isinstance(error.__cause__, _NEVER_SENT):
            return Outcome("waiting", reason)
        return Outcome("unknown", reason)


def seconds_of(error: RetryAfter) -> float:
    """What Telegram asks to wait."""
    asked: int | timedelta = error.retry_after
    return asked.total_seconds() if isinstance(asked, timedelta) else float(asked)
