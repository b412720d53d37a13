"""Running jobs in worker processes."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import JobError, MissingError, StoreError, UsageError
from tradingai.engine.core.events import JobStarted, WorkerDied
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.jobs.process import WorkerProcess
from tradingai.engine.jobs.recovery import recover_jobs
from tradingai.engine.jobs.running import Ending, Running, ending, how_it_ended, job_result, surprise
from tradingai.engine.jobs.spec import JobResult, JobSpec, OnUpdate, params_to_go_on
from tradingai.engine.store.database import Store
from tradingai.engine.store.job_rows import RESUMABLE_STATES, JobRow

MAX_RESUMES: Final = 2
"""A worker that died is started again at most this often."""
STOP_GRACE_S: Final = 20.0
"""A worker that was asked to stop and met no safe point by then is killed; what it wrote is safe."""
_LAST_WORDS: Final = frozenset({"result", "error", "interrupted"})


class JobRunner:
    """Runs jobs as children of this process and keeps the store up to date about them.

    Use it as ``async with``: leaving stops whatever still runs at its next safe point. At most
    ``settings.workers`` jobs run at once, further ones wait as ``queued``.
    """

    def __init__(
        self,
        store: Store,
        paths: HomePaths,
        clock: Clock,
        settings: Settings,
        *,
        worker_module: str = "tradingai.engine.worker",
        stop_grace_s: float = STOP_GRACE_S,
    ) -> None:
        """``worker_module`` is what ``python -m`` starts: tests give one with kinds of their own."""
        self._store = store
        self._paths = paths
        self._clock = clock
        self._settings = settings
        self._worker_module = worker_module
        self._stop_grace_s = stop_grace_s
        self._slots = asyncio.Semaphore(settings.workers)
        self._running: dict[str, Running] = {}
        self._closed_because: str | None = None
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"
        """Names this runner's lock, by which others see that its process lives."""
        self._life = FileLock(paths.runner_lock(self.id), command="job runner", clock=clock)

    async def run(
        self,
        spec: JobSpec,
        on_update: OnUpdate | None = None,
        *,
        command_id: str | None = None,
        slots: asyncio.Semaphore | None = None,
    ) -> JobResult:
        """Run one job to its end; ``slots`` limits it further than JOB_WORKERS does.

        Raises what the job raised, as the same class; JobError when its worker died three times or failed
        in a way nobody foresaw, with the log named; InterruptedRunError when it was cancelled or stopped.
        """
        self._hold_life()
        running = self._register(spec, on_update, 0)
        try:
            await self._store.jobs.create(
                job_id=spec.id,
                kind=spec.kind,
                target=spec.target,
                params=spec.params,
                threads=spec.threads,
                runner=self.id,
                log=str(running.log.relative_to(self._paths.root)),
                command_id=command_id,
            )
        except BaseException:
            self._unregister(running)
            raise
        return await self._supervise(running, slots)

    async def run_all(
        self, specs: Sequence[JobSpec], on_update: OnUpdate | None = None, *, workers: int | None = None
    ) -> list[JobResult]:
        """Run several jobs, at most ``workers`` (default: JOB_WORKERS) at once; results in their order.

        A failure does not stop the others: when all have ended the first one's error is raised.
        """
        slots = asyncio.Semaphore(workers or self._settings.workers)
        jobs = (self.run(spec, on_update, slots=slots) for spec in specs)
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        results: list[JobResult] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return results

    async def resume(
        self, job_id: str, on_update: OnUpdate | None = None, *, automatic: bool = False
    ) -> JobResult:
        """Run an interrupted, cancelled or failed job again; it goes on where its artifacts stand.

        Only ``automatic`` resumes count towards the limit. Raises what :meth:`check_resumable` raises,
        JobError when the limit is reached, and what :meth:`run` raises.
        """
        row = await self.check_resumable(job_id)
        if automatic and row.resumes >= MAX_RESUMES:
            raise JobError(
                f"job {job_id} was resumed {row.resumes} times already",
                remedy=f"Look into {self._paths.root / row.log}, then start it yourself.",
            )
        self._hold_life()
        params = row.params if row.started_at is None else params_to_go_on(row.params)
        spec = JobSpec(row.job_id, row.kind, row.target, params, row.threads)
        running = self._register(spec, on_update, row.resumes + 1 if automatic else 0)
        return await self._supervise(running, None)

    async def check_resumable(self, job_id: str) -> JobRow:
        """The job, if it can go on. Raises MissingError when it is unknown, UsageError when it cannot."""
        row = await self._store.jobs.get(job_id)
        if row.state not in RESUMABLE_STATES or job_id in self._running:
            raise UsageError(f"job {job_id} is {row.state}", remedy="Only a job that was stopped can go on.")
        return row

    def cancel(self, job_id: str, reason: str) -> None:
        """Ask a job of this runner to stop. Raises MissingError when it runs no such job."""
        running = self._running.get(job_id)
        if running is None:
            raise MissingError(
                f"no job {job_id} is running in this process",
                remedy="`tradingai status` lists running jobs; cancel one where it was started.",
            )
        running.stop(reason, cancelled=True)

    async def recover(self) -> list[JobRow]:
        """Mark jobs whose process died as interrupted; return them, to be offered for resume."""
        return await recover_jobs(self._store, self._paths, self._clock, runner=self.id)

    async def close(self, reason: str = "the program ends") -> None:
        """Stop all jobs at their next safe point and wait until they have. Later ones stop at once."""
        self._closed_because = reason
        pending = list(self._running.values())
        for running in pending:
            running.stop(reason)
        for running in pending:
            await running.ended.wait()
        if self._life.held:
            self._life.path.unlink(missing_ok=True)
            self._life.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _hold_life(self) -> None:
        if not self._life.held:
            self._life.acquire()

    def _register(self, spec: JobSpec, on_update: OnUpdate | None, resumes: int) -> Running:
        running = Running(spec, self._paths.job_logs / spec.log_name, on_update, resumes)
        self._running[spec.id] = running
        if self._closed_because is not None:
            running.stop(self._closed_because)
        return running

    def _unregister(self, running: Running) -> None:
        self._running.pop(running.spec.id, None)
        running.ended.set()

    async def _supervise(self, running: Running, slots: asyncio.Semaphore | None) -> JobResult:
        """Wait for a slot, see the job through, and write its end into the store whatever happens."""
        try:
            async with running.turn(slots or asyncio.Semaphore()), running.turn(self._slots):
                begun = self._clock.monotonic()
                end = await self._see_through(running, begun)
                await self._store_end(running, end)
        except BaseException as error:
            with suppress(StoreError):
                await asyncio.shield(self._store_end(running, surprise(running, error)))
            raise
        finally:
            self._unregister(running)
        running.tell([end.event.as_json()], [])
        return job_result(running, end, self._clock.monotonic() - begun)

    async def _see_through(self, running: Running, begun: float) -> Ending:
        """Start the job's worker, again when it dies, until there is a last word."""
        answer, status = await self._attempt(running)
        while answer is None and not running.stopping.is_set() and running.resumes < MAX_RESUMES:
            running.resumes += 1
            await self._note_death(running, status)
            answer, status = await self._attempt(running)
        return ending(running, answer, status, self._clock.monotonic() - begun)

    async def _attempt(self, running: Running) -> tuple[dict[str, Any] | None, int]:
        """One worker from start to end: its last word (None when it died without one) and exit status."""
        if running.stopping.is_set():
            return None, 0
        description = {
            "spec": asdict(running.spec),
            "home": self._paths.root,
            "settings": self._settings.for_worker(),
            "runner": self.id,
        }
        threads = running.spec.threads
        worker = await WorkerProcess.start(self._worker_module, description, running.log, threads)
        enforcer = asyncio.create_task(self._enforce_stop(running, worker))
        answer: dict[str, Any] | None = None
        try:
            async for batch in worker.messages():
                answer = await self._record(running, batch)
                if answer is not None:
                    break
            return answer, await worker.reap()
        except BaseException:
            running.stop("its caller gave up")
            await asyncio.shield(worker.see_off())
            raise
        finally:
            enforcer.cancel()

    async def _enforce_stop(self, running: Running, worker: WorkerProcess) -> None:
        await running.stopping.wait()
        await worker.ask_to_stop(running.stop_reason)
        await self._clock.sleep(self._stop_grace_s)
        worker.kill()

    async def _record(self, running: Running, batch: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Write what the worker said to the store, tell the caller; return its last word if it is there."""
        job_id = running.spec.id
        for message in batch:
            if "started" in message:
                await self._note_start(running, int(message["started"]["pid"]))
        events = [message["event"] for message in batch if "event" in message]
        progress = [message["progress"] for message in batch if "progress" in message]
        if events or progress:
            await self._store.jobs.record(job_id, events, progress[-1] if progress else None)
        running.tell(events, progress)
        return next((message for message in batch if message.keys() & _LAST_WORDS), None)

    async def _note_start(self, running: Running, pid: int) -> None:
        spec, resumes = running.spec, running.resumes
        event = JobStarted(job_id=spec.id, kind=spec.kind, target=spec.target, pid=pid, resume=resumes)
        await self._store.jobs.started(spec.id, runner=self.id, pid=pid, resumes=resumes, event=event)
        running.tell([event.as_json()], [])

    async def _note_death(self, running: Running, status: int) -> None:
        spec = running.spec
        event = WorkerDied(
            job_id=spec.id,
            kind=spec.kind,
            target=spec.target,
            how=how_it_ended(status),
            resume=running.resumes,
        )
        await self._store.events.append(event, job_id=spec.id)
        running.tell([event.as_json()], [])

    async def _store_end(self, running: Running, end: Ending) -> None:
        error = end.error.as_json()["error"] if end.error is not None and end.state == "failed" else None
        await self._store.jobs.ended(
            running.spec.id, end.state, event=end.event, result=end.result, error=error
        )
