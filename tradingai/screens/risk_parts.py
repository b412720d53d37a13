"""Parts of the Risk screen: floors, the Prague day, state, objective, costs, a halt, as lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.run_snapshot import AccountFacts, RiskView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.risk_words import (
    change,
    clock_to_reset,
    days_text,
    halt_words,
    leading_floor,
    money,
    r_text,
    reset_text,
    rules_text,
    run_clock,
    tight,
    why_text,
)
from tradingai.screens.view import Extent, opening
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.line import Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Cell, Column, Row, Table, pair, rule

FLOOR_HEADS: Final = ("floor", "of_initial", "at", "left", "room")


def _floor_sign(floor: Mapping[str, Any]) -> Span:
    if floor["crossed"]:
        return Span("✗", "orange")
    return Span("!", "orange") if tight(floor) else Span("✓", "blue")


def _floor_row(floor: Mapping[str, Any], bar: int, extent: Extent) -> Row:
    ink = "orange" if tight(floor) or floor["crossed"] else "blue"
    room, left = floor["room"], floor["left"]
    share = numbers.signed_minus(f"{-100 * floor['fraction']:.1f} %")
    cells: list[Cell] = [
        Span(floor["name"]),
        Span(share, "muted"),
        Span(numbers.decimal(floor["at"], 2)),
        Span(money(left), "orange+b" if ink == "orange" else "text"),
        Span("left", "muted"),
        progress(room, bar, ink),
    ]
    if not extent.narrow:
        del cells[4]
        cells.append(
            Span("full" if room == 1 else numbers.percent(room), ink if ink == "orange" else "muted")
        )
    plain = (str(floor["name"]), repr(-floor["fraction"]), repr(floor["at"]), repr(left), repr(room))
    return Row(str(floor["name"]), tuple(cells), _floor_sign(floor), plain)


def _target_row(document: Mapping[str, Any], bar: int, extent: Extent) -> Row:
    aim, initial = document["objective"], document["initial_balance"]
    done = max(0.0, aim["profit"] / aim["target"]) if aim["target"] else 0.0
    sign = Span("✓", "blue") if aim["to_go"] <= 0 else Span("○", "faint")
    at = initial + aim["target"]
    cells: list[Cell] = [
        Span("target"),
        Span(f"+{100 * aim['target'] / initial:.1f} %", "muted"),
        Span(numbers.decimal(at, 2)),
        Span(money(aim["to_go"])),
        Span("to go", "muted"),
        progress(done, bar),
    ]
    if not extent.narrow:
        del cells[4]
        cells.append(Span(numbers.percent(done), "muted"))
    plain = ("target", repr(aim["target"] / initial), repr(at), repr(aim["to_go"]), repr(done))
    return Row("target", tuple(cells), sign, plain)


def floors_table(view: RiskView, extent: Extent) -> Table:
    """Four floors and the target, each with the money to it."""
    document = view.account
    columns = [
        Column("floor", 12),
        Column("of initial", 7 if extent.narrow else 10, "right", gap=1),
        Column("at", 12, "right"),
        Column("left", 13, "right"),
    ]
    if extent.narrow:
        columns.append(Column("", 5, gap=1))
    columns.append(Column("room", 0, gap=2 if extent.narrow else 4))
    if not extent.narrow:
        columns.append(Column("", 7, "right"))
    bar = extent.width - 4 - columns[0].width - sum(column.width + column.gap for column in columns[1:])
    rows = [_floor_row(floor, bar, extent) for floor in document["floors"]]
    if document["objective"]["target"] is not None:
        rows.append(_target_row(document, bar, extent))
    note = (Span("equity ", "muted"), Span(money(document["equity"]), "text"))
    start = str(leading_floor(document)["name"])
    return Table(
        "floors", "Distance to the floors", note, tuple(columns), tuple(rows), FLOOR_HEADS, start=start
    )


def best_day_cell(document: Mapping[str, Any]) -> Span:
    """The best day's share of the profit beside its limit."""
    aim = document["objective"]
    share, limit = aim["best_day_share"], aim["best_day_limit"]
    over = share is not None and limit is not None and share > limit
    text = f"{numbers.percent(share)} ≤ {numbers.percent(limit, 0)}"
    return Span(text, "orange+b" if over else "text")


