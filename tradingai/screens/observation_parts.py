"""Parts of the Observation screen: criteria, snapshots, delivery, the comparison, as lines and tables."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tradingai.engine.queries.observation_views import (
    TIERS,
    Criterion,
    DaySnapshot,
    ObservationView,
    hours_words,
)
from tradingai.screens.observation_words import STATE_WORDS, detail_words, moment_text, states_text
from tradingai.screens.view import Extent
from tradingai.widgets import numbers
from tradingai.widgets.bars import threshold_bar
from tradingai.widgets.line import Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Column, Row, Table, pair, rule

CRITERION_HEADS: Final = ("criterion", "state", "measured", "note", "threshold", "evidence", "command")
SNAPSHOT_HEADS: Final = ("day", "state", "due", "written", "json", "markdown")


# -- criteria


def criteria_table(view: ObservationView, extent: Extent, *, full: bool, width: int) -> Table:
    """The six, each with what was measured; ``full``: with evidence and command under every one."""
    columns = (
        Column("criterion", 0),
        Column("measured", 18, "right"),
        Column("", 19 if extent.narrow else 26, gap=3),
    )
    rows = tuple(_criterion_row(one, width if full else 0) for one in view.criteria)
    note = [Span(states_text(view), "muted")]
    if view.baseline is not None and view.baseline.synthetic:
        note.insert(0, Span("SYNTHETIC, ", "muted"))
    leading = next((one.id for one in view.criteria if one.state in {"failed", "insufficient", "short"}), "")
    decided = view.verdict.decided_by or leading
    return Table(
        "criteria", "Exit criteria", tuple(note), columns, rows, CRITERION_HEADS, start=decided or ""
    )


def _criterion_row(one: Criterion, width: int) -> Row:
    sign, ink, word = STATE_WORDS[one.state]
    attention = one.state in {"short", "insufficient", "failed"}
    cells = (Span(one.title), Span(one.measured), Span(one.note, "orange" if attention else "muted"))
    plain = (one.id, word, one.measured, one.note, one.threshold, one.evidence, one.command)
    below = tuple(evidence_lines(one, width, rows=9)) if width else ()
    return Row(one.id, cells, Span(sign, ink), plain, below, words=one.title)


def evidence_lines(one: Criterion, width: int, *, rows: int) -> list[Line]:
    """What was looked at and what would have to change, then the command that measures it again."""
    word, text = detail_words(one)
    head = f"{word.text} "
    wrapped = wrap(f"{head}{text}", width - 4)
    lines: list[Line] = []
    for index, row in enumerate(wrapped):
        if index == 0 and row.startswith(head.strip()):
            lines.append(line(pad(4), word, Span(row[len(word.text) :])))
        else:
            lines.append(line(pad(4), row))
    if one.command and len(lines) < rows - 1:
        label = "next   " if one.state == "open" else "again  "
        lines += [line(pad(4), Span(label, "muted"), Span(one.command, "muted"))]
    return lines[:rows]


# -- snapshots and delivery


def snapshot_lines(view: ObservationView, now: datetime, width: int, rows: int) -> list[Line]:
    """The newest days and the next one, in as many rows."""
    lines = [rule("Snapshots", view.folder, width)]
    days = view.snapshots[-rows:] if rows > 0 else ()
    if not days:
        lines.append(line(pad(2), Span("day0 is written when the clock begins", "muted")))
    for one in days:
        sign, when, what = _snapshot_words(one, now)
        head = (pad(2), sign, pad(1), *fit(one.day, 6), *fit(when, 14))
        taken = sum(item.width for item in head)
        lines.append(line(*head, *fit(what, max(0, width - taken), "right")))
    return lines


def _snapshot_words(one: DaySnapshot, now: datetime) -> tuple[Span, str, Span]:
    """Sign, time, and what there is of it."""
    when = numbers.day_time(one.written_at or one.due_at, now)
    if one.problem:
        return Span("!", "orange"), when, Span(one.problem, "orange")
    if one.state == "written":
        return Span("✓", "blue"), when, Span("json, md")
    if one.state == "partial":
        return Span("●", "blue"), when, Span("partial: json, md", "muted")
    if one.state == "lost":
        return Span("!", "orange"), when, Span("files are gone, w", "orange")
    if one.state == "due":
        return Span("!", "orange"), when, Span("due, not written", "orange")
    left = hours_words(max(0.0, (one.due_at - now).total_seconds()))
    return Span("○", "faint"), when, Span(f"due in {left}", "muted")


def snapshots_table(view: ObservationView, now: datetime) -> Table:
    """All days with their files, for a wide screen."""
    columns = (
        Column("day", 6),
        Column("due", 12),
        Column("written", 12),
        Column("files", 0),
    )
    rows = []
    for one in view.snapshots:
        sign, _, what = _snapshot_words(one, now)
        files = (
            Span(one.json_path.rpartition("/")[2] + ", " + one.markdown_path.rpartition("/")[2])
            if one.state in {"written", "partial"} and one.json_path
            else what
        )
        written = "" if one.written_at is None else numbers.day_time(one.written_at, now)
        plain = (
            one.day,
            one.state,
            one.due_at.isoformat(),
            "" if one.written_at is None else one.written_at.isoformat(),
            one.json_path,
            one.markdown_path,
        )
        due = Span(numbers.day_time(one.due_at, now), "muted")
        rows.append(Row(one.day, (Span(one.day), due, Span(written), files), sign, plain))
    return Table("snapshots", "Snapshots", view.folder, columns, tuple(rows), SNAPSHOT_HEADS)


def delivery_lines(view: ObservationView, width: int) -> list[Line]:
    """What became of the alerts of the last day."""
    delivery = view.delivery
    head = rule("Telegram", f"{delivery.hours:g} h", width)
    if not delivery.configured:
        said = "off: without TELEGRAM_TOKEN no signal can be delivered, and the criterion cannot hold"
        return [head, *(line(pad(1), Span(row, "orange")) for row in wrap(said, width - 2))]
    whole = delivery.delivered == delivery.total
    p50, p95 = numbers.decimal(delivery.p50_s, 1), numbers.decimal(delivery.p95_s, 1)
    repeats = f"{delivery.repeats} marked" if delivery.repeats else "0"
    return [
        head,
        pair(
            "delivered",
            Span(f"{delivery.delivered:,} of {delivery.total:,}", "text" if whole else "orange"),
            width,
            indent=1,
        ),
        pair("p50 / p95", f"{p50} / {p95} s", width, indent=1),
        pair("repeats", repeats, width, indent=1),
        pair(
            "dead letters", Span(f"{delivery.dead:,}", "orange" if delivery.dead else "text"), width, indent=1
        ),
    ]


# -- beside the backtest


def win_lines(view: ObservationView, width: int) -> list[Line]:
    """The observed win rate with its interval, beside the backtest's."""
    seen, base = view.observed, view.baseline
    lines = [rule("Win rate", numbers.plural(seen.trades, "closed trade"), width)]
    lines.append(pair("observed", Span(numbers.percent(seen.win_rate), "strong+b"), width, indent=1))
    if seen.low is not None and seen.high is not None:
        span = f"{100 * seen.low:.1f}–{numbers.percent(seen.high)}"
        lines.append(pair("95 % interval", span, width, indent=1))
        lines += [line(pad(1), Span(row, "muted")) for row in wrap(seen.method, width - 2)]
    if base is None:
        lines.append(pair("backtest", "none yet", width, indent=1))
    else:
        lines.append(pair("backtest", numbers.percent(base.win_rate), width, indent=1))
        if seen.win_rate is not None and base.win_rate is not None:
            lines.append(pair("difference", numbers.points(seen.win_rate - base.win_rate), width, indent=1))
    lines.append(pair("net", _r(seen.net_r), width, indent=1))
    if seen.missing_trades:
        left = "" if seen.missing_s is None else f", about {hours_words(seen.missing_s)} h"
        lines.append(pair("still needed", f"{seen.missing_trades:,} trades{left}", width, indent=1))
    return lines


