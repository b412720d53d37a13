"""Real candles: an excerpt in ``tests/data`` (see ORIGIN.md there), and whole files where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles

(REAL_FILE,) = (Path(__file__).parents[1] / "data").glob("BTC-USDT_1m_*.parquet")
REAL_MARKET = Path(os.environ.get("REAL_MARKET", "/work/shared/market"))
"""Weeks of real candles, too large for this repository: ``BASE-QUOTE_1m_FROM_TO.parquet``."""


def real_candles(file: Path = REAL_FILE) -> Candles:
    """Candles of a file as they were published; without one three days of BTC-USDT, consecutive minutes."""
    frame = pl.read_parquet(file)
    ts = frame["ts"].dt.epoch("us").to_numpy().astype(np.int64)
    return Candles(ts, *(frame[name].to_numpy().astype(np.float64) for name in PRICE_COLUMNS))
