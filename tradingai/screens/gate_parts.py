"""Parts of the gates screen: a gate as a row, its bar, tiers, baselines, certificate, leakage battery."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tradingai.engine.core.report import GATE_IDS, EvaluationReport, GateResult, GroupAccuracy
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.snapshot import JobView
from tradingai.widgets import numbers
from tradingai.widgets.bars import gate_bar, threshold_bar
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Row, pair, rule

POINTS_GATES: Final = frozenset({"calibration", "significance"})
TIER_RANGES: Final = {"low": "0.55–0.65", "medium": "0.65–0.75", "high": "0.75–1.00"}
SESSION_TITLES: Final = {"tokyo": "Tokyo", "london": "London", "new_york": "New York", "newyork": "New York"}
OVER_CONFIDENT: Final = 0.05


def measured(gate: GateResult) -> str:
    """The gate's value with its unit."""
    if gate.value is None:
        return numbers.NOTHING
    if gate.unit == "checks":
        return f"{numbers.count(gate.value)} of {numbers.count(gate.threshold)}"
    if gate.unit == "count":
        return numbers.count(gate.value)
    if gate.id in POINTS_GATES:
        return numbers.points(gate.value, sign=gate.id == "significance")
    return numbers.percent(gate.value)


def threshold(gate: GateResult) -> str:
    """What the value has to be."""
    if gate.unit == "checks":
        return f"{numbers.count(gate.threshold)} of {numbers.count(gate.threshold)}"
    if gate.unit == "count":
        return f"{gate.comparison} {numbers.count(gate.threshold)}"
    if gate.id in POINTS_GATES:
        return f"{gate.comparison} {numbers.points(gate.threshold, sign=False)}"
    return f"{gate.comparison} {numbers.percent(gate.threshold)}"


def margin(gate: GateResult) -> str:
    """How far the value is on the good side, negative on the bad one."""
    if gate.margin is None or gate.unit == "checks":
        return numbers.NOTHING
    if gate.unit == "count":
        return numbers.signed_minus(f"{gate.margin:+,.0f}")
    return numbers.points(gate.margin)


def position(gate: GateResult) -> float | None:
    """Where the value stands on the bar, 0.5 being the threshold and right of it always good."""
    value, limit = gate.value, gate.threshold
    if value is None or not math.isfinite(value):
        return None
    if gate.unit == "checks":
        return 1.0 if gate.passed else 0.5 * value / limit if limit else 0.0
    if gate.unit == "count":
        return _split(math.log10(max(value, 1.0)), 0.0, math.log10(max(limit, 1.0)), 4.0)
    if gate.id == "calibration":
        return _split(-value, -2 * limit, -limit, 0.0)
    if gate.id == "significance":
        return _split(value, -0.18, limit, 0.18)
    return _split(value, 0.5, limit, 2 * limit - 0.5)


def _split(value: float, worst: float, limit: float, best: float) -> float:
    if value <= limit:
        return 0.5 * (value - worst) / (limit - worst) if limit > worst else 0.0
    return 0.5 + 0.5 * (value - limit) / (best - limit) if best > limit else 1.0


EVIDENCE_ROWS: Final = 2


def _evidence(gate: GateResult, width: int) -> tuple[Line, ...]:
    """What the gate rests on in two rows; of the leakage battery the checks, which have a section each
    of their own.
    """
    text = gate.detail
    if gate.id == "leakage" and gate.passed:
        text = ", ".join(part.partition(":")[0] for part in gate.detail.split("; "))
    rows = wrap(text, width - 12)
    shown = [*rows[:EVIDENCE_ROWS]]
    if len(rows) > EVIDENCE_ROWS:
        shown[-1] += " …"
    return tuple(line(pad(10), Span(row, "muted")) for row in shown)


