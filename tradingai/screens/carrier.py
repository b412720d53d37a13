"""Carrying out what the console asks for: the facade's commands, and work that is no job of the store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import Command, Replay
from tradingai.engine.core.errors import RegistryError, TradingAIError
from tradingai.engine.core.events import MessageShown
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.facade import Engine
from tradingai.engine.jobs.spec import JobUpdate
from tradingai.engine.pipeline.plan import WORKLOADS, parse_workload, pipeline_request
from tradingai.engine.pipeline.run import Pipeline
from tradingai.engine.queries.assemble import SnapshotReader, Surroundings
from tradingai.engine.queries.monitor_views import DeskCode
from tradingai.engine.queries.risk_views import AccountCode
from tradingai.engine.queries.snapshot import JobView
from tradingai.screens.commands import (
    CheckFeatures,
    RunChecklist,
    RunPipeline,
    VerifyCandles,
    VerifyDecisions,
    VerifyModels,
)
from tradingai.screens.port import Receipt
from tradingai.screens.receipts import (
    check_view,
    checklist_text,
    outcome,
    sentence,
    together,
    verification_text,
)

REPLAY_HOURS: Final = 72
FIRST_SPEED: Final = 600.0
"""72 hours in 7.2 minutes: a scan every fifth of a second."""
Say = Callable[[str, str], None]


class Carrier:
    """Carries out commands over an open engine; ``say`` hears what ends in the background."""

    def __init__(self, engine: Engine, reader: SnapshotReader, clock: Clock, say: Say) -> None:
        self._engine = engine
        self._reader = reader
        self._clock = clock
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipelines: set[Pipeline] = set()
        self._place = ""
        self.checks: dict[str, JobView] = {}
        """Checks that run now, by coin: they are no jobs of the store."""

    async def send(self, *commands: Command) -> Receipt:
        """Have commands carried out; the first refusal ends the row and is what is reported."""
        done: list[str] = []
        try:
            for command in commands:
                text = await self._carry_out(command)
                done.append(text)
        except TradingAIError as error:
            return Receipt(accepted=False, message=sentence(error.message), remedy=error.remedy)
        return Receipt(accepted=True, message=together(done))

    def take_place(self) -> str:
        """The screen the operator should be led to, once."""
        taken, self._place = self._place, ""
        return taken

    async def note(self, text: str, level: str) -> None:
        """Append a message to the log."""
        await self._engine.store.events.append(MessageShown(text=text, severity=level))

    async def close(self, reason: str) -> None:
        """Start nothing further, stop jobs at their safe points, and end what runs in the background."""
        for pipeline in self._pipelines:
            pipeline.stop(reason)
        await self._engine.stop_jobs(reason)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, command: Command) -> str:
        match command:
            case RunPipeline():
                work, text = self._pipeline(command), f"The {command.workload} pipeline runs."
            case VerifyModels():
                work, text = self._verify_models(), "Comparing every artifact with the ledger."
            case VerifyCandles():
                work = self._verify_candles(command.symbol)
                text = f"Comparing the candles of {command.symbol} with their hash."
            case CheckFeatures():
                work = self._check_features(command.symbol)
                text = f"Checking the features of {command.symbol}."
            case VerifyDecisions():
                work = self._verify_decisions()
                text = "Computing every decision again from the stored candles."
            case RunChecklist():
                work = self._run_checklist()
                text = "The rehearsals run; their result is said here and in the log."
            case _:
                return outcome(command, await self._engine.execute(command))
        self._begin(work)
        return text

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on in the background; its failure is said, never lost."""

        async def told() -> None:
            try:
                await work
            except TradingAIError as error:
                self._say(f"{sentence(error.message)} {error.remedy}".strip(), "error")
            except Exception as error:  # noqa: BLE001 - the task's boundary: nobody awaits it
                self._say(f"Unexpected {type(error).__name__}: {error}", "error")

        task = asyncio.create_task(told())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pipeline(self, command: RunPipeline) -> None:
        from tradingai.engine.core.symbols import parse_market

        engine = self._engine

        def hear(_: JobUpdate) -> None:
            """The store has it already."""

        settings = engine.settings
        market = parse_market(command.market) if settings.data_provider == "synthetic" else None
        workload = parse_workload(command.workload)
        request = pipeline_request(settings, workload, market, seed=command.seed, why="console")
        pipeline = Pipeline(engine, engine.paths, engine.settings, engine.clock, hear)
        self._pipelines.add(pipeline)
        try:
            result = await pipeline.run(request)
        finally:
            self._pipelines.discard(pipeline)
        live = sum(item.promotion in {"promoted", "live"} for item in result.models)
        level = "info" if result.passed else "warning"
        self._say(f"The pipeline ran to its end: {live} of {len(result.models)} models live.", level)
        if command.first and live:
            await self._lead_to_monitor(command)

    async def _lead_to_monitor(self, command: RunPipeline) -> None:
        """A first pipeline ends where its models can be seen at work: a replay, slow enough to be watched."""
        issued = self._engine.issue(command.sender)
        replay = Replay(
            sender=command.sender, surface="console", issued_at=issued["issued_at"],
            hours=REPLAY_HOURS, speed=FIRST_SPEED,
        )  # fmt: skip
        await self._engine.execute(replay)
        self._place = "monitor"

    async def _verify_models(self) -> None:
        from tradingai.engine.registry.verify import verify

        found = await asyncio.to_thread(verify, self._engine.paths, None)
        self._reader.verified_at = self._clock.now()
        wrong = [item for item in found if not item.ok]
        if wrong:
            first = wrong[0]
            self._say(f"{first.model} {first.version}: {first.state}, {first.detail}", "error")
        else:
            self._say(f"{len(found)} versions and links are what the ledger says.", "info")

    async def _verify_candles(self, symbol: str) -> None:
        from tradingai.engine.store.candle_files import verify_dataset

        manifest = await asyncio.to_thread(verify_dataset, self._engine.paths, symbol)
        digest = manifest.sha256[:8]
        self._say(f"{manifest.rows:,} candles of {symbol} are what their hash {digest} says.", "info")

    async def _check_features(self, symbol: str) -> None:
        """In a process of its own: checking is pure computation, and this one has keys to listen to."""
        now = self._clock.now()
        self.checks[symbol] = JobView(f"check-{symbol}", "features_check", symbol, "running", started_at=now)
        try:
            output = await self._tradingai("features", "check", "--symbols", symbol)
        finally:
            self.checks.pop(symbol, None)
        check = check_view(symbol, output, self._clock)
        self._reader.check = check
        self._say(f"{symbol}: {check.summary}", "info" if check.passed else "error")

    async def _verify_decisions(self) -> None:
        self._say(*verification_text(await self._tradingai("observe", "verify")))

    async def _run_checklist(self) -> None:
        self._say(*checklist_text(await self._tradingai("observe", "checklist")))

    async def _tradingai(self, *arguments: str) -> bytes:
        """What a command of this home answers as JSON, from a process of its own that ends with this task."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tradingai",
            "--home",
            str(self._engine.paths.root),
            *arguments,
            "--json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return output


def surroundings() -> Surroundings:
    """What pictures need from the layers above the queries."""
    return Surroundings(
        rollback=_rollback,
        feature_texts=_feature_texts,
        workloads={name: (work.start, work.end) for name, work in WORKLOADS.items()},
        accounts=_accounts,
        desks=_desks,
    )


def _desks(settings: Settings) -> DeskCode:
    from tradingai.engine.runtime.desk_facts import HomeDesks

    return HomeDesks(settings)


def _accounts(settings: Settings, paths: HomePaths) -> AccountCode:
    from tradingai.engine.runtime.account_facts import HomeAccounts

    return HomeAccounts(settings, paths)


def _rollback(ledger: Ledger, model: str) -> str | None:
    from tradingai.engine.registry.registry import rollback_target

    try:
        return rollback_target(ledger, model)
    except RegistryError:
        return None


def _feature_texts() -> Mapping[str, str]:
    from tradingai.engine.features.registry import FEATURES

    return {item.name: f"{item.meaning} ({item.source})" for item in FEATURES}
