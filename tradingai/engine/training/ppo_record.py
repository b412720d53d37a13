"""The record of an agent's training, in the form of :mod:`tradingai.engine.training.record`.

What differs: the network saw rewards and no label, so ``train`` counts ``rewards`` and has 0 ``labels``; an
entry of ``history`` is a stage of several updates; ``best_epoch`` is the stage whose weights were kept, for
its ``validation.early_stop.reward``: the greedy policy's mean net log return a minute, in units of the
training range's root mean square minute return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.jsonio import plain
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.calibration import log_loss, sigmoid
from tradingai.engine.training.lanes import joined
from tradingai.engine.training.market_env import MarketEnv
from tradingai.engine.training.ppo_fit import PpoState
from tradingai.engine.training.record import Calibrated


def agent_record(
    identity: Mapping[str, Any],
    env: MarketEnv,
    state: PpoState,
    calibrated: Sequence[Calibrated],
    early: Floats,
) -> dict[str, Any]:
    """The record of one training; the coins share their minutes, their split and the lanes' ends.

    ``early`` float64 [rows, coins] are the uncalibrated logits of the early-stopping range.
    """
    data = [one.data for one in calibrated]
    split, rewarded = data[0].split, env.consumed(0)
    bars = sum(rows.size for rows in rewarded) * len(data)
    best = state.best_stage
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
                    "fed": [[rows.lo, rows.hi] for rows in joined([Rows(lo, hi + 1) for lo, hi in rewarded])],
                    "scored": [list(rows) for rows in rewarded],
                    "visits_per_epoch": state.history[0].env_steps / bars,
                    "labels": 0, "rewards": bars,
                },
                "early_stop": {
                    "fed": [list(split.early_stop)], "scored": [list(split.early_stop)],
                    "labels": _labelled(data, split.early_stop),
                },
                "calibration": {
                    "fed": [list(split.calibration)], "scored": [list(split.calibration)],
                    "labels": _labelled(data, split.calibration),
                },
            },
            "fitted": {
                "scaler": {"rows": list(split.train)},
                "weights": {"rows": list(split.train)},
                "best_epoch": {"rows": list(split.early_stop)},
                "calibrator": {"rows": list(split.calibration)},
            },
            "history": [asdict(stage) for stage in state.history],
            "best_epoch": best.stage,
            "epochs_run": len(state.history),
            "early_stopped": False,
            "validation": {
                "early_stop": {**_direction(data, early), "reward": best.validation_reward},
            },
        }
    )  # fmt: skip
    return record


def _direction(data: Sequence[Dataset], early: Floats) -> dict[str, float]:
    """Log loss in nats and accuracy of p_RL, uncalibrated, over the labelled bars of all coins."""
    labels = np.concatenate([one.labels[one.split.early_stop.slice] for one in data])
    logits = np.ascontiguousarray(early.T).reshape(-1)
    known = labels >= 0
    right = (logits[known] > 0) == (labels[known] == 1)
    return {"log_loss": log_loss(sigmoid(logits), labels), "accuracy": float(np.mean(right))}


def _labelled(data: Sequence[Dataset], rows: Rows) -> int:
    return sum(int((one.labels[rows.slice] >= 0).sum()) for one in data)
