"""Parts of the overview: phases, jobs and the machine as rows; the sentence at the top."""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.observation_views import hours_words
from tradingai.engine.queries.phase_views import RESULT_COLUMNS
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView, PhaseView, SystemView
from tradingai.screens.view import Extent, filtered, headline, opening, paragraph
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.header import SCREEN_OF_JOB
from tradingai.widgets.line import Line, Span, fit, pad
from tradingai.widgets.section import Column, Row, Table, pair, rule
from tradingai.widgets.signs import SIGNS, sign, status

NEXT_COLUMNS: Final = 26
"""``resume from the checkpoint``."""
JOB_COLUMNS: Final = 23
"""``evaluate lstm_BTC-USD`` and a little more."""


def next_phase(snapshot: ConsoleSnapshot) -> PhaseView | None:
    """The step that can be started now; None while the registry or the store cannot be read, since every
    step would be refused.
    """
    unreadable = snapshot.ledger.problem is not None or snapshot.problem is not None
    return None if unreadable else first_open(snapshot)


def work_is_left(snapshot: ConsoleSnapshot) -> bool:
    """Whether running all steps would be accepted and do something."""
    unreadable = snapshot.ledger.problem is not None or snapshot.problem is not None
    return not unreadable and any(phase.state not in {"done", "later"} for phase in _steps(snapshot))


def _steps(snapshot: ConsoleSnapshot) -> list[PhaseView]:
    """The phases that the pipeline runs through; an observation is started by an operator, never by it."""
    return [phase for phase in snapshot.phases if phase.id not in {"observation", "go_no_go"}]


def first_open(snapshot: ConsoleSnapshot) -> PhaseView | None:
    """The first step that is not done and not running, of those that exist."""
    for phase in _steps(snapshot):
        if phase.state in {"next", "failed", "interrupted"}:
            return phase
        if phase.state in {"waiting", "running", "later"}:
            return None
        if phase.state == "refused":
            return phase
    return None


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
    if snapshot.ledger.problem is not None:
        return headline("The registry is damaged: 9 Models says what to do.", alarm=True)
    text = _progress_sentence(snapshot)
    return headline(text)


def _progress_sentence(snapshot: ConsoleSnapshot) -> str:
    refused = [item.model for item in snapshot.evaluations if item.report and not item.report.passed]
    live = sum(1 for item in snapshot.evaluations if item.live_version)
    parts = []
    running = snapshot.running_jobs
    if running:
        share = numbers.percent(running[0].fraction, 0) if running[0].fraction is not None else "starting"
        parts.append(
            f"{opening(running[0].title)}, {share}." if len(running) == 1 else f"{len(running)} jobs run."
        )
    if live:
        parts.append(f"{numbers.plural(live, 'model')} live.")
    if refused:
        parts.append(
            f"Gates refuse {refused[0]}." if len(refused) == 1 else f"Gates refuse {len(refused)} models."
        )
    following = next_phase(snapshot)
    if not running and not refused:
        parts.append(f"{following.title} is next." if following else _after_the_pipeline(snapshot, live))
    return " ".join(parts)


def _after_the_pipeline(snapshot: ConsoleSnapshot, live: int) -> str:
    """What an operator may do once every step is done."""
    seen = snapshot.observation
    if seen is not None and seen.state == "running":
        return f"{hours_words(seen.continuous_s)} of {seen.required_hours:g} h observed."
    if seen is not None and seen.verdict.word:
        return f"The observation ended: {seen.verdict.word}."
    return "o starts the observation." if live else "Nothing waits to be done."


def is_empty(snapshot: ConsoleSnapshot) -> bool:
    """Whether nothing ever ran here."""
    return not snapshot.datasets and not snapshot.jobs and not snapshot.ledger.entries


def _phase_state(phase: PhaseView) -> Span:
    return status(phase.state)


def _whole_clauses(text: str, room: int) -> str:
    """As many of the clauses between commas as fit; the first one in any case."""
    while len(text) > room and ", " in text:
        text = text.rpartition(", ")[0]
    return text


def _phase_row(phase: PhaseView, extent: Extent) -> Row:
    dull = phase.state in {"waiting", "later"}
    timeless = dull or phase.state == "next"
    result = phase.result
    if phase.state == "running" and phase.eta_s is not None:
        result = f"{result}, ETA {numbers.stopwatch(phase.eta_s)}".strip(", ")
    elif extent.narrow and phase.state in {"done", "refused"}:
        result = _whole_clauses(result, RESULT_COLUMNS)
    ink = "faint" if dull else "text"
    cells: list[Span] = [
        Span(phase.title, ink),
        _phase_state(phase),
        Span("" if timeless and phase.took_s is None else numbers.took(phase.took_s), ink),
        Span(result, ink),
    ]
    if extent.wide:
        cells.append(
            Span(phase.next_action or ("–" if not dull else ""), "text" if phase.next_action else "faint")
        )
    cells.append(Span(phase.key, "blue" if phase.key else "faint"))
    plain = (phase.id, phase.state, _number(phase.took_s), phase.result, phase.next_action)
    return Row(phase.id, tuple(cells), sign(phase.state), plain)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def phases_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """The pipeline's steps."""
    columns = [
        Column("phase", 11),
        Column("state", 11),
        Column("took", 7, "right", gap=0),
        Column("result", 0),
    ]
    if extent.wide:
        columns.append(Column("next action", NEXT_COLUMNS))
    columns.append(Column("key", 3, "right"))
    existing = [phase for phase in snapshot.phases if phase.state != "later"]
    done = sum(1 for phase in existing if phase.state == "done")
    note = snapshot.workload or f"{done} of {len(existing)}"
    if snapshot.workload and extent.wide:
        candles = sum(data.rows for data in snapshot.datasets)
        note = f"{snapshot.workload.split(',')[0]}, {numbers.short(candles)} candles, seed {snapshot.seed}"
    rows = filtered([_phase_row(phase, extent) for phase in snapshot.phases], wanted)
    heads = ("phase", "state", "took_s", "result", "next_action")
    following = first_open(snapshot) or next(
        (phase for phase in snapshot.phases if phase.state in {"refused", "running"}), None
    )
    start = following.id if following else ""
    return Table("pipeline", "Pipeline", note, tuple(columns), rows, heads, start=start)


