"""Which function carries out which kind of job. Each is imported only in the worker that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.events import CandlesStored, Event, JobSkipped
from tradingai.engine.core.jsonio import iso_z, parse_iso
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import model_coin, model_kind, parse_market
from tradingai.engine.jobs.spec import JobFunction

if TYPE_CHECKING:
    from tradingai.engine.training.standing import TrainingResult


class _Witness:
    """Passes everything on and remembers what was made, and whether there was nothing to do."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.made: set[type[Event]] = set()
        self.skipped: str | None = None

    def emit(self, event: Event) -> None:
        """Remember the event; JobSkipped is the parent's to store, with the job's id."""
        if isinstance(event, JobSkipped):
            self.skipped = event.reason
        else:
            self.made.add(type(event))
            self._reporter.emit(event)

    def progress(self, progress: Progress) -> None:
        """Pass it on."""
        self._reporter.progress(progress)

    def safe_point(self) -> None:
        """Pass it on."""
        self._reporter.safe_point()

    def result(self, summary: str, **fields: Any) -> dict[str, Any]:
        """A job's result, marked as skipped when nothing had to be done."""
        skipped = {} if self.skipped is None else {"skipped": True, "reason": self.skipped}
        return {"summary": summary, **fields, **skipped}


def _generate(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.providers.generate import generate_dataset

    del settings
    witness = _Witness(reporter)
    manifest = generate_dataset(
        paths,
        params["symbol"],
        parse_market(params["market"]),
        int(params["seed"]),
        parse_iso(params["start"]),
        parse_iso(params["end"]),
        _moment(params["drift_at"]),
        witness,
        replace=params["replace"],
    )
    if CandlesStored not in witness.made:
        witness.skipped = f"{manifest.rows:,} candles of the same market, seed and range stand"
    return witness.result(
        f"{manifest.rows:,} candles",
        rows=manifest.rows,
        start=iso_z(manifest.start),
        end=iso_z(manifest.end),
        sha256=manifest.sha256,
    )


def _features(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.features.build import build_features

    del settings
    witness = _Witness(reporter)
    manifest = build_features(paths, params["symbol"], params["peers"], witness, force=params["force"])
    return witness.result(
        f"{manifest.rows:,} rows of {len(manifest.names)} features",
        rows=manifest.rows,
        features=len(manifest.names),
        sha256=manifest.sha256,
    )


def _import(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.providers.import_file import import_dataset

    del settings
    witness = _Witness(reporter)
    manifest = import_dataset(
        paths,
        Path(params["file"]),
        params["symbol"],
        witness,
        assume_utc=params["assume_utc"],
        replace=params["replace"],
    )
    if CandlesStored not in witness.made:
        witness.skipped = f"the same {manifest.rows:,} candles stand"
    return witness.result(
        f"{manifest.rows:,} candles",
        rows=manifest.rows,
        start=iso_z(manifest.start),
        end=iso_z(manifest.end),
        sha256=manifest.sha256,
    )


def _fetch(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.providers.fetching import fetch_candles

    witness = _Witness(reporter)
    found = fetch_candles(
        paths,
        settings,
        params["symbol"],
        params["provider"],
        params["exchange"],
        _moment(params["start"]),
        _moment(params["end"]),
        witness,
        clock=RealClock(),
        replace=params["replace"],
    )
    manifest = found.fetched.manifest
    if not found.fetched.new:
        witness.skipped = f"{manifest.rows:,} candles up to {manifest.end:%Y-%m-%d %H:%M} stand"
    return witness.result(
        f"{manifest.rows:,} candles{f'; {found.warning}' if found.warning else ''}",
        rows=manifest.rows,
        start=iso_z(manifest.start),
        end=iso_z(manifest.end),
        sha256=manifest.sha256,
    )


def _train(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    model = str(params["model"])
    symbols = tuple(params["symbols"] or settings.symbols)
    witness = _Witness(reporter)
    trained = _TRAININGS[model_kind(model)](paths, settings, model, symbols, params, witness)
    validation = trained.record["validation"]["early_stop"]
    if trained.skipped:
        witness.skipped = trained.reason
    rounds = "stages" if model_kind(model) == "ppo" else "epochs"
    return witness.result(
        f"{trained.record['epochs_run']} {rounds}, validation accuracy {100 * validation['accuracy']:.1f} %",
        model=trained.model,
        path=str(trained.path),
        sha256=trained.sha256,
        epochs=trained.record["epochs_run"],
        best_epoch=trained.record["best_epoch"],
        validation_accuracy=validation["accuracy"],
        bars_per_s=trained.bars_per_s,
    )


_TRAINING_PARAMS: Final = ("epochs", "seed", "threads", "fresh", "replace_unfinished")


def _train_lstm(
    paths: HomePaths,
    settings: Settings,
    model: str,
    symbols: tuple[str, ...],
    params: Mapping[str, Any],
    reporter: Reporter,
) -> TrainingResult:
    from tradingai.engine.training.config import LstmTraining
    from tradingai.engine.training.lstm import train_lstm

    del settings, symbols
    training = LstmTraining(**{name: params[name] for name in _TRAINING_PARAMS})
    return train_lstm(paths, model_coin(model), training, reporter)


def _train_transformer(
    paths: HomePaths,
    settings: Settings,
    model: str,
    symbols: tuple[str, ...],
    params: Mapping[str, Any],
    reporter: Reporter,
) -> TrainingResult:
    from tradingai.engine.training.config import TransformerTraining
    from tradingai.engine.training.transformer import train_transformer

    del settings, model
    training = TransformerTraining(**{name: params[name] for name in _TRAINING_PARAMS})
    return train_transformer(paths, symbols, training, reporter)


def _train_ppo(
    paths: HomePaths,
    settings: Settings,
    model: str,
    symbols: tuple[str, ...],
    params: Mapping[str, Any],
    reporter: Reporter,
) -> TrainingResult:
    from tradingai.engine.decision.configure import execution_costs
    from tradingai.engine.store.execution_metrics import read_execution_metrics
    from tradingai.engine.training.ppo import train_ppo
    from tradingai.engine.training.ppo_config import PpoTraining

    del model
    training = PpoTraining(**{name: params[name] for name in _TRAINING_PARAMS if name != "epochs"})
    costs = execution_costs(settings, read_execution_metrics(paths))
    return train_ppo(paths, symbols, training, reporter, costs=costs)


_TRAININGS: Final = {"lstm": _train_lstm, "transformer": _train_transformer, "ppo": _train_ppo}
"""By kind of model."""


def _evaluate(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.decision.configure import desk_config
    from tradingai.engine.evaluation.backtest import BacktestPlan
    from tradingai.engine.evaluation.compose import compose_ensemble
    from tradingai.engine.evaluation.evaluate import evaluate_model
    from tradingai.engine.gates import MAX_CALIBRATION_ERROR, MIN_ACCURACY, Thresholds
    from tradingai.engine.models.ensemble import ENSEMBLE
    from tradingai.engine.registry.registry import Registry
    from tradingai.engine.store.execution_metrics import read_execution_metrics

    accuracy, error = params["min_accuracy"], params["max_calibration_error"]
    thresholds = Thresholds(
        MIN_ACCURACY if accuracy is None else accuracy,
        MAX_CALIBRATION_ERROR if error is None else error,
        settings.confidence_threshold,
    )
    clock = RealClock()
    witness = _Witness(reporter)
    registry = Registry(paths, clock, who="engine, evaluation")
    plan = BacktestPlan(desk_config(settings, read_execution_metrics(paths)), settings.scan_interval_s)
    if params["model"] == ENSEMBLE:
        compose_ensemble(paths, registry.ledger(), plan, witness, clock=clock)
    evaluated = evaluate_model(paths, params["model"], thresholds, registry, witness, clock=clock, plan=plan)
    report = evaluated.report
    verdict = "every gate passed" if report.passed else "refused"
    return witness.result(
        f"{report.version}: {verdict}",
        model=report.model,
        version=report.version,
        passed=report.passed,
        report=report.as_json(),
    )


def _folds(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.evaluation.folds import score_folds

    del settings
    witness = _Witness(reporter)
    document = score_folds(
        paths, params["model"], params["method"], params["folds"], witness, clock=RealClock()
    )
    summary = f"{len(document['folds'])} folds, accuracy {100 * document['accuracy']:.1f} %"
    return witness.result(summary, report=document)


def _execution_import(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.jobs.execution import import_execution

    return import_execution(paths, settings, params, reporter)


def _execution_measure(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.jobs.execution_measure import measure_execution

    return measure_execution(paths, settings, params, reporter)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_iso(text)


KINDS: Final[Mapping[str, JobFunction]] = {
    "generate": _generate,
    "fetch": _fetch,
    "import": _import,
    "features": _features,
    "train": _train,
    "evaluate": _evaluate,
    "folds": _folds,
    "execution_import": _execution_import,
    "execution_measure": _execution_measure,
}
