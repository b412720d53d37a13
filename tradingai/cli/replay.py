"""``tradingai replay``: the scan loop over stored candles on a simulated clock."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from tradingai.cli.arguments import parse_time
from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import write_json
from tradingai.engine.core.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HOURS = 72.0


@app.command()
def replay(
    ctx: typer.Context,
    *,
    hours: Annotated[float, typer.Option("--hours", help="How far back it begins.")] = HOURS,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="Its last moment, UTC; default: the data's.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            metavar="N",
            help="Simulated seconds per real one: 600 plays 72 h in 7.2 min. Default: full speed.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Run the scan loop over stored candles on a simulated clock, as a run of its own.

    It begins with a fresh account, sends nothing, and touches nothing of the live run. The same candles,
    models and settings give the same decisions at any speed: `decisions_sha256`.
    """
    from tradingai.cli.replay_report import show_replay
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Replay

    check_hours(hours)
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise UsageError(
            f"a replay cannot run at --speed {speed:g}",
            remedy="Give simulated seconds per real one, for example 600.",
        )
    moment = None if end is None else parse_time(end, "--end")

    async def body(current: Work) -> dict[str, Any]:
        command = Replay(**current.issue(), hours=hours, end=moment, speed=speed)
        document: dict[str, Any] = (await current.run([command]))[0].result["replay"]
        return document

    document = work(writing(ctx), body)
    if as_json:
        write_json(document)
    else:
        show_replay(document)
    return 0


def check_hours(hours: float) -> None:
    """Raise UsageError for hours that cannot hold a scan."""
    if not (math.isfinite(hours) and hours > 0):
        raise UsageError(f"--hours {hours:g} holds no scan", remedy="Give a number of hours, for example 72.")
