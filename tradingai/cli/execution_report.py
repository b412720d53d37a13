"""Execution costs for a person and as a document: what holds, what it is based on, what a file changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tradingai.cli.context import Invocation
from tradingai.cli.output import count, percent, table, write_line

if TYPE_CHECKING:
    from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, Session


RESTART: Final = "A running engine keeps the costs it began with until it restarts; that begins a new run."


def costs_document(call: Invocation) -> dict[str, Any]:
    """``execution show --json``. Raises ArtifactError for a damaged metrics file."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.decision.configure import execution_costs
    from tradingai.engine.risk.costs import SESSIONS
    from tradingai.engine.risk.measured_costs import check_document
    from tradingai.engine.store.execution_metrics import linked_file, metrics_files, read_execution_metrics

    clock = RealClock()
    settings = load_settings(call.home)
    paths = open_home(call.home, clock, read_only=True).paths
    metrics = read_execution_metrics(paths)
    if metrics is not None:
        check_document(metrics)
    costs = execution_costs(settings, metrics)
    return {
        "source": costs.source,
        "measured": metrics is not None,
        "measured_at": costs.measured_at,
        "age_days": costs.age_days(clock.now()),
        "file": linked_file(paths),
        "files": list(metrics_files(paths)),
        "who": None if metrics is None else metrics.get("who"),
        "written_at": None if metrics is None else metrics.get("written_at"),
        "default_spread_bps": costs.default_spread_bps,
        "default_slippage_bps": costs.default_slippage_bps,
        "commission_pct": costs.commission_rate * 100,
        "latency_ms": costs.latency_ms,
        "pairs": {
            pair: {session: _levels(costs, metrics, pair, session) for session in SESSIONS}
            for pair in dict.fromkeys((*settings.symbols, *costs.pairs))
        },
    }


def _levels(
    costs: ExecutionCosts, metrics: Mapping[str, Any] | None, pair: str, session: Session
) -> dict[str, Any]:
    """What one pair costs in one session, in basis points, and what that is based on."""
    from dataclasses import asdict

    levels = costs.session_levels(pair, session)
    cell = ((metrics or {}).get("pairs", {}).get(pair) or {}).get(session) or {}
    parts = {"spread": levels.spread, "slippage": levels.slippage}
    return {
        "default": all(level.is_default for level in parts.values()),
        **{
            name: {
                **asdict(level),
                "basis": _basis(level, cell.get(f"{name}_bps")),
                "measured_until": _measured_until(metrics, pair, f"{name}_bps"),
            }
            for name, level in parts.items()
        },
    }  # fmt: skip


def _basis(level: CostLevel, part: Mapping[str, Any] | None) -> str:
    """``session``, ``day`` (the whole day's figures, for want of samples) or ``default``."""
    return "default" if level.is_default else str((part or {}).get("basis", "session"))


def _measured_until(metrics: Mapping[str, Any] | None, pair: str, component: str) -> str | None:
    """The newest sample's time of the source that a component is from."""
    part = ((metrics or {}).get("measurements", {}).get(pair) or {}).get(component)
    if metrics is None or part is None:
        return None
    end = metrics["origins"][part["origin"]].get("end")
    return None if end is None else str(end)


def show_costs(document: Mapping[str, Any]) -> None:
    """For a person."""
    if not document["measured"]:
        write_line("Not measured: these are the settings' defaults.")
    else:
        age = document["age_days"]
        old = "" if age is None else f" ({age:.0f} days ago)"
        write_line(f"Measured until {str(document['measured_at'])[:10]}{old}, source {document['source']}")
        by = f", written {document['written_at']} by {document['who']}" if document["who"] else ""
        write_line(f"In {document['file']}{by}")
    write_line(
        f"Without a measurement: spread {document['default_spread_bps']:g} bps, "
        f"slippage {document['default_slippage_bps']:g} bps"
    )
    write_line(f"Commission {document['commission_pct']:g} % a side, latency {document['latency_ms']:g} ms")
    write_line(levels_table(document["pairs"]))


_BASES = {"session": "measured", "day": "measured, whole day", "default": "default"}