def gate_row(gate: GateResult, bar: int, *, evidence: int) -> Row:
    """A decided gate: sign and word, name, measured, threshold, margin, bar; its evidence below when there
    is room.
    """
    ink = "blue" if gate.passed else "orange"
    emphasis = "" if gate.passed else "+b"
    below = _evidence(gate, evidence) if evidence else ()
    return Row(
        gate.id,
        (
            Span("PASS" if gate.passed else "FAIL", f"{ink}+b"),
            Span(gate.id),
            Span(measured(gate), f"text{emphasis}" if gate.passed else "strong+b"),
            Span(threshold(gate), "muted"),
            Span(margin(gate), "text" if gate.passed else "orange+b"),
            gate_bar(position(gate), bar, passed=gate.passed),
        ),
        Span("✓" if gate.passed else "✗", ink),
        plain=(
            gate.id,
            "PASS" if gate.passed else "FAIL",
            "" if gate.value is None else repr(gate.value),
            repr(gate.threshold),
            "" if gate.margin is None else repr(gate.margin),
            gate.detail,
        ),
        below=below,
    )


def open_rows(job: JobView | None, bar: int) -> tuple[Row, ...]:
    """The five gates while none has decided; the battery counts its checks."""
    rows = []
    for name in GATE_IDS:
        value = numbers.NOTHING
        if name == "leakage" and job is not None and job.unit == "checks":
            value = f"{numbers.count(job.done)} of {numbers.count(job.total)}"
        cells = (
            Span("open", "faint"),
            Span(name, "muted"),
            Span(value, "muted"),
            Span("", "muted"),
            Span("", "muted"),
            gate_bar(None, bar, passed=None),
        )
        rows.append(Row(name, cells, Span("○", "faint"), (name, "open", "", "", "", "")))
    return tuple(rows)


FULL_TIERS: Final = 54
"""Columns that ranges and units of the tiers need."""
NARROW_TIERS: Final = 36
"""Columns below which the tiers' numbers move together."""


def tier_lines(report: EvaluationReport, width: int, *, full: bool) -> list[Line]:
    """Said and hit per tier. ``full`` gives the ranges and units in the cells."""
    note = "test range" if full else "bars, said %, hit %, gap"
    lines = [rule("Tiers", note, width)]
    if full:
        lines.append(_tier_cells(("", "", "bars", "said", "hit", "gap"), ("faint",) * 6, width, full=True))
    for tier in report.tiers:
        over = tier.gap is not None and tier.gap > OVER_CONFIDENT
        gap = numbers.NOTHING if tier.gap is None else numbers.signed_minus(f"{-tier.gap * 100:+.1f}")
        said = (
            numbers.percent(tier.confidence) if full else numbers.percent(tier.confidence).removesuffix(" %")
        )
        hit = numbers.percent(tier.hit_rate) if full else numbers.percent(tier.hit_rate).removesuffix(" %")
        ink = "text" if tier.counts else "faint"
        cells = (tier.name, TIER_RANGES.get(tier.name, ""), numbers.count(tier.n), said, hit, gap)
        inks = ("text", "muted", "muted" if tier.counts else "faint", ink, ink, "orange+b" if over else ink)
        lines.append(_tier_cells(cells, inks, width, full=full))
    mae = numbers.percent(report.tier_mae)
    limit = report.thresholds.get("max_calibration_error", OVER_CONFIDENT)
    alarm = report.tier_mae is not None and report.tier_mae > limit
    label = "tier MAE" if full else "MAE"
    lines.append(
        Line(
            (
                pad(2),
                Span(label, "muted"),
                *fit(Span(mae, "orange+b" if alarm else "text"), width - 2 - len(label), "right"),
            )
        )
    )
    return lines


def _tier_cells(cells: Sequence[str], inks: Sequence[str], width: int, *, full: bool) -> Line:
    narrow = (7, 0, 9, 7, 6, 0) if width >= NARROW_TIERS else (7, 0, 8, 6, 6, 0)
    widths = (7, 10, 9, 8, 8, 0) if full else narrow
    spans: list[Span] = [pad(2)]
    used = 2
    for index, (text, ink) in enumerate(zip(cells, inks, strict=True)):
        columns = widths[index]
        if index == 1 and not full:
            continue
        if index == 5:
            columns = width - used
        spans.extend(fit(Span(text, ink), columns, "left" if index < 2 else "right"))
        used += columns
    return Line(tuple(spans))


