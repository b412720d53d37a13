"""Toasts: a line or two above the footer for a few seconds. Whatever they say is also in the log."""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot, EventView
from tradingai.widgets.line import Line, Span, line, pad, wrap

TOAST_S: Final = 5.0
"""How long a message stands; one that wants attention twice as long."""
TOAST_ROWS: Final = 4
TOLD_EVENTS: Final = frozenset(
    {"JobFailed", "WorkerDied", "GuardStateChanged", "FtmoLimitBreached", "DrillFinished"}
)
"""Events an operator should hear of on whatever screen they are."""


def toast_lines(text: str, level: str, columns: int) -> tuple[Line, ...]:
    """A message of at most four rows, marked when it wants attention."""
    marked = level != "info"
    mark = Span("! ", "orange+b") if marked else Span("● ", "blue")
    ink = "strong" if marked else "text"
    rows = wrap(text, max(20, columns - 8))[:TOAST_ROWS]
    return tuple(line(mark if index == 0 else pad(2), Span(row, ink)) for index, row in enumerate(rows))


def worth_a_toast(before: ConsoleSnapshot, after: ConsoleSnapshot) -> tuple[EventView, ...]:
    """Events that are new in a picture and should be told; nothing in the first picture of a home."""
    if not before.settled:
        return ()
    last = max((event.seq for event in before.events.rows), default=0)
    return tuple(event for event in after.events.rows if event.seq > last and event.type in TOLD_EVENTS)
