"""What a screen is: a pure function from (snapshot, selection, extent) to a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.queries.snapshot import Interest
from tradingai.widgets.footer import Key
from tradingai.widgets.header import NORMAL_COLUMNS, WIDE_COLUMNS
from tradingai.widgets.line import BLANK, Line, Span, crop, line, pad, wrap
from tradingai.widgets.plot import Picture
from tradingai.widgets.section import Drawn, Row, Table, draw

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})
HEAD_ROWS: Final = 2
TALL_ROWS: Final = 30
LEAST_COLUMNS: Final = 72
LEAST_ROWS: Final = 18
NOTHING_MORE: Final = Interest()


@dataclass(frozen=True, slots=True)
class Extent:
    """The terminal's size and what follows from it."""

    columns: int
    rows: int
    side_columns: int = 44
    """How wide this screen's side panel is where there is room for one."""
    no_color: bool = False
    """Whether the terminal shows shades of grey only."""

    @property
    def wide(self) -> bool:
        """Room for a side panel."""
        return self.columns >= WIDE_COLUMNS

    @property
    def narrow(self) -> bool:
        """One column of sections, short labels."""
        return self.columns < NORMAL_COLUMNS

    @property
    def tall(self) -> bool:
        """A blank row after the headline, and charts that grow."""
        return self.rows >= TALL_ROWS

    @property
    def cramped(self) -> bool:
        """Too small for any screen."""
        return self.columns < LEAST_COLUMNS or self.rows < LEAST_ROWS

    @property
    def side(self) -> int:
        """Columns of the side panel, 0 without one."""
        return self.side_columns if self.wide else 0

    @property
    def width(self) -> int:
        """Content columns of the main pane, its free first and last column taken off."""
        return self.columns - self.side - 2

    @property
    def side_width(self) -> int:
        """Content columns of the side panel: two free at either edge."""
        return max(0, self.side - 4)

    @property
    def top(self) -> int:
        """The body's first row: header, blank, headline, and a blank one in a tall terminal."""
        return HEAD_ROWS + 2 + (1 if self.tall else 0)

    @property
    def height(self) -> int:
        """Rows of the body, from under the headline to the footer."""
        return max(0, self.rows - self.top - 1)


@dataclass(frozen=True, slots=True)
class Selection:
    """Where the operator stands on a screen."""

    section: str = ""
    cursors: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    tops: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    filter: str = ""
    sort: int = 0
    coin: str = ""
    model: str = ""
    watched: str = ""
    """The run Monitor and Risk are about: an id, or NEWEST_REPLAY.

    Empty: the live one, or the newest replay where none ever was.
    """
    options: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Anything a single screen remembers: the overlaid run, the level of the log."""

    def option(self, name: str, default: str = "") -> str:
        """A screen's own choice."""
        return str(self.options.get(name, default))

    def with_option(self, name: str, value: str) -> Selection:
        """This selection with one choice changed."""
        return replace(self, options={**self.options, name: value})

    def with_cursor(self, section: str, key: str) -> Selection:
        """This selection with the cursor of a section on a row."""
        return replace(self, section=section, cursors={**self.cursors, section: key})


@dataclass(frozen=True, slots=True)
class Slot:
    """One widget's place in the body (cells, relative to its first row and column) and its content."""

    id: str
    x: int
    y: int
    width: int
    height: int
    content: Sequence[Line] | Picture


@dataclass(frozen=True, slots=True)
class View:
    """All a screen shows."""

    headline: Line
    context: Line = BLANK
    slots: tuple[Slot, ...] = ()
    side: Sequence[Line] = ()
    tables: tuple[Table, ...] = ()
    drawn: Mapping[str, Drawn] = field(default_factory=lambda: _EMPTY)
    keys: tuple[Key, ...] = ()
    items: tuple[str, ...] = ()
    """What ``[`` and ``]`` go through: coins or models."""
    item: str = ""
    interest: Interest = NOTHING_MORE
    ticks: bool = False
    """Whether something on the page counts down: it is painted once a second."""
    replay: bool = False
    """Whether the page shows a run that is not live: the header's chip says REPLAY."""

    def table(self, section: str) -> Table | None:
        """The section of that id, or the first one."""
        for table in self.tables:
            if table.id == section:
                return table
        return self.tables[0] if self.tables else None


