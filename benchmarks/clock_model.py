"""What the clock alone tells: models that see the minute of the day and the day of the week, nothing else.

There are 10,080 minutes in a week, so labels are first counted for each of them; both models are fitted on
these counts alone. ``harmonics`` is a logistic regression on 24 harmonics of the minute of the day (periods
from 24 hours down to one) and the day of the week. ``slots`` looks up what was more frequent in the same
quarter of an hour of the week: it can learn any pattern, and has few days to learn each from.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.datasets.splits import Rows

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WEEK_MINUTES: Final = 7 * DAY_MINUTES
HARMONICS: Final = 24
SLOT_MINUTES: Final = 15
RIDGE: Final = 1.0
_NEWTON_STEPS: Final = 20


def clock_accuracy(
    ts: npt.NDArray[np.int64], labels: npt.NDArray[np.int8], train: Rows, test: Rows
) -> dict[str, float]:
    """Accuracy of both models, fitted on ``train``, over the labelled bars of ``test``.

    ``ts`` int64 [rows] in microseconds, ``labels`` int8 [rows]: 1 up, 0 down, -1 none.
    """
    minute = (ts // MINUTE_US % WEEK_MINUTES).astype(np.int64)
    up, known = _counts(minute[train.slice], labels[train.slice])
    scored = labels[test.slice] >= 0
    right = labels[test.slice][scored] == 1
    models = {"harmonics": _harmonics(up, known), "slots": _slots(up, known)}
    return {name: float(np.mean(says[minute[test.slice][scored]] == right)) for name, says in models.items()}


def _counts(minute: npt.NDArray[np.int64], labels: npt.NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Labels up, and labels, for each minute of the week."""
    known = minute[labels >= 0]
    up = np.bincount(minute[labels == 1], minlength=WEEK_MINUTES).astype(np.float64)
    return up, np.bincount(known, minlength=WEEK_MINUTES).astype(np.float64)


def _harmonics(up: Floats, known: Floats) -> Bools:
    """Logistic regression by Newton's method with a ridge penalty; True where it says up."""
    minutes = np.arange(WEEK_MINUTES)
    angle = 2.0 * np.pi * (minutes % DAY_MINUTES) / DAY_MINUTES
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.sin, np.cos)]
    days = [(minutes // DAY_MINUTES == day).astype(np.float64) for day in range(7)]
    design = np.stack([*waves, *days], axis=1)
    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        probability = 1.0 / (1.0 + np.exp(-design @ weights))
        gradient = design.T @ (up - known * probability) - RIDGE * weights
        curvature = (design * (known * probability * (1.0 - probability))[:, None]).T @ design
        weights += np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
    return np.asarray(design @ weights > 0.0)


def _slots(up: Floats, known: Floats) -> Bools:
    """The more frequent direction of each quarter of an hour of the week."""
    slot = np.arange(WEEK_MINUTES) // SLOT_MINUTES
    return np.asarray((2.0 * np.bincount(slot, up) > np.bincount(slot, known))[slot])
