"""What other execution costs make of the live models: the real backtest of their newest days, twice.

Nothing is judged here and no attempt counted: what the models say is computed once, and the decision code of
the live loop trades it from a fresh account by each set of costs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.ledger import LedgerEntry, read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import DAY_MINUTES, ENSEMBLE
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.backtest import BacktestPlan, backtest
from tradingai.engine.evaluation.evaluate import Loaded, load_judged
from tradingai.engine.evaluation.stored import StoredCoin
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.risk.costs import SESSIONS, ExecutionCosts

DAYS: Final = 30
"""The newest days of a test range that are traded: a backtest of all of it can take minutes."""
SHOWN: Final = ("trades", "win_rate", "net_r", "accuracy", "break_even_accuracy")
"""Fields of a backtest that are compared; accuracy beside break-even shows whether it pays."""


_HOW: Final = (
    f"the backtest of the newest {DAYS} days of each test range (all of it where it is shorter), from a "
    "fresh account, by the decision code of the live loop"
)


def cost_effect(
    paths: HomePaths, plan: BacktestPlan, before: ExecutionCosts, after: ExecutionCosts, reporter: Reporter
) -> dict[str, Any]:
    """``{"how", "coins": [{"model", "symbol", "before": {...}, "after": {...}, ...}], "reason"}``.

    The live ensemble is traded, or without one every live model, on the coins whose costs differ. ``reason``
    says why a model, or all of it, is missing. Raises InterruptedRunError at a safe point.
    """
    coins: list[dict[str, Any]] = []
    reasons: list[str] = []
    differ = {symbol for symbol in (*before.pairs, *after.pairs) if _differ(symbol, before, after)}
    entries = _traded(paths, reasons)
    plans = {name: _with_costs(plan, costs) for name, costs in (("before", before), ("after", after))}
    for number, entry in enumerate(entries):
        detail = {"stage": f"backtest of {entry.model} before and after"}
        reporter.progress(Progress(number, len(entries), "models", detail=detail))
        reporter.safe_point()
        try:
            coins += _compared(paths, entry, plans, differ, reporter)
        except TradingAIError as error:
            if error.code == "interrupted":
                raise
            reasons.append(f"{entry.model} {entry.version}: {error.message}")
    if not entries and not reasons:
        reasons.append("no model is live")
    if not coins and not reasons:
        reasons.append("no live model speaks of a coin whose costs changed")
    return {"how": _HOW, "coins": coins, "reason": "; ".join(reasons)}


def _differ(symbol: str, before: ExecutionCosts, after: ExecutionCosts) -> bool:
    return any(
        before.session_levels(symbol, session) != after.session_levels(symbol, session)
        for session in SESSIONS
    )


def _with_costs(plan: BacktestPlan, costs: ExecutionCosts) -> BacktestPlan:
    return replace(plan, config=replace(plan.config, costs=costs))


def _traded(paths: HomePaths, reasons: list[str]) -> Sequence[LedgerEntry]:
    """What trades: the live ensemble alone, or else each live model."""
    try:
        live = read_ledger(paths.ledger).live()
    except TradingAIError as error:
        reasons.append(error.message)
        return ()
    return (live[ENSEMBLE],) if ENSEMBLE in live else tuple(live[model] for model in sorted(live))


def _compared(
    paths: HomePaths,
    entry: LedgerEntry,
    plans: Mapping[str, BacktestPlan],
    differ: Collection[str],
    reporter: Reporter,
) -> list[dict[str, Any]]:
    path = paths.version_model(entry.model, entry.version)
    loaded = load_judged(paths, path, entry.artifact_sha256)
    threads = int(loaded.artifact.record["threads"])
    with reproducible(choose_compute("cpu"), threads):
        return [
            _coin(loaded, coin, entry, plans, reporter)
            for coin in loaded.judged
            if coin.data.symbol in differ
        ]


def _coin(
    loaded: Loaded,
    coin: StoredCoin,
    entry: LedgerEntry,
    plans: Mapping[str, BacktestPlan],
    reporter: Reporter,
) -> dict[str, Any]:
    test = coin.data.split.test
    rows = Rows(max(test.lo, test.hi - DAYS * DAY_MINUTES), test.hi)
    values = {one.symbol: one.values for one in loaded.data}
    said = loaded.voice.probabilities(values, rows.lo, rows.hi, coin.data.features.first_valid)
    traded = coin.traded(entry.model, rows, said[coin.data.symbol])
    results = {name: backtest(plan, traded, reporter) for name, plan in plans.items()}
    first = results["after"]
    return {
        "model": entry.model,
        "version": entry.version,
        "symbol": coin.data.symbol,
        "start": iso_z(first.start),
        "end": iso_z(first.end),
        **{name: _figures(result) for name, result in results.items()},
    }


def _figures(result: BacktestResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in SHOWN}