def reset_cell(document: Mapping[str, Any]) -> Span:
    """What the reset alone would do."""
    outlook = document["reset"]
    if outlook["would_breach"]:
        return Span(f"breach {numbers.decimal(-outlook['left'], 2)}", "orange+b")
    return Span("no breach")


def win_cell(facts: AccountFacts) -> Span:
    """``56.2 % of 339``: the win rate over all closed trades of this account."""
    if not facts.closed:
        return Span("no trade", "muted")
    return Span(f"{numbers.percent(facts.win_rate)} of {facts.closed:,}")


def day_lines(view: RiskView, now: datetime, width: int, *, full: bool, equity: bool = False) -> list[Line]:
    """The Prague day in money; ``full``: with units and costs; ``equity``: with the equity."""
    document, facts = view.account, view.facts
    halted = document["status"] == "HALTED"
    unit = "$ " if full else ""
    stopped = None
    if document["equity_if_stopped"] is not None:
        stopped = document["equity_if_stopped"] - document["balance"]
    lines = [
        rule("Today", _day_note(view, full=full), width),
        pair("at midnight", f"{unit}{numbers.decimal(document['day_start_balance'], 2)}", width, indent=1),
        pair("closed", change(document["closed_today"]), width, indent=1),
        pair("floating", change(document["floating"]), width, indent=1),
    ]
    if document["equity"] is None:
        lines.append(pair("equity", Span("not known", "orange+b"), width, indent=1))
    elif equity or halted:
        lines.append(pair("equity", f"{unit}{numbers.decimal(document['equity'], 2)}", width, indent=1))
    if full:
        lines.append(pair("commission, swap", change(view.day.paid), width, indent=1))
    if not halted:
        lines.append(pair("if stops hit", change(stopped), width, indent=1))
    if document["objective"]["min_trading_days"]:
        lines.append(pair("days traded", days_text(document), width, indent=1))
    elif document["objective"]["best_day_limit"] is not None:
        lines.append(pair("best day", best_day_cell(document), width, indent=1))
    lines.append(pair("win rate", win_cell(facts), width, indent=1))
    if halted:
        since = (run_clock(view, now) - parse_iso(document["since"])).total_seconds()
        lines.append(pair("halted for", numbers.stopwatch(since), width, indent=1))
    else:
        lines.append(pair("reset alone", reset_cell(document), width, indent=1))
    return lines


def _day_note(view: RiskView, *, full: bool) -> Span | str:
    if full:
        return f"Prague day, since {parse_iso(view.account['day_start']):%H:%MZ}"
    if view.account["status"] == "REDUCING":
        return Span(f"{numbers.percent(view.facts.reduced_factor, 0)} risk", "orange")
    return "Prague day"


def reset_lines(view: RiskView, now: datetime, width: int) -> list[Line]:
    """The next Prague midnight and what it would do."""
    outlook = view.account["reset"]
    if outlook["would_breach"]:
        ink = "orange+b" if outlook["warn"] else "orange"
        would = Span(f"breach by {money(-outlook['left'])}", ink)
        left = money(0.0)
    else:
        would, left = Span("no breach"), money(outlook["left"])
    return [
        rule("Next reset", reset_text(view), width),
        pair("in", Span(clock_to_reset(view, now), "strong+b"), width, indent=1),
        pair("if it came now", would, width, indent=1),
        pair("then left to the limit", left, width, indent=1),
    ]


def state_lines(view: RiskView, now: datetime, width: int) -> list[Line]:
    """ACTIVE, REDUCING, HALTED: which one, since when, what each means."""
    document, facts = view.account, view.facts
    status = str(document["status"])
    half = f"{numbers.percent(facts.reduced_factor, 0)} risk to Prague midnight"
    meanings = {
        "ACTIVE": f"full risk, {numbers.percent(facts.risk_share, 2)} a trade",
        "REDUCING": half,
        "HALTED": "closes all, needs a reason",
    }
    signs = {"ACTIVE": Span("✓", "blue"), "REDUCING": Span("!", "orange"), "HALTED": Span("✗", "orange")}
    since = numbers.day_time(parse_iso(document["since"]), run_clock(view, now))
    lines = [rule("State", f"{status} since {since}", width)]
    for name, meaning in meanings.items():
        here = name == status
        sign = signs[name] if here else Span("○", "faint")
        ink = "strong+b" if here else "muted"
        lines.append(
            line(pad(1), sign, pad(1), *fit(Span(name, ink), 11), Span(meaning, "text" if here else "muted"))
        )
    if document["detail"] and status != "ACTIVE":
        lines += [
            line(pad(3), Span(row, "muted")) for row in wrap(opening(str(document["detail"])), width - 4)
        ]
    return lines


