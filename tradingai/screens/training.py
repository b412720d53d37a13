"""4 Training: is it learning, and better than before?"""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot, EvaluationView, JobView, RunView
from tradingai.screens import steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.curves import GATE_ACCURACY, accuracy_picture, loss_picture
from tradingai.screens.overview import context
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    filtered,
    headline,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad
from tradingai.widgets.section import Column, Row, Table, pair, rule, stack
from tradingai.widgets.signs import sign, status

METRICS: Final = ("both", "loss", "accuracy")
HEADS: Final = ("run", "model", "version", "seed", "epochs", "validation_loss", "validation_accuracy", "state")


def chosen_model(snapshot: ConsoleSnapshot, wanted: str) -> str:
    """The model looked at: the chosen one, else the one that trains, else the newest run's, else the first."""
    if wanted in snapshot.models:
        return wanted
    job = snapshot.active_job("train_lstm")
    if job is not None:
        return job.target
    return snapshot.runs[0].model if snapshot.runs else (snapshot.models[0] if snapshot.models else "")


def overlay_of(runs: tuple[RunView, ...], wanted: str) -> RunView | None:
    """The earlier run that is overlaid: the chosen one, else the newest finished one."""
    if wanted == "none":
        return None
    others = [run for run in runs[1:] if run.points]
    chosen = [run for run in others if run.id == wanted]
    finished = [run for run in others if run.state == "done"]
    return next(iter(chosen or finished or others), None)


def sentence(model: str, run: RunView | None, job: JobView | None) -> Line:
    """Is it learning?"""
    if not model:
        return headline("There are no coins to train a model for yet.")
    if job is not None:
        left = f", {numbers.about(job.eta_s)} left" if job.eta_s is not None else ""
        if run is not None and run.points:
            accuracy = numbers.percent(run.points[-1].validation_accuracy)
            return headline(f"{model} is learning: {accuracy} on validation{left}.")
        return headline(f"{model} is in its first epoch{left}.")
    if run is None:
        return headline(f"No run of {model} yet.")
    if run.state in {"failed", "interrupted"}:
        return headline(f"{model} {run.message or run.state}".rstrip(".") + ".", alarm=True)
    if run.state == "cancelled":
        return headline(f"{model} was cancelled after {numbers.plural(len(run.points), 'epoch')}.")
    best = max((point.validation_accuracy for point in run.points), default=None)
    end = " It ended early." if run.early_stopped else ""
    return headline(f"{model} reached {numbers.percent(best)} on validation.{end}")


def _run_row(run: RunView, job: JobView | None, extent: Extent) -> Row:
    last = run.points[-1] if run.points else None
    running = run.state == "running"
    done = f"{len(run.points)}/{run.epochs}"
    if running and job is not None and job.fraction is not None:
        done = f"{job.fraction * run.epochs:.1f}/{run.epochs}"
    best = max((point.validation_accuracy for point in run.points), default=None)
    lowest = min((point.validation_loss for point in run.points), default=None)
    word = "early stop" if run.early_stopped else status(run.state).text
    state = Span(f"{run.version} kept" if run.version else word, "muted" if not run.state == "failed" else "orange")
    cells: list[Span] = [Span(run.label)]
    if not extent.narrow:
        cells.append(Span(run.version or numbers.NOTHING, "muted"))
    cells += [Span(str(run.seed) if run.seed is not None else numbers.NOTHING, "muted"), Span(done)]
    if not extent.narrow:
        cells.append(Span(numbers.decimal(last.train_loss if last else None, 3), "muted"))
    cells += [
        Span(numbers.decimal(lowest, 3)),
        Span(numbers.percent(best)),
        Span(numbers.short(run.bars_per_s), "muted"),
        Span(numbers.stopwatch(run.took_s), "muted"),
        Span("running", "blue") if running else state,
    ]
    plain = (
        run.id, run.model, run.version or "", str(run.seed if run.seed is not None else ""), str(len(run.points)),
        "" if lowest is None else repr(lowest), "" if best is None else repr(best), run.state,
    )  # fmt: skip
    return Row(run.id, tuple(cells), sign(run.state), plain)


def runs_table(
    model: str, runs: tuple[RunView, ...], job: JobView | None, overlay: RunView | None, extent: Extent, wanted: str
) -> Table:
    """Runs of one model, newest first. Loss and accuracy are each run's best on validation."""
    columns = [Column("run", 11)]
    if not extent.narrow:
        columns.append(Column("version", 8))
    columns += [Column("seed", 4, "right", gap=1 if extent.narrow else 2), Column("epochs", 6, "right", gap=1 if extent.narrow else 2)]
    if not extent.narrow:
        columns.append(Column("train loss", 11, "right"))
    columns += [
        Column("val loss", 8, "right"),
        Column("accuracy", 8, "right"),
        Column("bars/s", 6, "right", gap=1 if extent.narrow else 2),
        Column("took", 6, "right"),
        Column("state", 0),
    ]
    rows = filtered([_run_row(run, job if run.state == "running" else None, extent) for run in runs], wanted)
    note = numbers.plural(len(runs), "run") + (f", {overlay.label} overlaid" if overlay else "")
    return Table("runs", f"Runs of {model}", note, tuple(columns), rows, HEADS)


