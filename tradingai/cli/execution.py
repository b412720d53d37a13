"""``tradingai execution``: what trading costs, measured or assumed."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import typer

from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import write_json, write_line
from tradingai.engine.core.errors import InterruptedRunError, UsageError

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

EffectOption = Annotated[
    bool,
    typer.Option("--effect/--no-effect", help="Trade the live models by the costs before and after."),
]
_Kind = Literal["auto", "ticks", "deals", "bars"]
_KINDS: Final[tuple[_Kind, ...]] = ("auto", "ticks", "deals", "bars")


@app.callback()
def execution() -> None:
    """Execution costs: show, measure, import, rollback."""


@app.command()
def show(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Spread and slippage that decisions and paper fills go by, and whether they were measured."""
    from tradingai.cli.execution_report import costs_document, show_costs

    document = costs_document(invocation(ctx))
    if as_json:
        write_json(document)
    else:
        show_costs(document)
    return 0


@app.command()
def measure(
    ctx: typer.Context,
    *,
    duration: Annotated[float, typer.Option("--duration", help="How long, in minutes.")] = 60.0,
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks.")] = 5.0,
    symbols: Annotated[
        str | None, typer.Option("--symbols", metavar="A,B", help="Pairs; default: the settings' SYMBOLS.")
    ] = None,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="A ccxt exchange; default: the settings' EXCHANGE.")
    ] = None,
    notional: Annotated[
        float | None,
        typer.Option("--notional", help="Worth of the order that slips; default: the paper account's."),
    ] = None,
    effect: EffectOption = True,
    as_json: JsonFlag = False,
) -> int:
    """Sample spread and slippage from an exchange's order book; the costs before stay on file.

    Ctrl-C ends it early and keeps what was sampled. A session with fewer than 100 samples has the figures of
    the whole day.
    """
    from tradingai.cli.execution_report import show_measured
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import MeasureExecution
    from tradingai.engine.core.symbols import parse_symbols

    _positive(duration, "--duration", "60")
    _positive(every, "--every", "5")
    if notional is not None:
        _positive(notional, "--notional", "50000")
    pairs = None if symbols is None else parse_symbols(symbols)

    async def body(current: Work) -> dict[str, Any]:
        issued = current.issue()
        command = MeasureExecution(
            **issued, who=issued["sender"], duration_s=60 * duration, every_s=every, symbols=pairs,
            exchange=exchange, notional=notional, effect=effect,
        )  # fmt: skip
        return dict((await current.run([command]))[0].result)

    result = work(writing(ctx), body)
    if as_json and not result["stopped"]:
        write_json(result)
    elif not as_json:
        show_measured(result, invocation(ctx))
    if result["stopped"]:
        samples = result["origin"]["counts"]["samples"]
        raise InterruptedRunError(
            f"{result['stopped']}; the {samples:,} samples until then are kept in {result['file']}",
            remedy="Measure longer to replace them; `tradingai execution rollback` goes back.",
        )
    return 0


@app.command(name="import")
def import_file(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="Ticks, bars or a history report of MetaTrader 5.")],
    *,
    kind: Annotated[
        str, typer.Option("--kind", help="ticks, deals (a history report) or bars; default: by the file.")
    ] = "auto",
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", help="The pair, for example BTC-USD; default: by the file's name or cells."),
    ] = None,
    timezone: Annotated[
        str,
        typer.Option("--timezone", metavar="ZONE", help="Of the server: ftmo, Europe/Athens, UTC or +02:00."),
    ] = "ftmo",
    point: Annotated[
        float | None,
        typer.Option("--point", help="Price of one point of a bar's SPREAD; default: by the decimals."),
    ] = None,
    effect: EffectOption = True,
    as_json: JsonFlag = False,
) -> int:
    """Measure spread or slippage from an export of MetaTrader 5; the costs before stay on file.

    Ticks and bars give the spread, a history report (HTML or CSV) the slippage of its stop orders. What is
    not in FILE keeps its earlier figures, or the defaults.
    """
    from tradingai.cli.arguments import existing_file
    from tradingai.cli.execution_report import show_measured
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import ImportExecution
    from tradingai.engine.core.symbols import parse_symbol

    path, pair = existing_file(file), None if symbol is None else parse_symbol(symbol)
    if point is not None:
        _positive(point, "--point", "0.01")
    export_kind = _kind(kind)

    async def body(current: Work) -> dict[str, Any]:
        issued = current.issue()
        command = ImportExecution(
            **issued, file=path, who=issued["sender"], export_kind=export_kind, symbol=pair,
            timezone=timezone, point=point, effect=effect,
        )  # fmt: skip
        return dict((await current.run([command]))[0].result)

    result = work(writing(ctx), body)
    if as_json:
        write_json(result)
    else:
        show_measured(result, invocation(ctx))
    return 0


@app.command()
def rollback(
    ctx: typer.Context,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="A day (2025-11-10), one of several (…_2), or defaults."),
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Go back to the costs that held before, or to those of a day, in one step."""
    from tradingai.cli.execution_report import RESTART, roll_back_costs

    before, now = roll_back_costs(writing(ctx), to)
    if as_json:
        write_json({"file": now, "previous": before})
    else:
        write_line(f"{now} holds now, instead of {before}.")
        write_line(RESTART)
    return 0


def _positive(value: float, option: str, example: str) -> None:
    """Raise UsageError for a number that is not above zero, or none."""
    if not 0 < value < float("inf"):
        raise UsageError(f"{option} {value:g} is not above zero", remedy=f"Give for example {example}.")


def _kind(text: str) -> _Kind:
    for kind in _KINDS:
        if text == kind:
            return kind
    raise UsageError(f"unknown kind {text!r}", remedy=f"Choose one of {', '.join(_KINDS)}.")
