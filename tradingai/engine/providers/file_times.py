"""Times of an operator's file as microseconds since 1970 UTC: ISO with a zone, or epoch numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import polars as pl

from tradingai.engine.core.errors import DataError

Label = Callable[[int], str]
"""Row index to how an operator finds that row in the file."""

_EARLIEST: Final = datetime(2009, 1, 3, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_UNITS: Final = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
"""Epoch numbers below the first value are in units of the second (microseconds); beyond all, nanoseconds."""
_ZONE: Final = r"\s*(Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_CLOCK: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"


def parse_times(column: pl.Series, label: Label, *, assume_utc: bool) -> pl.Series:
    """The column as Int64 microseconds since 1970 UTC.

    Raises DataError naming row and value for an empty, unreadable or implausible time, and for times
    without a zone unless ``assume_utc``.
    """
    empty = column.is_null().arg_true()
    if len(empty):
        raise DataError(
            f"{label(int(empty[0]))} has no time", remedy="Give every row its open time, or remove the row."
        )
    if column.dtype == pl.String:
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
        parsed = (
            _from_text(column, label, assume_utc=assume_utc)
            if numbers.null_count()
            else _from_epoch(column.str.strip_chars(), label)
        )
    elif isinstance(column.dtype, pl.Datetime):
        parsed = _from_datetime(column, label, assume_utc=assume_utc)
    elif column.dtype.is_numeric():
        parsed = _from_epoch(column, label)
    else:
        raise DataError(
            f"{label(0)}: the time column holds {column.dtype}, for example {column[0]}",
            remedy="Store the open time of each minute as a UTC timestamp.",
        )
    return _plausible(parsed, column, label)


def _from_datetime(column: pl.Series, label: Label, *, assume_utc: bool) -> pl.Series:
    if getattr(column.dtype, "time_zone", None) is None and not assume_utc:
        raise _no_zone(label(0), column[0])
    return column.dt.epoch("us")


def _from_text(column: pl.Series, label: Label, *, assume_utc: bool) -> pl.Series:
    """ISO 8601 with ``T`` or a space, seconds optional, and a zone (Z, UTC, +01:00)."""
    text = column.str.strip_chars()
    zone = text.str.extract(_ZONE, 1)
    clock = text.str.replace(_ZONE, "").str.strip_chars()
    good = clock.str.contains(_CLOCK)
    bad = (~good).arg_true()
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"{label(row)}: {column[row]!r} is not a time",
            remedy="Write times as 2023-03-01T00:00:00Z, or as seconds or milliseconds since 1970.",
        )
    naive = zone.is_null().arg_true()
    if len(naive) and not assume_utc:
        row = int(naive[0])
        raise _no_zone(label(row), column[row])
    seconds = pl.when(clock.str.len_chars() == 16).then(clock + ":00").otherwise(clock)
    padded = pl.select(seconds.alias("t"))["t"].str.replace("T", " ", literal=True)
    moments = padded.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    impossible = moments.is_null().arg_true()
    if len(impossible):
        row = int(impossible[0])
        raise DataError(f"{label(row)}: {column[row]!r} is not a time", remedy="Correct or remove that row.")
    return moments.dt.epoch("us") - _offset_us(zone)


def _offset_us(zone: pl.Series) -> pl.Series:
    """Offset of each zone from UTC in microseconds; letters and nothing mean none."""
    digits = zone.fill_null("Z").str.replace(":", "", literal=True)
    sign = pl.select(pl.when(digits.str.starts_with("-")).then(-1).otherwise(1).alias("s"))["s"]
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    return sign * (hours * 60 + minutes) * 60_000_000


def _from_epoch(column: pl.Series, label: Label) -> pl.Series:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size."""
    numbers = column.cast(pl.Float64, strict=False)
    finite = numbers.is_finite()
    if not finite.all():
        row = int((~finite).arg_true()[0])
        raise DataError(f"{label(row)}: {column[row]!r} is not a time", remedy="Correct or remove that row.")
    values = numbers.to_numpy()
    least, most = int(values.argmin()), int(values.argmax())
    scale = _unit(float(values[least]))
    if scale != _unit(float(values[most])):
        raise DataError(
            f"{label(least)} and {label(most)}: the times {column[least]} and {column[most]} count in "
            "different units",
            remedy="Use one unit throughout, for example milliseconds since 1970.",
        )
    whole = column.cast(pl.Int64, strict=False)
    if scale is None:
        return whole // 1000
    exact = (whole.cast(pl.Float64) == numbers).fill_null(value=False)
    return whole * scale if exact.all() else (numbers * scale).round().cast(pl.Int64)


def _unit(value: float) -> int | None:
    """Microseconds in one unit of an epoch number of this size; None for nanoseconds."""
    return next((scale for limit, scale in _UNITS if abs(value) < limit), None)


def _plausible(parsed: pl.Series, column: pl.Series, label: Label) -> pl.Series:
    lo, hi = (int(moment.timestamp()) * 1_000_000 for moment in (_EARLIEST, _LATEST))
    outside = ((parsed < lo) | (parsed >= hi)).arg_true()
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{label(row)}: the time {column[row]!r} is not between {_EARLIEST:%Y} and {_LATEST:%Y}",
            remedy="Write times as 2023-03-01T00:00:00Z, or as seconds or milliseconds since 1970.",
        )
    return parsed


def _no_zone(where: str, value: object) -> DataError:
    return DataError(
        f"{where}: the time {str(value)!r} has no zone",
        remedy="Say so with --assume-utc if the times are UTC; otherwise write the zone, for example "
        "2023-03-01T00:00:00Z.",
    )
