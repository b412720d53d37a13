"""The pipeline: candles, features, training, evaluation and gates, promotion, a replay; as jobs of an engine.

Every step asks its job, and the job finds out whether its inputs have changed. Candles of all coins come
before features (a coin's features look at the others), then each coin goes on by itself. Whoever is killed
in between leaves finished steps behind, and the same call goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import (
    BuildFeatures,
    Command,
    Evaluate,
    FetchCandles,
    GenerateCandles,
    JobCommand,
    Promote,
    Replay,
    StartTraining,
)
from tradingai.engine.core.errors import InterruptedRunError
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MULTI_COIN_MODELS
from tradingai.engine.jobs.spec import JobResult, OnUpdate
from tradingai.engine.pipeline.plan import (
    REPLAY_HOURS,
    ModelOutcome,
    PipelineRequest,
    PipelineResult,
)
from tradingai.engine.pipeline.receipt import Receipt, recall, write_receipt
from tradingai.engine.registry.registry import Registry

T = TypeVar("T")


class Executor(Protocol):
    """What carries out commands: the engine."""

    def issue(self) -> Any:
        """Who, where and when, for a new command."""
        ...

    async def run(self, command: JobCommand, on_update: OnUpdate | None = None) -> JobResult:
        """Carry out a job's command and wait for its end."""
        ...

    async def execute(self, command: Command, on_update: OnUpdate | None = None) -> Mapping[str, Any]:
        """Carry out another command."""
        ...


