"""Symbols, models and the constants of the label."""

from __future__ import annotations

import re
from typing import Final, Literal

from tradingai.engine.core.errors import UsageError

Market = Literal["cycles", "null", "weak", "drift"]
MARKETS: Final[tuple[Market, ...]] = ("cycles", "null", "weak", "drift")
PIPELINE_SYMBOLS: Final = ("BTC-USD", "ETH-USD", "BNB-USD")
HORIZON_MINUTES: Final = 15
"""The label at t looks from close(t) to close(t + 15 min)."""
MINUTE_US: Final = 60_000_000
"""One minute in microseconds, the unit of ``ts``."""
DAY_MINUTES: Final = 1440

_SYMBOL = re.compile(r"[A-Z0-9]{2,12}-[A-Z]{3,5}")


def parse_symbol(text: str) -> str:
    """``btc`` and ``BTC-USD`` as ``BTC-USD``. Raises UsageError for anything that is no pair."""
    symbol = text.strip().upper().replace("/", "-")
    if "-" not in symbol:
        symbol = f"{symbol}-USD"
    if not _SYMBOL.fullmatch(symbol):
        raise UsageError(
            f"unknown symbol {text!r}",
            remedy="Write a pair as BASE-QUOTE, for example BTC-USD.",
        )
    return symbol


def parse_symbols(text: str) -> tuple[str, ...]:
    """A comma-separated list of symbols, order kept, repeats dropped. Raises UsageError when empty."""
    symbols = tuple(dict.fromkeys(parse_symbol(part) for part in text.split(",") if part.strip()))
    if not symbols:
        raise UsageError(f"no symbol in {text!r}", remedy="Name at least one, for example BTC-USD.")
    return symbols


def lstm_name(symbol: str) -> str:
    """The model id of a coin's LSTM, for example ``lstm_BTC-USD``."""
    return f"lstm_{symbol}"


def parse_market(text: str) -> Market:
    """One of the four presets. Raises UsageError naming them."""
    for market in MARKETS:
        if text == market:
            return market
    raise UsageError(f"unknown market {text!r}", remedy=f"Choose one of {', '.join(MARKETS)}.")
