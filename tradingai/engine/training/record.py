"""What a training is identified by, and the record of what it did, both as JSON types.

The record, which every evaluation reads and every certificate rests on::

    identity      what determines the result: inputs hash, settings, threads, device, versions
    inputs        candles_sha256, features_sha256, definitions_sha256, rows, start, end, first_valid
    split         the time split (half-open row ranges)
    consumed      per part the ranges fed to the network and those scored, as read, not as planned:
                  train {fed, scored, visits_per_epoch, labels}, warmup {fed},
                  early_stop and calibration {fed, scored, labels}
    fitted        every fitted constant and the rows it was fitted on: scaler, weights, best_epoch,
                  calibrator (with method and cv_log_loss)
    history       one entry an epoch; then best_epoch, epochs_run, early_stopped
    validation    log_loss and accuracy on the early-stopping range, and on the calibration range before
                  and after calibration
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.jsonio import plain
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.artifact import SCHEMA_VERSION
from tradingai.engine.models.calibration import CalibrationFit, log_loss, sigmoid
from tradingai.engine.models.device import Compute
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.stream import FitResult

TRAINING_SCHEMA: Final = 1
"""Version of the training algorithm: a change of it trains models again."""


def training_identity(data: Dataset, model: str, training: LstmTraining, compute: Compute) -> dict[str, Any]:
    """Everything that determines the artifact's value hash, by name."""
    return {
        "model": model,
        "artifact_schema": SCHEMA_VERSION,
        "training_schema": TRAINING_SCHEMA,
        "inputs_sha256": data.inputs_sha256,
        "definitions_sha256": data.features.definitions_sha256,
        "device": compute.kind,
        **training.identity(),
    }


def identity_difference(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words: ``seed 1 instead of 2``; empty when nothing does."""
    names = [name for name in {**stored, **now} if stored.get(name) != now.get(name)]
    return ", ".join(
        f"{_label(name)} {_shown(stored.get(name))} instead of {_shown(now.get(name))}" for name in names
    )


def training_record(
    data: Dataset,
    identity: Mapping[str, Any],
    fit: FitResult,
    calibration: CalibrationFit,
    logits: Floats,
    calibration_fed: Rows,
    warmup_fed: Rows,
) -> dict[str, Any]:
    """The record of one training; ``logits`` float64 are those of the calibration range."""
    split, labels = data.split, data.labels
    calibration_labels = labels[split.calibration.slice]
    record: dict[str, Any] = plain(
        {
            "identity": dict(identity),
            "seed": identity["seed"],
            "threads": identity["threads"],
            "device": identity["device"],
            "inputs": _inputs(data),
            "split": split.as_dict(),
            "consumed": {
                "train": {
                    "fed": _lists(fit.consumed), "scored": _lists(fit.consumed), "visits_per_epoch": 1,
                    "labels": sum(_labelled(labels, rows) for rows in fit.consumed),
                },
                "early_stop": {
                    "fed": _lists([fit.validation_fed]), "scored": _lists([split.early_stop]),
                    "labels": _labelled(labels, split.early_stop),
                },
                "warmup": {"fed": _lists([warmup_fed])},
                "calibration": {
                    "fed": _lists([calibration_fed]), "scored": _lists([split.calibration]),
                    "labels": _labelled(labels, split.calibration),
                },
            },
            "fitted": {
                "scaler": {"rows": list(split.train)},
                "weights": {"rows": list(split.train)},
                "best_epoch": {"rows": list(split.early_stop)},
                "calibrator": {"rows": list(split.calibration), **calibration.as_dict()},
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
                "calibration_before": _scores(sigmoid(logits), calibration_labels),
                "calibration_after": _scores(calibration.calibrator.probability(logits), calibration_labels),
            },
        }
    )  # fmt: skip
    return record


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


def _labelled(labels: Labels, rows: Rows) -> int:
    return int((labels[rows.slice] >= 0).sum())


def _scores(probability: Floats, labels: Labels) -> dict[str, float]:
    known = labels >= 0
    right = (probability[known] > 0.5) == (labels[known] == 1)
    return {"log_loss": log_loss(probability, labels), "accuracy": float(np.mean(right))}


def _label(name: str) -> str:
    return {"inputs_sha256": "data", "definitions_sha256": "feature set"}.get(name, name.replace("_", " "))


def _shown(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) == 64 else str(value)
