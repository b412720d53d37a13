"""5 Gates: may this model go live?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.report import EvaluationReport, GateResult
from tradingai.engine.core.symbols import model_kind
from tradingai.engine.queries.ensemble_views import ENSEMBLE
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens import gate_parts, steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.ensemble_parts import agent_lines, made_lines, short_lines
from tradingai.screens.overview_parts import context
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
from tradingai.widgets.bars import progress
from tradingai.widgets.candlesticks import paint_reliability
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, crop, fit, line, pad
from tradingai.widgets.section import Column, Row, Table, rule, stack

GATE_ROWS: Final = 5 * (1 + gate_parts.EVIDENCE_ROWS)
"""Lines of five gates with all their evidence."""
HEADS: Final = ("gate", "verdict", "value", "threshold", "margin", "detail")


def chosen(snapshot: ConsoleSnapshot, wanted: str) -> EvaluationView | None:
    """The model looked at: the chosen one, else one that is refused, else the first with a report, else
    the first.
    """
    by_model = {item.model: item for item in snapshot.evaluations}
    model = wanted.partition(" ")[0]
    if model in by_model:
        return by_model[model]
    running = snapshot.active_job("evaluate")
    if running is not None and running.target in by_model:
        return by_model[running.target]
    refused = [item for item in snapshot.evaluations if item.report and not item.report.passed]
    reported = [item for item in snapshot.evaluations if item.report]
    return next(iter(refused or reported or snapshot.evaluations), None)


def subjects(item: EvaluationView) -> tuple[str, ...]:
    """What there is to look at: the model, or each of its coins (``transformer BTC-USD``)."""
    if item.report is None or len(item.report.coins) == 1:
        return (item.model,)
    return tuple(f"{item.model} {symbol}" for symbol in item.report.symbols)


def coin_report(item: EvaluationView, wanted: str) -> EvaluationReport | None:
    """The report of the coin that is looked at: the chosen one, else one that is refused, else the first."""
    if item.report is None:
        return None
    _, _, symbol = wanted.partition(" ")
    if symbol in item.report.symbols:
        return item.report.coin(symbol)
    refused = (report for report in item.report.coins if not report.passed)
    return next(refused, item.report.coins[0])


def sentence(
    item: EvaluationView | None, report: EvaluationReport | None, job: JobView | None, last: JobView | None
) -> Line:
    """May it go live?"""
    if item is None:
        return headline("There is no model yet that could be evaluated.")
    if job is not None:
        what = (
            f"leakage battery {numbers.count(job.done)} of {numbers.count(job.total)}"
            if job.unit == "checks"
            else "measuring"
        )
        return headline(f"{item.model} is being evaluated: {what}.")
    if last is not None and last.state in {"failed", "interrupted"}:
        return headline(f"{opening(last.title)}: {last.message}", alarm=True)
    if item.problem is not None:
        return headline(f"{opening(item.problem.message)}.", alarm=True)
    if report is None:
        return headline(f"{item.model} has not been evaluated.")
    return _verdict(item, report)


def _verdict(item: EvaluationView, report: EvaluationReport) -> Line:
    passed = sum(1 for gate in report.gates if gate.passed)
    several = item.report is not None and len(item.report.coins) > 1
    name = f"{item.model} {item.version or report.version}{f' on {report.symbol}' if several else ''}"
    if report.exploratory:
        return headline(
            f"EXPLORATORY: {name} passes {passed} of {len(report.gates)} looser gates.", alarm=True
        )
    if report.passed:
        live = "and is live" if item.version == item.live_version else "and may be promoted"
        if item.report is not None and not item.report.passed:
            live = "and is refused on another coin"
        return headline(f"{name} passes all {len(report.gates)} gates {live}.")
    return headline(f"{name} is refused: {passed} of {len(report.gates)} gates pass.")


def first(lines: list[Line], most: int) -> list[Line]:
    """The first lines; what is left out is marked."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], lines[most - 1] + line(Span(" …", "muted"))]


def models_line(snapshot: ConsoleSnapshot, model: str, extent: Extent) -> Line:
    """All models with their verdicts; the selected one underlined."""
    spans: list[Span] = []
    looked_at, _, coin = model.partition(" ")
    for item in snapshot.evaluations:
        if spans:
            spans.append(pad(3 if extent.narrow else 4))
        report = item.report
        mark = (
            Span("○ ", "faint")
            if report is None
            else Span("✓ ", "blue")
            if report.passed
            else Span("✗ ", "orange")
        )
        name = item.model if not extent.narrow else item.model.replace("lstm_", "lstm ").removesuffix("-USD")
        target = ("action", f"model:{item.model}")
        spans += [
            mark._replace(target=target),
            Span(name, "strong+bu" if item.model == looked_at else "muted", target),
        ]
        if coin and item.model == looked_at:
            spans.append(
                Span(f" {coin.removesuffix('-USD') if extent.narrow else coin}", "strong+bu", target)
            )
    return Line(tuple(spans))


