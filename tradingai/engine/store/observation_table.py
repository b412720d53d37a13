"""The tables of observations: each change in one transaction with the event that tells of it."""

from __future__ import annotations

from collections.abc import Sequence

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.events import (
    ObservationApproved,
    ObservationClockRestarted,
    ObservationReported,
    ObservationSnapshotWritten,
    ObservationStarted,
)
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.store.connection import Database
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.observation_rows import (
    ApprovalRow,
    ObservationRow,
    SnapshotRow,
    VerdictRow,
    observation_row,
)
from tradingai.engine.store.stamps import stamp


class ObservationTable:
    """Observations with their approvals, snapshots and verdicts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def newest(self) -> ObservationRow | None:
        """The observation that was started last, open or ended."""
        rows = await self._database.rows("SELECT * FROM observations ORDER BY rowid DESC LIMIT 1")
        return observation_row(rows[0]) if rows else None

    async def start(self, row: ObservationRow, event: ObservationStarted, *, give_up: bool) -> None:
        """Insert an observation that begins after the newest heartbeat; ``give_up`` ends an open one first.

        ``row.after_beat`` is not used. Raises StoreError when one is open and ``give_up`` is False.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if give_up:
                await connection.execute(
                    "UPDATE observations SET ended_at = ?, ended_why = 'given up for another one',"
                    " ended_beat = (SELECT coalesce(max(seq), 0) FROM heartbeats) WHERE ended_at IS NULL",
                    (stamp(now),),
                )
            await connection.execute(
                "INSERT INTO observations (observation_id, started_at, after_beat, sender, surface, required,"
                " baseline) SELECT ?, ?, coalesce(max(seq), 0), ?, ?, ?, ? FROM heartbeats",
                (
                    row.observation_id,
                    stamp(row.started_at),
                    row.sender,
                    row.surface,
                    dumps(row.required),
                    dumps(row.baseline),
                ),
            )
            await insert_events(connection, now, [event.as_json()])

    async def tell_restarts(
        self, observation_id: str, known: int, events: Sequence[ObservationClockRestarted]
    ) -> bool:
        """Tell of restarts after the first ``known``; False when somebody else told meanwhile."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE observations SET told_restarts = ? WHERE observation_id = ? AND told_restarts = ?",
                (known + len(events), observation_id, known),
            )
            if cursor.rowcount:
                await insert_events(connection, now, [event.as_json() for event in events])
            return bool(cursor.rowcount)

    async def approve(self, row: ApprovalRow, event: ObservationApproved) -> None:
        """Add an approval; ``row.number`` is not used."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO observation_approvals SELECT ?, count(*) + 1, ?, ?, ?, ?, ?, ?"
                " FROM observation_approvals WHERE observation_id = ?",
                (
                    row.observation_id,
                    stamp(row.at),
                    row.clock_beat,
                    row.hours,
                    row.sender,
                    row.surface,
                    row.typed,
                    row.observation_id,
                ),
            )
            await insert_events(connection, self._clock.now(), [event.as_json()])

    async def wrote(self, row: SnapshotRow, event: ObservationSnapshotWritten) -> None:
        """Remember a snapshot whose files stand."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT OR REPLACE INTO observation_snapshots VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    row.observation_id,
                    row.day,
                    stamp(row.at),
                    int(row.whole),
                    row.json_path,
                    row.markdown_path,
                    row.sha256,
                ),
            )
            await insert_events(connection, self._clock.now(), [event.as_json()])

    async def reported(
        self, row: VerdictRow, event: ObservationReported, *, ends_at_beat: int | None
    ) -> None:
        """Remember a verdict; ``ends_at_beat`` ends the observation with that heartbeat (None: it goes on).

        ``row.number`` is not used.
        """
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO observation_verdicts SELECT ?, count(*) + 1, ?, ?, ?, ?, ?, ?, ?"
                " FROM observation_verdicts WHERE observation_id = ?",
                (
                    row.observation_id,
                    stamp(row.at),
                    row.word,
                    row.decided_by,
                    row.text,
                    row.sender,
                    row.surface,
                    row.path,
                    row.observation_id,
                ),
            )
            if ends_at_beat is not None:
                await _end(connection, row, ends_at_beat)
            await insert_events(connection, self._clock.now(), [event.as_json()])


async def _end(connection: aiosqlite.Connection, row: VerdictRow, beat: int) -> None:
    await connection.execute(
        "UPDATE observations SET ended_at = ?, ended_beat = ?, ended_why = ?"
        " WHERE observation_id = ? AND ended_at IS NULL",
        (stamp(row.at), beat, row.word, row.observation_id),
    )
