"""Rules that need no model; a model has to beat each of them on the same bars."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import HORIZON_MINUTES

Bools = npt.NDArray[np.bool_]
BASELINES: Final = ("majority", "momentum", "inverse")


def majority_up(train_labels: npt.NDArray[np.int8]) -> bool:
    """Whether 1 is at least as frequent as 0 among the training labels (−1 is no label)."""
    return int((train_labels == 1).sum()) >= int((train_labels == 0).sum())


def baseline_directions(
    close: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], *, majority: bool
) -> dict[str, Bools]:
    """Predicted direction (True is up) of each rule at ``rows`` [n] of ``close`` [N].

    ``majority`` is what training saw more often; ``momentum`` repeats the sign of the move over the last
    15 minutes, ``inverse`` its opposite. A last move of exactly zero, or one that begins before the data,
    says nothing: both rules then fall back to the majority.
    """
    before = rows - HORIZON_MINUTES
    move = np.where(before >= 0, close[rows] - close[np.maximum(before, 0)], 0.0)
    up = np.where(move == 0.0, majority, move > 0.0)
    down = np.where(move == 0.0, majority, move < 0.0)
    return {"majority": np.full(len(rows), majority), "momentum": up, "inverse": down}
