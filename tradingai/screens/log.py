"""0 Log: what happened?"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tradingai.engine.core.jsonio import dumps
from tradingai.engine.queries.snapshot import ConsoleSnapshot, EventView
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.events import EVENT_HEADS, event_row
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    filtered,
    headline,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, spread
from tradingai.widgets.section import Column, Row, Table, rule

LEVELS: Final = ("info", "warning", "error")
LEVEL_TEXTS: Final = {"info": "info and above", "warning": "warning and above", "error": "errors only"}


def shown_events(snapshot: ConsoleSnapshot, selection: Selection) -> tuple[EventView, ...]:
    """The events of the chosen level or above, oldest first."""
    least = LEVELS.index(selection.option("level", "info"))
    return tuple(
        event
        for event in snapshot.events.rows
        if LEVELS.index(event.level if event.level in LEVELS else "info") >= least
    )


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """How much happened, and whether some of it wants attention."""
    if snapshot.problem is not None:
        return headline(snapshot.problem.message, alarm=True)
    events = snapshot.events
    if not events.rows:
        return headline("Nothing has happened in this home yet.")
    return headline(
        f"{numbers.plural(events.today, 'event')} since midnight UTC, "
        f"{numbers.plural(events.warnings, 'warning')}, {numbers.plural(events.errors, 'error')}."
    )


def field_lines(event: EventView, width: int) -> list[Line]:
    """All fields of an event as JSON."""
    lines = []
    for text in dumps(dict(event.fields) or {"text": event.text}, indent=2).splitlines():
        rest = text
        while len(rest) > width:
            lines.append(line(rest[:width]))
            rest = "    " + rest[width:]
        lines.append(line(rest))
    return lines


class LogPage:
    """Makes the log's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.page = Page(extent, selection, ("events",))
        self.following = selection.option("follow", "yes") == "yes"

    def view(self) -> View:
        """Level, filter, range; then the events."""
        extent, page, snapshot = self.extent, self.page, self.snapshot
        events = shown_events(snapshot, self.selection)
        rows = filtered([event_row(event) for event in events], self.selection.filter)
        table = self._table(rows)
        row = page.cursor(table)
        chosen = next((event for event in events if row and event_row(event).key == row.key), None)
        if snapshot.problem is not None:
            stops = " Nothing is emitted until it can be read." if snapshot.header.kill_on else ""
            page.add(*paragraph(f"{snapshot.problem.remedy}{stops}", extent.width, indent=2))
        elif not rows:
            self._nothing(bool(snapshot.events.rows))
        elif self.selection.option("fields") and chosen is not None:
            page.add(rule(f"{chosen.type} {chosen.at:%Y-%m-%d %H:%M:%SZ}", "esc closes", extent.width))
            page.add(*field_lines(chosen, extent.width))
        else:
            self._rows(table)
        return View(
            headline=sentence(snapshot),
            context=line(Span("following" if self.following else "stopped, G follows", "muted")),
            slots=(Slot("main", 0, 0, extent.columns - extent.side, extent.height, tuple(page.lines)),),
            side=self._side(chosen) if extent.wide else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(),
        )

    def _table(self, rows: tuple[Row, ...]) -> Table:
        columns = (
            Column("time", 8),
            Column("", 1),
            Column("event", 18, gap=1),
            Column("text", 0),
        )
        start = rows[-1].key if rows else ""
        return Table(
            "events",
            "Events",
            "newest last, UTC",
            columns,
            rows,
            EVENT_HEADS,
            signed=False,
            named=2,
            start=start,
        )

    def _rows(self, table: Table) -> None:
        page, extent = self.page, self.extent
        status = len(page.lines)
        page.add(BLANK)
        page.gap(keep=10)
        drawn = page.table(table, heads=False)
        last = drawn.top + drawn.shown
        total = len(table.rows)
        left = [
            Span("level ", "muted"),
            Span(LEVEL_TEXTS[self.selection.option("level", "info")]),
            pad(5),
            Span("filter ", "muted"),
            Span(self.selection.filter or "none"),
        ]
        if self.snapshot.events.rows:
            left += [pad(5), Span("since ", "muted"), Span(f"{self.snapshot.events.rows[0].at:%m-%d %H:%MZ}")]
        right = line(Span(f"{drawn.top + 1}–{last} of {numbers.count(total)}", "muted"))
        page.lines[status] = spread(Line(tuple(left)), right, extent.width)

    def _nothing(self, hidden: bool) -> None:
        extent = self.extent
        if hidden:
            what = self.selection.filter or LEVEL_TEXTS[self.selection.option("level", "info")]
            texts: tuple[str, ...] = (f"No events match {what}.",)
            keys: tuple[tuple[str, str], ...] = (("esc", "clears the filter"), ("l", "changes the level"))
        else:
            texts = (
                "Every job, epoch, gate, promotion and message of the engine stands here as it happens.",
            )
            keys = (("1", "Overview, where n starts the quick pipeline"),)
        self.page.add(BLANK, *empty_state(*texts, keys=keys, width=min(78, extent.width)))

    def _side(self, event: EventView | None) -> list[Line]:
        if event is None:
            return []
        width = self.extent.side_width
        head = Line(fit(Span(f"{event.at:%Y-%m-%d %H:%M:%SZ}", "muted"), width))
        return [rule(event.type, event.level, width), head, *field_lines(event, width)]

    def _keys(self) -> tuple[Key, ...]:
        keys = [
            Key("f", "stop" if self.following else "follow", "follow new events, or stop", "follow"),
            Key("l", "level", "info, warning or error and above", "level"),
        ]
        if self.page.tables:
            keys += [
                Key("slash", "filter", "filter over event and text, words|words", "filter"),
                Key("enter", "fields", "all fields of the event as JSON", "open"),
                Key("y", "copy", "copy the row", "copy"),
                Key("e", "export", "export the filtered rows as CSV", "export"),
            ]
        return tuple(keys)


class LogScreen(ConsoleScreen):
    """The events, followed as they come."""

    MODE = "log"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return LogPage(snapshot, selection, extent).view()

    def _move(self, steps: int) -> None:
        """Moving up stops following; the end follows again."""
        super()._move(steps)
        table, row = self.table(), self.row()
        at_end = table is not None and row is not None and table.rows[-1].key == row.key
        self._follow(on=at_end)

    def _follow(self, *, on: bool) -> None:
        selection = self.selection.with_option("follow", "yes" if on else "no")
        if on:
            cursors = {key: value for key, value in selection.cursors.items() if key != "events"}
            selection = replace(selection, cursors=cursors)
        self.select(selection)

    def do_follow(self) -> None:
        """Follow, or stay where the cursor is."""
        following = self.selection.option("follow", "yes") == "yes"
        row = self.row()
        if following and row is not None:
            self.selection = self.selection.with_cursor("events", row.key)
        self._follow(on=not following)

    def do_level(self) -> None:
        """The next level."""
        now = LEVELS.index(self.selection.option("level", "info"))
        self.select(self.selection.with_option("level", LEVELS[(now + 1) % len(LEVELS)]))

    def do_open(self) -> None:
        """The event's fields."""
        if self.row() is not None:
            self.select(self.selection.with_option("fields", "yes"))

    def do_back(self) -> None:
        """Close the fields, else as everywhere."""
        if self.selection.option("fields"):
            self.select(self.selection.with_option("fields", ""))
        else:
            super().do_back()
