"""What the console shows of a feature: its last hour, and how far it has drifted from the training range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.features.compute import Features
from tradingai.engine.features.files import FeatureMatrix

BINS: Final = 10
_SAMPLE_ROWS: Final = 4096
_WEEK_MINUTES: Final = 7 * 1440
_LEAST_STEP: Final = 11
"""The smallest step above 1 that meets every minute of the week."""
_EMPTY_SHARE: Final = 1e-4
"""A bin without rows counts as this share, so that its logarithm stays finite."""


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """One feature's recent rows beside its training range.

    ``spark`` are the newest values, oldest first. ``psi`` is the population stability index: below 0.1
    stable, above 0.25 another distribution. ``shift`` is the change of the mean in training deviations.
    """

    name: str
    group: str
    lookback: int
    last: float
    spark: tuple[float, ...]
    psi: float
    shift: float


def summarise(
    matrix: FeatureMatrix, lo: int, hi: int, *, recent: int = _WEEK_MINUTES, spark: int = 60
) -> tuple[FeatureSummary, ...]:
    """Every feature's last ``spark`` values, and its last ``recent`` rows against training rows [lo, hi).

    Raises DataError when either range has no rows with features.
    """
    manifest, values = matrix.manifest, matrix.values
    lo, start = max(lo, manifest.first_valid), max(manifest.first_valid, manifest.rows - recent)
    if not lo < hi <= manifest.rows or start >= manifest.rows:
        raise DataError(f"rows {lo} … {hi} of {manifest.rows} are no range to compare {manifest.symbol} with")
    train = np.asarray(values[lo : hi : sample_step(hi - lo)], dtype=np.float64)
    now = np.asarray(values[start : manifest.rows], dtype=np.float64)
    newest = np.asarray(values[max(start, manifest.rows - spark) :])
    return tuple(
        FeatureSummary(
            name=name, group=manifest.groups[column], lookback=manifest.lookbacks[column],
            last=float(newest[-1, column]), spark=tuple(newest[:, column].tolist()),
            psi=population_stability_index(train[:, column], now[:, column]),
            shift=standardised_shift(train[:, column], now[:, column]),
        )
        for column, name in enumerate(manifest.names)
    )  # fmt: skip


def sparkline(values: Features, column: int, rows: int = 60) -> tuple[float, ...]:
    """The last ``rows`` values of a column, oldest first."""
    return tuple(values[max(0, len(values) - rows) :, column].tolist())


def sample_step(rows: int) -> int:
    """Distance between sampled rows: some thousands of them, at every minute of the week in turn.

    Few enough that a memory map of years is not read whole; up to 45,056 rows are all taken.
    """
    step = rows // _SAMPLE_ROWS
    if step < _LEAST_STEP:
        return 1
    while math.gcd(step, _WEEK_MINUTES) > 1:
        step += 1
    return step


def population_stability_index(reference: Floats, recent: Floats, bins: int = BINS) -> float:
    """Sum over bins of (q - p) ln(q / p), p and q the shares of reference and recent values.

    Bins are quantiles of the reference, repeated edges (flags, constants) merged. Source: Siddiqi (2006).
    """
    inner = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(reference, inner, method="inverted_cdf"))
    shares = []
    for values in (reference, recent):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        shares.append(np.maximum(counts / len(values), _EMPTY_SHARE))
    before, after = shares
    return float(np.sum((after - before) * np.log(after / before)))


def standardised_shift(reference: Floats, recent: Floats) -> float:
    """(mean of recent - mean of reference) / deviation of reference; 0 for a constant reference."""
    deviation = float(reference.std())
    shift = float(recent.mean() - reference.mean())
    return shift / deviation if deviation > 0 else 0.0
