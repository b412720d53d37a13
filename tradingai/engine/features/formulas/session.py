"""Clock features: sessions, minute of the day, day of the week. All UTC, look-back 0."""

from __future__ import annotations

import math

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.primitives import as_flag
from tradingai.engine.features.window import Window

_MINUTE_ANGLES = 2.0 * math.pi * np.arange(1440) / 1440.0
_DAY_ANGLES = 2.0 * math.pi * np.arange(7) / 7.0


def session_flag(window: Window, *, start_hour: int, end_hour: int) -> Floats:
    """1 from ``start_hour`` until before ``end_hour``, else 0."""
    minute = window.minute_of_day
    return as_flag((minute >= start_hour * 60) & (minute < end_hour * 60))


def minute_of_day(window: Window, *, wave: str) -> Floats:
    """Sine or cosine of the time of day, one turn in 1,440 minutes."""
    table: Floats = getattr(np, wave)(_MINUTE_ANGLES)
    return table[window.minute_of_day]


def day_of_week(window: Window, *, wave: str) -> Floats:
    """Sine or cosine of the day of the week, Monday at angle 0, one turn in 7 days."""
    table: Floats = getattr(np, wave)(_DAY_ANGLES)
    return table[window.day_of_week]


def weekend(window: Window) -> Floats:
    """1 on Saturday and Sunday, else 0."""
    return as_flag(window.day_of_week >= 5)


def _session(name: str, label: str, start_hour: int) -> Feature:
    return Feature(
        name=f"session_{name}", group="session", lookback=0, compute=session_flag,
        parameters={"start_hour": start_hour, "end_hour": start_hour + 8},
        source="product definition: Tokyo 00-08, London 08-16, New York 16-24 UTC",
        meaning=f"1 during the {label} session, else 0",
    )  # fmt: skip


FEATURES = (
    _session("tokyo", "Tokyo", 0),
    _session("london", "London", 8),
    _session("new_york", "New York", 16),
    *(
        Feature(
            name=f"minute_of_day_{wave}", group="session", lookback=0, compute=minute_of_day,
            parameters={"wave": wave}, source=f"{wave}(2 pi minute / 1440)",
            meaning="time of day (UTC) on a circle, in [-1, 1]",
        )
        for wave in ("sin", "cos")
    ),
    *(
        Feature(
            name=f"day_of_week_{wave}", group="session", lookback=0, compute=day_of_week,
            parameters={"wave": wave}, source=f"{wave}(2 pi day / 7), Monday = 0",
            meaning="day of the week (UTC) on a circle, in [-1, 1]",
        )
        for wave in ("sin", "cos")
    ),
    Feature(
        name="weekend", group="session", lookback=0, compute=weekend, parameters={},
        source="Saturday and Sunday, UTC", meaning="1 at the weekend, else 0",
    ),
)  # fmt: skip
