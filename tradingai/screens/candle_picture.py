"""The chart of a coin's newest candles."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.widgets.candlesticks import paint_candles
from tradingai.widgets.plot import Picture

_TIME_STEPS: Final = (15, 30, 60, 120, 180, 240, 360, 720, 1440)
"""Minutes between two labels of a time axis."""


def candle_picture(
    snapshot: ConsoleSnapshot, symbol: str, width: int, height: int, *, no_color: bool
) -> tuple[Picture, str]:
    """The chart of a coin's newest candles, and what it spans."""
    tail = snapshot.candles.get(symbol)
    if tail is None or not tail.bars:
        return Picture(width, height), ""
    shown = tail.bars[-(width - 9) :]
    minutes = len(shown) * tail.interval_minutes
    every = next((step for step in _TIME_STEPS if minutes / step <= width / 12), _TIME_STEPS[-1])
    times = [
        (len(shown) - 1 - index, f"{bar.at:%a %H:%M}" if every >= 1440 else f"{bar.at:%H:%M}")
        for index, bar in enumerate(shown)
        if (60 * bar.at.hour + bar.at.minute) % min(every, 1440) == 0
    ]
    bars = [(bar.open, bar.high, bar.low, bar.close) for bar in shown]
    picture = paint_candles(bars, times, width, height, solid_down=no_color)
    end = shown[-1].at + timedelta(minutes=tail.interval_minutes)
    note = f"{tail.interval_minutes}m candles, {shown[0].at:%Y-%m-%d %H:%M} to {end:%m-%d %H:%MZ}"
    return picture, note
