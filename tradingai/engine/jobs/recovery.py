"""Jobs whose process died, found at start."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import LockHeldError
from tradingai.engine.core.events import JobInterrupted
from tradingai.engine.core.locks import FileLock, lock_is_free, read_owner
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.jobs.context import ORPHAN_GRACE_S
from tradingai.engine.jobs.spec import lock_name
from tradingai.engine.store.database import Store
from tradingai.engine.store.job_rows import OPEN_STATES, JobRow

ORPHAN_WAIT_S: Final = ORPHAN_GRACE_S + 3
"""Workers whose parent died end within this time."""


async def recover_jobs(store: Store, paths: HomePaths, clock: Clock, *, runner: str) -> list[JobRow]:
    """Mark jobs whose process died as interrupted; return them, to be offered for resume.

    A job counts as dead when the lock of its runner is free (``runner`` is the caller's own), and its
    target's lock is free or held for another job. A worker that is just ending because its parent died
    is waited for.
    """
    recovered = []
    for row in await store.jobs.list(states=OPEN_STATES, limit=10_000):
        life = paths.runner_lock(row.runner)
        if row.runner != runner and lock_is_free(life) and await _mark_dead(store, paths, clock, row):
            recovered.append(await store.jobs.get(row.job_id))
            life.unlink(missing_ok=True)
    return recovered


def prune_logs(paths: HomePaths, clock: Clock, *, days: int) -> int:
    """Delete job logs nobody wrote to for ``days``; return how many."""
    horizon = (clock.now() - timedelta(days=days)).timestamp()
    count = 0
    for log in paths.job_logs.glob("*.log"):
        with suppress(OSError):  # a disk that takes no change of it now
            if log.stat().st_mtime < horizon:
                log.unlink()
                count += 1
    return count


async def _mark_dead(store: Store, paths: HomePaths, clock: Clock, row: JobRow) -> bool:
    """Mark one job of a dead runner, holding its target's lock where no other job has that."""
    target = FileLock(paths.locks / lock_name(row.kind, row.target), command="recovery", clock=clock)
    deadline = clock.monotonic() + ORPHAN_WAIT_S
    while True:
        try:
            await target.wait(0.25)
        except LockHeldError:
            owner = read_owner(target.path)
            if owner is None or owner.runner == row.runner:
                if clock.monotonic() < deadline:
                    continue
                return False
        break
    try:
        if (await store.jobs.get(row.job_id)).state not in OPEN_STATES:
            return False
        event = JobInterrupted(job_id=row.job_id, kind=row.kind, target=row.target, reason="its process died")
        await store.jobs.ended(row.job_id, "interrupted", event=event)
    finally:
        target.release()
    return True
