"""The interval of a win rate whose trades are not independent.

Trades of several coins within the same minutes share their market. They are grouped by the hour in which they
were decided (a trade lives 15 minutes; of what is left between two hours little is shared), and the hours are
taken as independent. The linearised variance of the ratio Σ wins ÷ Σ trades over D hours (Cochran, *Sampling
Techniques*, 1977, section 6.3) against the binomial one gives the design effect, never below 1; the effective
number of trades, corrected for the D − 1 degrees of freedom (Korn and Graubard, *Survey Methodology* 24,
1998), goes into Wilson's score interval, which holds its coverage for clustered proportions (Dean and
Pagano, *Journal of Survey Statistics and Methodology* 3, 2015). Below :data:`MIN_HOURS` hours the design
effect cannot be estimated: each hour then counts as a single trade.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

Z_95: Final = 1.959963984540054
MIN_HOURS: Final = 10
"""Fewer hours with a trade than this give no design effect."""


class Block(NamedTuple):
    """The trades decided within one hour."""

    trades: int
    wins: int


class RateInterval(NamedTuple):
    """A 95 % interval of a proportion, and what it rests on."""

    low: float
    high: float
    effective: float
    """Independent trades that would say as much."""
    blocks: int


def win_rate_interval(blocks: Sequence[Block]) -> RateInterval | None:
    """The interval over hours that hold at least a trade each; None without any."""
    trades = sum(block.trades for block in blocks)
    if not trades:
        return None
    rate = sum(block.wins for block in blocks) / trades
    effective = _effective(blocks, trades, rate)
    low, high = wilson(rate, effective)
    return RateInterval(low, high, effective, len(blocks))


def wilson(rate: float, trades: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion seen in so many trials, which need not be whole."""
    z2 = Z_95**2
    centre = (rate + z2 / (2 * trades)) / (1 + z2 / trades)
    half = Z_95 / (1 + z2 / trades) * math.sqrt(rate * (1 - rate) / trades + z2 / (4 * trades**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def student_t_95(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, from 9 degrees of freedom on to 1e-3.

    Source: Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.7.5.
    """
    z, n = Z_95, degrees
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _effective(blocks: Sequence[Block], trades: int, rate: float) -> float:
    """How many independent trades say as much as these."""
    count = len(blocks)
    if count < MIN_HOURS:
        return float(count)
    binomial = rate * (1 - rate) / trades
    spread = sum((block.wins - rate * block.trades) ** 2 for block in blocks)
    clustered = count / (count - 1) * spread / trades**2
    design = max(1.0, clustered / binomial) if binomial else 1.0
    return trades / design * (Z_95 / student_t_95(count - 1)) ** 2
