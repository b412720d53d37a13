"""The heartbeat strip: one cell an hour, or half an hour, with its days and its legend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tradingai.engine.queries.observation_views import CellState, Incident, ObservationView, StripCell
from tradingai.widgets import numbers
from tradingai.widgets.bars import merge
from tradingai.widgets.line import Line, Span, line, pad
from tradingai.widgets.section import rule

INDENT: Final = 3
_MARKS: Final[dict[CellState, tuple[str, str]]] = {
    "whole": ("■", "blue"),
    "late": ("▪", "orange"),
    "open": ("▪", "blue"),
    "break": ("×", "orange"),
    "to_come": ("·", "faint"),
}
_DAY: Final = timedelta(days=1)


def strip_lines(view: ObservationView, width: int, *, half_hours: bool, now: datetime) -> list[Line]:
    """Title, strip, days, legend."""
    cells = shown_cells(view.half_hours if half_hours else view.hours, width - INDENT - 1)
    cell = "30 min" if half_hours else "1 h"
    note = f"1 cell = {cell}, beat every {view.heartbeat_s:g} s"
    return [
        rule("Heartbeats", note, width),
        Line((pad(INDENT), *merge(_MARKS[one.state] for one in cells))),
        line(pad(INDENT), Span(day_marks(cells, view.clock_started_at), "muted")),
        _legend(cells, now),
    ]


def shown_cells(cells: Sequence[StripCell], room: int) -> Sequence[StripCell]:
    """As many cells as there is room for: from shortly before the newest break on, and always the one in
    progress.
    """
    if len(cells) <= room:
        return cells
    breaks = [index for index, one in enumerate(cells) if one.state == "break"]
    lived = [index for index, one in enumerate(cells) if one.state != "to_come"]
    first = max(0, breaks[-1] - 1) if breaks else 0
    if lived:
        first = max(first, lived[-1] - room + 1)
    first = min(first, len(cells) - room)
    return cells[first : first + room]


def day_marks(cells: Sequence[StripCell], clock_started_at: datetime | None) -> str:
    """``Mon 06Z``, ``Tue 06Z`` under the cells in which a day of the clock begins, and its end."""
    if not cells or clock_started_at is None:
        return ""
    text = ""
    for index, one in enumerate(cells):
        passed = one.start - clock_started_at
        if passed < timedelta(0) or passed % _DAY:
            continue
        label = _day_label(one.start)
        if index >= len(text) and (index == 0 or index > len(text)) and index + len(label) <= len(cells):
            text = text.ljust(index) + label
    end = _day_label(cells[-1].end)
    start = len(cells) - len(end)
    return text.ljust(start) + end if start > len(text) else text


def _day_label(moment: datetime) -> str:
    return f"{moment:%a %H}Z" if moment.minute == 0 else f"{moment:%a %H:%M}Z"


def _legend(cells: Sequence[StripCell], now: datetime) -> Line:
    incidents = [item for one in cells for item in one.incidents]
    late = [item for item in incidents if item.kind != "break"]
    breaks = [item for item in incidents if item.kind == "break"]
    whole = Span("■", "blue"), Span(" whole", "muted")
    told = Span("▪", "orange"), Span(f" {_count(late, 'late scan', 'late', now)}", "muted")
    words = _count(breaks, "break", "break, clock restarts", now)
    broken = Span("×", "orange"), Span(f" {words}", "muted")
    to_come = Span("·", "faint"), Span(" to come", "muted")
    gap = pad(3)
    return line(pad(INDENT), *whole, gap, *told, gap, *broken, gap, *to_come)


def _count(items: Sequence[Incident], one: str, none: str, now: datetime) -> str:
    """``1 late scan, Wed 11:48Z``; what the sign means where there is none."""
    if not items:
        return none
    kinds = {item.kind for item in items}
    what = (
        one if kinds <= {"late", "break"} else "scan not in time" if len(items) == 1 else "scans not in time"
    )
    count = f"{len(items):,} {what}" if what != one else numbers.plural(len(items), one)
    return f"{count}, {numbers.day_time(items[-1].at, now)}"
