"""1 Overview: where does everything stand, what is next?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.symbols import ENSEMBLE
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, PhaseView
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.events import event_row
from tradingai.screens.overview_parts import (
    context,
    is_empty,
    jobs_table,
    next_phase,
    phases_table,
    sentence,
    system_line,
    system_lines,
    why_lines,
    work_is_left,
)
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    filtered,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.footer import Key
from tradingai.widgets.header import MODE_BY_ID, SCREEN_OF_JOB
from tradingai.widgets.line import BLANK, Line, Span, crop, line, pad
from tradingai.widgets.section import Column, Table, note_line, pair, rule, stack

PHASE_ACTIONS: Final = {
    "c": "candles",
    "b": "features",
    "t": "training",
    "v": "evaluation",
    "p": "promotion",
    "r": "replay",
}
_KEY_HELP: Final = {
    "c": ("candles", "create candles, or fetch them where DATA_PROVIDER says so"),
    "b": ("features", "build the features of every coin"),
    "t": ("train", "train models, or resume those that stopped"),
    "v": ("evaluate", "evaluate what was trained; counted as an attempt"),
    "p": ("promote", "promote a model that passed every gate"),
    "r": ("replay", "replay the newest hours with the live models"),
}


class Overview:
    """Makes the overview's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent

    def view(self) -> View:
        """The page."""
        snapshot, extent = self.snapshot, self.extent
        page = Page(extent, self.selection, ("pipeline", "jobs", "events"))
        if is_empty(snapshot):
            self._first_run(page)
        elif snapshot.problem is not None:
            page.add(*paragraph(snapshot.problem.remedy, extent.width))
            page.gap()
        phases = phases_table(snapshot, extent, self.selection.filter)
        empty = is_empty(snapshot)
        page.table(phases, heads=not empty and page.room >= len(phases.rows) + 8)
        row = page.cursor(phases)
        phase = next((item for item in snapshot.phases if row and item.id == row.key), None)
        if not empty:
            self._below(page, phase)
        return View(
            headline=sentence(snapshot),
            context=line(Span(context(snapshot, extent), "muted")),
            slots=(Slot("main", 0, 0, extent.columns - extent.side, extent.height, page.lines),),
            side=self._side() if extent.wide else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(),
        )

    def _first_run(self, page: Page) -> None:
        width = self.extent.width
        page.add(BLANK)
        page.add(
            *empty_state(
                "TradingAI takes minute candles through features, training, evaluation and promotion "
                "gates to a GO or NO-GO, and shows every step here.",
                keys=(("n", "runs the quick pipeline: 120 days, 3 coins, all models, some minutes."),),
                width=min(width, 78),
            )
        )
        page.add(
            line(pad(7), Span("or bring your own candles: ", "text"), Span("2", "blue+b"), " Data, import.")
        )
        page.gap()

    def _below(self, page: Page, phase: PhaseView | None) -> None:
        snapshot, extent = self.snapshot, self.extent
        if phase is not None and not extent.tall:
            page.add(self._next_line(phase))
        if extent.tall:
            why = why_lines(snapshot, phase, extent.width)
            if why:
                page.gap()
                page.add(*why)
        page.gap(keep=6)
        tall = extent.tall
        jobs = jobs_table(snapshot, extent, self.selection.filter)
        if jobs.rows:
            most = min(len(jobs.rows), 6 if tall else 2)
            reserved = 0 if tall and extent.wide else 3
            page.table(jobs, heads=tall, rows=max(1, min(most, page.room - reserved - 1)))
        else:
            page.add(rule("Jobs", "none", extent.width))
        if tall and snapshot.events.rows:
            self._events(page)
        elif not extent.wide and page.room >= 2:
            page.gap(keep=2)
            page.add(rule("System", "", extent.width), system_line(snapshot.system))

    def _next_line(self, phase: PhaseView) -> Line:
        opens = MODE_BY_ID[phase.screen].title if phase.screen in MODE_BY_ID else ""
        tail = (pad(3), Span("↵", "blue+b"), Span(f" open {opens}", "text")) if opens else ()
        if phase.next_action:
            room = self.extent.width - 10 - sum(item.width for item in tail)
            return note_line("next", *crop((Span(phase.next_action),), room), *tail)
        return line(pad(4), *tail[1:])

    def _events(self, page: Page) -> None:
        extent = self.extent
        reserve = 0 if extent.wide else 3
        page.gap()
        columns = (Column("time", 8), Column("", 1), Column("event", 18, gap=1), Column("text", 0))
        rows = filtered(
            [event_row(event) for event in reversed(self.snapshot.events.rows)], self.selection.filter
        )
        table = Table(
            "events",
            "Events",
            "newest first, UTC",
            columns,
            rows,
            ("seq", "at", "type", "level", "text"),
            signed=False,
        )
        page.table(table, heads=False, rows=max(1, page.room - 1 - reserve))
        if reserve:
            page.gap()
            page.add(rule("System", "", extent.width), system_line(self.snapshot.system))

    def _side(self) -> list[Line]:
        width = self.extent.side_width
        snapshot = self.snapshot
        live = [item for item in snapshot.evaluations if item.live_version]
        models = [rule("Live models", f"{len(live)} of {len(snapshot.evaluations)}, weight", width)]
        models += [_model_line(item, width) for item in snapshot.evaluations]
        data = [rule("Candles", numbers.plural(len(snapshot.datasets), "coin"), width)]
        data += [pair(item.symbol, f"{numbers.count(item.rows)} rows", width) for item in snapshot.datasets]
        return stack(
            models if snapshot.evaluations else [],
            data if snapshot.datasets else [],
            system_lines(snapshot.system, width),
        )

    def _days(self) -> str:
        return "synthetic" if self.snapshot.provider == "synthetic" else "fetched"

    def _keys(self) -> tuple[Key, ...]:
        snapshot = self.snapshot
        empty = is_empty(snapshot)
        row_keys = [
            Key(key, word, text, f"phase:{PHASE_ACTIONS[key]}", footer=empty)
            for key, (word, text) in _KEY_HELP.items()
        ]
        if empty:
            return (
                Key("n", "quick", f"run the quick pipeline: 120 {self._days()} days, 3 coins", "next"),
                *row_keys,
            )
        keys = []
        if next_phase(snapshot) is not None:
            keys.append(Key("n", "next step", "start the next step", "next"))
        if work_is_left(snapshot):
            keys.append(Key("N", "run all", "run every step that is left; asks first", "all"))
        keys.append(Key("enter", "open", "open the row's screen", "open"))
        if snapshot.running_jobs:
            keys.append(Key("x", "cancel job", "stop a running job at its next safe point", "cancel"))
        return (*keys, *row_keys, *self._observation_keys())

    def _observation_keys(self) -> tuple[Key, ...]:
        from tradingai.screens.observation_steps import may_approve, may_start

        keys = []
        if may_start(self.snapshot):
            keys.append(Key("o", "observe", "start the observation, or look at it", "observe", footer=False))
        if may_approve(self.snapshot):
            keys.append(Key("a", "approve", "record your approval; asks to type GO", "approve", footer=False))
        return tuple(keys)


