"""Momentum, moving averages, oscillators, bands and the shape of a bar; prices enter as ratios only."""

from __future__ import annotations

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.primitives import memory, ratio
from tradingai.engine.features.window import Bars, Window

_SLOW, _SIGNAL = memory(2 / 27), memory(2 / 10)
MACD_LOOKBACKS = (_SLOW - 1, _SLOW + _SIGNAL - 2, _SLOW + _SIGNAL - 2)
"""Of line, signal and histogram: bars that EMA(26) remembers, and those that EMA(9) of it remembers."""


def momentum(window: Window, *, minutes: int) -> Floats:
    """ln(close[t] / close[t - minutes])."""
    return window.change("log_close", minutes)


def sma_ratio(window: Window, *, length: int) -> Floats:
    """close / SMA(close, length) - 1."""
    return window.close / window.rolling_mean("close", length) - 1.0


def wilder_rsi(bars: Bars, length: int) -> Floats:
    """Relative strength index in 0 … 100, Wilder's smoothing. Source: Wilder (1978), as TA-Lib RSI."""
    return relative_strength(bars.wilder("gain", length), bars.wilder("loss", length))


def cutler_rsi(bars: Bars, length: int) -> Floats:
    """Relative strength index in 0 … 100 from plain means over ``length`` changes. Source: Cutler's RSI."""
    return relative_strength(bars.rolling_sum("gain", length), bars.rolling_sum("loss", length))


def relative_strength(gain: Floats, loss: Floats) -> Floats:
    """100 gain / (gain + loss); 50 when nothing moved in all the bars that are remembered."""
    return 100.0 * ratio(gain, gain + loss, 0.5)


def rsi(window: Window, *, length: int) -> Floats:
    """Wilder's RSI of one-minute closes."""
    return wilder_rsi(window, length)


def macd(window: Window, *, line: str) -> Floats:
    """MACD(12, 26, 9) in shares of the close; ``line`` is line, signal or histogram."""
    return macd_line(window, line) / window.close


def macd_line(bars: Bars, line: str) -> Floats:
    """One of MACD's three lines in quote currency. Source: Appel, as TA-Lib MACD."""
    if line == "line":
        return bars.series("macd")
    if line == "signal":
        return bars.ema("macd", 9)
    return bars.series("macd") - bars.ema("macd", 9)


def bollinger(window: Window, *, what: str, length: int, deviations: int) -> Floats:
    """Bollinger bands of the close, population deviation; ``what`` is percent_b, width, upper or lower.

    percent_b is (close - lower) / (upper - lower), 0.5 when the bands have no width; the others are
    shares: width of the middle band, distances of the close.
    """
    half = deviations * window.rolling_std("close", length)
    middle = window.rolling_mean("close", length)
    if what == "percent_b":
        return ratio(window.close - middle, 2.0 * half, 0.0) + 0.5
    if what == "width":
        return 2.0 * half / middle
    if what == "upper":
        return (middle + half - window.close) / window.close
    return (window.close - middle + half) / window.close


def range_position(bars: Bars, *, length: int) -> Floats:
    """(close - lowest low) / (highest high - lowest low) over ``length`` bars; 0.5 when there is no range."""
    low = bars.rolling_min("low", length)
    spread = bars.rolling_max("high", length) - low
    return ratio(bars.close - low, spread, 0.5)


def bar_body(window: Window) -> Floats:
    """(close - open) / (high - low), in [-1, 1]; 0 for a bar without range."""
    return ratio(window.close - window.open, window.high - window.low, 0.0)


def bar_close_location(window: Window) -> Floats:
    """((close - low) - (high - close)) / (high - low), in [-1, 1]; 0 for a bar without range."""
    moved = (window.close - window.low) - (window.high - window.close)
    return ratio(moved, window.high - window.low, 0.0)


def _bollinger(name: str, what: str, meaning: str) -> Feature:
    return Feature(
        name=f"bollinger_20_{name}", group="bands", lookback=19, compute=bollinger,
        parameters={"what": what, "length": 20, "deviations": 2},
        source="Bollinger (2001), BB(20, 2), population deviation, as TA-Lib BBANDS", meaning=meaning,
    )  # fmt: skip


FEATURES = (
    *(
        Feature(
            name=f"momentum_{minutes}", group="momentum", lookback=minutes, compute=momentum,
            parameters={"minutes": minutes}, source=f"ln(close[t] / close[t-{minutes}]), ln of TA-Lib ROCR",
            meaning=f"log return of the last {minutes} min",
        )
        for minutes in (1, 5, 15, 30, 60, 120, 240)
    ),
    *(
        Feature(
            name=f"sma_ratio_{length}", group="trend", lookback=length - 1, compute=sma_ratio,
            parameters={"length": length}, source=f"close / SMA({length}) - 1, as TA-Lib SMA",
            meaning=f"distance from the {length}-bar average, share of it",
        )
        for length in (7, 14, 21, 50)
    ),
    Feature(
        name="rsi_14", group="oscillator", lookback=memory(1 / 14), compute=rsi, parameters={"length": 14},
        source="Wilder (1978), RSI(14), as TA-Lib RSI",
        meaning="relative strength, 0 … 100, 50 without change",
    ),
    *(
        Feature(
            name=f"macd_{line}", group="oscillator", lookback=lookback, compute=macd,
            parameters={"line": line},
            source="Appel, MACD(12, 26, 9), as TA-Lib MACD, divided by close",
            meaning=f"MACD {line}, share of the close",
        )
        for line, lookback in zip(("line", "signal", "histogram"), MACD_LOOKBACKS, strict=True)
    ),
    _bollinger("percent_b", "percent_b", "place of the close between the bands: 0 lower, 1 upper"),
    _bollinger("width", "width", "distance between the bands, share of the middle one"),
    _bollinger("upper_distance", "upper", "upper band above the close, share of the close"),
    _bollinger("lower_distance", "lower", "close above the lower band, share of the close"),
    *(
        Feature(
            name=f"range_position_{length}", group="trend", lookback=length - 1, compute=range_position,
            parameters={"length": length}, source=f"1 + TA-Lib WILLR({length}) / 100",
            meaning=f"place of the close in the range of the last {length} min: 0 low, 1 high",
        )
        for length in (60, 240)
    ),
    Feature(
        name="bar_body", group="bar", lookback=0, compute=bar_body,
        source="(close - open) / (high - low), as TA-Lib BOP", meaning="body of the bar, share of its range",
    ),
    Feature(
        name="bar_close_location", group="bar", lookback=0, compute=bar_close_location,
        source="Chaikin, close location value", meaning="-1 close at the low, 1 close at the high",
    ),
)  # fmt: skip
