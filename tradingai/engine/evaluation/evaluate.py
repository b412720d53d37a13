"""Evaluating one trained model on its test range: probabilities, battery, report, ledger, report file.

The evaluation depends on the artifact, the stored data, the thresholds and the versions of its definitions;
their hash is its key. The same key again finds the work done. Randomness (cuts, permutations) is seeded
from the artifact's and the test data's hashes, so the same evaluation gives the same certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.events import EvaluationFinished, GateDecided, JobSkipped
from tradingai.engine.core.files import write_json
from tradingai.engine.core.jsonio import digest
from tradingai.engine.core.ledger import Candidate
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import REPORT_SCHEMA
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.datasets.dataset import Dataset, load_dataset
from tradingai.engine.datasets.together import check_together
from tradingai.engine.evaluation.aside import Aside, result_of
from tradingai.engine.evaluation.assess import Assessment, JudgedBars, Subject, assess
from tradingai.engine.evaluation.backtest import BacktestPlan, backtest
from tradingai.engine.evaluation.baselines import majority_up
from tradingai.engine.evaluation.coinwise import Coinwise
from tradingai.engine.evaluation.leakage.battery import BATTERY_VERSION, run_battery
from tradingai.engine.evaluation.leakage.examined import Examined
from tradingai.engine.evaluation.leakage.pipeline import Pipeline
from tradingai.engine.evaluation.stored import StoredCoin
from tradingai.engine.features.registry import feature_set
from tradingai.engine.gates import LEAKAGE_CHECKS, Thresholds
from tradingai.engine.models.artifact import ModelArtifact, best_path, check_data, load_artifact
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.ensemble import ENSEMBLE, EnsembleVoice, components_of
from tradingai.engine.models.voice import NetworkVoice, Voice
from tradingai.engine.store.oracle_files import read_oracle

Floats = npt.NDArray[np.float64]


class EvaluationLedger(Protocol):
    """What an evaluation needs of the registry."""

    def recall(self, candidate: Candidate) -> ModelReport | None:
        """The report of exactly this evaluation when it is recorded and intact."""
        ...

    def record(
        self, candidate: Candidate, build: Callable[[Mapping[str, int], str], ModelReport], *, why: str = ""
    ) -> ModelReport:
        """Give the candidate its attempt by coin and its version; record what ``build`` makes of them."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A report, and whether anything had to be done for it."""

    report: ModelReport
    skipped: bool
    reason: str = ""


def evaluate_model(
    paths: HomePaths,
    target: str,
    thresholds: Thresholds,
    ledger: EvaluationLedger,
    reporter: Reporter,
    *,
    clock: Clock,
    plan: BacktestPlan | None = None,
    fresh: bool = False,
    why: str = "",
) -> Evaluated:
    """Evaluate ``target``, a model id or a checkpoint's path, record it and write its report file.

    ``plan`` says by which numbers the test range is traded; None takes the defaults.

    Done already, it says so (JobSkipped) and returns the recorded report; ``fresh`` does it again all the
    same. Raises MissingError without model, candles or features, ArtifactError for damaged files and for a
    model that was trained on other data than is stored, InterruptedRunError at a safe point.
    """
    started = clock.monotonic()
    plan = plan or BacktestPlan()
    loaded = load_judged(paths, artifact_path(paths, target))
    candidate = loaded.candidate(thresholds, plan)
    done = None if fresh else ledger.recall(candidate)
    if done is not None:
        _write_report(paths, done)
        reason = f"{done.model} {done.version} stands: evaluated on the same data with the same thresholds"
        reporter.emit(JobSkipped(job_id="", kind="evaluate", target=done.model, reason=reason))
        return Evaluated(done, skipped=True, reason=reason)
    assessments = _assess(paths, loaded, thresholds, plan, reporter, clock)
    seconds, now = clock.monotonic() - started, clock.now()
    assessments = [replace(one, evaluated_at=now, seconds=seconds) for one in assessments]
    report = ledger.record(
        candidate, lambda attempts, version: _report(loaded, assessments, attempts, version), why=why
    )
    _write_report(paths, report)
    _announce(report, reporter)
    return Evaluated(report, skipped=False)


def recompute_certificate(
    paths: HomePaths, report: ModelReport, artifact: Path, reporter: Reporter, *, clock: Clock
) -> list[str]:
    """Evaluate an artifact again and say where the result differs from ``report``; empty when nowhere.

    Raises MissingError or ArtifactError when the data it was evaluated on are not stored any more.
    """
    inputs = report.coins[0].inputs
    loaded = load_judged(paths, artifact, expect_sha256=inputs["artifact_sha256"])
    plan = BacktestPlan.from_json(inputs["backtest"])
    assessments = _assess(paths, loaded, Thresholds(**report.thresholds), plan, reporter, clock)
    attempts = {coin.symbol: coin.attempt for coin in report.coins}
    return differences(report, _report(loaded, assessments, attempts, report.version))