def _job_row(job: JobView, extent: Extent) -> Row:
    plain = (
        job.id,
        job.kind,
        job.target,
        job.state,
        _number(job.fraction),
        _number(job.rate),
        _number(job.eta_s),
        job.message or job.summary,
    )
    if job.state != "running":
        return _ended_row(job, extent, plain)
    bar = 16 if extent.narrow else 24
    speed = rate_words(job)
    cells: list[Span | tuple[Span, ...]] = [
        Span(job.title),
        (*progress(job.fraction, bar), *_share(job)),
        Span(speed, "text"),
        (Span("ETA ", "muted"), Span(numbers.stopwatch(job.eta_s), "text")),
    ]
    if extent.wide:
        memory = numbers.size(job.memory_bytes) if job.memory_bytes else ""
        cells += [Span(memory, "text"), Span(numbers.time_z(job.started_at), "muted")]
    return Row(job.id, tuple(cells), sign(job.state), plain)


def _ended_row(job: JobView, extent: Extent, plain: tuple[str, ...]) -> Row:
    """A job that is over: what it came to in place of bar and speed, then how long it took."""
    text = job.message or job.summary or SIGNS[job.state].word
    right: tuple[Span, ...] = fit(Span(numbers.stopwatch(job.took_s), "muted"), 8, "right")
    if extent.wide:
        right += (pad(12), *fit(Span(numbers.time_z(job.started_at), "muted"), 9, "right"))
    room = extent.width - 4 - JOB_COLUMNS - 2 - sum(item.width for item in right) - 2
    ink = "orange" if job.state in {"failed", "interrupted"} else "muted"
    tail = (*fit(Span(text, ink), room), pad(2), *right)
    empty = [Span("")] * (5 if extent.wide else 3)
    return Row(job.id, (Span(job.title), *empty), sign(job.state), plain, tail=tail)


def rate_words(job: JobView) -> str:
    """``204 k bars/s``; steps of the agent's environment are steps."""
    return numbers.short(job.rate, f"{job.unit.removeprefix('env ')}/s") if job.rate else ""


def _share(job: JobView) -> tuple[Span, ...]:
    text = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
    return (Span(f"{text:>5}", "text"),)


def jobs_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """Running jobs first, then what ended."""
    columns = [
        Column("job", JOB_COLUMNS),
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
        (
            "memory",
            f"{numbers.gigabytes(system.memory_used_bytes)} / {numbers.gigabytes(system.memory_bytes)} GB",
        ),
        ("disk free", numbers.size(system.disk_free_bytes)),
        ("db", numbers.size(system.database_bytes)),
        ("up", numbers.uptime(system.up_s)),
    )
    spans: list[Span] = [pad(2)]
    for index, (label, value) in enumerate(facts):
        spans += [*((pad(3),) if index else ()), Span(f"{label} ", "muted"), Span(value)]
    return Line(tuple(spans))


def used_of(used: float | None, total: float | None) -> str:
    """``1.9 of 8.0 GB``."""
    return f"{numbers.gigabytes(used)} of {numbers.gigabytes(total)} GB"


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
                        lines += paragraph(
                            f"{item.model} {item.version}: {gate.detail}. {gate.to_pass}", width
                        )
    else:
        for job in snapshot.jobs:
            if job.state in {"failed", "interrupted"} and SCREEN_OF_JOB.get(job.kind) == phase.screen:
                lines += paragraph(f"{job.title}: {job.message} {job.remedy}", width)
                break
    return lines


def _verb(phase: PhaseView) -> str:
    return "is refused" if phase.state == "refused" else SIGNS[phase.state].word


def system_lines(system: SystemView, width: int) -> list[Line]:
    """The machine as bars."""
    bar = 14

    def usage(label: str, share: float | None, text: str) -> Line:
        left = (Span(f"{label:<9}", "muted"), *progress(share, bar, "muted"))
        free = width - sum(item.width for item in left) - len(text)
        return Line((*left, pad(free), Span(text)))

    cores = system.cpu_cores or 0
    used = (
        system.disk_bytes - system.disk_free_bytes if system.disk_bytes and system.disk_free_bytes else None
    )
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
            "memory",
            memory,
            used_of(system.memory_used_bytes, system.memory_bytes),
        ),
        usage("disk", disk, free),
        pair("database", numbers.size(system.database_bytes), width),
    ]


def context(snapshot: ConsoleSnapshot, extent: Extent) -> str:
    """``SYNTHETIC cycles, seed 7`` wherever a result rests on synthetic candles."""
    if not snapshot.synthetic:
        return ""
    return f"SYNTHETIC {snapshot.synthetic if not extent.narrow else snapshot.synthetic.split(',')[0]}"
