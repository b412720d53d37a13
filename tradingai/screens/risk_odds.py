"""The odds of a challenge on the Risk screen: beside the account in a wide terminal, a page of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tradingai.engine.core.commands import SimulateChallenge
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens.port import Host
from tradingai.screens.view import Page, empty_state, headline, opening, paragraph
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.footer import Key
from tradingai.widgets.line import Line, Span, beside, fit, line, pad, wrap
from tradingai.widgets.section import Cell, Column, Row, Table, pair, rule

KIND: Final = "simulate"
TITLE: Final = "Odds of this challenge"
_LEFT: Final = 42
_GAP: Final = 3
_MOST_BAR: Final = 48
_LABEL: Final = 9
_COUNT: Final = 7
_HEADS: Final = (
    "risk_pct", "attempts", "pass_rate", "monte_carlo_low", "monte_carlo_high", "daily", "total",
    "total_stop", "undecided", "median_days",
)  # fmt: skip


def document_of(snapshot: ConsoleSnapshot) -> Mapping[str, Any]:
    """The newest simulation; empty where there is none."""
    return snapshot.risk.odds if snapshot.risk is not None else {}


def ended_badly(snapshot: ConsoleSnapshot) -> JobView | None:
    """The newest simulation's job, where it did not come to its end."""
    for job in snapshot.jobs:
        if job.kind == KIND:
            return job if job.state in {"failed", "interrupted", "cancelled"} else None
    return None


def unasked(snapshot: ConsoleSnapshot) -> bool:
    """Whether there are neither odds nor a reason why not."""
    return not document_of(snapshot) and ended_badly(snapshot) is None


def may_simulate(snapshot: ConsoleSnapshot) -> bool:
    """Whether a simulation may begin: none runs, and the console may write."""
    return snapshot.active_job(KIND) is None and not snapshot.header.read_only


def keys(snapshot: ConsoleSnapshot, *, shown: bool) -> tuple[Key, ...]:
    """``o``: shows the odds; where they are ``shown``, plays them anew."""
    if not shown:
        return (Key("o", "odds", "the odds of passing this challenge", "odds"),)
    words = "play again" if document_of(snapshot) else "play"
    key = Key("o", words, "play 10,000 attempts at this challenge", "odds")
    return (key,) if may_simulate(snapshot) else ()


def simulate(host: Host) -> None:
    """Play attempts by the home's settings."""
    if may_simulate(host.snapshot):
        host.order(SimulateChallenge(**host.engine.issue()))


def interval(bounds: Sequence[float], digits: int = 1) -> str:
    """``60.3–62.3 %``."""
    low, high = bounds
    return f"{100 * low:.{digits}f}–{100 * high:.{digits}f} %"


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """How likely is it passed?"""
    job, found = snapshot.active_job(KIND), document_of(snapshot)
    if job is not None:
        return headline(f"Playing challenges: {_attempts_done(job)}.")
    if ended_badly(snapshot) is not None:
        return headline("The odds could not be told.", alarm=True)
    if not found:
        return headline("No odds of this challenge yet.")
    low, high = (f"{100 * bound:.0f}" for bound in found["sampling"])
    rate = numbers.share(found["pass_rate"])
    return headline(f"{rate} pass; the history's days put it between {low} and {high} %.")


def _attempts_done(job: JobView) -> str:
    if not job.total:
        return "beginning"
    return f"{numbers.count(job.done)} of {numbers.count(job.total)} attempts"


def side_lines(snapshot: ConsoleSnapshot, width: int) -> list[Line]:
    """The newest odds in a side panel, or how far they are; nothing before the first."""
    job, found = snapshot.active_job(KIND), document_of(snapshot)
    if job is not None:
        return _progress(job, width)
    failed = ended_badly(snapshot)
    if failed is not None:
        told = [line(pad(1), row, ink="orange") for row in wrap(opening(failed.message) + ".", width - 2)]
        return [rule(TITLE, Span("✗ not told", "orange+b"), width), *told]
    if not found:
        return []
    return _figures(found, width)


def _progress(job: JobView, width: int) -> list[Line]:
    stage = str(job.detail.get("stage", ""))
    share = "" if job.fraction is None else numbers.percent(job.fraction, 0)
    words = ", ".join(part for part in (_attempts_done(job), stage) if part)
    return [
        rule(TITLE, share, width),
        Line((pad(1), *progress(job.fraction, width - 1))),
        line(pad(1), Span(words, "muted")),
    ]


def _figures(found: Mapping[str, Any], width: int) -> list[Line]:
    ends, days, source = found["endings"], found["days_to_pass"], found["source"]
    rows: list[tuple[str, Cell]] = [
        (
            f"pass of {numbers.count(found['attempts'])} attempts",
            Span(numbers.share(found["pass_rate"]), "strong+b"),
        ),
        ("  Monte-Carlo", interval(found["monte_carlo"])),
        ("  sampling", interval(found["sampling"], 0)),
        ("days to pass, p10 median p90", _days(days)),
        ("daily loss breaks", numbers.share(ends["daily"])),
        ("total loss breaks", numbers.share(ends["total"])),
        ("halted at the total stop", numbers.share(ends["total_stop"])),
        (f"undecided at {found['max_days']} days", numbers.share(ends["undecided"])),
    ]
    best = found["best_day"]
    if best is not None:
        rows.append(("passes the best day delays", numbers.share(best["delayed"])))
    note = f"{source['days']:,} {source['kind']} days"
    return [
        rule(TITLE, note, width),
        *(pair(label, value, width, indent=1) for label, value in rows),
    ]


