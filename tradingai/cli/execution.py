"""``tradingai execution``: what trading costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import table, write_json, write_line

if TYPE_CHECKING:
    from tradingai.engine.risk.costs import ExecutionCosts, Session

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def execution() -> None:
    """Execution costs: show."""


@app.command()
def show(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Spread and slippage that decisions and paper fills go by, and whether they were measured."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.decision.configure import execution_costs
    from tradingai.engine.risk.costs import SESSIONS
    from tradingai.engine.store.execution_metrics import read_execution_metrics

    call = invocation(ctx)
    settings = load_settings(call.home)
    paths = open_home(call.home, RealClock(), read_only=True).paths
    metrics = read_execution_metrics(paths)
    costs = execution_costs(settings, metrics)
    document = {
        "source": costs.source,
        "measured": metrics is not None,
        "measured_at": costs.measured_at,
        "default_spread_bps": costs.default_spread_bps,
        "default_slippage_bps": costs.default_slippage_bps,
        "commission_pct": costs.commission_rate * 100,
        "latency_ms": costs.latency_ms,
        "pairs": {
            pair: {session: _level(costs, pair, session) for session in SESSIONS}
            for pair in dict.fromkeys((*settings.symbols, *costs.pairs))
        },
    }
    if as_json:
        write_json(document)
    else:
        show_costs(document)
    return 0


def show_costs(document: dict[str, Any]) -> None:
    """For a person."""
    if not document["measured"]:
        write_line("Not measured: these are the settings' defaults.")
    else:
        write_line(f"Measured {document['measured_at']}, source {document['source']}")
    write_line(
        f"Without a measurement: spread {document['default_spread_bps']:g} bps, "
        f"slippage {document['default_slippage_bps']:g} bps"
    )
    write_line(f"Commission {document['commission_pct']:g} % a side, latency {document['latency_ms']:g} ms")
    rows = [
        (
            pair,
            session.replace("_", " "),
            what,
            *(f"{level[what][name]:g}" for name in ("mean", "p50", "p90", "samples")),
            "default" if level["default"] else "measured",
        )
        for pair, sessions in document["pairs"].items()
        for session, level in sessions.items()
        for what in ("spread", "slippage")
    ]
    headers = ("pair", "session", "bps of", "mean", "p50", "p90", "samples", "from")
    write_line(table(headers, rows, right=headers[3:7]))


def _level(costs: ExecutionCosts, pair: str, session: Session) -> dict[str, Any]:
    """What one pair costs in one session, in basis points."""
    from dataclasses import asdict

    from tradingai.engine.risk.costs import CostLevel, SessionCosts

    measured = costs.pairs.get(pair, {}).get(session)
    level = measured or SessionCosts(
        CostLevel.constant(costs.default_spread_bps), CostLevel.constant(costs.default_slippage_bps)
    )
    return {"default": measured is None, **asdict(level)}
