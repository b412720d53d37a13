"""From a network's logit to a probability that means what it says.

Three calibrators, each monotone so that none can turn a prediction round; the one with the least blocked
cross-validated log loss is chosen. Sources: temperature, Guo et al., On Calibration of Modern Neural Networks
(2017); Platt, Probabilistic Outputs for Support Vector Machines (1999), with his smoothed targets; isotonic,
Zadrozny & Elkan (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.core.symbols import HORIZON_MINUTES
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import purged_kfold

Method = Literal["identity", "temperature", "platt", "isotonic"]

LOWEST: Final = 0.01
HIGHEST: Final = 0.99
MIN_ISOTONIC_LABELS: Final = 1000
"""Isotonic regression is a candidate from this many non-overlapping labels on."""
FOLDS: Final = 5
MAX_SLOPE: Final = 50.0
_NEWTON_STEPS: Final = 50


@dataclass(frozen=True, slots=True)
class Calibrator:
    """P(up) = σ(slope · logit + offset), or for ``isotonic`` a non-decreasing line through knots (x, y).

    Always within [0.01, 0.99]. ``temperature`` has offset 0 and slope 1/T.
    """

    method: Method = "identity"
    slope: float = 1.0
    offset: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def probability(self, logits: npt.NDArray[np.floating[Any]]) -> Floats:
        """Calibrated P(up), float64, the shape of ``logits``."""
        exact = np.asarray(logits, dtype=np.float64)
        if self.method == "isotonic":
            x, y = np.array(self.knots).T
            raw: Floats = np.interp(exact, x, y)
        else:
            raw = sigmoid(self.slope * exact + self.offset)
        return np.clip(raw, LOWEST, HIGHEST)

    def as_dict(self) -> dict[str, Any]:
        """Numbers and lists for JSON; floats keep every bit."""
        return {
            "method": self.method, "slope": self.slope, "offset": self.offset,
            "knots": [list(knot) for knot in self.knots],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Calibrator:
        """The inverse of :meth:`as_dict`. Raises ArtifactError when it is damaged."""
        try:
            method = document["method"]
            knots = tuple((float(x), float(y)) for x, y in document["knots"])
            slope, offset = float(document["slope"]), float(document["offset"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"damaged calibrator: {type(error).__name__} {error}") from error
        if method not in get_args(Method) or (method == "isotonic" and not knots):
            raise ArtifactError(f"damaged calibrator: method {method!r} with {len(knots)} knots")
        return cls(method, slope, offset, knots)


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """The chosen calibrator and what chose it."""

    calibrator: Calibrator
    cv_log_loss: dict[str, float]
    """Candidate method to its log loss on held-out blocks, nats a bar."""
    labels: int
    non_overlapping: int
    """Of these labels, how many lie at least one horizon apart."""

    def as_dict(self) -> dict[str, Any]:
        """For the training record."""
        return {
            "method": self.calibrator.method, "cv_log_loss": self.cv_log_loss, "folds": FOLDS,
            "labels": self.labels, "non_overlapping": self.non_overlapping,
        }  # fmt: skip


def fit_calibrator(logits: Floats, labels: Labels, horizon: int = HORIZON_MINUTES) -> CalibrationFit:
    """Choose a method by blocked cross-validation and fit it on all labelled rows.

    ``logits`` float64 [n] and ``labels`` int8 [n] (-1: none) are of n consecutive minutes; the five folds are
    contiguous and purged by the horizon. Equal losses go to the simpler method.
    Raises DataError when fewer than two classes are labelled.
    """
    known = labels >= 0
    if len(np.unique(labels[known])) < 2:
        raise DataError(f"{int(known.sum())} labels of one direction only: nothing can be calibrated on them")
    apart = non_overlapping(known, horizon)
    methods: list[Method] = ["temperature", "platt"]
    if apart >= MIN_ISOTONIC_LABELS:
        methods.append("isotonic")
    losses: dict[str, float] = {method: _cv_log_loss(method, logits, labels, horizon) for method in methods}
    best = min(methods, key=lambda method: losses[method])
    calibrator = fit_method(best, logits[known], labels[known])
    return CalibrationFit(calibrator, {**losses}, int(known.sum()), apart)


def fit_method(method: Method, logits: Floats, labels: Labels) -> Calibrator:
    """One method fitted on labelled rows (1 up, 0 down), deterministic."""
    return _FITS[method](np.asarray(logits, dtype=np.float64), labels.astype(np.float64))


def log_loss(probability: Floats, labels: Labels) -> float:
    """Mean cross-entropy over the labelled rows, nats. Raises DataError when there is none."""
    known = labels >= 0
    if not known.any():
        raise DataError("no labelled row to take a log loss over")
    right = np.where(labels[known] == 1, probability[known], 1.0 - probability[known])
    return float(-np.log(right).mean())


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def non_overlapping(known: npt.NDArray[np.bool_], horizon: int) -> int:
    """The most rows of ``known`` [n] that lie at least ``horizon`` rows apart."""
    count, free_from = 0, 0
    rows = np.flatnonzero(known)
    while (at := int(np.searchsorted(rows, free_from))) < len(rows):
        count, free_from = count + 1, int(rows[at]) + horizon
    return count


def _cv_log_loss(method: Method, logits: Floats, labels: Labels, horizon: int) -> float:
    """Mean loss over all labelled rows, each judged by a fit that has not seen its block."""
    total, count = 0.0, 0
    for fold in purged_kfold(len(labels), FOLDS, horizon):
        train = fold.train_indices()
        train = train[labels[train] >= 0]
        test = fold.test.slice
        n = int((labels[test] >= 0).sum())
        if n == 0 or len(train) == 0:
            continue
        fitted = fit_method(method, logits[train], labels[train])
        total += n * log_loss(fitted.probability(logits[test]), labels[test])
        count += n
    return total / count


def _fit_identity(logits: Floats, labels: Floats) -> Calibrator:  # noqa: ARG001 - one signature for all
    return Calibrator("identity")


def _fit_temperature(logits: Floats, labels: Floats) -> Calibrator:
    """The slope in [0, 50] where the log loss, convex in it, is least."""
    from scipy.optimize import brentq

    def gradient(slope: float) -> float:
        return float((logits * (sigmoid(slope * logits) - labels)).mean())

    if gradient(0.0) >= 0.0:
        return Calibrator("temperature", slope=0.0)
    if gradient(MAX_SLOPE) <= 0.0:
        return Calibrator("temperature", slope=MAX_SLOPE)
    return Calibrator("temperature", slope=float(brentq(gradient, 0.0, MAX_SLOPE, xtol=1e-13, rtol=1e-13)))


def _fit_platt(logits: Floats, labels: Floats) -> Calibrator:
    """Newton's method on the convex log loss of smoothed targets; a negative slope becomes 0."""
    up = labels.sum()
    down = len(labels) - up
    target = np.where(labels > 0, (up + 1.0) / (up + 2.0), 1.0 / (down + 2.0))
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - target)
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < 1e-12:
            break
    slope, offset = float(weights[0]), float(weights[1])
    if slope < 0.0 or not np.isfinite(weights).all():
        mean = float(target.mean())
        slope, offset = 0.0, float(np.log(mean / (1.0 - mean)))
    return Calibrator("platt", slope=min(slope, MAX_SLOPE), offset=offset)


def _fit_isotonic(logits: Floats, labels: Floats) -> Calibrator:
    """Pooled adjacent violators; knots at both ends of each flat piece, as scikit-learn interpolates."""
    from scipy.optimize import isotonic_regression

    x, inverse, weight = np.unique(logits, return_inverse=True, return_counts=True)
    y = isotonic_regression(np.bincount(inverse, labels) / weight, weights=weight).x
    ends = np.ones(len(x), dtype=bool)
    ends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    y = np.clip(y, LOWEST, HIGHEST)
    return Calibrator("isotonic", knots=tuple(zip(x[ends].tolist(), y[ends].tolist(), strict=True)))


_FITS: Final[Mapping[Method, Callable[[Floats, Floats], Calibrator]]] = {
    "identity": _fit_identity,
    "temperature": _fit_temperature,
    "platt": _fit_platt,
    "isotonic": _fit_isotonic,
}
