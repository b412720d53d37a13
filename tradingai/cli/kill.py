"""``tradingai kill``: the kill switch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.controls import carry_out, current_controls
from tradingai.cli.output import write_json, write_line

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option("--reason", help="Kept with it.")]


@app.callback()
def kill() -> None:
    """The kill switch: while it is on nothing is emitted, and open paper positions close by their rules."""


@app.command()
def on(ctx: typer.Context, reason: ReasonOption = "", as_json: JsonFlag = False) -> int:
    """Stop emissions at once, engine or no engine; it survives restarts."""
    return set_switch(ctx, reason, turn_on=True, as_json=as_json)


@app.command()
def off(ctx: typer.Context, reason: ReasonOption = "", as_json: JsonFlag = False) -> int:
    """Let signals be emitted again; refused while KILL_SWITCH=true."""
    return set_switch(ctx, reason, turn_on=False, as_json=as_json)


@app.command()
def status(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Whether it is on, and where that comes from."""
    show(current_controls(invocation(ctx))["kill_switch"], as_json=as_json)
    return 0


def set_switch(ctx: typer.Context, reason: str, *, turn_on: bool, as_json: bool) -> int:
    """Write it and show what holds now."""
    from tradingai.engine.core.commands import SetKillSwitch

    state = carry_out(writing(ctx), lambda issued: SetKillSwitch(**issued, on=turn_on, reason=reason))
    show(state, as_json=as_json)
    return 0


def show(state: dict[str, Any], *, as_json: bool) -> None:
    """On or off, and why."""
    if as_json:
        write_json(state)
        return
    by = f" by {state['by']} at {state['since']}" if "by" in state else ""
    reason = f": {state['reason']}" if state.get("reason") else ""
    write_line(f"Kill switch {'ON' if state['on'] else 'off'} (source: {state['source']}{by}){reason}")
