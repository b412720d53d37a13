"""``tradingai metrics``: the numbers of the last hours, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import count, moment, percent, write_json, write_line
from tradingai.engine.core.errors import MissingError, UsageError

if TYPE_CHECKING:
    from tradingai.cli.context import Invocation
    from tradingai.engine.queries.window_metrics import WindowMetrics

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

DEFAULT_HOURS = 24.0


@app.callback()
def metrics() -> None:
    """Metrics of a run: export those of the last hours to a file."""


@app.command()
def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .json or .csv.")],
    window: Annotated[
        float | None,
        typer.Option(
            "--window",
            metavar="HOURS",
            help="Before the run's newest scan; default: 24, of a replay or drill all of it.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Another run than the live one.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Write what the console shows of the last hours to FILE: a JSON document, or CSV rows name,value,unit.

    Scans, the funnel, tiers, signals, trades, account, latency against LATENCY_BUDGET_MS, feed age, alerts,
    heartbeats, changes of kill switch, threshold and guard, model versions. Reads only, also beside a running
    engine; FILE is replaced in one step or left alone.
    """
    from tradingai.engine.core.files import write_atomic
    from tradingai.engine.core.jsonio import dumps
    from tradingai.engine.queries.window_rows import metric_csv

    suffix = _suffix(out)
    _refuse_window(window)
    found = _read(invocation(ctx), run, window)
    document = found.as_json()
    text = metric_csv(document) if suffix == ".csv" else dumps(document, indent=2) + "\n"
    write_atomic(out.absolute(), lambda stream: stream.write(text.encode()))
    if as_json:
        write_json({"file": str(out.absolute()), "format": suffix[1:], "metrics": document})
    else:
        _show(found, out)
    return 0


def _suffix(out: Path) -> str:
    suffix = out.suffix.lower()
    if suffix not in {".json", ".csv"}:
        raise UsageError(
            f"--out {out} ends in neither .json nor .csv", remedy="The ending chooses the format: name one."
        )
    if out.is_dir():
        raise UsageError(f"--out {out} is a directory", remedy="Name a file in it, for example metrics.json.")
    return suffix


def _refuse_window(hours: float | None) -> None:
    if hours is not None and not 0 < hours <= 24 * 3660:
        raise UsageError(
            f"--window {hours:g} is no number of hours", remedy="Write hours above 0, for example 24."
        )


def _read(call: Invocation, wanted: str | None, hours: float | None) -> WindowMetrics:
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.queries.run_views import choose_run, live_run
    from tradingai.engine.queries.window_metrics import last_hours
    from tradingai.engine.queries.window_reading import read_window
    from tradingai.engine.store.failures import is_database
    from tradingai.engine.store.read_only import one_moment, reading

    paths = open_home(call.home, RealClock(), read_only=True).paths
    settings = load_settings(call.home)
    database = settings.database_path(paths.root)
    if not is_database(database):
        raise _no_run(wanted)
    with reading(database) as connection, one_moment(connection):
        named = wanted or live_run(connection)
        run = None if named is None else choose_run(connection, named)
        if run is None:
            raise _no_run(wanted)
        whole = hours is None and run.kind != "live"
        span = last_hours(run, None if whole else hours or DEFAULT_HOURS)
        return read_window(
            connection, run, span, budget_ms=settings.latency_budget_ms, chat=settings.alert_chat
        )


def _no_run(wanted: str | None) -> MissingError:
    if wanted is None:
        return MissingError(
            "there is no live run to export metrics of",
            remedy="`tradingai run` scans; `--run ID` exports a replay's.",
        )
    return MissingError(
        f"there is no run {wanted} of live, replay or drill",
        remedy="`tradingai status --json` names the live run.",
    )


def _show(found: WindowMetrics, out: Path) -> None:
    start = "its beginning" if found.start is None else moment(found.start)
    scans, trades = found.scans, found.trades
    origin = {True: ", SYNTHETIC candles", False: "", None: ""}[found.synthetic]
    write_line(f"Wrote {out}: {start} to {moment(found.end)}")
    write_line(f"Run {found.run} ({found.kind}{origin})")
    write_line(
        f"{count(scans.total)} scans ({scans.late} late, {scans.failed} failed, {scans.missed} missed), "
        f"{count(found.decisions.total)} decisions, {count(found.signals.total)} signals"
    )
    write_line(
        f"{count(trades.closed)} trades closed: win rate {percent(trades.win_rate)}, {trades.net_r:+.2f} R"
    )
    latency: Any = found.latency
    if latency.p99_ms is not None:
        write_line(
            f"Latency p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms; "
            f"budget {latency.budget_ms:.0f} ms, over it {count(latency.over_budget)}"
        )
