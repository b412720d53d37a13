"""Quick models that the battery fits itself: a logistic regression, and a memory of every training row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Predictor = Callable[[Features], Bools]
"""Features [n, F] to predicted direction [n], True is up."""
Recall = Callable[[Features, Ints], Bools]
"""Features [n, F] and rows of them [k] to remembered direction [k]."""

_RIDGE = 1e-3
_STEPS = 8
_BLOCK_ROWS = 65_536


def logistic(values: Features, up: Bools) -> Predictor:
    """Ridge logistic regression by Newton's method, on columns of about unit scale."""
    design = _with_intercept(values)
    weights = np.zeros(design.shape[1])
    penalty = _RIDGE * len(design) * np.eye(len(weights))
    penalty[-1, -1] = 0.0
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        gradient = design.T @ (up - p) - penalty @ weights
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + penalty
        weights = weights + np.linalg.lstsq(curvature, gradient, rcond=None)[0]

    def predict(other: Features) -> Bools:
        said: Bools = _with_intercept(other) @ weights > 0.0
        return said

    return predict


def memory(values: Features, rows: Ints, up: Bools) -> Recall:
    """Remembers the label of every training row; a row it never saw gets the training majority.

    ``values`` [n, F] are the rows of which ``rows`` [m] were trained on with labels ``up`` [m]. It scores at
    chance on rows that are new, and right on rows that training has seen: nothing else finds a row that is
    in two ranges as surely.
    """
    keys, first = np.unique(_row_keys(values, rows), return_index=True)
    labels = up[first]
    majority = bool(2 * int(up.sum()) >= len(up))

    def recall(other: Features, wanted_rows: Ints) -> Bools:
        wanted = _row_keys(other, wanted_rows)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, labels[at], majority)

    return recall


def _with_intercept(values: Features) -> npt.NDArray[np.float64]:
    return np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])


def _row_keys(values: Features, rows: Ints) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row's exact bits: a random linear form over the integers modulo 2^64."""
    factors = np.random.default_rng(20_251_110).integers(1, 2**63, size=values.shape[1], dtype=np.uint64)
    keys = np.empty(len(rows), dtype=np.uint64)
    for lo in range(0, len(rows), _BLOCK_ROWS):
        block = np.ascontiguousarray(values[rows[lo : lo + _BLOCK_ROWS]], dtype=np.float32)
        bits = block.view(np.uint32).astype(np.uint64)
        keys[lo : lo + len(block)] = (bits * (factors | np.uint64(1))).sum(axis=1, dtype=np.uint64)
    return keys
