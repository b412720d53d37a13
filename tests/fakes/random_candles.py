"""Candles drawn from a seeded generator, for tests that need realistic columns and no market model."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.store.candle_files import DatasetIdentity, Flags, write_dataset
from tradingai.engine.store.manifests import DatasetManifest

START_MINUTE = 26_297_280 + 137
"""2020-01-01 02:17 UTC: on no boundary of a slower bar."""


def random_candles(
    rows: int, seed: int = 0, start_minute: int = START_MINUTE, price: float = 100.0
) -> Candles:
    """Fat-tailed random walk with valid bars and log-normal volume."""
    generator = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(generator.standard_t(4, rows) * 5e-4))
    open_ = np.concatenate([[price], close[:-1]])
    high = np.maximum(open_, close) * (1.0 + np.abs(generator.normal(0.0, 2e-4, rows)))
    low = np.minimum(open_, close) * (1.0 - np.abs(generator.normal(0.0, 2e-4, rows)))
    ts = (start_minute + np.arange(rows, dtype=np.int64)) * MINUTE_US
    return Candles(ts, open_, high, low, close, generator.lognormal(0.0, 1.0, rows))


def with_flat_stretch(candles: Candles, first: int, last: int) -> Candles:
    """Rows [first, last) as cleaning fills a gap: the last close before it, without volume."""
    columns = {name: column.copy() for name, column in candles.columns().items()}
    for name in ("open", "high", "low", "close"):
        columns[name][first:last] = candles.close[first - 1]
    columns["volume"][first:last] = 0.0
    return Candles(**columns)


def scaled(candles: Candles, factor: float) -> Candles:
    """All prices multiplied by ``factor``, volume as it is."""
    prices = (candles.open, candles.high, candles.low, candles.close)
    return Candles(candles.ts, *(column * factor for column in prices), candles.volume)


def store_candles(
    paths: HomePaths,
    symbol: str,
    candles: Candles,
    *,
    provider: str = "synthetic",
    market: str | None = "cycles",
    seed: int | None = 1,
) -> DatasetManifest:
    """Write candles as the dataset of ``symbol``, with nothing flagged."""
    return write_dataset(
        paths,
        symbol,
        candles,
        identity=DatasetIdentity(provider, market, seed, {}),
        quality={},
        flags=Flags(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)),
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
        reporter=SilentReporter(),
    )
