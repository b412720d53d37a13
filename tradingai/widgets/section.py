"""Sections and tables: a title, a rule, a note; then rows with a cursor, a sign and columns of fixed width.

Content columns: the cursor mark stands at 0, the sign at 2, text from 4 (from 2 in a table without signs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tradingai.widgets.line import BLANK, Align, Line, Piece, Span, crop, fit, line, pad

Cell = Piece | tuple[Piece, ...]

NO_SIGN: Final = Span(" ")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. ``width`` 0 takes what the others leave; ``gap`` blanks stand before it."""

    title: str
    width: int = 0
    align: Align = "left"
    gap: int = 2
    least: int = 0
    """Cells that a column without a width needs all the same."""
    spare: int = 0
    """Where the row has no room for all columns the one that can be spared most goes first; 0 stays."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its key, what it shows, and what copying or exporting it gives."""

    key: str
    cells: tuple[Cell, ...]
    sign: Span = NO_SIGN
    plain: tuple[str, ...] = ()
    below: tuple[Line, ...] = ()
    """Lines under the row that belong to it, in content columns."""
    tail: tuple[Span, ...] = ()
    """Stands in place of every column but the first, for a row that is still in the making."""
    words: str = ""
    """What the filter looks at beyond ``plain``."""


@dataclass(frozen=True, slots=True)
class Table:
    """A section of rows one can move through."""

    id: str
    title: str
    note: Piece | tuple[Piece, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    heads: tuple[str, ...] = ()
    """Column names of the exported file; empty: the table cannot be exported."""
    signed: bool = True
    sorts: tuple[str, ...] = ()
    """Names of the orders ``s`` goes through, the first being the default."""
    named: int = 0
    """The column that is bold on the cursor row."""
    start: str = ""
    """The row the cursor stands on until it is moved; the first one when empty."""

    def row(self, key: str | None) -> Row | None:
        """The row of that key, else the one the cursor starts on."""
        return next(
            (row for wanted in (key, self.start) for row in self.rows if row.key == wanted), None
        ) or (self.rows[0] if self.rows else None)


def rule(title: Piece, note: Piece | tuple[Piece, ...], width: int, *, focus: bool = False) -> Line:
    """A section's first row: title, rule, note. Focus is told by weight and colour."""
    text = title.text if isinstance(title, Span) else title
    notes = note if isinstance(note, tuple) and not isinstance(note, Span) else (note,)
    spans = tuple(item if isinstance(item, Span) else Span(item, "muted") for item in notes if item)
    spans = crop(spans, max(0, width - len(text) - 5))
    taken = sum(item.width for item in spans)
    head = Span(text, "blue+b" if focus else "strong+b")
    bar = max(0, width - head.width - taken - (2 if taken else 1))
    stroke = Span(("━" if focus else "─") * bar, "blue-dim" if focus else "rule")
    return Line((head, pad(1), stroke, *((pad(1), *spans) if taken else ())))


def column_widths(columns: Sequence[Column], width: int) -> list[int]:
    """Cells of each column when the row has ``width`` cells for them."""
    fixed = sum(column.width for column in columns) + sum(column.gap for column in columns[1:])
    flexible = [index for index, column in enumerate(columns) if column.width == 0]
    widths = [column.width for column in columns]
    if flexible:
        share, rest = divmod(max(0, width - fixed), len(flexible))
        for order, index in enumerate(flexible):
            widths[index] = share + (1 if order < rest else 0)
    return widths


def _needed(columns: Sequence[Column]) -> int:
    """Cells that the columns take at least."""
    return sum(column.width or column.least for column in columns) + sum(item.gap for item in columns[1:])


def fitting(table: Table, width: int) -> Table:
    """The table without the columns it has no room for: a number is left out and never cut."""
    room = width - (4 if table.signed else 2)
    kept = list(range(len(table.columns)))
    while _needed([table.columns[index] for index in kept]) > room:
        most = max(kept, key=lambda index: table.columns[index].spare)
        if not table.columns[most].spare:
            break
        kept.remove(most)
    if len(kept) == len(table.columns):
        return table
    rows = tuple(replace(row, cells=tuple(row.cells[index] for index in kept)) for row in table.rows)
    columns = tuple(table.columns[index] for index in kept)
    named = kept.index(table.named) if table.named in kept else 0
    return replace(table, columns=columns, rows=rows, named=named)


def heads_line(table: Table, width: int) -> Line:
    """The row of column names."""
    offset = 4 if table.signed else 2
    spans: list[Span] = [pad(offset)]
    widths = column_widths(table.columns, width - offset)
    for index, (column, cells) in enumerate(zip(table.columns, widths, strict=True)):
        if index:
            spans.append(pad(column.gap))
        spans.extend(fit(Span(column.title, "faint"), cells, column.align))
    return Line(crop(tuple(spans), width))


def _cell(cell: Cell, width: int, align: Align, *, bold: bool) -> tuple[Span, ...]:
    pieces = cell if isinstance(cell, tuple) and not isinstance(cell, Span) else (cell,)
    spans = tuple(item if isinstance(item, Span) else Span(item) for item in pieces)
    if bold:
        spans = tuple(
            Span(item.text, "strong+b" if item.ink.split("+")[0] in {"text", "strong", "faint"} else item.ink)
            for item in spans
        )
    return fit(spans, width, align)


def row_lines(table: Table, row: Row, width: int, *, cursor: bool) -> list[Line]:
    """One row and whatever stands under it."""
    ground = "raised" if cursor else ""
    target = ("row", f"{table.id}:{row.key}")
    spans: list[Span] = [Span("▸" if cursor else " ", "blue"), pad(1)]
    if table.signed:
        spans += [row.sign, pad(1)]
    widths = column_widths(table.columns, width - (4 if table.signed else 2))
    shown = 1 if row.tail else len(table.columns)
    for index, (column, cells, content) in enumerate(
        zip(table.columns[:shown], widths[:shown], row.cells[:shown], strict=True)
    ):
        if index:
            spans.append(pad(column.gap))
        spans.extend(_cell(content, cells, column.align, bold=cursor and index == table.named))
    if row.tail:
        spans += [pad(2), *row.tail]
    lines = [Line(crop(tuple(spans), width), ground, target)]
    lines.extend(Line(crop(item.spans, width), ground, target) for item in row.below)
    return lines


def window(total: int, cursor: int, height: int, top: int) -> int:
    """The first row to show so that ``cursor`` is among ``height`` rows, moving ``top`` no more than
    needed.
    """
    if height <= 0 or total <= height:
        return 0
    top = min(max(top, cursor - height + 1), cursor)
    return min(max(0, top), total - height)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A table as lines, and the first row that is shown."""

    lines: tuple[Line, ...]
    top: int = 0
    shown: int = 0
    """Rows shown from ``top`` on."""


def draw(
    table: Table,
    width: int,
    *,
    cursor: str | None,
    focus: bool,
    heads: bool = True,
    rows: int | None = None,
    top: int = 0,
) -> Drawn:
    """The section's lines: title, column names, and as many rows as fit into ``rows`` lines (all when
    None).
    """
    table = fitting(table, width)
    lines = [rule(table.title, table.note, width, focus=focus)]
    if heads and table.rows:
        lines.append(heads_line(table, width))
    keys = [row.key for row in table.rows]
    current = table.row(cursor)
    at = keys.index(current.key) if current is not None else 0
    per_row = 1 + max((len(row.below) for row in table.rows), default=0)
    height = len(keys) if rows is None else max(1, rows // per_row)
    first = window(len(keys), at, height, top)
    shown = table.rows[first : first + height]
    for row in shown:
        lines.extend(row_lines(table, row, width, cursor=focus and row.key == keys[at]))
    return Drawn(tuple(lines), first, len(shown))


def pair(label: str, value: Cell, width: int, *, indent: int = 0) -> Line:
    """``label ······ value``: a fact of a side panel, label muted at the left, value at the right."""
    pieces = value if isinstance(value, tuple) and not isinstance(value, Span) else (value,)
    spans = tuple(item if isinstance(item, Span) else Span(item) for item in pieces)
    taken = sum(item.width for item in spans)
    room = max(0, width - indent - taken - 2)
    head = crop((Span(label, "muted"),), room)
    free = width - indent - sum(item.width for item in head) - taken
    return Line(crop((pad(indent), *head, pad(free), *spans), width))


def stack(*groups: Iterable[Line], gap: bool = True) -> list[Line]:
    """Groups of lines under each other, one blank row between them when ``gap``; empty groups take no
    room.
    """
    result: list[Line] = []
    for group in groups:
        lines = list(group)
        if lines and result and gap:
            result.append(BLANK)
        result.extend(lines)
    return result


def stack_within(groups: Sequence[Sequence[Line]], height: int) -> list[Line]:
    """:func:`stack` without the groups that have no room for all their rows."""
    shown: list[Sequence[Line]] = []
    for group in groups:
        if len(stack(*shown, group)) <= height:
            shown.append(group)
    return stack(*shown)


def note_line(label: str, *pieces: Piece, indent: int = 4) -> Line:
    """``next  train again``: a muted label, then the sentence, under a table."""
    return line(pad(indent), Span(label, "muted"), pad(2), *pieces)
