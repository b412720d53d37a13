"""The two rows at the top: what the engine is doing, and the ten screens."""

from __future__ import annotations

from typing import Final, NamedTuple

from tradingai.engine.queries.snapshot import ConsoleSnapshot, HeaderView
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, Span, pad

WIDE_COLUMNS: Final = 141
NORMAL_COLUMNS: Final = 100
FULL_TAB_COLUMNS: Final = 112


class Mode(NamedTuple):
    """One of the ten screens."""

    key: str
    id: str
    title: str
    short: str


MODES: Final = (
    Mode("1", "overview", "Overview", "Over"),
    Mode("2", "data", "Data", "Data"),
    Mode("3", "features", "Features", "Feat"),
    Mode("4", "training", "Training", "Train"),
    Mode("5", "gates", "Gates", "Gates"),
    Mode("6", "monitor", "Monitor", "Mon"),
    Mode("7", "risk", "Risk", "Risk"),
    Mode("8", "observation", "Observation", "Obs"),
    Mode("9", "models", "Models", "Mod"),
    Mode("0", "log", "Log", "Log"),
)
MODE_BY_ID: Final = {mode.id: mode for mode in MODES}

_JOB_SCREENS: Final = {
    "generate": "data",
    "fetch": "data",
    "import": "data",
    "features": "features",
    "features_check": "features",
    "train": "training",
    "evaluate": "gates",
    "replay": "monitor",
    "drill": "risk",
    "simulate": "risk",
}
SCREEN_OF_JOB: Final = _JOB_SCREENS
KILL_SOURCES: Final = {"KILL_SWITCH": "env", "the store cannot be read": "store"}
"""Where the kill switch stands on, in a word; the surfaces name themselves."""


class _Field(NamedTuple):
    name: str
    spans: tuple[Span, ...]
    abnormal: bool = False


def _labelled(label: str, value: str) -> tuple[Span, ...]:
    return (Span(f"{label} ", "muted"), Span(value, "text"))


def _engine(header: HeaderView) -> _Field:
    age = header.heartbeat_age_s
    if age is not None and age >= header.heartbeat_limit_s:
        return _Field("engine", (Span(f"! {header.engine} {numbers.age(age)}", "orange+b"),), abnormal=True)
    value = header.engine if age is None else f"{header.engine} {numbers.age(age)}"
    return _Field("engine", _labelled("engine", value))


def _kill(header: HeaderView) -> _Field:
    if header.kill_on:
        source = KILL_SOURCES.get(header.kill_source, header.kill_source)
        words = f" KILL ON {source} " if source else " KILL ON "
        return _Field("kill", (Span(words, "bg@orange+b"),), abnormal=True)
    return _Field("kill", _labelled("kill", "off" if header.kill_on is False else numbers.NOTHING))


def _risk(header: HeaderView) -> _Field:
    if header.risk == "HALTED":
        return _Field("risk", (Span(" HALTED ", "bg@orange+b"),), abnormal=True)
    if header.risk == "REDUCING":
        return _Field("risk", (Span("! REDUCING", "orange+b"),), abnormal=True)
    return _Field("risk", _labelled("risk", header.risk or numbers.NOTHING))


def _feed(header: HeaderView) -> _Field:
    age, limit = header.feed_age_s, header.feed_limit_s
    if age is not None and limit is not None and age >= limit:
        return _Field("feed", (Span(f"! feed {numbers.age(age)}", "orange+b"),), abnormal=True)
    return _Field("feed", _labelled("feed", numbers.age(age)))


def _telegram(snapshot: ConsoleSnapshot, *, wide: bool) -> list[_Field]:
    """``telegram ok`` where there is room; alerts that do not get through always."""
    telegram = None if snapshot.live is None else snapshot.live.telegram
    if telegram is None:
        return []
    if telegram.state == "failing":
        words = f"! telegram {telegram.waiting} waiting"
        return [_Field("telegram", (Span(words, "orange+b"),), abnormal=True)]
    return [_Field("telegram", _labelled("telegram", telegram.state))] if wide else []


def _jobs(snapshot: ConsoleSnapshot, *, wide: bool) -> _Field:
    running = snapshot.running_jobs
    spans = _labelled("jobs", str(len(running)))
    if wide and running:
        job = running[0]
        share = f" {numbers.percent(job.fraction, 0)}" if job.fraction is not None else ""
        spans += (Span(f"  {job.title}{share}", "text"),)
    return _Field("jobs", spans)


