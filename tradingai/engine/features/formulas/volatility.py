"""Volatility and what trading costs: ranges, realised volatility, its regime, spread and slippage."""

from __future__ import annotations

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.primitives import as_flag, memory, ratio, trailing_rank
from tradingai.engine.features.window import Window

RANK_STEP, RANK_COUNT = 60, 46
"""The regime compares rv_60 with its own values 60, 120 … 2,760 bars back: 46 hours."""
ORDER_SHARE = 0.01
"""Order size of the slippage estimate, as a share of the mean volume of one minute over a day."""


def atr_ratio(window: Window, *, length: int) -> Floats:
    """Average true range with Wilder's smoothing, divided by the close."""
    return window.wilder("true_range", length) / window.close


def realised_volatility(window: Window, *, minutes: int) -> Floats:
    """Root mean square of one-minute log returns over ``minutes``."""
    return window.memo(("rv", minutes), lambda: np.sqrt(window.rolling_mean("squared_return", minutes)))


def volatility_contrast(window: Window, *, short: int, long: int) -> Floats:
    """(rv_short - rv_long) / (rv_short + rv_long), in [-1, 1]; 0 when neither moved."""
    near = realised_volatility(window, minutes=short)
    far = realised_volatility(window, minutes=long)
    return ratio(near - far, near + far, 0.0)


def volatility_rank(window: Window) -> Floats:
    """Trailing percentile of rv_60 among its own values at whole hours back, in [0, 1]."""
    return window.memo(
        "volatility_rank",
        lambda: trailing_rank(realised_volatility(window, minutes=60), RANK_STEP, RANK_COUNT),
    )


def volatility_regime(window: Window, *, regime: str) -> Floats:
    """1 in the named third of the trailing percentile: low below 1/3, high from 2/3, medium between."""
    rank = volatility_rank(window)
    if regime == "low":
        return as_flag(rank < 1.0 / 3.0)
    if regime == "high":
        return as_flag(rank >= 2.0 / 3.0)
    return as_flag((rank >= 1.0 / 3.0) & (rank < 2.0 / 3.0))


def spread_bps(window: Window, *, length: int) -> Floats:
    """Abdi-Ranaldo relative spread averaged over ``length`` bars, in basis points."""
    return 1e4 * window.rolling_mean("abdi_ranaldo", length)


def slippage_bps(window: Window) -> Floats:
    """Square-root impact rv_60 * sqrt(order / mean volume of 60 min), in basis points.

    The order is 1 % of a day's mean minute volume; its share of the volume is at most 1, so a market
    without trades slips by one minute's volatility.
    """
    day = window.rolling_mean("volume", 1440)
    share = ratio(ORDER_SHARE * day, window.rolling_mean("volume", 60), 1.0)
    return 1e4 * realised_volatility(window, minutes=60) * np.sqrt(np.minimum(share, 1.0))


FEATURES = (
    Feature(
        name="atr_14_ratio", group="volatility", lookback=memory(1 / 14),
        compute=atr_ratio, parameters={"length": 14},
        source="Wilder (1978), ATR(14), as TA-Lib ATR, divided by close",
        meaning="average true range, share of close",
    ),
    *(
        Feature(
            name=f"rv_{minutes}", group="volatility", lookback=minutes, compute=realised_volatility,
            parameters={"minutes": minutes},
            source="Andersen et al. (2003), sqrt(mean of squared log returns)",
            meaning=f"realised volatility of the last {minutes} min, log return per sqrt(min)",
        )
        for minutes in (20, 60, 240, 1440)
    ),
    Feature(
        name="rv_contrast_20_240", group="volatility", lookback=240, compute=volatility_contrast,
        parameters={"short": 20, "long": 240}, source="(rv_20 - rv_240) / (rv_20 + rv_240)",
        meaning="is volatility rising (to 1) or falling (to -1)",
    ),
    Feature(
        name="volatility_rank", group="regime", lookback=60 + RANK_STEP * RANK_COUNT,
        compute=volatility_rank, source="share of rv_60 at 60, 120 … 2,760 min back that is lower",
        meaning="trailing percentile, 0 … 1",
    ),
    *(
        Feature(
            name=f"regime_{regime}", group="regime", lookback=60 + RANK_STEP * RANK_COUNT,
            compute=volatility_regime, parameters={"regime": regime},
            source="thirds of volatility_rank", meaning=f"1 in the {regime} volatility regime, else 0",
        )
        for regime in ("low", "medium", "high")
    ),
    Feature(
        name="spread_1440_bps", group="cost", lookback=1440, compute=spread_bps, parameters={"length": 1440},
        source="Abdi and Ranaldo (2017), two-bar corrected, mean of 1,440 bars",
        meaning="estimated bid-ask spread, bps of price",
    ),
    Feature(
        name="slippage_60_bps", group="cost", lookback=1439, compute=slippage_bps,
        source="square-root impact law (Almgren et al. 2005), order of 1 % of mean minute volume",
        meaning="estimated slippage of a market order, bps of price",
    ),
)  # fmt: skip
