"""8 Observation: can this run for real?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.commands import WriteSnapshot
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens import observation_parts as parts
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.observation_steps import (
    approve,
    checklist,
    drill,
    may_approve,
    may_drill,
    may_start,
    may_verify,
    start,
    verify,
    write_summary,
)
from tradingai.screens.observation_strip import strip_lines
from tradingai.screens.observation_words import remarks, sentence, when_go
from tradingai.screens.overview_parts import context
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    opening,
    paragraph,
)
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, beside, line, pad, wrap
from tradingai.widgets.section import stack

RIGHT: Final = 46
"""Columns of what stands beside the backtest, on a wide screen."""
GAP: Final = 4
LEAST_BELOW: Final = 3
"""Rows that snapshots and delivery need to be of use: a title and two more."""
MOST_BELOW: Final = 7
TALL_EVIDENCE: Final = 4
SHORT_EVIDENCE: Final = 2
"""Rows under the criteria, always as many, so that nothing below moves with the cursor."""


class ObservationPage:
    """Makes the Observation screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.seen = snapshot.observation
        shown = self.seen is not None and self.seen.state != "none" and self.seen.problem is None
        sections = ("criteria", *(("snapshots",) if extent.wide else ())) if shown else ()
        self.page = Page(extent, selection, sections)
        self.slots: list[Slot] = []

    @property
    def _full(self) -> bool:
        """Whether the summary, every criterion with its evidence, is open."""
        return bool(self.selection.option("summary"))

    def view(self) -> View:
        """Strip, criteria, snapshots, delivery; beside the backtest where there is room."""
        seen, extent, page = self.seen, self.extent, self.page
        if seen is not None and seen.problem is not None:
            page.add(*paragraph(f"{opening(seen.problem.message)}.", extent.width, indent=2))
            page.add(*paragraph(seen.problem.remedy, extent.width, indent=2, ink="muted"))
        elif seen is not None and seen.state == "none":
            self._none_yet(seen)
        elif seen is not None:
            self._body(seen)
        lines = tuple(page.lines)
        self.slots.insert(0, Slot("main", 0, 0, extent.columns, len(lines), lines))
        running = seen is not None and seen.state == "running"
        return View(
            headline=sentence(seen),
            context=line(Span(self._context(), "muted")),
            slots=tuple(self.slots),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(seen),
            ticks=running,
        )

    def _context(self) -> str:
        go = when_go(self.seen, self.snapshot.now)
        if self.extent.narrow and go:
            return go
        return "  ".join(part for part in (go, context(self.snapshot, self.extent)) if part)

    def _none_yet(self, seen: ObservationView) -> None:
        needs = []
        if not seen.promoted:
            needs.append("No model is live yet: 1 Overview leads there.")
        keys = []
        if may_start(self.snapshot):
            keys.append(("o", "start: the live models' test range is replayed first, to compare with"))
        else:
            keys.append(("1", "Overview, where models are trained and promoted"))
        self.page.add(
            BLANK,
            *empty_state(
                "The clock of continuous running stands here, with the criteria for GO, daily snapshots and "
                f"what Telegram delivered. It needs {seen.required_hours:g} h without a break, a promoted "
                "model and the scan loop.",
                *needs,
                keys=keys,
                width=min(78, self.extent.width),
            ),
        )

    def _body(self, seen: ObservationView) -> None:
        extent, page, now = self.extent, self.page, self.snapshot.now
        if not (self._full and not extent.tall):
            page.add(*strip_lines(seen, extent.width, half_hours=extent.wide, now=now))
            page.add(*self._remark_lines(seen))
            page.gap()
        if extent.wide:
            self._wide(seen)
            return
        self._criteria(seen, extent.width)
        if self._full:
            return
        if extent.tall:
            page.gap(keep=LEAST_BELOW)
        self._below(seen)

    def _remark_lines(self, seen: ObservationView) -> list[Line]:
        found: list[Line] = []
        for mark, text in remarks(seen):
            rows = wrap(text, self.extent.width - 6 - mark.width)
            for index, row in enumerate(rows):
                lead = (mark, pad(1)) if index == 0 else (pad(mark.width + 1),)
                found.append(line(pad(3), *lead, row))
        return found

    def _criteria(self, seen: ObservationView, width: int) -> None:
        extent, page = self.extent, self.page
        full = self._full
        table = parts.criteria_table(seen, extent, full=full, width=width)
        heads = extent.tall and not extent.narrow
        page.table(table, heads=heads, width=width, rows=None if full else max(1, len(table.rows)))
        if full:
            return
        row = page.cursor(table)
        chosen = next((one for one in seen.criteria if row is not None and one.id == row.key), None)
        rows = TALL_EVIDENCE if extent.tall else SHORT_EVIDENCE
        told = [] if chosen is None else parts.evidence_lines(chosen, width, rows=rows)
        page.add(*told, *[BLANK] * (rows - len(told)))

    def _below(self, seen: ObservationView) -> None:
        """Snapshots at the left, delivery at the right; then the backtest, where rows are left."""
        extent, page, now = self.extent, self.page, self.snapshot.now
        if page.room < LEAST_BELOW:
            return
        left = (extent.width - GAP) // 2
        right = extent.width - GAP - left
        rows = min(page.room, MOST_BELOW) - 1
        lefts = parts.snapshot_lines(seen, now, left, rows)
        rights = parts.delivery_lines(seen, right)[: rows + 1]
        page.add(*beside(lefts, rights, left, GAP))
        if not extent.tall:
            return
        for lefts, rights in (
            (parts.win_lines(seen, left), parts.tier_lines(seen, right)),
            (parts.restart_lines(seen, left), parts.approval_lines(seen, now, right)),
        ):
            rows = max(len(lefts), len(rights))
            if rows and page.room > rows:
                page.gap()
                page.add(*beside(lefts, rights, left, GAP))

    def _wide(self, seen: ObservationView) -> None:
        """Criteria and snapshots at the left, the backtest at the right."""
        extent, page, now = self.extent, self.page, self.snapshot.now
        left = extent.width - RIGHT - GAP
        top = len(page.lines)
        self._criteria(seen, left)
        if not self._full:
            page.gap()
            page.table(parts.snapshots_table(seen, now), width=left, rows=MOST_BELOW)
        rights = stack(
            parts.win_lines(seen, RIGHT),
            parts.tier_lines(seen, RIGHT),
            parts.baseline_lines(seen, RIGHT),
            parts.delivery_lines(seen, RIGHT),
            parts.restart_lines(seen, RIGHT),
            parts.approval_lines(seen, now, RIGHT),
        )[: extent.height - top]
        self.slots.append(Slot("right", left + GAP, top, RIGHT + 2, len(rights), tuple(rights)))

    def _keys(self, seen: ObservationView | None) -> tuple[Key, ...]:
        if seen is None or seen.problem is not None:
            return ()
        snapshot, running = self.snapshot, seen.state == "running"
        writing = not snapshot.header.read_only
        keys: list[Key] = []
        if may_start(snapshot):
            words = "start an observation anew; asks first" if running else "start an observation"
            keys.append(Key("o", "start", words, "start", footer=not running))
        if running and writing:
            keys.append(Key("w", "snapshot", "write the snapshot of this day now", "snapshot"))
        if may_drill(snapshot):
            keys.append(Key("d", "drill", "try the guard on an account of its own", "drill"))
        if running and may_verify(snapshot):
            keys.append(Key("v", "verify", "compute all decisions again from stored candles", "verify"))
        if seen.promoted and may_verify(snapshot):
            keys.append(Key("c", "checklist", "rehearse what must work before real money", "checklist"))
        if may_approve(snapshot):
            keys.append(Key("a", "approve", "record your approval; asks to type GO", "approve"))
        if seen.state != "none":
            if self._full:
                keys.append(Key("escape", "close", "close the summary", "back"))
            else:
                words = "every criterion with its evidence; writes summary.md"
                keys.append(Key("m", "summary", words, "summary", footer=not self.extent.narrow))
            keys += [
                Key("y", "copy", "copy the row", "copy", footer=self.extent.wide),
                Key("e", "export", "export the section's rows as CSV", "export", footer=self.extent.wide),
            ]
        return tuple(keys)


