"""Keeping the bot's token and the proxy's password out of every text."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from tradingai.engine.core.settings import Settings

MARK: Final = "<token>"
PASSWORD_MARK: Final = "<password>"  # noqa: S105 - what stands for one
SHORTEST_PASSWORD: Final = 4
"""Characters of a password that is replaced wherever it stands; a shorter one only beside its user or host,
since it is part of ordinary words."""
_IN_ADDRESS: Final = r"(?<=://)[^/\s@]+(?=@)"
"""User and password of any address, whoever wrote it."""
_ANY_TOKEN: Final = r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"  # noqa: S105 - a pattern
"""What every bot's token looks like."""


class Redactor:
    """Replaces one bot's token and one proxy's password, however they are written.

    Also without either it replaces whatever looks like a token or stands before the @ of an address. Two of
    the same secrets are equal.
    """

    def __init__(self, token: str = "", proxy_url: str = "") -> None:
        """``token`` is ``digits:secret``, ``proxy_url`` may be ``scheme://user:password@host``."""
        marks = dict.fromkeys(_token_forms(token), MARK)
        marks |= dict.fromkeys(_password_forms(proxy_url), PASSWORD_MARK)
        self._marks = marks
        forms = [re.escape(form) for form in sorted(marks, key=len, reverse=True)]
        self._pattern = re.compile("|".join([_IN_ADDRESS, *forms, f"(?P<token>{_ANY_TOKEN})"]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redactor) and other._marks == self._marks

    def __hash__(self) -> int:
        return hash(tuple(self._marks))

    def __repr__(self) -> str:
        return "Redactor()"

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if ":" not in text and not any(form in text for form in self._marks):
            return text  # addresses and tokens have a colon
        return self._pattern.sub(self._mark, text)

    def _mark(self, found: re.Match[str]) -> str:
        return self._marks.get(found[0], MARK if found["token"] else "***")


def settings_redactor(settings: Settings) -> Redactor:
    """For every secret that the settings hold."""
    token, proxy = settings.telegram_token, settings.proxy_url
    return Redactor(
        "" if token is None else token.get_secret_value(), "" if proxy is None else proxy.get_secret_value()
    )


class RedactingFormatter(logging.Formatter):
    """Redacts what another formatter made of a record, tracebacks included."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self.redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The other formatter's text without the secrets."""
        return self.redactor(self._inner.format(record))

    def __repr__(self) -> str:
        return "RedactingFormatter()"


def redact_handlers(redactor: Redactor) -> None:
    """Redact whatever any handler of the root logger writes, and what is written without any handler."""
    handlers: list[Any] = [*logging.getLogger().handlers, logging.lastResort]
    for handler in handlers:
        if handler is not None:
            inner = handler.formatter or logging.Formatter()
            if not isinstance(inner, RedactingFormatter) or inner.redactor != redactor:
                handler.setFormatter(RedactingFormatter(inner, redactor))


def _token_forms(token: str) -> Iterator[str]:
    secret = token.partition(":")[2]
    if secret:
        yield from (token, quote(token, safe=""), secret)


def _password_forms(proxy_url: str) -> Iterator[str]:
    """The password as given, decoded, quoted, within a representation, and as the header of a request."""
    userinfo, at, _ = proxy_url.partition("://")[2].rpartition("@")
    user, colon, given = userinfo.partition(":")
    if not at or not colon or not given:
        return
    password = unquote(given)
    for form in (given, password, quote(password, safe=""), repr(password)[1:-1]):
        yield f"{user}:{form}"
        yield f"{unquote(user)}:{form}"
        if len(password) >= SHORTEST_PASSWORD:
            yield form
    yield b64encode(f"{unquote(user)}:{password}".encode()).decode().rstrip("=")
