"""Dialogs: 64 columns on surface, an orange bar at the left edge where something live changes, their own
keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Input

from tradingai.widgets.entry import TextEntry
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, wrap
from tradingai.widgets.lineview import LineView

COLUMNS: Final = 64
INNER: Final = COLUMNS - 6
ENTRY: Final = 26


@dataclass(frozen=True, slots=True)
class Field:
    """One value to type. ``hint`` stands in it while it is empty, ``note`` beside it. ``check`` gives what
    is wrong with it, or nothing.
    """

    name: str
    label: str
    value: str = ""
    hint: str = ""
    note: str = ""
    check: Callable[[str], str] = lambda _: ""


def dialog_lines(texts: Sequence[str], *, indent: int = 0) -> list[Line]:
    """Sentences; one that begins with ``! `` is marked."""
    lines: list[Line] = []
    for text in texts:
        attention = text.startswith("! ")
        rows = wrap(text.removeprefix("! "), INNER - (2 if attention else 0) - indent)
        for index, row in enumerate(rows or [""]):
            mark = (Span("! " if index == 0 else "  ", "orange+b"),) if attention else ()
            lines.append(line(pad(indent), *mark, row))
    return lines


class FormEntry(TextEntry):
    """One of a dialog's fields. Up and down go to its neighbours, and what was typed after them goes there,
    also when it came here in the same burst.
    """

    async def _on_key(self, event: events.Key) -> None:
        """Move, answer, or edit the field the operator is in by now; nothing once the dialog was answered."""
        dialog, there = self.screen, self.screen.focused
        if isinstance(dialog, Dialog) and (dialog.answered or event.key == "enter"):
            dialog.answer(accepted=True)
        elif event.key in {"down", "up"}:
            (self.screen.focus_next if event.key == "down" else self.screen.focus_previous)(FormEntry)
        elif not isinstance(there, FormEntry) or not await there.take(event):
            return
        event.stop()
        event.prevent_default()


class Dialog(ModalScreen[Mapping[str, str] | None]):
    """States effect and cost, asks for values, and gives them back on enter; nothing on escape."""

    AUTO_FOCUS: ClassVar[str | None] = ""

    def __init__(
        self,
        title: str,
        texts: Sequence[str],
        *,
        verb: str,
        keep: str = "leave it",
        fields: Sequence[Field] = (),
        live: bool = False,
        waits_for: str = "when it matches",
    ) -> None:
        super().__init__()
        self.title_text = title
        self.texts = tuple(texts)
        self.verb = verb
        self.keep = keep
        self.fields = tuple(fields)
        self.live = live
        self.waits_for = waits_for
        self._top: int | None = None
        self.answered = False
        """Whether it is about to close: keys that were typed after the answer are nobody's."""
        several = len(self.fields) > 1
        self._label = max(len(field.label) for field in self.fields) + 2 if several else 0
        self._entry = ENTRY if any(field.note for field in self.fields) else ENTRY + 10

    def compose(self) -> ComposeResult:
        """The panel, one input a field, and the dialog's own footer."""
        yield LineView(id="panel", ground="surface", margin=3)
        yield LineView(id="edge", margin=0, ground="surface")
        for field in self.fields:
            entry = FormEntry(
                value=field.value, id=f"field-{field.name}", select_on_focus=False, placeholder=field.hint
            )
            entry.cursor_blink = False
            yield entry
        yield LineView(id="keys", ground="surface")

    def on_mount(self) -> None:
        """Lay out, and stand in the first field."""
        self._lay_out()
        if self.fields:
            self.query_one(f"#field-{self.fields[0].name}", Input).focus()

    def on_resize(self) -> None:
        """Another size, another place."""
        self._top = None
        self._lay_out()

    def values(self) -> dict[str, str]:
        """What was typed."""
        return {
            field.name: self.query_one(f"#field-{field.name}", Input).value.strip() for field in self.fields
        }

    def problem(self) -> str:
        """What is wrong with what was typed, or nothing."""
        for field in self.fields:
            message = field.check(self.values()[field.name])
            if message:
                return message
        return ""

    def _lines(self) -> tuple[list[Line], dict[str, int]]:
        """The panel's lines, and the row of each field's input."""
        lines = [BLANK, line(Span(self.title_text, "strong+b")), BLANK, *dialog_lines(self.texts)]
        places: dict[str, int] = {}
        if self.texts:
            lines.append(BLANK)
        for field in self.fields:
            if self._label == 0:
                lines.append(line(Span(field.label, "muted")))
            places[field.name] = len(lines)
            named = field.label if self._label else ""
            lines.append(
                line(*fit(named, self._label + self._entry + 2, "left", "muted"), Span(field.note, "muted"))
            )
        problem = self.problem()
        ready = not problem
        if self.fields:
            told = problem if any(self.values().values()) else ""
            lines += [line(Span(row, "muted")) for row in (wrap(told, INNER) or [""])]
            if told:
                lines.append(BLANK)
        enter = "blue+b" if ready else "faint"
        verb = self.verb if ready or not self.live else f"{self.verb}, {self.waits_for}"
        lines.append(
            line(
                Span("↵", enter, ("answer", "yes")),
                Span(f" {verb}", "text" if ready else "faint", ("answer", "yes")),
                pad(4),
                Span("esc", "blue+b", ("answer", "no")),
                Span(f" {self.keep}", "text", ("answer", "no")),
            )
        )
        lines.append(BLANK)
        return lines, places

    def _lay_out(self) -> None:
        if not self.query("#panel"):
            return
        lines, places = self._lines()
        size = self.app.size
        width = min(COLUMNS, size.width - 2)
        left = max(0, (size.width - width) // 2)
        top = max(2, (size.height - len(lines)) // 2 - 1) if self._top is None else self._top
        self._top = top
        self._place("#panel", left, top, width, len(lines))
        self.query_one("#panel", LineView).show(lines)
        self._place("#edge", left, top, 1, len(lines))
        ink = "orange" if self.live else "blue-dim"
        self.query_one("#edge", LineView).show([line(Span("▌", ink))] * len(lines))
        for name, row in places.items():
            self._place(
                f"#field-{name}",
                left + 3 + self._label,
                top + row,
                min(self._entry, width - 6 - self._label),
                1,
            )
        self._place("#keys", 0, size.height - 1, size.width, 1)
        self.query_one("#keys", LineView).show(
            (
                line(
                    Span("↵", "blue+b"),
                    Span(" confirm", "muted"),
                    pad(2),
                    Span("esc", "blue+b"),
                    Span(" cancel", "muted"),
                ),
            )
        )

    def _place(self, selector: str, x: int, y: int, width: int, height: int) -> None:
        widget = self.query_one(selector)
        widget.display = True
        widget.styles.offset = (x, y)
        widget.styles.width = width
        widget.styles.height = height

    @on(Input.Changed)
    def typed(self) -> None:
        """``↵`` stays faint until everything is right."""
        self._lay_out()

    @on(LineView.Clicked)
    def clicked(self, event: LineView.Clicked) -> None:
        """A click on one of the two answers."""
        event.stop()
        if event.target[0] == "answer":
            self.answer(accepted=event.target[1] == "yes")

    async def on_key(self, event: events.Key) -> None:
        """Escape leaves; enter answers where nothing is typed."""
        if event.key in {"escape", "ctrl+c", "ctrl+q"}:
            event.stop()
            self.answer(accepted=False)
        elif event.key == "enter" and not self.fields:
            event.stop()
            self.answer(accepted=True)

    def answer(self, *, accepted: bool) -> None:
        """Close, unless something is still wrong."""
        if self.answered or (accepted and self.problem()):
            return
        self.answered = True
        self.dismiss(self.values() if accepted else None)


def must_be(phrase: str) -> Callable[[str], str]:
    """A check that only this very phrase passes."""
    return lambda typed: "" if typed == phrase else f"Type {phrase}"


def whole_number(low: int, high: int) -> Callable[[str], str]:
    """A check for a whole number within bounds."""

    def check(typed: str) -> str:
        if typed.isascii() and typed.isdigit() and low <= int(typed) <= high:
            return ""
        return f"A whole number from {low} to {high}"

    return check
