"""Scores of probabilities against labels, and everything of a report that the probabilities decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.report import (
    BaselineResult,
    Coverage,
    GroupAccuracy,
    OracleLine,
    ReliabilityBin,
)
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.evaluation.intervals import DAY_US, DayBlocks, day_blocks, ratio_interval
from tradingai.engine.evaluation.tiers import non_overlapping

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

ECE_BINS: Final = 15
LOG_LOSS_CLIP: Final = 1e-15
SESSIONS: Final = (("tokyo", 0, 8), ("london", 8, 16), ("new_york", 16, 24))
"""Name and hours [from, to) in UTC."""


@dataclass(frozen=True, slots=True)
class Scored:
    """n labelled bars with what the model said: all arrays [n], ``ts`` ascending.

    ``probability`` is P(up) and ``up`` the label; the model's direction is up from 0.5 on.
    """

    ts: Ints
    probability: Floats
    up: Bools

    @property
    def said_up(self) -> Bools:
        """The model's direction."""
        return self.probability >= 0.5

    @property
    def right(self) -> Bools:
        """Whether the model's direction is the label."""
        right: Bools = self.said_up == self.up
        return right

    @property
    def confidence(self) -> Floats:
        """max(p, 1 − p)."""
        return np.maximum(self.probability, 1.0 - self.probability)

    @property
    def blocks(self) -> DayBlocks:
        """UTC days."""
        return day_blocks(self.ts)


def score(ts: Ints, probability: Floats, labels: npt.NDArray[np.int8]) -> Scored:
    """The labelled bars among N test bars. Raises DataError for a probability that is none."""
    wrong = ~(np.isfinite(probability) & (probability >= 0.0) & (probability <= 1.0))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"the model says {probability[at]} at {iso_z(us_to_datetime(int(ts[at])))}, no probability",
            remedy="Train the model again; if it happens again the features hold values that are not finite.",
        )
    labelled = labels >= 0
    return Scored(ts[labelled], probability[labelled], labels[labelled] == 1)


def log_loss(scored: Scored) -> float:
    """Mean of −ln P(label), probabilities clipped to [1e-15, 1 − 1e-15]."""
    said = np.clip(
        np.where(scored.up, scored.probability, 1.0 - scored.probability), LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP
    )
    return float(-np.log(said).mean())


def brier(scored: Scored) -> float:
    """Mean of (p − y)² (Brier 1950, the one-class form)."""
    return float(np.square(scored.probability - scored.up).mean())


def reliability(scored: Scored, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Hit rate by said confidence in ``bins`` equal bins over [0.5, 1]."""
    confidence = scored.confidence
    index = np.minimum(((confidence - 0.5) * 2.0 * bins).astype(np.int64), bins - 1)
    n = np.bincount(index, minlength=bins)
    said = np.bincount(index, weights=confidence, minlength=bins)
    hits = np.bincount(index, weights=scored.right, minlength=bins)
    return tuple(
        ReliabilityBin(
            lo=0.5 + 0.5 * k / bins,
            hi=0.5 + 0.5 * (k + 1) / bins,
            n=int(n[k]),
            confidence=float(said[k] / n[k]) if n[k] else None,
            hit_rate=float(hits[k] / n[k]) if n[k] else None,
        )
        for k in range(bins)
    )


def expected_calibration_error(curve: tuple[ReliabilityBin, ...]) -> float | None:
    """Σ n_k |confidence_k − hit rate_k| ÷ n (Naeini et al. 2015; Guo et al. 2017); None without bars."""
    total = sum(item.n for item in curve)
    if not total:
        return None
    return (
        sum(
            item.n * abs(item.confidence - item.hit_rate)
            for item in curve
            if item.confidence is not None and item.hit_rate is not None
        )
        / total
    )


def session_accuracy(scored: Scored) -> tuple[GroupAccuracy, ...]:
    """Accuracy of the bars that open in each trading session; sessions without bars are left out."""
    hour = scored.ts // (60 * MINUTE_US) % 24
    right = scored.right
    groups = ((name, (hour >= lo) & (hour < hi)) for name, lo, hi in SESSIONS)
    return tuple(
        GroupAccuracy(name, int(at.sum()), float(right[at].mean())) for name, at in groups if at.any()
    )


def month_accuracy(scored: Scored) -> tuple[GroupAccuracy, ...]:
    """Accuracy of each calendar month, UTC, in order."""
    months, index = np.unique(scored.ts.astype("datetime64[us]").astype("datetime64[M]"), return_inverse=True)
    n = np.bincount(index, minlength=len(months))
    hits = np.bincount(index, weights=scored.right, minlength=len(months))
    return tuple(
        GroupAccuracy(str(month), int(count), float(hit / count))
        for month, count, hit in zip(months, n, hits, strict=True)
    )


def coverage(scored: Scored, threshold: float) -> Coverage:
    """How many predictions reach ``threshold``, and how they spread over the test days."""
    confident = scored.confidence >= threshold
    n = int(confident.sum())
    chosen = scored.ts[confident][non_overlapping(scored.ts[confident])]
    days, per_day = np.unique(chosen // DAY_US, return_counts=True)
    busiest = int(np.argmax(per_day)) if len(days) else None
    return Coverage(
        threshold=threshold,
        n=n,
        share=n / len(scored.ts) if len(scored.ts) else 0.0,
        accuracy=float(scored.right[confident].mean()) if n else None,
        non_overlapping=len(chosen),
        days=len(days),
        test_days=len(np.unique(scored.ts // DAY_US)),
        busiest_day=None if busiest is None else us_to_datetime(int(days[busiest]) * DAY_US).date(),
        busiest_share=None if busiest is None else float(per_day[busiest] / len(chosen)),
    )


def compare(scored: Scored, directions: dict[str, Bools], alpha: float) -> tuple[BaselineResult, ...]:
    """Each baseline's accuracy and the paired interval of (model right − baseline right)."""
    blocks = scored.blocks
    right = scored.right.astype(np.float64)
    results = []
    for name, said_up in directions.items():
        baseline = (said_up == scored.up).astype(np.float64)
        difference = right - baseline
        results.append(
            BaselineResult(
                name=name,
                accuracy=float(baseline.mean()),
                difference=float(difference.mean()),
                interval=ratio_interval(blocks.sums(difference), blocks.bars, alpha),
            )
        )
    return tuple(results)


def oracle_line(scored: Scored, expected_return: Floats) -> OracleLine:
    """Accuracy of the sign of the expected return [n] on the same bars; one of exactly 0 is a coin flip."""
    right = np.where(expected_return == 0.0, 0.5, (expected_return > 0.0) == scored.up)
    return OracleLine(float(right.mean()), len(scored.ts))