def artifact_path(paths: HomePaths, target: str) -> Path:
    """The file of a model id (its finished checkpoint) or of a checkpoint's path."""
    if target.endswith(".pt") or "/" in target:
        return Path(target)
    return best_path(paths, target)


def report_path(paths: HomePaths, report: ModelReport) -> Path:
    """``reports/evaluations/<model>/<artifact8>-<data8>.json``."""
    inputs = report.coins[0].inputs
    name = f"{inputs['artifact_sha256'][:8]}-{inputs['test_sha256'][:8]}.json"
    return paths.evaluations / report.model / name


_WORDING: Final = frozenset(
    {"detail", "to_pass", "measure", "reason", "backtest_reason", "evidence", "times"}
)


def differences(before: ModelReport, after: ModelReport) -> list[str]:
    """Where two reports differ in a number or a verdict, by path; wording and times do not count."""
    return list(_differing("", before.as_json(), after.as_json()))


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model beside the data of all coins it looks at, in the order of its inputs."""

    path: Path
    voice: Voice
    coins: tuple[StoredCoin, ...]

    @property
    def artifact(self) -> ModelArtifact:
        """What was trained."""
        return self.voice.artifact

    @property
    def data(self) -> tuple[Dataset, ...]:
        """Every coin's."""
        return tuple(coin.data for coin in self.coins)

    @property
    def judged(self) -> tuple[StoredCoin, ...]:
        """The coins it speaks of, in the order of its artifact."""
        by_symbol = {coin.data.symbol: coin for coin in self.coins}
        return tuple(by_symbol[symbol] for symbol in self.artifact.symbols)

    def candidate(self, thresholds: Thresholds, plan: BacktestPlan) -> Candidate:
        """What the ledger has to know before it can count the attempt."""
        key = {
            "artifact": self.artifact.sha256,
            "inputs": {data.symbol: data.inputs_sha256 for data in self.data},
            "peers": {data.symbol: data.features.peers for data in self.data},
            "thresholds": thresholds.as_json(),
            "backtest": plan.as_json(),
            "definitions": [REPORT_SCHEMA, BATTERY_VERSION],
        }
        return Candidate(
            model=self.artifact.model,
            tests={coin.data.symbol: coin.test_sha256 for coin in self.judged},
            artifact_sha256=self.artifact.sha256,
            artifact=self.path,
            sidecar=self.path.with_suffix(".json"),
            key=digest(key),
        )


def load_judged(paths: HomePaths, path: Path, expect_sha256: str | None = None) -> Loaded:
    """An artifact beside the stored data it was trained on. Raises MissingError or ArtifactError."""
    artifact = load_artifact(path, expect_sha256)
    voice = load_voice(paths, artifact)
    data = [load_dataset(paths, symbol) for symbol in voice.inputs]
    for one in data:
        if one.symbol in artifact.symbols:
            check_data(artifact, one)
    check_together(data)
    return Loaded(path, voice, tuple(StoredCoin.read(paths, one) for one in data))


def load_voice(paths: HomePaths, artifact: ModelArtifact) -> Voice:
    """What the artifact says of its coins. Raises ArtifactError for an ensemble whose parts are not there."""
    if artifact.kind != ENSEMBLE:
        return NetworkVoice(artifact)
    parts = components_of(artifact)
    voices = [
        NetworkVoice(load_artifact(paths.version_model(part.model, part.version), expect_sha256=part.sha256))
        for part in parts
    ]
    return EnsembleVoice(artifact, voices)


def _assess(
    paths: HomePaths,
    loaded: Loaded,
    thresholds: Thresholds,
    plan: BacktestPlan,
    reporter: Reporter,
    clock: Clock,
) -> list[Assessment]:
    """Everything but the attempts, coin by coin."""
    artifact, found = loaded.artifact, []
    apart = plan.worth_a_process(sum(coin.data.split.test.size for coin in loaded.judged))
    with Aside(apart=apart) as aside, reproducible(choose_compute("cpu"), int(artifact.record["threads"])):
        for number, coin in enumerate(loaded.judged):
            telling = Coinwise(reporter, number, len(loaded.judged), coin.data.symbol)
            found.append(_assess_coin(paths, loaded, coin, thresholds, plan, telling, clock, aside))
        _tell(reporter, "backtest", done=len(found))
        return [replace(one, backtest=result_of(traded, reporter)) for one, traded in found]


def _assess_coin(
    paths: HomePaths,
    loaded: Loaded,
    coin: StoredCoin,
    thresholds: Thresholds,
    plan: BacktestPlan,
    reporter: Reporter,
    clock: Clock,
    aside: Aside,
) -> tuple[Assessment, Future[BacktestResult]]:
    """Probabilities on the coin's test range, battery, scores; and its backtest, which goes on meanwhile."""
    artifact, data = loaded.artifact, coin.data
    test_sha256 = coin.test_sha256
    rng = np.random.default_rng(int(digest([artifact.sha256, test_sha256, BATTERY_VERSION])[:16], 16))
    _tell(reporter, "predicting")
    examined = _examined(loaded, coin)
    test = coin.traded(artifact.model, examined.test, examined.probability)
    traded = aside.submit(backtest, plan, test.cropped(plan.minutes))
    leakage = run_battery(examined, rng, reporter, clock)
    subject = Subject(
        model=artifact.model,
        symbol=data.symbol,
        market=data.features.market,
        synthetic=data.features.synthetic,
        inputs={**_inputs(loaded, coin, test_sha256, examined.probability), "backtest": plan.as_json()},
    )
    bars = _judged(paths, coin, examined.probability)
    return assess(subject, bars, thresholds, leakage), traded


