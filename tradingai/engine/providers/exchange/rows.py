"""An exchange's rows as raw candles: placed by their minute, what cannot be read marked as such."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradingai.engine.core.candles import Candles
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.faults import MalformedAnswerError

_NAMES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer that were asked for."""

    candles: Candles
    """Raw, by time, whole minutes; a value that could not be read is NaN, which cleaning counts."""
    unread: tuple[str, ...] = ()
    """What could not be read: ``2025-11-10 01:00 close``. Rows off the minute are not among them."""
    off_minute: int = 0
    """Rows that do not open on a whole minute: their minute has no candle."""


def page_of(rows: Sequence[Any], since_us: int, until_us: int) -> Page:
    """The rows that open from ``since_us`` on and before ``until_us`` (microseconds).

    ``rows`` are ccxt's: milliseconds, open, high, low, close, volume, with None for what could not be read.
    A row that does not open on a whole minute is of no minute: it leaves its minute empty. Where both are
    there the whole one comes first, which is the one cleaning keeps. Raises MalformedAnswerError for a row
    without a time.
    """
    found: list[tuple[int, bool, tuple[float, ...]]] = []
    unread: list[str] = []
    off_minute = 0
    for number, row in enumerate(rows, start=1):
        at = time_of(row, number)
        late = at % MINUTE_US != 0
        minute = at - at % MINUTE_US
        if not since_us <= minute < until_us:
            continue
        off_minute += late
        values = tuple(math.nan if late else _value(row, column) for column in range(1, 6))
        if not late:
            unread += [
                f"{_words(minute)} {name}"
                for name, value in zip(_NAMES, values, strict=True)
                if math.isnan(value)
            ]
        found.append((minute, late, values))
    found.sort(key=lambda item: item[:2])
    ts = np.array([minute for minute, _, _ in found], dtype=np.int64)
    columns = np.array([values for _, _, values in found], dtype=np.float64).reshape(len(found), 5)
    return Page(
        Candles(ts, *(np.ascontiguousarray(column) for column in columns.T)), tuple(unread), off_minute
    )


def time_of(row: Any, number: int) -> int:
    """Opening time of the ``number``-th row in microseconds. Raises MalformedAnswerError without one."""
    at = row[0] if isinstance(row, Sequence) and row else None
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        raise MalformedAnswerError(f"row {number} without a time")
    return round(at * 1000)


def _value(row: Sequence[Any], column: int) -> float:
    value = row[column] if column < len(row) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _words(us: int) -> str:
    return str(np.datetime64(us, "us").astype("datetime64[m]")).replace("T", " ")
