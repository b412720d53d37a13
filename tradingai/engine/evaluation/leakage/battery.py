"""The seven checks applied to one trained artifact, its data and the probabilities it was scored on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import Progress, Reporter, SilentReporter
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.leakage import fits
from tradingai.engine.evaluation.leakage.causality import Market, causality
from tradingai.engine.evaluation.leakage.constants import FittedConstant, fitted_constants
from tradingai.engine.evaluation.leakage.inference import truncated_inference
from tradingai.engine.evaluation.leakage.pipeline import Pipeline
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.leakage.shuffled import ShuffledFit, shuffled_labels
from tradingai.engine.evaluation.leakage.single_feature import SingleFeatureInput, single_feature, thinned
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.gates import LEAKAGE_CHECKS
from tradingai.engine.models.artifact import CoinPart, ModelArtifact
from tradingai.engine.models.calibration import fit_calibrator, log_loss, sigmoid
from tradingai.engine.models.device import choose_compute
from tradingai.engine.models.predict import Predictor
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.stream import FitTask, StreamFit

BATTERY_VERSION: Final = 1
"""A change of any check raises it, and evaluations are done again."""
LOGISTIC_ROWS: Final = 20_000
RERUN_BARS: Final = 24_000
"""Training bars of the short training on shuffled labels: the newest that training consumed."""
RERUN_SCORED: Final = 12_000
RERUN_EPOCHS: Final = 2
CURVE: Final = np.linspace(-4.0, 4.0, 161)
"""Logits at which two calibrators are compared."""
KNOWN_CONSTANTS: Final = ("scaler", "weights", "best_epoch", "calibrator")
"""What the training record may declare as fitted. Weights are not refitted: what they were fitted on is
check 3's question, and whether they carry what they should not is that of checks 5 to 7."""

Ints = npt.NDArray[np.int64]
Result = CheckResult | tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """What the battery looks at; ``rows`` [n] are the test rows, ``probability`` [n] what was said there."""

    artifact: ModelArtifact
    data: Dataset
    market: Market
    pipeline: Pipeline
    rows: Ints
    probability: npt.NDArray[np.float64]

    @property
    def coin(self) -> CoinPart:
        """The artifact's part of the coin."""
        return self.artifact.coin(self.data.symbol)

    @property
    def record(self) -> dict[str, Any]:
        """The trainer's record of what it consumed."""
        return self.artifact.record

    @property
    def test(self) -> Rows:
        """The test range."""
        return Rows(int(self.rows[0]), int(self.rows[-1]) + 1)

    def scored(self, purpose: str) -> list[Rows]:
        """Ranges whose labels were consumed for a purpose."""
        return [Rows(*pair) for pair in self.record["consumed"][purpose].get("scored", [])]

    @property
    def labelled_test(self) -> Ints:
        """Test rows that have a label."""
        return self.rows[self.data.labels[self.rows] >= 0]

    @property
    def labelled_train(self) -> Ints:
        """Rows that training consumed and that have a label."""
        rows: Ints = np.concatenate([part.indices() for part in self.scored("train")])
        return rows[self.data.labels[rows] >= 0]


def run_battery(
    examined: Examined, rng: np.random.Generator, reporter: Reporter, clock: Clock
) -> tuple[CheckResult, ...]:
    """All checks in order. One that cannot be carried out says why and does not pass.

    Raises InterruptedRunError at a safe point.
    """
    steps: tuple[tuple[tuple[str, ...], Callable[[], Result]], ...] = (
        (LEAKAGE_CHECKS[:2], lambda: causality(examined.market, examined.pipeline, rng, reporter)),
        (LEAKAGE_CHECKS[2:3], lambda: _separation(examined)),
        (LEAKAGE_CHECKS[3:4], lambda: _constants(examined)),
        (LEAKAGE_CHECKS[4:5], lambda: _shuffled(examined, rng, reporter, clock)),
        (LEAKAGE_CHECKS[5:6], lambda: _single_feature(examined)),
        (LEAKAGE_CHECKS[6:7], lambda: _inference(examined, rng, reporter)),
    )
    results: list[CheckResult] = []
    for names, step in steps:
        reporter.safe_point()
        _tell(reporter, len(results), names[0])
        started = clock.monotonic()
        found = _carried_out(names, step)
        seconds = (clock.monotonic() - started) / len(found)
        results += [replace(item, seconds=seconds) for item in found]
    _tell(reporter, len(results), "")
    return tuple(results)


