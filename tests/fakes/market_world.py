"""Two coins of which one leads, for a network that sees both, without a home."""

import numpy as np
import torch
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import SideBySide
from tradingai.engine.models.transformer import TransformerConfig, TransformerNetwork
from tradingai.engine.training.config import TransformerTraining
from tradingai.engine.training.job import blinded
from tradingai.engine.training.stream import FitTask, StreamFit

from tests.fakes.lstm_world import CPU

LAG = 6
NAMES = ("news", "noise")
SHAPE = {"projection": 4, "width": 16, "heads": 2, "layers": 2, "window": 8, "feed_forward": 16}
"""A network small enough for tests."""
QUICK = TransformerTraining(epochs=6, peak_learning_rate=1e-2, weight_decay=0.01, **SHAPE)


def leading_world(rows=6_000, seed=0):
    """Coin A moves by its own last two values of news, coin B by what A's news was six minutes ago.

    Per coin features float32 [rows, 2] in odd units; labels int8 [rows, 2], of which every eleventh is
    missing; standardised returns float32 [rows, 2], whose sign is the label.
    """
    rng = np.random.default_rng(seed)
    news, noise = rng.normal(size=rows), rng.normal(size=(rows, 3))
    earlier = np.concatenate([np.zeros(LAG), news[:-LAG]])
    moves = np.column_stack([news + np.concatenate([[0.0], news[:-1]]), earlier]).astype(np.float32)
    labels = (moves > 0).astype(np.int8)
    labels[::11] = -1
    leader = np.column_stack([30.0 * news - 7.0, noise[:, 0]]).astype(np.float32)
    return [leader, noise[:, 1:].astype(np.float32)], labels, moves


def leading_task(rows=6_000, seed=0, leave_out=(), train=None):
    """Train on the first two thirds, stop early on the rest."""
    matrices, labels, moves = leading_world(rows, seed)
    train = train or (Rows(0, rows * 2 // 3),)
    scalers = {
        coin: Scaler.fit(NAMES, matrix, train[0].lo, train[0].hi)
        for coin, matrix in zip(("A-USD", "B-USD"), matrices, strict=True)
    }
    scaler = blinded(Scaler.beside(scalers), leave_out)
    early_stop = Rows(rows * 2 // 3, rows)
    return FitTask("transformer", SideBySide(matrices), labels, scaler, train, early_stop, returns=moves)


def fit(task, training=QUICK, reporter=None, **hooks):
    """The fit, not yet run."""
    reporter = reporter or SilentReporter()
    return StreamFit(task, training, compute=CPU, reporter=reporter, clock=RealClock(), **hooks)


def small_transformer(seed=0, inputs=(3, 2), **shape):
    """A network with random weights, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TransformerNetwork(TransformerConfig(inputs, **{**SHAPE, **shape})).eval()
