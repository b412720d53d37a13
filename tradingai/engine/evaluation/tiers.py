"""Confidence tiers: what a model says it knows against what it gets right."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.report import TierResult
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

TIERS: Final = (("low", 0.55, 0.65), ("medium", 0.65, 0.75), ("high", 0.75, 1.0))
"""Name and bounds [lo, hi); the high tier includes 1."""
MIN_BARS: Final = 1_000
MIN_NON_OVERLAPPING: Final = 100
HORIZON_US: Final = HORIZON_MINUTES * MINUTE_US


def non_overlapping(ts: Ints, spacing_us: int = HORIZON_US) -> Ints:
    """Indices of the most bars that lie at least ``spacing_us`` apart, earliest first.

    ``ts`` is ascending, int64 [n]. Taking each earliest possible bar is optimal (interval scheduling).
    """
    chosen: list[int] = []
    index = 0
    while index < len(ts):
        chosen.append(index)
        index = int(np.searchsorted(ts, ts[index] + spacing_us))
    return np.asarray(chosen, dtype=np.int64)


def tier_table(ts: Ints, confidence: Floats, right: Bools) -> tuple[TierResult, ...]:
    """One row a tier for n labelled bars: open times, confidence max(p, 1 − p), whether right; all [n]."""
    rows = []
    for name, lo, hi in TIERS:
        inside = (confidence >= lo) & ((confidence < hi) | (hi == 1.0))
        n = int(inside.sum())
        apart = len(non_overlapping(ts[inside]))
        rows.append(
            TierResult(
                name=name,
                lo=lo,
                hi=hi,
                n=n,
                non_overlapping=apart,
                confidence=float(confidence[inside].mean()) if n else None,
                hit_rate=float(right[inside].mean()) if n else None,
                counts=n >= MIN_BARS and apart >= MIN_NON_OVERLAPPING,
            )
        )
    return tuple(rows)


def tier_mae(tiers: tuple[TierResult, ...]) -> float | None:
    """Mean |mean confidence − hit rate| over the tiers that count, weighted by bars; None when none does."""
    judged = [(tier.n, abs(tier.gap)) for tier in tiers if tier.counts and tier.gap is not None]
    total = sum(n for n, _ in judged)
    return sum(n * gap for n, gap in judged) / total if total else None
