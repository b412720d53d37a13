"""4 Training: is it learning, and better than before?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.symbols import AGENT
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens import steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.curves import GATE_ACCURACY, accuracy_picture, loss_picture
from tradingai.screens.overview_parts import context
from tradingai.screens.policy_curves import CURVE_IDS, policy_charts
from tradingai.screens.policy_parts import rest_line
from tradingai.screens.run_parts import (
    chosen_model,
    epochs_table,
    overlay_of,
    progress_lines,
    runs_table,
    sentence,
    side_lines,
)
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
from tradingai.widgets.footer import Key
from tradingai.widgets.line import Line, Span, fit, line, pad
from tradingai.widgets.section import Table, pair, rule

METRICS: Final = ("both", "loss", "accuracy")
AGENT_METRICS: Final = ("both", *CURVE_IDS)


def metrics_of(model: str) -> tuple[str, ...]:
    """What ``m`` goes through."""
    return AGENT_METRICS if model == AGENT else METRICS


class TrainingPage:
    """Makes the training screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.model = chosen_model(snapshot, selection.model)
        self.runs = snapshot.runs_of(self.model)
        self.run = self.runs[0] if self.runs else None
        self.job = snapshot.active_job("train", self.model)
        self.overlay = overlay_of(self.runs, selection.option("compare"))
        self.evaluation = snapshot.evaluation(self.model)
        self.page = Page(extent, selection, ("runs",))

    def view(self) -> View:
        """Charts, the running job, the runs."""
        extent = self.extent
        width = extent.columns - extent.side
        slots: list[Slot] = []
        table = runs_table(self.model, self.runs, self.job, self.overlay, extent, self.selection.filter)
        top = 0
        detail = self.selection.option("detail") and self.page.cursor(table)
        below = self._below(table)
        if detail:
            self._detail(table)
        else:
            height = max(7, extent.height - len(below.lines) - (1 if extent.tall else 0))
            slots, top = self._agent_charts(height) if self.model == AGENT else self._charts(height)
        page = below if not detail else self.page
        slots.append(
            Slot("main", 0, top, width, extent.height - top, tuple(page.lines[: extent.height - top]))
        )
        return View(
            headline=sentence(self.model, self.run, self.job),
            context=line(Span(context(self.snapshot, extent), "muted")),
            slots=tuple(slots),
            side=side_lines(self.run, self.job, self.evaluation, extent.side_width) if extent.wide else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(detail=bool(detail)),
            items=self.snapshot.models,
            item=self.model,
        )

    def _below(self, table: Table) -> Page:
        """What stands under the charts, which take the rows that are left."""
        extent, page = self.extent, Page(self.extent, self.selection, ("runs",))
        if self.model == AGENT:
            page.add(*rest_line(self.run, self._shown(), extent.width))
        page.add(*progress_lines(self.run, self.job, extent.width))
        if self.run is not None and self.run.state in {"failed", "interrupted"} and self.run.remedy:
            page.add(*paragraph(self.run.remedy, extent.width, indent=2))
        if extent.tall:
            page.gap()
        if table.rows:
            page.table(table, rows=max(1, min(len(table.rows), extent.height // 4, 8)))
        elif self.model:
            curves = "loss and accuracy by epoch stand here. 10 epochs"
            if self.model == AGENT:
                curves = "return, entropy, KL, clip fraction and value loss stand here. The stages"
            page.add(
                *empty_state(
                    f"Its {curves} of {self.model} "
                    "take about a minute for 120 days, some minutes for six years.",
                    keys=(("t", "trains it"),),
                    width=min(78, extent.width),
                )
            )
        return page

    def _waiting_text(self) -> str:
        """Stands in the charts until the first epoch is over."""
        if self.job is None or (self.run is not None and self.run.finished):
            return ""
        if self.job.state == "queued":
            return "waits for a worker"
        share, part = self.job.fraction, "stage" if self.model == AGENT else "epoch"
        if self.job.eta_s is None or share is None or share >= 1:
            return f"first {part}"
        epochs = max(1, self.run.epochs if self.run else 10)
        left = self.job.eta_s * max(0.0, 1 / epochs - share) / (1 - share)
        return f"first {part}, {numbers.stopwatch(left)} left"

    def _metric(self) -> str:
        """What is chosen, of what there is for this model."""
        chosen = self.selection.option("metric", "both")
        return chosen if chosen in metrics_of(self.model) else "both"

    def _shown(self) -> set[str]:
        """The agent's curves that have a chart on the page."""
        if self._metric() != "both":
            return {self._metric()}
        return set(CURVE_IDS if self.extent.tall else CURVE_IDS[:2])

    def _agent_charts(self, height: int) -> tuple[list[Slot], int]:
        return policy_charts(
            self.run, self.overlay, self._shown(), self.extent.width, height, self._waiting_text()
        )

    def _charts(self, height: int) -> tuple[list[Slot], int]:
        extent = self.extent
        metric = self._metric()
        gap = 3
        left = (extent.width - gap + 1) // 2
        right = extent.width - gap - left
        message = self._waiting_text()
        rows = height - 1 - (1 if extent.tall else 0)
        last = self.run.points[-1] if self.run and self.run.points else None
        loss_note = f"val {numbers.decimal(last.validation_loss, 3)}" if last else ""
        accuracy_note = f"val {numbers.percent(last.validation_accuracy)}" if last else ""
        report = self.evaluation.report if self.evaluation else None
        oracle = report.oracle.accuracy if report and report.oracle else None
        gate = report.thresholds.get("min_accuracy", GATE_ACCURACY) if report else GATE_ACCURACY
        slots: list[Slot] = []
        if metric == "both":
            titles = Line(
                (
                    *rule("Loss by epoch", loss_note, left).spans,
                    pad(gap),
                    *rule("Accuracy by epoch", accuracy_note, right).spans,
                )
            )
        else:
            left = right = extent.width
            titles = rule(
                "Loss by epoch" if metric == "loss" else "Accuracy by epoch",
                loss_note if metric == "loss" else accuracy_note,
                extent.width,
            )
        slots.append(Slot("titles", 0, 0, extent.columns - extent.side, 1, (titles,)))
        if metric in {"both", "loss"}:
            picture = loss_picture(self.run, self.overlay, left, rows, message)
            slots.append(Slot("loss", 1, 1, left, rows, picture))
        if metric in {"both", "accuracy"}:
            start = 1 + (left + gap if metric == "both" else 0)
            picture = accuracy_picture(
                self.run, self.overlay, right, rows, oracle=oracle, gate=gate, message=message
            )
            slots.append(Slot("accuracy", start, 1, right, rows, picture))
        return slots, height

    def _detail(self, table: Table) -> None:
        """Everything known of one run."""
        page, width = self.page, self.extent.width
        row = page.cursor(table)
        run = next((item for item in self.runs if row and item.id == row.key), None)
        if run is None:
            return
        page.add(rule(f"Run {run.label}", f"{run.model}, esc closes", width))
        facts = [pair(label, value, (width - 4) // 2) for label, value in run.facts.items()]
        half = (len(facts) + 1) // 2
        for index in range(half):
            second = facts[index + half].spans if index + half < len(facts) else ()
            page.add(Line((pad(2), *fit(facts[index].spans, (width - 4) // 2), pad(2), *second)))
        page.gap()
        page.table(epochs_table(run))

    def _keys(self, *, detail: bool) -> tuple[Key, ...]:
        keys = []
        if self.model and self.job is None:
            keys.append(Key("t", "train", "train: asks for coins, epochs and seed", "train"))
        if self.job is not None:
            keys.append(Key("x", "cancel", "stop it at its next safe point", "cancel"))
        if self._stopped() is not None:
            keys.insert(0, Key("r", "resume", "go on from the checkpoint", "resume"))
        if len(self.runs) > 1 and not detail:
            keys.append(Key("c", "compare", "overlay the selected run, or none", "compare"))
        if len(self.snapshot.models) > 1:
            keys.append(Key("brackets", "model", "previous, next model", "next_item"))
        if self.runs and not detail:
            what = "all curves, or one in full width" if self.model == AGENT else "loss, accuracy or both"
            keys.append(Key("m", "metric", what, "metric"))
        if self.runs:
            keys.append(Key("enter", "run", "the run's record and its epochs", "open"))
        return tuple(keys)

    def _stopped(self) -> JobView | None:
        last = self.snapshot.last_job("train", self.model)
        return last if last is not None and last.resumable and self.job is None else None


class TrainingScreen(ConsoleScreen):
    """Curves live and of earlier runs, and the runs."""

    MODE = "training"
    PANES = ("main", "titles", "titles2")
    CHARTS = ("loss", "accuracy", *CURVE_IDS)

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return TrainingPage(snapshot, selection, extent).view()

    @property
    def model(self) -> str:
        """The model looked at."""
        return chosen_model(self.host.snapshot, self.selection.model)

    def job_to_resume(self, snapshot: ConsoleSnapshot) -> JobView | None:
        """This model's newest training."""
        return snapshot.last_job("train", self.model)

    def do_train(self) -> None:
        """Ask for coins, epochs and seed."""
        steps.train(self.host, [self.model])

    def do_compare(self) -> None:
        """Overlay the run under the cursor; once more takes it away."""
        row = self.row()
        if row is not None:
            now = self.selection.option("compare")
            self.select(self.selection.with_option("compare", "none" if now == row.key else row.key))

    def do_metric(self) -> None:
        """All charts, then each alone."""
        order, now = metrics_of(self.model), self.selection.option("metric", "both")
        following = order[(order.index(now) + 1) % len(order)] if now in order else order[1]
        self.select(self.selection.with_option("metric", following))

    def do_open(self) -> None:
        """The run's record."""
        if self.row() is not None:
            self.select(self.selection.with_option("detail", "yes"))

    def do_back(self) -> None:
        """Close the record, else as everywhere."""
        if self.selection.option("detail"):
            self.select(self.selection.with_option("detail", ""))
        else:
            super().do_back()