def coins_line(item: EvaluationView, report: EvaluationReport | None, extent: Extent) -> Line | None:
    """Every coin of a model of several with its verdict, accuracy and what refuses it; the one looked at
    underlined. None of a model of one coin.
    """
    if item.report is None or report is None or len(item.report.coins) < 2:
        return None
    spans: list[Span] = [pad(2)]
    for coin in item.report.coins:
        if len(spans) > 1:
            spans.append(pad(3))
        failed = ", ".join(gate.id for gate in coin.gates if not gate.passed)
        target = ("action", f"model:{item.model} {coin.symbol}")
        mark = Span("✓ ", "blue", target) if coin.passed else Span("✗ ", "orange", target)
        here = coin.symbol == report.symbol
        spans += [
            mark,
            Span(coin.symbol, "strong+bu" if here else "muted", target),
            Span(f" {numbers.percent(coin.accuracy)}", "text" if here else "muted"),
            Span(f" {failed}" if failed else "", "orange"),
        ]
    return Line(crop(tuple(spans), extent.width))


def beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two groups of lines in columns of ``width``."""
    rows = max(len(left), len(right))
    columns = ([*group, *[BLANK] * (rows - len(group))] for group in (left, right))
    return [
        Line((*fit(first_one.spans, width), pad(4), *second.spans))
        for first_one, second in zip(*columns, strict=True)
    ]


def made_text(snapshot: ConsoleSnapshot, item: EvaluationView) -> str:
    """What evaluating an ensemble would make it of."""
    live = [
        f"{other.model} {other.live_version}"
        for other in snapshot.evaluations
        if other.live_version and other.model != ENSEMBLE
    ]
    kinds = {model_kind(name.partition(" ")[0]) for name in live}
    of = f"of what is live ({', '.join(live)})" if len(kinds) > 1 else "of the newest version of every model"
    return (
        f"The ensemble has not been evaluated. It is made {of}, with a calibrator for each choice of "
        f"models, and counts as attempt {item.next_attempt or 1} on this test data."
    )


class GatesPage:
    """Makes the gates screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.item = chosen(snapshot, selection.model)
        self.report = coin_report(self.item, selection.model) if self.item else None
        model = self.item.model if self.item else ""
        self.job = snapshot.active_job("evaluate", model)
        self.last = snapshot.last_job("evaluate", model)
        self.page = Page(extent, selection, ("gates",))

    def view(self) -> View:
        """Models, gates, what would have to change, reliability and tiers."""
        extent, page = self.extent, self.page
        slots: list[Slot] = []
        width = extent.columns - extent.side
        if self.item is None:
            page.add(
                BLANK,
                *empty_state(
                    "Each model's five gates stand here: accuracy, calibration, leakage, "
                    "significance and sample. "
                    "A model is evaluated after it was trained.",
                    keys=(("4", "Training, where t trains one"),),
                    width=min(78, extent.width),
                ),
            )
        else:
            page.add(models_line(self.snapshot, self._subject(), extent))
            coins = coins_line(self.item, self.report, extent)
            if coins is None or extent.tall:
                page.gap()
            if coins is not None:
                page.add(coins)
                if extent.tall:
                    page.gap()
            slots = self._body(self.item)
        slots.insert(0, Slot("main", 0, 0, width, len(page.lines), tuple(page.lines)))
        return View(
            headline=sentence(self.item, self.report, self.job, self.last),
            context=line(Span(context(self.snapshot, extent), "muted")),
            slots=tuple(slots),
            side=self._side() if extent.wide else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(),
            items=tuple(name for item in self.snapshot.evaluations for name in subjects(item)),
            item=self._subject(),
        )

    def _body(self, item: EvaluationView) -> list[Slot]:
        if self.report is None and self.job is None:
            remedy = self.last.remedy if self.last is not None and self.last.state == "failed" else ""
            if item.problem is not None:
                remedy = item.problem.remedy
            if remedy:
                self.page.add(*paragraph(remedy, self.extent.width, indent=2))
                return []
            self._never(item)
            return []
        table = self._table(item)
        self.page.table(table, heads=not self.extent.narrow, rows=GATE_ROWS)
        row = self.page.cursor(table)
        gate = next((gate for gate in self._gates() if row and gate.id == row.key), None)
        if self.job is not None:
            self._working(self.job)
        if self.report is None:
            return []
        if self.selection.option("evidence") and gate is not None:
            self.page.gap()
            self.page.add(*gate_parts.evidence_lines(self.report, gate, self.extent.width))
            return []
        if gate is not None and self.job is None:
            self._why(gate)
        self._made_of(item, self.report.symbol)
        return self._charts(self.report)

    def _made_of(self, item: EvaluationView, symbol: str) -> None:
        """Of an ensemble: its parts and the agent's, beside one another where there is room."""
        extent, page = self.extent, self.page
        if extent.wide or item.ensemble is None:
            return
        if not extent.tall:
            page.add(*short_lines(item, symbol, extent.width))
            return
        page.gap()
        half = (extent.width - 4) // 2
        page.add(
            *beside(made_lines(item, symbol, half), agent_lines(item, half), half)
            if not extent.narrow
            else [*made_lines(item, symbol, extent.width), *agent_lines(item, extent.width)]
        )

    def _subject(self) -> str:
        if self.item is None:
            return ""
        several = self.item.report is not None and len(self.item.report.coins) > 1
        return f"{self.item.model} {self.report.symbol}" if several and self.report else self.item.model

    def _gates(self) -> tuple[GateResult, ...]:
        return self.report.gates if self.report is not None and self.job is None else ()

    def _table(self, item: EvaluationView) -> Table:
        extent = self.extent
        columns = (
            Column("", 4),
            Column("gate", 12, gap=2),
            Column("measured", 9, "right", gap=1),
            Column("threshold", 9, "right", gap=2),
            Column("margin", 9, "right", gap=2),
            Column("", 0, gap=3),
        )
        bar = extent.width - 4 - sum(column.width + column.gap for column in columns[1:]) - 4
        evidence = extent.width if extent.wide and extent.tall else 0
        rows: tuple[Row, ...]
        if self.report is not None and self.job is None:
            rows = tuple(gate_parts.gate_row(gate, bar, evidence=evidence) for gate in self.report.gates)
            note = f"attempt {self.report.attempt}, α {self.report.alpha:.4f}"
            if extent.wide:
                digest = numbers.hash8(str(self.report.inputs.get("test_sha256", "")))
                note = f"attempt {self.report.attempt} on test data {digest}, α {self.report.alpha:.4f}"
        else:
            rows = gate_parts.open_rows(self.job, bar)
            note = f"attempt {item.next_attempt}" if item.next_attempt else ""
        failed = next((gate.id for gate in self._gates() if not gate.passed), "")
        return Table("gates", "Gates", note, columns, rows, HEADS, named=1, start=failed)

    def _working(self, job: JobView) -> None:
        share = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
        step = str(job.detail.get("check") or job.detail.get("step") or "")
        bar = min(36, self.extent.width - 40)
        self.page.gap()
        self.page.add(
            Line((pad(2), *progress(job.fraction, bar), Span(f"{share:>6}"), pad(3), Span(step, "muted")))
        )
        if self.report is not None:
            self.page.gap()

    def _why(self, gate: GateResult) -> None:
        page, width = self.page, self.extent.width
        if self.extent.wide and self.extent.tall:
            if gate.to_pass:
                page.gap()
                page.add(
                    rule("What would have to change", gate.id, width),
                    *paragraph(gate.to_pass, width, indent=2),
                )
                if self.item is not None and self.item.next_alpha is not None:
                    text = (
                        f"The next evaluation is attempt {self.item.next_attempt} "
                        f"and uses α {self.item.next_alpha:.4f}."
                    )
                    page.add(*paragraph(text, width, indent=2, ink="muted"))
            return
        most = 2 if self.extent.tall else 1
        page.add(*first(paragraph(gate.detail, width, indent=2), most))
        if self.last is not None and self.last.state == "failed":
            page.add(*first(paragraph(self.last.remedy, width, indent=2, ink="orange"), most))
        elif gate.to_pass:
            page.add(*first(gate_parts.to_pass_lines(gate, width), most))

    def _charts(self, report: EvaluationReport) -> list[Slot]:
        """Reliability, tiers and baselines in the rows that are left; on 80 columns side by side."""
        extent, page = self.extent, self.page
        page.gap()
        room = page.room
        if room < 6:
            return []
        gap = 4 if not extent.narrow else 3
        top = len(page.lines)
        left = (extent.width - gap) // 2
        right = extent.width - gap - left
        points = [
            (item.confidence, item.hit_rate)
            for item in report.reliability
            if item.confidence is not None and item.hit_rate is not None
        ]
        tiers = gate_parts.tier_lines(report, left, full=left >= gate_parts.FULL_TIERS)
        if len(tiers) + len(report.baselines) + 2 <= room:
            tiers += [BLANK, *gate_parts.baseline_lines(report, left)]
        height = min(room - 1, 22)
        picture = paint_reliability(points, right, height)
        title = (
            rule("Reliability", "hit by said" if extent.narrow else "hit rate by said confidence", right),
        )
        return [
            Slot("tiers", 0, top, left + 2, room, tiers),
            Slot("title", 1 + left + gap - 1, top, right + 2, 1, title),
            Slot("reliability", 1 + left + gap, top + 1, right, height, picture),
        ]

    def _never(self, item: EvaluationView) -> None:
        extent = self.extent
        if item.model == ENSEMBLE:
            text = made_text(self.snapshot, item)
            keys: tuple[tuple[str, str], ...] = (("v", "makes and evaluates it"),)
        elif item.trained:
            text = (
                f"{item.model} has not been evaluated. Evaluation takes about 20 s and counts as attempt "
                f"{item.next_attempt or 1} on this test data."
            )
            keys = (("v", "evaluates it"),)
        else:
            text = f"{item.model} has not been trained yet; its gates stand here after its evaluation."
            keys = (("t", "trains it"),)
        self.page.add(*empty_state(text, keys=keys, width=min(78, extent.width)))

    def _side(self) -> list[Line]:
        item, report = self.item, self.report
        if item is None or report is None:
            return []
        width = self.extent.side_width
        gate = report.thresholds.get("min_accuracy", 0.68)
        return stack(
            made_lines(item, report.symbol, width),
            agent_lines(item, width),
            gate_parts.certificate_lines(item, report, width),
            gate_parts.leakage_lines(report, width),
            gate_parts.score_lines(report, width),
            gate_parts.month_lines(report.months, width),
            gate_parts.session_lines(report.sessions, gate, width),
        )

    def _keys(self) -> tuple[Key, ...]:
        item = self.item
        keys: list[Key] = []
        if item is None:
            return ()
        if self.last is not None and self.last.resumable and self.job is None:
            keys.append(Key("r", "resume", "start the stopped evaluation again", "resume"))
        if (item.trained or item.model == ENSEMBLE) and self.job is None:
            made = "make it of what is live and " if item.model == ENSEMBLE else ""
            text = f"{made}evaluate: states the attempt and its α first"
            keys.append(Key("v", "evaluate", text, "evaluate"))
        if item.promotable:
            keys.append(Key("p", "promote", "make this version live; asks for the model's name", "promote"))
        if self.job is not None:
            keys.append(Key("x", "cancel", "stop the evaluation at its next safe point", "cancel"))
        elif item.model != ENSEMBLE:
            again = "train again" if item.trained else "train"
            keys.append(Key("t", again, "train this model", "train"))
        if self.report is not None:
            keys.append(Key("enter", "evidence", "all that the gate looked at", "open"))
        if item.rollback_to is not None:
            keys.append(Key("b", "roll back", "make the version before live again", "rollback"))
        if sum(len(subjects(item)) for item in self.snapshot.evaluations) > 1:
            keys.append(Key("brackets", "model", "previous, next model", "next_item"))
        return tuple(keys)


