"""``tradingai observe``: what a run did, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import count, write_json, write_line

if TYPE_CHECKING:
    from tradingai.engine.core.reporting import Reporter
    from tradingai.engine.runtime.verify import Verification

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Default: the live run, else the newest one.")
]


@app.callback()
def observe() -> None:
    """Observation: verify that a run's decisions can be computed again."""


@app.command()
def verify(ctx: typer.Context, run: RunOption = None, as_json: JsonFlag = False) -> int:
    """Compute a run's decisions again from the candles its scans saw; exit 1 unless all are identical."""
    import asyncio

    from tradingai.cli.progress import progress_view
    from tradingai.cli.reporting import ViewReporter
    from tradingai.engine.core.clock import RealClock

    clock = RealClock()
    with progress_view(clock) as view, ViewReporter(view, "verify") as reporter:
        found = asyncio.run(_verify(ctx, run, reporter))
    if as_json:
        write_json(found.as_json())
    else:
        show_verification(found)
    return 0 if found.verified else 1


async def _verify(ctx: typer.Context, run: str | None, reporter: Reporter) -> Verification:
    from tradingai.bootstrap import open_engine
    from tradingai.engine.runtime.verify import verify_run

    async with open_engine(invocation(ctx).home, read_only=True) as engine:
        return await verify_run(engine.store, engine.paths, run, reporter, engine.clock)


def show_verification(found: Verification) -> None:
    """The verdict, and the first thing that differs."""
    write_line(f"Run {found.run.run_id}: {count(found.identical)} of {count(found.decisions)} identical")
    write_line(
        f"{count(found.scans)} scans; features of {count(found.features_identical)} of "
        f"{count(found.features)} coin scans identical, computed from live tails"
    )
    batch = found.batch
    if batch is not None and batch.compared:
        write_line(
            f"A batch over the same candles says the same within {batch.largest_difference:.0e} "
            f"({count(batch.compared)} probabilities, {batch.flips} decisions flipped at the threshold)"
        )
    if not found.same_code:
        write_line("The run was made by other code than this.")
    if found.first is not None:
        write_line(f"First difference: {found.first.text}")
