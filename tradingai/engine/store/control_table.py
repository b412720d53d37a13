"""Commands with their audit, and the controls that are written at once: kill switch and threshold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import Command
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.store.connection import Database
from tradingai.engine.store.control_rows import (
    CommandRow,
    CommandState,
    ControlName,
    ControlRow,
    command_row,
    control_row,
)
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.stamps import stamp


class CommandTable:
    """Every command that was given, with what became of it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, command: Command, state: CommandState = "running") -> None:
        """Write the command down before it is carried out."""
        async with self._database.transaction() as connection:
            await insert_command(connection, command, state)

    async def finish(self, command_id: str, state: CommandState, result: Mapping[str, Any]) -> None:
        """Write down what became of it."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE commands SET state = ?, result = ?, finished_at = ? WHERE command_id = ?",
                (state, dumps(result), stamp(self._clock.now()), command_id),
            )

    async def latest(self, limit: int = 100) -> list[CommandRow]:
        """The ``limit`` commands written down last, newest first."""
        rows = await self._database.rows("SELECT * FROM commands ORDER BY rowid DESC LIMIT ?", (limit,))
        return [command_row(row) for row in rows]


class ControlTable:
    """Kill switch and threshold, each change one audited transaction; and choices that are remembered."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set(self, name: ControlName, value: Any, command: Command, reason: str, event: Event) -> None:
        """Persist ``value`` with its command and event in one transaction."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await insert_command(connection, command, "done", {"value": value}, now)
            await _put(connection, name, value, command, reason, now)
            await bump_controls(connection)
            await insert_events(connection, now, [event.as_json()])

    async def choose(self, name: ControlName, value: Any, command: Command, event: Event) -> None:
        """Remember a choice that no decision depends on, of a command that is written down already."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await _put(connection, name, value, command, "", now)
            await insert_events(connection, now, [event.as_json()])

    async def reset(self, name: ControlName, command: Command, event: Event) -> None:
        """Forget the persisted value, so that the settings' holds again."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await insert_command(connection, command, "done", {"value": None}, now)
            await connection.execute("DELETE FROM controls WHERE name = ?", (name,))
            await bump_controls(connection)
            await insert_events(connection, now, [event.as_json()])

    async def all(self) -> dict[str, ControlRow]:
        """The persisted controls by name."""
        return {row["name"]: control_row(row) for row in await self._database.rows("SELECT * FROM controls")}


async def _put(
    connection: aiosqlite.Connection,
    name: ControlName,
    value: Any,
    command: Command,
    reason: str,
    now: datetime,
) -> None:
    await connection.execute(
        "INSERT OR REPLACE INTO controls VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, dumps(value), stamp(now), command.sender, command.surface, reason, command.command_id),
    )


async def insert_command(
    connection: aiosqlite.Connection,
    command: Command,
    state: CommandState,
    result: Mapping[str, Any] | None = None,
    finished_at: datetime | None = None,
) -> None:
    """Write a command down within an open transaction."""
    await connection.execute(
        "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            command.command_id,
            type(command).__name__,
            dumps(command.payload()),
            command.sender,
            command.surface,
            stamp(command.issued_at),
            stamp(command.expires_at),
            state,
            None if result is None else dumps(result),
            None if finished_at is None else stamp(finished_at),
        ),
    )


async def bump_controls(connection: aiosqlite.Connection) -> None:
    """Tell scans under way that something they were decided by has changed, within an open transaction."""
    await connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'controls'")
