"""Check 6: no feature alone predicts what only the whole model should, or hardly anything could.

Each feature is cut into 20 quantile bins of the training rows, and each bin predicts what was more
frequent in it: a rule with any direction, threshold or hump. A feature is accused when that rule reaches
80 % on the test bars, or the model's accuracy plus 2 points. For the second limit, chance is taken into
account: among many features on a short test range some rule beats a weak model by luck, so the paired
block interval of (rule right − model right), at 1 % over all features together, must lie above zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.evaluation.intervals import MIN_BLOCKS, day_blocks, ratio_interval

Features = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

ABSOLUTE_LIMIT: Final = 0.80
MARGIN: Final = 0.02
BINS: Final = 20
ALPHA: Final = 0.01
"""Chance that any innocent feature is accused beside a model that is no better than chance."""
MAX_ROWS: Final = 120_000
"""Longer ranges are thinned evenly: a rule that reaches 80 % does so on a tenth of the bars as well."""
_BLOCK_MINUTES: Final = (1440, 480, 240, 60)
"""Lengths of the blocks of the paired interval: the longest that leaves enough of them."""


@dataclass(frozen=True, slots=True)
class SingleFeatureInput:
    """Training rows to fit rules on, and labelled test bars that the model was scored on."""

    names: tuple[str, ...]
    train: Features
    """float32 [m, F]"""
    train_up: Bools
    test: Features
    """float32 [n, F]"""
    test_up: Bools
    test_ts: Ints
    model_right: Bools
    """Whether the model was right on each test bar [n]."""


def single_feature(given: SingleFeatureInput) -> CheckResult:
    """Fit and score one rule a feature. Fails naming every feature beyond a limit."""
    model = float(given.model_right.mean())
    limit = min(ABSOLUTE_LIMIT, model + MARGIN)
    accuracies: dict[str, float] = {}
    accused = []
    for column, name in enumerate(given.names):
        right = _rule_right(given.train[:, column], given.train_up, given.test[:, column], given.test_up)
        accuracies[name] = float(right.mean())
        if accuracies[name] >= ABSOLUTE_LIMIT or (
            accuracies[name] >= limit and _beats(right, given, ALPHA / len(given.names))
        ):
            accused.append(name)
    best = max(accuracies, key=accuracies.__getitem__)
    if accused:
        named = ", ".join(f"{name} {100 * accuracies[name]:.1f} %" for name in accused[:6])
        detail = f"{named} alone: limit {100 * limit:.1f} %"
    else:
        by_chance = ", not more than chance explains" if accuracies[best] >= limit else ""
        detail = f"best {best} {100 * accuracies[best]:.1f} %, limit {100 * limit:.1f} %{by_chance}"
    return CheckResult(
        name="single_feature",
        passed=not accused,
        detail=detail,
        evidence={"limit": limit, "best": best, "accuracy": accuracies},
        accused=tuple(accused),
    )


def thinned(rows: Ints, limit: int = MAX_ROWS) -> Ints:
    """At most ``limit`` of the rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // limit))]


def _rule_right(train: Features, train_up: Bools, test: Features, test_up: Bools) -> Bools:
    """Whether the rule fitted to one training column is right on each test bar."""
    edges = np.unique(np.quantile(train, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    bins = len(edges) + 1
    inside = np.searchsorted(edges, train, side="right")
    rising = np.bincount(inside, weights=train_up, minlength=bins)
    total = np.bincount(inside, minlength=bins)
    says_up = np.where(total > 0, 2.0 * rising >= total, 2.0 * train_up.mean() >= 1.0)
    right: Bools = says_up[np.searchsorted(edges, test, side="right")] == test_up
    return right


def _beats(right: Bools, given: SingleFeatureInput, alpha: float) -> bool:
    """Whether the rule beats the model by more than chance: the paired interval lies above zero.

    With too few blocks even of an hour nothing can be told, and the rule is taken at its word.
    """
    difference = right.astype(np.float64) - given.model_right
    for minutes in _BLOCK_MINUTES:
        blocks = day_blocks(given.test_ts, minutes * MINUTE_US)
        if len(blocks) >= MIN_BLOCKS:
            interval = ratio_interval(blocks.sums(difference), blocks.bars, alpha)
            return interval.lo is not None and interval.lo > 0.0
    return True
