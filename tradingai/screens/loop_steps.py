"""Beginning and stopping the scan loop: what is asked, and the command sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tradingai.engine.core.commands import StartScanLoop, StopScanLoop
from tradingai.screens.dialog import Dialog, Field
from tradingai.screens.port import Host

USUAL_INTERVAL_S: Final = 120.0
LEAST_INTERVAL_S: Final = 1.0
MOST_INTERVAL_S: Final = 3600.0
_SECONDS: Final = f"Seconds from {LEAST_INTERVAL_S:g} to {MOST_INTERVAL_S:g}"


def _seconds(text: str) -> str:
    try:
        return "" if LEAST_INTERVAL_S <= float(text) <= MOST_INTERVAL_S else _SECONDS
    except ValueError:
        return _SECONDS


def toggle_loop(host: Host, begun: Callable[[], None] = lambda: None) -> None:
    """Begin the scan loop in this console, or stop it; an engine elsewhere is stopped where it runs.

    ``begun`` is called once the order to begin was given.
    """
    loop = host.snapshot.loop
    if loop.state == "elsewhere":
        host.say(
            f"Process {loop.pid} scans this home: stop it there (Ctrl-C, or SIGTERM), then L begins here.",
            "warning",
        )
    elif loop.state == "off":
        _start_loop(host, begun)
    else:
        texts = [
            "It ends after the scan under way. Everything stored is kept; the paper account waits.",
            "! Nothing is scanned until it begins again, and open positions are not followed meanwhile.",
        ]
        dialog = Dialog("Stop the scan loop", texts, verb="stop scanning", keep="let it scan", live=True)
        host.ask(dialog, lambda _: host.order(StopScanLoop(**host.engine.issue())))


def _start_loop(host: Host, begun: Callable[[], None]) -> None:
    snapshot = host.snapshot
    live = [item.model for item in snapshot.evaluations if item.live_version]
    texts = [
        f"Dry-run: live candles, {', '.join(live)}, paper account. Nothing is ordered anywhere."
        if live
        else "! No model is live: every decision will say so, and nothing is emitted.",
        "It runs here and ends with this console; the next one goes on scanning, until L stops it.",
    ]
    usual = snapshot.loop.interval_s or USUAL_INTERVAL_S
    fields = (Field("interval", "seconds between scans", f"{usual:g}", check=_seconds),)
    dialog = Dialog("Begin the scan loop", texts, verb="begin scanning", keep="leave it off", fields=fields)

    def answer(values: dict[str, str]) -> None:
        host.order(StartScanLoop(**host.engine.issue(), interval_s=float(values["interval"])))
        begun()

    host.ask(dialog, answer)
