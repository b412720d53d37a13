"""The ``file`` provider: the operator's own CSV and Parquet, tolerant of form, strict about meaning."""

from __future__ import annotations

import codecs
import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, us_to_datetime
from tradingai.engine.core.errors import DataError, UsageError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import differing
from tradingai.engine.providers.file_columns import find_columns
from tradingai.engine.providers.file_times import Label, parse_times

CSV_ENDINGS: Final = (".csv", ".csv.gz")
PARQUET_ENDINGS: Final = (".parquet", ".pq")
MIN_ROWS: Final = 60
"""Fewer rows are no dataset."""
MAX_LATE_SHARE: Final = 0.01
"""Up to this share of rows may stand after a later one; they are sorted and counted."""
_SEPARATORS: Final = ",;\t|"
_NO_VALUE: Final = ("", "nan", "null", "none", "na", "n/a")
_NOT_A_HEADER: Final = ("#", "http:", "https:")
_HEAD_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class RawFile:
    """The rows of an operator's file as they stand there, or turned round when it lists the newest first."""

    candles: Candles
    newest_first: bool
    """Whether the file listed its rows from the newest to the oldest."""
    columns: dict[str, str]
    """Canonical name to the file's own."""


def read_candle_file(path: Path, *, base: str = "", assume_utc: bool = False) -> RawFile:
    """Read raw one-minute candles of a coin ``base`` (``BTC``) from CSV or Parquet.

    A missing value becomes NaN and is cleaning's to count. Everything whose meaning is unclear raises
    DataError with file, row, value and remedy: a missing column, text in a price, a price that is not
    positive, a negative volume, times without a zone (unless ``assume_utc``), other than one-minute
    spacing, disorder in more than 1 % of the rows (a wholly reversed file is turned round), rows of one
    minute that disagree, fewer than 60 rows.
    """
    frame, columns, label = _read_frame(path, base)
    values = [_numbers(frame.drop_in_place(name), label) for name in PRICE_COLUMNS]
    ts = parse_times(frame.drop_in_place("ts"), label, assume_utc=assume_utc).to_numpy()
    candles = Candles(np.array(ts, dtype=np.int64), *values)
    _check_values(candles, label)
    newest_first = len(candles) > 1 and bool(np.all(candles.ts[1:] < candles.ts[:-1]))
    _check_order(candles, path, label, newest_first=newest_first)
    _check_minutes(candles, path, label)
    _check_duplicates(candles, label)
    if len(candles) < MIN_ROWS:
        raise DataError(
            f"{path} holds {len(candles)} row{'' if len(candles) == 1 else 's'}, "
            f"a dataset needs at least {MIN_ROWS}",
            remedy="Export a longer range.",
        )
    return RawFile(candles[::-1] if newest_first else candles, newest_first, columns)


