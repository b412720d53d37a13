"""The scan loop on a simulated clock: stored candles through the step of the live loop, as a run of its own.

A replay begins with a fresh account, knows neither the kill switch nor a threshold of the moment, and sends
nothing to anybody. Its decisions depend on candles, models, settings and code alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock, SimulatedClock
from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.events import ReplayFinished, ReplayStarted
from tradingai.engine.core.jsonio import digest, iso_z, parse_iso, plain
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.inference.blocks import BlockFeatures
from tradingai.engine.inference.promoted import PromotedModels, load_promoted
from tradingai.engine.inference.stream import KEPT_MINUTES, FeatureSource, MarketStream
from tradingai.engine.runtime.dataset_feed import DatasetFeed
from tradingai.engine.runtime.pace import Pace, check_speed
from tradingai.engine.runtime.runs import Run, close_dead_runs
from tradingai.engine.runtime.stored_scans import StoredScans, Unstored
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics
from tradingai.engine.store.manifests import read_dataset_manifest
from tradingai.engine.store.run_table import ReplayPlanRow

MODE: Final = "replay"
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

    def row(self, speed: float | None = None) -> ReplayPlanRow:
        """As it is stored when a run begins."""
        first, last = us_to_datetime(self.first_us), us_to_datetime(self.last_us)
        return ReplayPlanRow(first, last, self.interval_s, speed)


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
    providers: tuple[str, ...]
    """Of the candles, each once."""
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
        "versions": promoted.versions,
        "refused": [event.as_json() for event in promoted.refused],
        "settings": settings.settings_hash(),
        "execution_metrics": metrics,
        "code": code_sha256(),
    }
    request = plain({**depends, "key": digest(depends)})
    synthetic = any(manifest.synthetic for manifest in manifests.values())
    providers = tuple(sorted({manifest.provider for manifest in manifests.values()}))
    return ReplayInputs(plan, config, promoted, feed, synthetic, providers, request)


def _history_from(paths: HomePaths, coins: Sequence[str], plan: ReplayPlan, promoted: PromotedModels) -> int:
    """The first candle that is read: as much history as a stream keeps, and no less than its models need."""
    first_scan = plan.first_us - plan.interval_us
    wanted = first_scan - KEPT_MINUTES * MINUTE_US
    there = max(datetime_to_us(read_dataset_manifest(paths, coin).start) for coin in coins)
    needed = max((live.reach for live in promoted.models), default=1)
    latest = first_scan - needed * MINUTE_US
    if there > latest:
        raise MissingError(
            f"a replay from {us_to_datetime(plan.first_us):%Y-%m-%d %H:%M} UTC needs candles from "
            f"{us_to_datetime(latest):%Y-%m-%d %H:%M} on; they begin at "
            f"{us_to_datetime(there):%Y-%m-%d %H:%M}",
            remedy="Ask for fewer hours, or make more candles (`tradingai data list` shows what there is).",
        )
    return max(wanted, there)


def stored_scans(
    inputs: ReplayInputs, clock: Clock, mode: str, source: FeatureSource | None = None
) -> StoredScans:
    """A fresh account before the plan's first scan; ``source`` None computes features in blocks."""
    plan = inputs.plan
    return StoredScans(
        plan.symbols, plan.first_us, plan.interval_us, inputs.config, inputs.promoted, inputs.feed, clock,
        source or BlockFeatures(inputs.feed.cleaned), mode=mode,
    )  # fmt: skip


