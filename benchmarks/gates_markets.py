"""One small market through the product: candles, features, a trained LSTM, evaluation, gates, promotion.

A unit is one coin (BTC-USD, no peers), the quick workload's last minute and as many days before it as asked
for; training is the product's own, ten epochs, seeded like the market. Everything runs in this process on one
thread, in a home of its own that goes when the result is there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import GateRefusedError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import lstm_name, parse_market
from tradingai.engine.evaluation.evaluate import evaluate_model
from tradingai.engine.features.build import build_features
from tradingai.engine.gates import Thresholds, decide
from tradingai.engine.pipeline.plan import LAST_CANDLE
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.providers.synthetic import cycle
from tradingai.engine.registry.registry import Registry
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.lstm import train_lstm

SYMBOL: Final = "BTC-USD"
QUICK_DAYS: Final = 120
EPOCHS: Final = LstmTraining().epochs
LOOSE: Final = Thresholds(min_accuracy=0.50)
"""Looser than the product's: EXPLORATORY, which no registry promotes."""
FULL_LOOSE_EVERY: Final = 10
"""Of so many units one is evaluated as a whole at the looser threshold, and asked to be promoted with it."""


@contextmanager
def amplitude(scale: float) -> Iterator[None]:
    """The generator's cycle amplitude multiplied by ``scale`` while the block runs, in this process alone."""
    before = cycle.AMPLITUDE_BPS
    cycle.AMPLITUDE_BPS = before * scale  # type: ignore[misc]  # for this experiment; no preset of the product
    try:
        yield
    finally:
        cycle.AMPLITUDE_BPS = before  # type: ignore[misc]


def trained_home(home: Path, market: str, seed: int, days: int, epochs: int = EPOCHS) -> HomePaths:
    """A home with one market's candles, features and trained LSTM."""
    paths, reporter = HomePaths(home), SilentReporter()
    start = LAST_CANDLE - timedelta(days=days) + timedelta(minutes=1)
    generate_dataset(paths, SYMBOL, parse_market(market), seed, start, LAST_CANDLE, None, reporter)
    build_features(paths, SYMBOL, [], reporter)
    training = LstmTraining(epochs=epochs, seed=seed, threads=1, device="cpu")
    train_lstm(paths, SYMBOL, training, reporter, clock=RealClock())
    return paths


def market_unit(
    folder: Path,
    market: str,
    seed: int,
    *,
    days: int = QUICK_DAYS,
    scale: float = 1.0,
    epochs: int = EPOCHS,
    loose: bool = True,
) -> dict[str, Any]:
    """What the gates made of one market; ``loose`` adds what they say at an accuracy threshold of 0.50."""
    home, began = folder / "homes" / f"{market}-{seed}-{days}-{scale:g}", time.process_time()
    shutil.rmtree(home, ignore_errors=True)
    try:
        with amplitude(scale):
            paths = trained_home(home, market, seed, days, epochs)
        found = judged(paths, whole_loose=loose and seed % FULL_LOOSE_EVERY == 0)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if not loose:
        del found["gates_loose"], found["loose_promotion"]
    keyed = {"market": market, "seed": seed, "days": days, "scale": scale, "epochs": epochs}
    return {**keyed, **found, "cpu_s": round(time.process_time() - began, 2)}


def judged(paths: HomePaths, *, whole_loose: bool) -> dict[str, Any]:
    """The verdicts on the home's one model, and whether the registry promoted it.

    With ``whole_loose`` the product evaluates it at 0.50 first; the registry must refuse that, and the gates
    must say what :func:`decide` says of the strict report. Raises AssertionError when they do not.
    """
    model, clock, reporter = lstm_name(SYMBOL), RealClock(), SilentReporter()
    registry = Registry(paths, clock, who="make evidence")
    loose_promotion, loose_gates = "not asked", None
    if whole_loose:
        loose = evaluate_model(paths, model, LOOSE, registry, reporter, clock=clock).report.coins[0]
        loose_promotion, loose_gates = _promoted(registry, model), verdicts(loose)
    report = evaluate_model(paths, model, Thresholds(), registry, reporter, clock=clock).report.coins[0]
    at_half = {gate.id: gate.passed for gate in decide(report, LOOSE)}
    if loose_gates is not None and loose_gates != at_half:
        raise AssertionError(f"evaluated at 0.50 the gates say {loose_gates}, decided again {at_half}")
    return {
        **numbers(report),
        "gates": verdicts(report),
        "gates_loose": at_half,
        "checks_failed": [check.name for check in report.leakage if not check.passed],
        "promotion": _promoted(registry, model),
        "loose_promotion": loose_promotion,
    }


def verdicts(report: EvaluationReport) -> dict[str, bool]:
    """Gate to whether it passed."""
    return {gate.id: gate.passed for gate in report.gates}


def numbers(report: EvaluationReport) -> dict[str, Any]:
    """What the tables show of a report, as fractions."""
    bounds = report.accuracy_ci.bounds
    return {
        "accuracy": round(report.accuracy or 0.0, 5),
        "accuracy_ci": None if bounds is None else [round(value, 5) for value in bounds],
        "oracle": None if report.oracle is None else round(report.oracle.accuracy, 5),
        "test_days": report.days,
        "tier_mae": None if report.tier_mae is None else round(report.tier_mae, 5),
        "confident": report.coverage.non_overlapping,
    }


def _promoted(registry: Registry, model: str) -> str:
    try:
        registry.promote(model, why="make evidence")
    except GateRefusedError:
        return "refused"
    return "promoted"
