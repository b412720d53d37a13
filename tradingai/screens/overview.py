"""1 Overview: where does everything stand, what is next?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView, PhaseView, SystemView
from tradingai.screens import steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.events import event_row
from tradingai.screens.view import Extent, Page, Selection, Slot, View, empty_state, filtered, headline, opening, paragraph
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.footer import Key
from tradingai.widgets.header import MODE_BY_ID, SCREEN_OF_JOB
from tradingai.widgets.line import BLANK, Line, Span, line, pad
from tradingai.widgets.section import Column, Row, Table, draw, note_line, pair, rule, stack
from tradingai.widgets.signs import SIGNS, sign, status

PHASE_ACTIONS: Final = {
    "c": "candles", "b": "features", "t": "training", "v": "evaluation", "p": "promotion",
}  # fmt: skip
_KEY_HELP: Final = {
    "c": ("candles", "create synthetic candles"),
    "b": ("features", "build the features of every coin"),
    "t": ("train", "train models, or resume those that stopped"),
    "v": ("evaluate", "evaluate what was trained; counted as an attempt"),
    "p": ("promote", "promote a model that passed every gate"),
}


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """Where everything stands, in one line."""
    if snapshot.problem is not None:
        return headline(snapshot.problem.message, alarm=True)
    if is_empty(snapshot):
        return headline("Nothing has run in this home yet.")
    failed = [phase for phase in snapshot.phases if phase.state in {"failed", "interrupted"}]
    if failed:
        word = SIGNS[failed[0].state].word
        return headline(f"{failed[0].title} {word}: {failed[0].result}".rstrip(": "), alarm=True)
    text = _progress_sentence(snapshot)
    return headline(text)


def _progress_sentence(snapshot: ConsoleSnapshot) -> str:
    refused = [item.model for item in snapshot.evaluations if item.report and not item.report.passed]
    live = sum(1 for item in snapshot.evaluations if item.live_version)
    parts = []
    running = snapshot.running_jobs
    if running:
        share = numbers.percent(running[0].fraction, 0) if running[0].fraction is not None else "starting"
        parts.append(f"{opening(running[0].title)}, {share}." if len(running) == 1 else f"{len(running)} jobs run.")
    if live:
        parts.append(f"{numbers.plural(live, 'model')} live.")
    if refused:
        parts.append(f"Gates refuse {refused[0]}." if len(refused) == 1 else f"Gates refuse {len(refused)} models.")
    following = steps.next_phase(snapshot)
    if not running and not refused:
        parts.append(f"{following.title} is next." if following else "Nothing waits to be done.")
    return " ".join(parts)


def is_empty(snapshot: ConsoleSnapshot) -> bool:
    """Whether nothing ever ran here."""
    return not snapshot.datasets and not snapshot.jobs and not snapshot.ledger.entries


def _phase_state(phase: PhaseView) -> Span:
    return status(phase.state)


def _phase_row(phase: PhaseView, *, wide: bool) -> Row:
    dull = phase.state in {"waiting", "later"}
    timeless = dull or phase.state == "next"
    result = phase.result
    if phase.state == "running" and phase.eta_s is not None:
        result = f"{result}, ETA {numbers.stopwatch(phase.eta_s)}".strip(", ")
    ink = "faint" if dull else "text"
    cells: list[Span] = [
        Span(phase.title, ink),
        _phase_state(phase),
        Span("" if timeless and phase.took_s is None else numbers.took(phase.took_s), ink),
        Span(result, ink),
    ]
    if wide:
        cells.append(Span(phase.next_action or ("–" if not dull else ""), "text" if phase.next_action else "faint"))
    cells.append(Span(phase.key, "blue" if phase.key else "faint"))
    plain = (phase.id, phase.state, _number(phase.took_s), phase.result, phase.next_action)
    return Row(phase.id, tuple(cells), sign(phase.state), plain)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def phases_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """The pipeline's steps."""
    columns = [Column("phase", 11), Column("state", 11), Column("took", 7, "right", gap=0), Column("result", 0)]
    if extent.wide:
        columns.append(Column("next action", 30))
    columns.append(Column("key", 3, "right"))
    existing = [phase for phase in snapshot.phases if phase.state != "later"]
    done = sum(1 for phase in existing if phase.state == "done")
    note = snapshot.workload or f"{done} of {len(existing)}"
    if snapshot.workload and extent.wide:
        candles = sum(data.rows for data in snapshot.datasets)
        note = f"{snapshot.workload.split(',')[0]}, {numbers.short(candles)} candles, seed {snapshot.seed}"
    rows = filtered([_phase_row(phase, wide=extent.wide) for phase in snapshot.phases], wanted)
    heads = ("phase", "state", "took_s", "result", "next_action")
    following = steps.next_phase(snapshot) or next(
        (phase for phase in snapshot.phases if phase.state in {"refused", "running"}), None
    )
    start = following.id if following else ""
    return Table("pipeline", "Pipeline", note, tuple(columns), rows, heads, start=start)


