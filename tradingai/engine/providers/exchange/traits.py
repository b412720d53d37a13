"""In what the exchanges differ where ccxt does not even it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Traits:
    """How one exchange serves one-minute candles and quotes."""

    page: int
    """Candles one request gives at most."""
    forward: bool = False
    """True: every minute has a row, without trades too, and a page begins at the first row from the time
    asked for, however far on. False: a page is a window of time, and minutes without trades are absent."""
    history_minutes: int | None = None
    """Only this many newest candles are served, whatever is asked for; None: all there ever were."""
    envelope: str | None = None
    """The key that an answer with candles has; ccxt takes one without it for no candles."""
    quote_call: str = "fetch_ticker"
    """What ccxt calls the request for the best bid and ask: ``fetch_ticker`` or ``fetch_bids_asks``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What ccxt is told beyond its defaults."""


_BINANCE: Final = Traits(
    page=1000,
    forward=True,
    quote_call="fetch_bids_asks",
    options={"fetchMarkets": {"types": ["spot"]}},
)
_KNOWN: Final[Mapping[str, Traits]] = {
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "coinbase": Traits(page=300, envelope="candles"),
    "coinbaseexchange": Traits(page=300),
    "kraken": Traits(page=720, forward=True, history_minutes=720, envelope="result"),
}
_CAUTIOUS_PAGE: Final = 300
"""For an exchange of which ccxt does not say how many candles it gives at once."""


def traits_of(exchange: str, features: Any = None) -> Traits:
    """What is known of an exchange; ``features`` is what ccxt says of one that is not listed here."""
    known = _KNOWN.get(exchange)
    if known is not None:
        return known
    spot = features.get("spot") if isinstance(features, Mapping) else None
    candles = spot.get("fetchOHLCV") if isinstance(spot, Mapping) else None
    limit = candles.get("limit") if isinstance(candles, Mapping) else None
    return Traits(page=limit if isinstance(limit, int) and limit > 0 else _CAUTIOUS_PAGE)
