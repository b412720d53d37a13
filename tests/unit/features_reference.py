"""Every feature again, from its definition, one row at a time: slow, and independent of the product."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from tradingai.engine.core.candles import Candles

Reference = Callable[["Row"], float]


class Row:
    """Row t of candles, with the values of the last k rows by plain slicing."""

    def __init__(self, candles: Candles, peers: dict[str, Any], t: int) -> None:
        self.candles, self.peers, self.t = candles, peers, t
        self.moment = datetime.fromtimestamp(int(candles.ts[t]) / 1e6, UTC)
        self.c, self.o = float(candles.close[t]), float(candles.open[t])
        self.h, self.low = float(candles.high[t]), float(candles.low[t])

    def last(self, column: str, count: int, back: int = 0) -> Any:
        end = self.t + 1 - back
        return getattr(self.candles, column)[end - count : end]

    def momentum(self, minutes: int, close: Any = None) -> float:
        close = self.candles.close if close is None else close
        return math.log(close[self.t] / close[self.t - minutes])

    def rv(self, minutes: int, back: int = 0) -> float:
        closes = self.last("close", minutes + 1, back)
        returns = [math.log(b / a) for a, b in pairwise(closes)]
        return math.sqrt(sum(r * r for r in returns) / minutes)

    def rank(self) -> float:
        now = self.rv(60)
        return sum(self.rv(60, 60 * k) < now for k in range(1, 47)) / 46

    def bars(self, minutes: int, count: int) -> list[dict[str, float]]:
        """The last ``count`` complete bars of that many minutes, oldest first."""
        candles, end = self.candles, self.t
        while (int(candles.ts[end]) // 60_000_000 + 1) % minutes:
            end -= 1
        found = []
        for k in reversed(range(count)):
            rows = slice(end + 1 - (k + 1) * minutes, end + 1 - k * minutes)
            found.append(
                {
                    "close": float(candles.close[rows][-1]),
                    "high": float(candles.high[rows].max()),
                    "low": float(candles.low[rows].min()),
                }
            )
        return found


def wilder(values: list[float], length: int) -> float:
    average = values[0]
    for value in values[1:]:
        average += (value - average) / length
    return average


def ema(values: Any, span: int) -> list[float]:
    out = [float(values[0])]
    for value in values[1:]:
        out.append(out[-1] + (float(value) - out[-1]) * 2.0 / (span + 1))
    return out


def rsi_of(closes: Any, average: Callable[[list[float]], float]) -> float:
    changes = [b - a for a, b in pairwise(closes)]
    gain = average([max(x, 0.0) for x in changes])
    loss = average([max(-x, 0.0) for x in changes])
    return 100.0 * gain / (gain + loss)


def cutler(minutes: int, length: int) -> Reference:
    def value(row: Row) -> float:
        closes = [bar["close"] for bar in row.bars(minutes, length + 1)]
        return rsi_of(closes, lambda changes: sum(changes) / length)

    return value


def macd(row: Row) -> tuple[float, float]:
    closes = row.last("close", 1200)
    line = [fast - slow for fast, slow in zip(ema(closes, 12), ema(closes, 26), strict=True)]
    return line[-1], ema(line, 9)[-1]


def bands(row: Row) -> tuple[float, float, float]:
    closes = [float(x) for x in row.last("close", 20)]
    middle = sum(closes) / 20
    deviation = math.sqrt(sum((x - middle) ** 2 for x in closes) / 20)
    return middle - 2 * deviation, middle, middle + 2 * deviation


def true_ranges(row: Row) -> list[float]:
    high, low = row.last("high", 1200), row.last("low", 1200)
    before = row.last("close", 1200, back=1)
    return [max(h - x, abs(h - c), abs(x - c)) for h, x, c in zip(high, low, before, strict=True)]


def range_position(highs: Any, lows: Any, close: float) -> float:
    return (close - min(lows)) / (max(highs) - min(lows))


def spread(row: Row) -> float:
    total = 0.0
    for k in range(1440):
        high, low = row.last("high", 2, back=k), row.last("low", 2, back=k)
        before, now = (math.log(h * x) / 2 for h, x in zip(high, low, strict=True))
        close = math.log(row.last("close", 1, back=k + 1)[0])
        total += math.sqrt(max(4 * (close - before) * (close - now), 0.0))
    return 1e4 * total / 1440


def pressure(row: Row) -> float:
    closes, volume = row.last("close", 61), row.last("volume", 60)
    signs = np.sign(closes[1:] - closes[:-1])
    return float((signs * volume).sum() / volume.sum())


def contrast(near: float, far: float) -> float:
    return (near - far) / (near + far)


def volume_mean(row: Row, count: int) -> float:
    return float(row.last("volume", count).mean())


def _frame_references(label: str, minutes: int) -> dict[str, Reference]:
    def closes(row: Row, count: int) -> list[float]:
        return [bar["close"] for bar in row.bars(minutes, count)]

    return {
        f"return_{label}": lambda row: math.log(closes(row, 2)[1] / closes(row, 2)[0]),
        f"sma_ratio_10_{label}": lambda row: closes(row, 10)[-1] / (sum(closes(row, 10)) / 10) - 1,
    }


def _peer_references(peer: str) -> dict[str, Reference]:
    return {
        **{
            f"lead_{peer}_momentum_{k}": lambda row, k=k: row.momentum(k, row.peers[peer])
            for k in (1, 5, 15, 60)
        },
        f"lead_{peer}_gap_15": lambda row: row.momentum(15) - row.momentum(15, row.peers[peer]),
    }


def _clock(turns: Callable[[datetime], float], wave: Callable[[float], float]) -> Reference:
    return lambda row: wave(2 * math.pi * turns(row.moment))


def _minute_turn(moment: datetime) -> float:
    return (moment.hour * 60 + moment.minute) / 1440


def _day_turn(moment: datetime) -> float:
    return moment.weekday() / 7


REFERENCE: dict[str, Reference] = {
    "session_tokyo": lambda row: float(row.moment.hour < 8),
    "session_london": lambda row: float(8 <= row.moment.hour < 16),
    "session_new_york": lambda row: float(row.moment.hour >= 16),
    "minute_of_day_sin": _clock(_minute_turn, math.sin),
    "minute_of_day_cos": _clock(_minute_turn, math.cos),
    "day_of_week_sin": _clock(_day_turn, math.sin),
    "day_of_week_cos": _clock(_day_turn, math.cos),
    "weekend": lambda row: float(row.moment.weekday() in {5, 6}),
    **{f"momentum_{k}": lambda row, k=k: row.momentum(k) for k in (1, 5, 15, 30, 60, 120, 240)},
    **{f"sma_ratio_{k}": lambda row, k=k: row.c / row.last("close", k).mean() - 1 for k in (7, 14, 21, 50)},
    "rsi_14": lambda row: rsi_of(row.last("close", 1200), lambda changes: wilder(changes, 14)),
    "macd_line": lambda row: macd(row)[0] / row.c,
    "macd_signal": lambda row: macd(row)[1] / row.c,
    "macd_histogram": lambda row: (macd(row)[0] - macd(row)[1]) / row.c,
    "bollinger_20_percent_b": lambda row: (row.c - bands(row)[0]) / (bands(row)[2] - bands(row)[0]),
    "bollinger_20_width": lambda row: (bands(row)[2] - bands(row)[0]) / bands(row)[1],
    "bollinger_20_upper_distance": lambda row: (bands(row)[2] - row.c) / row.c,
    "bollinger_20_lower_distance": lambda row: (row.c - bands(row)[0]) / row.c,
    **{
        f"range_position_{k}": lambda row, k=k: range_position(row.last("high", k), row.last("low", k), row.c)
        for k in (60, 240)
    },
    "bar_body": lambda row: (row.c - row.o) / (row.h - row.low),
    "bar_close_location": lambda row: ((row.c - row.low) - (row.h - row.c)) / (row.h - row.low),
    "atr_14_ratio": lambda row: wilder(true_ranges(row), 14) / row.c,
    **{f"rv_{k}": lambda row, k=k: row.rv(k) for k in (20, 60, 240, 1440)},
    "rv_contrast_20_240": lambda row: contrast(row.rv(20), row.rv(240)),
    "volatility_rank": lambda row: row.rank(),
    "regime_low": lambda row: float(row.rank() < 1 / 3),
    "regime_medium": lambda row: float(1 / 3 <= row.rank() < 2 / 3),
    "regime_high": lambda row: float(row.rank() >= 2 / 3),
    "spread_1440_bps": spread,
    "slippage_60_bps": lambda row: (
        1e4 * row.rv(60) * math.sqrt(min(1.0, 0.01 * volume_mean(row, 1440) / volume_mean(row, 60)))
    ),
    "volume_ratio_60": lambda row: row.candles.volume[row.t] / volume_mean(row, 60),
    "volume_trend_20_240": lambda row: contrast(volume_mean(row, 20), volume_mean(row, 240)),
    "volume_zscore_240": lambda row: (
        (row.candles.volume[row.t] - volume_mean(row, 240)) / row.last("volume", 240).std()
    ),
    "volume_pressure_60": pressure,
    **_frame_references("5m", 5),
    **_frame_references("15m", 15),
    **_frame_references("1h", 60),
    **_frame_references("4h", 240),
    "rsi_14_5m": lambda row: rsi_of(
        [bar["close"] for bar in row.bars(5, 570)], lambda changes: wilder(changes, 14)
    ),
    "rsi_14_15m": cutler(15, 14),
    "rsi_14_1h": cutler(60, 14),
    "rsi_10_4h": cutler(240, 10),
    "range_position_24_1h": lambda row: range_position(
        [bar["high"] for bar in row.bars(60, 24)],
        [bar["low"] for bar in row.bars(60, 24)],
        row.bars(60, 1)[0]["close"],
    ),
    **_peer_references("BNB-USD"),
    **_peer_references("ETH-USD"),
}
