"""Volume against its own past; nothing depends on the unit volume is counted in."""

from __future__ import annotations

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.primitives import ratio
from tradingai.engine.features.window import Window


def volume_ratio(window: Window, *, length: int) -> Floats:
    """volume / mean of the last ``length``; 0 when nothing traded in all of them."""
    return ratio(window.volume, window.rolling_mean("volume", length), 0.0)


def volume_trend(window: Window, *, short: int, long: int) -> Floats:
    """(mean_short - mean_long) / (mean_short + mean_long), in [-1, 1]; 0 when nothing traded."""
    near, far = window.rolling_mean("volume", short), window.rolling_mean("volume", long)
    return ratio(near - far, near + far, 0.0)


def volume_zscore(window: Window, *, length: int) -> Floats:
    """(volume - mean) / population deviation over ``length``; 0 when the volume did not vary."""
    away = window.volume - window.rolling_mean("volume", length)
    return ratio(away, window.rolling_std("volume", length), 0.0)


def volume_pressure(window: Window, *, length: int) -> Floats:
    """Volume of rising minus falling bars, share of all volume, in [-1, 1]; 0 when nothing traded."""
    return ratio(window.rolling_sum("signed_volume", length), window.rolling_sum("volume", length), 0.0)


FEATURES = (
    Feature(
        name="volume_ratio_60", group="volume", lookback=59, compute=volume_ratio, parameters={"length": 60},
        source="volume / SMA(volume, 60)", meaning="multiple of the mean minute volume of an hour",
    ),
    Feature(
        name="volume_trend_20_240", group="volume", lookback=239, compute=volume_trend,
        parameters={"short": 20, "long": 240}, source="(SMA20 - SMA240) / (SMA20 + SMA240) of volume",
        meaning="is volume rising (to 1) or drying up (to -1)",
    ),
    Feature(
        name="volume_zscore_240", group="volume", lookback=239, compute=volume_zscore,
        parameters={"length": 240}, source="(volume - SMA240) / STDDEV240, as TA-Lib STDDEV",
        meaning="standard deviations from the mean of four hours",
    ),
    Feature(
        name="volume_pressure_60", group="volume", lookback=60, compute=volume_pressure,
        parameters={"length": 60},
        source="sum of sign(change) volume / sum of volume; Granville's OBV over a window",
        meaning="net share of volume on rising bars, in [-1, 1]",
    ),
)  # fmt: skip