def objective_lines(view: RiskView, width: int) -> list[Line]:
    """Profit towards the target, trading days, best day."""
    document = view.account
    aim = document["objective"]
    lines = [rule("Objective", rules_text(document), width)]
    if aim["target"] is None:
        lines.append(pair("profit", money(aim["profit"], sign=True), width, indent=1))
    else:
        text = f"{money(aim['profit'])} of {numbers.count(aim['target'])}"
        share = max(0.0, aim["profit"] / aim["target"])
        lines += [pair("profit", text, width, indent=1), Line((pad(1), *progress(share, width - 1)))]
    if aim["min_trading_days"]:
        done = min(aim["days_traded"], aim["min_trading_days"])
        squares = " ".join("■" * done + "□" * (aim["min_trading_days"] - done))
        lines.append(pair("trading days", f"{squares}  {days_text(document)}", width, indent=1))
    if aim["best_day_limit"] is not None:
        lines.append(pair("best day of the profit", best_day_cell(document), width, indent=1))
    if aim["passed"]:
        lines.append(line(pad(1), Span("✓ passed", "blue")))
    return lines


def record_lines(view: RiskView, width: int) -> list[Line]:
    """All closed trades of the account."""
    facts = view.facts
    return [
        rule("All trades", numbers.plural(facts.closed, "trade"), width),
        pair("win rate", numbers.percent(facts.win_rate), width, indent=1),
        pair("net", r_text(facts.net_r), width, indent=1),
    ]


def cost_lines(facts: AccountFacts, width: int) -> list[Line]:
    """Where spread and slippage come from."""
    measured = facts.costs != "defaults"
    spread = f"{numbers.decimal(facts.spread_bps, 1)} / {numbers.decimal(facts.slippage_bps, 1)} bps"
    return [
        rule("Costs", facts.costs, width),
        pair("unmeasured pairs" if measured else "spread / slippage", spread, width, indent=1),
        pair("commission", f"{numbers.percent(facts.commission_rate, 4)} a side", width, indent=1),
    ]


def drill_lines(snapshot: ConsoleSnapshot, view: RiskView, width: int) -> list[Line]:
    """The newest guard drill, or the one that runs."""
    job, drill = snapshot.active_job("drill"), view.drill
    if job is not None:
        share = numbers.percent(job.fraction, 0) if job.fraction is not None else "starting"
        return [rule("Guard drill", share, width), Line((pad(1), *progress(job.fraction, width - 1)))]
    if not drill:
        return []
    when = numbers.day_time(view.drill_at, snapshot.now)
    if not drill["held"]:
        told = opening("; ".join(drill["failures"]))
        head = rule("Guard drill", Span("✗ did not hold", "orange+b"), width)
        return [head, *(line(pad(1), row, ink="orange") for row in wrap(f"{told}, {when}.", width - 2))]
    return [
        rule("Guard drill", (Span("✓ held", "blue"), Span(f", {when}", "muted")), width),
        pair("simulated loss", money(drill["breach"]["loss"]), width, indent=1),
        pair("emitted after it", f"{drill['emitted_after']:,} of {drill['twin_emitted']:,}", width, indent=1),
        pair("positions closed", numbers.count(drill["positions_closed"]), width, indent=1),
    ]


def halt_lines(snapshot: ConsoleSnapshot, view: RiskView, width: int, *, alone: bool) -> list[Line]:
    """Why, done, now, next; ``alone``: it stands in the place of the floors."""
    note = f"event {view.halt_event:,}" if view.halt_event is not None else ""
    lines = [rule("Why", note, width, focus=alone)]
    lines += [line(pad(2), row) for row in wrap(why_text(view), width - 4)]
    for label, text in halt_words(snapshot, view):
        rows = wrap(text, width - 10)
        for index, row in enumerate(rows):
            head = fit(Span(label if index == 0 else "", "muted"), 6)
            key = label == "next" and index == 0 and row.startswith("u ")
            pieces = (Span("u", "blue+b"), row[1:]) if key else (row,)
            lines.append(line(pad(2), *head, *pieces))
    return lines
