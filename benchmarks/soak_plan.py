"""What goes wrong in a soak, and when: everything is drawn from one seed before anything runs.

Times are seconds of the soak: they pass whatever the wall clock is set to, and while the engine is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
CALM_S: Final = 1.5 * HOUR
"""At the beginning and at the end nothing is injected: the end shows what is left once all is well again."""
FEED_FAULTS: Final = ("refused", "hang", "gap", "refused", "no_number", "old")
HALTING_S: Final = 1200.0
"""Equity without prices for five minutes is a halt: what is refused is so for all coins, and longer."""
TELEGRAM_FAULTS: Final = ("500", "502", "drop", "drop-after", "429:30", "false")
PER_30_DAYS: Final = {
    "kill": 24, "stop": 4, "jump": 16, "switch": 12, "models": 16,
    "feed": 60, "telegram": 30, "disk": 10,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """A fault that lasts. ``detail``: how the feed or Telegram fails; empty for a full disk."""

    kind: str
    """``feed``, ``telegram`` or ``disk``."""
    begins: float
    ends: float
    detail: str = ""
    coins: tuple[str, ...] = ()

    def holds(self, at: float) -> bool:
        """Whether it is going on."""
        return self.begins <= at < self.ends


@dataclass(frozen=True, slots=True)
class Action:
    """Something that happens once, at ``at`` or, with the engine down then, at its next start.

    ``kill``: SIGKILL at the ``readings``-th reading of the clock from then on; ``from_outside_ms`` lets
    another process send it so much later. ``stop``: a graceful end. Both leave the engine down for
    ``down_s``. ``jump``: the wall clock is set by ``seconds``. ``switch_on`` and ``switch_off``: the kill
    switch, from the command line's code or the chat (``detail``). ``models``: another version goes live, or
    back. ``look``: an operator lets a halted account go on.
    """

    kind: str
    at: float
    detail: str = ""
    seconds: float = 0.0
    readings: int = 0
    from_outside_ms: float | None = None
    down_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Everything that is injected. ``seconds``: how long the soak lasts."""

    seed: int
    seconds: float
    interval_s: float
    windows: tuple[Window, ...] = ()
    actions: tuple[Action, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The plan with JSON leaves."""
        return asdict(self)

    def disk_is_full(self, at: float) -> bool:
        """Whether the home's disk takes nothing at that time."""
        return any(one.kind == "disk" and one.holds(at) for one in self.windows)

    def telegram(self, at: float) -> str:
        """How the Bot API answers at that time."""
        return next((one.detail for one in self.windows if one.kind == "telegram" and one.holds(at)), "ok")

    def feed(self, at: float, coin: str) -> str:
        """How the provider fails for a coin at that time; empty when it does not."""
        found = (one for one in self.windows if one.kind == "feed" and one.holds(at) and coin in one.coins)
        return next((one.detail for one in found), "")


def plan_from_json(document: dict[str, Any]) -> Plan:
    """The inverse of :meth:`Plan.as_json`."""
    windows = tuple(Window(**{**one, "coins": tuple(one["coins"])}) for one in document["windows"])
    actions = tuple(Action(**one) for one in document["actions"])
    return Plan(**{**document, "windows": windows, "actions": actions})


@dataclass
class _Draws:
    rng: np.random.Generator
    begins: float
    ends: float
    least: float
    """A window lasts at least so long, in seconds: some scan has to be within it."""

    def times(self, count: int) -> list[float]:
        """So many times, one in each of so many equal parts of the soak."""
        part = (self.ends - self.begins) / count
        return [self.begins + part * (number + float(self.rng.random())) for number in range(count)]

    def between(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def window(self, kind: str, at: float, longest: float, detail: str = "") -> Window:
        return Window(kind, at, at + self.between(self.least, max(longest, 1.2 * self.least)), detail)

    def one_of(self, things: Sequence[str]) -> str:
        return things[int(self.rng.integers(len(things)))]


def draw_plan(
    seed: int,
    days: float,
    coins: Sequence[str],
    interval_s: float = 120.0,
    counts: dict[str, int] | None = None,
) -> Plan:
    """The plan of a seed over ``days``; ``counts`` says how often each kind happens, by default in proportion
    to PER_30_DAYS and each at least once.

    Kills and stops keep out of the middle third: the process that lives through it is the one whose memory
    is judged.
    """
    counts = counts or {kind: max(1, round(often * days / 30)) for kind, often in PER_30_DAYS.items()}
    rng = np.random.default_rng([seed, 20260302])
    draws = _Draws(rng, CALM_S, days * DAY - CALM_S, 1.5 * interval_s)
    windows = [*_feed(draws, counts["feed"], coins), *_telegram(draws, counts["telegram"])]
    windows += _disk(draws, counts["disk"])
    actions = [*_ends(draws, counts["kill"], counts["stop"]), *_jumps(draws, counts["jump"])]
    actions += [*_switches(draws, counts["switch"]), *_models(draws, counts["models"], coins)]
    actions += _looks(draws, [one for one in windows if one.kind == "feed"], days)
    return Plan(
        seed,
        days * DAY,
        interval_s,
        tuple(sorted(windows, key=lambda one: one.begins)),
        tuple(sorted(actions, key=lambda one: one.at)),
    )


def _feed(draws: _Draws, count: int, coins: Sequence[str]) -> list[Window]:
    found = []
    for number, at in enumerate(draws.times(count)):
        detail = FEED_FAULTS[number % len(FEED_FAULTS)]
        some = tuple(coin for coin in coins if draws.rng.random() < 0.6) or (draws.one_of(coins),)
        longest = 0.0 if detail == "hang" else 3 * HOUR / 2
        one = replace(draws.window("feed", at, longest, detail), coins=some)
        if detail == "refused":
            one = replace(one, ends=one.ends + HALTING_S, coins=tuple(coins))
        found.append(one)
    return found


def _telegram(draws: _Draws, count: int) -> list[Window]:
    return [
        draws.window("telegram", at, 2 * HOUR, TELEGRAM_FAULTS[number % len(TELEGRAM_FAULTS)])
        for number, at in enumerate(draws.times(count))
    ]


def _disk(draws: _Draws, count: int) -> list[Window]:
    return [draws.window("disk", at, HOUR / 2) for at in draws.times(count)]


def _ends(draws: _Draws, kills: int, stops: int) -> list[Action]:
    """Kills and graceful ends, alternately in the first and in the last third."""
    third = (draws.ends - draws.begins) / 3
    found = []
    for number in range(kills + stops):
        at = draws.begins + third * (float(draws.rng.random()) + (2 if number % 2 else 0))
        down = draws.between(10, 1800)
        if number >= kills:
            found.append(Action("stop", at, down_s=down))
            continue
        outside = float(draws.rng.uniform(0, 40)) if number % 3 == 2 else None
        readings = int(draws.rng.integers(1, 60))
        found.append(Action("kill", at, readings=readings, from_outside_ms=outside, down_s=down))
    return found


def _jumps(draws: _Draws, count: int) -> list[Action]:
    found = []
    for number, at in enumerate(draws.times(count)):
        seconds = draws.between(10, 2 * HOUR) if number % 2 else -draws.between(10, HOUR / 4)
        found.append(Action("jump", at, seconds=round(seconds, 3)))
    return found


def _switches(draws: _Draws, count: int) -> list[Action]:
    found = []
    for number, at in enumerate(draws.times(count)):
        lasts = draws.between(180, HOUR)
        found.append(Action("switch_on", at, "chat" if number % 3 == 0 else "cli"))
        found.append(Action("switch_off", at + lasts, "cli"))
    return found


def _models(draws: _Draws, count: int, coins: Sequence[str]) -> list[Action]:
    return [Action("models", at, draws.one_of(coins)) for at in draws.times(count)]


def _looks(draws: _Draws, outages: Sequence[Window], days: float) -> list[Action]:
    """An operator comes by some time after an outage, and every three hours."""
    times = [one.ends + draws.between(300, 1800) for one in outages]
    times += [number * 3 * HOUR + float(draws.rng.uniform(0, 1800)) for number in range(1, int(8 * days) + 1)]
    times += [draws.ends - 600.0, draws.ends + 600.0]
    return [Action("look", at) for at in times if at < days * DAY - HOUR / 4]
