"""Keeping the bot's token out of every text."""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import quote

MARK: Final = "<token>"
_NOISY: Final = ("httpx", "httpcore", "telegram")
"""Loggers that write addresses; their addresses hold the token."""


class Redactor:
    """Replaces one token, however it is written. Two of the same token are equal."""

    def __init__(self, token: str) -> None:
        secret = token.partition(":")[2]
        self._forms = tuple(dict.fromkeys((token, quote(token, safe=""), secret)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redactor) and other._forms == self._forms

    def __hash__(self) -> int:
        return hash(self._forms)

    def __call__(self, text: str) -> str:
        """The text without the token."""
        for form in self._forms:
            text = text.replace(form, MARK)
        return text


class _RedactingFormatter(logging.Formatter):
    """Redacts what another formatter made of a record, tracebacks included."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self.redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self.redactor(self._inner.format(record))

    def __repr__(self) -> str:
        return "RedactingFormatter()"


def guard_logs(redactor: Redactor) -> None:
    """Quiet the libraries' own loggers and redact whatever any handler of the root logger writes."""
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.WARNING, logger.level))
    handlers: list[Any] = [*logging.getLogger().handlers, logging.lastResort]
    for handler in handlers:
        if handler is not None:
            inner = handler.formatter or logging.Formatter()
            if not isinstance(inner, _RedactingFormatter) or inner.redactor != redactor:
                handler.setFormatter(_RedactingFormatter(inner, redactor))
