"""The guard drill: a simulated loss below FTMO's daily limit, on an account of its own.

Stored candles go through the step of the live loop until a position is open. Then the loss is booked, and the
candles of the next day go through two accounts: one with the loss, and a twin without it. The guard has to
halt the first, close what it holds and hold back every signal that the twin emits. Nothing of a drill is sent
to anybody, and it knows neither the live account nor the kill switch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.events import DrillFinished
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.orders import Trade
from tradingai.engine.decision.paper import equity_of
from tradingai.engine.decision.records import Decision, Reason
from tradingai.engine.decision.state import DeskConfig, DeskState, open_desk
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.risk.ftmo import floors
from tradingai.engine.risk.guard import GuardState, GuardStatus
from tradingai.engine.runtime.replay import ReplayInputs, ReplayPlan, plan_replay, read_inputs, stored_scans
from tradingai.engine.runtime.runs import Run, close_dead_runs
from tradingai.engine.runtime.step import Controls, Outcome, ScanStep
from tradingai.engine.runtime.stored_scans import StoredScans, Unstored
from tradingai.engine.store.database import Store

KIND: Final = "drill"
SEARCH_HOURS: Final = 48
"""Candles in which a position has to open."""
AFTER_HOURS: Final = 24
"""Candles that are scanned after the loss."""
BELOW_LIMIT: Final = 0.01
"""How far below the daily limit the loss takes the equity, as a fraction of the initial balance: more than
open positions can win back within a minute."""
_HOUR_US: Final = 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Breach:
    """The loss that was booked, and what it left. Money in the account's currency."""

    at_us: int
    loss: float
    equity: float
    floor: float
    """FTMO's daily limit at that moment."""
    held: frozenset[str]
    """Keys of the positions that were open."""


@dataclass(slots=True)
class Aftermath:
    """What the account with the loss and its twin did afterwards, scan by scan."""

    scans: int = 0
    emitted: int = 0
    risk_blocked: int = 0
    twin_emitted: int = 0
    held_back: int = 0
    """Signals of the twin whose coin was ``risk_blocked`` here at the same scan."""
    halted: GuardState | None = None
    """The guard when it was first seen HALTED."""
    active_scans: int = 0
    """Scans after which the guard was not HALTED."""
    trades: list[Trade] = field(default_factory=list)

    def add(self, mine: Outcome, twin: Outcome) -> None:
        """One more scan of both."""
        self.scans += 1
        self.trades += mine.trades
        guard = mine.desk.guard
        if guard.status is not GuardStatus.HALTED:
            self.active_scans += 1
        elif self.halted is None:
            self.halted = guard
        for here, there in zip(mine.decisions, twin.decisions, strict=True):
            self._compare(here, there)

    def _compare(self, here: Decision, there: Decision) -> None:
        blocked = here.reason is Reason.RISK_BLOCKED
        self.emitted += here.emitted
        self.risk_blocked += blocked
        self.twin_emitted += there.emitted
        self.held_back += blocked and there.emitted

    @property
    def closed_by(self) -> dict[str, int]:
        """How positions ended: reason to number."""
        found: dict[str, int] = {}
        for trade in self.trades:
            found[trade.exit_reason.value] = found.get(trade.exit_reason.value, 0) + 1
        return found


def read_drill(paths: HomePaths, settings: Settings, promoted: PromotedModels | None = None) -> ReplayInputs:
    """Load models and candles of the newest hours. ``promoted`` None takes what the ledger says is live.

    Raises MissingError, with the command that helps, without models or enough candles.
    """
    hours = SEARCH_HOURS + AFTER_HOURS
    try:
        plan = plan_replay(paths, settings.symbols, hours, None, settings.scan_interval_s)
        inputs = read_inputs(paths, settings, plan, promoted)
    except MissingError as error:
        raise MissingError(
            f"a drill goes through {hours} hours of candles: {error.message}",
            remedy="Make them: `tradingai pipeline --workload quick` does, or `tradingai data generate`.",
        ) from error
    if not inputs.promoted.models:
        refused = "; ".join(f"{event.model} was refused: {event.reason}" for event in inputs.promoted.refused)
        raise MissingError(
            refused or "no model is promoted: a drill has no signal to hold back",
            remedy="`tradingai pipeline --workload quick` trains, evaluates and promotes.",
        )
    return inputs


