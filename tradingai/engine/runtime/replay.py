"""The scan loop on a simulated clock: stored candles through the step of the live loop, as a run of its own.

A replay begins with a fresh account, knows neither the kill switch nor a threshold of the moment, and sends
nothing to anybody. Its decisions depend on candles, models, settings and code alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock, SimulatedClock
from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import InterruptedRunError, MissingError, StoreError, UsageError
from tradingai.engine.core.events import ReplayFinished
from tradingai.engine.core.jsonio import digest, parse_iso, plain
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.performance import Tally
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.inference.blocks import BlockFeatures
from tradingai.engine.inference.promoted import PromotedModels, load_promoted
from tradingai.engine.inference.stream import KEPT_MINUTES, FeatureSource, MarketStream
from tradingai.engine.runtime.dataset_feed import DatasetFeed
from tradingai.engine.runtime.runs import Finished, Run
from tradingai.engine.runtime.step import Controls, ScanStep
from tradingai.engine.runtime.timing import Timings
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics
from tradingai.engine.store.manifests import read_dataset_manifest
from tradingai.engine.store.scan_table import RunResultRow, RunState

MODE: Final = "replay"
SCANS_AT_ONCE: Final = 120
"""Scans stored in one transaction; a replay that is killed loses its run, not its candles."""
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Scans every ``interval_s`` seconds from ``first_us`` to ``last_us``, both included."""

    symbols: tuple[str, ...]
    first_us: int
    last_us: int
    interval_s: int

    @property
    def interval_us(self) -> int:
        """Time between two scans."""
        return self.interval_s * _SECOND_US

    @property
    def scans(self) -> int:
        """How many there are."""
        return (self.last_us - self.first_us) // self.interval_us + 1


def plan_replay(
    paths: HomePaths, symbols: Sequence[str], hours: float, end: datetime | None, interval_s: int
) -> ReplayPlan:
    """Scans over the last ``hours`` before ``end``, at whole multiples of the interval since 1970.

    Without ``end`` the last scan is the newest at which every coin's last stored candle is closed. Raises
    UsageError for hours without a scan, MissingError without candles.
    """
    closed_us = min(
        datetime_to_us(read_dataset_manifest(paths, symbol).end) + MINUTE_US for symbol in symbols
    )
    until_us = closed_us if end is None else datetime_to_us(end)
    if until_us > closed_us:
        raise MissingError(
            f"candles end at {us_to_datetime(closed_us):%Y-%m-%d %H:%M} UTC, before --end",
            remedy="Leave --end out, or make more candles (`tradingai data list` shows what there is).",
        )
    step = interval_s * _SECOND_US
    scans = round(hours * 3600 / interval_s) if math.isfinite(hours) else 0
    if scans < 1:
        raise UsageError(
            f"{hours:g} hours hold no scan", remedy=f"Scans are {interval_s} s apart: ask for --hours 72."
        )
    last_us = until_us - until_us % step
    return ReplayPlan(tuple(symbols), last_us - (scans - 1) * step, last_us, interval_s)


@dataclass(frozen=True, slots=True, eq=False)
class ReplayInputs:
    """Everything a replay's decisions depend on."""

    plan: ReplayPlan
    config: DeskConfig
    promoted: PromotedModels
    feed: DatasetFeed
    synthetic: bool
    """Whether a generator made any of the prices."""
    request: dict[str, Any]
    """For the run's record; ``key`` in it is the hash of all that decides."""


