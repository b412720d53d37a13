"""Rows of the tables of jobs, as plain values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.reporting import Progress
from tradingai.engine.store.stamps import unstamp

JobState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
OPEN_STATES: Final[tuple[JobState, ...]] = ("queued", "running")
"""States of a job somebody is responsible for."""
RESUMABLE_STATES: Final[tuple[JobState, ...]] = ("failed", "cancelled", "interrupted")
"""States from which the same job can be started again."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as it stands in the store."""

    job_id: str
    kind: str
    target: str
    params: Mapping[str, Any]
    threads: int
    state: JobState
    runner: str
    """The job runner responsible for it; its lock tells whether that process lives."""
    pid: int | None
    resumes: int
    """Automatic resumes after a worker died."""
    command_id: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    """``code``, ``message``, ``remedy`` of a failed job."""
    log: str
    """The log's path relative to the home."""
    progress: Progress | None
    version: int
    """Grows with every change of any job or progress."""


SELECT_JOBS: Final = """
SELECT jobs.*, p.done, p.total, p.unit, p.rate, p.eta_s, p.detail,
       max(jobs.version, coalesce(p.version, 0)) AS latest
FROM jobs LEFT JOIN job_progress AS p USING (job_id)
"""


def job_row(row: sqlite3.Row) -> JobRow:
    """A row of the joined tables as a JobRow."""
    progress = None
    if row["unit"] is not None:
        progress = Progress(
            row["done"], row["total"], row["unit"], row["rate"], row["eta_s"], json.loads(row["detail"])
        )
    return JobRow(
        job_id=row["job_id"],
        kind=row["kind"],
        target=row["target"],
        params=json.loads(row["params"]),
        threads=row["threads"],
        state=row["state"],
        runner=row["runner"],
        pid=row["pid"],
        resumes=row["resumes"],
        command_id=row["command_id"],
        created_at=parse_iso(row["created_at"]),
        started_at=unstamp(row["started_at"]),
        ended_at=unstamp(row["ended_at"]),
        result=None if row["result"] is None else json.loads(row["result"]),
        error=None if row["error"] is None else json.loads(row["error"]),
        log=row["log"],
        progress=progress,
        version=row["latest"],
    )
