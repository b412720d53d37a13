"""``tradingai restore``: a home from a backup."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tradingai.cli.backup import show_summary
from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import write_line

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `tradingai backup` wrote.")],
    as_json: JsonFlag = False,
) -> int:
    """Bring a backup back into a home.

    A home that has a database or a registry of its own is never overwritten.
    """
    from tradingai.bootstrap import restore_home

    call = writing(ctx)
    summary = asyncio.run(restore_home(call.home, Path(file).expanduser().resolve()))
    show_summary(summary.as_json(), f"restored into {call.home}", as_json=as_json)
    if not as_json:
        write_line(
            "Candles, features and checkpoints are not in a backup: `tradingai pipeline` makes them again."
        )
    return 0
