"""Bid and ask over time from tick and bar exports, streamed: a year of ticks is gigabytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tradingai.engine.core.errors import DataError
from tradingai.engine.providers.mt5.export_file import ExportFile, LineReader, Lines
from tradingai.engine.providers.mt5.server_time import ServerClock

_DATE: Final = "%Y.%m.%d"
_TIME: Final = "%H:%M:%S%.f"
_BPS: Final = 1e4
_BROKEN: Final = "The file is damaged or was cut off: export it again."

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class QuoteCounts:
    """What became of the rows."""

    rows: int = 0
    used: int = 0
    before_both: int = 0
    """Before both sides were known."""
    zero: int = 0
    """Ask equal to bid, or a bar without a spread."""
    negative: int = 0
    """Ask below bid."""
    first_us: int | None = None
    last_us: int | None = None

    def as_json(self) -> dict[str, int]:
        """The counts."""
        names = ("rows", "used", "before_both", "zero", "negative")
        return {name: getattr(self, name) for name in names}


class Spreads(NamedTuple):
    """Positive spreads of some rows: microseconds UTC [N] and basis points of the mid price [N]."""

    ts_us: Ints
    bps: Floats
    read_bytes: int
    """Of the file so far."""


@dataclass(slots=True)
class QuoteReader:
    """The spreads of one export; ``counts``, ``clock`` and ``sha256`` are complete once all were taken."""

    export: ExportFile
    clock: ServerClock
    point: float | None = None
    """Of bars: the price of one point of SPREAD; None infers it from the decimals of the prices."""
    counts: QuoteCounts = field(default_factory=QuoteCounts)
    sha256: str = ""
    _bid: float | None = None
    _ask: float | None = None

    def __iter__(self) -> Iterator[Spreads]:
        """Raises DataError naming the line of a row that cannot be read."""
        reader = LineReader(self.export)
        read = _read_ticks if self.export.kind == "ticks" else _read_bars
        for lines in reader:
            found = read(self, lines)
            if len(found.ts_us):
                if self.counts.first_us is None:
                    self.counts.first_us = int(found.ts_us[0])
                self.counts.last_us = int(found.ts_us[-1])
            yield found
        self.sha256 = reader.sha256
        if not self.counts.rows:
            raise DataError(f"{self.export.path} holds a header and no rows", remedy="Export a longer range.")

    def positive(self, ts_us: Ints, spread: Floats, mid: Floats, read_bytes: int) -> Spreads:
        """Count what is no spread and keep the rest."""
        self.counts.zero += int((spread == 0).sum())
        self.counts.negative += int((spread < 0).sum())
        good = spread > 0
        self.counts.used += int(good.sum())
        return Spreads(ts_us[good], spread[good] / mid[good] * _BPS, read_bytes)

    def carried(self, bid: pl.Series, ask: pl.Series) -> tuple[Floats, Floats]:
        """Empty sides filled with the newest known value, NaN before there is one."""
        sides = []
        for side, known in ((bid, self._bid), (ask, self._ask)):
            filled = side.fill_null(strategy="forward")
            sides.append((filled if known is None else filled.fill_null(known)).fill_null(np.nan).to_numpy())
        self._bid, self._ask = (None if np.isnan(side[-1]) else float(side[-1]) for side in sides)
        return sides[0], sides[1]


def _read_ticks(reader: QuoteReader, lines: Lines) -> Spreads:
    frame = _frame(reader.export, lines, ("BID", "ASK"))
    ts_us = reader.clock.to_utc(_server_us(reader.export.path, frame, lines))
    bid, ask = reader.carried(*(_prices(reader.export.path, frame[name], lines) for name in ("BID", "ASK")))
    known = ~(np.isnan(bid) | np.isnan(ask))
    reader.counts.rows += len(frame)
    reader.counts.before_both += int((~known).sum())
    bid, ask = bid[known], ask[known]
    return reader.positive(ts_us[known], ask - bid, (ask + bid) / 2, lines.read_bytes)


def _read_bars(reader: QuoteReader, lines: Lines) -> Spreads:
    frame = _frame(reader.export, lines, ("CLOSE", "SPREAD"))
    if reader.point is None:
        reader.point = _point(reader.export, lines)
    ts_us = reader.clock.to_utc(_server_us(reader.export.path, frame, lines))
    close, points = (_required(reader.export.path, frame[name], lines) for name in ("CLOSE", "SPREAD"))
    spread = points * reader.point
    reader.counts.rows += len(frame)
    return reader.positive(ts_us, spread, close + spread / 2, lines.read_bytes)


def _frame(export: ExportFile, lines: Lines, numbers: tuple[str, ...]) -> pl.DataFrame:
    """DATE and TIME as text and the wanted columns as numbers, null where a cell is empty."""
    wanted = ("DATE", "TIME", *numbers)
    places = {name: export.columns.index(name) for name in wanted}
    kinds: dict[str, Any] = {f"column_{places[name]}": pl.Float64 for name in numbers}
    try:
        frame = pl.read_csv(
            io.BytesIO(lines.text), separator=export.separator, has_header=False, infer_schema=False,
            columns=sorted(places.values()), schema_overrides=kinds, truncate_ragged_lines=False,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise _bad_line(export, lines, numbers, error) from error
    separators = (len(export.columns) - 1) * len(frame)
    if lines.text.count(export.separator.encode()) != separators:
        raise _bad_line(export, lines, numbers, None)
    return frame.select(pl.col(f"column_{place}").alias(name) for name, place in places.items())


def _bad_line(
    export: ExportFile, lines: Lines, numbers: tuple[str, ...], error: Exception | None
) -> DataError:
    """The first line that has not as many cells as the header, or a word for a number."""
    for number, raw in enumerate(lines.text.splitlines(), start=lines.first_line):
        text = raw.decode(errors="replace")
        cells = [cell.strip().strip('"') for cell in text.split(export.separator)]
        if len(cells) != len(export.columns):
            return DataError(
                f"{export.path} line {number} has {len(cells)} cells instead of {len(export.columns)}: "
                f"{text[:60]!r}",
                remedy=_BROKEN,
            )
        for name in numbers:
            cell = cells[export.columns.index(name)]
            if cell and not _is_number(cell):
                return DataError(f"{export.path} line {number}: {name} {cell!r} is no number", remedy=_BROKEN)
    reason = str(error).splitlines()[0] if error is not None else "cells do not add up"
    return DataError(f"{export.path} from line {lines.first_line} on: {reason}", remedy=_BROKEN)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _server_us(path: Path, frame: pl.DataFrame, lines: Lines) -> Ints:
    """Server wall time in microseconds since 1970. Raises DataError naming the line of one that is none."""
    date = frame["DATE"].str.strip_chars().str.to_date(_DATE, strict=False)
    time = frame["TIME"].str.strip_chars()
    short = pl.select(pl.when(time.str.len_chars() == 5).then(time + ":00").otherwise(time))
    clock = short.to_series().str.to_time(_TIME, strict=False)
    bad = (date.is_null() | clock.is_null()).arg_true()
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"{path} line {lines.first_line + row}: {frame['DATE'][row]!r} {frame['TIME'][row]!r} is no time",
            remedy="MetaTrader writes 2026.07.01 and 11:00:00.051. " + _BROKEN,
        )
    days = date.cast(pl.Int32).cast(pl.Int64) * 86_400_000_000
    return np.asarray((days + clock.cast(pl.Int64) // 1000).to_numpy(), dtype=np.int64)


def _prices(path: Path, cells: pl.Series, lines: Lines) -> pl.Series:
    """A side's prices; an empty cell and a zero are no price. Raises DataError for one below zero."""
    bad = (cells.is_nan() | cells.is_infinite() | (cells < 0)).fill_null(value=False).arg_true()
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"{path} line {lines.first_line + row}: {cells.name} {cells[row]} is no price", remedy=_BROKEN
        )
    return pl.select(pl.when(cells > 0).then(cells).alias(cells.name)).to_series()


def _required(path: Path, cells: pl.Series, lines: Lines) -> Floats:
    least = 0.0 if cells.name == "SPREAD" else np.nextafter(0.0, 1.0)
    bad = (cells.is_null() | cells.is_nan() | cells.is_infinite() | (cells < least)).arg_true()
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"{path} line {lines.first_line + row}: {cells.name} {cells[row]} cannot be used", remedy=_BROKEN
        )
    return np.asarray(cells.to_numpy(), dtype=np.float64)


def _point(export: ExportFile, lines: Lines) -> float:
    """Ten to the minus most decimals among the first thousand closes."""
    place = export.columns.index("CLOSE")
    rows = lines.text.split(b"\n", 1000)[:1000]
    cells = [row.decode().split(export.separator)[place].strip().strip('"') for row in rows if row.strip()]
    return float(10.0 ** -max(len(cell.partition(".")[2]) for cell in cells))
