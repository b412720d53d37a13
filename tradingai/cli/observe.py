"""``tradingai observe``: what a run did, checked, and the guard, tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli import observation
from tradingai.cli.checklist import checklist
from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import count, moment, write_json, write_line

if TYPE_CHECKING:
    from tradingai.engine.core.reporting import Reporter
    from tradingai.engine.runtime.verify import Verification

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

observation.add_to(app)

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Default: the live run, else the newest one.")
]


@app.callback()
def observe() -> None:
    """Observation: the continuous clock, its criteria, and the GO or NO-GO they end in."""


app.command()(checklist)


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


@app.command()
def drill(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Simulate a loss below FTMO's daily limit on an isolated account; exit 1 unless the guard held.

    Stored candles go through the scan loop until a position is open; then the loss is booked and a day is
    scanned on, beside a twin without the loss. The guard has to halt, close what is open, and hold back every
    signal that the twin emits. Nothing of the live run is touched.
    """
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Drill

    async def body(current: Work) -> dict[str, Any]:
        document: dict[str, Any] = (await current.run([Drill(**current.issue())]))[0].result["drill"]
        return document

    document = work(writing(ctx), body)
    if as_json:
        write_json(document)
    else:
        show_drill(document)
    return 0 if document["held"] else 1


def show_drill(document: Mapping[str, Any]) -> None:
    """The verdict, then what happened in the order it did."""
    origin = "SYNTHETIC candles" if document["synthetic"] else "stored candles"
    verdict = "the guard held" if document["held"] else "the guard did NOT hold"
    write_line(f"Run {document['run']}: {verdict} ({origin} of {', '.join(document['symbols'])})")
    breach = document["breach"]
    write_line(
        f"{_at(breach['at'])}  a loss of {breach['loss']:,.2f} $ was booked: equity "
        f"{breach['equity']:,.2f} $, below the {breach['limit']} limit at {breach['floor']:,.2f} $"
    )
    if document["halted_at"] is not None:
        write_line(f"{_at(document['halted_at'])}  HALTED ({document['cause']})")
    how = ", ".join(f"{number} by {reason}" for reason, number in document["closed_by"].items())
    write_line(f"Positions closed: {document['positions_closed']}{f' ({how})' if how else ''}")
    write_line(
        f"Emitted in the {count(document['scans_after'])} scans after it: "
        f"{count(document['emitted_after'])}; a twin without the loss emitted "
        f"{count(document['twin_emitted'])}, of which the guard blocked {count(document['held_back'])}"
    )
    for failure in document["failures"]:
        write_line(f"NOT held: {failure}")


def _at(text: str) -> str:
    from tradingai.engine.core.jsonio import parse_iso

    return moment(parse_iso(text))
