"""An update as the bot reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from telegram import Update
from tradingai.engine.core.commands import BotRequest
from tradingai.engine.store.bot_table import Audit
from tradingai.engine.store.control_rows import CommandState

_LONGEST = 64
GUARDED = ("threshold", "kill_switch")
"""Commands with arguments; the last of two is a confirmation code."""


@dataclass(frozen=True, slots=True)
class Request:
    """One update: who asks what."""

    update_id: int
    chat_id: int
    user_id: int
    private: bool
    sent_at: datetime
    command: str
    """Without its slash; empty for anything that is no command for this bot."""
    value: str = ""
    code: str = ""

    @property
    def turns_kill_on(self) -> bool:
        """The one command that is never too old and needs no code."""
        return self.command == "kill_switch" and self.value == "on"


def parse_request(update: Update, username: str) -> Request:
    """What an update asks for; numbers are 0 where it names no chat or user."""
    message = update.message
    if message is None:
        return Request(
            update.update_id, 0, 0, private=False, sent_at=datetime(1970, 1, 1, tzinfo=UTC), command=""
        )
    words = (message.text or "").split()
    command = _command(words[0], username) if words else ""
    return Request(
        update_id=update.update_id,
        chat_id=message.chat.id,
        user_id=0 if message.from_user is None else message.from_user.id,
        private=message.chat.type == "private",
        sent_at=message.date.astimezone(UTC),
        command=command,
        value=words[1].lower()[:_LONGEST] if len(words) > 1 else "",
        code=words[2] if len(words) > 2 and command in GUARDED else "",
    )


def _command(word: str, username: str) -> str:
    """``/stats`` and ``/stats@this_bot``; empty for another bot's, and for a text."""
    name, _, addressee = word.partition("@")
    if not name.startswith("/") or (addressee and addressee.lower() != username.lower()):
        return ""
    return name[1:].lower()[:_LONGEST]


def audit(request: Request, now: datetime, state: CommandState, reason: str) -> Audit:
    """The entry of an update; a confirmation code is no part of it."""
    command = BotRequest(
        sender=f"telegram:{request.user_id}",
        surface="telegram",
        issued_at=now,
        update_id=request.update_id,
        chat_id=request.chat_id,
        command=request.command,
        value=request.value,
    )
    return command, state, {"reason": reason, "sent_at": request.sent_at}