class GatesScreen(ConsoleScreen):
    """The promotion checklist of one model."""

    MODE = "gates"
    PANES = ("main", "tiers", "title")
    CHARTS = ("reliability",)

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return GatesPage(snapshot, selection, extent).view()

    @property
    def item(self) -> EvaluationView | None:
        """The model looked at."""
        return chosen(self.host.snapshot, self.selection.model)

    def do_model(self, model: str) -> None:
        """Look at another model."""
        self.choose(model)

    def do_evaluate(self) -> None:
        """Evaluate, after saying what it costs."""
        if self.item is not None:
            steps.evaluate(self.host, [self.item.model])

    def do_promote(self) -> None:
        """Promote, once the name was typed."""
        if self.item is not None:
            steps.promote(self.host, self.item)

    def do_rollback(self) -> None:
        """Roll back, once the version was typed."""
        if self.item is not None:
            steps.roll_back(self.host, self.item)

    def do_train(self) -> None:
        """Train this model; an ensemble is made of trained ones."""
        if self.item is not None and self.item.model == ENSEMBLE:
            self.host.say("An ensemble is not trained: v makes it of what is live.", "warning")
        elif self.item is not None:
            steps.train(self.host, [self.item.model])

    def do_open(self) -> None:
        """The gate's evidence."""
        if self.row() is not None:
            self.select(self.selection.with_option("evidence", "yes"))

    def do_back(self) -> None:
        """Close the evidence, else as everywhere."""
        if self.selection.option("evidence"):
            self.select(self.selection.with_option("evidence", ""))
        else:
            super().do_back()
