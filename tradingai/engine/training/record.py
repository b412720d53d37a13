"""What a training is identified by, and the record of what it did, both as JSON types.

The record, which every evaluation reads and every certificate rests on::

    identity      what determines the result: inputs hash, settings, threads, device, versions
    coins         per coin: inputs (candles_sha256, features_sha256, definitions_sha256, rows, start, end,
                  first_valid), calibrator (method and cv_log_loss), validation (log_loss and accuracy on the
                  calibration range before and after calibration), and where the network says it, trend
                  (correlation of said and real forward return on the calibration range)
    split         the time split (half-open row ranges)
    consumed      per part the ranges fed to the network and those scored, as read, not as planned:
                  train {fed, scored, visits_per_epoch, labels}, warmup {fed},
                  early_stop and calibration {fed, scored, labels}
    fitted        every fitted constant and the rows it was fitted on: scaler, weights, best_epoch,
                  calibrator
    history       one entry an epoch; then best_epoch, epochs_run, early_stopped
    validation    log_loss and accuracy on the early-stopping range, over all coins
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.jsonio import plain
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import SCHEMA_VERSION, CoinPart
from tradingai.engine.models.calibration import CalibrationFit, Calibrator, log_loss, sigmoid
from tradingai.engine.models.device import Compute
from tradingai.engine.training.stream import FitResult

TRAINING_SCHEMA: Final = 1
"""Version of the training algorithm: a change of it trains models again."""


def training_identity(
    data: Sequence[Dataset], model: str, settings: Mapping[str, Any], compute: Compute
) -> dict[str, Any]:
    """Everything that determines the artifact's value hash, by name; ``settings`` are the training's own."""
    inputs: dict[str, str] = {}
    for one in data:
        inputs[f"data of {one.symbol}"] = one.inputs_sha256
        inputs[f"feature set of {one.symbol}"] = one.features.definitions_sha256
    return {
        "model": model,
        "coins": ", ".join(one.symbol for one in data),
        "artifact_schema": SCHEMA_VERSION,
        "training_schema": TRAINING_SCHEMA,
        **inputs,
        "device": compute.kind,
        **settings,
    }


def identity_difference(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words: ``seed 1 instead of 2``; empty when nothing does."""
    names = [name for name in {**stored, **now} if stored.get(name) != now.get(name)]
    return ", ".join(
        f"{name.replace('_', ' ')} {_shown(stored.get(name))} instead of {_shown(now.get(name))}"
        for name in names
    )


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """One coin's logits of the calibration range, float64 [n], and the calibrator fitted on them."""

    data: Dataset
    logits: Floats
    fit: CalibrationFit
    trend: float | None = None
    """Correlation of the trend head with the forward return on the same range; None without such a head."""

    def as_dict(self) -> dict[str, Any]:
        """The coin's entry in the record."""
        labels = self.data.labels[self.data.split.calibration.slice]
        trend = {} if self.trend is None else {"trend": {"correlation": self.trend}}
        return {
            **trend,
            "inputs": _inputs(self.data),
            "calibrator": self.fit.as_dict(),
            "validation": {
                "calibration_before": _scores(sigmoid(self.logits), labels),
                "calibration_after": _scores(self.fit.calibrator.probability(self.logits), labels),
            },
        }


def training_record(
    identity: Mapping[str, Any],
    fit: FitResult,
    calibrated: Sequence[Calibrated],
    calibration_fed: Rows,
    warmup_fed: Rows,
) -> dict[str, Any]:
    """The record of one training; the coins share their minutes and their split."""
    data = [one.data for one in calibrated]
    split = data[0].split
    record: dict[str, Any] = plain(
        {
            "identity": dict(identity),
            "seed": identity["seed"],
            "threads": identity["threads"],
            "device": identity["device"],
            "coins": {one.data.symbol: one.as_dict() for one in calibrated},
            "split": split.as_dict(),
            "consumed": {
                "train": {
                    "fed": _lists(fit.consumed), "scored": _lists(fit.consumed), "visits_per_epoch": 1,
                    "labels": sum(_labelled(data, rows) for rows in fit.consumed),
                },
                "early_stop": {
                    "fed": _lists([fit.validation_fed]), "scored": _lists([split.early_stop]),
                    "labels": _labelled(data, split.early_stop),
                },
                "warmup": {"fed": _lists([warmup_fed])},
                "calibration": {
                    "fed": _lists([calibration_fed]), "scored": _lists([split.calibration]),
                    "labels": _labelled(data, split.calibration),
                },
            },
            "fitted": {
                "scaler": {"rows": list(split.train)},
                "weights": {"rows": list(split.train)},
                "best_epoch": {"rows": list(split.early_stop)},
                "calibrator": {"rows": list(split.calibration)},
            },
            "history": [asdict(epoch) for epoch in fit.history],
            "best_epoch": fit.best_epoch.epoch,
            "epochs_run": len(fit.history),
            "early_stopped": fit.early_stopped,
            "validation": {
                "early_stop": {
                    "log_loss": fit.best_epoch.validation_loss,
                    "accuracy": fit.best_epoch.validation_accuracy,
                },
            },
        }
    )  # fmt: skip
    return record


def coin_part(data: Dataset, scaler: Scaler, calibrator: Calibrator) -> CoinPart:
    """What the artifact carries of one coin."""
    return CoinPart(
        symbol=data.symbol,
        scaler=scaler,
        calibrator=calibrator,
        feature_names=data.features.names,
        feature_sha256=data.features.feature_sha256,
        definitions_sha256=data.features.definitions_sha256,
    )


def _inputs(data: Dataset) -> dict[str, Any]:
    features = data.features
    return {
        "candles_sha256": data.candles.sha256, "features_sha256": features.sha256,
        "definitions_sha256": features.definitions_sha256, "inputs_sha256": data.inputs_sha256,
        "rows": data.rows, "start": features.start, "end": features.end, "first_valid": features.first_valid,
        "provider": features.provider,
    }  # fmt: skip


def _lists(ranges: Sequence[Rows]) -> list[list[int]]:
    return [list(rows) for rows in ranges]


def _labelled(data: Sequence[Dataset], rows: Rows) -> int:
    return sum(int((one.labels[rows.slice] >= 0).sum()) for one in data)


def _scores(probability: Floats, labels: Labels) -> dict[str, float]:
    known = labels >= 0
    right = (probability[known] > 0.5) == (labels[known] == 1)
    return {"log_loss": log_loss(probability, labels), "accuracy": float(np.mean(right))}


def _shown(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) == 64 else str(value)