def read_inputs(
    paths: HomePaths, settings: Settings, plan: ReplayPlan, promoted: PromotedModels | None = None
) -> ReplayInputs:
    """Load models and candles. ``promoted`` None takes what the ledger says is live.

    Raises MissingError when candles do not cover the plan and the history before it.
    """
    metrics = read_execution_metrics(paths)
    config = desk_config(settings, metrics)
    promoted = promoted or load_promoted(paths, read_ledger(paths.ledger), plan.symbols)
    coins = MarketStream(plan.symbols, promoted, config.decision.ensemble).coins
    newest_us = plan.last_us - MINUTE_US
    feed = DatasetFeed.read(paths, coins, _history_from(paths, coins, plan, promoted), newest_us)
    manifests = {coin: read_dataset_manifest(paths, coin) for coin in coins}
    depends = {
        "symbols": plan.symbols,
        "start": us_to_datetime(plan.first_us),
        "end": us_to_datetime(plan.last_us),
        "interval_s": plan.interval_s,
        "candles": {coin: manifest.sha256 for coin, manifest in manifests.items()},
        "models": promoted.hashes,
        "versions": {live.model: live.version for live in promoted.models},
        "refused": [event.as_json() for event in promoted.refused],
        "settings": settings.settings_hash(),
        "execution_metrics": metrics,
        "code": code_sha256(),
    }
    request = plain({**depends, "key": digest(depends)})
    synthetic = any(manifest.synthetic for manifest in manifests.values())
    return ReplayInputs(plan, config, promoted, feed, synthetic, request)


def _history_from(paths: HomePaths, coins: Sequence[str], plan: ReplayPlan, promoted: PromotedModels) -> int:
    """The first candle that is read: as much history as a stream keeps, and no less than its models need."""
    first_scan = plan.first_us - plan.interval_us
    wanted = first_scan - KEPT_MINUTES * MINUTE_US
    there = max(datetime_to_us(read_dataset_manifest(paths, coin).start) for coin in coins)
    needed = max(
        (live.features.lookback + live.artifact.warmup.bars + 1 for live in promoted.models), default=1
    )
    latest = first_scan - needed * MINUTE_US
    if there > latest:
        raise MissingError(
            f"a replay from {us_to_datetime(plan.first_us):%Y-%m-%d %H:%M} UTC needs candles from "
            f"{us_to_datetime(latest):%Y-%m-%d %H:%M} on; they begin at "
            f"{us_to_datetime(there):%Y-%m-%d %H:%M}",
            remedy="Ask for fewer hours, or make more candles (`tradingai data list` shows what there is).",
        )
    return max(wanted, there)


class _Loop:
    """The step, its feed and its sums."""

    def __init__(self, inputs: ReplayInputs, clock: Clock, source: FeatureSource) -> None:
        plan, config = inputs.plan, inputs.config
        stream = MarketStream(plan.symbols, inputs.promoted, config.decision.ensemble, source=source)
        self.step = ScanStep(stream, config, open_desk(config, plan.first_us), mode=MODE)
        self.tally = Tally(config.costs)
        self.timings = Timings()
        self._feed = inputs.feed
        self._clock = clock
        self._known_us = plan.first_us - plan.interval_us - MINUTE_US
        stream.warm(self._feed.between(0, self._known_us))

    def scan(self, at_us: int) -> Finished:
        """One scan at the simulated time ``at_us``."""
        begun = self._clock.monotonic()
        candles = self._feed.between(self._known_us, at_us - MINUTE_US)
        self._known_us = at_us - MINUTE_US
        prepared = self.step.prepare(at_us, at_us, candles)
        outcome = self.step.decide(prepared, Controls())
        self.step.adopt(outcome)
        took_ms = 1e3 * (self._clock.monotonic() - begun)
        self.tally.add(outcome.decisions, outcome.trades, outcome.events)
        self.timings.add(took_ms)
        return Finished(outcome, took_ms)


async def replay(
    store: Store,
    settings: Settings,
    inputs: ReplayInputs,
    reporter: Reporter,
    clock: Clock,
    *,
    source: FeatureSource | None = None,
) -> dict[str, Any]:
    """Carry out the replay and return the document of ``replay --json``.

    ``clock`` is the machine's, for measured times only; ``source`` None computes features in blocks. Raises
    StoreError, and InterruptedRunError at a safe point; the run is closed as what it is either way.
    """
    begun = clock.monotonic()
    plan = inputs.plan
    loop = _Loop(inputs, clock, source or BlockFeatures(inputs.feed.cleaned))
    run = await Run.begin(
        store, clock, settings, inputs.config, loop.step.desk, kind="replay", at_us=plan.first_us,
        promoted=inputs.promoted,
    )  # fmt: skip
    try:
        await _all_scans(run, plan, loop, reporter, clock)
        result = _result(run.run_id, inputs, loop, clock.monotonic() - begun)
        await run.end("finished", inputs.request, result)
    except BaseException as error:
        stopped = isinstance(error, InterruptedRunError) or not isinstance(error, Exception)
        state: RunState = "interrupted" if stopped else "failed"
        with suppress(StoreError):
            await run.end(state, inputs.request, {"error": f"{type(error).__name__}: {error}"})
        raise
    reporter.emit(
        ReplayFinished(
            run_id=run.run_id,
            scans=result["scans"],
            signals=result["signals"],
            win_rate=result["win_rate"],
            equity=result["equity"],
            seconds=result["wall_s"],
            decisions_sha256=result["decisions_sha256"],
        )
    )
    return result


