"""FTMO's names of crypto symbols (trading update of 24 Jul 2025) and the pairs they are.

New coins are cut to three letters, old ones are not, so that only a table tells which coin a name is.
"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.errors import UsageError

_SAME: Final = (
    "BTC", "ETH", "ADA", "DOT", "DASH", "LTC", "XRP", "DOGE", "XMR", "NEO", "BCH", "BNB", "SOL", "XLM", "ETC",
    "ICP", "UNI", "FET", "GRT", "IMX", "MKR",
)  # fmt: skip
_CUT: Final = {
    "AVA": "AVAX", "LNK": "LINK", "NER": "NEAR", "BAR": "HBAR", "ALG": "ALGO", "VEC": "VET", "AAV": "AAVE",
    "GAL": "GALA", "MAN": "MANA", "SAN": "SAND",
}  # fmt: skip
PAIRS: Final = {f"{coin}USD": f"{coin}-USD" for coin in _SAME} | {
    f"{short}USD": f"{coin}-USD" for short, coin in _CUT.items()
}
"""MetaTrader's name to the pair."""
CONTRACT_SIZES: Final = {
    "BTC-USD": 1, "ETH-USD": 10, "LTC-USD": 100, "XMR-USD": 100, "DASH-USD": 1_000, "NEO-USD": 1_000,
    "DOT-USD": 10_000, "XRP-USD": 10_000, "ADA-USD": 100_000, "DOGE-USD": 100_000,
}  # fmt: skip
"""Coins in a lot since 26 Jul 2025, of the pairs whose size FTMO published."""


def pair_of(name: str) -> str | None:
    """The pair of a MetaTrader symbol (``BTCUSD``, ``BTCUSD.sim``); None for one that is no known coin."""
    return PAIRS.get(name.strip().upper().removesuffix(".SIM"))


def known_pair(name: str, where: str) -> str:
    """The same. Raises UsageError with the list for a name that is not in it."""
    pair = pair_of(name)
    if pair is None:
        raise UsageError(
            f"{where}: {name!r} is no symbol that is known",
            remedy=f"Name the pair with --symbol BTC-USD. Known: {', '.join(sorted(PAIRS))}.",
        )
    return pair
