"""Parts of the training screen that are about the agent: its runs as rows, its stages, what it earned."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.symbols import AGENT
from tradingai.engine.queries.model_snapshot import EvaluationView, PolicyPoint, RunView
from tradingai.engine.queries.snapshot import JobView
from tradingai.screens.policy_curves import POLICY_CURVES, bps, kl
from tradingai.screens.view import Extent, filtered
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, Span, crop, pad
from tradingai.widgets.section import Column, Row, Table, pair, rule
from tradingai.widgets.signs import sign

RUN_HEADS: Final = (
    "run", "model", "version", "seed", "stages", "best_stage", "validation_return_bps", "entropy",
    "approx_kl", "clip_fraction", "value_loss", "state",
)  # fmt: skip
STAGE_HEADS: Final = (
    "stage", "env_steps", "mean_return_bps", "validation_return_bps", "entropy", "approx_kl", "clip_fraction",
    "value_loss", "env_steps_per_s", "best",
)  # fmt: skip


def best_of(run: RunView | None) -> PolicyPoint | None:
    """The stage whose weights are kept, so far."""
    if run is None:
        return None
    return next((stage for stage in run.stages if stage.stage == run.best_epoch), None)


def agent_runs_table(
    runs: tuple[RunView, ...],
    overlay: RunView | None,
    extent: Extent,
    wanted: str,
    *,
    done: tuple[str, ...],
    states: tuple[Span, ...],
) -> Table:
    """The agent's runs, newest first. Return is of the best stage, the rest of the newest.

    ``done`` and ``states`` say of each run how far it is and what became of it.
    """
    narrow = extent.narrow
    gap = 1 if narrow else 2
    columns = [Column("run", 11)]
    if not narrow:
        columns.append(Column("version", 8, spare=3))
    columns += [
        Column("seed", 4, "right", gap=gap, spare=1),
        Column("stages", 7, "right", gap=gap),
        Column("best", 4, "right", gap=gap),
        Column("val bps", 7, "right", gap=gap),
        Column("entropy", 7, "right", gap=gap, spare=4),
    ]
    if not narrow:
        columns.append(Column("env steps", 9, "right", spare=5))
    columns += [
        Column("steps/s", 7, "right", gap=gap, spare=2),
        Column("took", 6, "right", gap=gap),
        Column("state", 0, least=11, gap=gap),
    ]
    rows = [
        _run_row(run, how_far, state, narrow=narrow)
        for run, how_far, state in zip(runs, done, states, strict=True)
    ]
    note = numbers.plural(len(runs), "run") + (f", {overlay.label} overlaid" if overlay else "")
    return Table("runs", f"Runs of {AGENT}", note, tuple(columns), filtered(rows, wanted), RUN_HEADS)


def _run_row(run: RunView, how_far: str, state: Span, *, narrow: bool) -> Row:
    best, last = best_of(run), run.stages[-1] if run.stages else None
    cells: list[Span] = [Span(run.label)]
    if not narrow:
        cells.append(Span(run.version or numbers.NOTHING, "muted"))
    cells += [
        Span(str(run.seed) if run.seed is not None else numbers.NOTHING, "muted"),
        Span(how_far),
        Span(str(best.stage) if best else numbers.NOTHING, "muted"),
        Span(bps(best.validation_return_bps if best else None)),
        Span(numbers.decimal(last.entropy if last else None, 3), "muted"),
    ]
    if not narrow:
        cells.append(Span(numbers.count(last.env_steps if last else None), "muted"))
    cells += [
        Span(numbers.short(run.bars_per_s), "muted"),
        Span(numbers.stopwatch(run.took_s), "muted"),
        state,
    ]
    plain = (
        run.id, run.model, run.version or "", "" if run.seed is None else str(run.seed),
        str(len(run.stages)), str(best.stage) if best else "",
        repr(best.validation_return_bps) if best else "", repr(last.entropy) if last else "",
        repr(last.approx_kl) if last else "", repr(last.clip_fraction) if last else "",
        repr(last.value_loss) if last else "", run.state,
    )  # fmt: skip
    return Row(run.id, tuple(cells), sign(run.state), plain)


def rest_line(run: RunView | None, shown: set[str], width: int) -> list[Line]:
    """The newest values of the curves that have no chart on the page."""
    if run is None or not run.stages or len(shown) == len(POLICY_CURVES):
        return []
    last = run.stages[-1]
    spans: list[Span] = [pad(2), Span(f"stage {last.stage}", "muted")]
    for curve in POLICY_CURVES:
        if curve.id in shown:
            continue
        unit = " bps" if curve.id == "return" else ""
        spans += [
            pad(3),
            Span(f"{SHORT[curve.id]} ", "muted"),
            Span(f"{curve.text(curve.value(last))}{unit}"),
        ]
    return [Line(crop(tuple(spans), width))]


SHORT: Final = {
    "return": "return", "entropy": "entropy", "kl": "KL", "clip": "clip", "value": "value loss",
}  # fmt: skip


def earned_lines(run: RunView | None, evaluation: EvaluationView | None, width: int) -> list[Line]:
    """What the kept weights earn on validation, and how often p_RL is right beside what there is to learn."""
    best = best_of(run)
    if best is None:
        return []
    lines = [
        rule("What it earned", f"stage {best.stage} is best", width),
        pair("greedy, validation", f"{bps(best.validation_return_bps)} bps a minute", width),
        pair("exploring, training", f"{bps(best.mean_return_bps)} bps a minute", width),
    ]
    report = evaluation.report if evaluation else None
    if report is not None:
        lines.append(pair(f"P(up) right, {report.version}", numbers.percent(report.accuracy), width))
        if report.oracle is not None:
            lines.append(pair("oracle, test range", numbers.percent(report.oracle.accuracy), width))
    return lines


def newest_stages(run: RunView, width: int) -> list[Line]:
    """The last six stages, newest first."""
    lines = [rule("Stages", "val bps, entropy", width)]
    lines += [
        pair(
            f"stage {point.stage}{', best so far' if point.best else ''}",
            f"{bps(point.validation_return_bps)}  {numbers.decimal(point.entropy, 3)}",
            width,
        )
        for point in reversed(run.stages[-6:])
    ]
    return lines


def progress_facts(run: RunView, job: JobView) -> list[Span]:
    """What stands under the bar while the agent trains."""
    spans: list[Span] = []
    best = best_of(run)
    if best is not None:
        spans += [
            Span("best stage ", "muted"),
            Span(f"{best.stage}, {bps(best.validation_return_bps)} bps a minute"),
            pad(3),
        ]
    if job.total:
        spans += [
            Span("env steps ", "muted"),
            Span(f"{numbers.count(job.done)} of {numbers.count(job.total)}"),
        ]
        spans.append(pad(3))
    return spans


def stages_table(run: RunView) -> Table:
    """Every stage of a run."""
    columns = (
        Column("stage", 5, "right"),
        Column("env steps", 10, "right", spare=1),
        Column("exploring", 9, "right", gap=1),
        Column("val bps", 8, "right", gap=1),
        Column("entropy", 8, "right", gap=1),
        Column("KL", 8, "right", gap=1),
        Column("clip", 7, "right", gap=1),
        Column("value", 7, "right", gap=1),
        Column("steps/s", 0, "right", gap=1, least=7),
    )
    rows = []
    for point in run.stages:
        cells = (
            Span(str(point.stage), "strong+b" if point.stage == run.best_epoch else "text"),
            Span(numbers.count(point.env_steps), "muted"),
            Span(bps(point.mean_return_bps)),
            Span(bps(point.validation_return_bps)),
            Span(numbers.decimal(point.entropy, 3)),
            Span(kl(point.approx_kl)),
            Span(numbers.percent(point.clip_fraction, 2)),
            Span(numbers.decimal(point.value_loss, 2)),
            Span(numbers.short(point.env_steps_per_s), "muted"),
        )
        plain = tuple(repr(getattr(point, name)) for name in STAGE_HEADS)
        rows.append(Row(str(point.stage), cells, plain=plain))
    note = numbers.plural(len(rows), "stage")
    return Table("epochs", "Stages", note, columns, tuple(rows), STAGE_HEADS, signed=False)
