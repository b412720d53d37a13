"""How far the pipeline has come, from manifests, the ledger and the jobs of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from tradingai.engine.core.ledger import Ledger, LedgerEntry
from tradingai.engine.core.symbols import (
    ENSEMBLE,
    MULTI_COIN_MODELS,
    lstm_name,
    model_kind,
    train_command,
)
from tradingai.engine.queries.observation_criteria import missing_words
from tradingai.engine.queries.observation_views import NO_OBSERVATION, ObservationView, hours_words
from tradingai.engine.store.job_rows import JobRow
from tradingai.engine.store.manifests import DatasetManifest, FeatureManifest

PhaseState = Literal["waiting", "next", "running", "done", "refused", "failed", "interrupted", "later"]
_JOBS: Final = {
    "generate": "candles",
    "fetch": "candles",
    "import": "candles",
    "features": "features",
    "train": "training",
    "evaluate": "evaluation",
    "replay": "replay",
    "observe": "observation",
}
_WORDS: Final = {"ppo": "PPO"}


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the pipeline: where it stands, in a word and in a sentence."""

    id: str
    state: PhaseState
    detail: str
    command: str = ""
    """What makes this phase, or makes it go on."""

    def as_json(self) -> dict[str, Any]:
        """For ``status --json``."""
        return {"id": self.id, "state": self.state, "detail": self.detail, "command": self.command}


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read from one home."""

    coins: tuple[str, ...]
    provider: str = "synthetic"
    """DATA_PROVIDER: how candles that are missing are got."""
    datasets: Mapping[str, DatasetManifest] = field(default_factory=dict)
    features: Mapping[str, FeatureManifest] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Hash of the best checkpoint by model."""
    ledger: Ledger = field(default_factory=Ledger)
    jobs: Sequence[JobRow] = ()
    """Newest first."""
    observation: ObservationView = NO_OBSERVATION

    @property
    def models(self) -> tuple[str, ...]:
        """What the phases count: the LSTM of every coin, and of the others what somebody began.

        Transformer and agent count once a training of theirs began or an artifact or a ledger entry is
        there; the ensemble once models of two kinds are trained. A home of LSTMs alone is done without them.
        """
        lstms = tuple(lstm_name(coin) for coin in self.coins)
        there = set(self.artifacts) | set(self.ledger.models())
        begun = there | {job.target for job in self.jobs if job.kind == "train"}
        several = {model for model in MULTI_COIN_MODELS if model != ENSEMBLE and model in begun}
        trained = {model_kind(model) for model in self.artifacts} - {ENSEMBLE}
        if len(trained) > 1 or ENSEMBLE in there:
            several.add(ENSEMBLE)
        return (*lstms, *(model for model in MULTI_COIN_MODELS if model in several))

    @property
    def trained_models(self) -> tuple[str, ...]:
        """Those of the models that are trained; an ensemble is made of them."""
        return tuple(model for model in self.models if model != ENSEMBLE)

    def evaluation(self, model: str) -> LedgerEntry | None:
        """The newest evaluation of the model's best checkpoint."""
        found = [
            entry
            for entry in self.ledger.evaluations(model)
            if entry.artifact_sha256 == self.artifacts.get(model)
        ]
        return found[-1] if found else None


def phases(facts: Facts) -> tuple[Phase, ...]:
    """All phases in order. The first that is not done is ``next``, unless it is under way or failed."""
    found = [
        _candles(facts),
        _features(facts),
        _training(facts),
        _evaluation(facts),
        _gates(facts),
        _promotion(facts),
        _replay(facts),
        _observation(facts.observation),
        _go_no_go(facts.observation),
    ]
    marked: list[Phase] = []
    open_before = False
    for phase in (_with_jobs(phase, facts) for phase in found):
        if phase.state == "waiting" and not open_before:
            phase = replace(phase, state="next")  # noqa: PLW2901 - the same phase, marked
        open_before = open_before or phase.state not in {"done", "later"}
        marked.append(phase)
    return tuple(marked)