def _model_line(item: EvaluationView, width: int) -> Line:
    """A model's live version, its accuracy and its weight in what is decided."""
    accuracy = numbers.percent(item.report.accuracy) if item.report else numbers.NOTHING
    weight = numbers.NOTHING if item.share is None else f"{item.share:.2f}"
    if item.model == ENSEMBLE:
        weight = "silent" if item.live_version and item.idle else ""
    value = (
        Span(item.live_version or "not live", "text" if item.live_version else "faint"),
        Span(f"  {accuracy:>7}", "text" if item.report else "faint"),
        Span(f"  {weight:>6}", "orange" if item.idle and item.live_version else "muted"),
    )
    return pair(item.model, value, width)


class OverviewScreen(ConsoleScreen):
    """The pipeline, the jobs, the machine."""

    MODE = "overview"
    SIDE_COLUMNS = 46

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return Overview(snapshot, selection, extent).view()

    def do_next(self) -> None:
        """Start the next step."""
        from tradingai.screens import steps

        steps.start_next(self.host)

    def do_all(self) -> None:
        """Start every step that is left."""
        from tradingai.screens import steps

        steps.start_all(self.host)

    def do_phase(self, phase: str) -> None:
        """Start one step."""
        from tradingai.screens import steps

        steps.start_phase(self.host, phase)

    async def do_observe(self) -> None:
        """Start an observation; the one that runs is looked at where its clock is."""
        from tradingai.screens.observation_steps import start

        seen = self.host.snapshot.observation
        if seen is not None and seen.state == "running":
            await self.host.go("observation")
        else:
            start(self.host)

    def do_approve(self) -> None:
        """Record the operator's approval, once GO was typed."""
        from tradingai.screens.observation_steps import approve

        approve(self.host)

    async def do_open(self) -> None:  # type: ignore[override]  # opening is switching screens, which waits
        """Open the screen of the row."""
        table, row = self.table(), self.row()
        if table is None or row is None:
            return
        if table.id == "pipeline":
            found = [phase.screen for phase in self.host.snapshot.phases if phase.id == row.key]
        elif table.id == "jobs":
            found = [
                SCREEN_OF_JOB.get(job.kind, "log") for job in self.host.snapshot.jobs if job.id == row.key
            ]
        else:
            found = ["log"]
        if found and found[0] in MODE_BY_ID:
            await self.host.go(found[0])
