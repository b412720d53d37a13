"""Check 5: what is fitted to shuffled labels knows nothing.

All labels are permuted once, over training and scored rows together, so that a row which is in both keeps
its label: a fit that does better than chance has seen what it is scored on. Scores are balanced accuracies,
whose expectation under the permutation is exactly 50 % whatever the share of rising labels; the standard
error follows from the permutation, which makes the scored labels exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import Reporter

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int8]
Ints = npt.NDArray[np.int64]
ShuffledFit = Callable[[Labels, int], tuple[Ints, Bools]]
"""(permuted labels [n] with -1 for none, seed) to (scored rows [m], predicted direction [m])."""

LIMIT_SE: Final = 3.0
CONFIRMATIONS: Final = 4
"""A score beyond the limit is judged on this many permutations more, together with the first."""


@dataclass(frozen=True, slots=True)
class Score:
    """Balanced accuracy and its standard error."""

    accuracy: float
    error: float

    @property
    def within(self) -> bool:
        """Within :data:`LIMIT_SE` standard errors of one half."""
        return abs(self.accuracy - 0.5) <= LIMIT_SE * self.error + 1e-12

    @property
    def away(self) -> float:
        """Distance from one half in standard errors."""
        return abs(self.accuracy - 0.5) / self.error if self.error else 0.0


def permuted(labels: Labels, rng: np.random.Generator) -> Labels:
    """The labels in random order over the rows that have one."""
    shuffled = labels.copy()
    known = np.flatnonzero(labels >= 0)
    shuffled[known] = labels[rng.permutation(known)]
    return shuffled


def balanced_score(said_up: Bools, up: Bools) -> Score:
    """Mean of the hit rates among rising and falling labels, and its standard error under permutation.

    With m₁ rising and m₀ falling labels among which a share q is called up at random, each hit rate has
    variance q(1 − q)/m (the finite-population factor, below 1, is left out).
    """
    rising, falling = int(up.sum()), int((~up).sum())
    if not rising or not falling:
        return Score(0.5, 0.0)
    q = float(said_up.mean())
    accuracy = 0.5 * (float(said_up[up].mean()) + float((~said_up[~up]).mean()))
    return Score(accuracy, 0.5 * math.sqrt(q * (1.0 - q) * (1.0 / rising + 1.0 / falling)))


def shuffled_labels(
    labels: Labels, fits: Mapping[str, ShuffledFit], rng: np.random.Generator, reporter: Reporter
) -> CheckResult:
    """Fit everything to permuted labels; each must score within 3 standard errors of 50 %.

    A fit beyond the limit is repeated with fresh permutations and judged by all of them together: chance
    does not repeat itself, a leak does.
    """
    scores: dict[str, Score] = {}
    for name, fit in fits.items():
        reporter.safe_point()
        first = _score(labels, fit, rng)
        if first.within:
            scores[name] = first
        else:
            scores[name] = _pooled([first, *(_score(labels, fit, rng) for _ in range(CONFIRMATIONS))])
    accused = tuple(name for name, score in scores.items() if not score.within)
    detail = ", ".join(f"{name} {100 * s.accuracy:.1f} % ({s.away:.1f} se)" for name, s in scores.items())
    if accused:
        detail = f"{' and '.join(accused)} learned from shuffled labels: {detail}; limit {LIMIT_SE:.0f} se"
    return CheckResult(
        name="shuffled_labels",
        passed=bool(scores) and not accused,
        detail=detail,
        evidence={name: {"accuracy": s.accuracy, "standard_error": s.error} for name, s in scores.items()},
        accused=accused,
    )


def _score(labels: Labels, fit: ShuffledFit, rng: np.random.Generator) -> Score:
    shuffled = permuted(labels, rng)
    rows, said_up = fit(shuffled, int(rng.integers(2**31)))
    known = shuffled[rows] >= 0
    return balanced_score(said_up[known], shuffled[rows][known] == 1)


def _pooled(scores: list[Score]) -> Score:
    k = len(scores)
    return Score(sum(s.accuracy for s in scores) / k, math.sqrt(sum(s.error**2 for s in scores)) / k)