async def replay(
    store: Store,
    settings: Settings,
    inputs: ReplayInputs,
    reporter: Reporter,
    clock: Clock,
    *,
    speed: float | None = None,
    source: FeatureSource | None = None,
) -> dict[str, Any]:
    """Carry out the replay and return the document of ``replay --json``.

    ``clock`` is the machine's, for measured times and for the pace: ``speed`` simulated seconds in a real one
    (None: as fast as it goes), which changes no decision. ``source`` None computes features in blocks.

    Raises UsageError for a speed that is none, StoreError, and InterruptedRunError at a safe point; the run
    is closed as what it is either way.
    """
    check_speed(speed)
    begun = clock.monotonic()
    plan = inputs.plan
    loop = stored_scans(inputs, clock, MODE, source)
    run = await Run.begin(
        store, clock, settings, inputs.config, loop.step.desk, kind="replay", at_us=plan.first_us,
        promoted=inputs.promoted, plan=plan.row(speed),
    )  # fmt: skip
    async with run.closing(inputs.request):
        reporter.emit(
            ReplayStarted(
                run_id=run.run_id,
                scans=plan.scans,
                first_at=iso_z(us_to_datetime(plan.first_us)),
                last_at=iso_z(us_to_datetime(plan.last_us)),
                interval_s=plan.interval_s,
                speed=speed,
            )
        )
        await _all_scans(run, plan, loop, reporter, clock, speed)
        result = _result(run.run_id, inputs, loop, clock.monotonic() - begun)
        await run.end("finished", inputs.request, result)
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


async def _all_scans(
    run: Run, plan: ReplayPlan, loop: StoredScans, reporter: Reporter, clock: Clock, speed: float | None
) -> None:
    """Scan by scan on a simulated clock, each when it is due, stored some at a time."""
    simulated = SimulatedClock(us_to_datetime(plan.first_us))
    pace, unstored = Pace(clock, plan.interval_s, speed), Unstored(run, clock)
    detail: dict[str, Any] = {"run": run.run_id, "speed": speed, "at": None, "signals": 0}
    reporter.progress(Progress(0, plan.scans, "scans", detail=detail))
    for number in range(1, plan.scans + 1):
        await pace.reach(number, unstored, reporter)
        at = simulated.now()
        unstored.add(loop.scan(datetime_to_us(at)))
        simulated.advance(plan.interval_s)
        if unstored.full or number == plan.scans or pace.must_store(number, unstored):
            await unstored.store()
            detail = {**detail, "at": at, "signals": loop.tally.signals}
            rate, eta_s = number / max(pace.elapsed_s, 1e-9), pace.eta_s(number, plan.scans)
            reporter.progress(Progress(number, plan.scans, "scans", rate=rate, eta_s=eta_s, detail=detail))
            reporter.safe_point()


def _result(run_id: str, inputs: ReplayInputs, loop: StoredScans, wall_s: float) -> dict[str, Any]:
    plan, tally = inputs.plan, loop.tally
    account = tally.performance(loop.step.desk, plan.first_us, plan.last_us)
    document: dict[str, Any] = plain(
        {
            "run": run_id,
            "start": us_to_datetime(plan.first_us),
            "end": us_to_datetime(plan.last_us),
            "interval_s": plan.interval_s,
            "symbols": plan.symbols,
            "models": inputs.promoted.versions,
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
            "providers": inputs.providers,
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
    symbols, given = params["symbols"] or settings.symbols, params.get("speed")
    speed = None if given is None else float(given)
    check_speed(speed)
    plan = plan_replay(paths, symbols, float(params["hours"]), end, settings.scan_interval_s)
    inputs = read_inputs(paths, settings, plan)
    async with await Store.open(settings.database_path(paths.root), paths, clock) as store:
        await close_dead_runs(store, "replay")
        done = await store.scans.finished("replay", inputs.request["key"]) if params["reuse"] else None
        if done is not None:
            reason = f"run {done.run_id} went through the same candles with the same models"
            return {
                "summary": _summary(done.result),
                "replay": dict(done.result),
                "skipped": True,
                "reason": reason,
            }
        result = await replay(store, settings, inputs, reporter, clock, speed=speed)
    return {"summary": _summary(result), "replay": result}


def _summary(result: Mapping[str, Any]) -> str:
    return f"{result['scans']:,} scans, {result['signals']:,} signals, {result['trades']:,} trades"