def _tell(reporter: Reporter, done: int, check: str) -> None:
    detail = {"stage": "leakage", "check": check.replace("_", " ")}
    reporter.progress(Progress(done=done, total=len(LEAKAGE_CHECKS), unit="checks", detail=detail))


def _carried_out(names: tuple[str, ...], step: Callable[[], Result]) -> tuple[CheckResult, ...]:
    try:
        found = step()
    except InterruptedRunError:
        raise
    except TradingAIError as error:
        return tuple(CheckResult(name, passed=False, detail=error.message, ran=False) for name in names)
    return found if isinstance(found, tuple) else (found,)


def _separation(examined: Examined) -> CheckResult:
    consumed = [
        ConsumedRows(purpose, *rows)
        for purpose in examined.record["consumed"]
        for rows in examined.scored(purpose)
    ]
    fed = [
        ConsumedRows(purpose, *pair)
        for purpose, ranges in examined.record["consumed"].items()
        for pair in ranges["fed"]
    ]
    test = ConsumedRows("test", *examined.test)
    return split_separation(consumed, test, fed, examined.artifact.horizon_minutes)


def _constants(examined: Examined) -> CheckResult:
    """Scaler, calibrator and the loss that chose the epoch, each fitted again on the rows it declares."""
    declared = examined.record["fitted"]
    unknown = [name for name in declared if name not in KNOWN_CONSTANTS]
    split = examined.data.split
    predictor = Predictor.of(examined.artifact)
    constants = [
        _scaler_constant(examined, declared["scaler"]["rows"], split.train),
        _epoch_constant(examined, predictor, declared["best_epoch"]["rows"], split.early_stop),
        _calibrator_constant(examined, predictor, declared["calibrator"]["rows"], split.calibration),
    ]
    return fitted_constants(constants, unknown)


def _scaler_constant(examined: Examined, rows: list[int], allowed: Rows) -> FittedConstant:
    scaler = examined.coin.scaler

    def refit() -> npt.NDArray[np.float64]:
        again = Scaler.fit(scaler.names, examined.data.values, *rows)
        return np.concatenate([again.mean, again.std])

    labels = (
        *(f"mean of {name}" for name in scaler.names),
        *(f"deviation of {name}" for name in scaler.names),
    )
    stored = np.concatenate([scaler.mean, scaler.std])
    tolerance = np.concatenate([scaler.std, scaler.std]) * 1e-9
    return FittedConstant("scaler", labels, stored, Rows(*rows), allowed, refit, tolerance)


def _epoch_constant(
    examined: Examined, predictor: Predictor, rows: list[int], allowed: Rows
) -> FittedConstant:
    """The validation loss of the weights that were kept, and that no epoch had a lower one."""
    recorded = examined.record["validation"]["early_stop"]["log_loss"]
    history = [epoch["validation_loss"] for epoch in examined.record["history"]]

    def refit() -> npt.NDArray[np.float64]:
        lo, hi = rows
        ((fed_lo, _),) = examined.record["consumed"]["early_stop"]["fed"]
        logits = predictor.stream(examined.data.values, lo, hi, lo - fed_lo)
        return np.array([log_loss(sigmoid(logits), examined.data.labels[lo:hi]), recorded])

    stored = np.array([recorded, min(history)])
    labels = ("validation loss of the kept weights", "lowest validation loss of all epochs")
    return FittedConstant("best_epoch", labels, stored, Rows(*rows), allowed, refit, np.full(2, 1e-6))


def _calibrator_constant(
    examined: Examined, predictor: Predictor, rows: list[int], allowed: Rows
) -> FittedConstant:
    """The calibrator as a curve over logits, so that equal curves are equal whatever their parameters."""

    def refit() -> npt.NDArray[np.float64]:
        lo, hi = rows
        ((fed_lo, _),) = examined.record["consumed"]["calibration"]["fed"]
        logits = predictor.stream(examined.data.values, lo, hi, lo - fed_lo)
        return fit_calibrator(logits, examined.data.labels[lo:hi]).calibrator.probability(CURVE)

    labels = tuple(f"P(up) at logit {logit:.2f}" for logit in CURVE)
    stored = examined.coin.calibrator.probability(CURVE)
    tolerance = np.full(len(CURVE), 1e-6)
    return FittedConstant("calibrator", labels, stored, Rows(*rows), allowed, refit, tolerance)


