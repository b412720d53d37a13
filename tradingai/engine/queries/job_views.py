"""Jobs and events of the store as the console shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from tradingai.engine.queries.model_snapshot import JobState
from tradingai.engine.queries.snapshot import JobView
from tradingai.engine.store.job_rows import RESUMABLE_STATES, JobRow

_STATES: Final[Mapping[str, JobState]] = {
    "queued": "queued",
    "running": "running",
    "finished": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}


def job_state(row: JobRow) -> JobState:
    """The state with what the result adds: nothing to do, or refused by a gate."""
    state = _STATES[row.state]
    result = row.result or {}
    if state == "done" and result.get("skipped"):
        return "skipped"
    if state == "done" and row.kind == "evaluate" and result.get("passed") is False:
        return "refused"
    return state


def job_view(row: JobRow, now: datetime, memory: Callable[[int], int | None]) -> JobView:
    """One job. ``memory`` gives the bytes a process uses, or None."""
    progress = row.progress
    state = job_state(row)
    ended = row.ended_at or (now if state == "running" else None)
    took = (ended - row.started_at).total_seconds() if row.started_at and ended else None
    detail = dict(progress.detail) if progress else {}
    used = memory(row.pid) if state == "running" and row.pid else None
    if used is None and detail.get("memory_mb"):
        used = int(float(detail["memory_mb"]) * 1_000_000)
    error = row.error or {}
    result = row.result or {}
    return JobView(
        id=row.job_id,
        kind=row.kind,
        target=row.target,
        state=state,
        done=progress.done if progress else 0.0,
        total=progress.total if progress else 0.0,
        unit=progress.unit if progress else "",
        rate=_rate(row, took),
        eta_s=_eta(row, took) if state == "running" else None,
        started_at=row.started_at or row.created_at,
        ended_at=row.ended_at,
        took_s=max(0.0, took) if took is not None else None,
        memory_bytes=used,
        threads=row.threads,
        pid=row.pid,
        log=row.log,
        summary=str(result.get("reason") if result.get("skipped") else result.get("summary", "")),
        message=_message(row),
        remedy=str(error.get("remedy", "")),
        resumable=row.state in RESUMABLE_STATES,
        detail=MappingProxyType(detail),
    )


def _message(row: JobRow) -> str:
    """Why a job ended before its end."""
    if row.error:
        return str(row.error.get("message", ""))
    if row.state == "interrupted":
        return "interrupted; what was finished is kept"
    return "cancelled; what was finished is kept" if row.state == "cancelled" else ""


def _rate(row: JobRow, took: float | None) -> float | None:
    """The job's own measured rate, else what it did over the time it took."""
    progress = row.progress
    if progress is None:
        return None
    if progress.rate is not None:
        return progress.rate
    return progress.done / took if took and took >= 1.0 and progress.done > 0 else None


def _eta(row: JobRow, took: float | None) -> float | None:
    progress = row.progress
    if progress is None:
        return None
    if progress.eta_s is not None:
        return progress.eta_s
    rate = _rate(row, took)
    return (progress.total - progress.done) / rate if rate and progress.total > progress.done else None


def phase_seconds(jobs: Sequence[JobView], kinds: Sequence[str]) -> float | None:
    """How long a phase worked: the newest job of each target that did something, overlaps counted once."""
    newest: dict[tuple[str, str], JobView] = {}
    for job in jobs:
        if job.kind in kinds and job.state != "skipped":
            newest.setdefault((job.kind, job.target), job)
    spans = sorted(
        (job.started_at.timestamp(), job.started_at.timestamp() + job.took_s)
        for job in newest.values()
        if job.started_at is not None and job.took_s is not None
    )
    total, reached = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total if spans else None
