"""The excerpt of real candles in ``tests/data`` (see ORIGIN.md there)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles

(REAL_FILE,) = (Path(__file__).parents[1] / "data").glob("BTC-USDT_1m_*.parquet")


def real_candles() -> Candles:
    """Three days of BTC-USDT, consecutive minutes as they were published."""
    frame = pl.read_parquet(REAL_FILE)
    ts = frame["ts"].dt.epoch("us").to_numpy().astype(np.int64)
    return Candles(ts, *(frame[name].to_numpy().astype(np.float64) for name in PRICE_COLUMNS))
