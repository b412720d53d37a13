"""How sure a pass rate is: of the play (finitely many attempts), and of the history (finitely many days)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tradingai.engine.challenge.table import Floats

Interval = tuple[float, float]
Z95: Final = 1.959963984540054
"""Of the standard normal distribution: 95 % lie within ± this."""
MIDDLE: Final = (0.025, 0.975)


def wilson(hits: int, count: int) -> Interval:
    """95 % score interval of a share. Source: Wilson (1927), JASA 22; Brown, Cai, DasGupta (2001).

    Raises ValueError without an observation.
    """
    if count < 1:
        raise ValueError("a share of nothing has no interval")
    share, weight = hits / count, Z95**2 / count
    centre = (share + weight / 2) / (1 + weight)
    half = Z95 / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def between_histories(shares: Floats, attempts: int) -> Interval:
    """95 % percentile interval of pass rates over resampled histories, the play's own noise taken out.

    ``shares`` [B] are rates of ``attempts`` attempts (at least 2) on each of B resampled histories. Their
    variance is that between histories plus that of the play, whose unbiased estimate is the mean of
    p (1 − p) / (attempts − 1); deviations from the mean are shrunk by the root of the first's share.
    """
    centre, total = float(np.mean(shares)), float(np.var(shares, ddof=1))
    play = float(np.mean(shares * (1 - shares))) / (attempts - 1)
    kept = math.sqrt(max(0.0, total - play) / total) if total > 0 else 0.0
    low, high = np.quantile(centre + kept * (shares - centre), MIDDLE)
    return max(0.0, float(low)), min(1.0, float(high))
