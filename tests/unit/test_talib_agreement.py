"""Features against TA-Lib on a random walk and on real candles, to 1e-6 of TA-Lib's own value."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import talib
from tradingai.engine.core.candles import Candles, Floats, Ints
from tradingai.engine.features.formulas.timeframes import FRAMES
from tradingai.engine.features.registry import FEATURES
from tradingai.engine.features.window import Window

from tests.fakes.random_candles import random_candles
from tests.fakes.real_candles import real_candles

WARM_UP = 700
TOLERANCE = 1e-6
BY_NAME = {feature.name: feature for feature in FEATURES}

Pair = Callable[[Window], tuple[Floats, Floats]]


def value(window: Window, name: str) -> Floats:
    return BY_NAME[name].values(window)


def macd(line: int) -> Pair:
    name = ("macd_line", "macd_signal", "macd_histogram")[line]
    return lambda w: (value(w, name) * w.close, talib.MACD(w.close, 12, 26, 9)[line])


def bands(w: Window) -> tuple[Floats, Floats, Floats]:
    return talib.BBANDS(w.close, 20, 2.0, 2.0)


def percent_b(w: Window) -> tuple[Floats, Floats]:
    upper, _, lower = bands(w)
    return value(w, "bollinger_20_percent_b") * (upper - lower) + lower, w.close


def width(w: Window) -> tuple[Floats, Floats]:
    upper, middle, lower = bands(w)
    return value(w, "bollinger_20_width"), (upper - lower) / middle


def zscore(w: Window) -> tuple[Floats, Floats]:
    away = w.volume - talib.SMA(w.volume, 240)
    return away / value(w, "volume_zscore_240"), talib.STDDEV(w.volume, 240)


def slow(w: Window, minutes: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Last row, high, low and close of each complete bar of ``minutes``."""
    last = np.flatnonzero((w.minute + 1) % minutes == 0)
    last = last[last >= minutes - 1]
    inside = last[:, None] - np.arange(minutes)
    return last, w.high[inside].max(axis=1), w.low[inside].min(axis=1), w.close[last]


def five_minute_rsi(w: Window) -> tuple[Floats, Floats]:
    last, _, _, closes = slow(w, 5)
    return value(w, "rsi_14_5m")[last], talib.RSI(closes, 14)


def slow_return(w: Window, label: str, minutes: int) -> tuple[Floats, Floats]:
    last, _, _, closes = slow(w, minutes)
    return np.expm1(value(w, f"return_{label}")[last]), talib.ROCP(closes, 1)


def slow_average(w: Window, label: str, minutes: int) -> tuple[Floats, Floats]:
    last, _, _, closes = slow(w, minutes)
    return closes / (1.0 + value(w, f"sma_ratio_10_{label}")[last]), talib.SMA(closes, 10)


def slow_cutler(w: Window, label: str, minutes: int, length: int) -> tuple[Floats, Floats]:
    """Cutler's RSI out of TA-Lib's sums: its RSI knows Wilder's smoothing only."""
    last, _, _, closes = slow(w, minutes)
    change = np.diff(closes, prepend=closes[0])
    gain, loss = (talib.SUM(np.maximum(sign * change, 0.0), length) for sign in (1, -1))
    return value(w, f"rsi_{length}_{label}")[last], 100.0 * gain / (gain + loss)


def hourly_place(w: Window) -> tuple[Floats, Floats]:
    last, high, low, closes = slow(w, 60)
    return 100.0 * (value(w, "range_position_24_1h")[last] - 1.0), talib.WILLR(high, low, closes, 24)


def realised(w: Window, minutes: int) -> tuple[Floats, Floats]:
    squared = np.diff(np.log(w.close), prepend=np.log(w.close[0])) ** 2
    return value(w, f"rv_{minutes}")[minutes:], np.sqrt(talib.SMA(squared, minutes))[minutes:]


def pressure(w: Window) -> tuple[Floats, Floats]:
    """Granville's volume on balance over an hour, plus all volume of it: both are above zero."""
    total, on_balance = talib.SUM(w.volume, 60), talib.OBV(w.close, w.volume)
    hour = on_balance - np.concatenate([np.full(60, np.nan), on_balance[:-60]])
    return (1.0 + value(w, "volume_pressure_60")) * total, hour + total


def close_location(w: Window) -> tuple[Floats, Floats]:
    """Chaikin's line moves by the close's location times the volume."""
    line = talib.AD(w.high, w.low, w.close, w.volume)
    return line[:-1] + (value(w, "bar_close_location") * w.volume)[1:], line[1:]


def contrast(w: Window) -> tuple[Floats, Floats]:
    near, far = talib.SMA(w.volume, 20), talib.SMA(w.volume, 240)
    return value(w, "volume_trend_20_240") * (near + far) + far, near


