"""Events as rows, for the log and for the overview."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.queries.snapshot import EventView
from tradingai.widgets.line import Span
from tradingai.widgets.section import Column, Row

EVENT_COLUMNS: Final = (Column("time", 8), Column("", 1), Column("event", 17, gap=1), Column("text", 0))
EVENT_HEADS: Final = ("seq", "at", "type", "level", "text")

_SIGNS: Final = {
    "pass": Span("✓", "blue"),
    "fail": Span("✗", "orange"),
    "warn": Span("!", "orange"),
    "up": Span("▲", "blue"),
    "down": Span("▼", "orange"),
}


def event_row(event: EventView) -> Row:
    """One event: time, sign, name, text."""
    mark = _SIGNS.get(event.sign)
    if mark is None:
        mark = {"warning": Span("!", "orange"), "error": Span("✗", "orange")}.get(event.level, Span(" "))
    return Row(
        f"{event.seq}@{iso_z(event.at)}",
        (Span(f"{event.at:%H:%M:%S}", "muted"), mark, Span(event.type, "text"), Span(event.text, "muted")),
        plain=(str(event.seq), iso_z(event.at), event.type, event.level, event.text),
    )
