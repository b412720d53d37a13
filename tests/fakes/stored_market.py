"""Stored candles of a small synthetic market, and models that have an opinion on every minute of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.compute import compute
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.promoted import LiveModel, PromotedModels
from tradingai.engine.models.artifact import CoinPart, ModelArtifact, Warmup
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.models.predict import predict_logits, predict_probability
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.runtime.replay import ReplayInputs, plan_replay, read_inputs, replay
from tradingai.engine.runtime.verify import Verification, verify_run
from tradingai.engine.store.database import Store

from tests.fakes.homes import new_home, plain_settings
from tests.fakes.live import promote
from tests.fakes.lstm_world import with_part

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
    return opinionated_on(candles(coins=coins), symbol, seed=seed)


def opinionated_on(
    stored: Mapping[str, Candles], symbol: str, *, seed: int = 0, **origin: Any
) -> ModelArtifact:
    """The same over the candles of any coins and the same minutes; ``origin`` says where they come from."""
    features = feature_set(symbol, tuple(set(stored) - {symbol}))
    closes = {name: stored[name].close for name in features.peers}
    values = compute(features, stored[symbol], closes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LstmNetwork(LstmConfig(len(features), projection=8, hidden=8)).eval()
    artifact = ModelArtifact(
        model=f"lstm_{symbol}",
        kind="lstm",
        coins=(
            CoinPart(
                symbol,
                Scaler.fit(features.names, values, features.lookback, len(values)),
                Calibrator(),
                features.names,
                tuple(feature.sha256 for feature in features.features),
                features.sha256,
            ),
        ),
        config=network.config.as_dict(),
        tensors={name: value.clone() for name, value in network.state_dict().items()},
        warmup=Warmup(WARMUP, 40, agrees=True, difference=1e-8, tolerance=1e-6, starts=10),
        record={"identity": {"seed": seed}, "epochs_run": 1},
        **{"market": "cycles", "synthetic": True, **origin},
    )
    logits = predict_logits(artifact, values[features.lookback :])
    slope = 1.2 / float(logits.std())
    return with_part(artifact, calibrator=Calibrator("platt", slope, -slope * float(logits.mean())))


@cache
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


def replay_home(root: Path, days: float = 3.6) -> HomePaths:
    """A home with stored candles of every coin and an opinionated model of each live."""
    clock = RealClock()
    paths = new_home(root, clock)
    store_candles(paths, days)
    for coin in COINS:
        promote(paths, clock, opinionated(coin))
    return paths


@dataclass
class Replays:
    """A home in which to replay."""

    paths: HomePaths
    store: Store
    settings: Settings

    def inputs(self, hours: float = 2, **how: Any) -> ReplayInputs:
        symbols = how.pop("symbols", COINS)
        plan = plan_replay(self.paths, symbols, hours, how.pop("end", None), self.settings.scan_interval_s)
        return read_inputs(self.paths, self.settings, plan, **how)

    async def replay(
        self, hours: float = 2, *, source: Any = None, reporter: Any = None, **how: Any
    ) -> dict[str, Any]:
        """The document of one replay."""
        inputs = self.inputs(hours, **how)
        return await replay(
            self.store, self.settings, inputs, reporter or SilentReporter(), RealClock(), source=source
        )

    async def verify(self, run: str | None = None) -> Verification:
        return await verify_run(self.store, self.paths, run, SilentReporter(), RealClock())


@asynccontextmanager
async def open_replays(root: Path, **changes: Any) -> AsyncIterator[Replays]:
    """The home at ``root`` (see :func:`replay_home`) with its store open."""
    paths, clock = HomePaths(root), RealClock()
    settings = plain_settings(symbols=COINS, **changes)
    async with await Store.open(root / "tradingai.db", paths, clock) as store:
        yield Replays(paths, store, settings)
