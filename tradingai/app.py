"""The console: ten screens over one engine. It holds no state of its own but where the operator stands."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, ScreenStackError
from textual.binding import Binding, BindingType
from textual.events import Event, MouseEvent
from textual.screen import Screen
from textual.timer import Timer

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY
from tradingai.engine.queries.snapshot import ConsoleSnapshot, EventView
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.memory import Memory, remember
from tradingai.screens.port import ConsoleEngine, Host
from tradingai.screens.terminal import keep_traceback, silence_terminal, terminal_is_gone
from tradingai.screens.toasts import TOAST_S, toast_lines, worth_a_toast
from tradingai.widgets.header import MODE_BY_ID, MODES
from tradingai.widgets.palette import DARK, DARK_THEME, LIGHT_THEME, PALETTES, css_variables, theme
from tradingai.widgets.section import Table
from tradingai.widgets.signs import glyphs_for
from tradingai.widgets.uncoloured import uncoloured

if TYPE_CHECKING:
    from tradingai.engine.core.commands import Command
    from tradingai.screens.dialog import Dialog

POLL_S: Final = 0.25
TICK_S: Final = 1.0
NOTES_KEPT: Final = 200
SCREEN_CLASSES: Final[Mapping[str, str]] = {mode.id: f"{mode.id.title()}Screen" for mode in MODES}


def _screen(mode: str) -> Screen[Any]:
    """The screen of a mode; its module is imported when it is first needed."""
    module = import_module(f"tradingai.screens.{mode}")
    screen: Screen[Any] = getattr(module, SCREEN_CLASSES[mode])()
    return screen


class ConsoleApp(App[int]):
    """Polls the engine four times a second and hands the visible screen one frozen snapshot."""

    TITLE = "TradingAI"
    CSS_PATH: ClassVar[Any] = "app.tcss"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    ALLOW_SELECT: ClassVar[bool] = False
    MODES: ClassVar[Any] = {mode.id: partial(_screen, mode.id) for mode in MODES}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", "quit", show=False, priority=True)]

    def __init__(
        self,
        engine: ConsoleEngine,
        clock: Clock,
        *,
        root: Path,
        memory: Memory | None = None,
        mouse: bool = True,
    ) -> None:
        """``mouse`` False: the terminal is to send no reports, and those that come do nothing."""
        self.engine = engine
        self.clock = clock
        self.root = root
        self.memory = memory or Memory()
        self.mouse = mouse
        self.coin = ""
        self.model = ""
        self.watched = ""
        self.notes: deque[EventView] = deque(maxlen=NOTES_KEPT)
        self.glyphs = glyphs_for(
            getattr(sys.stdout, "encoding", None),
            os.environ.get("TERM", ""),
            os.environ.get("TRADINGAI_GLYPHS", ""),
        )
        self._seen = -1
        self._pause = ExitStack()
        self._leaving = False
        self._hung_up = False
        self._timers_of_its_own: list[Timer] = []
        self._ending: set[asyncio.Task[None]] = set()
        self.failure: TradingAIError | None = None
        """Why the home could not be opened; the caller prints it when the screen is its own again."""
        self._toast_timer: Timer | None = None
        super().__init__()
        self._filters = uncoloured(self._filters)
        self.animation_level = "none"
        for name in PALETTES:
            self.register_theme(theme(name))
        self.theme = self.memory.theme if self.memory.theme in PALETTES else DARK_THEME
        self._snapshot = ConsoleSnapshot(now=clock.now(), home=str(root), settled=False)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The palette's variables, so that style sheets can be parsed before a theme is chosen."""
        return css_variables(DARK)

    # ------------------------------------------------------------------ life

    async def on_mount(self) -> None:
        """Show the remembered screen at once, then open the home behind it."""
        await self.switch_mode(self.memory.screen if self.memory.screen in MODE_BY_ID else "overview")
        with suppress(ValueError, RuntimeError, NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._terminal_closed)
        self.run_worker(self._open(), name="open", group="engine")
        self._timers_of_its_own = [
            self.set_interval(POLL_S, self._poll, name="poll"),
            self.set_interval(TICK_S, self._tick, name="tick"),
        ]

    async def on_event(self, event: Event) -> None:
        """A terminal that another program left with its mouse on reports clicks nobody asked for."""
        if self.mouse or not isinstance(event, MouseEvent):
            await super().on_event(event)

    async def _open(self) -> None:
        try:
            await self.engine.start()
        except TradingAIError as error:
            self.failure = error
            self.exit(error.exit_status)
            return
        self._poll()
        for name in (*SCREEN_CLASSES, "steps", "dialog", "palette"):
            await asyncio.to_thread(import_module, f"tradingai.screens.{name}")

    async def on_unmount(self) -> None:
        """Remember where the operator was, and let the engine go."""
        with suppress(ValueError, RuntimeError, NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        self._remember()
        await self.engine.close()

    def _remember(self) -> None:
        if not self.engine.read_only and self._snapshot.settled:
            screen = self.current_mode if self.current_mode in MODE_BY_ID else "overview"
            remember(self.root, Memory(screen, self.theme))

    def _terminal_closed(self) -> None:
        """SIGHUP: nobody is there to be asked. Jobs stop at their checkpoints and are offered for resume.

        Nothing may be written any more: Textual's writer would wait for a terminal that is gone, so that the
        process ends without its shutdown.
        """
        if self._hung_up:
            return
        self._hung_up = True
        for timer in self._timers_of_its_own:
            timer.stop()
        silence_terminal()
        task = asyncio.get_running_loop().create_task(self._hang_up())
        self._ending.add(task)

    async def _hang_up(self) -> None:
        self._remember()
        with suppress(Exception):  # nobody is left to be told
            await self.engine.close()
        os._exit(128 + signal.SIGHUP)

    def _fatal_error(self) -> None:
        """Textual's end after an exception nobody caught: a file with the details instead of a screenful."""
        error = sys.exception()
        self.failure = keep_traceback(self.root, error) if error is not None else None
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        """A reader that fails because the terminal is gone is a hang-up, not a fault."""
        if terminal_is_gone():
            self._terminal_closed()
        else:
            super().panic(*renderables)

    async def _stop(self) -> None:
        if not self._leaving:
            self._leaving = True
            await self.engine.close()
        self.exit(0)

    # ------------------------------------------------------------------ pictures

    @property
    def snapshot(self) -> ConsoleSnapshot:
        """What is shown now: the engine's picture and this console's own messages among the events."""
        return self._snapshot

    def _poll(self) -> None:
        for text, level in self.engine.take_messages():
            self.say(text, level)
        place = self.engine.take_place()
        if place and self.current_mode == "overview" and self._console_screen() is not None:
            self.lead(place)
        version = self.engine.version()
        if version == self._seen:
            return
        self._seen = version
        before = self._snapshot
        self._take()
        for event in worth_a_toast(before, self._snapshot):
            self._show_toast(event.text, event.level)
        screen = self._console_screen()
        if screen is not None:
            screen.paint()

    def _take(self) -> None:
        snapshot = self.engine.snapshot()
        if self.notes:
            rows = sorted((*snapshot.events.rows, *self.notes), key=lambda event: event.at)
            snapshot = replace(snapshot, events=replace(snapshot.events, rows=tuple(rows)))
        self._snapshot = snapshot

    def lead(self, place: str) -> None:
        """Go where the newest replay is seen."""
        self.run_worker(self._lead(place), name="lead", group="lead")

    async def _lead(self, place: str) -> None:
        self.watched = NEWEST_REPLAY
        await self.go(place)

    def _tick(self) -> None:
        """Once a second: the clock and the ages; while a job runs or something counts down, the page too."""
        self._take()
        screen = self._console_screen()
        if screen is None:
            return
        if self._snapshot.running_jobs:
            screen.paint()
        else:
            screen.tick(self._snapshot)

    def _console_screen(self) -> ConsoleScreen | None:
        return self.screen if isinstance(self.screen, ConsoleScreen) else None

    # ------------------------------------------------------------------ what screens ask for

    async def go(self, mode: str) -> None:
        """Switch to another screen."""
        if mode != self.current_mode:
            await self.switch_mode(mode)

    def delay_update(self, delay: float = 0.05) -> None:
        """Textual's pause at a change of screens: here it ends as soon as the page has all its lines."""
        self._pause.close()
        self._pause.enter_context(self.batch_update())
        self.set_timer(delay, self.page_painted, name="pause")

    def page_painted(self) -> None:
        """The visible screen has all its lines: end the pause."""
        if self._batch_count:
            self._pause.close()
            with suppress(ScreenStackError):  # the pause may end while the console closes
                self.screen.refresh()

    def say(self, text: str, level: str = "info") -> None:
        """A line above the footer for a few seconds, and an entry of the log for good."""
        event = EventView(
            -1, self.clock.now(), "MessageShown", level, text, "warn" if level != "info" else ""
        )
        if self.engine.read_only:
            self.notes.append(event)
        else:
            self.run_worker(self._note(event), name="note", group="note")
        self._take()
        self._show_toast(text, level)

    def _show_toast(self, text: str, level: str) -> None:
        screen = self._console_screen()
        if screen is not None:
            screen.show_toast(toast_lines(text, level, self.size.width))
            if self._toast_timer is not None:
                self._toast_timer.stop()
            seconds = TOAST_S if level == "info" else 2 * TOAST_S
            self._toast_timer = self.set_timer(seconds, self._hide_toast, name="toast")

    async def _note(self, event: EventView) -> None:
        try:
            await self.engine.note(event.text, event.level)
        except Exception:  # noqa: BLE001 - a message that cannot be kept must not end the console
            self.notes.append(event)

    def _hide_toast(self) -> None:
        for screen in self._all_console_screens():
            screen.show_toast(())

    def _all_console_screens(self) -> list[ConsoleScreen]:
        stacks = self._screen_stacks.values()
        return [screen for stack in stacks for screen in stack if isinstance(screen, ConsoleScreen)]

    def order(self, *commands: Command) -> None:
        """Send commands; their receipt becomes a toast."""
        self.run_worker(self._order(commands), name="order", group="order")

    async def _order(self, commands: Sequence[Command]) -> None:
        try:
            receipt = await self.engine.send(*commands)
        except Exception as error:  # noqa: BLE001 - the command's boundary: its failure is said, the console stays
            self.say(f"Unexpected {type(error).__name__}: {error}", "error")
            return
        text = f"{receipt.message} {receipt.remedy}".strip()
        self.say(text, "info" if receipt.accepted else "warning")
        self._poll()

    def ask(self, dialog: Dialog, answer: Callable[[dict[str, str]], object]) -> None:
        """Show a dialog over the page; ``answer`` gets its values unless the operator left it."""
        screen = self._console_screen()
        if screen is not None:
            screen.paint(dimmed=True)

        def answered(values: Mapping[str, str] | None) -> None:
            below = self._console_screen()
            if below is not None:
                below.paint(dimmed=False)
            if values is not None:
                answer(dict(values))

        self.push_screen(dialog, answered)

    def export(self, mode: str, table: Table) -> None:
        """Write a section's rows as CSV below ``reports/console`` and say where."""
        from tradingai.screens.exports import csv_text

        self._write(f"{mode}-{table.id}", "csv", csv_text(table), f"{len(table.rows)} rows in")

    def save_screen(self, mode: str) -> None:
        """Write the visible screen as SVG below ``reports/console`` and say where."""
        from tradingai.screens.svg import screen_svg

        self._write(mode, "svg", screen_svg(self, mode), "Saved as")

    def _write(self, name: str, kind: str, text: str, what: str) -> None:
        from tradingai.screens.exports import write_export

        if self.engine.read_only:
            self.say("Read-only: nothing is written. y copies a row instead.", "warning")
            return
        stamp = self.clock.now().strftime("%Y%m%dT%H%M%SZ")
        self.say(*write_export(self.root, f"{name}-{stamp}.{kind}", text, what))

    def open_palette(self, screen: ConsoleScreen) -> None:
        """All keys of this screen, every screen, and what works everywhere."""
        from tradingai.screens.palette import Palette, entries_of

        entries = entries_of(screen.current.keys if screen.current else ())

        async def chosen(action: str | None) -> None:
            screen.paint(dimmed=False)
            if action:
                await screen.perform(action)

        screen.paint(dimmed=True)
        self.push_screen(Palette(entries), chosen)

    def toggle_theme(self) -> None:
        """Dark or light; remembered for the next session."""
        self.theme = LIGHT_THEME if self.theme == DARK_THEME else DARK_THEME
        for screen in self._all_console_screens():
            screen.refresh(layout=False)

    def action_leave(self) -> None:
        """Ctrl+q is q."""
        self.request_quit()

    def request_quit(self) -> None:
        """Leave at once, or ask first when jobs or the scan loop run in this process."""
        from tradingai.screens.leaving import leaving_dialog

        dialog = leaving_dialog(self._snapshot)
        if dialog is None:
            self._leave()
        else:
            self.ask(dialog, lambda _: self._leave())

    def _leave(self) -> None:
        if self._snapshot.open_jobs and self._snapshot.header.engine == "here":
            self.say("Stopping jobs at their checkpoints.")
        self.run_worker(self._stop(), name="stop", group="engine")


if TYPE_CHECKING:

    def _is_a_host(app: ConsoleApp) -> Host:
        """The app is all that screens expect of their host."""
        return app
