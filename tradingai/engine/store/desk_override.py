"""An operator's change of a run's account, beside a running engine or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import Command
from tradingai.engine.store.connection import Database
from tradingai.engine.store.control_table import bump_controls, insert_command
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.scan_rows import DeskChangeRow
from tradingai.engine.store.scan_table import insert_rows, put_account


class DeskMark(NamedTuple):
    """Which account it is: after which scan, and after how many changes that no scan made."""

    scan_seq: int
    changes: int


class DeskOverrides:
    """Changes of an account that hold against a scan under way, and the other way round.

    Writing one moves the controls counter, so that a scan decided on the account before is not stored; it is
    itself refused when the account moved since it was read.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def mark(self, run_id: str) -> DeskMark:
        """The account as it stands."""
        rows = await self._database.rows(_MARK, (run_id, run_id))
        return DeskMark(*rows[0])

    async def put(
        self,
        run_id: str,
        mark: DeskMark,
        command: Command,
        *,
        at: datetime,
        cause: str,
        detail: str,
        desk: Mapping[str, Any],
        events: Sequence[Mapping[str, Any]],
    ) -> bool:
        """Write the account with its command and events; False when it moved since ``mark``."""
        async with self._database.transaction() as connection:
            if await _mark(connection, run_id) != mark:
                return False
            now = self._clock.now()
            change = DeskChangeRow(mark.changes + 1, mark.scan_seq, at, cause, detail, desk)
            await insert_command(connection, command, "done", {"cause": cause}, now)
            await insert_rows(connection, run_id, [change])
            await put_account(connection, run_id, mark.scan_seq, at, desk)
            await bump_controls(connection)
            await insert_events(connection, now, [dict(event) for event in events], run_id=run_id)
        return True


_MARK = (
    "SELECT coalesce((SELECT scan_seq FROM run_accounts WHERE run_id = ?), 0),"
    " (SELECT count(*) FROM desk_changes WHERE run_id = ?)"
)


async def _mark(connection: aiosqlite.Connection, run_id: str) -> DeskMark:
    rows = list(await connection.execute_fetchall(_MARK, (run_id, run_id)))
    return DeskMark(*rows[0])
