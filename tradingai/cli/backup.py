"""``tradingai backup``: one file that brings a home back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import write_json, write_line, write_note

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file, for example tradingai.tar.gz.")],
    as_json: JsonFlag = False,
) -> int:
    """Save database, registry and promoted versions to one file.

    Safe beside a running engine. Candles, features and checkpoints are not in it: they can be made again.
    """
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.commands import BackUp
    from tradingai.engine.core.home import open_home

    call = writing(ctx)
    open_home(call.home, RealClock(), read_only=True)
    target = Path(file).expanduser().resolve()

    async def body(current: Work) -> Mapping[str, Any]:
        return await current.engine.execute(BackUp(**current.issue(), file=str(target)))

    show_summary(work(call, body), "written", as_json=as_json)
    return 0


def show_summary(summary: Mapping[str, Any], done: str, *, as_json: bool) -> None:
    """What is in a backup."""
    if as_json:
        write_json(dict(summary))
        return
    write_line(f"{summary['file']}: {done}, {summary['size_bytes'] / 1e6:.1f} MB")
    write_line(f"Database: {'yes' if summary['database'] else 'none'}")
    write_line(f"Registry: {summary['ledger_entries']} entries")
    write_line(f"Promoted versions: {', '.join(summary['versions']) or 'none'}")
    for problem in summary["problems"]:
        write_note(f"warning: {problem}")
