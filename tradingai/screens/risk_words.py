"""What the Risk screen says in words and numbers: money, the reset, the floor that leads, a halt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.run_snapshot import PositionView, RiskView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.view import opening
from tradingai.widgets import numbers

LITTLE_ROOM: Final = 1 / 3
"""Below this share of an allowance a floor leads the headline."""
PHASES: Final = ("challenge", "verification")
CAUSES: Final = {
    "not_a_number": "equity not a number",
    "stale": "equity is stale",
    "future": "the clock went back",
    "exception": "a computation failed",
    "daily_stop": "the daily stop",
    "total_stop": "the total stop",
    "daily_limit": "daily limit broken",
    "total_limit": "total limit broken",
}


def money(value: float | None, *, sign: bool = False) -> str:
    """``$ 9,705.75``; with ``sign`` ``+$ 585.75`` or ``−$ 84.20``."""
    if value is None or not math.isfinite(value):
        return numbers.NOTHING
    plus = "+" if sign and value > 0 else ""
    return f"{numbers.MINUS if value < 0 else plus}$ {abs(value):,.2f}"


def change(value: float | None) -> str:
    """``+585.75``: a difference in money, where the unit stands beside it."""
    if value is None or not math.isfinite(value):
        return numbers.NOTHING
    return numbers.signed_minus(f"{value:+,.2f}" if value else "0.00")


def r_text(value: float | None) -> str:
    """``+0.31 R``."""
    if value is None or not math.isfinite(value):
        return numbers.NOTHING
    return f"{numbers.signed_minus(f'{value:+.2f}')} R"


def price(value: float) -> str:
    """A price with five digits or more: ``41,873.2``, ``312.07``, ``0.4213``."""
    digits = 1 if value >= 10_000 else 2 if value >= 100 else 4
    return numbers.decimal(value, digits)


def quantity(value: float) -> str:
    """Three digits or more: ``2.60``, ``347``, ``0.421``."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 2
    return numbers.decimal(value, min(8, digits))


def rules_text(document: Mapping[str, Any]) -> str:
    """``2-Step, phase 1``, ``1-Step, funded``."""
    phase = str(document["objective"]["phase"])
    named = f"phase {PHASES.index(phase) + 1}" if phase in PHASES else phase
    return f"{document['rules']}, {named}"


def days_text(document: Mapping[str, Any]) -> str:
    """``3 of 4`` trading days."""
    aim = document["objective"]
    return f"{aim['days_traded']} of {aim['min_trading_days']}"


def has_ended(view: RiskView) -> bool:
    """Whether nothing more will happen to the account."""
    return not view.live and (view.run.kind == "live" or view.run.state != "open")


def run_clock(view: RiskView, now: datetime) -> datetime:
    """The run's own time: the machine's for a live one, its newest scan's for another."""
    return now if view.live else view.run.now or now


def seconds_to_reset(view: RiskView, now: datetime) -> float:
    """How long until the next Prague midnight by the run's clock; never negative."""
    reset = parse_iso(view.account["reset"]["at"])
    return max(0.0, (reset - run_clock(view, now)).total_seconds())


def clock_to_reset(view: RiskView, now: datetime) -> str:
    """``10:55:43``, always with hours, so that it keeps its width."""
    whole = int(seconds_to_reset(view, now))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def reset_text(view: RiskView) -> str:
    """``00:00 Prague, 23:00Z``."""
    return f"00:00 Prague, {parse_iso(view.account['reset']['at']):%H:%MZ}"


