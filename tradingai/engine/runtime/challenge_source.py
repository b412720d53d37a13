"""Whose trades a simulated challenge is drawn from: a run's, by whole Prague days that say something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tradingai.engine.challenge.history import History, of_days, past_trade, whole_days
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.jsonio import iso_z, plain
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.orders import Exit, Trade
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.state import DeskConfig, config_from_json
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.registry.certificates import read_certificate
from tradingai.engine.risk.prague import day_name, midnight_us, prague_day
from tradingai.engine.store.database import Store
from tradingai.engine.store.scan_rows import TradeRow
from tradingai.engine.store.scan_table import RunSpan

MIN_DAYS: Final = 10
"""Usable days of history; from fewer no sampling interval can be told."""
MIN_TRADES: Final = 30
MORE: Final = "`tradingai replay --hours 432` trades 18 days; then run this again."


@dataclass(frozen=True, slots=True)
class _Days:
    """A run's whole Prague days: those that can be drawn, and why others cannot."""

    usable: tuple[int, ...]
    halted: int
    """The guard was HALTED in them, which kept trades away."""
    seen: int
    """The run's models were trained, chosen or calibrated on them."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where trades are from."""

    span: RunSpan
    history: History
    numbers: DeskConfig
    """What the run traded by."""
    models: Mapping[str, str]
    """The run's models with their versions."""
    halted_days: int
    seen_days: int
    left_out: int
    """Trades of other days than those of the history."""

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
                "halted_days": self.halted_days,
                "seen_days": self.seen_days,
                "left_out": self.left_out,
                "models": dict(self.models),
                "mean_r": sum(trade.r for day in days for trade in day.trades) / self.history.trades,
                "costs": self.numbers.costs.source,
                "sha256": self.history.sha256,
            }
        )
        return document


async def read_source(store: Store, paths: HomePaths, run_id: str | None) -> Source:
    """The trades of a run; None: of the replay with most usable days, the newest of equals.

    Raises MissingError for an unknown run, without a replay, and for too few days or trades;
    ArtifactError for a model's certificate that is not what was recorded.
    """
    spans = [span for span in await store.scans.spans() if span.kind != "drill"]
    if run_id is not None:
        return await _read(store, paths, _named(spans, run_id))
    replays = [span for span in spans if span.kind == "replay"]
    if not replays:
        raise MissingError("there is no replay whose trades could be drawn from", remedy=MORE)
    usable = {span.run_id: len((await _days(store, paths, span)).usable) for span in replays}
    return await _read(store, paths, max(replays, key=lambda span: (usable[span.run_id], span.run_id)))


def _named(spans: Sequence[RunSpan], run_id: str) -> RunSpan:
    for span in spans:
        if span.run_id == run_id:
            return span
    known = ", ".join(span.run_id for span in spans[-3:])
    raise MissingError(
        f"there is no run {run_id} to draw trades from", remedy=f"The newest are {known}." if known else MORE
    )


async def _days(store: Store, paths: HomePaths, span: RunSpan) -> _Days:
    halted_hours = await store.scans.halted_hours(span.run_id)
    halted = {prague_day(datetime_to_us(hour)) for hour in halted_hours}
    tested_us = _tested_from(paths, await store.scans.models(span.run_id))
    days = whole_days(datetime_to_us(span.first_at), datetime_to_us(span.last_at))
    seen = {day for day in days if midnight_us(day) < tested_us}
    return _Days(
        usable=tuple(day for day in days if day not in seen | halted),
        halted=len(halted.intersection(days) - seen),
        seen=len(seen),
    )


def _tested_from(paths: HomePaths, models: Mapping[str, str]) -> int:
    """From when on every model was only tested, in microseconds since 1970; 0: no certificate says so."""
    if not models:
        return 0
    ledger = read_ledger(paths.ledger)
    reports = [
        read_certificate(paths, evaluation)
        for model, version in models.items()
        for evaluation in ledger.evaluations(model, version)[-1:]
    ]
    starts = [coin.start for report in reports for coin in report.coins if coin.start is not None]
    return max(map(datetime_to_us, starts), default=0)


async def _read(store: Store, paths: HomePaths, span: RunSpan) -> Source:
    changes = await store.scans.desk_changes(span.run_id)
    numbers = config_from_json(changes[0].config)
    rows = await store.scans.trades(span.run_id)
    trades = [past_trade(_trade(row), numbers.paper, numbers.costs) for row in rows]
    days = await _days(store, paths, span)
    history = of_days(trades, days.usable)
    if len(history.days) < MIN_DAYS or history.trades < MIN_TRADES:
        others = {"seen by its models": days.seen, "halted": days.halted}
        told = "".join(f", {count} {why}" for why, count in others.items() if count)
        raise MissingError(
            f"run {span.run_id} holds {len(history.days)} usable days with {history.trades:,} trades{told}; "
            f"odds need {MIN_DAYS} days and {MIN_TRADES} trades",
            remedy=MORE,
        )
    return Source(
        span=span,
        history=history,
        numbers=numbers,
        models=await store.scans.models(span.run_id),
        halted_days=days.halted,
        seen_days=days.seen,
        left_out=len(trades) - history.trades,
    )


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