class _Drill:
    """A drill under way: its run, its step, and the scans that wait to be stored."""

    def __init__(
        self, run: Run, inputs: ReplayInputs, loop: StoredScans, reporter: Reporter, clock: Clock
    ) -> None:
        self._run = run
        self._loop = loop
        self._plan = inputs.plan
        self._reporter = reporter
        self._unstored = Unstored(run, clock)
        self._done = 0

    @property
    def config(self) -> DeskConfig:
        """The numbers it goes by."""
        return self._loop.step.config

    async def until_a_position(self) -> int:
        """Scan until one is open and the next scan is on the same Prague day; return that time.

        An account that halts by itself on the way is replaced by a fresh one. Raises MissingError when none
        opens in time.
        """
        plan, step = self._plan, self._loop.step
        for at_us in range(plan.first_us, _last_loss(plan) + 1, plan.interval_us):
            self._unstored.add(self._loop.scan(at_us))
            await self._after_scan(plan.scans)
            desk = step.desk
            if desk.guard.status is GuardStatus.HALTED:
                fresh = open_desk(self.config, at_us)
                await self._change(fresh, at_us, f"a fresh account: the one before {desk.guard.detail}")
            elif desk.paper.positions and at_us + plan.interval_us < desk.ftmo.next_reset_us:
                return at_us
        raise MissingError(
            f"no position opened within {SEARCH_HOURS} hours of candles: there is nothing to lose",
            remedy="See with `tradingai replay --hours 72` what the models decide, and why.",
        )

    async def lose(self, at_us: int) -> Breach:
        """Book a loss that takes the equity below the daily limit, on record as a change of the account."""
        desk, risk = self._loop.step.desk, self.config.risk
        equity = equity_of(desk.paper, self.config.costs)
        floor = floors(desk.ftmo, risk.rules).daily_limit
        loss = equity - (floor - BELOW_LIMIT * risk.initial_balance)
        held = frozenset(position.order.key for position in desk.paper.positions)
        paper = replace(desk.paper, balance=desk.paper.balance - loss)
        await self._change(replace(desk, paper=paper), at_us, f"a simulated loss of {loss:,.2f}")
        return Breach(at_us, loss, equity_of(paper, self.config.costs), floor, held)

    async def scan_on(self, from_us: int, twin: ScanStep) -> Aftermath:
        """Take the next hours' candles through the account and through ``twin``, which has no loss."""
        plan, found = self._plan, Aftermath()
        first, last = from_us + plan.interval_us, from_us + AFTER_HOURS * _HOUR_US
        total = self._done + (last - from_us) // plan.interval_us
        for at_us in range(first, last + 1, plan.interval_us):
            prepared = self._loop.prepare(at_us)
            mine = self._loop.decide(prepared)
            other = twin.decide(prepared, Controls())
            twin.adopt(other)
            found.add(mine.outcome, other)
            self._unstored.add(mine)
            await self._after_scan(total)
        await self._store(total)
        return found

    async def _after_scan(self, total: int) -> None:
        self._done += 1
        if self._unstored.full:
            await self._store(total)

    async def _store(self, total: int) -> None:
        await self._unstored.store()
        detail = {"run": self._run.run_id, "signals": self._loop.tally.signals}
        self._reporter.progress(Progress(self._done, total, "scans", detail=detail))
        self._reporter.safe_point()

    async def _change(self, desk: DeskState, at_us: int, detail: str) -> None:
        await self._unstored.store()
        await self._run.change_desk(desk, at_us, KIND, detail)
        self._loop.step.replace_desk(desk)


async def drill(
    store: Store, settings: Settings, inputs: ReplayInputs, reporter: Reporter, clock: Clock
) -> dict[str, Any]:
    """Carry out the drill and return the document of ``observe drill --json``.

    ``clock`` is the machine's, for measured times only.

    Raises MissingError when no position opens, StoreError, and InterruptedRunError at a safe point; the run
    is closed as what it is either way.
    """
    begun, plan = clock.monotonic(), inputs.plan
    loop = stored_scans(inputs, clock, KIND)
    run = await Run.begin(
        store, clock, settings, inputs.config, loop.step.desk, kind=KIND, at_us=plan.first_us,
        promoted=inputs.promoted, plan=plan.row(),
    )  # fmt: skip
    async with run.closing(inputs.request):
        under_way = _Drill(run, inputs, loop, reporter, clock)
        at_us = await under_way.until_a_position()
        twin = ScanStep(loop.stream, inputs.config, loop.step.desk, mode=KIND)
        breach = await under_way.lose(at_us)
        after = await under_way.scan_on(at_us, twin)
        result = _result(run.run_id, inputs, loop.step.desk, breach, after)
        result["wall_s"] = clock.monotonic() - begun
        await run.end("finished", inputs.request, result)
    reporter.emit(
        DrillFinished(
            run_id=run.run_id,
            held=result["held"],
            emitted_after=after.emitted,
            twin_emitted=after.twin_emitted,
            positions_closed=len(after.trades),
            seconds=result["wall_s"],
        )
    )
    return result