def _tell(reporter: Reporter, stage: str, done: int = 0) -> None:
    """The stage, with ``done`` coins whose checks are through."""
    checks = len(LEAKAGE_CHECKS)
    reporter.progress(Progress(done * checks, max(done, 1) * checks, "checks", detail={"stage": stage}))


def _report(
    loaded: Loaded, assessments: Sequence[Assessment], attempts: Mapping[str, int], version: str
) -> ModelReport:
    """The report of one version from what was found of its coins."""
    artifact = loaded.artifact
    parts = components_of(artifact) if artifact.kind == ENSEMBLE else ()
    return ModelReport.of(
        (one.report(attempts[one.subject.symbol], version) for one in assessments),
        ((part.model, part.version, part.sha256) for part in parts),
    )


def _examined(loaded: Loaded, coin: StoredCoin) -> Examined:
    """The model with one coin's data, and what it says on that coin's test range."""
    data, test = coin.data, coin.data.split.test
    values = {one.symbol: one.values for one in loaded.data}
    first = data.features.first_valid
    return Examined(
        voice=loaded.voice,
        data=data,
        together=loaded.data,
        market=coin.market(loaded.artifact.coin(data.symbol).scaler.std),
        pipelines={
            one.symbol: Pipeline.of(feature_set(one.symbol, tuple(one.features.peers))) for one in loaded.data
        },
        rows=test.indices(),
        probability=loaded.voice.probabilities(values, test.lo, test.hi, first)[data.symbol],
    )


def _judged(paths: HomePaths, coin: StoredCoin, probability: Floats) -> JudgedBars:
    data, test = coin.data, coin.data.split.test
    expected = _oracle(paths, data.symbol) if data.features.synthetic else None
    return JudgedBars(
        rows=test.indices(),
        ts=coin.own.ts[test.slice],
        probability=probability,
        labels=data.labels[test.slice],
        close=data.close,
        majority_up=majority_up(data.labels[data.split.train.slice]),
        expected_return=None if expected is None else expected[test.slice],
    )


def _oracle(paths: HomePaths, symbol: str) -> Floats | None:
    """What there was to learn; None when nobody kept it."""
    try:
        return read_oracle(paths, symbol)[1]
    except MissingError:
        return None


def _inputs(loaded: Loaded, coin: StoredCoin, test_sha256: str, probability: Floats) -> dict[str, Any]:
    artifact, data = loaded.artifact, coin.data
    return {
        "artifact_sha256": artifact.sha256,
        "data_sha256": data.candles.sha256,
        "peers": data.features.peers,
        "features_sha256": data.features.sha256,
        "definitions_sha256": data.features.definitions_sha256,
        "features": len(data.features.names),
        "inputs_sha256": data.inputs_sha256,
        "test_sha256": test_sha256,
        "predictions_sha256": hashlib.sha256(np.ascontiguousarray(probability, dtype="<f8").data).hexdigest(),
        "split": data.split.as_dict(),
        "provider": data.features.provider,
        "market_seed": data.candles.seed,
        "seed": artifact.record["seed"],
        "threads": artifact.record["threads"],
        "warmup": loaded.voice.warmup,
        "battery": BATTERY_VERSION,
    }


def _write_report(paths: HomePaths, report: ModelReport) -> None:
    write_json(report_path(paths, report), report.as_json())


def _announce(report: ModelReport, reporter: Reporter) -> None:
    for coin in report.coins:
        about = f"{coin.symbol}: " if len(report.coins) > 1 else ""
        for gate in coin.gates:
            reporter.emit(
                GateDecided(
                    model=report.model,
                    version=report.version,
                    gate=gate.id,
                    passed=gate.passed,
                    detail=f"{about}{gate.detail}",
                )
            )
    reporter.emit(
        EvaluationFinished(
            model=report.model,
            version=report.version,
            accuracy=float("nan") if report.accuracy is None else report.accuracy,
            passed=report.passed,
            attempt=report.attempt,
        )
    )


def _differing(path: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if name not in _WORDING and not name.endswith("sha256")]
        return [
            found
            for name in names
            for found in _differing(f"{path}.{name}" if path else name, before.get(name), after.get(name))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [found for index, (a, b) in pairs for found in _differing(f"{path}[{index}]", a, b)]
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    if numbers and not isinstance(before, bool) and not isinstance(after, bool):
        same = bool(np.isclose(before, after, rtol=1e-6, atol=1e-9))
    else:
        same = before == after
    return [] if same else [f"{path} is {after!r} instead of {before!r}"]
