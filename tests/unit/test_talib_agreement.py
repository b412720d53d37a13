"""Features against TA-Lib on a random walk and on real candles, to 1e-6 of TA-Lib's own value."""

from collections.abc import Callable

import numpy as np
import pytest
import talib
from tradingai.engine.core.candles import Candles, Floats
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


def five_minute_rsi(w: Window) -> tuple[Floats, Floats]:
    last = np.flatnonzero((w.minute + 1) % 5 == 0)
    closes = w.close[last[last >= 4]]
    return value(w, "rsi_14_5m")[last[last >= 4]], talib.RSI(closes, 14)


def contrast(w: Window) -> tuple[Floats, Floats]:
    near, far = talib.SMA(w.volume, 20), talib.SMA(w.volume, 240)
    return value(w, "volume_trend_20_240") * (near + far) + far, near


PAIRS: dict[str, Pair] = {
    "atr_14_ratio": lambda w: (value(w, "atr_14_ratio") * w.close, talib.ATR(w.high, w.low, w.close, 14)),
    "true range": lambda w: (w.series("true_range"), talib.TRANGE(w.high, w.low, w.close)),
    "rsi_14": lambda w: (value(w, "rsi_14"), talib.RSI(w.close, 14)),
    "rsi_14_5m": five_minute_rsi,
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
    "bar_body": lambda w: (value(w, "bar_body"), talib.BOP(w.open, w.high, w.low, w.close)),
    "volume_ratio_60": lambda w: (value(w, "volume_ratio_60") * talib.SMA(w.volume, 60), w.volume),
    "volume_trend_20_240": contrast,
    "volume_zscore_240": zscore,
}  # fmt: skip


def windows() -> dict[str, Candles]:
    return {"random walk": random_candles(12_000, seed=8), "real": real_candles()}


@pytest.fixture(scope="module", params=["random walk", "real"])
def window(request):
    return Window(windows()[request.param], {})


@pytest.mark.parametrize("name", PAIRS)
def test_agreement(name, window):
    ours, theirs = PAIRS[name](window)
    warm = min(WARM_UP, len(ours) // 2)
    ours, theirs = ours[warm:], theirs[warm:]
    assert len(ours) > 300
    assert np.isfinite(theirs).all()
    worst = int(np.argmax(np.abs(ours - theirs) - TOLERANCE * np.abs(theirs)))
    assert abs(ours[worst] - theirs[worst]) <= TOLERANCE * abs(theirs[worst])
