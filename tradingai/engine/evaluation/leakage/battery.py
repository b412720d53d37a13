"""The seven checks applied to one trained artifact, its data and the probabilities it was scored on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.evaluation.leakage import fits
from tradingai.engine.evaluation.leakage.causality import causality
from tradingai.engine.evaluation.leakage.constants import fitted_constants
from tradingai.engine.evaluation.leakage.examined import Examined
from tradingai.engine.evaluation.leakage.inference import truncated_inference
from tradingai.engine.evaluation.leakage.refits import REFITTED
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.leakage.short_training import short_training
from tradingai.engine.evaluation.leakage.shuffled import ShuffledFit, shuffled_labels
from tradingai.engine.evaluation.leakage.single_feature import SingleFeatureInput, single_feature, thinned
from tradingai.engine.features.compute import Features
from tradingai.engine.features.side_by_side import Matrix, SideBySide
from tradingai.engine.gates import LEAKAGE_CHECKS

BATTERY_VERSION: Final = 1
"""A change of any check raises it, and evaluations are done again."""
LOGISTIC_ROWS: Final = 20_000
Ints = npt.NDArray[np.int64]
Result = CheckResult | tuple[CheckResult, ...]


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
    """Every constant the training record declares, fitted again on the rows it declares."""
    declared = examined.record["fitted"]
    unknown = [name for name in declared if name not in (*REFITTED, "weights")]
    constants = [refit(examined) for name, refit in REFITTED.items() if name in declared]
    return fitted_constants(constants, unknown)


def _shuffled(examined: Examined, rng: np.random.Generator, reporter: Reporter, clock: Clock) -> CheckResult:
    trained = {
        "logistic": _logistic_fit(examined),
        "memory": _memory_fit(examined),
        "short training": short_training(examined, reporter, clock),
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


def _single_feature(examined: Examined) -> CheckResult:
    train, test = thinned(examined.labelled_train), thinned(examined.labelled_test)
    labels, (names, values) = examined.data.labels, _inputs(examined)
    said_up = examined.probability[test - examined.test.lo] >= 0.5
    return single_feature(
        SingleFeatureInput(
            names=names,
            train=values[train],
            train_up=labels[train] == 1,
            test=values[test],
            test_up=labels[test] == 1,
            test_ts=examined.market.own.ts[test],
            model_right=said_up == (labels[test] == 1),
        )
    )


def _inputs(examined: Examined) -> tuple[tuple[str, ...], Matrix]:
    """Names and values of every column the model looks at; of several coins each name begins with its own."""
    if len(examined.together) == 1:
        return examined.coin.feature_names, examined.data.values
    names = (f"{data.symbol} {name}" for data in examined.together for name in data.features.names)
    return tuple(names), SideBySide([data.values for data in examined.together])


def _inference(examined: Examined, rng: np.random.Generator, reporter: Reporter) -> CheckResult:
    def cold_start(windows: Mapping[str, Features]) -> float:
        return examined.voice.cold_start(windows, examined.data.symbol)

    batch = (examined.rows, examined.probability)
    pipelines = {symbol: examined.pipelines[symbol] for symbol in examined.voice.inputs}
    return truncated_inference(
        examined.market, pipelines, examined.voice.warmup, cold_start, batch, rng, reporter
    )
