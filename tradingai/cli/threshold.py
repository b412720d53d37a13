"""``tradingai threshold``: the confidence a signal needs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.controls import carry_out, current_controls
from tradingai.cli.output import write_json, write_line
from tradingai.engine.core.errors import UsageError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def threshold(
    ctx: typer.Context,
    value: Annotated[float | None, typer.Argument(metavar="[VALUE]", help="From 0.5 to below 1.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to CONFIDENCE_THRESHOLD.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Show the threshold and where it comes from, set it, or go back to the settings'.

    A value set here holds for the next scan and survives restarts, engine or no engine.
    """
    from tradingai.engine.core.commands import SetThreshold

    if reset and value is not None:
        raise UsageError(f"both {value:g} and --reset were given", remedy="Give one of them.")
    if reset or value is not None:
        state = carry_out(writing(ctx), lambda issued: SetThreshold(**issued, value=value))
    else:
        state = current_controls(invocation(ctx))["threshold"]
    show(state, as_json=as_json)
    return 0


def show(state: dict[str, Any], *, as_json: bool) -> None:
    """Value and source."""
    if as_json:
        write_json(state)
        return
    by = f" by {state['by']} at {state['since']}" if "by" in state else ""
    write_line(f"Threshold {state['value']:g} (source: {state['source']}{by})")
