"""Training one coin's LSTM: from stored features to a published artifact."""

from __future__ import annotations

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.symbols import lstm_name
from tradingai.engine.datasets.market import load_market
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.job import Order, train
from tradingai.engine.training.standing import TrainingResult


def train_lstm(
    paths: HomePaths,
    symbol: str,
    training: LstmTraining,
    reporter: Reporter,
    *,
    clock: Clock | None = None,
) -> TrainingResult:
    """Train, calibrate and publish the LSTM of ``symbol``; done already, it says so and returns.

    Raises MissingError without candles or features, DataError for too few rows, and what
    :func:`~tradingai.engine.training.job.train` raises.
    """
    order = Order(lstm_name(symbol), "lstm", load_market(paths, [symbol]))
    return train(paths, order, training, reporter, clock)
