"""The command palette: every key of every screen, every screen, both themes; found by typing parts of
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Input

from tradingai.widgets.entry import TextEntry
from tradingai.widgets.footer import Key, face
from tradingai.widgets.header import MODES
from tradingai.widgets.line import Line, Span, fit, line, pad
from tradingai.widgets.lineview import LineView

COLUMNS = 64
ROWS = 10


class Entry(NamedTuple):
    """One thing the palette can do."""

    title: str
    key: str
    action: str


EVERYWHERE: Final = (
    Entry("Filter the rows", "/", "filter"),
    Entry("Sort the rows", "s", "sort"),
    Entry("Copy the row", "y", "copy"),
    Entry("Export the rows as CSV", "e", "export"),
    Entry("Cancel a running job", "x", "cancel"),
    Entry("Kill switch", "K", "kill"),
    Entry("Save this screen as SVG", "", "save"),
    Entry("Light or dark theme", "^t", "theme"),
    Entry("Keys of this screen", "?", "help"),
    Entry("Quit", "q", "quit"),
)


def entries_of(keys: Sequence[Key]) -> list[Entry]:
    """A screen's own keys, every screen, and what works everywhere."""
    own = [Entry(item.help, face(item.key), item.action) for item in keys]
    screens = [Entry(f"Go to {mode.title}", mode.key, f"screen:{mode.id}") for mode in MODES]
    return [*own, *screens, *EVERYWHERE]


def found(entries: Sequence[Entry], typed: str) -> list[Entry]:
    """Entries that contain every typed word; those that begin with the first word come first."""
    words = typed.lower().split()
    hits = [entry for entry in entries if all(word in entry.title.lower() for word in words)]
    if words:
        hits.sort(key=lambda entry: not entry.title.lower().startswith(words[0]))
    return hits


class Palette(ModalScreen[str | None]):
    """Gives back the action that was chosen."""

    AUTO_FOCUS: ClassVar[str | None] = ""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self.entries = tuple(entries)
        self.at = 0

    def compose(self) -> ComposeResult:
        """A field and what it finds."""
        yield LineView(id="panel", ground="surface", margin=2)
        field = TextEntry(id="command", placeholder="what to do", select_on_focus=False)
        field.cursor_blink = False
        yield field

    def on_mount(self) -> None:
        """Start typing."""
        self._lay_out()
        self.query_one("#command", Input).focus()

    def on_resize(self) -> None:
        """Another size, another place."""
        self._lay_out()

    @property
    def hits(self) -> list[Entry]:
        """What is found now."""
        return found(self.entries, self.query_one("#command", Input).value)

    def _lay_out(self) -> None:
        if not self.query("#panel"):
            return
        size = self.app.size
        width = min(COLUMNS, size.width - 2)
        rows = min(ROWS, size.height - 8)
        left = max(0, (size.width - width) // 2)
        panel = self.query_one("#panel", LineView)
        field = self.query_one("#command", Input)
        places = ((panel, left, 3, width, rows + 4), (field, left + 5, 4, width - 7, 1))
        for widget, x, y, columns, height in places:
            widget.display = True
            widget.styles.offset = (x, y)
            widget.styles.width = columns
            widget.styles.height = height
        panel.show(self._lines(width - 4, rows))

    def _lines(self, width: int, rows: int) -> list[Line]:
        hits = self.hits
        self.at = min(self.at, max(0, len(hits) - 1))
        top = max(0, min(self.at - rows + 1, len(hits) - rows)) if self.at >= rows else 0
        lines = [line(""), line(Span("^p", "blue+b")), line("")]
        for index, entry in enumerate(hits[top : top + rows], start=top):
            chosen = index == self.at
            cells = (
                Span("▸ " if chosen else "  ", "blue"),
                *fit(Span(entry.title, "strong+b" if chosen else "text"), width - 8),
                pad(1),
                *fit(Span(entry.key, "blue+b"), 5, "right"),
            )
            lines.append(Line(cells, "raised" if chosen else "", ("entry", str(index))))
        if not hits:
            lines.append(line(Span("  nothing is called that; esc leaves", "muted")))
        return lines

    @on(Input.Changed)
    def typed(self) -> None:
        """Search as it is typed."""
        self.at = 0
        self._lay_out()

    @on(Input.Submitted)
    def submitted(self) -> None:
        """Do it."""
        hits = self.hits
        self.dismiss(hits[self.at].action if hits else None)

    @on(LineView.Clicked)
    def clicked(self, event: LineView.Clicked) -> None:
        """A click chooses."""
        event.stop()
        if event.target[0] == "entry":
            self.dismiss(self.hits[int(event.target[1])].action)

    async def on_key(self, event: events.Key) -> None:
        """Up and down move, escape leaves."""
        if event.key in {"escape", "ctrl+p", "ctrl+c", "ctrl+q"}:
            event.stop()
            self.dismiss(None)
        elif event.key in {"down", "up"}:
            event.stop()
            self.at = max(0, self.at + (1 if event.key == "down" else -1))
            self._lay_out()
