"""An engine for the console's tests: frozen snapshots, and a list of what was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import Command
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.screens.commands import Issuer
from tradingai.screens.port import Receipt


class FakeConsoleEngine:
    """Implements ``ConsoleEngine`` without a home."""

    def __init__(self, snapshot: ConsoleSnapshot, *, read_only: bool = False) -> None:
        self.picture = replace(snapshot, header=replace(snapshot.header, read_only=read_only))
        self._read_only = read_only
        self._version = 0
        self.sent: list[Command] = []
        self.notes: list[tuple[str, str]] = []
        self.watched = Interest()
        self.closed = 0
        self.messages: list[tuple[str, str]] = []
        self.place = ""
        self.receipt: Receipt | None = None

    @property
    def read_only(self) -> bool:
        return self._read_only

    def version(self) -> int:
        return self._version

    def snapshot(self) -> ConsoleSnapshot:
        return self.picture

    def watch(self, interest: Interest) -> None:
        self.watched = interest

    def become(self, snapshot: ConsoleSnapshot) -> None:
        """The next picture."""
        self.picture = snapshot
        self._version += 1

    def issue(self) -> Issuer:
        return Issuer(sender="operator", surface="console", issued_at=self.picture.now)

    async def send(self, *commands: Command) -> Receipt:
        if self._read_only:
            return Receipt(False, "Refused: this console is read-only.", "Open one without --read-only.")
        self.sent.extend(commands)
        return self.receipt or Receipt(True, f"Sent: {type(commands[0]).__name__}.")

    def take_messages(self) -> list[tuple[str, str]]:
        taken, self.messages = self.messages, []
        return taken

    def take_place(self) -> str:
        taken, self.place = self.place, ""
        return taken

    async def note(self, text: str, level: str) -> None:
        self.notes.append((text, level))

    async def start(self) -> None:
        self._version += 1

    async def close(self) -> None:
        self.closed += 1


def fixed_clock(snapshot: ConsoleSnapshot) -> SimulatedClock:
    """A clock that stands at the story's moment."""
    return SimulatedClock(snapshot.now + timedelta(0))