PAIRS: dict[str, Pair] = {
    "atr_14_ratio": lambda w: (value(w, "atr_14_ratio") * w.close, talib.ATR(w.high, w.low, w.close, 14)),
    "true range": lambda w: (w.series("true_range"), talib.TRANGE(w.high, w.low, w.close)),
    "rsi_14": lambda w: (value(w, "rsi_14"), talib.RSI(w.close, 14)),
    "rsi_14_5m": five_minute_rsi,
    "rsi_14_15m": lambda w: slow_cutler(w, "15m", 15, 14),
    "rsi_14_1h": lambda w: slow_cutler(w, "1h", 60, 14),
    "rsi_10_4h": lambda w: slow_cutler(w, "4h", 240, 10),
    **{f"return_{label}": partial(slow_return, label=label, minutes=k) for label, k in FRAMES.items()},
    **{f"sma_ratio_10_{label}": partial(slow_average, label=label, minutes=k) for label, k in FRAMES.items()},
    "range_position_24_1h": hourly_place,
    **{f"rv_{k}": partial(realised, minutes=k) for k in (20, 60, 240, 1440)},
    "ema 12": lambda w: (w.ema("close", 12), talib.EMA(w.close, 12)),
    "ema 26": lambda w: (w.ema("close", 26), talib.EMA(w.close, 26)),
    "macd_line": macd(0),
    "macd_signal": macd(1),
    "macd_histogram": macd(2),
    "deviation 20": lambda w: (w.rolling_std("close", 20), talib.STDDEV(w.close, 20)),
    "bollinger_20_percent_b": percent_b,
    "bollinger_20_width": width,
    "bollinger_20_upper_distance": lambda w: (
        (1.0 + value(w, "bollinger_20_upper_distance")) * w.close, bands(w)[0]
    ),
    "bollinger_20_lower_distance": lambda w: (
        (1.0 - value(w, "bollinger_20_lower_distance")) * w.close, bands(w)[2]
    ),
    **{
        f"sma_ratio_{k}": lambda w, k=k: (w.close / (1.0 + value(w, f"sma_ratio_{k}")), talib.SMA(w.close, k))
        for k in (7, 14, 21, 50)
    },
    **{
        f"momentum_{k}": lambda w, k=k: (np.expm1(value(w, f"momentum_{k}")), talib.ROCP(w.close, k))
        for k in (1, 5, 15, 30, 60, 120, 240)
    },
    **{
        f"range_position_{k}": lambda w, k=k: (
            100.0 * (value(w, f"range_position_{k}") - 1.0), talib.WILLR(w.high, w.low, w.close, k)
        )
        for k in (60, 240)
    },
    "bar_close_location": close_location,
    "volume_pressure_60": pressure,
    "bar_body": lambda w: (value(w, "bar_body"), talib.BOP(w.open, w.high, w.low, w.close)),
    "volume_ratio_60": lambda w: (value(w, "volume_ratio_60") * talib.SMA(w.volume, 60), w.volume),
    "volume_trend_20_240": contrast,
    "volume_zscore_240": zscore,
}  # fmt: skip


WITHOUT_TALIB = {
    *(feature.name for feature in FEATURES if feature.group in {"session", "regime"}),
    "rv_contrast_20_240", "spread_1440_bps", "slippage_60_bps",
}  # fmt: skip
"""What TA-Lib has no function for; a contrast is made of two values that are compared above."""


def windows() -> dict[str, Candles]:
    return {"random walk": random_candles(60_000, seed=8), "real": real_candles()}


@pytest.fixture(scope="module", params=["random walk", "real"])
def window(request):
    return Window(windows()[request.param], {})


def test_every_feature_is_compared_or_has_no_counterpart():
    compared = set(PAIRS) & set(BY_NAME)
    assert compared | WITHOUT_TALIB == set(BY_NAME)
    assert not compared & WITHOUT_TALIB


@pytest.mark.parametrize("name", PAIRS)
def test_agreement(name, window):
    ours, theirs = PAIRS[name](window)
    warm = min(WARM_UP, 2 * len(ours) // 3)
    ours, theirs = ours[warm:], theirs[warm:]
    slower = next((k for label, k in FRAMES.items() if name.endswith(f"_{label}")), 1)
    assert len(ours) >= (len(window) - WARM_UP) // (4 * slower)
    assert np.isfinite(theirs).all()
    worst = int(np.argmax(np.abs(ours - theirs) - TOLERANCE * np.abs(theirs)))
    assert abs(ours[worst] - theirs[worst]) <= TOLERANCE * abs(theirs[worst])
