"""The FTMO day: it begins at midnight Europe/Prague, so days of 23 and 25 hours exist.

This is the only module that knows a time zone other than UTC. A *day* is the number of days from
1970-01-01 to the Prague calendar date; times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from tradingai.engine.core.candles import Ints, datetime_to_us, us_to_datetime

PRAGUE = ZoneInfo("Europe/Prague")
_EPOCH = date(1970, 1, 1)


def prague_day(us: int) -> int:
    """The Prague calendar day that ``us`` falls on."""
    return (us_to_datetime(us).astimezone(PRAGUE).date() - _EPOCH).days


def day_name(day: int) -> str:
    """``2025-11-10`` for a day number."""
    return (_EPOCH + timedelta(days=day)).isoformat()


@lru_cache(maxsize=4096)
def midnight_us(day: int) -> int:
    """When Prague's ``day`` begins. Midnight is never inside a clock change there (they are at 01:00 UTC)."""
    local = _EPOCH + timedelta(days=day)
    return datetime_to_us(datetime(local.year, local.month, local.day, tzinfo=PRAGUE).astimezone(UTC))


def next_reset_us(us: int) -> int:
    """The first Prague midnight strictly after ``us``."""
    return midnight_us(prague_day(us) + 1)


def prague_days(ts: Ints) -> Ints:
    """Day numbers of many times at once: int64 [n] of microseconds to int64 [n]."""
    if len(ts) == 0:
        return np.zeros(0, dtype=np.int64)
    first, last = prague_day(int(ts.min())), prague_day(int(ts.max()))
    starts = np.array([midnight_us(day) for day in range(first, last + 1)], dtype=np.int64)
    return first + np.searchsorted(starts, ts, side="right").astype(np.int64) - 1
