"""Which of an exchange's markets a symbol is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradingai.engine.core.errors import UsageError
from tradingai.engine.providers.exchange.faults import unknown_symbol

_STABLE: Final = ("USDT", "USDC")
"""What stands for dollars where an exchange has no market in dollars, in this order."""


@dataclass(frozen=True, slots=True)
class Market:
    """A symbol at an exchange."""

    symbol: str
    """Ours, for example ``BTC-USD``."""
    name: str
    """ccxt's, for example ``BTC/USDT``."""
    id: str
    """The exchange's own, for example ``BTCUSDT``."""


def market_of(markets: Mapping[str, Any], symbol: str, exchange: str) -> Market:
    """The cash market of ``symbol``: that very pair, and for dollars else one of the stable coins.

    Raises UsageError when the exchange has none, or none that trades now.
    """
    base, _, quote = symbol.partition("-")
    quotes = (quote, *_STABLE) if quote == "USD" else (quote,)
    there = [markets[name] for name in (f"{base}/{item}" for item in quotes) if name in markets]
    spot = [item for item in there if item.get("spot")]
    if not spot:
        raise unknown_symbol(exchange, f"market {' or '.join(f'{base}/{item}' for item in quotes)}")
    for item in spot:
        if item.get("active") is not False:
            return Market(symbol, str(item["symbol"]), str(item["id"]))
    names = " and ".join(str(item["symbol"]) for item in spot)
    raise UsageError(
        f"{exchange} does not trade {names} now: delisted, or halted",
        remedy="Name another coin or another --exchange; a halt ends, a delisting does not.",
    )
