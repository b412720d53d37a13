"""The job ``simulate``: a run's trades by Prague days, and the odds of a challenge drawn from them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tradingai.engine.challenge.history import ChallengeConfig, History, of_days, past_trade, whole_days
from tradingai.engine.challenge.odds import OddsRequest, odds, summary
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.jsonio import iso_z, plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.orders import Exit, Trade
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.state import DeskConfig, config_from_json
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.prague import day_name, midnight_us, prague_day
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics
from tradingai.engine.store.scan_rows import TradeRow
from tradingai.engine.store.scan_table import RunSpan

KIND: Final = "simulate"
MIN_DAYS: Final = 10
"""Whole Prague days of history; from fewer no sampling interval can be told."""
MIN_TRADES: Final = 30
MAX_ATTEMPTS: Final = 1_000_000
MAX_RISK_PCT: Final = 10.0
_MORE: Final = "`tradingai replay --hours 432` trades 18 days; then run this again."


@dataclass(frozen=True, slots=True)
class Source:
    """Where trades are from."""

    span: RunSpan
    history: History
    numbers: DeskConfig
    """What the run traded by."""
    left_out: int
    """Trades of days that the run does not cover from midnight to midnight, or on which it was halted."""

    def as_json(self) -> dict[str, Any]:
        """For the document."""
        days = self.history.days
        document: dict[str, Any] = plain(
            {
                "run": self.span.run_id,
                "kind": self.span.kind,
                "first_day": day_name(days[0].day),
                "last_day": day_name(days[-1].day),
                "start": iso_z(us_to_datetime(midnight_us(days[0].day))),
                "end": iso_z(us_to_datetime(midnight_us(days[-1].day + 1))),
                "days": len(days),
                "traded_days": self.history.traded_days,
                "trades": self.history.trades,
                "left_out": self.left_out,
                "mean_r": sum(trade.r for day in days for trade in day.trades) / self.history.trades,
                "costs": self.numbers.costs.source,
                "sha256": self.history.sha256,
            }
        )
        return document


def check_request(attempts: int, seed: int, risk_pct: float | None) -> None:
    """Raise UsageError for numbers that no simulation can go by."""
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise UsageError(
            f"--attempts {attempts:,} cannot be played",
            remedy=f"Give 1 … {MAX_ATTEMPTS:,}, for example 10000.",
        )
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative", remedy="Give a whole number from 0 on.")
    if risk_pct is not None and not 0 < risk_pct <= MAX_RISK_PCT:
        raise UsageError(
            f"--risk {risk_pct:g} is no risk of a trade in per cent",
            remedy=f"Give more than 0 and at most {MAX_RISK_PCT:g}, for example 0.25.",
        )


def simulate_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for a ``SimulateChallenge`` command."""
    given = params["risk_pct"]
    risk_pct = None if given is None else float(given)
    attempts, seed = int(params["attempts"]), int(params["seed"])
    check_request(attempts, seed, risk_pct)
    account = params["account"]
    if account is not None:
        settings = settings.model_copy(update={"ftmo_account": account})
    numbers = desk_config(settings, read_execution_metrics(paths))
    if risk_pct is not None:
        numbers = replace(numbers, paper=replace(numbers.paper, risk_fraction=risk_pct / 100))
    source = asyncio.run(_source(paths, settings, params["run"], RealClock()))
    found = simulate(source, numbers, OddsRequest(attempts, seed), reporter)
    return {"summary": summary(found), "odds": found}


def simulate(source: Source, numbers: DeskConfig, request: OddsRequest, reporter: Reporter) -> dict[str, Any]:
    """The document of ``ftmo simulate --json``."""
    config = ChallengeConfig(numbers.risk, numbers.decision.rates, numbers.paper.risk_fraction)
    clock = RealClock()
    began = clock.monotonic()
    found = odds(source.history, config, request, reporter)
    return {"source": source.as_json(), **found, "wall_s": clock.monotonic() - began}


async def _source(paths: HomePaths, settings: Settings, run_id: str | None, clock: Clock) -> Source:
    store = await Store.open_existing(settings.database_path(paths.root), clock)
    if store is None:
        raise MissingError("nothing has traded in this home yet", remedy=_MORE)
    async with store:
        return await read_source(store, run_id)


async def read_source(store: Store, run_id: str | None) -> Source:
    """The trades of a run; None: of the replay that covers most whole Prague days, the newest of equals.

    Raises MissingError for an unknown run, without a replay, and for too few days or trades.
    """
    spans = [span for span in await store.scans.spans() if span.kind != "drill"]
    if run_id is not None:
        return await _read(store, _named(spans, run_id))
    replays = [span for span in spans if span.kind == "replay"]
    if not replays:
        raise MissingError("there is no replay whose trades could be drawn from", remedy=_MORE)
    usable = {span.run_id: len(await _days(store, span)) for span in replays}
    return await _read(store, max(replays, key=lambda span: (usable[span.run_id], span.run_id)))


def _named(spans: Sequence[RunSpan], run_id: str) -> RunSpan:
    for span in spans:
        if span.run_id == run_id:
            return span
    known = ", ".join(span.run_id for span in spans[-3:])
    raise MissingError(
        f"there is no run {run_id} to draw trades from", remedy=f"The newest are {known}." if known else _MORE
    )


async def _days(store: Store, span: RunSpan) -> list[int]:
    """The whole Prague days of a run on which its guard was not HALTED, which would have kept trades away."""
    halted = {prague_day(datetime_to_us(hour)) for hour in await store.scans.halted_hours(span.run_id)}
    days = whole_days(datetime_to_us(span.first_at), datetime_to_us(span.last_at))
    return [day for day in days if day not in halted]


async def _read(store: Store, span: RunSpan) -> Source:
    changes = await store.scans.desk_changes(span.run_id)
    numbers = config_from_json(changes[0].config)
    rows = await store.scans.trades(span.run_id)
    trades = [past_trade(_trade(row), numbers.paper, numbers.costs) for row in rows]
    history = of_days(trades, await _days(store, span))
    if len(history.days) < MIN_DAYS or history.trades < MIN_TRADES:
        raise MissingError(
            f"run {span.run_id} holds {len(history.days)} whole Prague days with {history.trades:,} trades; "
            f"odds need {MIN_DAYS} days and {MIN_TRADES} trades",
            remedy=_MORE,
        )
    return Source(span, history, numbers, len(trades) - history.trades)


def _trade(row: TradeRow) -> Trade:
    return Trade(
        key=row.key,
        symbol=row.symbol,
        side=Side(row.side),
        tier=None if row.tier is None else Tier(row.tier),
        confidence=row.confidence,
        quantity=row.quantity,
        decided_us=datetime_to_us(row.decided_at),
        reference=row.reference,
        entry_us=datetime_to_us(row.entry_at),
        entry=row.entry,
        stop=row.stop,
        target=row.target,
        exit_us=datetime_to_us(row.exit_at),
        exit=row.exit,
        exit_reason=Exit(row.exit_reason),
        spread_bps=row.spread_bps,
        slippage_bps=row.slippage_bps,
        commission=row.commission,
        swap=row.swap,
        risk_money=row.risk_money,
        net=row.net,
        r=row.r,
        mae_r=row.mae_r,
        mfe_r=row.mfe_r,
    )