def _last_loss(plan: ReplayPlan) -> int:
    """The last scan that leaves AFTER_HOURS of candles."""
    return plan.last_us - AFTER_HOURS * _HOUR_US


def _result(
    run_id: str, inputs: ReplayInputs, desk: DeskState, breach: Breach, after: Aftermath
) -> dict[str, Any]:
    halted = after.halted
    failures = _failures(inputs, desk, breach, after)
    document: dict[str, Any] = plain(
        {
            "run": run_id,
            "held": not failures,
            "failures": failures,
            "breach": {
                "at": us_to_datetime(breach.at_us),
                "loss": breach.loss,
                "equity": breach.equity,
                "floor": breach.floor,
                "limit": "daily",
            },
            "halted_at": None if halted is None else us_to_datetime(halted.since_us),
            "cause": None if halted is None else halted.cause,
            "positions_closed": len(after.trades),
            "closed_by": after.closed_by,
            "scans_after": after.scans,
            "emitted_after": after.emitted,
            "risk_blocked_after": after.risk_blocked,
            "twin_emitted": after.twin_emitted,
            "held_back": after.held_back,
            "symbols": inputs.plan.symbols,
            "models": {live.model: live.version for live in inputs.promoted.models},
            "synthetic": inputs.synthetic,
            "start": us_to_datetime(inputs.plan.first_us),
            "end": us_to_datetime(breach.at_us + AFTER_HOURS * _HOUR_US),
        }
    )
    return document


def _failures(inputs: ReplayInputs, desk: DeskState, breach: Breach, after: Aftermath) -> list[str]:
    """Everything that has to hold and does not, in sentences; empty when the guard held."""
    found = []
    if after.halted is None:
        found.append("the guard did not halt")
    elif after.active_scans:
        found.append(f"the guard was not HALTED after {after.active_scans} of {after.scans} scans")
    if after.halted is not None and after.halted.cause != "daily_limit":
        found.append(f"the guard halted for another cause: {after.halted.cause}")
    if desk.ftmo.breach is None:
        found.append("the breach is not on the account's record")
    if desk.paper.positions or desk.paper.orders:
        found.append(f"open at the end: {', '.join(desk.paper.coins)}")
    late = _closed_late(inputs, breach, after)
    if late:
        found.append(f"not closed at the first price after the halt: {', '.join(late)}")
    if after.emitted:
        found.append(f"{after.emitted} signals were emitted after the loss")
    if not after.twin_emitted:
        found.append("the twin without the loss emitted nothing either: there was nothing to hold back")
    elif after.held_back < after.twin_emitted:
        missed = after.twin_emitted - after.held_back
        found.append(f"{missed} of the twin's {after.twin_emitted} signals were not blocked by the guard")
    return found


def _closed_late(inputs: ReplayInputs, breach: Breach, after: Aftermath) -> list[str]:
    """Coins whose position outlived the first candle it could be closed in, or that opened after the loss."""
    halted_us = breach.at_us + inputs.plan.interval_us if after.halted is None else after.halted.since_us
    from_us = halted_us + inputs.config.costs.latency_us
    closed = {trade.key: trade for trade in after.trades}
    late = {trade.symbol for trade in after.trades if trade.key not in breach.held}
    for key in breach.held & closed.keys():
        symbol = closed[key].symbol
        prices = inputs.feed.series[symbol].between(from_us - 1, inputs.plan.last_us)
        if len(prices) and closed[key].exit_us > int(prices.ts[0]):
            late.add(symbol)
    return sorted(late)


def drill_job(paths: HomePaths, settings: Settings, reporter: Reporter) -> dict[str, Any]:
    """The worker's function for a ``Drill`` command; its lock makes it the only drill of this home."""
    return asyncio.run(_drill_job(paths, settings, reporter, RealClock()))


async def _drill_job(
    paths: HomePaths, settings: Settings, reporter: Reporter, clock: Clock
) -> dict[str, Any]:
    inputs = read_drill(paths, settings)
    async with await Store.open(settings.database_path(paths.root), paths, clock) as store:
        await close_dead_runs(store, KIND)
        result = await drill(store, settings, inputs, reporter, clock)
    return {"summary": _summary(result), "drill": result}


def _summary(result: Mapping[str, Any]) -> str:
    if not result["held"]:
        return f"the guard did NOT hold: {'; '.join(result['failures'])}"
    return f"the guard held: 0 emitted of {result['twin_emitted']:,}, {result['positions_closed']:,} closed"