def _job_row(job: JobView, extent: Extent) -> Row:
    bar = 18 if extent.narrow else 24
    if job.state == "running":
        middle: tuple[Span, ...] = (*progress(job.fraction, bar), *_share(job))
    else:
        text = job.message or job.summary or SIGNS[job.state].word
        middle = (Span(text, "orange" if job.state == "failed" else "muted"),)
    speed = numbers.short(job.rate, f"{job.unit}/s") if job.state == "running" and job.rate else ""
    if job.state == "running":
        time: tuple[Span, ...] = (Span("ETA ", "muted"), Span(numbers.stopwatch(job.eta_s), "text"))
    else:
        time = (Span(numbers.stopwatch(job.took_s), "muted"),)
    cells: list[Span | tuple[Span, ...]] = [Span(job.title), middle, Span(speed, "text"), time]
    if extent.wide:
        memory = numbers.size(job.memory_bytes) if job.memory_bytes else ""
        cells += [Span(memory, "text"), Span(numbers.time_z(job.started_at), "muted")]
    plain = (
        job.id, job.kind, job.target, job.state, _number(job.fraction), _number(job.rate), _number(job.eta_s),
        job.message or job.summary,
    )  # fmt: skip
    return Row(job.id, tuple(cells), sign(job.state), plain)


def _share(job: JobView) -> tuple[Span, ...]:
    text = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
    return (Span(f"{text:>5}", "text"),)


def jobs_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """Running jobs first, then what ended."""
    columns = [
        Column("job", 21),
        Column("progress", 0),
        Column("speed", 14, "right", gap=1),
        Column("ETA", 8, "right"),
    ]
    if extent.wide:
        columns += [Column("memory", 8, "right"), Column("started", 9, "right")]
    running = len(snapshot.running_jobs)
    ended = sum(1 for job in snapshot.jobs if job.state not in {"running", "queued"})
    note = f"{running} running" if not ended else f"{running} running, {ended} ended"
    rows = filtered([_job_row(job, extent) for job in snapshot.jobs], wanted)
    heads = ("id", "kind", "target", "state", "fraction", "rate", "eta_s", "message")
    return Table("jobs", "Jobs", note, tuple(columns), rows, heads)


def system_line(system: SystemView) -> Line:
    """The machine in one row."""
    facts = (
        ("cpu", f"{numbers.decimal(system.cpu_used, 1)} / {system.cpu_cores or numbers.NOTHING}"),
        ("memory", f"{numbers.gigabytes(system.memory_used_bytes)} / {numbers.gigabytes(system.memory_bytes)} GB"),
        ("disk free", numbers.size(system.disk_free_bytes)),
        ("db", numbers.size(system.database_bytes)),
        ("up", numbers.uptime(system.up_s)),
    )
    spans: list[Span] = [pad(2)]
    for index, (label, value) in enumerate(facts):
        spans += [*((pad(3),) if index else ()), Span(f"{label} ", "muted"), Span(value)]
    return Line(tuple(spans))


def why_lines(snapshot: ConsoleSnapshot, phase: PhaseView | None, width: int) -> list[Line]:
    """Why the phase under the cursor stands where it stands, when it wants attention."""
    if phase is None or phase.state not in {"refused", "failed", "interrupted"}:
        return []
    lines = [rule(f"Why {phase.title} {_verb(phase)}", "", width)]
    if phase.id == "gates":
        for item in snapshot.evaluations:
            if item.report and not item.report.passed:
                for gate in item.report.gates:
                    if not gate.passed:
                        lines += paragraph(f"{item.model} {item.version}: {gate.detail}. {gate.to_pass}", width)
    else:
        for job in snapshot.jobs:
            if job.state in {"failed", "interrupted"} and SCREEN_OF_JOB.get(job.kind) == phase.screen:
                lines += paragraph(f"{job.title}: {job.message} {job.remedy}", width)
                break
    return lines


