"""The bot's commands: polled, checked, carried out and audited; nothing in it can delay a scan.

The library's Bot is polled here rather than by its Updater, which dies for good at one 401, spins on an odd
answer, and confirms updates that were not processed yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from telegram.error import RetryAfter, TelegramError

from telegram import BotCommand, Update
from tradingai.engine.alerts.protocols import BotDesk
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.control_rows import CommandState
from tradingai.engine.store.database import Store
from tradingai.telegram.client import Client, seconds_of
from tradingai.telegram.commands import HELP, Commands
from tradingai.telegram.requests import Request, audit, parse_request

POLL_S: Final = 10
"""How long Telegram holds an empty poll."""
MOST_ANSWERS: Final = 30
"""Answers within a minute; what is asked beyond that is audited and ignored."""
_WINDOW_S: Final = 60.0
_LONGEST_WAIT_S: Final = 30.0


class PollingFailedError(TradingAIError):
    """Telegram cannot be polled; the text holds no token."""

    code = "telegram"


class TelegramBot:
    """Runs until it is cancelled; raises PollingFailedError when Telegram cannot be polled."""

    name = "telegram bot"

    def __init__(
        self, client: Client, desk: BotDesk, store: Store, settings: Settings, clock: Clock, mode: str
    ) -> None:
        self._client = client
        self._store = store
        self._settings = settings
        self._clock = clock
        self._commands = Commands(desk, store, settings, clock)
        self._mode = mode
        self._chats = {client.chat_id, *settings.telegram_allowed_chats}
        self._users = frozenset(settings.telegram_allowed_users)
        self._answered: deque[float] = deque()
        self._offset = 0
        self._username = ""

    async def run(self) -> None:
        """Poll, act, answer."""
        answers: asyncio.Queue[tuple[int, str]] = asyncio.Queue(MOST_ANSWERS)
        sender = asyncio.create_task(self._send_answers(answers), name="telegram answers")
        try:
            await self._introduce()
            while True:
                updates = await self._poll()
                if updates:
                    await self._take(updates, answers)
                    self._offset = updates[-1].update_id + 1
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _introduce(self) -> None:
        bot = self._client.bot
        try:
            self._username = (await bot.get_me()).username or ""
            await bot.delete_webhook()
            await bot.set_my_commands([BotCommand(name, text) for name, text in HELP.items()])
        except Exception as error:  # noqa: BLE001 - builtins come out of the library for odd answers; the token must not
            raise PollingFailedError(self._client.words(error)) from None

    async def _poll(self) -> Sequence[Update]:
        try:
            return await self._client.updates(self._offset, POLL_S)
        except RetryAfter as error:
            await self._clock.sleep(seconds_of(error))
            return ()
        except Exception as error:  # noqa: BLE001 - as above
            raise PollingFailedError(self._client.words(error)) from None

    # -- what came

    async def _take(self, updates: Sequence[Update], answers: asyncio.Queue[tuple[int, str]]) -> None:
        """Kill first; then remember all updates, with the audit of those that are ignored; then the rest."""
        bot_id = self._client.bot_id
        fresh = await self._store.bot.fresh(bot_id, [update.update_id for update in updates])
        requests = [parse_request(update, self._username) for update in updates if update.update_id in fresh]
        for request in requests:
            if request.turns_kill_on and self._allowed(request):
                await self._answer(request, answers)
        ignored = {request.update_id: self._why_ignored(request) for request in requests}
        now = self._clock.now()
        audits = [
            audit(request, now, *why)
            for request in requests
            if (why := ignored[request.update_id]) is not None
        ]
        await self._store.bot.seen(bot_id, sorted(fresh), audits)
        for request in requests:
            if ignored[request.update_id] is None and not request.turns_kill_on:
                await self._answer(request, answers)

    def _allowed(self, request: Request) -> bool:
        """Listed chat and listed user; in a private chat, whose number is its user's, the chat is enough."""
        private = request.private and request.user_id == request.chat_id
        return request.chat_id in self._chats and (request.user_id in self._users or private)

    def _why_ignored(self, request: Request) -> tuple[CommandState, str] | None:
        """State and reason of what is not carried out; None for what is."""
        if not self._allowed(request):
            return "refused", "not a listed chat and user"
        if request.turns_kill_on:
            return None
        if not request.command:
            return "refused", "no command"
        age_s = (self._clock.now() - request.sent_at).total_seconds()
        if age_s > self._settings.telegram_update_max_age_s:
            return "expired", f"{age_s:.0f} s old"
        if not self._may_answer():
            return "refused", f"more than {MOST_ANSWERS} commands a minute"
        return None

    def _may_answer(self) -> bool:
        now = self._clock.monotonic()
        while self._answered and now - self._answered[0] > _WINDOW_S:
            self._answered.popleft()
        if len(self._answered) >= MOST_ANSWERS:
            return False
        self._answered.append(now)
        return True

    async def _answer(self, request: Request, answers: asyncio.Queue[tuple[int, str]]) -> None:
        """Carry out, remember, then answer: what was answered is never acted on again."""
        text, state = await self._commands.carry_out(request)
        now = self._clock.now()
        done = audit(request, now, state, text.partition("\n")[0])
        await self._store.bot.seen(self._client.bot_id, [request.update_id], [done])
        with suppress(asyncio.QueueFull):
            answers.put_nowait((request.chat_id, f"{text}\n{self._mode} · {now:%H:%M:%S}Z"))

    # -- answers

    async def _send_answers(self, answers: asyncio.Queue[tuple[int, str]]) -> None:
        """One after another; one that Telegram does not take is given up, its command is carried out."""
        while True:
            chat_id, text = await answers.get()
            try:
                await self._client.bot.send_message(chat_id, text)
            except RetryAfter as error:
                await self._clock.sleep(seconds_of(error))
                with suppress(TelegramError):
                    await self._client.bot.send_message(chat_id, text)
            except Exception:  # noqa: BLE001, S112 - the next answer is sent whatever became of this one
                continue
