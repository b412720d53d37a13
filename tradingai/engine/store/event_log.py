"""The table of events."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.events import Event, event_level
from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.store.connection import Database, after_commit
from tradingai.engine.store.stamps import stamp

_log = logging.getLogger("tradingai.events")
_TOLD_AS_SCANS: Final = frozenset({"ScanCompleted", "ScanFailed", "SignalEmitted"})
"""The lines of the scan say the same and more."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in the store; ``payload`` is its JSON without ``type``."""

    seq: int
    ts: datetime
    type: str
    level: str
    run_id: str | None
    job_id: str | None
    payload: dict[str, Any]


async def insert_events(
    connection: aiosqlite.Connection,
    now: datetime,
    documents: Iterable[dict[str, Any]],
    *,
    job_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Append events, given as ``Event.as_json()``, within an open transaction.

    Once it is committed they are in the process's log too.
    """
    documents = list(documents)
    rows = [
        (
            stamp(now),
            document["type"],
            event_level(document["type"]),
            run_id,
            job_id,
            dumps({key: value for key, value in document.items() if key != "type"}),
        )
        for document in documents
    ]
    await connection.executemany(
        "INSERT INTO events (ts, type, level, run_id, job_id, payload) VALUES (?, ?, ?, ?, ?, ?)", rows
    )
    after_commit(lambda: _log_events(documents, job_id, run_id))


def _log_events(documents: Iterable[dict[str, Any]], job_id: str | None, run_id: str | None) -> None:
    """One line an event: its type, what it says, its fields under ``payload``."""
    for document in documents:
        name = document["type"]
        level = logging.getLevelNamesMapping()[event_level(name).upper()]
        if name in _TOLD_AS_SCANS or not _log.isEnabledFor(level):
            continue
        payload = {key: value for key, value in document.items() if key != "type"}
        fields = {"event": name, "run": run_id, "job": job_id, "pair": payload.get("symbol")}
        words = ", ".join(
            f"{key} {value}" for key, value in payload.items() if isinstance(value, str | int | float)
        )
        told = {key: value for key, value in fields.items() if value is not None} | {"payload": payload}
        _log.log(level, "%s: %s", name, words, extra={"fields": told})


class EventLog:
    """What happened, in order; ``seq`` only ever grows, also across pruning."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def append(self, *events: Event, job_id: str | None = None, run_id: str | None = None) -> None:
        """Append events in one transaction."""
        async with self._database.transaction() as connection:
            documents = [event.as_json() for event in events]
            await insert_events(connection, self._clock.now(), documents, job_id=job_id, run_id=run_id)

    async def after(
        self, seq: int, *, limit: int = 1000, levels: Sequence[str] = (), job_id: str | None = None
    ) -> list[StoredEvent]:
        """The oldest ``limit`` events with a number above ``seq``, oldest first."""
        return await self._select("seq > ?", [seq], "ASC", limit, levels, job_id)

    async def latest(
        self,
        limit: int = 100,
        *,
        before: int | None = None,
        levels: Sequence[str] = (),
        job_id: str | None = None,
    ) -> list[StoredEvent]:
        """The newest ``limit`` events (numbers below ``before`` when given), newest first."""
        condition, values = ("1", []) if before is None else ("seq < ?", [before])
        return await self._select(condition, values, "DESC", limit, levels, job_id)

    async def prune(self, days: int) -> int:
        """Delete events older than ``days``; return how many."""
        horizon = stamp(self._clock.now() - timedelta(days=days))
        async with self._database.transaction() as connection:
            cursor = await connection.execute("DELETE FROM events WHERE ts < ?", (horizon,))
            return cursor.rowcount

    async def _select(
        self,
        condition: str,
        values: Sequence[Any],
        order: str,
        limit: int,
        levels: Sequence[str],
        job_id: str | None,
    ) -> list[StoredEvent]:
        where, parameters = [condition], list(values)
        if levels:
            where.append(f"level IN ({','.join('?' * len(levels))})")
            parameters += levels
        if job_id is not None:
            where.append("job_id = ?")
            parameters.append(job_id)
        sql = f"SELECT * FROM events WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 - fixed texts
        return [stored_event(row) for row in await self._database.rows(sql, [*parameters, limit])]


def stored_event(row: sqlite3.Row) -> StoredEvent:
    """A row of the table as a StoredEvent."""
    return StoredEvent(
        row["seq"],
        parse_iso(row["ts"]),
        row["type"],
        row["level"],
        row["run_id"],
        row["job_id"],
        json.loads(row["payload"]),
    )
