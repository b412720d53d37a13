"""``tradingai observe start|status|daily|approve|report``: the observation that ends in GO or NO-GO."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import count, percent, write_json, write_line, write_note
from tradingai.engine.core.errors import GateRefusedError, UsageError

if TYPE_CHECKING:
    from tradingai.cli.context import Invocation
    from tradingai.engine.core.commands import ObservationCommand
    from tradingai.engine.facade import Issuer
    from tradingai.engine.queries.observation_views import ObservationView


def start(
    ctx: typer.Context,
    *,
    anew: Annotated[
        bool, typer.Option("--anew", help="Give up the observation that runs and what it counted.")
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Replay the live models' test range as the baseline, then let the 72 h clock begin.

    The clock counts from the scan loop's next heartbeat: `tradingai run`. Exit 4 when nothing is promoted.
    """
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import StartObservation

    async def body(current: Work) -> dict[str, Any]:
        command = StartObservation(**current.issue(), anew=anew)
        document: dict[str, Any] = (await current.run([command]))[0].result["observation"]
        return document

    document = work(writing(ctx), body)
    if as_json:
        write_json(document)
    else:
        show_start(document)
    return 0


def show_start(document: Mapping[str, Any]) -> None:
    """What it demands, and what it is compared with."""
    base, required = document["baseline"], document["required"]
    origin = "SYNTHETIC candles" if base["synthetic"] else "stored candles"
    write_line(f"{document['id']} began: {required['observation_hours']:g} h without a break to go")
    write_line(
        f"Baseline: {base['hours']} h of {origin} to {base['end']}, {count(base['trades'])} trades, win rate "
        f"{percent(base['win_rate'])}, threshold {base['threshold']:g} (run {base['run']})"
    )
    shares = ", ".join(f"{tier} {percent(share)}" for tier, share in base["tiers"].items())
    write_line(f"Tiers of {count(base['scored'])} scored decisions: {shares}")
    write_line(f"Again: `{base['command']}`")
    write_line("The clock counts from the scan loop's next heartbeat: `tradingai run`.")


def status(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Where the clock and the six criteria stand. Reads only."""
    view = _current(invocation(ctx))
    if as_json:
        write_json(_document(view))
    else:
        show_status(view)
    return 0


def _current(call: Invocation) -> ObservationView:
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.queries.observation_reader import read_observation

    clock = RealClock()
    settings = load_settings(call.home)
    home = open_home(call.home, clock, read_only=True)
    return read_observation(home.paths, settings, clock.now())


def _document(view: ObservationView) -> dict[str, Any]:
    from tradingai.engine.queries.observation_report import as_document

    counted = {"continuous_hours": view.continuous_hours, "holding": view.holding}
    return {**as_document(view), **counted}


def show_status(view: ObservationView) -> None:
    """The clock, the criteria, the verdict."""
    from tradingai.engine.queries.observation_views import crash_words, hours_words

    if view.state == "none":
        write_line(
            f"No observation has run. It needs {view.required_hours:g} h without a break, a promoted model "
            "and the scan loop: `tradingai observe start`."
        )
        return
    write_line(f"{view.id}, {view.state}, started {view.started_at:%Y-%m-%d %H:%M:%SZ} by {view.by}")
    if view.scaled:
        write_line(f"SCALED: {', '.join(one.text for one in view.scaled)}")
    required = hours_words(3600 * view.required_hours)
    until = f", GO not before {view.go_not_before:%a %d %b %H:%MZ}" if view.go_not_before else ""
    write_line(f"Clock: {hours_words(view.continuous_s)} of {required} h{until}, {crash_words(view.crashes)}")
    for one in view.restarts:
        write_line(f"  restarted {one.at:%Y-%m-%d %H:%M:%SZ}: {one.text}; {one.hours_lost:.2f} h given up")
    write_line()
    for criterion in view.criteria:
        measured = ", ".join(part for part in (criterion.measured, criterion.note) if part)
        write_line(f"  {criterion.state:<13} {criterion.title:<40} {measured}")
        if criterion.state != "holds":
            write_line(f"  {'':<13} {criterion.evidence}")
    write_line()
    word = view.verdict.word
    write_line(f"{word}: {view.verdict.text}" if word else f"{view.holding} of 6 criteria hold")


def daily(
    ctx: typer.Context,
    day: Annotated[str, typer.Argument(metavar="DAY", help="day0 … day5; see `observe status --json`.")],
    as_json: JsonFlag = False,
) -> int:
    """Write a day's snapshot as JSON and Markdown below reports/phase6_5.

    A day that is over is written as it was at its end, whenever that is asked for; the day in progress is
    written as it is now. The running loop writes each day by itself when it is over.
    """
    from tradingai.engine.core.commands import WriteSnapshot

    document = _carry_out(writing(ctx), lambda issued: WriteSnapshot(**issued, day=day))
    if as_json:
        write_json(document["document"])
    else:
        whole = "" if document["whole"] else " (the day is not over yet)"
        write_line(f"{document['day']} written{whole}: {document['json_path']}, {document['markdown_path']}")
    return 0


def approve(
    ctx: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked to type GO.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Record the operator's approval; exit 3 unless the other five criteria hold.

    It is bound to what the clock counts from: once that is restarted, it does not count any more.
    """
    from tradingai.engine.core.commands import ApproveObservation

    call = writing(ctx)
    view = _current(call)
    typed = "GO --yes" if yes else _typed(view, as_json=as_json)
    document = _carry_out(call, lambda issued: ApproveObservation(**issued, typed=typed))
    if as_json:
        write_json(document)
    else:
        write_line(f"Approved at {document['hours']:.2f} h; `tradingai observe report` gives the verdict.")
    return 0


def _typed(view: ObservationView, *, as_json: bool) -> str:
    """What the operator types after having seen what is approved."""
    if as_json or not sys.stdin.isatty():
        raise UsageError(
            "an approval is typed, and there is no terminal to type it in",
            remedy="Give --yes; who approved is recorded either way.",
        )
    show_status(view)
    write_note("Type GO to approve that this runs with real money:")
    return sys.stdin.readline().strip()


def report(
    ctx: typer.Context,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Assess this replay instead; it never counts.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Write summary.md with GO, NO-GO or INSUFFICIENT and every criterion's evidence; exit 3 unless GO.

    A GO ends the observation. A replay is labelled REPLAY, goes into a file of its own and never counts.
    """
    from tradingai.engine.core.commands import ReportObservation
    from tradingai.engine.queries.observation_report import verdict_lines

    document = _carry_out(writing(ctx), lambda issued: ReportObservation(**issued, run=run))
    if as_json:
        write_json(document)
    else:
        for line in verdict_lines(document):
            write_line(line)
        write_line()
        write_line(f"Written: {document['path']}")
    verdict = document["verdict"]
    goes = verdict["word"].rpartition(" ")[2] == "GO" and verdict["counts"]
    return 0 if goes else GateRefusedError.exit_status


def _carry_out(call: Invocation, command: Any) -> dict[str, Any]:
    """Carry out what ``command`` makes of who, where and when."""

    async def work() -> dict[str, Any]:
        from tradingai.bootstrap import open_engine

        async with open_engine(call.home) as engine:
            issued: Issuer = engine.issue()
            made: ObservationCommand = command(issued)
            return dict(await engine.execute(made))

    return asyncio.run(work())


def add_to(app: typer.Typer) -> None:
    """Make these commands of ``tradingai observe``."""
    for command in (start, status, daily, approve, report):
        app.command()(command)