def status_line(snapshot: ConsoleSnapshot, width: int, *, replay: bool = False) -> Line:
    """Row 0, always about the live engine; ``replay`` says that the page below it is not.

    What does not fit is dropped from the right: clock, jobs, feed; never an abnormal field.
    """
    header = snapshot.header
    wide = width >= WIDE_COLUMNS
    gap = 4 if wide else 3 if width >= NORMAL_COLUMNS else 2
    fields = [_engine(header), _kill(header), _risk(header), _feed(header), _jobs(snapshot, wide=wide)]
    if wide and header.threshold is not None:
        value = f"{header.threshold:.2f} {header.threshold_source}".strip()
        fields.append(_Field("threshold", _labelled("threshold", value)))
    fields += _telegram(snapshot, wide=wide)
    clock = _clock(snapshot, width)
    chips = [Span(" REPLAY ", "bg@blue+b") if replay else Span(" DRY-RUN ", "strong@raised+b")]
    if header.read_only:
        chips += [pad(1), Span(" READ-ONLY ", "strong@raised+b")]
    inner = width - 2
    lead = sum(chip.width for chip in chips) + (max(2, gap))
    for name in ("clock", "telegram", "threshold", "jobs", "feed", "risk", "kill"):
        if _length(fields, gap) + lead + (clock.width + 2 if clock.width else 0) <= inner:
            break
        if name == "clock":
            clock = Span("")
        fields = [item for item in fields if item.name != name or item.abnormal]
    spans: list[Span] = [*chips, pad(lead - sum(chip.width for chip in chips))]
    for index, item in enumerate(fields):
        if index:
            spans.append(pad(gap))
        spans.extend(item.spans)
    used = sum(item.width for item in spans)
    return Line((*spans, pad(inner - used - clock.width), clock))


def _length(fields: list[_Field], gap: int) -> int:
    return sum(item.width for part in fields for item in part.spans) + gap * max(0, len(fields) - 1)


def _clock(snapshot: ConsoleSnapshot, width: int) -> Span:
    now = snapshot.now
    if width >= WIDE_COLUMNS:
        return Span(f"{now:%Y-%m-%d}  {now:%H:%M:%SZ}", "muted")
    return Span(numbers.time_z(now, seconds=width >= NORMAL_COLUMNS), "muted")


def badges(snapshot: ConsoleSnapshot) -> dict[str, Span]:
    """Screens that work (●) or want the operator (!), by mode id."""
    found: dict[str, Span] = {}
    attention = Span("!", "orange+b")
    seen: set[tuple[str, str]] = set()
    for job in snapshot.jobs:
        screen = _JOB_SCREENS.get(job.kind)
        if screen is None or (job.kind, job.target) in seen:
            continue
        seen.add((job.kind, job.target))
        if job.state in {"failed", "interrupted"}:
            found.setdefault(screen, attention)
    if any(item.report and item.report.gates and not item.report.passed for item in snapshot.evaluations):
        found["gates"] = attention
    if snapshot.ledger.problem is not None:
        found["models"] = attention
    if snapshot.header.risk == "HALTED":
        found["risk"] = attention
    if any(phase.id == "observation" and phase.state == "running" for phase in snapshot.phases):
        found["observation"] = Span("●", "blue")
    for job in snapshot.running_jobs:
        if job.kind in _JOB_SCREENS and found.get(_JOB_SCREENS[job.kind]) is not attention:
            found[_JOB_SCREENS[job.kind]] = Span("●", "blue")
    return found


def tabs_line(snapshot: ConsoleSnapshot, active: str, width: int) -> Line:
    """Row 1: the digit, the name, and a badge that touches it; nothing moves when a badge comes or goes."""
    full = width >= FULL_TAB_COLUMNS
    marks = badges(snapshot)
    spans: list[Span] = []
    for mode in MODES:
        target = ("screen", mode.id)
        name = mode.title if full else mode.short
        chosen = mode.id == active
        spans.append(Span(f"{mode.key} ", "blue+b" if chosen else "faint", target))
        spans.append(Span(name, "strong+bu" if chosen else "muted", target))
        spans.append(marks.get(mode.id, Span(" "))._replace(target=target))
        spans.append(pad(2 if full else 1))
    return Line(tuple(spans))
