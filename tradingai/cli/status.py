"""``tradingai status``: where the pipeline stands and what to do next."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import typer

from tradingai.cli.context import Invocation, JsonFlag, invocation
from tradingai.cli.output import duration, percent, table, write_json, write_line
from tradingai.engine.core.errors import MissingError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

SIGNS = {
    "done": "✓",
    "running": "▸",
    "next": "→",
    "refused": "✗",
    "failed": "✗",
    "interrupted": "‖",
    "waiting": "·",
    "later": "·",
}


@app.command()
def status(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Where the pipeline stands and what to do next.

    Reads only: it makes no home, takes no lock, and works beside a running engine.
    """
    return show_status(invocation(ctx), as_json=as_json)


def show_status(call: Invocation, *, as_json: bool) -> int:
    """Print the home's state; exit 1 when a part of it cannot be read."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.queries.status import read_status

    clock = RealClock()
    with suppress(MissingError):  # where there is no home yet, every phase is still to come
        open_home(call.home, clock, read_only=True)
    document = read_status(call.paths, load_settings(call.home), clock)
    if as_json:
        write_json(document)
    else:
        show_phases(document)
        show_rest(document)
    return 1 if document["problems"] else 0


def show_phases(document: dict[str, Any]) -> None:
    """The phases and the command that goes on."""
    write_line(f"Home {document['home']}")
    write_line()
    rows = [
        (sign(phase["state"]), phase["id"].replace("_", " "), phase["state"], phase["detail"])
        for phase in document["phases"]
    ]
    write_line(table(("", "phase", "state", "detail"), rows))


def show_rest(document: dict[str, Any]) -> None:
    """Jobs, live models, controls, problems, next step."""
    write_line()
    for job in document["jobs"]:
        write_line(f"Job {job['kind']} {job['target']}: {job['state']}{job_share(job)}")
    live = [
        f"{name} {model['live']} ({percent(model['accuracy'])})"
        for name, model in document["models"].items()
        if model["live"]
    ]
    write_line(f"Live models: {', '.join(live) or 'none'}")
    engine, kill, limit = document["engine"], document["kill_switch"], document["threshold"]
    write_line(f"Engine: {'running, process ' + str(engine['pid']) if engine['running'] else 'not running'}")
    if document["scan_loop"]["chosen"]:
        write_line("Scan loop: a console that opens this home scans, until L stops it")
    write_line(f"Kill switch: {'ON' if kill['on'] else 'off'} ({kill['source']})")
    write_line(f"Threshold: {limit['value']:.2f} ({limit['source']})")
    write_line(f"Telegram: {telegram_words(document['telegram'])}")
    for problem in document["problems"]:
        write_line(f"Problem: {problem['message']} {problem['remedy']}")
    write_line(f"Next: {next_step(document)}")


def telegram_words(chat: dict[str, Any]) -> str:
    """Off, or what became of its alerts."""
    if chat["state"] == "off":
        return "off (no TELEGRAM_TOKEN)"
    times = chat["delivery_s"]
    median = "" if times["p50"] is None else f", delivery p50 {times['p50']:.1f} s, p95 {times['p95']:.1f} s"
    trouble = f": {chat['error']}" if chat["state"] == "failing" else ""
    return (
        f"{chat['state']}, {chat['delivered']} delivered, {chat['waiting']} waiting, "
        f"{chat['dead']} dead{median}{trouble}"
    )


def job_share(job: dict[str, Any]) -> str:
    """``, 45 %, 12 s left``."""
    if not job["total"]:
        return ""
    left = "" if job["eta_s"] is None else f", {duration(job['eta_s'])} left"
    return f", {100 * min(1.0, job['done'] / job['total']):.0f} %{left}"


def next_step(document: dict[str, Any]) -> str:
    """The command that takes the pipeline on from here."""
    phases = {phase["id"]: phase for phase in document["phases"]}
    if phases["candles"]["state"] in {"next", "waiting"}:
        return "`tradingai pipeline` does everything from candles to promoted models"
    for phase in document["phases"]:
        if phase["state"] == "running":
            return "wait; `tradingai status` shows how far it is"
        if phase["state"] == "refused":
            return f"`{phase['command']}` explains what the gates refused and what would have to change"
        if phase["state"] not in {"done", "later"}:
            return f"`{phase['command']}`"
    return "`tradingai models list` shows what is live"


def sign(state: str) -> str:
    """One character for a state, ASCII where the terminal has no other."""
    text = SIGNS[state]
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return {"done": "+", "running": ">", "next": ">", "refused": "x", "failed": "x"}.get(state, ".")
    return text