async def _all_scans(run: Run, plan: ReplayPlan, loop: _Loop, reporter: Reporter, clock: Clock) -> None:
    """Scan by scan on a simulated clock, stored some at a time."""
    simulated = SimulatedClock(us_to_datetime(plan.first_us))
    begun = clock.monotonic()
    waiting: list[Finished] = []
    for number in range(1, plan.scans + 1):
        waiting.append(loop.scan(datetime_to_us(simulated.now())))
        simulated.advance(plan.interval_s)
        if len(waiting) == SCANS_AT_ONCE or number == plan.scans:
            await run.store(waiting)
            waiting.clear()
            rate = number / max(clock.monotonic() - begun, 1e-9)
            detail = {"at": simulated.now(), "signals": loop.tally.signals}
            eta_s = (plan.scans - number) / rate
            reporter.progress(Progress(number, plan.scans, "scans", rate=rate, eta_s=eta_s, detail=detail))
            reporter.safe_point()


def _result(run_id: str, inputs: ReplayInputs, loop: _Loop, wall_s: float) -> dict[str, Any]:
    plan, tally = inputs.plan, loop.tally
    account = tally.performance(loop.step.desk, plan.first_us, plan.last_us)
    document: dict[str, Any] = plain(
        {
            "run": run_id,
            "start": us_to_datetime(plan.first_us),
            "end": us_to_datetime(plan.last_us),
            "interval_s": plan.interval_s,
            "symbols": plan.symbols,
            "models": {live.model: live.version for live in inputs.promoted.models},
            "refused": {event.model: event.reason for event in inputs.promoted.refused},
            "scans": tally.scans,
            "decisions": tally.decisions,
            "signals": tally.signals,
            "by_reason": tally.by_reason,
            "by_tier": tally.by_tier,
            "signals_by_tier": tally.signals_by_tier,
            **account.as_json(),
            "events": tally.events,
            "synthetic": inputs.synthetic,
            "threshold": inputs.config.decision.threshold,
            "costs": inputs.config.costs.source,
            "decisions_sha256": tally.decisions_sha256,
            "scan_ms": loop.timings.as_json(),
            "wall_s": wall_s,
        }
    )
    return document


def replay_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for a ``Replay`` command; its lock makes it the only replay of this home."""
    return asyncio.run(_replay_job(paths, settings, params, reporter, RealClock()))


async def _replay_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter, clock: Clock
) -> dict[str, Any]:
    end = None if params["end"] is None else parse_iso(params["end"])
    symbols = params["symbols"] or settings.symbols
    plan = plan_replay(paths, symbols, params["hours"], end, settings.scan_interval_s)
    inputs = read_inputs(paths, settings, plan)
    async with await Store.open(settings.database_path(paths.root), paths, clock) as store:
        await _close_dead(store)
        done = await store.scans.finished("replay", inputs.request["key"]) if params["reuse"] else None
        if done is not None:
            reason = f"run {done.run_id} went through the same candles with the same models"
            return {
                "summary": _summary(done.result),
                "replay": dict(done.result),
                "skipped": True,
                "reason": reason,
            }
        result = await replay(store, settings, inputs, reporter, clock)
    return {"summary": _summary(result), "replay": result}


async def _close_dead(store: Store) -> None:
    """Mark replays whose process died: the caller holds the lock, so none is alive."""
    for row in await store.runs.open_runs("replay"):
        await store.scans.finish(RunResultRow(row.run_id, "interrupted", {}, {"error": "its process died"}))


def _summary(result: Mapping[str, Any]) -> str:
    return f"{result['scans']:,} scans, {result['signals']:,} signals, {result['trades']:,} trades"
