"""Slower bars of 5, 15, 60 and 240 minutes: only those complete by the close of the current minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.formulas.trend import cutler_rsi, range_position, wilder_rsi
from tradingai.engine.features.primitives import memory
from tradingai.engine.features.window import Window

FRAMES = {"5m": 5, "15m": 15, "1h": 60, "4h": 240}


def frame_return(window: Window, *, minutes: int) -> Floats:
    """Log return of the last complete bar against the one before."""
    return window.expand(window.timeframe(minutes).series("log_return"), minutes)


def frame_sma_ratio(window: Window, *, minutes: int, length: int) -> Floats:
    """Close of the last complete bar / SMA of the last ``length`` of them - 1."""
    bars = window.timeframe(minutes)
    return window.expand(bars.close / bars.rolling_mean("close", length) - 1.0, minutes)


def frame_wilder_rsi(window: Window, *, minutes: int, length: int) -> Floats:
    """Wilder's RSI of complete bars, 0 … 100."""
    return window.expand(wilder_rsi(window.timeframe(minutes), length), minutes)


def frame_cutler_rsi(window: Window, *, minutes: int, length: int) -> Floats:
    """Cutler's RSI of complete bars, 0 … 100: plain means, so that the past it needs is finite."""
    return window.expand(cutler_rsi(window.timeframe(minutes), length), minutes)


def frame_range_position(window: Window, *, minutes: int, length: int) -> Floats:
    """Place of the last complete bar's close in the range of the last ``length`` bars, 0 … 1."""
    return window.expand(range_position(window.timeframe(minutes), length=length), minutes)


def needed(minutes: int, bars: int) -> int:
    """Look-back of a formula over ``bars`` complete bars: they, and the minutes since the last of them."""
    return minutes * bars + minutes - 2


def _frame(
    label: str, minutes: int, length: int, rsi: Callable[..., Floats], rsi_bars: int
) -> Iterator[Feature]:
    yield Feature(
        name=f"return_{label}", group="timeframes", lookback=needed(minutes, 2), compute=frame_return,
        parameters={"minutes": minutes}, source=f"ln(close / previous close) of complete {label} bars",
        meaning=f"log return of the last complete {label} bar",
    )  # fmt: skip
    yield Feature(
        name=f"sma_ratio_10_{label}", group="timeframes", lookback=needed(minutes, 10),
        compute=frame_sma_ratio, parameters={"minutes": minutes, "length": 10},
        source=f"close / SMA(10) - 1 of complete {label} bars",
        meaning=f"distance from the average of ten {label} bars, share of it",
    )  # fmt: skip
    kind = "Wilder" if rsi is frame_wilder_rsi else "Cutler"
    yield Feature(
        name=f"rsi_{length}_{label}", group="timeframes", lookback=needed(minutes, rsi_bars), compute=rsi,
        parameters={"minutes": minutes, "length": length},
        source=f"{kind} RSI({length}) of complete {label} bars",
        meaning=f"relative strength on {label} bars, 0 … 100",
    )  # fmt: skip


FEATURES = (
    *_frame("5m", 5, 14, frame_wilder_rsi, memory(1 / 14) + 1),
    *_frame("15m", 15, 14, frame_cutler_rsi, 15),
    *_frame("1h", 60, 14, frame_cutler_rsi, 15),
    *_frame("4h", 240, 10, frame_cutler_rsi, 11),
    Feature(
        name="range_position_24_1h", group="timeframes", lookback=needed(60, 24),
        compute=frame_range_position, parameters={"minutes": 60, "length": 24},
        source="1 + TA-Lib WILLR(24) / 100 of complete 1h bars",
        meaning="place of the last hourly close in the range of a day: 0 low, 1 high",
    ),
)  # fmt: skip