def levels_table(pairs: Mapping[str, Any]) -> str:
    """Every pair, session and component."""
    rows = [
        (
            pair,
            session.replace("_", " "),
            what,
            *(f"{level[what][name]:.4g}" for name in ("mean", "p50", "p90")),
            count(level[what]["samples"]),
            _BASES[level[what]["basis"]],
            str(level[what]["measured_until"] or "–")[:10],
        )
        for pair, sessions in pairs.items()
        for session, level in sessions.items()
        for what in ("spread", "slippage")
    ]
    headers = ("pair", "session", "bps of", "mean", "p50", "p90", "samples", "from", "until")
    return table(headers, rows, right=headers[3:7])


def show_measured(result: Mapping[str, Any], call: Invocation) -> None:
    """What an import or a measurement found, assumed and changed."""
    origin = result["origin"]
    write_line(f"{result['file']} holds now, instead of {result['previous']}")
    write_line(f"From {origin['kind']} {origin['name']}, {origin['start']} to {origin['end']}")
    show_counts(origin["counts"], result["commission_pct"])
    for line in origin["assumptions"]:
        write_line(f"Assumed: {line}")
    for line in result["notes"]:
        write_line(f"Note: {line}")
    write_line(levels_table(costs_document(call)["pairs"]))
    if result["effect"] is not None:
        show_effect(result["effect"])
    write_line(RESTART)


def show_counts(counts: Mapping[str, Any], commission_pct: float) -> None:
    """What became of the rows, symbols that were left out, and what the broker took for commission."""
    told = [f"{name.replace('_', ' ')} {count(n)}" for name, n in counts.items() if isinstance(n, int)]
    write_line(f"Counted: {', '.join(told)}")
    left_out = [f"{name} {count(n)}" for name, n in counts.get("other_symbols", {}).items()]
    if left_out:
        write_line(f"Left out: deals of other symbols: {', '.join(left_out)}")
    for pair, paid in counts.get("commission_pct", {}).items():
        same = "as the settings say" if abs(paid - commission_pct) < commission_pct / 100 else (
            f"the settings say {commission_pct:g} % (FTMO_COMMISSION_PCT); lots may have another size"
        )  # fmt: skip
        write_line(f"Commission: {pair} {paid:.4f} % a side in the report, {same}")


def show_effect(effect: Mapping[str, Any]) -> None:
    """The live models' backtest before and after."""
    if effect["coins"]:
        write_line(f"Effect on {effect['how']}:")
        rows = [
            (
                f"{coin['model']} {coin['version']}",
                coin["symbol"],
                f"{coin['start'][:10]} to {coin['end'][:10]}",
                name,
                count(coin[name]["trades"]),
                percent(coin[name]["win_rate"]),
                f"{coin[name]['net_r']:+.1f}",
                percent(coin[name]["accuracy"]),
                percent(coin[name]["break_even_accuracy"]),
            )
            for coin in effect["coins"]
            for name in ("before", "after")
        ]
        headers = ("model", "pair", "days", "costs", "trades", "win rate", "net R", "right", "break-even")
        write_line(table(headers, rows, right=headers[4:]))
    if effect["reason"]:
        write_line(f"Effect on a backtest not shown: {effect['reason']}")


def roll_back_costs(call: Invocation, to: str | None) -> tuple[str, str]:
    """Move the link and say so in the log; (the file before, the file that holds now)."""
    return asyncio.run(_roll_back(call, to))


async def _roll_back(call: Invocation, to: str | None) -> tuple[str, str]:
    from tradingai.bootstrap import open_controls
    from tradingai.engine.core.events import ExecutionCostsChanged
    from tradingai.engine.facade import operator
    from tradingai.engine.risk.measured_costs import check_document
    from tradingai.engine.store.execution_metrics import roll_back

    async with open_controls(call.home) as desk:
        before, now = roll_back(desk.paths, desk.clock, to, check_document)
        event = ExecutionCostsChanged(file=now, previous=before, source="rollback", who=operator())
        await desk.store.events.append(event)
    return before, now
