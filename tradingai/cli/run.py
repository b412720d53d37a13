"""``tradingai run``: the engine without a console, scanning until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli.arguments import positive
from tradingai.cli.context import Invocation, JsonFlag, writing
from tradingai.cli.output import write_json, write_line, write_note
from tradingai.engine.core.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from tradingai.engine.runtime.scanned import Scanned

app = typer.Typer(rich_markup_mode=None)


@app.command()
def run(
    ctx: typer.Context,
    *,
    scans: Annotated[int | None, typer.Option("--scans", help="Stop after so many; default: never.")] = None,
    interval: Annotated[
        float | None, typer.Option("--interval", help="Seconds between scans; default: SCAN_INTERVAL_S.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Scan live candles, decide and keep a paper account; dry-run is the only mode there is.

    It goes on where the last engine stopped. SIGTERM ends it with 0, Ctrl-C with 130; either way nothing that
    was stored is lost. With METRICS_PORT it serves /metrics and /healthz on 127.0.0.1; under systemd it says
    when it is ready and feeds the watchdog (docs/deployment.md).
    """
    if scans is not None:
        positive(scans, "--scans")
    if interval is not None and not 1 <= interval <= 3600:
        raise UsageError(
            f"--interval {interval:g} is not from 1 to 3600", remedy="Give seconds, for example 120."
        )
    stopped, summary = asyncio.run(_run(writing(ctx), scans, interval))
    if as_json and stopped is not signal.SIGINT:
        write_json(summary)
    elif not as_json:
        show_summary(summary)
    if stopped is signal.SIGINT:
        raise InterruptedRunError(
            f"interrupted after {summary['scans']} scans of run {summary['run']}",
            remedy="Everything stored is kept; `tradingai run` goes on from here.",
        )
    return 0


class _Stop:
    """Turns signals into a graceful end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.by: signal.Signals | None = None

    def hear(self, number: signal.Signals) -> None:
        """The first signal ends after the scan under way, a second one at once."""
        if self.by is not None:
            raise KeyboardInterrupt
        self.by = number
        write_note(f"{number.name}: stopping after the scan under way")
        self.asked.set()

    def why(self) -> str:
        """For the record."""
        return "all scans made" if self.by is None else self.by.name


async def _run(
    call: Invocation, scans: int | None, interval: float | None
) -> tuple[signal.Signals | None, dict[str, Any]]:
    from tradingai.bootstrap import open_live

    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.hear, number)
    try:
        async with open_live(call.home, interval_s=interval, on_scan=show_scan) as live:
            for problem in live.engine.problems:
                write_note(f"warning: {problem.message} {problem.remedy}")
            write_note("loading models")
            begun = await live.session.begin()
            models = ", ".join(f"{one.model} {one.version}" for one in live.session.promoted.models)
            verb = "goes on" if begun.resumed else "begins"
            write_note(f"run {begun.run.run_id} {verb}: {models or 'no model is live'}")
            summary = await live.session.run(stop.asked, scans, stop.why)
            return stop.by, summary
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):
                loop.remove_signal_handler(number)


def show_scan(scanned: Scanned) -> None:
    """One line a scan."""
    from tradingai.engine.core.candles import us_to_datetime

    at = us_to_datetime(scanned.due_us).strftime("%Y-%m-%d %H:%M:%SZ")
    words = [f"{count} {reason.replace('_', ' ')}" for reason, count in scanned.reasons.items()]
    said = ", ".join(words) + (f" ({scanned.detail})" if scanned.detail else "")
    write_note(f"{at} scan {scanned.seq} {scanned.state}: {said}")
    for one in scanned.signals:
        write_note(
            f"  SIGNAL {one.symbol} {one.side} {one.tier or ''} confidence {one.confidence:.4f} "
            f"entry {one.entry:,.2f} TP {one.take_profit:,.2f} SL {one.stop_loss:,.2f} ({one.mode})"
        )


def show_summary(summary: dict[str, Any]) -> None:
    """What was done."""
    reasons = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in summary["run_by_reason"].items()
    )
    write_line(
        f"{summary['scans']} scans ({summary['late']} late, {summary['failed']} failed), "
        f"{summary['signals']} signals"
    )
    write_line(f"Run {summary['run']}: {summary['run_scans']} scans in all; decisions: {reasons or 'none'}")
