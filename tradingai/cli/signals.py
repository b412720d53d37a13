"""``tradingai signals``: what was emitted."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from tradingai.cli.arguments import parse_time
from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import percent, table, write_json, write_line
from tradingai.engine.core.errors import UsageError

app = typer.Typer(rich_markup_mode=None)

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command()
def signals(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="24h", help="90m, 24h, 7d or a time; default: 24h, of --run all."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Another run than the live one.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Signals of the live runs, oldest first; of one run with --run."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.queries.live_views import read_signals
    from tradingai.engine.store.failures import is_database
    from tradingai.engine.store.read_only import reading

    clock = RealClock()
    call = invocation(ctx)
    home = open_home(call.home, clock, read_only=True)
    database = load_settings(call.home).database_path(home.paths.root)
    start = since_time(since or ("24h" if run is None else None), clock.now())
    found: list[dict[str, Any]] = []
    if is_database(database):
        with reading(database) as connection:
            found = read_signals(connection, run_id=run, since=start)
    if as_json:
        write_json(found)
    elif found:
        show(found)
    else:
        write_line("No signal." if start is None else f"No signal since {start:%Y-%m-%d %H:%M} UTC.")
    return 0


def since_time(text: str | None, now: datetime) -> datetime | None:
    """``90m``, ``24h``, ``7d`` before ``now``, or a time. Raises UsageError."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text.strip().lower())
    if span is None:
        return parse_time(text, "--since")
    try:
        return now - timedelta(**{_UNITS[span[2]]: float(span[1])})
    except OverflowError as error:
        raise UsageError(f"--since {text} is too long ago", remedy="Write for example 24h or 7d.") from error


def show(found: list[dict[str, Any]]) -> None:
    """As a table."""
    rows = [
        (
            one["at"][:19].replace("T", " "),
            one["pair"],
            one["side"],
            one["tier"] or "–",
            percent(one["confidence"]),
            f"{one['entry']:,.2f}",
            f"{one['take_profit']:,.2f}",
            f"{one['stop_loss']:,.2f}",
            f"{one['reward_risk']:.2f}",
            f"{one['spread_bps']:.1f}",
            f"{one['slip_bps']:.1f}",
            f"{one['latency_ms']:.0f}",
            one["mode"],
        )
        for one in found
    ]
    headers = (
        "time UTC", "pair", "side", "tier", "conf", "entry", "TP", "SL", "R:R", "spread", "slip", "ms", "mode"
    )  # fmt: skip
    write_line(table(headers, rows, right=headers[4:12]))
