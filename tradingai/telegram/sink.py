"""Alerts into a chat."""

from __future__ import annotations

from telegram.error import BadRequest, ChatMigrated

from tradingai.engine.alerts.protocols import Message, Outcome
from tradingai.telegram.client import Client


class TelegramSink:
    """Sends to TELEGRAM_CHAT_ID; in plain text where the formatting is refused."""

    counts = True

    def __init__(self, client: Client) -> None:
        self._client = client
        self._chat = client.chat_id
        self.channel = f"telegram:{client.chat_id}"

    async def deliver(self, message: Message) -> Outcome:
        """Try once; what was refused for its formatting alone is tried again at once: it did not arrive."""
        try:
            await self._send(message.html, "HTML")
        except ChatMigrated as error:
            self._chat = error.new_chat_id
            return Outcome("waiting", f"the group is chat {self._chat} now: set TELEGRAM_CHAT_ID", 0.0)
        except BadRequest as error:
            if not formatting_refused(error):
                return self._client.outcome(error)
            return await self._plain(message)
        except Exception as error:  # noqa: BLE001 - the library raises builtins for odd answers; none may end the outbox
            return self._client.outcome(error)
        return Outcome("delivered")

    async def _plain(self, message: Message) -> Outcome:
        try:
            await self._send(message.plain, None)
        except Exception as error:  # noqa: BLE001 - as above
            return self._client.outcome(error)
        return Outcome("delivered")

    async def _send(self, text: str, parse_mode: str | None) -> None:
        await self._client.bot.send_message(self._chat, text, parse_mode=parse_mode)


def formatting_refused(error: BadRequest) -> bool:
    """True when the text may be accepted without its tags."""
    words = str(error).lower()
    return "parse entities" in words or "parse_mode" in words
