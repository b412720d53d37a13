"""The pipeline's phases as the console shows them: the states of ``status --json``, with short results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tradingai.engine.core.symbols import ENSEMBLE
from tradingai.engine.queries.job_views import phase_seconds
from tradingai.engine.queries.model_snapshot import EvaluationView, RunView
from tradingai.engine.queries.observation_views import NO_OBSERVATION, ObservationView, hours_words
from tradingai.engine.queries.phases import Phase, model_words
from tradingai.engine.queries.snapshot import DatasetView, FeatureBuildView, JobView, PhaseView

PHASE_FORMS: Final[Mapping[str, tuple[str, str, str, tuple[str, ...]]]] = {
    "candles": ("Candles", "c", "data", ("generate", "fetch", "import")),
    "features": ("Features", "b", "features", ("features",)),
    "training": ("Training", "t", "training", ("train",)),
    "evaluation": ("Evaluation", "v", "gates", ("evaluate",)),
    "gates": ("Gates", "v", "gates", ()),
    "promotion": ("Promotion", "p", "models", ()),
    "replay": ("Replay 72 h", "r", "monitor", ("replay",)),
    "observation": ("Observation", "o", "observation", ("observe",)),
    "go_no_go": ("GO / NO-GO", "a", "observation", ()),
}
"""Phase id to title, key, screen and kinds of jobs."""
RESULT_COLUMNS: Final = 37
"""What a terminal of 80 columns leaves for a phase's result."""


class PhaseFacts:
    """What the results are made of."""

    def __init__(
        self,
        datasets: Sequence[DatasetView],
        builds: Sequence[FeatureBuildView],
        evaluations: Sequence[EvaluationView],
        runs: Sequence[RunView],
        jobs: Sequence[JobView],
        observation: ObservationView = NO_OBSERVATION,
    ) -> None:
        self.datasets = datasets
        self.builds = builds
        self.evaluations = evaluations
        self.runs = runs
        self.jobs = jobs
        self.observation = observation


def phase_views(phases: Sequence[Phase], facts: PhaseFacts) -> tuple[PhaseView, ...]:
    """Each phase with its title, key and a result of a few words."""
    return tuple(_view(phase, facts) for phase in phases if phase.id in PHASE_FORMS)


def _view(phase: Phase, facts: PhaseFacts) -> PhaseView:
    title, key, screen, kinds = PHASE_FORMS[phase.id]
    running = [job for job in facts.jobs if job.kind in kinds and job.state in {"running", "queued"}]
    shares = [job.fraction or 0.0 for job in running]
    etas = [job.eta_s for job in running if job.eta_s is not None]
    return PhaseView(
        id=phase.id,
        title=title,
        state=phase.state,
        result=_result(phase, running, facts),
        took_s=_seconds(phase, kinds, facts),
        next_action=_next_action(phase, kinds, facts),
        key=key if phase.state != "later" else "",
        screen=screen,
        fraction=sum(shares) / len(shares) if shares else None,
        eta_s=max(etas) if etas and phase.state == "running" else None,
    )


def _result(phase: Phase, running: Sequence[JobView], facts: PhaseFacts) -> str:
    if phase.state == "running" and running:
        return _running(running)
    if phase.state in {"failed", "interrupted"}:
        return phase.detail
    if phase.id == "observation" and facts.observation.state == "running":
        return _observation(facts)
    done = _DONE[phase.id](facts) if phase.id in _DONE else ""
    if phase.state in {"done", "refused"}:
        return done or phase.detail
    if phase.state == "next" and phase.id == "candles" and not facts.datasets:
        return "about 2 s"
    return "" if phase.detail == "nothing yet" else phase.detail


def _seconds(phase: Phase, kinds: Sequence[str], facts: PhaseFacts) -> float | None:
    """How long it took; of an observation what its clock has counted."""
    if phase.id == "observation":
        return facts.observation.continuous_s if facts.observation.state == "running" else None
    return phase_seconds(facts.jobs, kinds) if kinds else None


def _observation(facts: PhaseFacts) -> str:
    """``of 72:00 h, GO not before Thu 06:00Z``: what the clock counted stands beside it."""
    view = facts.observation
    required = f"of {hours_words(3600 * view.required_hours)} h"
    full = view.continuous_s >= 3600 * view.required_hours
    if full or view.go_not_before is None:
        return required if full else f"{required}, no scan loop runs"
    return f"{required}, GO not before {view.go_not_before:%a %H:%MZ}"