class Pipeline:
    """Runs one request on one home. Use it once."""

    def __init__(
        self, engine: Executor, paths: HomePaths, settings: Settings, clock: Clock, on_update: OnUpdate
    ) -> None:
        """``on_update`` hears what the jobs say, as the engine's own does."""
        self._engine = engine
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._on_update = on_update
        self._results: list[JobResult] = []
        self._stop_reason = ""

    def stop(self, reason: str) -> None:
        """Start no further job; whoever runs the jobs stops those that run."""
        self._stop_reason = self._stop_reason or reason

    async def run(self, request: PipelineRequest) -> PipelineResult:
        """Bring every model of ``request`` to its verdict; promote those that pass.

        Raises LockHeldError naming the owner when another pipeline works in this home, InterruptedRunError
        after :meth:`stop`, and whatever a job raised after the steps that do not depend on it have ended.
        """
        begun = self._clock.monotonic()
        lock = FileLock(
            self._paths.locks / "pipeline",
            command=f"pipeline --workload {request.workload.name}",
            clock=self._clock,
            subject="the pipeline",
            remedy="Wait until it has finished (`tradingai status` shows how far it is), or stop it.",
        )
        with lock:
            registry = Registry(self._paths, self._clock, who="engine, pipeline")
            done = await asyncio.to_thread(recall, self._paths, request, self._settings, registry)
            if done is not None:
                models, replay = [self._standing(report) for report in done.reports], done.replay
                steps = skipped = request.steps
            else:
                models = list(await self._all_steps(request))
                replay = await self._replay(request)
                steps, skipped = len(self._results), sum(result.skipped for result in self._results)
                left = Receipt(tuple(item.report for item in models), replay)
                await asyncio.to_thread(write_receipt, self._paths, request, self._settings, left)
        return PipelineResult(request, tuple(models), replay, steps, skipped, self._clock.monotonic() - begun)

    async def _all_steps(self, request: PipelineRequest) -> Sequence[ModelOutcome]:
        await _together(self._candles(request, symbol) for symbol in request.symbols)
        await _together(self._features(request, symbol) for symbol in request.symbols)
        judged: dict[str, asyncio.Task[ModelOutcome]] = {}
        trained = {model: asyncio.ensure_future(self._train(request, model)) for model in request.trained}
        for model in request.models:
            before = tuple(judged.values()) if model in MULTI_COIN_MODELS else ()
            training = trained.get(model)
            judged[model] = asyncio.ensure_future(self._verdict(request, model, training, before))
        return await _together(judged.values())

    async def _candles(self, request: PipelineRequest, symbol: str) -> None:
        start, end = request.workload.start, request.workload.end
        issued = self._engine.issue()
        if request.provider != "synthetic":
            await self._job(
                FetchCandles(
                    **issued, symbol=symbol, provider=request.provider, exchange=request.exchange,
                    start=start, end=end,
                )
            )  # fmt: skip
        elif request.market is not None:
            await self._job(
                GenerateCandles(
                    **issued, symbol=symbol, market=request.market, seed=request.seed, start=start, end=end
                )
            )

    async def _features(self, request: PipelineRequest, symbol: str) -> None:
        peers = request.peers(symbol)
        await self._job(BuildFeatures(**self._engine.issue(), symbol=symbol, peers=peers))

    async def _train(self, request: PipelineRequest, model: str) -> None:
        await self._job(
            StartTraining(
                **self._engine.issue(),
                model=model,
                symbols=request.symbols if model in MULTI_COIN_MODELS else None,
                epochs=request.epochs,
                seed=request.seed,
                replace_unfinished=True,
            )
        )

    async def _verdict(
        self,
        request: PipelineRequest,
        model: str,
        training: Awaitable[None] | None,
        before: Sequence[Awaitable[ModelOutcome]],
    ) -> ModelOutcome:
        """Evaluate a model after its training and after those it shares test data with.

        So the attempts on a coin's test data are counted in the same order every time, and an ensemble is
        made of what went live before it. A model that another's failure keeps from its turn fails with it.
        """
        if training is not None:
            await training
        await _together(before)
        result = await self._job(Evaluate(**self._engine.issue(), model=model))
        report = ModelReport.from_json(result.result["report"])
        return await self._promote(report, request.why)

    async def _replay(self, request: PipelineRequest) -> Mapping[str, Any]:
        """The scan loop over the newest stored candles, with whatever is live now."""
        command = Replay(**self._engine.issue(), hours=REPLAY_HOURS, symbols=request.symbols, reuse=True)
        document: Mapping[str, Any] = (await self._job(command)).result["replay"]
        return document

    async def _promote(self, report: ModelReport, why: str) -> ModelOutcome:
        """Make a version that passed live, unless it is, or an operator has taken it back."""
        standing = self._standing(report)
        if standing.promotion != "waiting":
            return standing
        model, version = report.model, report.version
        await self._engine.execute(Promote(**self._engine.issue(), model=model, version=version, why=why))
        return ModelOutcome(report, "promoted", f"{version} is live")

    def _standing(self, report: ModelReport) -> ModelOutcome:
        """Where a version stands before anything is done: ``waiting`` when it may be promoted."""
        model, version = report.model, report.version
        if not report.promotable:
            return ModelOutcome(report, "refused", f"refused by {report.refused}")
        changes = read_ledger(self._paths.ledger).promotions(model)
        newest = changes[-1] if changes else None
        if newest is not None and newest.version == version:
            return ModelOutcome(report, "live", f"{version} is live")
        if newest is not None and newest.kind == "rolled_back" and newest.details["previous"] == version:
            detail = (
                f"{version} passed, but was rolled back to {newest.version} by {newest.who}; "
                f"`tradingai models promote {model} --version {version}` makes it live again"
            )
            return ModelOutcome(report, "held", detail)
        return ModelOutcome(report, "waiting", f"{version} passed and is not live")

    async def _job(self, command: JobCommand) -> JobResult:
        self._check_stop()
        result = await self._engine.run(command, self._on_update)
        self._results.append(result)
        return result

    def _check_stop(self) -> None:
        if self._stop_reason:
            raise InterruptedRunError(
                f"the pipeline was stopped: {self._stop_reason}",
                remedy="Finished steps are kept; the same command goes on from there.",
            )


async def _together(steps: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Await all; when all have ended raise the first failure, if there was one."""
    results: list[T] = []
    for item in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(item, BaseException):
            raise item
        results.append(item)
    return results
