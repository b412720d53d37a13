"""Training the Transformer: one network for all coins, from stored features to a published artifact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.datasets.market import load_market
from tradingai.engine.training.config import TransformerTraining
from tradingai.engine.training.job import Order, train
from tradingai.engine.training.standing import TrainingResult

TRANSFORMER: Final = "transformer"
"""The model's id, and its kind."""


def train_transformer(
    paths: HomePaths,
    symbols: Sequence[str],
    training: TransformerTraining,
    reporter: Reporter,
    *,
    clock: Clock | None = None,
) -> TrainingResult:
    """Train, calibrate and publish the Transformer of these coins; done already, it says so and returns.

    Raises MissingError without candles or features, DataError for too few rows and for coins that do not
    share their minutes, and what :func:`~tradingai.engine.training.job.train` raises.
    """
    order = Order(TRANSFORMER, TRANSFORMER, load_market(paths, symbols))
    return train(paths, order, training, reporter, clock)