def _shuffled(examined: Examined, rng: np.random.Generator, reporter: Reporter, clock: Clock) -> CheckResult:
    trained = {
        "logistic": _logistic_fit(examined),
        "memory": _memory_fit(examined),
        "short training": _short_training(examined, reporter, clock),
    }
    labels = examined.data.labels.copy()
    relevant = np.zeros(len(labels), dtype=bool)
    relevant[examined.labelled_train] = True
    relevant[examined.labelled_test] = True
    for rows in examined.scored("early_stop"):
        relevant[rows.slice] = True
    labels[~relevant] = -1
    return shuffled_labels(labels, trained, rng, reporter)


def _logistic_fit(examined: Examined) -> ShuffledFit:
    train, test = (thinned(rows, LOGISTIC_ROWS) for rows in (examined.labelled_train, examined.labelled_test))
    scaled = [examined.coin.scaler.transform(examined.data.values[rows]) for rows in (train, test)]

    def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:  # noqa: ARG001
        return test, fits.logistic(scaled[0], labels[train] == 1)(scaled[1])

    return fit


def _memory_fit(examined: Examined) -> ShuffledFit:
    train, test = examined.labelled_train, examined.labelled_test

    def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:  # noqa: ARG001
        recall = fits.memory(examined.data.values, train, labels[train] == 1)
        return test, recall(examined.data.values, test)

    return fit


def _short_training(examined: Examined, reporter: Reporter, clock: Clock) -> ShuffledFit:
    """Two epochs of the product's own trainer on the newest rows that training consumed."""
    last = max(examined.scored("train"), key=lambda rows: rows.hi)
    train = Rows(max(last.lo, last.hi - RERUN_BARS), last.hi)
    judge = examined.scored("early_stop")[0]
    first = examined.data.features.first_valid
    test = Rows(examined.test.lo, min(examined.test.hi, examined.test.lo + RERUN_SCORED))

    def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        settings = LstmTraining(epochs=RERUN_EPOCHS, seed=seed, threads=examined.record["threads"])
        task = FitTask(
            model=f"{examined.artifact.model} on shuffled labels", values=examined.data.values, labels=labels,
            scaler=examined.coin.scaler, train=(train,), early_stop=judge, first=first,
        )  # fmt: skip
        quiet = _Unheard(reporter)
        fitted = StreamFit(task, settings, compute=choose_compute("cpu"), reporter=quiet, clock=clock).run()
        predictor = Predictor(fitted.network, examined.coin.scaler, choose_compute("cpu"))
        warmup = min(examined.artifact.warmup.bars, test.lo - first)
        logits = predictor.stream(examined.data.values, test.lo, test.hi, warmup)
        return test.indices(), logits > 0.0

    return fit


class _Unheard(SilentReporter):
    """Keeps the events of a training that is only a test to itself, and lets a stop through."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def safe_point(self) -> None:
        self._reporter.safe_point()


def _single_feature(examined: Examined) -> CheckResult:
    train, test = thinned(examined.labelled_train), thinned(examined.labelled_test)
    labels, values = examined.data.labels, examined.data.values
    said_up = examined.probability[test - examined.test.lo] >= 0.5
    return single_feature(
        SingleFeatureInput(
            names=examined.coin.feature_names,
            train=values[train],
            train_up=labels[train] == 1,
            test=values[test],
            test_up=labels[test] == 1,
            test_ts=examined.market.own.ts[test],
            model_right=said_up == (labels[test] == 1),
        )
    )


def _inference(examined: Examined, rng: np.random.Generator, reporter: Reporter) -> CheckResult:
    predictor = Predictor.of(examined.artifact)

    def cold_start(values: npt.NDArray[np.float32]) -> float:
        return float(examined.coin.calibrator.probability(predictor.windows(values[None]))[0])

    batch = (examined.rows, examined.probability)
    return truncated_inference(
        examined.market, examined.pipeline, examined.artifact.warmup.bars, cold_start, batch, rng, reporter
    )
