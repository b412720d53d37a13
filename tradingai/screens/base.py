"""What every screen does with keys and clicks: moving, filtering, sorting, copying, and the commands of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from textual import events, on
from textual.widgets import Input

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens.shell import FilterInput, Shell
from tradingai.screens.view import Selection
from tradingai.widgets.header import MODES, SCREEN_OF_JOB
from tradingai.widgets.lineview import LineView
from tradingai.widgets.section import Row, Table

COMMON_ACTIONS: Final = {
    "j": "down", "down": "down", "k": "up", "up": "up", "g": "first", "home": "first", "G": "last",
    "end": "last", "pagedown": "page_down", "pageup": "page_up", "tab": "next_section",
    "shift+tab": "previous_section",
    "left_square_bracket": "previous_item", "right_square_bracket": "next_item", "enter": "open",
    "escape": "back", "slash": "filter", "s": "sort", "y": "copy", "e": "export", "x": "cancel", "K": "kill",
    "question_mark": "help", "ctrl+p": "palette", "ctrl+t": "theme", "q": "quit", "ctrl+q": "quit",
    "ctrl+c": "quit",
}  # fmt: skip


class ConsoleScreen(Shell):
    """Base of the ten screens. A subclass gives ``view`` and a ``do_…`` method for each of its keys."""

    async def on_key(self, event: events.Key) -> None:
        """This screen's keys first, then those taken everywhere; nothing while the filter is being typed."""
        if isinstance(self.focused, Input):
            return
        key = event.key
        for mode in MODES:
            if key == mode.key:
                event.stop()
                await self.host.go(mode.id)
                return
        action = self._action_of(key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.perform(action)

    def _action_of(self, key: str) -> str | None:
        for item in self.current.keys if self.current else ():
            if item.key == key:
                return item.action
        return COMMON_ACTIONS.get(key)

    async def perform(self, action: str) -> None:
        """Do what a key, a click or the palette asked for."""
        name, _, argument = action.partition(":")
        method: Callable[..., Any] = getattr(self, f"do_{name}")
        try:
            result = method(argument) if argument else method()
            if result is not None:
                await result
        except TradingAIError as error:
            self.host.say(f"{error.message}. {error.remedy}".strip(), "warning")

    @on(LineView.Clicked)
    async def clicked(self, event: LineView.Clicked) -> None:
        """A tab, a key in the footer, or a row; a second click on a row opens it."""
        event.stop()
        kind, value = event.target
        if kind == "screen":
            await self.host.go(value)
        elif kind == "action":
            await self.perform(value)
        elif kind == "row":
            section, _, key = value.partition(":")
            self.select(self.selection.with_cursor(section, key))
            if event.twice:
                await self.perform("open")

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self._move(3)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self._move(-3)

    def select(self, selection: Selection) -> None:
        """Change where the operator stands."""
        self.selection = selection
        self.paint()

    def table(self) -> Table | None:
        """The section with the focus."""
        return self.current.table(self.selection.section) if self.current else None

    def row(self) -> Row | None:
        """The row under the cursor."""
        table = self.table()
        return table.row(self.selection.cursors.get(table.id)) if table is not None else None

    def _move(self, steps: int) -> None:
        if self.helping:
            self.help_top = max(0, self.help_top + steps)
            self.paint()
            return
        table = self.table()
        if table is None or not table.rows:
            return
        keys = [row.key for row in table.rows]
        row = self.row()
        at = keys.index(row.key) if row else 0
        at = min(len(keys) - 1, max(0, at + steps))
        self.select(self.selection.with_cursor(table.id, keys[at]))

    def do_down(self) -> None:
        """Next row."""
        self._move(1)

    def do_up(self) -> None:
        """Previous row."""
        self._move(-1)

    def do_first(self) -> None:
        """First row."""
        self._move(-1_000_000)

    def do_last(self) -> None:
        """Last row."""
        self._move(1_000_000)

    def do_page_down(self) -> None:
        """As many rows down as are shown."""
        self._move(self._page())

    def do_page_up(self) -> None:
        """As many rows up as are shown."""
        self._move(-self._page())

    def _page(self) -> int:
        table = self.table()
        drawn = self.current.drawn.get(table.id) if self.current and table else None
        return max(1, drawn.shown - 1) if drawn else 1

    def do_next_section(self, step: int = 1) -> None:
        """Focus the next section with rows."""
        tables = [table for table in (self.current.tables if self.current else ()) if table.rows]
        if tables:
            ids = [table.id for table in tables]
            table = self.table()
            at = ids.index(table.id) if table and table.id in ids else 0
            self.select(replace(self.selection, section=ids[(at + step) % len(ids)]))

    def do_previous_section(self) -> None:
        """Focus the section before."""
        self.do_next_section(-1)

    def do_next_item(self, step: int = 1) -> None:
        """Next coin or model."""
        items = self.current.items if self.current else ()
        if items and self.current:
            at = items.index(self.current.item) if self.current.item in items else 0
            self.choose(items[(at + step) % len(items)])

    def do_previous_item(self) -> None:
        """Previous coin or model."""
        self.do_next_item(-1)

    def choose(self, item: str) -> None:
        """Look at another coin or model, on every screen."""
        if item.startswith("lstm_") or item not in {data.symbol for data in self.host.snapshot.datasets}:
            self.host.model = item
            self.select(replace(self.selection, model=item))
        else:
            self.host.coin = item
            self.select(replace(self.selection, coin=item))

    def do_open(self) -> None:
        """Nothing to open here."""

    def do_back(self) -> None:
        """Close the help, or clear the filter."""
        if self.helping:
            self.do_help()
        elif self.selection.filter:
            self.query_one("#filter", FilterInput).value = ""
            self.select(replace(self.selection, filter=""))

    def do_filter(self) -> None:
        """Type what rows must contain."""
        if self.table() is None and not self.selection.filter:
            return
        field = self.query_one("#filter", FilterInput)
        field.value = self.selection.filter
        field.display = True
        field.focus()
        self.call_after_refresh(self.paint)

    @on(Input.Changed, "#filter")
    def filter_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        if event.value != self.selection.filter and self.query_one("#filter").has_focus:
            self.select(replace(self.selection, filter=event.value))

    @on(Input.Submitted, "#filter")
    def filter_done(self) -> None:
        """Keep the filter and give the keys back."""
        self.end_filter(keep=True)

    def end_filter(self, *, keep: bool) -> None:
        """Leave the field, with or without its filter."""
        if not keep:
            self.query_one("#filter", FilterInput).value = ""
            self.selection = replace(self.selection, filter="")
        self.set_focus(None)
        self.call_after_refresh(self.paint)

    def do_sort(self) -> None:
        """The section's next order."""
        table = self.table()
        if table is not None and table.sorts:
            self.select(replace(self.selection, sort=(self.selection.sort + 1) % len(table.sorts)))

    def do_copy(self) -> None:
        """The row's values to the clipboard, by OSC 52."""
        row = self.row()
        if row is not None and row.plain:
            text = "\t".join(row.plain)
            self.app.copy_to_clipboard(text)
            self.host.say(f"Copied: {text.replace(chr(9), '  ')}")

    def do_export(self) -> None:
        """The section's rows as they are filtered, as CSV below the home."""
        table = self.table()
        if table is not None and table.heads and table.rows:
            self.host.export(self.MODE, table)

    def do_cancel(self) -> None:
        """Stop the job under the cursor, or this screen's running one, or the only one, after a question."""
        from tradingai.engine.core.commands import CancelJob
        from tradingai.screens.dialog import Dialog

        job = self.job_to_cancel(self.host.snapshot)
        if job is None:
            return
        dialog = Dialog(
            f"Cancel {job.title}",
            ["It stops at its next safe point. What is finished is kept, and it can be resumed from there."],
            verb="cancel the job",
            keep="let it run",
        )
        issue = self.host.engine.issue
        self.host.ask(dialog, lambda _: self.host.order(CancelJob(**issue(), job_id=job.id)))

    def job_to_cancel(self, snapshot: ConsoleSnapshot) -> JobView | None:
        """The job under the cursor, else this screen's running one, else the only one there is."""
        running = [job for job in snapshot.jobs if job.state in {"running", "queued"}]
        table, row = self.table(), self.row()
        if table is not None and row is not None and table.id == "jobs":
            chosen = [job for job in running if job.id == row.key]
            if chosen:
                return chosen[0]
        own = [job for job in running if SCREEN_OF_JOB.get(job.kind) == self.MODE]
        if own:
            return own[0]
        return running[0] if len(running) == 1 or (running and self.MODE == "overview") else None

    def do_resume(self) -> None:
        """Go on with what stopped."""
        from tradingai.engine.core.commands import ResumeJob

        job = self.job_to_resume(self.host.snapshot)
        if job is not None and job.resumable:
            self.host.order(ResumeJob(**self.host.engine.issue(), job_id=job.id))

    def job_to_resume(self, snapshot: ConsoleSnapshot) -> JobView | None:
        """This screen's newest job."""
        return next((job for job in snapshot.jobs if SCREEN_OF_JOB.get(job.kind) == self.MODE), None)

    def do_save(self) -> None:
        """Keep a picture of this screen."""
        self.host.save_screen(self.MODE)

    def do_kill(self) -> None:
        """The kill switch: on at once, off after typing it."""
        from tradingai.screens.steps import toggle_kill

        toggle_kill(self.host)

    def do_help(self) -> None:
        """Show or hide the panel of keys."""
        self.helping = not self.helping
        self.help_top = 0
        self.paint()

    def do_palette(self) -> None:
        """All commands."""
        self.host.open_palette(self)

    def do_theme(self) -> None:
        """Dark or light."""
        self.host.toggle_theme()

    def do_quit(self) -> None:
        """Leave."""
        self.host.request_quit()

    async def do_screen(self, mode: str) -> None:
        """Go to another screen."""
        await self.host.go(mode)
