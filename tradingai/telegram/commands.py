"""What each command does; threshold and `kill_switch off` only with a confirmation code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from tradingai.engine.alerts.protocols import BotDesk
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.settings import Settings
from tradingai.engine.runtime.controls import LOWEST_THRESHOLD
from tradingai.engine.store.control_rows import CommandState
from tradingai.engine.store.database import Store
from tradingai.telegram.codes import Codes, Wish
from tradingai.telegram.requests import Request

HELP: Final[dict[str, str]] = {
    "check": "does everything work",
    "stats": "the last 24 hours",
    "ftmo_status": "the account and its floors",
    "signals": "signals of the last 24 hours",
    "models": "what is live",
    "threshold": "show it; /threshold 0.8 sets it, with a code",
    "kill_switch": "on at once; off with a code",
    "help": "this list",
}
ANSWERS: Final = ("check", "stats", "ftmo_status", "signals", "models")
ANSWER_S: Final = 4.0
"""An answer that takes longer is given up: it has to be there within 5 s."""
_MEMORY: Final = timedelta(hours=24)
"""Wrong codes count so long, or until a right one."""
Answer = tuple[str, CommandState]


class Commands:
    """Carries out requests of allowed chats and users, one after another."""

    def __init__(self, desk: BotDesk, store: Store, settings: Settings, clock: Clock) -> None:
        self._desk = desk
        self._store = store
        self._settings = settings
        self._clock = clock
        self._codes = Codes(clock, settings.telegram_confirm_s)

    async def carry_out(self, request: Request) -> Answer:
        """The answer and what to write down; never raises for what the engine refuses."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._carry_out(request)
        except TradingAIError as error:
            return f"{error.message}\n{error.remedy}", "refused"
        except TimeoutError:
            return "busy: it took too long; send it again", "failed"
        except Exception as error:  # noqa: BLE001 - the handler's boundary: the next command is carried out
            return f"unexpected {type(error).__name__}", "failed"

    async def _carry_out(self, request: Request) -> Answer:
        if request.command in ANSWERS:
            return await self._desk.answer(request.command), "done"
        if request.command == "threshold":
            return await self._threshold(request)
        if request.command == "kill_switch":
            return await self._kill_switch(request)
        text = "\n".join(f"/{name} – {words}" for name, words in HELP.items())
        if request.command in {"help", "start"}:
            return text, "done"
        return f"no command /{request.command}\n{text}", "refused"

    # -- controls

    async def _threshold(self, request: Request) -> Answer:
        state = (await self._desk.controls())["threshold"]
        if not request.value:
            return f"threshold {state['value']:g} ({state['source']})", "done"
        value = _number(request.value)
        if value is None or not LOWEST_THRESHOLD <= value < 1:
            return f"{request.value} is not from {LOWEST_THRESHOLD:g} to below 1: /threshold 0.8", "refused"
        refusal = await self._unconfirmed(request, f"{value:g}", _mark(state))
        if refusal is not None:
            return refusal
        now = await self._desk.carry_out(SetThreshold(**self._issue(request), value=value))
        return f"threshold {now['value']:g} ({now['source']})", "done"

    async def _kill_switch(self, request: Request) -> Answer:
        if request.turns_kill_on:
            return await self._kill(request)
        state = (await self._desk.controls())["kill_switch"]
        if request.value != "off":
            return f"kill switch {_switch(state)}: /kill_switch on or /kill_switch off", "done"
        if not state["on"]:
            return f"kill switch {_switch(state)} already", "refused"
        refusal = await self._unconfirmed(request, "off", _mark(state))
        if refusal is not None:
            return refusal
        now = await self._desk.carry_out(
            SetKillSwitch(**self._issue(request), on=False, reason="confirmed by code")
        )
        return f"kill switch {_switch(now)}", "done"

    async def _kill(self, request: Request) -> Answer:
        now = await self._desk.carry_out(SetKillSwitch(**self._issue(request), on=True, reason=""))
        return f"kill switch {_switch(now)}: nothing is emitted", "done"

    async def _unconfirmed(self, request: Request, value: str, before: str) -> Answer | None:
        """Why it is not done, with a code to do it when none was given; None when the right one was."""
        user = request.user_id
        lock = await self._locked(user)
        if lock:
            return lock, "refused"
        wish = Wish(user, request.chat_id, request.command, value)
        if not request.code:
            code = self._codes.issue(wish, before)
            seconds = self._settings.telegram_confirm_s
            return f"confirm within {seconds} s:\n/{request.command} {value} {code}", "refused"
        held = self._codes.take(wish, request.code)
        if held is None:
            await self._store.bot.failed(user)
            lock = await self._locked(user)
            if lock:
                self._codes.forget(user)
            return lock or "wrong or old code: nothing was changed", "refused"
        await self._store.bot.forgive(user)
        if held != before:
            return "it was changed meanwhile: nothing was done, ask again", "refused"
        return None

    async def _locked(self, user: int) -> str:
        """Until when this user's codes are locked, in words; empty when they are not."""
        now = self._clock.now()
        wrong = await self._store.bot.failures(user, now - _MEMORY)
        until = wrong[0] + timedelta(minutes=self._settings.telegram_lock_minutes) if wrong else now
        if len(wrong) < self._settings.telegram_confirm_failures or until <= now:
            return ""
        return f"locked until {until:%H:%M:%S}Z after {len(wrong)} wrong codes; /kill_switch on still works"

    def _issue(self, request: Request) -> Any:
        return {
            "sender": f"telegram:{request.user_id}",
            "surface": "telegram",
            "issued_at": self._clock.now(),
        }


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _switch(state: Mapping[str, Any]) -> str:
    by = f", by {state['by']}" if "by" in state else ""
    return f"{'ON' if state['on'] else 'off'} ({state['source']}{by})"


def _mark(state: Mapping[str, Any]) -> str:
    """Tells one setting of a control from another."""
    return f"{state.get('since', '')} {state.get('by', '')} {state.get('value', state.get('on'))}"