def progress_lines(run: RunView | None, job: JobView | None, snapshot: ConsoleSnapshot, width: int) -> list[Line]:
    """The running job: epoch, share, speed, time to go; early stopping and the last checkpoint."""
    if job is None or run is None:
        return []
    detail = job.detail
    threads = f", {numbers.plural(job.threads, 'thread')}" if job.threads else ""
    seed = f", seed {run.seed}" if run.seed is not None else ""
    lines = [rule("Run", f"{run.label}{seed}{threads}", width)]
    epoch, epochs = detail.get("epoch"), detail.get("epochs", run.epochs)
    head = f"epoch {epoch}/{epochs}" if epoch else "starting"
    share = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
    speed = numbers.short(job.rate, f"{job.unit}/s") if job.rate else ""
    bar = max(10, min(46, width - 52))
    lines.append(
        Line(
            (
                pad(2), *fit(Span(head), 12), pad(1), *progress(job.fraction, bar), Span(f"{share:>6}"), pad(3),
                *fit(Span(speed), 14, "right"), pad(3), *fit((Span("ETA ", "muted"),
                Span(numbers.stopwatch(job.eta_s), "strong+b")), 9, "right"),
            )
        )
    )  # fmt: skip
    facts: list[Span] = [pad(2)]
    best = detail.get("best_epoch") or run.best_epoch
    if best:
        patience = detail.get("patience") or run.patience
        without = detail.get("without_gain")
        counted = f", {without} of {patience} without gain" if without is not None and patience else ""
        facts += [Span("early stop ", "muted"), Span(f"best epoch {best}{counted}"), pad(3)]
    if detail.get("checkpoint_epoch"):
        facts += [Span("checkpoint ", "muted"), Span(f"epoch {detail['checkpoint_epoch']}"), pad(3)]
    if job.took_s is not None and sum(item.width for item in facts) + 14 < width:
        facts += [Span(numbers.stopwatch(job.took_s)), Span(" so far", "muted")]
    lines.append(Line(tuple(facts)))
    del snapshot
    return lines


def side_lines(
    snapshot: ConsoleSnapshot, run: RunView | None, job: JobView | None, evaluation: EvaluationView | None, width: int
) -> list[Line]:
    """What there is to learn, and what the run's record says of network, data and machine."""
    groups: list[list[Line]] = []
    best = max((point.validation_accuracy for point in run.points), default=None) if run else None
    report = evaluation.report if evaluation else None
    if report is not None and report.oracle is not None:
        oracle = report.oracle.accuracy
        lines = [rule("What there is to learn", report.market or "", width)]
        lines.append(pair("oracle, test range", numbers.percent(oracle), width))
        lines.append(pair("this run, validation", Span(numbers.percent(best), "strong+b"), width))
        if best is not None and oracle > 0.5:
            share = (best - 0.5) / (oracle - 0.5)
            lines.append(pair("share of the edge learned", numbers.percent(share, 0), width))
            lines.append(Line(progress(share, width)))
        lines += [pair(f"naive {item.name}", numbers.percent(item.accuracy), width) for item in report.baselines]
        groups.append(lines)
    if run is not None and run.facts:
        groups.append([rule(f"Record of {run.label}", "", width), *(pair(k, v, width) for k, v in run.facts.items())])
    if job is not None:
        lines = [rule("Machine", f"pid {job.pid}" if job.pid else "", width)]
        if job.memory_bytes:
            lines.append(pair("memory", numbers.size(job.memory_bytes), width))
        if job.rate:
            lines.append(pair("speed", f"{numbers.count(job.rate)} {job.unit}/s", width))
        if job.log:
            lines.append(pair("log", job.log, width))
        groups.append(lines)
    epochs = [event for event in snapshot.events.rows if event.type == "EpochFinished"][-5:]
    if epochs:
        lines = [rule("Epochs", "newest first", width)]
        lines += [
            line(Span(f"{event.at:%H:%M:%S}  ", "muted"), Span(event.text)) for event in reversed(epochs)
        ]
        groups.append(lines)
    return stack(*groups)