def _r(value: float | None) -> str:
    return numbers.NOTHING if value is None else numbers.signed_minus(f"{value:+.2f} R")


def tier_lines(view: ObservationView, width: int) -> list[Line]:
    """Each tier's share of the scored decisions; the mark is the backtest's."""
    seen, base = view.observed, view.baseline
    note = f"{seen.scored:,} scored decisions"
    lines = [rule("Tiers", note, width)]
    bar = max(8, width - 30)
    for tier in TIERS:
        share = seen.tiers.get(tier)
        there = None if base is None else base.tiers.get(tier)
        if share is None and there is None:
            continue
        cells = threshold_bar(share or 0.0, there, bar, "muted") if there is not None else (pad(bar),)
        number = numbers.percent(share, 1)
        of = f"of {numbers.percent(there, 1)}" if there is not None else ""
        lines.append(
            line(
                pad(1), *fit(tier, 7), *cells, *fit(number, 8, "right"), *fit(Span(of, "muted"), 11, "right")
            )
        )
    return lines


def baseline_lines(view: ObservationView, width: int) -> list[Line]:
    """Which run the observation is compared with, and how to make it again."""
    base = view.baseline
    if base is None:
        return []
    kind = " SYNTHETIC" if base.synthetic else ""
    days = (base.end - base.start).total_seconds() / 86_400
    lines = [
        rule("Backtest", f"{days:.1f} days{kind}", width),
        pair("trades", f"{base.trades:,}", width, indent=1),
        pair("until", f"{base.end:%Y-%m-%d %H:%MZ}", width, indent=1),
        pair("threshold", f"{base.threshold:.2f}", width, indent=1),
    ]
    lines += [line(pad(1), Span(row, "muted")) for row in wrap(base.command, width - 2)]
    return lines


def restart_lines(view: ObservationView, width: int, *, most: int = 3) -> list[Line]:
    """When the clock began anew, newest first."""
    if not view.restarts:
        return []
    lines = [rule("Restarts", f"{len(view.restarts):,}", width)]
    for one in view.restarts[::-1][:most]:
        text = f"{moment_text(one.at)}: {one.text}, {hours_words(one.hours_lost * 3600)} h lost"
        lines += [
            line(Span("×" if index == 0 else " ", "orange"), pad(1), row)
            for index, row in enumerate(wrap(text, width - 3))
        ]
    return lines


def approval_lines(view: ObservationView, now: datetime, width: int) -> list[Line]:
    """Who approved, and whether it still counts."""
    if not view.approvals:
        return []
    newest = view.approvals[-1]
    counts = Span("✓ counts", "blue") if newest.counts else Span("given before a restart", "orange")
    return [
        rule("Approval", counts, width),
        pair(newest.who, f"{numbers.day_time(newest.at, now)}, {newest.surface}", width, indent=1),
    ]
