"""An exchange's rows as raw candles: placed by their minute, what cannot be read marked as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, us_to_datetime
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.faults import MalformedAnswerError

_COLUMNS: Final = 1 + len(PRICE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer that were asked for."""

    candles: Candles
    """Raw, by time, whole minutes; a value that could not be read is NaN, which cleaning counts."""
    unread: tuple[str, ...] = ()
    """What could not be read: ``2025-11-10 01:00 close``. Rows off the minute are not among them."""
    beyond: bool = False
    """Whether there were rows from the end of the range on."""
    off_minute: int = 0
    """Rows that do not open on a whole minute: their minute has no candle."""


def page_of(rows: Sequence[Any], since_us: int, until_us: int) -> Page:
    """The rows that open from ``since_us`` on and before ``until_us`` (microseconds).

    ``rows`` are ccxt's: milliseconds, open, high, low, close, volume, with None for what could not be read.
    A row that does not open on a whole minute is of no minute: it leaves its minute empty. Where both are
    there the whole one comes first, which is the one cleaning keeps. Raises MalformedAnswerError for a row
    without a time.
    """
    times, values = opening_times(rows), _values(rows)
    minutes = times - times % MINUTE_US
    wanted = (minutes >= since_us) & (minutes < until_us)
    beyond = bool((minutes >= until_us).any())
    late = (times != minutes)[wanted]
    ts, values = minutes[wanted], values[wanted]
    unread = [
        f"{us_to_datetime(int(ts[row])):%Y-%m-%d %H:%M} {PRICE_COLUMNS[column]}"
        for row, column in np.argwhere(np.isnan(values) & ~late[:, None])
    ]
    values[late] = np.nan
    order = np.lexsort((late, ts))
    candles = Candles(ts[order], *(np.ascontiguousarray(column) for column in values[order].T))
    return Page(candles, tuple(unread), beyond, int(late.sum()))


def opening_times(rows: Sequence[Any]) -> npt.NDArray[np.int64]:
    """When each row opens, microseconds [n]. Raises MalformedAnswerError for a row that does not say."""
    times = np.array([_number(row, 0) for row in rows], dtype=np.float64)
    if not np.isfinite(times).all():
        row = int(np.argmin(np.isfinite(times))) + 1
        raise MalformedAnswerError(f"row {row} without a time")
    return np.round(times * 1000).astype(np.int64)


def _values(rows: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Open … volume of each row, float64 [n, 5], NaN for what is no number."""
    try:
        table = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.shape != (len(rows), _COLUMNS):
        table = np.array([[_number(row, column) for column in range(_COLUMNS)] for row in rows])
    return table.reshape(len(rows), _COLUMNS)[:, 1:]


def _number(row: Any, column: int) -> float:
    """The value as it stands; NaN for what is none."""
    value = row[column] if isinstance(row, Sequence) and column < len(row) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan
