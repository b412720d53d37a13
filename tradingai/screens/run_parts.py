"""Parts of the training screen: runs as rows, the running job, what there is to learn."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.symbols import AGENT
from tradingai.engine.queries.model_snapshot import EvaluationView, RunView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens.overview_parts import rate_words
from tradingai.screens.policy_curves import bps
from tradingai.screens.policy_parts import (
    agent_runs_table,
    best_of,
    earned_lines,
    newest_stages,
    progress_facts,
    stages_table,
)
from tradingai.screens.view import Extent, filtered, headline
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.line import Line, Span, fit, pad
from tradingai.widgets.section import Column, Row, Table, pair, rule, stack
from tradingai.widgets.signs import sign, status

HEADS: Final = (
    "run", "model", "version", "seed", "epochs", "validation_loss", "validation_accuracy", "state",
)  # fmt: skip


def chosen_model(snapshot: ConsoleSnapshot, wanted: str) -> str:
    """The model looked at: the chosen one, else the one that trains, else the newest run's, else the
    first.
    """
    if wanted in snapshot.models:
        return wanted
    job = snapshot.active_job("train")
    if job is not None:
        return job.target
    return snapshot.runs[0].model if snapshot.runs else (snapshot.models[0] if snapshot.models else "")


def overlay_of(runs: tuple[RunView, ...], wanted: str) -> RunView | None:
    """The earlier run that is overlaid: the chosen one, else the newest finished one."""
    if wanted == "none":
        return None
    others = [run for run in runs[1:] if run.finished]
    chosen = [run for run in others if run.id == wanted]
    finished = [run for run in others if run.state == "done"]
    return next(iter(chosen or finished or others), None)


def sentence(model: str, run: RunView | None, job: JobView | None) -> Line:
    """Is it learning?"""
    if not model:
        return headline("There are no coins to train a model for yet.")
    if job is not None:
        left = f", {numbers.about(job.eta_s)} left" if job.eta_s is not None else ""
        if run is not None and run.stages:
            earned = bps(run.stages[-1].validation_return_bps)
            return headline(f"{model} is learning: {earned} bps a minute{left}.")
        if run is not None and run.points:
            accuracy = numbers.percent(run.points[-1].validation_accuracy)
            return headline(f"{model} is learning: {accuracy} on validation{left}.")
        if job.state == "queued":
            return headline(f"{model} waits until a worker is free.")
        return headline(f"{model} is in its first {'stage' if model == AGENT else 'epoch'}{left}.")
    return headline(f"No run of {model} yet.") if run is None else _run_sentence(model, run)


def _run_sentence(model: str, run: RunView) -> Line:
    if run.state in {"failed", "interrupted"}:
        return headline(f"{model} {run.message or run.state}".rstrip(".") + ".", alarm=True)
    if run.state == "cancelled":
        what = numbers.plural(run.finished, "stage" if model == AGENT else "epoch")
        return headline(f"{model} was cancelled after {what}.")
    kept = best_of(run)
    if kept is not None:
        earned = bps(kept.validation_return_bps)
        return headline(f"{model} reached {earned} bps a minute on validation in stage {kept.stage}.")
    best = max((point.validation_accuracy for point in run.points), default=None)
    end = " It ended early." if run.early_stopped else ""
    return headline(f"{model} reached {numbers.percent(best)} on validation.{end}")


def _how_far(run: RunView, job: JobView | None) -> str:
    """``5.8/10`` epochs or stages."""
    if not run.epochs:
        return numbers.NOTHING
    if run.state == "running" and job is not None and job.fraction is not None:
        return f"{job.fraction * run.epochs:.1f}/{run.epochs}"
    return f"{run.finished}/{run.epochs}"


def _state_cell(run: RunView) -> Span:
    """What became of a run."""
    if run.state == "running":
        return Span("running", "blue")
    word = "early stop" if run.early_stopped else status(run.state).text
    return Span(
        f"{run.version} kept" if run.version else word, "muted" if run.state != "failed" else "orange"
    )


def _run_row(run: RunView, job: JobView | None, extent: Extent) -> Row:
    last = run.points[-1] if run.points else None
    done = _how_far(run, job)
    best = max((point.validation_accuracy for point in run.points), default=None)
    lowest = min((point.validation_loss for point in run.points), default=None)
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
        _state_cell(run),
    ]
    plain = (
        run.id,
        run.model,
        run.version or "",
        str(run.seed if run.seed is not None else ""),
        str(len(run.points)),
        "" if lowest is None else repr(lowest),
        "" if best is None else repr(best),
        run.state,
    )
    return Row(run.id, tuple(cells), sign(run.state), plain)


def runs_table(
    model: str,
    runs: tuple[RunView, ...],
    job: JobView | None,
    overlay: RunView | None,
    extent: Extent,
    wanted: str,
) -> Table:
    """Runs of one model, newest first. Loss and accuracy are each run's best on validation."""
    if model == AGENT:
        done = tuple(_how_far(run, job) for run in runs)
        states = tuple(_state_cell(run) for run in runs)
        return agent_runs_table(runs, overlay, extent, wanted, done=done, states=states)
    columns = [Column("run", 11)]
    if not extent.narrow:
        columns.append(Column("version", 8, spare=3))
    columns += [
        Column("seed", 4, "right", gap=1 if extent.narrow else 2, spare=1),
        Column("epochs", 6, "right", gap=1 if extent.narrow else 2),
    ]
    if not extent.narrow:
        columns.append(Column("train loss", 11, "right", spare=4))
    columns += [
        Column("val loss", 8, "right"),
        Column("accuracy", 8, "right"),
        Column("bars/s", 6, "right", gap=1 if extent.narrow else 2, spare=2),
        Column("took", 6, "right"),
        Column("state", 0, least=11),
    ]
    rows = filtered([_run_row(run, job if run.state == "running" else None, extent) for run in runs], wanted)
    note = numbers.plural(len(runs), "run") + (f", {overlay.label} overlaid" if overlay else "")
    return Table("runs", f"Runs of {model}", note, tuple(columns), rows, HEADS)


def progress_lines(run: RunView | None, job: JobView | None, width: int) -> list[Line]:
    """The running job: epoch, share, speed, time to go; early stopping and the last checkpoint."""
    if job is None or run is None:
        return []
    detail = job.detail
    threads = f", {numbers.plural(job.threads, 'thread')}" if job.threads else ""
    seed = f", seed {run.seed}" if run.seed is not None else ""
    lines = [rule("Run", f"{run.label}{seed}{threads}", width)]
    epoch, epochs = detail.get("epoch"), detail.get("epochs", run.epochs)
    part = "stage" if run.model == AGENT else "epoch"
    head = f"{part} {epoch}/{epochs}" if epoch else "queued" if job.state == "queued" else "starting"
    share = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
    speed = rate_words(job)
    bar = max(10, min(46, width - 52))
    lines.append(
        Line(
            (
                pad(2),
                *fit(Span(head), 12),
                pad(1),
                *progress(job.fraction, bar),
                Span(f"{share:>6}"),
                pad(3),
                *fit(Span(speed), 14, "right"),
                pad(3),
                *fit((Span("ETA ", "muted"), Span(numbers.stopwatch(job.eta_s), "strong+b")), 9, "right"),
            )
        )
    )
    facts: list[Span] = [pad(2)]
    best = run.best_epoch
    if run.model == AGENT:
        facts += progress_facts(run, job)
    elif best:
        without = len(run.points) - best
        counted = f", {without} of {run.patience} without gain" if run.patience else ""
        facts += [Span("early stop ", "muted"), Span(f"best epoch {best}{counted}"), pad(3)]
    if detail.get("checkpoint_epoch"):
        facts += [Span("checkpoint ", "muted"), Span(f"epoch {detail['checkpoint_epoch']}"), pad(3)]
    if job.took_s is not None and sum(item.width for item in facts) + 14 < width:
        facts += [Span(numbers.stopwatch(job.took_s)), Span(" so far", "muted")]
    lines.append(Line(tuple(facts)))
    return lines


