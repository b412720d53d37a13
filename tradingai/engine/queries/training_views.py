"""Training runs as the console shows them: curves of networks and of the agent, joined with their jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.symbols import AGENT, model_kind
from tradingai.engine.queries.model_snapshot import CurvePoint, JobState, PolicyPoint, RunView
from tradingai.engine.queries.snapshot import JobView
from tradingai.engine.queries.training_facts import run_facts

PATIENCE: Final = 3
"""Epochs without gain after which a training ends early; a record that knows better says so."""

Curve = tuple[dict[str, Any], list[dict[str, Any]]]
"""A run, and its epochs or stages."""


def model_runs(
    model: str,
    curves: Sequence[Curve],
    jobs: Sequence[JobView],
    begun: Mapping[str, str],
    card: Mapping[str, Any] | None,
    ledger: Ledger,
) -> list[RunView]:
    """One model's runs, oldest first; ``jobs`` are its trainings, newest first.

    A running job that has no curve yet is a run without points.
    """
    worked = _runs_of_jobs(
        jobs, [(str(run["run"]), parse_iso(run["started_at"])) for run, _ in curves], begun
    )
    runs = [
        _run_view(model, run, epochs, [job for job in jobs if worked.get(job.id) == run["run"]], card, ledger)
        for run, epochs in curves
    ]
    active = next((job for job in jobs if job.state in {"running", "queued"}), None)
    if active is not None and active.id not in worked:
        runs.append(_fresh_run(model, active))
    return runs


def _fresh_run(model: str, job: JobView) -> RunView:
    return RunView(
        id=job.id,
        label=_label(job.started_at),
        model=model,
        state=job.state,
        epochs=int(job.detail.get("epochs") or (0 if model == AGENT else 10)),
        started_at=job.started_at,
        took_s=job.took_s,
        bars_per_s=job.rate,
        job_id=job.id,
    )


def _label(moment: datetime | None) -> str:
    return f"{moment:%m-%d %H:%M}" if moment else "–"


def _runs_of_jobs(
    jobs: Sequence[JobView], runs: Sequence[tuple[str, datetime]], begun: Mapping[str, str]
) -> dict[str, str]:
    """Job to the run it worked on; ``runs`` are (id, start), oldest first.

    What a job said counts. Of an old job whose events are gone: the run that began while it ran, else the one
    before it. A job that has said nothing yet works on none.
    """
    known = {run for run, _ in runs}
    worked: dict[str, str] = {}
    for job in jobs:
        if job.id in begun:
            if begun[job.id] in known:
                worked[job.id] = begun[job.id]
            continue
        if job.started_at is None or job.state in {"skipped", "running", "queued"}:
            continue
        during = [run for run, start in runs if _during(job, start)]
        before = [run for run, start in runs if start < job.started_at]
        for run in (during or before)[-1:]:
            worked[job.id] = run
    return worked


def _during(job: JobView, moment: datetime) -> bool:
    if job.started_at is None or moment < job.started_at:
        return False
    return job.ended_at is None or moment <= job.ended_at


def _run_view(
    model: str,
    run: Mapping[str, Any],
    epochs: Sequence[Mapping[str, Any]],
    jobs: Sequence[JobView],
    card: Mapping[str, Any] | None,
    ledger: Ledger,
) -> RunView:
    started = parse_iso(run["started_at"])
    agent = model_kind(model) == AGENT
    points = () if agent else tuple(_point(epoch) for epoch in epochs)
    stages = tuple(_stage(stage) for stage in epochs) if agent else ()
    job = jobs[0] if jobs else None
    kept = card is not None and (card.get("notes") or {}).get("run") == run["run"]
    record = (card or {}).get("record") or {} if kept else {}
    ended_early = not agent and len(points) < int(run["epochs"]) and _no_gain(points)
    early = bool(record.get("early_stopped", ended_early))
    version = ledger.version_of(model, str(card["sha256"])) if kept and card is not None else None
    rates = [part.env_steps_per_s for part in stages] or [part.bars_per_s for part in points]
    return RunView(
        id=str(run["run"]),
        label=_label(started),
        model=model,
        state=_run_state(job, len(epochs), int(run["epochs"]), early, kept),
        epochs=int(run["epochs"]),
        points=points,
        seed=int(run["seed"]),
        version=version,
        best_epoch=_best_stage(stages) if agent else _best_epoch(points),
        patience=None if agent else PATIENCE,
        early_stopped=early and (job is None or job.state not in {"running", "queued"}),
        started_at=started,
        took_s=sum(item.took_s or 0.0 for item in jobs) or None,
        bars_per_s=rates[-1] if rates else None,
        job_id=job.id if job else None,
        message=job.message if job else "",
        remedy=job.remedy if job else "",
        facts=MappingProxyType(run_facts(model, run, record, card if kept else None)),
        stages=stages,
    )


def _best_epoch(points: Sequence[CurvePoint]) -> int | None:
    """The epoch with the lowest validation loss."""
    best = min(points, key=lambda point: point.validation_loss, default=None)
    return round(best.epoch) if best else None


def _best_stage(stages: Sequence[PolicyPoint]) -> int | None:
    """The stage whose weights are kept: the highest validation return, of equals the first."""
    best = max(stages, key=lambda stage: stage.validation_return_bps, default=None)
    return best.stage if best else None


def _run_state(job: JobView | None, finished: int, epochs: int, early: bool, kept: bool) -> JobState:
    if job is not None and job.state in {"running", "queued"}:
        return job.state
    if kept or finished >= epochs or early:
        return "done"
    if job is not None and job.state in {"failed", "interrupted", "cancelled"}:
        return job.state
    return "cancelled"


def _no_gain(points: Sequence[CurvePoint]) -> bool:
    if len(points) <= PATIENCE:
        return False
    best = min(range(len(points)), key=lambda index: points[index].validation_loss)
    return len(points) - 1 - best >= PATIENCE


def _point(epoch: Mapping[str, Any]) -> CurvePoint:
    rate = epoch.get("bars_per_s")
    return CurvePoint(
        float(epoch["epoch"]),
        float(epoch["train_loss"]),
        float(epoch["validation_loss"]),
        float(epoch["train_accuracy"]),
        float(epoch["validation_accuracy"]),
        None if rate is None else float(rate),
    )


def _stage(stage: Mapping[str, Any]) -> PolicyPoint:
    rate = stage.get("env_steps_per_s")
    return PolicyPoint(
        stage=int(stage["stage"]),
        env_steps=int(stage["env_steps"]),
        mean_return_bps=float(stage["mean_return_bps"]),
        validation_return_bps=float(stage["validation_return_bps"]),
        entropy=float(stage["entropy"]),
        approx_kl=float(stage["approx_kl"]),
        clip_fraction=float(stage["clip_fraction"]),
        value_loss=float(stage["value_loss"]),
        env_steps_per_s=None if rate is None else float(rate),
        best=bool(stage["best"]),
    )
