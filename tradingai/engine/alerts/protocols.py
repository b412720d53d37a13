"""What the outbox and the bot ask of the outside; the console, files and Telegram implement it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tradingai.engine.core.commands import ControlCommand


@dataclass(frozen=True, slots=True)
class Message:
    """One message in two forms, and the id it carries."""

    event_id: str
    plain: str
    html: str
    """With the few tags the Bot API knows; sent as ``plain`` where that is refused."""
    document: Mapping[str, Any]
    """The same for machines."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    ``waiting``: it certainly did not arrive; ``unknown``: it may have; ``refused``: it never will.
    """

    state: Literal["delivered", "waiting", "unknown", "refused"]
    reason: str = ""
    """Why it was not delivered, without any secret."""
    retry_after_s: float | None = None
    """What the other side asks for; None: the outbox backs off by itself."""


class AlertSink(Protocol):
    """Where alerts go. One channel, one message at a time, in order."""

    @property
    def channel(self) -> str:
        """Names the channel in the store for ever."""
        ...

    @property
    def counts(self) -> bool:
        """True where a delivery is news, with an event of its own; a log file's is none."""
        ...

    async def deliver(self, message: Message) -> Outcome:
        """Try once. Never raises for what the other side does."""
        ...


class BotDesk(Protocol):
    """What the bot's commands stand on."""

    async def answer(self, command: str) -> str:
        """The answer to ``check``, ``stats``, ``ftmo_status``, ``signals`` or ``models``: plain text.

        Raises TradingAIError.
        """
        ...

    async def controls(self) -> Mapping[str, Any]:
        """``{"kill_switch": …, "threshold": …}`` as they hold, with their sources."""
        ...

    async def carry_out(self, command: ControlCommand) -> Mapping[str, Any]:
        """Write a control and return what holds now. Raises TradingAIError."""
        ...
