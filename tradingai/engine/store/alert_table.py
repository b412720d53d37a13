"""The durable outbox: filled from the event log by sequence number, in the same database, in transactions.

An alert is an event of the log plus a position, so that a process that dies between an event and its alert
loses nothing: the position still stands before the event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.events import Event, SignalsMissed
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.store.alert_rows import AlertDraft, AlertRow, alert_row, event_id
from tradingai.engine.store.connection import Database
from tradingai.engine.store.event_log import StoredEvent, insert_events, stored_event
from tradingai.engine.store.stamps import stamp

Notes = Mapping[str, Any]
Derive = Callable[[Sequence[StoredEvent], Notes], tuple[Sequence[AlertDraft], Notes]]
"""What events ask for, judged by the notes the events before them left; and the notes they leave."""
BATCH: Final = 500
"""Events that are looked at in one transaction."""
_NEWS: Final = """
SELECT events.* FROM events LEFT JOIN runs USING (run_id)
WHERE seq > ? AND seq <= ? AND job_id IS NULL
  AND (events.run_id IS NULL OR runs.kind = 'live')
ORDER BY seq LIMIT ?
"""
_INSERT: Final = """
INSERT INTO alerts (channel, seq, run_id, kind, priority, title, body, at, expires_at, state,
                    subject)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?)
