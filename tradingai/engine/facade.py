"""The engine: the one entry of console, command line and bot."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

from tradingai.engine.backup import create_backup
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import (
    BackUp,
    CancelJob,
    Command,
    ControlCommand,
    JobCommand,
    ObservationCommand,
    Promote,
    ResumeJob,
    Rollback,
    StartScanLoop,
    StopScanLoop,
    Surface,
)
from tradingai.engine.core.errors import GateRefusedError, MissingError, TradingAIError, UsageError
from tradingai.engine.core.events import BackupWritten, ModelPromoted, ModelRolledBack, ScanLoopChosen
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.jobs.orders import job_for
from tradingai.engine.jobs.runner import JobRunner
from tradingai.engine.jobs.spec import JobResult, JobSpec, OnUpdate
from tradingai.engine.registry.registry import Registry
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.observation_desk import ObservationDesk, audit_words
from tradingai.engine.runtime.scanner import Scanner
from tradingai.engine.store.database import Store, StoreVersion
from tradingai.engine.store.event_log import StoredEvent
from tradingai.engine.store.job_rows import JobRow, JobState

Result = TypeVar("Result")


class Issuer(TypedDict):
    """The fields every command begins with."""

    sender: str
    surface: Surface
    issued_at: datetime


class Engine:
    """Carries out commands, audits each with its result, and shows what the store holds.

    Made by ``bootstrap.open_engine``. A read-only engine refuses every command; over a home without a
    database it has no store and shows nothing.
    """

    def __init__(
        self,
        *,
        paths: HomePaths,
        settings: Settings,
        clock: Clock,
        surface: Surface,
        store: Store | None,
        runner: JobRunner | None,
        scanner: Scanner | None = None,
        recovered: Sequence[JobRow] = (),
        problems: Sequence[TradingAIError] = (),
    ) -> None:
        """``runner`` is None when the engine is read-only, ``scanner`` when it cannot scan here."""
        self.paths = paths
        self.settings = settings
        self.clock = clock
        self.recovered = tuple(recovered)
        """Jobs found dead at start, to be offered for resume."""
        self.problems = tuple(problems)
        """What start-up found and could not repair."""
        self._surface: Surface = surface
        self._store = store
        self._runner = runner
        self.scanner = scanner
        """The scan loop of this process, whether it runs or not."""
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def read_only(self) -> bool:
        """True when every command is refused."""
        return self._runner is None

    def issue(self, sender: str | None = None) -> Issuer:
        """Who, where and when, for a new command: ``Promote(**engine.issue(), model="lstm_BTC-USD")``."""
        return Issuer(sender=sender or operator(), surface=self._surface, issued_at=self.clock.now())

    # -- commands

    async def execute(self, command: Command, on_update: OnUpdate | None = None) -> Mapping[str, Any]:
        """Carry out a command and return what came of it.

        A job is started and goes on in the background: the result is its ``job_id``, and how it ends is
        in the store. Raises UsageError when the command is expired or the engine read-only, and whatever
        the command itself raises; either way it is audited.
        """
        return await self._tracked(self._execute(command, on_update))

    async def _execute(self, command: Command, on_update: OnUpdate | None) -> Mapping[str, Any]:
        store, runner = self._writable()
        if isinstance(command, ControlCommand):
            await self._refuse_expired(store, command)
            return await carry_out(store, self.settings, self.paths, self.clock, command)
        if isinstance(command, JobCommand):
            await self._accept(store, command)
            spec = job_for(command, self.settings, self.clock)
            self._spawn(self._job(store, runner, command, spec, on_update, None))
            return {"job_id": spec.id}
        await self._accept(store, command)
        if isinstance(command, ObservationCommand):
            desk = ObservationDesk(store, self.paths, self.settings, self.clock)
            return await self._audited(store, command, desk.carry_out(command), audit_words)
        return await self._audited(store, command, self._carry_out(store, runner, command, on_update), dict)

    async def run(self, command: JobCommand, on_update: OnUpdate | None = None) -> JobResult:
        """Carry out a job's command and wait for its end. Raises what the job raised."""
        return (await self.run_all([command], on_update))[0]

    async def run_all(
        self, commands: Sequence[JobCommand], on_update: OnUpdate | None = None, *, workers: int | None = None
    ) -> list[JobResult]:
        """Carry out several jobs' commands, at most ``workers`` (default: JOB_WORKERS) at once.

        A failure does not stop the others: when all have ended the first one's error is raised.
        """
        store, runner = self._writable()
        slots = asyncio.Semaphore(workers or self.settings.workers)
        for command in commands:
            await self._accept(store, command)
        specs = [job_for(command, self.settings, self.clock) for command in commands]
        jobs = [
            self._tracked(self._job(store, runner, command, spec, on_update, slots))
            for command, spec in zip(commands, specs, strict=True)
        ]
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        results: list[JobResult] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return results

    # -- what there is to see

    async def version(self) -> StoreVersion:
        """Counters that move with every change."""
        return await self._store.version() if self._store else StoreVersion(0, 0, 0)

    async def jobs(self, *, states: Sequence[JobState] = (), limit: int = 100) -> list[JobRow]:
        """The newest jobs, newest first."""
        return await self._store.jobs.list(states=states, limit=limit) if self._store else []

    async def events(
        self, after: int, *, limit: int = 1000, levels: Sequence[str] = (), job_id: str | None = None
    ) -> list[StoredEvent]:
        """The oldest events with a number above ``after``, oldest first."""
        if self._store is None:
            return []
        return await self._store.events.after(after, limit=limit, levels=levels, job_id=job_id)

    @property
    def store(self) -> Store:
        """The store. Raises MissingError when a read-only engine found none."""
        if self._store is None:
            raise MissingError(
                f"nothing has run in {self.paths.root} yet",
                remedy="`tradingai pipeline` starts, or open the console with `tradingai`.",
            )
        return self._store

    async def stop_jobs(self, reason: str) -> None:
        """Stop this process's scan loop and jobs at their next safe points and wait until they have."""
        if self.scanner is not None:
            await self.scanner.stop(reason)
        if self._runner is not None:
            await self._runner.close(reason)

    async def close(self, reason: str = "the program ends") -> None:
        """Stop jobs at their next safe point, wait until every command's end is audited, close the store."""
        await self.stop_jobs(reason)
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._store is not None:
            await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- parts

    def _writable(self) -> tuple[Store, JobRunner]:
        if self._runner is None:
            raise UsageError(
                "this engine was opened read-only: it shows, and changes nothing",
                remedy="Run this without --read-only.",
            )
        return self.store, self._runner

    async def _accept(self, store: Store, command: Command) -> None:
        """Write a command down before it is carried out."""
        await self._refuse_expired(store, command)
        await store.commands.begin(command)

    async def _refuse_expired(self, store: Store, command: Command) -> None:
        """An expired command is written down and never carried out."""
        if command.expired(self.clock.now()):
            await store.commands.begin(command, "expired")
            raise UsageError(
                f"{type(command).__name__} was given at {command.issued_at:%H:%M:%SZ} and expired: "
                "it was not carried out",
                remedy="Give it again.",
            )

    async def _audited(
        self,
        store: Store,
        command: Command,
        work: Awaitable[Result],
        describe: Callable[[Result], Mapping[str, Any]],
    ) -> Result:
        try:
            result = await work
        except TradingAIError as error:
            refused = isinstance(error, UsageError | GateRefusedError)
            await store.commands.finish(
                command.command_id, "refused" if refused else "failed", error.as_json()
            )
            raise
        except BaseException as error:
            words = {"error": {"code": "failed", "message": type(error).__name__, "remedy": ""}}
            await asyncio.shield(store.commands.finish(command.command_id, "failed", words))
            raise
        await store.commands.finish(command.command_id, "done", describe(result))
        return result

    async def _job(
        self,
        store: Store,
        runner: JobRunner,
        command: JobCommand,
        spec: JobSpec,
        on_update: OnUpdate | None,
        slots: asyncio.Semaphore | None,
    ) -> JobResult:
        work = runner.run(spec, on_update, command_id=command.command_id, slots=slots)
        return await self._audited(store, command, work, lambda result: {"job_id": result.job_id})

    async def _carry_out(
        self, store: Store, runner: JobRunner, command: Command, on_update: OnUpdate | None
    ) -> Mapping[str, Any]:
        match command:
            case Promote():
                return await self._promote(store, command)
            case Rollback():
                return await self._roll_back(store, command)
            case BackUp():
                return await self._back_up(store, command)
            case StartScanLoop() | StopScanLoop():
                return await self._choose_to_scan(store, command)
            case CancelJob():
                runner.cancel(command.job_id, f"cancelled by {command.sender} ({command.surface})")
                return {"job_id": command.job_id}
            case ResumeJob():
                await runner.check_resumable(command.job_id)
                self._spawn(runner.resume(command.job_id, on_update))
                return {"job_id": command.job_id}
        raise UsageError(f"no engine carries out {type(command).__name__}", remedy="Update TradingAI.")

    async def _choose_to_scan(self, store: Store, command: StartScanLoop | StopScanLoop) -> Mapping[str, Any]:
        """Begin or end the loop here; the choice is remembered once it took effect."""
        if self.scanner is None:
            raise UsageError("this engine has no scan loop", remedy="Open a console, or `tradingai run`.")
        on = isinstance(command, StartScanLoop)
        interval_s = command.interval_s if isinstance(command, StartScanLoop) else None
        if on:
            await self.scanner.start(interval_s)
        else:
            await self.scanner.stop(f"stopped by {command.sender} ({command.surface})")
        chosen = {"on": on, "interval_s": interval_s}
        told = ScanLoopChosen(on=on, interval_s=interval_s, who=command.sender, surface=command.surface)
        await store.controls.choose("scan_loop", chosen, command, told)
        return chosen

    async def go_on_scanning(self) -> bool:
        """Begin the scan loop when an operator chose so in an earlier session; True when it runs then.

        Raises what :meth:`Scanner.start` raises.
        """
        if self.scanner is None or self._store is None:
            return False
        row = (await self._store.controls.all()).get("scan_loop")
        if row is None or not row.value["on"]:
            return False
        await self.scanner.start(row.value["interval_s"])
        return True

    async def _promote(self, store: Store, command: Promote) -> Mapping[str, Any]:
        registry = self._registry(command)
        before = await asyncio.to_thread(registry.ledger)
        entry = await asyncio.to_thread(registry.promote, command.model, command.version, why=command.why)
        previous = before.live().get(command.model)
        if previous is None or previous.version != entry.version:
            await store.events.append(
                ModelPromoted(
                    model=entry.model,
                    version=entry.version,
                    previous=None if previous is None else previous.version,
                    who=entry.who,
                    why=entry.why,
                )
            )
        return entry.as_json()

    async def _roll_back(self, store: Store, command: Rollback) -> Mapping[str, Any]:
        registry = self._registry(command)
        entry = await asyncio.to_thread(registry.rollback, command.model, command.version, why=command.why)
        event = ModelRolledBack(
            model=entry.model,
            version=entry.version,
            previous=str(entry.details["previous"]),
            who=entry.who,
            why=entry.why,
        )
        await store.events.append(event)
        return entry.as_json()

    async def _back_up(self, store: Store, command: BackUp) -> Mapping[str, Any]:
        summary = await asyncio.to_thread(
            create_backup, self.paths, store.path, Path(command.file), self.clock
        )
        event = BackupWritten(
            file=str(summary.file), size_bytes=summary.size_bytes, versions=len(summary.versions)
        )
        await store.events.append(event)
        return summary.as_json()

    def _registry(self, command: Command) -> Registry:
        return Registry(self.paths, self.clock, who=f"{command.sender}, {command.surface}")

    def _spawn(self, work: Awaitable[object]) -> None:
        """Let a job go on in the background; how it ends is in the store and the audit."""

        async def quietly() -> None:
            with suppress(TradingAIError):
                await work

        self._tracked(quietly())

    def _tracked(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """A task that :meth:`close` waits for."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


def operator() -> str:
    """The operating system's user, who is the sender of console and command line."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
