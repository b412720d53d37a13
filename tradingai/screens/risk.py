"""7 Risk: how far from the floors?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY, RiskView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.screens import risk_odds, risk_parts
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.overview_parts import context
from tradingai.screens.risk_curve import equity_picture
from tradingai.screens.risk_steps import drill, leave_halted, may_drill, may_leave
from tradingai.screens.risk_trades import positions_table, trade_lines, trades_table
from tradingai.screens.risk_words import (
    CAUSES,
    clock_to_reset,
    has_ended,
    leading_floor,
    losers_to_close,
    money,
    rules_text,
    run_clock,
    tight,
)
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    headline,
    opening,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, line
from tradingai.widgets.section import rule, stack, stack_within

SIDE_COLUMNS: Final = 46
LEAST_CHART_ROWS: Final = 5
MOST_CHART_ROWS: Final = 20
MOST_CLOSED: Final = 6
LEAST_CLOSED: Final = 2
"""Closed trades that a chart leaves room for, unless the day beside it needs the rows."""


def sentence(view: RiskView | None, now: datetime) -> Line:
    """How far from the floors?"""
    if view is None:
        return headline("No paper account yet.")
    if view.problem is not None:
        return headline("The stored account cannot be read.", alarm=True)
    document = view.account
    if document["status"] == "HALTED":
        return headline(_halted(view), alarm=True)
    if document["reset"]["would_breach"]:
        coins = ", ".join(losers_to_close(view))
        close = f"; close {coins} before" if coins else ""
        text = f"The reset at 00:00 Prague would breach by {money(-document['reset']['left'])}{close}"
        return headline(text, alarm=bool(document["reset"]["warn"]))
    return _distance(view, now)


def _halted(view: RiskView) -> str:
    document = view.account
    cause = CAUSES.get(str(document["cause"]), str(document["cause"]))
    still = len(view.facts.positions)
    rest = f"{numbers.plural(still, 'position')} to close." if still else "Positions are closed."
    return f"HALTED {parse_iso(document['since']):%H:%M:%SZ}: {cause}. {rest}"


def _distance(view: RiskView, now: datetime) -> Line:
    document = view.account
    floor = leading_floor(document)
    left, status = money(floor["left"]), document["status"]
    ended = has_ended(view)
    until = "at its end" if ended else f"reset in {clock_to_reset(view, now)}"
    if tight(floor):
        return headline(f"Only {left} to the {floor['name']}, {until}.", alarm=True)
    return headline(f"{status}. {left} to the {floor['name']}, {until}.", alarm=status == "REDUCING")


def run_context(view: RiskView, extent: Extent) -> str:
    """The account of a live run; run and clock of another one."""
    run = view.run
    if view.live:
        rules = rules_text(view.account) if view.account else ""
        initial = f", $ {view.account['initial_balance']:,.0f}" if view.account and extent.wide else ""
        return f"{rules}{initial}"
    kind = "" if run.kind == "replay" else f"{run.kind} "
    name = "" if extent.narrow else f"{kind}{run.run.rsplit('-', 1)[-1]}, "
    if run.first_at is None or run.now is None:
        return name.removesuffix(", ")
    passed = numbers.uptime((run.now - run.first_at).total_seconds())
    if run.state == "open" and run.last_at is not None:
        hours = (run.last_at - run.first_at).total_seconds() / 3600
        return f"{name}at {passed.removesuffix(' h')} of {hours:.0f} h"
    return f"{name}{run.state}, {passed}"


class RiskPage:
    """Makes the Risk screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.risk = snapshot.risk
        self.odds = bool(selection.option("odds")) and self.risk is not None and self.risk.problem is None
        """Whether the page is that of the odds."""
        self.page = Page(extent, selection, self._sections())
        self.slots: list[Slot] = []

    def _sections(self) -> tuple[str, ...]:
        """The sections with rows that there is room for."""
        risk, tall = self.risk, self.extent.tall
        if risk is None or risk.problem is not None:
            return ()
        if self.odds:
            return ("risks",)
        shown = {
            "floors": tall or risk.account["status"] != "HALTED",
            "positions": bool(risk.facts.positions),
            "closed": bool(risk.trades) and (tall or not risk.facts.positions),
        }
        return tuple(name for name, there in shown.items() if there)

    def view(self) -> View:
        """Floors, equity, the day, positions; what halted the account where it is halted."""
        snapshot, extent, risk = self.snapshot, self.extent, self.risk
        shown = risk is not None and risk.problem is None
        if risk is None:
            self._none_yet()
        elif risk.problem is not None:
            self.page.add(*paragraph(f"{opening(risk.problem.message)}.", extent.width, indent=2))
            self.page.add(*paragraph(risk.problem.remedy, extent.width, indent=2, ink="muted"))
        elif self.odds:
            risk_odds.add_page(self.page, snapshot)
        else:
            self._body(risk)
        lines = tuple(self.page.lines)
        self.slots.insert(0, Slot("main", 0, 0, extent.columns - extent.side, len(lines), lines))
        counts = shown and risk is not None and not has_ended(risk)
        return View(
            headline=risk_odds.sentence(snapshot) if self.odds else sentence(risk, snapshot.now),
            context=line(Span(self._context(risk), "muted")),
            slots=tuple(self.slots),
            side=self._side(risk) if extent.wide and shown and risk is not None else (),
            tables=tuple(self.page.tables),
            drawn=self.page.drawn,
            keys=self._keys(risk),
            items=risk.runs if risk else (),
            item=risk.run.run if risk else "",
            interest=Interest(risk=True, run=self.selection.watched),
            replay=risk is not None and risk.run.replay,
            ticks=counts,
        )

    def _context(self, risk: RiskView | None) -> str:
        account = run_context(risk, self.extent) if risk else ""
        if self.extent.narrow and account:
            return account
        synthetic = context(self.snapshot, self.extent)
        if self.extent.wide and account:
            synthetic = synthetic.split(" ")[0]
        return "  ".join(part for part in (account, synthetic) if part)

    def _none_yet(self) -> None:
        balance = self.snapshot.paper_balance
        first = "The first observation or replay opens a paper account"
        first += f" with $ {balance:,.0f}." if balance is not None else "."
        self.page.add(
            BLANK,
            *empty_state(
                "The distance to the daily and the total floor stands here in money, with the equity curve, "
                f"open positions and the guard. {first}",
                keys=(("8", "Observation"), ("1", "Overview, where the pipeline ends in a replay")),
                width=min(78, self.extent.width),
            ),
        )

    def _body(self, risk: RiskView) -> None:
        extent, page = self.extent, self.page
        halted = risk.account["status"] == "HALTED"
        if halted:
            page.add(*risk_parts.halt_lines(self.snapshot, risk, extent.width, alone=not extent.tall))
            page.gap()
        if not halted or extent.tall:
            page.table(risk_parts.floors_table(risk, extent), heads=not extent.narrow)
            page.gap()
        chosen = self.selection.option("trade")
        full = trade_lines(risk, chosen, extent.width) if chosen else []
        if full and not extent.tall:
            page.add(*full)
            return
        most = len(full) if full else self._rows_below(risk, MOST_CLOSED)
        least = len(full) if full else self._rows_below(risk, LEAST_CLOSED)
        self._chart(risk, page.room - most - 1, page.room - least - 1)
        page.gap()
        if full:
            page.add(*full)
        else:
            self._trades(risk)

    def _rows_below(self, risk: RiskView, closed: int) -> int:
        """Rows that positions and so many closed trades ask for."""
        heads = 0 if self.extent.narrow else 1
        count = len(risk.facts.positions)
        rows = 1 + (heads + count if count else 0)
        if self.extent.tall:
            return rows + 1 + 1 + heads + min(closed, max(1, len(risk.trades)))
        return rows if count else rows + (1 + min(2, len(risk.trades)) if risk.trades else 0)

    def _chart(self, risk: RiskView, room: int, most: int) -> None:
        """Equity at the left, the day at its right; on a wide screen equity alone.

        It takes ``room`` rows, and up to ``most`` where the day needs them.
        """
        extent, page = self.extent, self.page
        day = [] if extent.wide else self._right_pane(risk)
        wanted = max(room, min(len(day), most)) - 1
        height = min(max(wanted, LEAST_CHART_ROWS), max(MOST_CHART_ROWS, len(day) - 1), page.room - 1)
        if height < LEAST_CHART_ROWS:
            return
        gap = 4
        right = 0 if extent.wide else (24 if extent.narrow else 42)
        width = extent.width - (right + gap if right else 0)
        top = len(page.lines)
        end = f"{risk.curve[-1].at:%a %H:%MZ}" if has_ended(risk) and risk.curve else "now"
        picture = equity_picture(risk, width, height, end=end)
        self.slots += [
            Slot("title", 0, top, width + 2, 1, (rule("Equity", self._chart_note(risk), width),)),
            Slot("equity", 1, top + 1, width, height, picture),
        ]
        if right:
            self.slots.append(Slot("day", width + gap, top, right + 2, height + 1, tuple(day[: height + 1])))
        page.add(*[BLANK] * (height + 1))

    def _right_pane(self, risk: RiskView) -> list[Line]:
        now = self.snapshot.now
        if self.extent.narrow:
            return risk_parts.day_lines(risk, now, 24, full=False)
        groups = [risk_parts.day_lines(risk, now, 42, full=True)]
        if risk.account["status"] != "HALTED":
            groups.append(risk_parts.state_lines(risk, now, 42))
        return stack(*groups)

    def _chart_note(self, risk: RiskView) -> str:
        if not risk.curve:
            return ""
        if risk.account["status"] == "HALTED":
            return f"halted at {parse_iso(risk.account['since']):%H:%M:%SZ}"
        since = numbers.day_time(risk.curve[0].at, run_clock(risk, self.snapshot.now))
        if self.extent.narrow:
            return f"since {since}, $, ┊ 00:00 Prague"
        return f"since {since}, $, dashed: internal stops, ┊ 00:00 Prague"

    def _trades(self, risk: RiskView) -> None:
        extent, page = self.extent, self.page
        heads = not extent.narrow
        positions = positions_table(risk, self.snapshot.now, extent)
        if positions.rows:
            page.table(positions, heads=heads, rows=len(positions.rows))
        else:
            page.add(rule(positions.title, positions.note, extent.width))
        if extent.tall:
            page.gap()
        elif positions.rows:
            return
        closed = trades_table(risk, extent)
        if closed.rows and page.room >= 2 + heads:
            page.table(closed, heads=heads)
        elif page.room >= 1 and extent.tall:
            page.add(rule(closed.title, "none", extent.width))

    def _side(self, risk: RiskView) -> list[Line]:
        now, width = self.snapshot.now, self.extent.side_width
        drill = risk_parts.drill_lines(self.snapshot, risk, width)
        urgent = not risk.drill.get("held", True) or self.snapshot.active_job("drill") is not None
        groups = [
            risk_parts.reset_lines(risk, now, width),
            risk_parts.day_lines(risk, now, width, full=True, equity=True),
            risk_parts.state_lines(risk, now, width),
            risk_parts.objective_lines(risk, width),
            [] if self.odds else risk_odds.side_lines(self.snapshot, width),
            drill if urgent else [],
            risk_parts.cost_lines(risk.facts, width),
            [] if urgent else drill,
            risk_parts.record_lines(risk, width),
        ]
        return stack_within(groups, self.extent.height)

    def _keys(self, risk: RiskView | None) -> tuple[Key, ...]:
        drill = Key("d", "drill", "try the guard on an account of its own", "drill")
        drills = (drill,) if may_drill(self.snapshot) else ()
        if risk is None:
            return drills
        keys: list[Key] = []
        writing = not self.snapshot.header.read_only
        if writing and may_leave(risk):
            keys.append(Key("u", "leave HALTED", "leave HALTED; asks for a reason", "leave_halted"))
        keys += drills
        keys += risk_odds.keys(self.snapshot, shown=self.odds)
        if self.odds:
            keys.append(Key("escape", "close", "back to the account", "back"))
        elif self.selection.option("trade"):
            keys.append(Key("escape", "close", "close the trade", "back"))
        elif self.page.tables and self.page.tables[-1].id != "floors":
            keys.append(Key("enter", "trade", "one position or trade in full", "open"))
        other = other_kind(self.snapshot, risk)
        if other:
            keys.append(Key("w", f"watch {other}", "watch the live run, or the newest replay", "watch_other"))
        if len(risk.runs) > 1:
            keys.append(Key("brackets", "run", "previous, next run", "next_item", footer=False))
        if writing:
            keys.append(Key("K", "kill", "kill switch: on at once, off asks", "kill"))
        keys += [
            Key("y", "copy", "copy the row", "copy", footer=self.extent.wide),
            Key("e", "export", "export the section's rows as CSV", "export", footer=self.extent.wide),
        ]
        return tuple(keys)


