"""Beginning to scan is recovery: the account, the run and the candles come from the store.

A live run goes on where its last stored scan left it. It is ended, and another one begun with the same
account, when settings (the measured execution costs among them), code or feed are not those it began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.scanning import Minute
from tradingai.engine.decision.state import DeskConfig, DeskState, config_from_json, desk_from_json, open_desk
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.inference.stream import KEPT_MINUTES, MarketStream
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.runtime.received import candle_rows, history_of
from tradingai.engine.runtime.runs import Run, code_version, deciding_hash
from tradingai.engine.runtime.step import ScanStep
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics
from tradingai.engine.store.live_rows import LiveCandle, LiveRunRow
from tradingai.engine.store.run_table import RunRow

MODE: Final = "dry-run"
KEPT_US: Final = KEPT_MINUTES * MINUTE_US
"""As far back as a stream keeps candles."""


class Begun(NamedTuple):
    """A live run, ready for its next scan."""

    run: Run
    step: ScanStep
    resumed: bool
    previous: str
    """How the engine before ended: ``stopped``, ``died``, or empty when there was none."""


class _Origin(NamedTuple):
    """What a live run is recognised by."""

    settings_hash: str
    code_version: str
    feed: str


class _Opened(NamedTuple):
    run: Run
    desk: DeskState
    resumed: bool


async def begin_live(
    store: Store,
    paths: HomePaths,
    settings: Settings,
    clock: Clock,
    feed: str,
    symbols: tuple[str, ...],
    promoted: PromotedModels,
) -> Begun:
    """Go on with the home's live run, or begin one; the caller holds the engine's lock.

    Raises StoreError, among it for an account that cannot be read, and ArtifactError for damaged execution
    metrics.
    """
    config = desk_config(settings, read_execution_metrics(paths))
    origin = _Origin(deciding_hash(settings, config), code_version(), feed)
    before = await store.live.newest_run()
    if before is not None and _goes_on(before, origin):
        run, desk = await Run.resume(store, clock, before[0], config)
        opened = _Opened(run, desk, resumed=True)
    else:
        opened = await _open(store, settings, clock, config, origin, before, promoted)
    stream = MarketStream(symbols, promoted, config.decision.ensemble)
    step = ScanStep(stream, config, opened.desk, mode=MODE)
    await refill(store, opened.run, step, clock)
    return Begun(opened.run, step, opened.resumed, await _previous(store, before))


async def refill(store: Store, run: Run, step: ScanStep, clock: Clock) -> None:
    """Give the step a fresh stream with what the run received so far; its models start cold.

    Candles of scans that failed after the account was stored are known to the stream, but the desk has yet to
    live through them. Raises StoreError.
    """
    rows = await _received(store, run.run_id, clock)
    account = await store.scans.account(run.run_id)
    lived = 0 if account is None else account.scan_seq
    ensemble = step.config.decision.ensemble
    held = step.desk.paper.coins
    stream = MarketStream(step.stream.symbols, step.stream.promoted, ensemble, held=held)
    stream.warm(history_of(rows))
    step.restart(stream, _owed(stream, rows, lived))


def _owed(stream: MarketStream, rows: Sequence[LiveCandle], lived: int) -> tuple[Minute, ...]:
    """The minutes of failed scans, cleaned as they were when they came; no model looks at them here."""
    failed = [row for row in rows if row.scan_seq > lived]
    if not failed:
        return ()
    scratch = MarketStream(stream.symbols, PromotedModels(), EnsembleConfig(), held=stream.held)
    scratch.warm(history_of([row for row in rows if row.scan_seq <= lived]))
    newest = max(row.ts_us for row in failed)
    return scratch.take(history_of(failed), newest + MINUTE_US).minutes


def _goes_on(before: tuple[RunRow, LiveRunRow], origin: _Origin) -> bool:
    row, live = before
    return row.ended_at is None and origin == _Origin(row.settings_hash, row.code_version, live.feed)


async def _open(
    store: Store,
    settings: Settings,
    clock: Clock,
    config: DeskConfig,
    origin: _Origin,
    before: tuple[RunRow, LiveRunRow] | None,
    promoted: PromotedModels,
) -> _Opened:
    """A new run with the account and the newest candles of the one before.

    Where that read another feed the account is a fresh one, but hourly limits, back-off and a halt remain: no
    change of market is a way around them.
    """
    at_us = datetime_to_us(clock.now())
    desk, opening = open_desk(config, at_us), "a fresh account"
    history: Mapping[str, Candles] = {}
    account = None if before is None else await store.scans.account(before[0].run_id)
    if before is not None and account is not None:
        kept = desk_from_json(account.desk)
        if before[1].feed == origin.feed:
            desk, opening = kept, f"the account of run {before[0].run_id}"
            opening += await _other_costs(store, before[0].run_id, config.costs)
            history = history_of(await _received(store, before[0].run_id, clock))
        else:
            desk = replace(desk, guard=kept.guard, rates=kept.rates)
            opening = f"a fresh account on another feed, with the limits of run {before[0].run_id}"
    await store.live.end_runs()
    run = await Run.begin(
        store, clock, settings, config, desk, kind="live", at_us=at_us, promoted=promoted, opening=opening
    )
    rows = [
        row
        for symbol, candles in history.items()
        for row in candle_rows(symbol, candles, 0, at_us, warm=True)
    ]
    await store.live.describe_run(run.run_id, origin.feed, rows)
    return _Opened(run, desk, resumed=False)


async def _other_costs(store: Store, run_id: str, costs: ExecutionCosts) -> str:
    """What the costs are, where they are not those that the run before went by."""
    configs = [change.config for change in await store.scans.desk_changes(run_id) if change.config]
    before = config_from_json(configs[-1]).costs if configs else costs
    if before.as_document()["pairs"] == costs.as_document()["pairs"]:
        return ""
    return f"; execution costs: {costs.label} instead of {before.label}"


async def _received(store: Store, run_id: str, clock: Clock) -> list[LiveCandle]:
    """The newest candles that a run received, as far back as a stream keeps them."""
    return await store.live.candles(run_id, after_us=datetime_to_us(clock.now()) - KEPT_US)


async def _previous(store: Store, before: tuple[RunRow, LiveRunRow] | None) -> str:
    beat = None if before is None else await store.live.last_heartbeat(before[0].run_id)
    if beat is None:
        return ""
    return "stopped" if beat.state == "stopped" else "died"
