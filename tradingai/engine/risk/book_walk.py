"""What a market order of some size pays beyond the best price: walking the order book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_BPS = 1e4


class BookCosts(NamedTuple):
    """Of one look at an order book, in basis points of the mid price."""

    spread_bps: float
    slippage_bps: float | None
    """A side, the mean of buying and selling; None where the book is too thin for the size."""


def book_costs(
    bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]], notional: float | None
) -> BookCosts:
    """Spread, and the slippage of a market order worth ``notional`` at the mid price (None: not wanted).

    Both sides hold (price, amount), the best first.

    >>> book_costs([(99.0, 1.0), (98.0, 9.0)], [(101.0, 1.0), (102.0, 9.0)], 200.0)
    BookCosts(spread_bps=200.0, slippage_bps=50.0)
    """
    mid = (bids[0][0] + asks[0][0]) / 2
    spread = (asks[0][0] - bids[0][0]) / mid * _BPS
    if notional is None:
        return BookCosts(spread, None)
    paid = [mean_price(side, notional / mid) for side in (asks, bids)]
    if paid[0] is None or paid[1] is None:
        return BookCosts(spread, None)
    away = (paid[0] - asks[0][0]) + (bids[0][0] - paid[1])
    return BookCosts(spread, away / 2 / mid * _BPS)


def mean_price(levels: Sequence[tuple[float, float]], quantity: float) -> float | None:
    """The mean price of ``quantity`` taken from the best level on; None when there is less than that.

    >>> mean_price([(101.0, 1.0), (102.0, 9.0)], 4.0)
    101.75
    """
    left, paid = quantity, 0.0
    for price, amount in levels:
        taken = min(left, amount)
        paid += taken * price
        left -= taken
        if left <= 0:
            return paid / quantity
    return None