def side_lines(
    run: RunView | None, job: JobView | None, evaluation: EvaluationView | None, width: int
) -> list[Line]:
    """What there is to learn, and what the run's record says of network, data and machine."""
    groups: list[list[Line]] = [earned_lines(run, evaluation, width)]
    best = max((point.validation_accuracy for point in run.points), default=None) if run else None
    report = evaluation.report if evaluation else None
    if report is not None and report.oracle is not None and report.model != AGENT:
        oracle = report.oracle.accuracy
        lines = [rule("What there is to learn", report.coins[0].market or "", width)]
        lines.append(pair("oracle, test range", numbers.percent(oracle), width))
        lines.append(pair("this run, validation", Span(numbers.percent(best), "strong+b"), width))
        if best is not None and oracle > 0.5:
            share = (best - 0.5) / (oracle - 0.5)
            lines.append(pair("share of the edge learned", numbers.percent(share, 0), width))
            lines.append(Line(progress(share, width)))
        lines += [
            pair(f"naive {item.name}", numbers.percent(item.accuracy), width)
            for item in report.coins[0].baselines
            if len(report.coins) == 1
        ]
        groups.append(lines)
    if run is not None and run.facts:
        groups.append(
            [rule(f"Record of {run.label}", "", width), *(pair(k, v, width) for k, v in run.facts.items())]
        )
    if job is not None:
        lines = [rule("Machine", f"pid {job.pid}" if job.pid else "", width)]
        if job.memory_bytes:
            lines.append(pair("memory", numbers.size(job.memory_bytes), width))
        if job.rate:
            lines.append(pair("speed", f"{numbers.count(job.rate)} {job.unit}/s", width))
        if job.log:
            lines.append(pair("log", job.log, width))
        groups.append(lines)
    if run is not None and run.stages:
        groups.append(newest_stages(run, width))
    if run is not None and run.points:
        lines = [rule("Epochs", "validation, newest first", width)]
        lines += [
            pair(
                f"epoch {point.epoch:g}",
                f"{numbers.decimal(point.validation_loss, 4)}  {numbers.percent(point.validation_accuracy)}",
                width,
            )
            for point in reversed(run.points[-6:])
        ]
        groups.append(lines)
    return stack(*groups)


def epochs_table(run: RunView) -> Table:
    """Every epoch of a run, or every stage of the agent's."""
    if run.stages:
        return stages_table(run)
    columns = (
        Column("epoch", 6, "right"),
        Column("train loss", 12, "right"),
        Column("val loss", 10, "right"),
        Column("train acc", 10, "right"),
        Column("val acc", 9, "right"),
        Column("bars/s", 0, "right"),
    )
    rows = []
    for point in run.points:
        cells = (
            Span(f"{point.epoch:g}"),
            Span(numbers.decimal(point.train_loss, 4)),
            Span(numbers.decimal(point.validation_loss, 4)),
            Span(numbers.percent(point.train_accuracy, 2)),
            Span(numbers.percent(point.validation_accuracy, 2)),
            Span(numbers.short(point.bars_per_s), "muted"),
        )
        values = (
            point.epoch, point.train_loss, point.validation_loss, point.train_accuracy,
            point.validation_accuracy, point.bars_per_s,
        )  # fmt: skip
        rows.append(Row(str(point.epoch), cells, plain=tuple(repr(value) for value in values)))
    heads = ("epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "bars_per_s")
    note = numbers.plural(len(rows), "epoch")
    return Table("epochs", "Epochs", note, columns, tuple(rows), heads, signed=False)