def baseline_lines(report: EvaluationReport, width: int) -> list[Line]:
    """Each naive rule, and the paired interval of the lead over it."""
    level = (1 - report.alpha) * 100
    lines = [rule("Baselines", f"paired, {level:.2f} %", width)]
    for item in report.baselines:
        interval = numbers.NOTHING
        if item.interval.lo is not None and item.interval.hi is not None:
            interval = f"[{item.interval.lo * 100:.1f}, {item.interval.hi * 100:.1f}]"
        lead = numbers.signed_minus(f"{item.difference * 100:+.1f} {interval}")
        good = item.interval.lo is not None and item.interval.lo > 0
        spans = (
            pad(2),
            *fit(Span(item.name.replace("_", " ")), 16),
            *fit(Span(numbers.percent(item.accuracy)), 8, "right"),
            *fit(Span(lead, "text" if good else "orange+b"), max(0, width - 26), "right"),
        )
        lines.append(Line(spans))
    return lines


def leakage_lines(report: EvaluationReport, width: int, *, indent: int = 0) -> list[Line]:
    """The battery, check by check."""
    passed = sum(1 for check in report.leakage if check.passed)
    lines = [rule("Leakage battery", f"{passed} of {len(report.leakage)}", width)]
    for check in report.leakage:
        mark = Span("✓", "blue") if check.passed else Span("✗", "orange")
        name = check.name.replace("_", " ")
        detail = check.detail if check.passed else ", ".join(check.accused) or check.detail
        ink = "muted" if check.passed else "orange"
        free = width - indent - 2 - len(name) - len(detail)
        head = (pad(indent), mark, pad(1), Span(name))
        if free >= 2:
            lines.append(Line((*head, pad(free), Span(detail, ink))))
        else:
            lines.append(Line(head))
            lines += [line(pad(indent + 4), Span(row, ink)) for row in wrap(detail, width - indent - 4)]
    return lines


def split_text(inputs: Mapping[str, Any]) -> str:
    """Shares of the labelled bars that were trained on, tuned on and tested on, and the bars purged."""
    split = inputs.get("split")
    if not isinstance(split, Mapping):
        return numbers.NOTHING
    bars = {name: bounds[1] - bounds[0] for name, bounds in split.items() if isinstance(bounds, Sequence)}
    parts = (bars["train"], bars["early_stop"] + bars["calibration"], bars["test"])
    shares = " / ".join(f"{100 * part / sum(parts):.0f}" for part in parts)
    return f"{shares}, purge {split['purged_size']}"


def certificate_page(item: EvaluationView, report: EvaluationReport, width: int) -> list[Line]:
    """The certificate in place of the charts."""
    name = f"Certificate {numbers.hash8(item.certificate)}" if item.certificate else "Certificate, not issued"
    return [rule(name, "esc closes", min(width, 60)), *certificate_lines(item, report, min(width, 60))[1:]]


def certificate_lines(item: EvaluationView, report: EvaluationReport, width: int) -> list[Line]:
    """What was evaluated on what, and whether a certificate was issued."""
    inputs = report.inputs
    lines = [
        rule(
            "Certificate", Span(numbers.hash8(item.certificate)) if item.certificate else "not issued", width
        )
    ]
    lines += [
        pair("model", f"{report.model} {item.version or ''}".strip(), width),
        pair("artifact", numbers.hash_groups(str(inputs.get("artifact_sha256", "")), 3), width),
        pair("test data", numbers.hash_groups(str(inputs.get("test_sha256", "")), 3), width),
        pair(
            "features",
            f"{inputs.get('features', '–')}, {numbers.hash_groups(str(inputs.get('features_sha256', '')))}",
            width,
        ),
        pair("split", split_text(inputs), width),
        pair("attempt", f"{report.attempt}, α {report.alpha:.4f}", width),
        pair("evaluated", numbers.day_time(report.evaluated_at), width),
        pair("took", numbers.took(report.seconds), width),
    ]
    if report.synthetic:
        lines.append(pair("candles", Span(f"SYNTHETIC {report.market or ''}".strip(), "strong+b"), width))
    return lines


def month_lines(months: Sequence[GroupAccuracy], width: int) -> list[Line]:
    """The lowest and the highest month."""
    if not months:
        return []
    low = min(months, key=lambda item: item.accuracy)
    high = max(months, key=lambda item: item.accuracy)
    return [
        rule("By month", f"{len(months)} months, accuracy", width),
        pair("lowest", f"{numbers.percent(low.accuracy)}, {low.name}", width),
        pair("highest", f"{numbers.percent(high.accuracy)}, {high.name}", width),
    ]


