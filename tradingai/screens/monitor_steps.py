"""What the Monitor asks before it sends a command: the threshold, and what to replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from tradingai.engine.core.commands import Replay, SetThreshold
from tradingai.screens.dialog import Dialog, Field
from tradingai.screens.port import Host

RESET: Final = "reset"
LOWEST_THRESHOLD: Final = 0.5
REPLAY_HOURS: Final = 72
MOST_HOURS: Final = 50_000
USUAL_SPEED: Final = 600
"""72 hours in seven minutes: slow enough to watch."""
FULL_SPEED: Final = "max"
_THRESHOLD: Final = f"From {LOWEST_THRESHOLD:g} to below 1, or {RESET}"


def _number(text: str) -> float:
    """The number typed; NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _threshold(text: str) -> str:
    if text == RESET:
        return ""
    return "" if LOWEST_THRESHOLD <= _number(text) < 1 else _THRESHOLD


def set_threshold(host: Host) -> None:
    """Ask for the confidence a signal needs; ``reset`` goes back to the settings'."""
    header = host.snapshot.header
    value = "" if header.threshold is None else f"{header.threshold:g}"
    source = header.threshold_source or "nowhere"
    texts = [
        f"It is {value or 'not known'} now, from {source}. A new value holds from the next scan on.",
        f"Type {RESET} to go back to CONFIDENCE_THRESHOLD of the settings.",
    ]
    fields = (Field("value", "threshold", value, "0.75", check=_threshold),)

    def answer(values: dict[str, str]) -> None:
        typed = values["value"]
        wanted = None if typed == RESET else float(typed)
        host.order(SetThreshold(**host.engine.issue(), value=wanted))

    host.ask(
        Dialog("Confidence threshold", texts, verb="set it", keep="leave it", fields=fields, live=True),
        answer,
    )


def _speed(text: str) -> str:
    return "" if text == FULL_SPEED or 0 < _number(text) < math.inf else f"A factor, or {FULL_SPEED}"


def _hours(text: str) -> str:
    return "" if 0 < _number(text) <= MOST_HOURS else f"Hours up to {MOST_HOURS:,}"


def start_replay(host: Host, begun: Callable[[], None]) -> None:
    """Ask how much to replay and how fast; ``begun`` is called once the command is sent."""
    texts = [
        "Stored candles go through the scan loop on a simulated clock, as a run of its own.",
        "It has a fresh paper account; the live loop does not notice.",
    ]
    fields = (
        Field("hours", "hours", f"{REPLAY_HOURS}", note="to the end", check=_hours),
        Field("speed", "times as fast", f"{USUAL_SPEED}", note=f"or {FULL_SPEED}", check=_speed),
    )

    def answer(values: dict[str, str]) -> None:
        typed = values["speed"]
        speed = None if typed == FULL_SPEED else float(typed)
        host.order(Replay(**host.engine.issue(), hours=float(values["hours"]), speed=speed))
        begun()

    host.ask(Dialog("Replay", texts, verb="replay", keep="leave it", fields=fields), answer)