def _running(running: Sequence[JobView]) -> str:
    if len(running) > 1:
        shares = [job.fraction for job in running if job.fraction is not None]
        mean = f", {100 * sum(shares) / len(shares):.0f} %" if shares else ""
        return f"{len(running)} jobs{mean}"
    job = running[0]
    return job.target if job.fraction is None else f"{job.target}, {100 * job.fraction:.0f} %"


def _next_action(phase: Phase, kinds: Sequence[str], facts: PhaseFacts) -> str:
    if phase.state == "refused" and phase.id == "gates":
        refused = [item.model for item in facts.evaluations if item.report and not item.report.passed]
        trained = [model for model in refused if model != ENSEMBLE]
        if trained:
            return f"train {trained[0]} again"
        return f"evaluate {ENSEMBLE} again" if refused else ""
    if phase.state == "interrupted":
        return "resume from the checkpoint" if "train" in kinds else "start it again"
    if phase.state == "failed":
        job = next((item for item in facts.jobs if item.kind in kinds and item.state == "failed"), None)
        return job.remedy if job else ""
    return ""


def _candles(facts: PhaseFacts) -> str:
    rows = sorted({data.rows for data in facts.datasets})
    if len(rows) == 1:
        text = f"{len(facts.datasets)} × {rows[0]:,} rows"
    else:
        text = f"{len(facts.datasets)} coins, {sum(data.rows for data in facts.datasets):,} rows"
    outliers = sum(int(data.quality.get("outliers") or 0) for data in facts.datasets)
    return f"{text}, {outliers} outliers" if outliers else text


def _features(facts: PhaseFacts) -> str:
    counts = sorted({build.features for build in facts.builds})
    span = "–".join(str(count) for count in ([counts[0], counts[-1]] if len(counts) > 1 else counts))
    return f"{len(facts.builds)} × {span} features" if counts else ""


def _training(facts: PhaseFacts) -> str:
    best: dict[str, float] = {}
    for run in facts.runs:
        if run.points and run.model not in best and run.state == "done":
            best[run.model] = max(point.validation_accuracy for point in run.points)
    trained = [item.model for item in facts.evaluations if item.trained and item.model != ENSEMBLE]
    return model_words(trained) + (f", {_span(list(best.values()))} on validation" if best else "")


def _evaluation(facts: PhaseFacts) -> str:
    known = [
        item.report.accuracy for item in facts.evaluations if item.report and item.report.accuracy is not None
    ]
    oracles = [
        item.report.oracle.accuracy for item in facts.evaluations if item.report and item.report.oracle
    ]
    text = f"accuracy {_span(known)}" if known else ""
    return text + (f", oracle {_span(oracles)}" if oracles else "")


def _gates(facts: PhaseFacts) -> str:
    reports = [(item.model, item.report) for item in facts.evaluations if item.report is not None]
    refused = [(model, report) for model, report in reports if not report.passed]
    if any(item.problem is not None for item in facts.evaluations):
        return ""
    if not refused:
        total = sum(len(report.gates) for _, report in reports)
        return f"{total} of {total} pass" if reports else ""
    model, report = refused[0]
    failed = [gate.id for gate in report.gates if not gate.passed]
    passed = len(report.gates) - len(failed)
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return f"{model}: {passed} of {len(report.gates)}, {failed[0] if failed else ''}{more}"


def _promotion(facts: PhaseFacts) -> str:
    live = [item for item in facts.evaluations if item.live_version]
    versions = ", ".join(dict.fromkeys(item.live_version or "" for item in live))
    if len(live) < len(facts.evaluations):
        words = f"{versions}: {model_words([item.model for item in live])}"
        if live and len(words) <= RESULT_COLUMNS:
            return words
    return f"{versions}: {len(live)} of {len(facts.evaluations)} models live" if live else ""


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{100 * low:.1f} %" if f"{low:.3f}" == f"{high:.3f}" else f"{100 * low:.1f}–{100 * high:.1f} %"


_DONE: Final = {
    "candles": _candles,
    "features": _features,
    "training": _training,
    "evaluation": _evaluation,
    "gates": _gates,
    "promotion": _promotion,
}