def _share(name: str, done: Sequence[str], all_of: Sequence[str], detail: str, command: str) -> Phase:
    """``done`` when all of them are there, else ``waiting`` with what is missing."""
    if all_of and len(done) == len(all_of):
        return Phase(name, "done", detail, command)
    if not done:
        return Phase(name, "waiting", "nothing yet", command)
    missing = ", ".join(item for item in all_of if item not in done)
    return Phase(name, "waiting", f"{len(done)} of {len(all_of)}; missing {missing}", command)


def _candles(facts: Facts) -> Phase:
    there = [coin for coin in facts.coins if coin in facts.datasets]
    rows = " + ".join(f"{facts.datasets[coin].rows:,}" for coin in there)
    sources = sorted({_source(facts.datasets[coin]) for coin in there})
    coins = ", ".join(facts.coins)
    detail = f"{rows} candles of {coins} ({', '.join(sources)})"
    missing = ",".join(coin for coin in facts.coins if coin not in there) or ",".join(facts.coins)
    fetched = facts.provider in {"ccxt", "yfinance"}
    command = f"tradingai data {'fetch' if fetched else 'generate'} --symbols {missing}"
    return _share("candles", there, facts.coins, detail, command + (" --start DAY" if fetched else ""))


def _source(dataset: DatasetManifest) -> str:
    if dataset.synthetic:
        return f"SYNTHETIC {dataset.market}, seed {dataset.seed}"
    return " ".join(filter(None, (dataset.provider, dataset.exchange, dataset.market_symbol)))


def _features(facts: Facts) -> Phase:
    current = [
        coin
        for coin, manifest in facts.features.items()
        if coin in facts.coins
        and coin in facts.datasets
        and manifest.candles_sha256 == facts.datasets[coin].sha256
    ]
    stale = [coin for coin in facts.coins if coin in facts.features and coin not in current]
    columns = sorted({len(facts.features[coin].names) for coin in current})
    detail = f"{' or '.join(map(str, columns))} features for {len(current)} coins"
    phase = _share("features", current, facts.coins, detail, "tradingai features build")
    if stale:
        return replace(phase, detail=f"{phase.detail}; candles changed since: {', '.join(stale)}")
    return phase


def _training(facts: Facts) -> Phase:
    models = facts.trained_models
    trained = [model for model in models if model in facts.artifacts]
    missing = next((model for model in models if model not in trained), models[0])
    return _share("training", trained, models, model_words(trained), train_command(missing))


def model_words(models: Sequence[str]) -> str:
    """``3 LSTM, transformer, PPO``."""
    lstms = sum(model_kind(model) == "lstm" for model in models)
    others = [_WORDS.get(model, model) for model in models if model_kind(model) != "lstm"]
    return ", ".join([*([f"{lstms} LSTM"] if lstms else []), *others])


def _evaluation(facts: Facts) -> Phase:
    done = [model for model in facts.models if facts.evaluation(model)]
    accuracies = [
        entry.details["metrics"]["accuracy"] for model in done if (entry := facts.evaluation(model))
    ]
    known = sorted(value for value in accuracies if value is not None)
    detail = "no accuracy"
    if known:
        detail = f"accuracy {100 * known[0]:.1f} to {100 * known[-1]:.1f} % on the test range"
    missing = next((model for model in facts.models if model not in done), facts.models[0])
    return _share("evaluation", done, facts.models, detail, f"tradingai evaluate {missing}")


def _gates(facts: Facts) -> Phase:
    entries = {model: entry for model in facts.models if (entry := facts.evaluation(model))}
    passed = [model for model, entry in entries.items() if entry.details["passed"]]
    refused = [
        f"{model}: {', '.join(gate for gate, good in entry.details['gates'].items() if not good)}"
        for model, entry in entries.items()
        if not entry.details["passed"]
    ]
    if refused:
        first = next(model for model in entries if model not in passed)
        return Phase("gates", "refused", "; ".join(refused), f"tradingai evaluate {first}")
    return _share("gates", passed, facts.models, "every gate passed", "tradingai evaluate MODEL")


