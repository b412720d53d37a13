"""Keeping the bot's token out of every text."""

from __future__ import annotations

import logging
from typing import Final

from tradingai.engine.core.logs.redact import Redactor, redact_handlers

_NOISY: Final = ("httpx", "httpcore", "telegram")
"""Loggers that write addresses; their addresses hold the token."""


def guard_logs(redactor: Redactor) -> None:
    """Quiet the libraries' own loggers and redact whatever any handler of the root logger writes."""
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.WARNING, logger.level))
    redact_handlers(redactor)