class Page:
    """Collects the lines of a body from top to bottom while a view is made."""

    def __init__(self, extent: Extent, selection: Selection, sections: Sequence[str]) -> None:
        self.extent = extent
        self.selection = selection
        self.focus = selection.section if selection.section in sections else (sections[0] if sections else "")
        self.lines: list[Line] = []
        self.tables: list[Table] = []
        self.drawn: dict[str, Drawn] = {}

    @property
    def room(self) -> int:
        """Rows left."""
        return self.extent.height - len(self.lines)

    def gap(self, *, keep: int = 0) -> None:
        """One blank row, unless fewer than ``keep`` rows would be left after it."""
        if self.lines and self.room - 1 >= keep:
            self.lines.append(BLANK)

    def add(self, *lines: Line) -> None:
        """As many lines as there is room for, cut at the pane's edge."""
        width = self.extent.width
        for item in lines[: max(0, self.room)]:
            self.lines.append(replace(item, spans=crop(item.spans, width)) if item.width > width else item)

    def table(
        self, table: Table, *, heads: bool = True, rows: int | None = None, width: int | None = None
    ) -> Drawn:
        """A section with rows, filling at most ``rows`` lines for its rows (what is left when None).

        The operator's filter holds for every section, and its note names it.
        """
        table = self._filtered(table)
        taken = 1 + (1 if heads and table.rows else 0)
        limit = self.room - taken if rows is None else min(rows, self.room - taken)
        drawn = draw(
            table,
            width if width is not None else self.extent.width,
            cursor=self.selection.cursors.get(table.id),
            focus=self.focus == table.id,
            heads=heads,
            rows=max(1, limit),
            top=self.selection.tops.get(table.id, 0),
        )
        self.add(*drawn.lines)
        self.tables.append(table)
        self.drawn[table.id] = drawn
        return drawn

    def cursor(self, table: Table) -> Row | None:
        """The row the cursor of a section stands on, among those that match the filter."""
        return self._filtered(table).row(self.selection.cursors.get(table.id))

    def _filtered(self, table: Table) -> Table:
        wanted = self.selection.filter
        if not wanted:
            return table
        rows = filtered(table.rows, wanted)
        words = f"filter {wanted}" if rows else f"filter {wanted} matches nothing, esc clears"
        note = (table.note,) if isinstance(table.note, str | Span) else table.note
        said = (Span(words, "orange"), *(Span(", ", "muted") for item in note[:1] if item), *note)
        return replace(table, rows=rows, note=said)


def matches(row: Row, wanted: str) -> bool:
    """Whether a row has any of the words between ``|`` in ``wanted``, whatever the case."""
    if not wanted:
        return True
    text = " ".join((*row.plain, row.words)).lower()
    return any(part.strip() and part.strip() in text for part in wanted.lower().split("|"))


def filtered(rows: Sequence[Row], wanted: str) -> tuple[Row, ...]:
    """The rows that match."""
    return tuple(row for row in rows if matches(row, wanted))


def empty_state(*sentences: str, keys: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """What would be here, what it takes, and the key that makes it."""
    lines = [line(pad(4), row) for sentence in sentences for row in wrap(sentence, width - 6)]
    lines.append(BLANK)
    for key, words in keys:
        rows = wrap(words, width - 12)
        lines.append(line(pad(4), Span(key, "blue+b"), pad(2), rows[0] if rows else ""))
        lines.extend(line(pad(6 + len(key)), row) for row in rows[1:])
    return lines


def paragraph(text: str, width: int, *, indent: int = 4, ink: str = "text") -> list[Line]:
    """A sentence wrapped under a section."""
    return [line(pad(indent), row, ink=ink) for row in wrap(text, width - indent - 2)]


def opening(text: str) -> str:
    """The text with its first letter large and the rest as it is."""
    return text[:1].upper() + text[1:]


def headline(text: str, *, alarm: bool = False) -> Line:
    """The sentence that answers the screen's question."""
    return Line((Span(text, "orange+b" if alarm else "strong+b"),))