def _read_frame(path: Path, base: str) -> tuple[pl.DataFrame, dict[str, str], Label]:
    """The six columns under their canonical names, the file's names for them, and how to name a row."""
    name = path.name.lower()
    if not path.exists():
        raise UsageError(f"there is no file {path}", remedy="Check the path.")
    if path.is_dir():
        raise DataError(f"{path} is a directory", remedy="Name one CSV or Parquet file.")
    if not name.endswith(CSV_ENDINGS + PARQUET_ENDINGS):
        raise DataError(
            f"{path} is neither CSV nor Parquet by its name",
            remedy=f"Convert it and let its name end in {', '.join((*CSV_ENDINGS, *PARQUET_ENDINGS))}.",
        )
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty", remedy="Export it again.")
        return _read_csv(path, base) if name.endswith(CSV_ENDINGS) else _read_parquet(path, base)
    except PermissionError as error:
        raise DataError(f"{path} may not be read by this user", remedy="Change its permissions.") from error
    except (OSError, EOFError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = "CSV" if name.endswith(CSV_ENDINGS) else "Parquet"
        raise DataError(
            f"{path} cannot be read as {kind}: {reason}",
            remedy="It may be truncated or damaged: copy or export it again.",
        ) from error


def _read_parquet(path: Path, base: str) -> tuple[pl.DataFrame, dict[str, str], Label]:
    columns = find_columns(list(pl.read_parquet_schema(path)), base, str(path))
    frame = pl.read_parquet(path, columns=list(columns.values()), glob=False)
    _check_not_empty(frame, path)
    return (
        frame.select(pl.col(own).alias(name) for name, own in columns.items()),
        columns,
        _parquet_label(path),
    )


def _parquet_label(path: Path) -> Label:
    return lambda row: f"{path} row {row + 1}"


def _read_csv(path: Path, base: str) -> tuple[pl.DataFrame, dict[str, str], Label]:
    """Every cell is read as text, so that nothing is guessed; blank lines are passed over."""
    above, header, separator = _csv_header(path)
    columns = find_columns(header, base, str(path))
    schema = {f"column {index}": pl.String() for index in range(len(header))}
    wanted = [pl.col(f"column {header.index(own)}").alias(name) for name, own in columns.items()]
    try:
        frame = (
            pl.scan_csv(
                path, separator=separator, has_header=False, skip_lines=above, schema=schema, glob=False
            )
            .select(wanted)
            .with_row_index("line", offset=above + 1)
            .filter(~pl.all_horizontal(pl.col(name).is_null() for name in columns))
            .collect()
        )
    except pl.exceptions.PolarsError:
        _check_cells(path, above, header, separator)
        raise
    _check_not_empty(frame, path)
    lines = frame["line"]
    return frame.drop("line"), columns, lambda row: f"{path} line {lines[row]}"


def _csv_header(path: Path) -> tuple[int, list[str], str]:
    """(lines above the first row, column names, separator); comments and an address may stand on top."""
    opener = gzip.open if path.name.lower().endswith(".gz") else Path.open
    with opener(path, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
    lines = _text(head, path).splitlines()
    top = next(
        (number for number, line in enumerate(lines) if line.strip() and not line.startswith(_NOT_A_HEADER)),
        None,
    )
    if top is None:
        raise DataError(f"{path} has no lines", remedy="Export it again.")
    separator = max(_SEPARATORS, key=lines[top].count)
    header = [name.strip() for name in next(csv.reader([lines[top]], delimiter=separator))]
    blank = next((count for count, line in enumerate(lines[top + 1 :]) if line.strip()), 0)
    return top + 1 + blank, header, separator


def _text(head: bytes, path: Path) -> str:
    """The first bytes of a file as text. Raises DataError for what is none, so that none of it is printed."""
    try:
        if b"\0" not in head:
            # A character that the end of ``head`` cuts in two is waited for, not an error.
            return codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        pass
    raise DataError(f"{path} is not text in UTF-8", remedy="Export it again, as CSV in UTF-8, or as Parquet.")


def _check_cells(path: Path, above: int, header: list[str], separator: str) -> None:
    """Raise DataError naming the first line with more cells than there are column names, if there is one."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator)
        for cells in reader:
            if reader.line_num > above and len(cells) > len(header):
                raise DataError(
                    f"{path} line {reader.line_num} has {len(cells)} cells for {len(header)} columns",
                    remedy="Correct that line; decimals take a point, thousands nothing.",
                )


def _check_not_empty(frame: pl.DataFrame, path: Path) -> None:
    if frame.height == 0:
        raise DataError(f"{path} has column names and no rows", remedy="Export it again, with data.")


def _numbers(column: pl.Series, label: Label) -> npt.NDArray[np.float64]:
    """The column as float64, NaN where a value is missing. Raises DataError for what is no number."""
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        failed = (
            numbers.is_null() & text.is_not_null() & ~text.str.to_lowercase().is_in(_NO_VALUE)
        ).arg_true()
        if len(failed):
            row = int(failed[0])
            raise DataError(
                f"{label(row)}: {column.name} is {column[row]!r}, not a number",
                remedy="Correct or remove that row; decimals take a point, thousands nothing.",
            )
    elif column.dtype.is_numeric() or column.dtype == pl.Null:
        numbers = column.cast(pl.Float64)
    else:
        value = "a nested value" if column.dtype.is_nested() else repr(column[0])
        raise DataError(
            f"{label(0)}: {column.name} is {value} ({column.dtype}), not a number",
            remedy=f"Store {column.name} as a number.",
        )
    return np.array(numbers.fill_null(np.nan).to_numpy(), dtype=np.float64)


def _check_values(candles: Candles, label: Label) -> None:
    """Prices are positive and volumes not negative, where there are any."""
    for name in PRICE_COLUMNS:
        column = getattr(candles, name)
        wrong = column < 0.0 if name == "volume" else column <= 0.0
        if wrong.any():
            row = int(np.argmax(wrong))
            must = "not be negative" if name == "volume" else "be above zero"
            raise DataError(
                f"{label(row)}: {name} is {column[row]:g} and must {must}",
                remedy="Correct the value, or remove the row: a missing minute is filled and counted.",
            )


def _check_order(candles: Candles, path: Path, label: Label, *, newest_first: bool) -> None:
    late = np.flatnonzero(candles.ts < np.maximum.accumulate(candles.ts))
    if newest_first or len(late) <= MAX_LATE_SHARE * len(candles):
        return
    raise DataError(
        f"{path}: {len(late)} of {len(candles)} rows are out of time order; the first is "
        f"{label(int(late[0]))}, {_minute(candles, int(late[0]))}",
        remedy="Sort the rows by time. (A file listed newest first is understood.)",
    )


def _check_minutes(candles: Candles, path: Path, label: Label) -> None:
    """Open times are whole minutes, and neighbours one minute apart somewhere."""
    within = np.flatnonzero(candles.ts % MINUTE_US)
    if len(within):
        row = int(within[0])
        raise DataError(
            f"{label(row)}: {us_to_datetime(int(candles.ts[row])).isoformat()} is not the start of a minute",
            remedy="One-minute candles carry their open time: use that column, or resample the data.",
        )
    steps = np.diff(np.sort(candles.ts, kind="stable"))
    steps = steps[steps > 0]
    if len(steps) and steps.min() > MINUTE_US:
        raise DataError(
            f"{path}: its bars are {int(steps.min()) // MINUTE_US} minutes apart",
            remedy="One-minute candles are needed: export them with the interval 1m.",
        )


def _check_duplicates(candles: Candles, label: Label) -> None:
    """Rows of the same minute agree in every value."""
    order = np.argsort(candles.ts, kind="stable")
    rows = candles[order]
    same = np.flatnonzero(rows.ts[1:] == rows.ts[:-1])
    conflict = same[differing(rows[same], rows[same + 1])]
    if not len(conflict):
        return
    first, second = int(order[conflict[0]]), int(order[conflict[0] + 1])
    name = next(
        name for name in PRICE_COLUMNS
        if not np.array_equal(getattr(candles, name)[first], getattr(candles, name)[second], equal_nan=True)
    )  # fmt: skip
    values = getattr(candles, name)
    raise DataError(
        f"{label(first)} and {label(second)} both hold the minute {_minute(candles, first)} and disagree: "
        f"{name} {float(values[first])!r} and {float(values[second])!r}",
        remedy="Decide which row is right and remove the other.",
    )


def _minute(candles: Candles, row: int) -> str:
    return f"{us_to_datetime(int(candles.ts[row])):%Y-%m-%d %H:%M} UTC"