class TrainingPage:
    """Makes the training screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.model = chosen_model(snapshot, selection.model)
        self.runs = snapshot.runs_of(self.model)
        self.run = self.runs[0] if self.runs else None
        self.job = snapshot.active_job("train_lstm", self.model)
        self.overlay = overlay_of(self.runs, selection.option("compare"))
        self.evaluation = snapshot.evaluation(self.model)
        self.page = Page(extent, selection, ("runs",))

    def view(self) -> View:
        """Charts, the running job, the runs."""
        extent = self.extent
        width = extent.columns - extent.side
        slots: list[Slot] = []
        table = runs_table(
            self.model, self.runs, self.job, self.overlay, extent, self.selection.filter
        )
        top = 0
        detail = self.selection.option("detail") and self.page.cursor(table)
        below = self._below(table)
        if detail:
            self._detail(table)
        else:
            height = max(8, extent.height - len(below.lines))
            slots, top = self._charts(height)
        page = below if not detail else self.page
        slots.append(Slot("main", 0, top, width, extent.height - top, tuple(page.lines)))
        return View(
            headline=sentence(self.model, self.run, self.job),
            context=line(Span(context(self.snapshot, extent), "muted")),
            slots=tuple(slots),
            side=side_lines(self.snapshot, self.run, self.job, self.evaluation, extent.side_width)
            if extent.wide
            else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(detail=bool(detail)),
            items=self.snapshot.models,
            item=self.model,
        )

    def _below(self, table: Table) -> Page:
        """What stands under the charts, which take the rows that are left."""
        extent, page = self.extent, Page(self.extent, self.selection, ("runs",))
        page.add(*progress_lines(self.run, self.job, self.snapshot, extent.width))
        if self.run is not None and self.run.state in {"failed", "interrupted"} and self.run.remedy:
            page.add(*paragraph(self.run.remedy, extent.width, indent=2))
        if extent.tall:
            page.gap()
        if table.rows:
            page.table(table, rows=max(1, min(len(table.rows), extent.height // 4, 8)))
        elif self.model:
            page.add(
                *empty_state(
                    f"Its loss and accuracy by epoch stand here. 10 epochs of {steps.coin_of(self.model)} take about "
                    "a minute for 120 days, some minutes for six years.",
                    keys=(("t", "trains it"),),
                    width=min(78, extent.width),
                )
            )
        return page

    def _charts(self, height: int) -> tuple[list[Slot], int]:
        extent = self.extent
        metric = self.selection.option("metric", "both")
        gap = 3
        left = (extent.width - gap + 1) // 2
        right = extent.width - gap - left
        message = ""
        if self.run is None or not self.run.points:
            message = "first epoch" if self.job is not None else ""
            if self.job is not None and self.job.eta_s is not None:
                message = f"first epoch, {numbers.stopwatch(self.job.eta_s / max(1, self.run.epochs if self.run else 10))} left"
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
                (*rule("Loss by epoch", loss_note, left).spans, pad(gap), *rule("Accuracy by epoch", accuracy_note, right).spans)
            )
        else:
            left = right = extent.width
            titles = rule("Loss by epoch" if metric == "loss" else "Accuracy by epoch",
                          loss_note if metric == "loss" else accuracy_note, extent.width)  # fmt: skip
        slots.append(Slot("titles", 0, 0, extent.columns - extent.side, 1, (titles,)))
        if metric in {"both", "loss"}:
            picture = loss_picture(self.run, self.overlay, left, rows, message)
            slots.append(Slot("loss", 1, 1, left, rows, picture))
        if metric in {"both", "accuracy"}:
            start = 1 + (left + gap if metric == "both" else 0)
            picture = accuracy_picture(self.run, self.overlay, right, rows, oracle=oracle, gate=gate, message=message)
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
        columns = (Column("epoch", 6, "right"), Column("train loss", 12, "right"), Column("val loss", 10, "right"),
                   Column("train acc", 10, "right"), Column("val acc", 9, "right"), Column("bars/s", 0, "right"))  # fmt: skip
        rows = tuple(
            Row(
                str(point.epoch),
                (
                    Span(f"{point.epoch:g}"), Span(numbers.decimal(point.train_loss, 4)),
                    Span(numbers.decimal(point.validation_loss, 4)), Span(numbers.percent(point.train_accuracy, 2)),
                    Span(numbers.percent(point.validation_accuracy, 2)), Span(numbers.short(point.bars_per_s), "muted"),
                ),
                plain=(str(point.epoch), repr(point.train_loss), repr(point.validation_loss),
                       repr(point.train_accuracy), repr(point.validation_accuracy), repr(point.bars_per_s)),
            )
            for point in run.points
        )  # fmt: skip
        heads = ("epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "bars_per_s")
        page.table(Table("epochs", "Epochs", numbers.plural(len(rows), "epoch"), columns, rows, heads, signed=False))

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
            keys.append(Key("m", "metric", "loss, accuracy or both", "metric"))
        if self.runs:
            keys.append(Key("enter", "run", "the run's record and its epochs", "open"))
        return tuple(keys)

    def _stopped(self) -> JobView | None:
        last = self.snapshot.last_job("train_lstm", self.model)
        return last if last is not None and last.resumable and self.job is None else None


class TrainingScreen(ConsoleScreen):
    """Curves live and of earlier runs, and the runs."""

    MODE = "training"
    PANES = ("main", "titles")
    CHARTS = ("loss", "accuracy")

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return TrainingPage(snapshot, selection, extent).view()

    @property
    def model(self) -> str:
        """The model looked at."""
        return chosen_model(self.host.snapshot, self.selection.model)

    def job_to_resume(self, snapshot: ConsoleSnapshot) -> JobView | None:
        """This model's newest training."""
        return snapshot.last_job("train_lstm", self.model)

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
        """Both charts, loss alone, accuracy alone."""
        now = self.selection.option("metric", "both")
        self.select(self.selection.with_option("metric", METRICS[(METRICS.index(now) + 1) % len(METRICS)]))

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
