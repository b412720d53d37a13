"""A test message, and what became of it."""

from __future__ import annotations

from typing import Any, Final

from telegram.error import Forbidden, InvalidToken

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.settings import Settings
from tradingai.telegram.client import Client

_MODE: Final = "dry-run"


class DeliveryFailedError(TradingAIError):
    """The test message was not delivered; the text holds no token."""

    code = "telegram"


async def check_delivery(settings: Settings, clock: Clock) -> dict[str, Any]:
    """``bot``, ``chat``, ``message`` and ``seconds`` of a test message.

    Raises MissingError without a token, DeliveryFailedError with what to do.
    """
    client = Client(settings)
    try:
        name = (await client.bot.get_me()).username
        started = clock.monotonic()
        text = f"TradingAI test message\n{_MODE} · {clock.now():%H:%M:%S}Z"
        message = await client.bot.send_message(client.chat_id, text)
        seconds = clock.monotonic() - started
    except Exception as error:  # noqa: BLE001 - the library raises builtins too, and its words may hold the token
        raise DeliveryFailedError(
            f"not delivered to chat {client.chat_id}: {client.words(error)}", remedy=_remedy(error)
        ) from None
    finally:
        await client.close()
    return {
        "delivered": True,
        "bot": name,
        "chat": client.chat_id,
        "message": message.message_id,
        "seconds": seconds,
    }


def _remedy(error: Exception) -> str:
    if isinstance(error, InvalidToken):
        return "Give TELEGRAM_TOKEN as @BotFather shows it."
    if isinstance(error, Forbidden) or "chat not found" in str(error).lower():
        return "Open the chat with the bot and press Start, or correct TELEGRAM_CHAT_ID."
    return "Look at the network and at TELEGRAM_API_URL, and try again."
