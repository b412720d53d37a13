"""The history report of MetaTrader 5 as sections of rows: HTML as the terminal writes it, or CSV.

Cells of class ``hidden`` are left out (the header lacks them), cells that span columns stand once and leave
the other columns empty, and a row without a time ends its section: the totals, and the summary after them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from tradingai.engine.core.errors import DataError
from tradingai.engine.providers.mt5.export_file import ExportFile, refuse_language, whole_text

SECTIONS: Final = ("Positions", "Orders", "Deals")
_TIME: Final = re.compile(r"\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}:\d{2}")
_SPACES: Final = re.compile(r"[\s\u00a0\u2009\u202f]+")
_AGAIN: Final = "Export the report again (History > Report > HTML)."


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a report. Two columns may share a name (Time, Price): the first is found by it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def records(self) -> Iterator[dict[str, str]]:
        """Each row by column name, of equal names the first."""
        for row in self.rows:
            record: dict[str, str] = {}
            for name, cell in zip(self.columns, row, strict=False):
                record.setdefault(name, cell)
            yield record


@dataclass(frozen=True, slots=True)
class Report:
    """A history report."""

    sections: Mapping[str, Section]
    sha256: str
    """Of the file."""


def read_report(export: ExportFile) -> Report:
    """Read a report. Raises DataError for one in another language, and for one without deals or orders."""
    text, sha256 = whole_text(export)
    rows = _csv_rows(export, text) if export.separator else _html_rows(export.path, text)
    sections = _sections(export.path, rows)
    if "Deals" not in sections and "Orders" not in sections:
        refuse_language(export.path, text)
        raise DataError(
            f"{export.path} has no section Deals with its columns in English",
            remedy="Give the report of the History tab, written by a terminal set to English.",
        )
    return Report(sections, sha256)


def number(text: str, where: str) -> float:
    """``4 106.170`` and ``- 70.25`` as numbers. Raises DataError for anything else.

    >>> number("- 70.25", "a cell"), number("4 106.170", "a cell")
    (-70.25, 4106.17)
    """
    try:
        return float(_SPACES.sub("", text).replace("\u2212", "-"))
    except ValueError as error:
        raise DataError(
            f"{where}: {text!r} is no number as MetaTrader writes them (4 106.17)", remedy=_AGAIN
        ) from error


def volume(text: str, where: str) -> float:
    """The filled part of a volume: of ``0.05 / 0.10`` the first."""
    return number(text.partition("/")[0], where)


def is_time(text: str) -> bool:
    """Whether a cell is ``YYYY.MM.DD HH:MM:SS``."""
    return _TIME.fullmatch(text) is not None


def _refuse_other_time(path: Path, section: str, row: Sequence[str]) -> None:
    """A row that begins with a number is no total: its time was written in another way."""
    if row and row[0][:1].isdigit():
        raise DataError(
            f"{path}: {row[0]!r} in {section} is no time as MetaTrader writes them (2026.07.01 11:00:00)",
            remedy="A spreadsheet changed it: give the HTML report, or save the cells as text.",
        )


class _Table(HTMLParser):
    """Rows of every table in the document, without hidden cells."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.complete = False
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._span, self._hidden = 1, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A row or a cell begins; what MetaTrader leaves open ends here."""
        given = dict(attrs)
        if tag == "tr":
            self._end_row()
            self._row = []
        elif tag in {"td", "th"} and self._row is not None:
            self._end_cell()
            self._cell = []
            self._hidden = "hidden" in (given.get("class") or "").split()
            span = given.get("colspan") or "1"
            self._span = min(int(span), 64) if span.isdigit() else 1

    def handle_endtag(self, tag: str) -> None:
        """A cell, a row or the table ends."""
        if tag in {"td", "th"}:
            self._end_cell()
        elif tag == "tr":
            self._end_row()
        elif tag in {"table", "html"}:
            self._end_row()
            self.complete = True

    def handle_data(self, data: str) -> None:
        """Text of the open cell."""
        if self._cell is not None:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None and not self._hidden:
            self._row += ["".join(self._cell).strip(), *[""] * (self._span - 1)]
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._row:
            self.rows.append(self._row)
        self._row = None


def _html_rows(path: Path, text: str) -> list[list[str]]:
    table = _Table()
    table.feed(text)
    if not table.complete:
        raise DataError(f"{path} was cut off: its table has no end", remedy=_AGAIN)
    return table.rows


def _csv_rows(export: ExportFile, text: str) -> list[list[str]]:
    reader = csv.reader(text.splitlines(), delimiter=export.separator)
    try:
        return [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise DataError(f"{export.path} line {reader.line_num}: {error}", remedy=_AGAIN) from error


def _sections(path: Path, rows: Sequence[Sequence[str]]) -> dict[str, Section]:
    """Section titles stand alone in their row, the columns follow, then rows that begin with a time."""
    found: dict[str, Section] = {}
    pending = iter(rows)
    for row in pending:
        title = row[0] if row else ""
        if title not in SECTIONS or any(row[1:]) or title in found:
            continue
        columns = next(pending, ())
        body = []
        for line in pending:
            if not line or not is_time(line[0]):
                _refuse_other_time(path, title, line)
                break
            body.append(tuple(line))
        found[title] = Section(tuple(columns), tuple(body))
    return found
