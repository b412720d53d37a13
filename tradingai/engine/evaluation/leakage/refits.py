"""The constants of a training record, each with the refit that check 4 compares it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.leakage.constants import FittedConstant
from tradingai.engine.evaluation.leakage.examined import Examined
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.calibration import fit_calibrator, log_loss, sigmoid
from tradingai.engine.models.voice import NetworkVoice

CURVE: Final = np.linspace(-4.0, 4.0, 161)
"""Logits at which two calibrators are compared."""

Values = npt.NDArray[np.float64]


def scaler_constant(examined: Examined) -> FittedConstant:
    """Mean and deviation of each of the coin's columns."""
    scaler, rows = examined.coin.scaler, _rows(examined, "scaler")

    def refit() -> Values:
        again = Scaler.fit(scaler.names, examined.data.values, *rows)
        return np.concatenate([again.mean, again.std])

    labels = (
        *(f"mean of {name}" for name in scaler.names),
        *(f"deviation of {name}" for name in scaler.names),
    )
    stored = np.concatenate([scaler.mean, scaler.std])
    tolerance = np.concatenate([scaler.std, scaler.std]) * 1e-9
    return FittedConstant("scaler", labels, stored, rows, examined.data.split.train, refit, tolerance)


def epoch_constant(examined: Examined) -> FittedConstant:
    """The validation loss of the weights that were kept, and that no epoch had a better judgement.

    A network's epochs are judged by that loss, the agent's stages by their reward.
    """
    rows = _rows(examined, "best_epoch")
    found = examined.record["validation"]["early_stop"]
    loss, history = found["log_loss"], examined.record["history"]
    if "reward" in found:
        judged, best = found["reward"], max(stage["validation_reward"] for stage in history)
    else:
        judged, best = loss, min(epoch["validation_loss"] for epoch in history)

    def refit() -> Values:
        voice = examined.voice
        if not isinstance(voice, NetworkVoice):
            raise TypeError(f"{type(voice).__name__} was not trained epoch by epoch")
        ((fed_lo, _),) = examined.record["consumed"]["early_stop"]["fed"]
        joined = voice.predictor.stream_all(voice.joined(examined.values), *rows, rows.lo - fed_lo)
        labels = np.stack([data.labels[rows.slice] for data in examined.together], axis=1)
        return np.array([log_loss(sigmoid(joined), labels), judged])

    stored = np.array([loss, best])
    labels = ("validation loss of the kept weights", "best judgement of all epochs")
    allowed = examined.data.split.early_stop
    return FittedConstant("best_epoch", labels, stored, rows, allowed, refit, np.full(2, 1e-6))


def calibrator_constant(examined: Examined) -> FittedConstant:
    """The coin's calibrators as curves over logits: equal curves are equal whatever their parameters."""
    rows = _rows(examined, "calibrator")
    found = examined.voice.calibrated(examined.values, *rows, examined.first, examined.data.symbol)
    labels = tuple(
        f"P(up){f' of {one.name}' if one.name else ''} at logit {logit:.2f}"
        for one in found
        for logit in CURVE
    )
    stored = np.concatenate([one.calibrator.probability(CURVE) for one in found])

    def refit() -> Values:
        known = examined.data.labels[rows.slice]
        return np.concatenate(
            [fit_calibrator(one.logits, known).calibrator.probability(CURVE) for one in found]
        )

    allowed, tolerance = examined.data.split.calibration, np.full(len(stored), 1e-6)
    return FittedConstant("calibrator", labels, stored, rows, allowed, refit, tolerance)


def _rows(examined: Examined, name: str) -> Rows:
    return Rows(*examined.record["fitted"][name]["rows"])


REFITTED: Final[Mapping[str, Callable[[Examined], FittedConstant]]] = {
    "scaler": scaler_constant,
    "best_epoch": epoch_constant,
    "calibrator": calibrator_constant,
}
"""What a training record may declare as fitted, beside weights. Weights are not refitted: what they were
fitted on is check 3's question, and whether they carry what they should not is that of checks 5 to 7."""
