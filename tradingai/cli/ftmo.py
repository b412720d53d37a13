"""``tradingai ftmo``: the account and its rules."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from tradingai.cli.context import Invocation, JsonFlag, invocation, writing
from tradingai.cli.controls import carry_out
from tradingai.cli.output import duration, percent, table, write_json, write_line

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


class Account(StrEnum):
    """Kinds of account."""

    TWO_STEP = "2-step"
    ONE_STEP = "1-step"


@app.callback()
def ftmo() -> None:
    """The account and its rules: status, reset, the odds of a challenge."""


@app.command()
def status(
    ctx: typer.Context,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Another run than the live one.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Money to each floor, the next reset and what it would do, the objective."""
    show(asyncio.run(read_account(invocation(ctx), run)), as_json=as_json)
    return 0


@app.command()
def reset(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the account.")],
    as_json: JsonFlag = False,
) -> int:
    """Let the live account out of HALTED; one that broke a limit is replaced by a fresh one."""
    from tradingai.engine.core.commands import ResetAccount

    state = carry_out(writing(ctx), lambda issued: ResetAccount(**issued, reason=reason))
    if not as_json:
        write_line("A fresh account was opened." if state["fresh"] else "The account left HALTED.")
    show(state, as_json=as_json)
    return 0


@app.command()
def simulate(
    ctx: typer.Context,
    *,
    attempts: Annotated[int, typer.Option("--attempts", metavar="N", help="How many are played.")] = 10_000,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="ID", help="Whose trades; default: the replay with most usable days."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed, the same odds.")] = 7,
    risk: Annotated[
        float | None,
        typer.Option(
            "--risk", metavar="PCT", help="Risk a trade, % of the initial balance; default: PAPER_RISK_PCT."
        ),
    ] = None,
    account: Annotated[
        Account | None, typer.Option("--account", help="Whose rules; default: FTMO_ACCOUNT.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """The odds of passing a challenge: whole days of past trades, drawn anew, through the account's rules.

    Pass rate with its Monte-Carlo and its sampling interval, days to pass, which rule broke, and the same at
    other risks a trade. docs/challenge.md has the model and its assumptions.
    """
    from tradingai.cli.odds import show_odds
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import SimulateChallenge
    from tradingai.engine.runtime.challenge import check_request

    check_request(attempts, seed, risk)

    async def body(current: Work) -> dict[str, Any]:
        command = SimulateChallenge(
            **current.issue(), attempts=attempts, run=run, seed=seed, risk_pct=risk,
            account=None if account is None else account.value,
        )  # fmt: skip
        document: dict[str, Any] = (await current.run([command]))[0].result["odds"]
        return document

    document = work(writing(ctx), body)
    if as_json:
        write_json(document)
    else:
        show_odds(document)
    return 0


async def read_account(call: Invocation, run: str | None) -> dict[str, Any]:
    """The account without leaving a trace."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.runtime.account import account_status
    from tradingai.engine.store.database import Store

    clock = RealClock()
    settings = load_settings(call.home)
    paths = open_home(call.home, clock, read_only=True).paths
    store = await Store.open_existing(settings.database_path(paths.root), clock)
    try:
        return await account_status(store, settings, paths, clock, run)
    finally:
        if store is not None:
            await store.close()


def show(state: dict[str, Any], *, as_json: bool) -> None:
    """The account for a person."""
    if as_json:
        write_json(state)
        return
    write_line(f"{state['rules']} account of run {state['run'] or '– (none yet: a fresh one)'}")
    cause = f" since {state['since']}: {state['detail']}" if state["detail"] else ""
    write_line(f"Guard {state['status']}{cause}")
    write_line(
        f"Balance {state['balance']:,.2f}  equity {state['equity']:,.2f}  floating {state['floating']:,.2f}  "
        f"if all stops hit {state['equity_if_stopped']:,.2f}"
    )
    rows = [
        (
            floor["name"].replace("_", " "),
            f"{floor['at']:,.2f}",
            f"{floor['left']:,.2f}",
            percent(floor["room"]),
        )
        for floor in state["floors"]
    ]
    headers = ("floor", "at", "left", "room")
    write_line(table(headers, rows, right=headers[1:]))
    outlook = state["reset"]
    words = "would BREACH" if outlook["would_breach"] else f"leaves {outlook['left']:,.2f}"
    write_line(f"Reset in {duration(outlook['in_s'])} ({outlook['at']}): {words}")
