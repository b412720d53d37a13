"""The tables of jobs and of their progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.store.connection import Database
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.job_rows import SELECT_JOBS, JobRow, JobState, job_row
from tradingai.engine.store.stamps import stamp


class JobTable:
    """Jobs, their states and progress. Every change of state is one transaction with its events."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        *,
        job_id: str,
        kind: str,
        target: str,
        params: Mapping[str, Any],
        threads: int,
        runner: str,
        log: str,
        command_id: str | None = None,
    ) -> None:
        """Insert a job in state ``queued``."""
        now = stamp(self._clock.now())
        async with self._database.transaction() as connection:
            version = await _next_version(connection)
            await connection.execute(
                "INSERT INTO jobs (job_id, kind, target, params, threads, state, runner, command_id,"
                " created_at, log, version) VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
                (job_id, kind, target, dumps(params), threads, runner, command_id, now, log, version),
            )

    async def started(self, job_id: str, *, runner: str, pid: int, resumes: int, event: Event) -> None:
        """A worker took the job."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET state = 'running', runner = ?, pid = ?, resumes = ?, version = ?,"
                " started_at = coalesce(started_at, ?), ended_at = NULL, error = NULL WHERE job_id = ?",
                (runner, pid, resumes, await _next_version(connection), stamp(now), job_id),
            )
            await insert_events(connection, now, [event.as_json()], job_id=job_id)

    async def ended(
        self,
        job_id: str,
        state: JobState,
        *,
        event: Event,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, str] | None = None,
    ) -> None:
        """The job reached ``state``, which is not an open one."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET state = ?, pid = NULL, ended_at = ?, result = ?, error = ?, version = ?"
                " WHERE job_id = ?",
                (
                    state,
                    stamp(now),
                    None if result is None else dumps(result),
                    None if error is None else dumps(error),
                    await _next_version(connection),
                    job_id,
                ),
            )
            await insert_events(connection, now, [event.as_json()], job_id=job_id)

    async def record(
        self, job_id: str, events: Sequence[dict[str, Any]], progress: Mapping[str, Any] | None
    ) -> None:
        """What a worker said: its events, and its newest progress, in one transaction."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await insert_events(connection, now, events, job_id=job_id)
            if progress is not None:
                await connection.execute(
                    "INSERT OR REPLACE INTO job_progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        job_id,
                        stamp(now),
                        float(progress["done"]),
                        float(progress["total"]),
                        progress["unit"],
                        progress["rate"],
                        progress["eta_s"],
                        dumps(progress["detail"]),
                        await _next_version(connection),
                    ),
                )

    async def get(self, job_id: str) -> JobRow:
        """One job. Raises MissingError for an unknown id."""
        rows = await self._database.rows(f"{SELECT_JOBS} WHERE job_id = ?", (job_id,))
        if not rows:
            raise MissingError(f"there is no job {job_id}", remedy="`tradingai status` lists the jobs.")
        return job_row(rows[0])

    async def list(
        self, *, states: Sequence[JobState] = (), limit: int = 100, target: str | None = None
    ) -> list[JobRow]:
        """The newest ``limit`` jobs, newest first."""
        where, parameters = ["1"], list[Any]()
        if states:
            where.append(f"state IN ({','.join('?' * len(states))})")
            parameters += states
        if target is not None:
            where.append("target = ?")
            parameters.append(target)
        sql = f"{SELECT_JOBS} WHERE {' AND '.join(where)} ORDER BY created_at DESC, jobs.rowid DESC LIMIT ?"
        return [job_row(row) for row in await self._database.rows(sql, [*parameters, limit])]


async def _next_version(connection: aiosqlite.Connection) -> int:
    rows = await connection.execute_fetchall(
        "UPDATE counters SET value = value + 1 WHERE name = 'jobs' RETURNING value"
    )
    return int(next(iter(rows))[0])
