"""The ledger, evaluations and training runs as the console shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.ledger import Ledger, read_ledger
from tradingai.engine.core.ledger import LedgerEntry as Entry
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.model_snapshot import (
    CurvePoint,
    EvaluationView,
    JobState,
    LedgerEntry,
    LedgerView,
    Problem,
    RunView,
)
from tradingai.engine.queries.snapshot import JobView

NO_RUNS: Final[Mapping[str, str]] = MappingProxyType({})
PATIENCE: Final = 3
"""Epochs without gain after which a training ends early; a record that knows better says so."""


def attempt_alpha(attempt: int) -> float:
    """The level of attempt k: 0.05 · 6 / (π² k²), summing to 0.05 over all attempts."""
    return 0.05 * 6.0 / (math.pi**2 * attempt**2)


class ModelReader:
    """Reads what lies below a home's ``models`` folder. A damaged file is reported, and what was known
    stays.
    """

    def __init__(self, paths: HomePaths, rollback: Callable[[Ledger, str], str | None]) -> None:
        """``rollback`` gives the version a model would go back to, or None."""
        self._paths = paths
        self._rollback = rollback
        self._cache = FileCache()
        self._ledger = Ledger()
        self.problem: Problem | None = None

    def ledger(self) -> Ledger:
        """The newest ledger that could be read; ``problem`` says when the file cannot."""
        try:
            self._ledger = self._cache.get(self._paths.ledger, read_ledger) or Ledger()
            self.problem = None
        except TradingAIError as error:
            self.problem = Problem(error.message, error.remedy)
        return self._ledger

    def cards(self) -> dict[str, dict[str, Any]]:
        """Model to the JSON beside its best artifact."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._paths.checkpoints.glob("*_best.json")):
            if path.with_suffix(".pt").exists():
                card = self._read(path)
                if card is not None:
                    found[path.stem.removesuffix("_best")] = card
        return found

    def report(self, entry: Entry) -> ModelReport | Problem:
        """The certificate an ``evaluated`` entry names, when it is what the ledger recorded."""
        path = self._paths.versions / entry.model / entry.version / str(entry.details.get("certificate_file"))
        again = f"v evaluates {entry.model} again."
        try:
            found = self._cache.get(path, _read_report)
        except TradingAIError as error:
            return Problem(error.message, error.remedy)
        except (KeyError, TypeError, ValueError):
            return Problem(f"the certificate of {entry.model} {entry.version} is of another version", again)
        if found is None:
            return Problem(f"the certificate of {entry.model} {entry.version} is missing", again)
        if found[1] != entry.details.get("certificate_sha256"):
            return Problem(
                f"the certificate of {entry.model} {entry.version} is not what was recorded", again
            )
        return found[0]

    def evaluation(self, ledger: Ledger, model: str, card: Mapping[str, Any] | None) -> EvaluationView:
        """What is known of a model's gates."""
        entries = ledger.evaluations(model)
        newest = entries[-1] if entries else None
        live = ledger.live().get(model)
        artifact = str(card.get("sha256", "")) if card else ""
        attempt = 1
        if newest is not None:
            attempt = max(
                ledger.attempt(symbol, str(coin["test_sha256"]), artifact or newest.artifact_sha256)
                for symbol, coin in newest.coins.items()
            )
        found = self.report(newest) if newest else None
        return EvaluationView(
            model=model,
            report=found if isinstance(found, ModelReport) else None,
            problem=found if isinstance(found, Problem) else None,
            version=newest.version if newest else None,
            live_version=live.version if live else None,
            live_since=live.at if live else None,
            rollback_to=self._rollback(ledger, model) if live else None,
            trained=card is not None,
            stale=bool(newest and artifact and artifact != newest.artifact_sha256),
            next_attempt=attempt,
            next_alpha=attempt_alpha(attempt),
            certificate=str(newest.details.get("certificate_sha256", ""))
            if newest and newest.details["passed"]
            else "",
        )

    def view(self, ledger: Ledger) -> LedgerView:
        """All entries, oldest first."""
        live = {entry.seq for entry in ledger.live().values()}
        return LedgerView(
            tuple(_entry_view(ledger, entry, entry.seq in live) for entry in ledger), self.problem
        )

    def runs(
        self,
        models: Sequence[str],
        jobs: Sequence[JobView],
        ledger: Ledger,
        begun: Mapping[str, str] = NO_RUNS,
    ) -> tuple[RunView, ...]:
        """Every kept run of these models, newest first, with what the store knows of their jobs.

        ``begun`` gives, by job, the run it said it works on.
        """
        cards = self.cards()
        found: list[RunView] = []
        for model in models:
            if model == "ppo":  # its curves are of another kind than a network's
                continue
            folder = self._paths.checkpoints / f"{model}_history"
            curves = [self._curve(path) for path in sorted(folder.glob("*.jsonl"))]
            own = [job for job in jobs if job.kind == "train" and job.target == model]
            readable = [curve for curve in curves if curve is not None]
            found += model_runs(model, readable, own, begun, cards.get(model), ledger)
        return tuple(
            sorted(found, key=lambda run: run.started_at.timestamp() if run.started_at else 0.0, reverse=True)
        )

    def _curve(self, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        try:
            return self._cache.get(path, _read_curve)
        except (OSError, ValueError):
            return None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            document = self._cache.get(path, read_json)
        except TradingAIError:
            return None
        return document if isinstance(document, dict) else None


def _read_report(path: Path) -> tuple[ModelReport, str]:
    """A report and its hash."""
    report = ModelReport.from_json(read_json(path))
    return report, report.sha256


def _read_curve(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A run and its epochs, from the JSON lines that training writes (``training/history.py``)."""
    run, *epochs = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    return run, epochs


def _entry_view(ledger: Ledger, entry: Entry, live: bool) -> LedgerEntry:
    """An entry with the numbers of its version's evaluation."""
    judged = ledger.evaluations(entry.model, entry.version)
    evaluation = entry if entry.kind == "evaluated" else (judged[-1] if judged else None)
    details = evaluation.details if evaluation else {}
    gates = details.get("gates") or {}
    passed = details.get("passed")
    event = {"promoted": "promoted", "rolled_back": "rolled back"}.get(entry.kind, "evaluated")
    if entry.kind == "evaluated" and not passed:
        event = "refused"
    return LedgerEntry(
        index=entry.seq,
        version=entry.version,
        model=entry.model,
        event=event,
        at=entry.at,
        live=live,
        passed=passed,
        accuracy=(details.get("metrics") or {}).get("accuracy"),
        gates_passed=sum(1 for good in gates.values() if good) if gates else None,
        gates_total=len(gates) or None,
        artifact_sha256=entry.artifact_sha256,
        attempt=details.get("attempt"),
        who=entry.who,
        why=entry.why,
        data_sha256=str(details.get("data_sha256", "")),
        features_sha256=str(details.get("features_sha256", "")),
        certificate=str(details.get("certificate_sha256", "")) if passed else "",
        previous=str(entry.details.get("previous") or ""),
    )


Curve = tuple[dict[str, Any], list[dict[str, Any]]]


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
        epochs=int(job.detail.get("epochs") or 10),
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
    points = tuple(_point(epoch) for epoch in epochs)
    job = jobs[0] if jobs else None
    kept = card is not None and (card.get("notes") or {}).get("run") == run["run"]
    record = (card or {}).get("record") or {} if kept else {}
    best = min(points, key=lambda point: point.validation_loss, default=None)
    ended_early = len(points) < int(run["epochs"]) and _no_gain(points)
    early = bool(record.get("early_stopped", ended_early))
    version = ledger.version_of(model, str(card["sha256"])) if kept and card is not None else None
    return RunView(
        id=str(run["run"]),
        label=_label(started),
        model=model,
        state=_run_state(job, points, int(run["epochs"]), early, kept),
        epochs=int(run["epochs"]),
        points=points,
        seed=int(run["seed"]),
        version=version,
        best_epoch=round(best.epoch) if best else None,
        patience=PATIENCE,
        early_stopped=early and (job is None or job.state not in {"running", "queued"}),
        started_at=started,
        took_s=sum(item.took_s or 0.0 for item in jobs) or None,
        bars_per_s=points[-1].bars_per_s if points else None,
        job_id=job.id if job else None,
        message=job.message if job else "",
        remedy=job.remedy if job else "",
        facts=MappingProxyType(_facts(run, record, card if kept else None)),
    )


def _run_state(
    job: JobView | None, points: Sequence[CurvePoint], epochs: int, early: bool, kept: bool
) -> JobState:
    if job is not None and job.state in {"running", "queued"}:
        return job.state
    if kept or len(points) >= epochs or early:
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


def _facts(
    run: Mapping[str, Any], record: Mapping[str, Any], card: Mapping[str, Any] | None
) -> dict[str, str]:
    """What the run, and its record where it is the kept one, say of network, data and machine."""
    facts: dict[str, str] = {}
    if card is not None:
        config, warmup = card.get("config") or {}, card.get("warmup") or {}
        facts["inputs"] = f"{config.get('inputs')} features"
        facts["network"] = f"{config.get('projection')} → LSTM {config.get('hidden')}"
        facts["warm-up"] = f"{warmup.get('bars')} bars"
        facts["artifact"] = str(card.get("sha256", ""))[:8]
    split = record.get("split") or {}
    for name, label in (
        ("train", "train"),
        ("early_stop", "early stop half"),
        ("calibration", "calibration half"),
    ):
        if name in split:
            facts[label] = f"{split[name][1] - split[name][0]:,} bars"
    if split:
        facts["purged"] = f"{split.get('purged_size')} bars a boundary"
    methods = [str(part["calibrator"]["method"]) for part in (card or {}).get("coins", [])]
    if methods:
        facts["calibration"] = ", ".join(dict.fromkeys(methods))
    facts["device"] = (
        f"{run.get('device')}, {run.get('threads')} thread{'' if run.get('threads') == 1 else 's'}"
    )
    if run.get("resumes"):
        facts["resumed"] = f"{run['resumes']} times"
    return facts
