"""Stored candles of a small synthetic market, and models that have an opinion on every minute of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import torch
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.compute import compute
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.promoted import LiveModel, PromotedModels
from tradingai.engine.models.artifact import ModelArtifact, Warmup
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.models.predict import predict_logits, predict_probability
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.providers.synthetic.market import SyntheticMarket

COINS = ("BTC-USD", "ETH-USD", "BNB-USD")
END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
"""Open time of the newest candle."""
LAST = datetime_to_us(END) // MINUTE_US
SEED = 7
WARMUP = 90


@cache
def candles(minutes: int = 3600, coins: tuple[str, ...] = COINS) -> Mapping[str, Candles]:
    """The newest minutes of each coin."""
    market = SyntheticMarket("cycles", SEED)
    return {coin: market.candles(coin, LAST - minutes + 1, LAST) for coin in coins}


def store_candles(paths: HomePaths, days: float, coins: Sequence[str] = COINS) -> None:
    """The same as datasets of a home, over the last ``days``."""
    start = END - timedelta(days=days) + timedelta(minutes=1)
    for coin in coins:
        generate_dataset(paths, coin, "cycles", SEED, start, END, None, SilentReporter())


@cache
def opinionated(symbol: str, coins: tuple[str, ...] = COINS, *, seed: int = 0) -> ModelArtifact:
    """An untrained network over the coin's features whose probability wanders between 0 and 1."""
    features = feature_set(symbol, tuple(set(coins) - {symbol}))
    market = candles(coins=coins)
    closes = {name: market[name].close for name in features.peers}
    values = compute(features, market[symbol], closes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LstmNetwork(LstmConfig(len(features), projection=8, hidden=8)).eval()
    artifact = ModelArtifact(
        model=f"lstm_{symbol}",
        kind="lstm",
        symbol=symbol,
        config=network.config.as_dict(),
        tensors={name: value.clone() for name, value in network.state_dict().items()},
        scaler=Scaler.fit(features.names, values, features.lookback, len(values)),
        calibrator=Calibrator(),
        feature_names=features.names,
        feature_sha256=tuple(feature.sha256 for feature in features.features),
        definitions_sha256=features.sha256,
        warmup=Warmup(WARMUP, 40, agrees=True, difference=1e-8, tolerance=1e-6, starts=10),
        record={"identity": {"seed": seed}, "epochs_run": 1},
        market="cycles",
        synthetic=True,
    )
    logits = predict_logits(artifact, values[features.lookback :])
    slope = 1.2 / float(logits.std())
    return replace(artifact, calibrator=Calibrator("platt", slope, -slope * float(logits.mean())))


def live_model(
    symbol: str, version: str = "v1.0.0", coins: tuple[str, ...] = COINS, *, seed: int = 0
) -> LiveModel:
    """The same, promoted."""
    return LiveModel(f"lstm_{symbol}", version, opinionated(symbol, coins, seed=seed))


def promoted(*symbols: str) -> PromotedModels:
    """A model for each coin (all of them when none is named)."""
    return PromotedModels(tuple(live_model(symbol) for symbol in symbols or COINS))


def batch_probability(symbol: str, minutes: int = 3600) -> tuple[np.ndarray, np.ndarray]:
    """(open times, P(up)) of one pass over all rows that have features."""
    artifact, market = opinionated(symbol), candles(minutes)
    features = feature_set(symbol, tuple(set(COINS) - {symbol}))
    values = compute(features, market[symbol], {name: market[name].close for name in features.peers})
    first = features.lookback
    return market[symbol].ts[first:], predict_probability(artifact, values[first:])