def other_kind(snapshot: ConsoleSnapshot, risk: RiskView) -> str:
    """What ``w`` would show: ``live`` or ``replay``; empty where there is none."""
    if not risk.live:
        return "live" if snapshot.live is not None else ""
    return "replay" if any(run.startswith("replay-") for run in risk.runs) else ""


class RiskScreen(ConsoleScreen):
    """The paper account and its floors."""

    MODE = "risk"
    PANES = ("main", "title", "day")
    CHARTS = ("equity",)
    SIDE_COLUMNS = SIDE_COLUMNS

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return RiskPage(snapshot, selection, extent).view()

    def do_leave_halted(self) -> None:
        """Leave HALTED, once a reason was typed."""
        leave_halted(self.host)

    def do_drill(self) -> None:
        """Drill the guard, once the operator has read what that is."""
        drill(self.host)

    def do_odds(self) -> None:
        """Show the odds of the challenge; play them where there are none yet, or where they are shown."""
        shown = bool(self.selection.option("odds"))
        if shown or risk_odds.unasked(self.host.snapshot):
            risk_odds.simulate(self.host)
        if not shown:
            self.select(self.selection.with_option("odds", "shown"))

    def do_open(self) -> None:
        """Show the position or trade under the cursor in full; from the floors, the first one."""
        tables = [self.table(), *(self.current.tables if self.current else ())]
        for table in tables:
            if table is not None and table.id in {"positions", "closed"}:
                row = table.row(self.selection.cursors.get(table.id))
                if row is not None:
                    chosen = self.selection.with_cursor(table.id, row.key)
                    self.select(chosen.with_option("trade", row.key))
                    return

    def do_back(self) -> None:
        """Close what is open, else as everywhere."""
        opened = next((name for name in ("odds", "trade") if self.selection.option(name)), "")
        if opened:
            self.select(self.selection.with_option(opened, ""))
        else:
            super().do_back()

    def choose(self, item: str) -> None:
        """Look at another run, here and on the Monitor."""
        self.host.watched = item
        self.select(replace(self.selection.with_option("trade", ""), watched=item))

    def do_watch_other(self) -> None:
        """Watch the live run, or the newest replay where the live one is shown."""
        risk = self.host.snapshot.risk
        if risk is not None:
            self.choose(NEWEST_REPLAY if risk.live else "")
