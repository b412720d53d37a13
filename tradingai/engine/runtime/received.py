"""Between candles as arrays and the rows that a live run keeps of what it received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, us_to_datetime
from tradingai.engine.inference.stream import SeenCoin
from tradingai.engine.store.live_rows import LiveCandle


def received_candles(seq: int, seen: Iterable[SeenCoin], at_us: int) -> tuple[LiveCandle, ...]:
    """What scan ``seq`` received at ``at_us``, as rows."""
    return tuple(row for coin in seen for row in candle_rows(coin.symbol, coin.raw, seq, at_us, warm=False))


def candle_rows(symbol: str, candles: Candles, seq: int, at_us: int, *, warm: bool) -> Iterator[LiveCandle]:
    """Raw candles as rows; ``warm`` for history that filled the windows after scan ``seq``."""
    received = us_to_datetime(at_us)
    for ts, open_, high, low, close, volume in zip(
        *(column.tolist() for column in candles.columns().values()), strict=True
    ):
        yield LiveCandle(seq, warm, symbol, ts, open_, high, low, close, volume, received)


def history_of(rows: Sequence[LiveCandle]) -> Mapping[str, Candles]:
    """Rows in the order they were received as one ascending series a coin: a minute's newest row counts.

    That is what a stream that took them one after another holds: a scan receives a minute again only while
    there was no usable candle of it.
    """
    found: dict[str, dict[int, LiveCandle]] = {}
    for row in rows:
        found.setdefault(row.symbol, {})[row.ts_us] = row
    return {symbol: candles_of([held[ts] for ts in sorted(held)]) for symbol, held in found.items()}


def candles_of(rows: Sequence[LiveCandle]) -> Candles:
    """Rows of one coin as arrays, in their order; a missing number is NaN."""
    columns = (np.array([getattr(row, name) for row in rows], dtype=np.float64) for name in PRICE_COLUMNS)
    return Candles(np.array([row.ts_us for row in rows], dtype=np.int64), *columns)
