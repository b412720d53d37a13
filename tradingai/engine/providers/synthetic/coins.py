"""The coins of the synthetic markets and the range they exist in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tradingai.engine.core.errors import UsageError

GENERATOR_VERSION: Final = 1
"""Part of every stream's key and of every manifest: a change of any value or formula raises it."""

ORIGIN_DAY: Final = (datetime(2018, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
"""First day of every synthetic market, in days since 1970. Random walks are summed from here."""
END_DAY: Final = (datetime(2100, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
"""First day that no synthetic market has."""


@dataclass(frozen=True, slots=True)
class Coin:
    """What distinguishes one synthetic coin from another."""

    symbol: str
    price: float
    """Price at the origin, USD."""
    volume: float
    """Typical volume of one minute, in coins."""
    market_beta: float
    """Exposure to the common factor; 1 is the factor's own volatility."""
    own_volatility: float
    """Annual volatility of the coin's own component, a fraction."""
    cycle_lag_minutes: int
    """How long after BTC this coin passes the same phase of the cycle."""


_COINS: Final = (
    Coin("BTC-USD", 45_000.0, 18.0, 1.0, 0.35, 0),
    Coin("ETH-USD", 2_600.0, 240.0, 1.0, 0.35, 4),
    Coin("BNB-USD", 320.0, 900.0, 1.0, 0.35, 7),
)
MARKET_VOLATILITY: Final = 0.41
"""Annual volatility of the factor that all coins share, a fraction."""

SYNTHETIC_SYMBOLS: Final = tuple(coin.symbol for coin in _COINS)


def coin_of(symbol: str) -> Coin:
    """The coin with this symbol. Raises UsageError naming those that exist."""
    for coin in _COINS:
        if coin.symbol == symbol:
            return coin
    raise UsageError(
        f"the synthetic provider has no {symbol!r}",
        remedy=f"Choose among {', '.join(SYNTHETIC_SYMBOLS)}, or import it with `tradingai data import`.",
    )