def floor_of(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of the four floors by its name."""
    found: Mapping[str, Any] = next(item for item in document["floors"] if item["name"] == name)
    return found


def tight(floor: Mapping[str, Any]) -> bool:
    """Whether less than a third of its allowance is left; unknown room is tight."""
    room = floor["room"]
    return room is None or room < LITTLE_ROOM


def leading_floor(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The floor the headline is about: the stop with least room where that is little, else the nearest."""
    stops = [floor_of(document, name) for name in ("daily stop", "total stop")]
    little = [stop for stop in stops if tight(stop)]
    if little:
        return min(little, key=lambda stop: -1.0 if stop["room"] is None else stop["room"])
    return floor_of(document, str(document["nearest"]))


def losers_to_close(view: RiskView) -> tuple[str, ...]:
    """The fewest coins, the largest loss first, without which the reset alone would not breach.

    Closing a position at its floating loss lowers the balance the reset goes by, and with it the limit, by as
    much; equity stays.
    """
    missing = -float(view.account["reset"]["left"] or 0.0)
    names: list[str] = []
    for position in sorted(view.facts.positions, key=lambda item: item.floating):
        if missing <= 0 or position.floating >= 0:
            break
        names.append(position.symbol)
        missing += position.floating
    return tuple(names)


def halt_words(snapshot: ConsoleSnapshot, view: RiskView) -> list[tuple[str, str]]:
    """(label, sentence) of what a halt did, what holds now and what comes next."""
    return [
        ("done", _done(view)),
        ("now", _now(snapshot, view)),
        ("next", _next(view, snapshot.now)),
    ]


def why_text(view: RiskView) -> str:
    """The halt's cause in a sentence."""
    document = view.account
    if view.halt_price:
        return f"{view.halt_price}; what cannot be computed halts."
    text = opening(str(document["detail"]))
    if document["cause"] in {"not_a_number", "exception"}:
        return f"{text}; what cannot be computed halts."
    if document["cause"] in {"stale", "future"}:
        return f"{text}; what cannot be seen halts."
    return f"{text}."


def _done(view: RiskView) -> str:
    still, closed = view.facts.positions, view.halt_closed
    if still:
        rest = "closes at its next price" if len(still) == 1 else "close at their next price"
        return f"{numbers.plural(len(still), 'position')} of {names_of(still)} {rest}"
    if not closed:
        return "waiting orders were given up; no position was open"
    if len(closed) == 1:
        return f"1 position closed at {closed[0].exit_at:%H:%M:%SZ}, {r_text(closed[0].r)}"
    if len(closed) == 2:
        times = " and ".join(dict.fromkeys(f"{trade.exit_at:%H:%M:%SZ}" for trade in closed))
        return f"2 positions closed at {times}, {r_text(closed[0].r)} and {r_text(closed[1].r)}"
    total = r_text(math.fsum(trade.r for trade in closed))
    return f"{len(closed)} positions closed by {closed[-1].exit_at:%H:%M:%SZ}, {total} in all"


def newest_drill(snapshot: ConsoleSnapshot) -> str:
    """How the newest drill ended, in a sentence; empty where there was none."""
    drill = snapshot.risk.drill if snapshot.risk is not None else {}
    if snapshot.risk is None or not drill:
        return ""
    when = numbers.day_time(snapshot.risk.drill_at, snapshot.now)
    if not drill["held"]:
        return f"! The newest, {when}: the guard did NOT hold: {'; '.join(drill['failures'])}."
    return (
        f"The newest, {when}: the guard held; {drill['emitted_after']:,} of {drill['twin_emitted']:,} "
        f"signals emitted, {drill['positions_closed']:,} positions closed."
    )


def names_of(positions: Sequence[PositionView]) -> str:
    """``BTC-USD and ETH-USD``."""
    return " and ".join(position.symbol for position in positions)


def _now(snapshot: ConsoleSnapshot, view: RiskView) -> str:
    if not view.live:
        return "nothing is emitted; the run's scans are recorded as risk-blocked"
    if snapshot.loop.state in {"scanning", "elsewhere"} or snapshot.header.engine == "attached":
        return "nothing is emitted; scans go on and are recorded as risk-blocked"
    return "nothing is emitted, and no scan loop runs"


def _next(view: RiskView, now: datetime) -> str:
    if not view.live:
        whose = "an earlier run" if view.run.kind == "live" else f"a {view.run.kind}"
        return f"nothing: it is the account of {whose}"
    facts, document = view.facts, view.account
    if facts.leaving == "on":
        return "u asks for a reason, at least 10 characters, and records it"
    if facts.leaving == "fresh":
        return f"u asks for a reason and opens a fresh account of $ {document['initial_balance']:,.0f}"
    if document["cause"] == "daily_stop":
        return f"wait for the reset at {reset_text(view)}, in {clock_to_reset(view, now)}; then u"
    return opening(facts.leaving_remedy).rstrip(".")