"""
_STOP: Final = (
    "UPDATE alerts SET state = 'stopped'"
    " WHERE channel = ? AND kind = 'signal' AND state = 'waiting' AND seq < ?"
)
_EXPIRED: Final = (
    "SELECT seq, unknown FROM alerts WHERE channel = ? AND state = 'waiting' AND expires_at <= ? ORDER BY seq"
)
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM events"
_EVER: Final = 2**62
_HEAD: Final = "SELECT * FROM alerts WHERE channel = ? AND state = 'waiting' ORDER BY priority, seq LIMIT 1"


class AlertTable:
    """Channels with their positions, and the alerts on their way through them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open(self, channel: str) -> int:
        """Make the channel at the newest event when it is new, and return how many attempts were cut off.

        An alert that was being sent when the process died has an unknown outcome: it waits again.
        """
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT OR IGNORE INTO alert_channels SELECT ?, coalesce(max(seq), 0), '{}', '', NULL"
                " FROM sqlite_sequence WHERE name = 'events'",
                (channel,),
            )
            cursor = await connection.execute(
                "UPDATE alerts SET state = 'waiting', unknown = unknown + 1"
                " WHERE channel = ? AND state = 'sending'",
                (channel,),
            )
            return cursor.rowcount

    async def fill(self, channel: str, run_id: str, after: int, derive: Derive) -> int:
        """Enqueue what the next events ask for; return the number of the newest one looked at.

        ``after`` is where an earlier call came to (0: take the stored position); the position is written only
        with something to remember. Events of replays, drills and jobs are passed over.
        """
        rows = await self._database.rows(
            "SELECT position, notes FROM alert_channels WHERE channel = ?", (channel,)
        )
        start = max(after, int(rows[0]["position"]))
        newest = max(start, int((await self._database.rows(_NEWEST))[0][0]))
        found = await self._database.rows(_NEWS, (start, newest, BATCH))
        if len(found) == BATCH:
            newest = int(found[-1]["seq"])
        notes = json.loads(rows[0]["notes"])
        drafts, left = derive([stored_event(row) for row in found], notes)
        if drafts or left != notes or newest - rows[0]["position"] >= BATCH:
            async with self._database.transaction() as connection:
                await self._enqueue(connection, channel, run_id, drafts)
                await connection.execute(
                    "UPDATE alert_channels SET position = ?, notes = ? WHERE channel = ?",
                    (newest, dumps(left), channel),
                )
        return newest

    @staticmethod
    async def _enqueue(
        connection: aiosqlite.Connection, channel: str, run_id: str, drafts: Iterable[AlertDraft]
    ) -> None:
        for draft in drafts:
            expires = None if draft.expires_at is None else stamp(draft.expires_at)
            await connection.execute(
                _INSERT,
                (channel, draft.seq, draft.run_id or run_id, draft.kind, draft.priority, draft.title,
                 draft.body, stamp(draft.at), expires, draft.subject),
            )  # fmt: skip
            if draft.stops_signals:
                await connection.execute(_STOP, (channel, draft.seq))

    async def claim(self, channel: str, *, killed: bool) -> AlertRow | None:
        """The next alert, marked as being sent, or None when there is none.

        In the same transaction the kill switch is read (``killed``: it is on for another reason) and holds
        signals back, and signals past their horizon become one SignalsMissed.
        """
        now = stamp(self._clock.now())
        rows = await self._database.rows(_HEAD, (channel,))
        if not rows:
            return None
        async with self._database.transaction() as connection:
            if killed or await _kill_switch(connection):
                await connection.execute(_STOP, (channel, _EVER))
            await self._miss(connection, channel, now)
            head = list(await connection.execute_fetchall(_HEAD, (channel,)))
            if not head:
                return None
            await connection.execute(
                "UPDATE alerts SET state = 'sending', attempts = attempts + 1 WHERE channel = ? AND seq = ?",
                (channel, head[0]["seq"]),
            )
            return alert_row(head[0])

    async def _miss(self, connection: aiosqlite.Connection, channel: str, now: str) -> None:
        expired = list(await connection.execute_fetchall(_EXPIRED, (channel, now)))
        if not expired:
            return
        await connection.executemany(
            "UPDATE alerts SET state = 'missed' WHERE channel = ? AND seq = ?",
            [(channel, row["seq"]) for row in expired],
        )
        told = SignalsMissed(
            channel=channel,
            ids=[event_id(row["seq"]) for row in expired],
            maybe=[event_id(row["seq"]) for row in expired if row["unknown"]],
        )
        await insert_events(connection, self._clock.now(), [told.as_json()])

    async def delivered(self, alert: AlertRow, event: Event | None) -> None:
        """It arrived; ``event`` says so where that is news."""
        now = self._clock.now()
        await self._settle(
            alert,
            "state = 'delivered', delivered_at = ?, delivery_s = ?, error = ''",
            (stamp(now), max(0.0, (now - alert.at).total_seconds())),
            event,
        )

    async def postponed(self, alert: AlertRow, error: str, *, unknown: bool) -> None:
        """It waits for another attempt; ``unknown`` when it may have arrived."""
        await self._settle(
            alert, "state = 'waiting', unknown = unknown + ?, error = ?", (int(unknown), error), None, error
        )

    async def refused(self, alert: AlertRow, error: str, event: Event) -> None:
        """It will never be accepted: a dead letter."""
        await self._settle(alert, "state = 'dead', error = ?", (error,), event, error)

    async def _settle(
        self, alert: AlertRow, change: str, values: Sequence[Any], event: Event | None, error: str = ""
    ) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.execute(
                f"UPDATE alerts SET {change} WHERE channel = ? AND seq = ?",  # noqa: S608 - fixed texts
                (*values, alert.channel, alert.seq),
            )
            if error:
                await connection.execute(
                    "UPDATE alert_channels SET error = ?, error_at = ? WHERE channel = ?",
                    (error, stamp(now), alert.channel),
                )
            if event is not None:
                await insert_events(connection, now, [event.as_json()], run_id=alert.run_id)

    async def list(self, channel: str) -> list[AlertRow]:
        """All alerts of a channel in the order of their events."""
        rows = await self._database.rows("SELECT * FROM alerts WHERE channel = ? ORDER BY seq", (channel,))
        return [alert_row(row) for row in rows]

    async def waiting(self, channel: str) -> int:
        """How many are on their way."""
        rows = await self._database.rows(
            "SELECT count(*) FROM alerts WHERE channel = ? AND state IN ('waiting', 'sending')", (channel,)
        )
        return int(rows[0][0])


async def _kill_switch(connection: aiosqlite.Connection) -> bool:
    rows = list(await connection.execute_fetchall("SELECT value FROM controls WHERE name = 'kill_switch'"))
    return bool(rows and json.loads(rows[0]["value"]))