def _promotion(facts: Facts) -> Phase:
    live = {model: entry for model, entry in facts.ledger.live().items() if model in facts.models}
    detail = ", ".join(f"{model} {entry.version}" for model, entry in live.items())
    missing = next((model for model in facts.models if model not in live), facts.models[0])
    return _share("promotion", list(live), facts.models, detail, f"tradingai models promote {missing}")


def _replay(facts: Facts) -> Phase:
    """The newest replay, as long as the models it used are those that are live."""
    documents = [job.result["replay"] for job in facts.jobs if job.kind == "replay" and job.result]
    phase = Phase("replay", "waiting", "nothing yet", "tradingai replay --hours 72")
    if not documents:
        return phase
    newest = documents[0]
    live = {model: entry.version for model, entry in facts.ledger.live().items() if model in facts.models}
    if newest["models"] != live:
        return replace(phase, detail="other models are live since the newest replay")
    rate = newest["win_rate"]
    wins = "no trade" if rate is None else f"win rate {100 * rate:.1f} %"
    detail = f"{newest['scans']:,} scans, {newest['signals']:,} signals, {wins}"
    return replace(phase, state="done", detail=detail)


def _observation(view: ObservationView) -> Phase:
    """Done once the clock is full; a restart of the clock takes that back."""
    phase = Phase("observation", "waiting", "nothing yet", "tradingai observe start")
    if view.state == "none" or (view.state == "ended" and view.verdict.word != "GO"):
        return phase
    clock = f"{hours_words(view.continuous_s)} of {hours_words(3600 * view.required_hours)} h"
    full, until = view.continuous_s >= 3600 * view.required_hours, view.go_not_before
    command = "tradingai observe status"
    if full or until is None:
        idle = replace(phase, detail=f"{clock}, the scan loop does not run", command="tradingai run")
        return Phase("observation", "done", clock, command) if full else idle
    return Phase("observation", "running", f"{clock}, GO not before {until:%a %H:%MZ}", command)


def _go_no_go(view: ObservationView) -> Phase:
    phase = Phase("go_no_go", "waiting", "nothing yet", "tradingai observe report")
    word = view.verdict.word
    if word == "GO" and view.state == "ended":
        return replace(phase, state="done", detail=f"GO, {view.ended_at:%Y-%m-%d %H:%M} UTC")
    if word in {"NO-GO", "INSUFFICIENT"}:
        return replace(phase, state="refused", detail=f"{word}: {view.verdict.text}")
    missing = missing_words(view.criteria)
    if view.state == "running":
        return replace(phase, detail=missing or "every criterion holds: the report gives the verdict")
    return phase


def _with_jobs(phase: Phase, facts: Facts) -> Phase:
    """What a phase's newest job says, where that is news."""
    jobs = [job for job in facts.jobs if _JOBS.get(job.kind) == phase.id]
    running = [job for job in jobs if job.state in {"running", "queued"}]
    if running:
        return replace(phase, state="running", detail="; ".join(_job_line(job) for job in running))
    begun = phase.id == "observation" and facts.observation.state == "running"
    if not jobs or phase.state == "done" or begun:
        return phase  # a start that was refused says nothing of the observation that runs
    newest = jobs[0]
    if newest.state == "failed":
        words = newest.error or {}
        return replace(phase, state="failed", detail=f"{newest.target}: {words.get('message', '')}")
    if newest.state in {"interrupted", "cancelled"}:
        return replace(phase, state="interrupted", detail=f"{newest.target}: {newest.state}, can go on")
    return phase


def _job_line(job: JobRow) -> str:
    if job.progress is None or job.progress.total <= 0:
        return f"{job.target} {job.state}"
    return f"{job.target} {100 * min(1.0, job.progress.done / job.progress.total):.0f} %"