def session_lines(sessions: Sequence[GroupAccuracy], gate: float, width: int) -> list[Line]:
    """Accuracy by session, the mark being the gate."""
    if not sessions:
        return []
    lines = [rule("By session", "accuracy, mark: gate", width)]
    bar = 18
    span = 3 * max(0.02, *(abs(item.accuracy - gate) for item in sessions))
    for item in sessions:
        value = 0.5 + (item.accuracy - gate) / span
        ink = "blue" if item.accuracy >= gate else "orange"
        text = numbers.percent(item.accuracy)
        title = SESSION_TITLES.get(item.name.replace(" ", "_"), item.name)
        free = width - 12 - bar - len(text)
        lines.append(
            Line(
                (*fit(Span(title, "muted"), 12), *threshold_bar(value, 0.5, bar, ink), pad(free), Span(text))
            )
        )
    return lines


def score_lines(report: EvaluationReport, width: int, *, named: bool = False) -> list[Line]:
    """Scores of the probabilities, and the oracle's accuracy where the market has one; ``named`` says of
    which coin.
    """
    title = f"Scores on {report.symbol}" if named else "Scores"
    lines = [
        rule(title, f"{numbers.count(report.n)} bars", width),
        pair("accuracy", _with_interval(report), width),
        pair("log loss", numbers.decimal(report.log_loss, 4), width),
        pair("Brier score", numbers.decimal(report.brier, 4), width),
        pair("ECE", numbers.percent(report.ece), width),
        pair(f"at {report.coverage.threshold:.2f} and above", _coverage(report), width),
    ]
    if report.oracle is not None:
        lines.append(pair("oracle", numbers.percent(report.oracle.accuracy), width))
    return lines


def _with_interval(report: EvaluationReport) -> str:
    bounds = report.accuracy_ci.bounds
    text = numbers.percent(report.accuracy)
    return f"{text} [{bounds[0] * 100:.1f}, {bounds[1] * 100:.1f}]" if bounds else text


def _coverage(report: EvaluationReport) -> str:
    return f"{numbers.percent(report.coverage.share)} right {numbers.percent(report.coverage.accuracy)}"


def to_pass_lines(gate: GateResult, width: int) -> list[Line]:
    """What would have to change, the label on the first row only."""
    rows = wrap(gate.to_pass, width - 13)
    return [
        line(pad(2), Span("to pass  " if index == 0 else "         ", "muted"), row)
        for index, row in enumerate(rows)
    ]


def evidence_lines(report: EvaluationReport, gate: GateResult, width: int) -> list[Line]:
    """Everything a gate looked at."""
    lines = [rule(f"Evidence: {gate.id}", "esc closes", width)]
    lines += [line(pad(2), text) for text in wrap(f"{gate.detail}.", width - 4)]
    if gate.to_pass:
        lines += to_pass_lines(gate, width)
    lines.append(BLANK)
    if gate.id == "leakage":
        for check in report.leakage:
            mark = Span("✓ ", "blue") if check.passed else Span("✗ ", "orange")
            rows = wrap(check.detail, width - 28)
            lines.append(
                line(
                    pad(2), mark, *fit(Span(check.name.replace("_", " ")), 22), Span(rows[0] if rows else "")
                )
            )
            lines += [line(pad(26), Span(row, "muted")) for row in rows[1:]]
    elif gate.id == "significance":
        lines += baseline_lines(report, width)
    elif gate.id == "accuracy":
        lines += month_lines(report.months, width) + session_lines(report.sessions, gate.threshold, width)
    elif gate.id == "calibration":
        lines += tier_lines(report, min(width, 78), full=True)
    else:
        coverage = report.coverage
        lines += [
            pair("predictions at or above", f"{coverage.threshold:.2f}", width, indent=2),
            pair(
                "bars",
                f"{numbers.count(coverage.n)}, {numbers.percent(coverage.share)} of all",
                width,
                indent=2,
            ),
            pair("non-overlapping", numbers.count(coverage.non_overlapping), width, indent=2),
            pair("days with one", f"{coverage.days} of {coverage.test_days}", width, indent=2),
            pair(
                "busiest day",
                f"{coverage.busiest_day or '–'}, {numbers.percent(coverage.busiest_share)}",
                width,
                indent=2,
            ),
        ]
    return lines