class ObservationScreen(ConsoleScreen):
    """Clock, criteria, snapshots, verdict."""

    MODE = "observation"
    PANES = ("main", "right")
    SIDE_COLUMNS = 0

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return ObservationPage(snapshot, selection, extent).view()

    def do_start(self) -> None:
        """Start an observation, once the operator has read what it takes."""
        start(self.host)

    def do_snapshot(self) -> None:
        """Write a snapshot now."""
        self.host.order(WriteSnapshot(**self.host.engine.issue()))

    def do_drill(self) -> None:
        """Drill the guard."""
        drill(self.host)

    def do_verify(self) -> None:
        """Compute the decisions again."""
        verify(self.host)

    def do_checklist(self) -> None:
        """Rehearse what must work before real money."""
        checklist(self.host)

    def do_approve(self) -> None:
        """Record the operator's approval, once GO was typed."""
        approve(self.host)

    def do_summary(self) -> None:
        """Write ``summary.md`` and show every criterion with its evidence."""
        write_summary(self.host)
        self.select(self.selection.with_option("summary", "open"))

    def do_open(self) -> None:
        """Show every criterion with its evidence."""
        if self.host.snapshot.observation is not None:
            self.select(self.selection.with_option("summary", "open"))

    def do_back(self) -> None:
        """Close the summary, else what every screen closes."""
        if self.selection.option("summary"):
            self.select(self.selection.with_option("summary", ""))
        else:
            super().do_back()
