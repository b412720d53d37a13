"""5 Gates: may this model go live?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.report import EvaluationReport, GateResult
from tradingai.engine.core.symbols import ENSEMBLE, MULTI_COIN_MODELS
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens import gate_parts, steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.ensemble_parts import agent_lines, beside, made_lines, short_lines
from tradingai.screens.gate_words import (
    chosen,
    coin_report,
    coins_line,
    made_text,
    models_line,
    sentence,
    subjects,
)
from tradingai.screens.overview_parts import context
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.candlesticks import paint_reliability
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, line, pad
from tradingai.widgets.section import Column, Row, Table, rule, stack

GATE_ROWS: Final = 5 * (1 + gate_parts.EVIDENCE_ROWS)
"""Lines of five gates with all their evidence."""
HEADS: Final = ("gate", "verdict", "value", "threshold", "margin", "detail")


def first(lines: list[Line], most: int) -> list[Line]:
    """The first lines; what is left out is marked."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], lines[most - 1] + line(Span(" …", "muted"))]


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
            certificate = self.selection.option("evidence") == "certificate" and self.report.passed
            self.page.add(
                *gate_parts.certificate_page(item, self.report, self.extent.width)
                if certificate
                else gate_parts.evidence_lines(self.report, gate, self.extent.width)
            )
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
        long = "about a minute" if item.model in MULTI_COIN_MODELS else "about 20 s"
        if item.model == ENSEMBLE:
            text = made_text(self.snapshot, item)
            keys: tuple[tuple[str, str], ...] = (("v", "makes and evaluates it"),)
        elif item.trained:
            text = (
                f"{item.model} has not been evaluated. Evaluation takes {long} and counts as attempt "
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
        keys += self._evidence_keys()
        if item.rollback_to is not None:
            keys.append(Key("b", "roll back", "make the version before live again", "rollback"))
        if sum(len(subjects(item)) for item in self.snapshot.evaluations) > 1:
            keys.append(Key("brackets", "model", "previous, next model", "next_item"))
        return tuple(keys)

    def _evidence_keys(self) -> list[Key]:
        if self.report is None:
            return []
        keys = [Key("enter", "evidence", "all that the gate looked at", "open")]
        if self.report.passed and self.job is None:
            keys.append(Key("c", "certificate", "what this version was judged on", "certificate"))
        return keys


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

    def do_certificate(self) -> None:
        """What the version was judged on."""
        self.select(self.selection.with_option("evidence", "certificate"))

    def do_back(self) -> None:
        """Close the evidence, else as everywhere."""
        if self.selection.option("evidence"):
            self.select(self.selection.with_option("evidence", ""))
        else:
            super().do_back()
