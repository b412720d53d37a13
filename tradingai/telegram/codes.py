"""Confirmation codes: single use, short-lived, bound to user, chat, command and value."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from tradingai.engine.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Wish:
    """What a code confirms."""

    user_id: int
    chat_id: int
    command: str
    value: str


@dataclass(frozen=True, slots=True)
class _Issued:
    code: str
    value: str
    until: float
    before: Any


class Codes:
    """At most one open code for a user, chat and command; a newer one replaces it. Gone with the process."""

    def __init__(self, clock: Clock, valid_s: float) -> None:
        self._clock = clock
        self._valid_s = valid_s
        self._issued: dict[tuple[int, int, str], _Issued] = {}

    def issue(self, wish: Wish, before: Any) -> str:
        """A new code of six digits; ``before`` is what holds now, and the code is void once that changed."""
        code = f"{secrets.randbelow(1_000_000):06d}"
        until = self._clock.monotonic() + self._valid_s
        self._issued[wish.user_id, wish.chat_id, wish.command] = _Issued(code, wish.value, until, before)
        return code

    def take(self, wish: Wish, code: str) -> Any | None:
        """What held when the right code was issued, which is used up; None for any other code."""
        key = (wish.user_id, wish.chat_id, wish.command)
        issued = self._issued.get(key)
        if issued is None or self._clock.monotonic() > issued.until:
            return None
        if issued.value != wish.value or not hmac.compare_digest(issued.code.encode(), code.encode()):
            return None
        del self._issued[key]
        return issued.before

    def forget(self, user_id: int) -> None:
        """Void every open code of a user."""
        for key in [key for key in self._issued if key[0] == user_id]:
            del self._issued[key]