def _verb(phase: PhaseView) -> str:
    return "is refused" if phase.state == "refused" else SIGNS[phase.state].word


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
                "TradingAI takes minute candles through features, training, evaluation and promotion gates to a "
                "GO or NO-GO, and shows every step here.",
                keys=(
                    ("n", "runs the quick pipeline: 120 synthetic days, 3 coins, about 3 min."),
                ),
                width=min(width, 78),
            )
        )
        page.add(line(pad(7), Span("or bring your own candles: ", "text"), Span("2", "blue+b"), " Data, import."))
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
            return note_line("next", phase.next_action, *tail)
        return line(pad(4), *tail[1:])

    def _events(self, page: Page) -> None:
        extent = self.extent
        reserve = 0 if extent.wide else 3
        page.gap()
        columns = (Column("time", 8), Column("", 1), Column("event", 18, gap=1), Column("text", 0))
        rows = filtered([event_row(event) for event in reversed(self.snapshot.events.rows)], self.selection.filter)
        table = Table("events", "Events", "newest first, UTC", columns, rows, ("seq", "at", "type", "level", "text"),
                      signed=False)  # fmt: skip
        page.table(table, heads=False, rows=max(1, page.room - 1 - reserve))
        if reserve:
            page.gap()
            page.add(rule("System", "", extent.width), system_line(self.snapshot.system))

    def _side(self) -> list[Line]:
        width = self.extent.side_width
        snapshot = self.snapshot
        live = [item for item in snapshot.evaluations if item.live_version]
        models = [rule("Live models", f"{len(live)} of {len(snapshot.models)}", width)]
        for item in snapshot.evaluations:
            accuracy = numbers.percent(item.report.accuracy) if item.report else numbers.NOTHING
            value = (Span(item.live_version or "not live", "text" if item.live_version else "faint"),
                     Span(f"  {accuracy:>7}", "text" if item.report else "faint"))  # fmt: skip
            models.append(pair(item.model, value, width))
        data = [rule("Candles", numbers.plural(len(snapshot.datasets), "coin"), width)]
        data += [pair(item.symbol, f"{numbers.count(item.rows)} rows", width) for item in snapshot.datasets]
        return stack(models if snapshot.evaluations else [], data if snapshot.datasets else [], self._system(width))

    def _system(self, width: int) -> list[Line]:
        system = self.snapshot.system
        bar = 14

        def usage(label: str, share: float | None, text: str) -> Line:
            left = (Span(f"{label:<9}", "muted"), *progress(share, bar, "muted"))
            free = width - sum(item.width for item in left) - len(text)
            return Line((*left, pad(free), Span(text)))

        cores = system.cpu_cores or 0
        used = system.disk_bytes - system.disk_free_bytes if system.disk_bytes and system.disk_free_bytes else None
        cpu = None if system.cpu_used is None or not cores else system.cpu_used / cores
        memory = None
        if system.memory_used_bytes is not None and system.memory_bytes:
            memory = system.memory_used_bytes / system.memory_bytes
        disk = None if used is None or not system.disk_bytes else used / system.disk_bytes
        free = f"{numbers.size(system.disk_free_bytes)} free"
        return [
            rule("System", f"up {numbers.uptime(system.up_s)}", width),
            usage("cpu", cpu, f"{numbers.decimal(system.cpu_used, 1)} of {cores or '–'} cores"),
            usage(
                "memory", memory,
                f"{numbers.gigabytes(system.memory_used_bytes)} of {numbers.gigabytes(system.memory_bytes)} GB",
            ),
            usage("disk", disk, free),
            pair("database", numbers.size(system.database_bytes), width),
        ]  # fmt: skip

    def _keys(self) -> tuple[Key, ...]:
        snapshot = self.snapshot
        empty = is_empty(snapshot)
        row_keys = [Key(key, word, text, f"phase:{PHASE_ACTIONS[key]}", footer=empty) for key, (word, text) in _KEY_HELP.items()]
        if empty:
            return (Key("n", "quick", "run the quick pipeline: 120 synthetic days, 3 coins", "next"), *row_keys)
        keys = []
        if steps.next_phase(snapshot) is not None:
            keys.append(Key("n", "next step", "start the next step", "next"))
        keys.append(Key("N", "run all", "run every step that is left; asks first", "all"))
        keys.append(Key("enter", "open", "open the row's screen", "open"))
        if snapshot.running_jobs:
            keys.append(Key("x", "cancel job", "stop a running job at its next safe point", "cancel"))
        return (*keys, *row_keys)


def context(snapshot: ConsoleSnapshot, extent: Extent) -> str:
    """``SYNTHETIC cycles, seed 7`` wherever a result rests on synthetic candles."""
    if not snapshot.synthetic:
        return ""
    return f"SYNTHETIC {snapshot.synthetic if not extent.narrow else snapshot.synthetic.split(',')[0]}"


class OverviewScreen(ConsoleScreen):
    """The pipeline, the jobs, the machine."""

    MODE = "overview"
    SIDE_COLUMNS = 46

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return Overview(snapshot, selection, extent).view()

    def do_next(self) -> None:
        """Start the next step."""
        steps.start_next(self.host)

    def do_all(self) -> None:
        """Start every step that is left."""
        steps.start_all(self.host)

    def do_phase(self, phase: str) -> None:
        """Start one step."""
        steps.start_phase(self.host, phase)

    async def do_open(self) -> None:  # type: ignore[override]  # opening is switching screens, which waits
        """Open the screen of the row."""
        table, row = self.table(), self.row()
        if table is None or row is None:
            return
        if table.id == "pipeline":
            found = [phase.screen for phase in self.host.snapshot.phases if phase.id == row.key]
        elif table.id == "jobs":
            found = [SCREEN_OF_JOB.get(job.kind, "log") for job in self.host.snapshot.jobs if job.id == row.key]
        else:
            found = ["log"]
        if found and found[0] in MODE_BY_ID:
            await self.host.go(found[0])
