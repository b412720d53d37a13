"""What the console needs from an engine: pictures of it, and somewhere to send commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tradingai.engine.core.commands import Command
    from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
    from tradingai.screens.base import ConsoleScreen
    from tradingai.screens.commands import Issuer
    from tradingai.screens.dialog import Dialog
    from tradingai.widgets.section import Table


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a command."""

    accepted: bool
    message: str
    remedy: str = ""


class ConsoleEngine(Protocol):
    """One home's engine as the console sees it: in this process, or attached to another one."""

    @property
    def read_only(self) -> bool:
        """Whether every command is refused."""
        ...

    def version(self) -> int:
        """A counter that moves whenever a new picture is ready. Cheap: asked four times a second."""
        ...

    def snapshot(self) -> ConsoleSnapshot:
        """The newest picture, with its ages as of now. Cheap."""
        ...

    def watch(self, interest: Interest) -> None:
        """Say what the visible screen needs; the next pictures carry it."""
        ...

    def issue(self) -> Issuer:
        """Who, where and when, for a new command."""
        ...

    async def send(self, *commands: Command) -> Receipt:
        """Have commands carried out, or say why not. Never raises for a refusal, and does not wait for
        jobs.
        """
        ...

    def take_messages(self) -> list[tuple[str, str]]:
        """What ended in the background since the last call: (text, level)."""
        ...

    def take_place(self) -> str:
        """The screen the operator should be led to, once: after their first pipeline it is the Monitor."""
        ...

    async def note(self, text: str, level: str) -> None:
        """Append what the console told the operator to the log; nothing in read-only."""
        ...

    async def start(self) -> None:
        """Open the home and take the first picture."""
        ...

    async def close(self) -> None:
        """Stop this process's jobs at their safe points and let go of everything."""
        ...


class Host(Protocol):
    """What a screen may ask of the app it lives in."""

    coin: str
    model: str
    watched: str
    """The run Monitor and Risk are about; see ``Selection.watched``."""

    @property
    def engine(self) -> ConsoleEngine:
        """The engine behind the console."""
        ...

    @property
    def snapshot(self) -> ConsoleSnapshot:
        """What is shown now."""
        ...

    async def go(self, mode: str) -> None:
        """Switch to another screen."""
        ...

    def lead(self, place: str) -> None:
        """Go where the newest replay is seen."""
        ...

    def say(self, text: str, level: str = "info") -> None:
        """A toast, which is also in the log."""
        ...

    def order(self, *commands: Command) -> None:
        """Send commands; their receipt becomes a toast."""
        ...

    def ask(self, dialog: Dialog, answer: Callable[[dict[str, str]], object]) -> None:
        """Show a dialog over the page; ``answer`` gets its values unless the operator left it."""
        ...

    def export(self, mode: str, table: Table) -> None:
        """Write a section's rows as CSV below the home."""
        ...

    def page_painted(self) -> None:
        """The visible screen has all its lines and may be shown."""
        ...

    def save_screen(self, mode: str) -> None:
        """Write the visible screen as SVG below the home."""
        ...

    def open_palette(self, screen: ConsoleScreen) -> None:
        """Show all commands."""
        ...

    def toggle_theme(self) -> None:
        """Dark or light."""
        ...

    def request_quit(self) -> None:
        """Leave, after a question when jobs run here."""
        ...