def _days(days: Mapping[str, int] | None) -> str:
    return "none passed" if days is None else f"{days['p10']} {days['median']} {days['p90']}"


def histogram_lines(found: Mapping[str, Any], width: int) -> list[Line]:
    """Days to pass: a bar for each range of days."""
    days, bins = found["days_to_pass"], found["histogram"]
    lines = [rule("Days to pass", "" if days is None else f"median {days['median']}", width)]
    if not bins:
        return [*lines, line(pad(1), Span("no attempt passed", "muted"))]
    bar = min(_MOST_BAR, width - 1 - _LABEL - 1 - _COUNT - 1)
    most = max(item["attempts"] for item in bins)
    for item in bins:
        label = f"{item['from']}–{item['to']}" if item["from"] < item["to"] else str(item["from"])
        filled = tuple(span for span in progress(item["attempts"] / most, bar) if span.ink != "rule")
        lines.append(
            line(
                pad(1), *fit(Span(label, "muted"), _LABEL, "right"),
                *fit(Span(numbers.count(item["attempts"])), _COUNT + 1, "right"), pad(1), *filled,
            )
        )  # fmt: skip
    return lines


def risks_table(found: Mapping[str, Any]) -> Table:
    """The same odds at other risks a trade; the asked one is marked."""
    columns = [
        Column("risk", 7, "right"),
        Column("passes", 8, "right"),
        Column("Monte-Carlo", 13, "right"),
        Column("daily", 7, "right"),
        Column("total", 7, "right"),
        Column("undecided", 9, "right"),
        Column("days", 5, "right"),
    ]
    rows = tuple(_risk_row(found, row) for row in found["sensitivity"])
    least = min(row["attempts"] for row in found["sensitivity"])
    own = f"{found['risk_pct']:g}"
    note = f"{numbers.count(least)} attempts each, {found['account']}"
    return Table("risks", "Risk a trade", note, tuple(columns), rows, _HEADS, start=own)


def _risk_row(found: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
    ends, own = row["endings"], row["risk_pct"] == found["risk_pct"]
    cells: tuple[Cell, ...] = (
        Span(f"{row['risk_pct']:.2f} %"),
        Span(numbers.share(row["pass_rate"]), "strong+b" if own else "text"),
        Span(interval(row["monte_carlo"]), "muted"),
        Span(numbers.share(ends["daily"])),
        Span(numbers.share(ends["total"] + ends["total_stop"])),
        Span(numbers.share(ends["undecided"])),
        Span(numbers.count(row["median_days"])),
    )
    low, high = row["monte_carlo"]
    plain = (
        row["risk_pct"], row["attempts"], row["pass_rate"], low, high, ends["daily"], ends["total"],
        ends["total_stop"], ends["undecided"], row["median_days"],
    )  # fmt: skip
    sign = Span("✓" if own else " ", "blue")
    return Row(f"{row['risk_pct']:g}", cells, sign, tuple(repr(value) for value in plain))


def add_page(page: Page, snapshot: ConsoleSnapshot) -> None:
    """All of it: what ended the attempts beside the days to pass, warnings, other risks, assumptions."""
    extent = page.extent
    job, found = snapshot.active_job(KIND), document_of(snapshot)
    failed = ended_badly(snapshot)
    if job is not None:
        page.add(*_progress(job, extent.width))
        page.gap()
    elif failed is not None:
        page.add(rule(TITLE, Span("✗ not told", "orange+b"), extent.width))
        page.add(*paragraph(f"{opening(failed.message)}.", extent.width, indent=2))
        page.add(*paragraph(failed.remedy, extent.width, indent=2, ink="muted"))
        page.gap()
    if found:
        _add_found(page, found)
    elif job is None and failed is None:
        page.add(*_none_yet(extent.width))


def _none_yet(width: int) -> list[Line]:
    return empty_state(
        "How likely this challenge is passed stands here, with the days it takes and what ends the others: "
        "10,000 attempts, drawn from whole days of a replay's trades. It takes some seconds.",
        keys=(("o", "play them"),),
        width=min(78, width),
    )


def _add_found(page: Page, found: Mapping[str, Any]) -> None:
    extent = page.extent
    left = _LEFT if extent.narrow else _LEFT + 2
    page.add(*beside(_figures(found, left), histogram_lines(found, extent.width - left - _GAP), left, _GAP))
    for text in found["warnings"]:
        rows = wrap(f"! {opening(text)}.", extent.width - 2)
        page.add(*(line(pad(1), row, ink="orange") for row in rows[: 3 if extent.tall else 1]))
    if extent.tall:
        page.gap()
    table = risks_table(found)
    page.table(table, rows=len(table.rows) if extent.tall else None)
    if extent.tall:
        page.gap()
        page.add(rule("Drawn from", "", extent.width))
        page.add(*(line(pad(1), row) for row in _source(found)))
        page.gap()
        page.add(rule("Assumed", "docs/challenge.md", extent.width))
        for text in found["assumptions"]:
            page.add(*(line(pad(1), row, ink="muted") for row in wrap(text, extent.width - 2)))


def _source(found: Mapping[str, Any]) -> list[str]:
    source = found["source"]
    traded = f"{source['trades']:,} trades on {source['traded_days']:,} of {source['days']:,} days"
    played = f"{found['risk_pct']:g} % risk a trade, {found['account']}, seed {found['seed']}"
    return [
        f"{source['run']}, {source['first_day']} to {source['last_day']}",
        f"{traded}, mean {source['mean_r']:+.3f} R net, costs: {source['costs']}",
        f"{played}, trades {source['sha256'][:16]}",
    ]
