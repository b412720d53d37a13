"""How steady a model is: its training repeated on folds of the past, each scored on rows it has not seen.

A diagnosis. It decides no gate, promotes nothing and is no attempt on the test data, because it never looks
at them: all folds lie within the training and validation rows of the time split, and the last label looks at
a close before the test range. Its numbers are no substitute for the test range's: the features and settings
were chosen with these rows in sight.

Each fold keeps the last tenth of its training rows for early stopping and fits its own scaler. Accuracies are
of the uncalibrated direction, which calibration does not turn round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from tradingai.engine.core.candles import Floats, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, DataError, UsageError
from tradingai.engine.core.events import Event, FoldScored, JobSkipped, StateRepaired
from tradingai.engine.core.files import read_json, write_json
from tradingai.engine.core.jsonio import digest, plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US, model_kind
from tradingai.engine.datasets.dataset import Dataset, load_dataset
from tradingai.engine.datasets.splits import Fold, Rows, purged_kfold, walk_forward
from tradingai.engine.evaluation import metrics
from tradingai.engine.evaluation.baselines import baseline_directions, majority_up
from tradingai.engine.evaluation.intervals import ACCURACY_ALPHA, day_blocks, ratio_interval
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import ModelArtifact, best_path, load_artifact
from tradingai.engine.models.calibration import sigmoid
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.predict import Predictor
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.record import TRAINING_SCHEMA
from tradingai.engine.training.stream import FitResult, FitTask, StreamFit

FoldMethod = Literal["walk_forward", "k_fold"]
FOLDS_VERSION: Final = 1
"""A change of the folds' definition raises it, and kept folds are scored again."""
EARLY_STOP_PCT: Final = 10


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """One fold in rows of the dataset: ``fit`` and ``early_stop`` train, ``test`` is scored."""

    fit: tuple[Rows, ...]
    early_stop: Rows
    test: Rows

    @property
    def bars(self) -> int:
        """Rows of one epoch."""
        return sum(rows.size for rows in self.fit)


def plan_folds(
    data: Dataset, method: FoldMethod, folds: int, embargo_size: int
) -> tuple[tuple[FoldPlan, ...], Rows]:
    """The folds, and the rows they lie in: training and validation of the time split, never its test.

    Raises DataError when the rows are too few for so many folds.
    """
    inside = Rows(data.split.train.lo, data.split.calibration.hi)
    try:
        found = list(_folds(inside.size, method, folds, embargo_size))
    except ValueError as error:
        raise DataError(
            f"{inside.size:,} training and validation rows of {data.symbol} cannot make {folds} folds: "
            f"{error}",
            remedy="Ask for fewer folds, or import or generate more candles.",
        ) from error
    plans = tuple(_plan(fold, inside.lo, data.split.purged_size) for fold in found)
    smallest = min(plan.bars for plan in plans)
    if smallest < DAY_MINUTES:
        raise DataError(
            f"with {folds} folds a training of {data.symbol} would see {max(smallest, 0)} rows; "
            f"it takes at least {DAY_MINUTES}",
            remedy="Ask for fewer folds, or import or generate more candles.",
        )
    return plans, inside


def _folds(rows: int, method: FoldMethod, folds: int, embargo_size: int) -> Iterator[Fold]:
    if method == "walk_forward":
        return walk_forward(rows, folds)
    return purged_kfold(rows, folds, embargo_size=embargo_size)


def _plan(fold: Fold, first: int, purged_size: int) -> FoldPlan:
    """Rows of the dataset; the end of the longest training piece, purged, becomes early stopping's."""
    pieces = [Rows(rows.lo + first, rows.hi + first) for rows in fold.train]
    longest = max(range(len(pieces)), key=lambda index: pieces[index].size)
    piece = pieces[longest]
    size = min(sum(rows.size for rows in pieces) * EARLY_STOP_PCT // 100, piece.size // 2)
    early_stop = Rows(piece.hi - size, piece.hi)
    pieces[longest] = Rows(piece.lo, max(piece.lo, early_stop.lo - purged_size))
    return FoldPlan(tuple(pieces), early_stop, Rows(fold.test.lo + first, fold.test.hi + first))


def score_folds(
    paths: HomePaths, model: str, method: FoldMethod, folds: int, reporter: Reporter, *, clock: Clock
) -> dict[str, Any]:
    """Train and score every fold with the settings of ``model``'s finished training; JSON types.

    Finished folds are kept below ``reports/folds`` and not trained again. Raises UsageError for a model that
    is no LSTM, MissingError without model, candles or features, DataError for too few rows,
    InterruptedRunError between two chunks of a training.
    """
    if model_kind(model) != "lstm":
        raise UsageError(
            f"{model} is not trained on folds: only the LSTM of one coin is",
            remedy="Name one, for example lstm_BTC-USD.",
        )
    artifact = load_artifact(best_path(paths, model))
    data = load_dataset(paths, artifact.symbols[0])
    embargo = max(data.features.lookbacks) if method == "k_fold" else 0
    plans, inside = plan_folds(data, method, folds, embargo)
    study = _Study(paths, artifact, data, _settings(artifact), method, plans, embargo, reporter, clock)
    scored = study.run()
    document = study.document(scored, inside)
    write_json(study.folder / "report.json", document)
    return document


def _settings(artifact: ModelArtifact) -> LstmTraining:
    """The training settings the model was made with."""
    identity = artifact.record["identity"]
    try:
        own = {name: identity[name] for name in LstmTraining().identity()}
        return LstmTraining(**own, device=identity["device"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{artifact.model} was trained by another version: its record has no {error}",
            remedy=f"Train it again: `tradingai train lstm --coin {artifact.symbols[0]}`.",
        ) from error


class _Relay:
    """Passes a fold's progress on as a part of the whole; what its training says is not the model's."""

    def __init__(self, reporter: Reporter, label: str, before: int, total: int) -> None:
        self._reporter, self._label, self._before, self._total = reporter, label, before, total

    def emit(self, event: Event) -> None:
        """Drop it: a loss curve of a fold must not be taken for the model's."""

    def progress(self, progress: Progress) -> None:
        """Count from the first fold on."""
        left = self._total - self._before - progress.done
        eta = left / progress.rate if progress.rate else None
        detail = {**progress.detail, "stage": self._label}
        told = Progress(self._before + progress.done, self._total, "bars", progress.rate, eta, detail)
        self._reporter.progress(told)

    def safe_point(self) -> None:
        """Stopping loses the current fold only."""
        self._reporter.safe_point()


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """All folds of one model."""

    paths: HomePaths
    artifact: ModelArtifact
    data: Dataset
    training: LstmTraining
    method: FoldMethod
    plans: tuple[FoldPlan, ...]
    embargo: int
    reporter: Reporter
    clock: Clock

    @property
    def key(self) -> str:
        """Hash of everything the result depends on."""
        return digest(
            {
                "inputs": self.data.inputs_sha256, "settings": self.training.identity(),
                "device": self.training.device, "warmup": self.artifact.warmup.bars, "method": self.method,
                "folds": len(self.plans), "embargo": self.embargo,
                "versions": [FOLDS_VERSION, TRAINING_SCHEMA],
            }
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        """Where this study's folds and report lie."""
        name = f"{self.method}-{len(self.plans)}-{self.key[:8]}"
        return self.paths.reports / "folds" / self.artifact.model / name

    def run(self) -> list[dict[str, Any]]:
        """Every fold in turn, those that are kept from their files."""
        total = self.training.epochs * sum(plan.bars for plan in self.plans)
        scored, before, made = [], 0, 0
        for number, plan in enumerate(self.plans, 1):
            self.reporter.safe_point()
            result = self._kept(number)
            if result is None:
                relay = _Relay(self.reporter, f"fold {number}/{len(self.plans)}", before, total)
                result = self._score(number, plan, relay)
                write_json(self._path(number), {"key": self.key, "sha256": digest(result), "fold": result})
                self._tell(result)
                made += 1
            scored.append(result)
            before += self.training.epochs * plan.bars
            detail = {"stage": f"fold {number}/{len(self.plans)}"}
            self.reporter.progress(Progress(before, total, "bars", detail=detail))
        if not made:
            reason = f"all {len(scored)} folds stand: same data, same settings"
            kind = JobSkipped(job_id="", kind="folds", target=self.artifact.model, reason=reason)
            self.reporter.emit(kind)
        return scored

    def _path(self, number: int) -> Path:
        return self.folder / f"fold-{number}.json"

    def _kept(self, number: int) -> dict[str, Any] | None:
        """The fold's result when it was finished before; a damaged file is said and made again."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            document = read_json(path)
            result: dict[str, Any] = document["fold"]
            if document["key"] == self.key and document["sha256"] == digest(result):
                return result
        except (ArtifactError, KeyError, TypeError):
            pass
        what = f"fold {number} of {self.artifact.model}"
        self.reporter.emit(StateRepaired(what=what, detail=f"{path} is damaged: trained again"))
        return None

    def _score(self, number: int, plan: FoldPlan, reporter: Reporter) -> dict[str, Any]:
        """Train one fold and score its test rows."""
        data, first = self.data, self.data.features.first_valid
        scaler = Scaler.over(data.features.names, data.values, plan.fit)
        task = FitTask(
            model=self.artifact.model, values=data.values, labels=data.labels, scaler=scaler,
            train=plan.fit, early_stop=plan.early_stop, first=first,
        )  # fmt: skip
        compute = choose_compute(self.training.device)
        fit = StreamFit(task, self.training, compute=compute, reporter=reporter, clock=self.clock).run()
        cpu = choose_compute("cpu")
        with reproducible(cpu, self.training.threads):
            warmup = min(self.artifact.warmup.bars, plan.test.lo - first)
            predictor = Predictor(fit.network, scaler, cpu)
            logits = predictor.stream(data.values, plan.test.lo, plan.test.hi, warmup)
        ts = data.ts0 + plan.test.indices() * MINUTE_US
        scored = metrics.score(ts, sigmoid(logits), data.labels[plan.test.slice])
        if not len(scored.ts):
            raise DataError(
                f"fold {number} of {data.symbol} has no labelled bar",
                remedy="Look at `tradingai data quality`: the price may not move in that range.",
            )
        document: dict[str, Any] = plain(
            {"fold": number, **self._ranges(plan), **_training(fit), **self._scores(plan, scored)}
        )
        return document

    def _ranges(self, plan: FoldPlan) -> dict[str, Any]:
        return {
            "train": [self._range(rows) for rows in plan.fit],
            "early_stop": self._range(plan.early_stop),
            "test": self._range(plan.test),
            "purged_size": self.data.split.purged_size,
            "embargo_size": self.embargo,
        }

    def _range(self, rows: Rows) -> dict[str, Any]:
        """Half-open rows, and the open times of the first and the last one."""
        return {"rows": list(rows), "start": self._time(rows.lo), "end": self._time(rows.hi - 1)}

    def _time(self, row: int) -> datetime:
        return us_to_datetime(self.data.ts0 + row * MINUTE_US)

    def _scores(self, plan: FoldPlan, scored: metrics.Scored) -> dict[str, Any]:
        labels = self.data.labels
        rows = plan.test.indices()[labels[plan.test.slice] >= 0]
        up = majority_up(np.concatenate([labels[part.slice] for part in plan.fit]))
        rules = baseline_directions(self.data.close, rows, majority=up)
        blocks = scored.blocks
        right = blocks.sums(scored.right)
        interval = ratio_interval(right, blocks.bars, ACCURACY_ALPHA)
        return {
            "n": len(scored.ts),
            "days": len(blocks),
            "accuracy": float(scored.right.mean()),
            "accuracy_ci": interval.bounds,
            "reason": interval.reason,
            "log_loss": metrics.log_loss(scored),
            "baselines": {
                item.name: {
                    "accuracy": item.accuracy,
                    "difference": item.difference,
                    "difference_ci": item.interval.bounds,
                }
                for item in metrics.compare(scored, rules, ACCURACY_ALPHA)
            },
            "by_day": {"day_us": blocks.first_us, "bars": blocks.bars, "right": right},
        }

    def _tell(self, result: Mapping[str, Any]) -> None:
        self.reporter.emit(
            FoldScored(
                model=self.artifact.model, method=self.method, fold=result["fold"], folds=len(self.plans),
                accuracy=result["accuracy"], bars=result["n"],
            )
        )  # fmt: skip

    def document(self, scored: Sequence[Mapping[str, Any]], inside: Rows) -> dict[str, Any]:
        """The document of ``evaluate --walk-forward`` and ``--k-fold``."""
        shown = [{name: value for name, value in fold.items() if name != "by_day"} for fold in scored]
        document: dict[str, Any] = plain(
            {
                "model": self.artifact.model,
                "symbol": self.data.symbol,
                "market": self.data.features.market,
                "synthetic": self.data.features.synthetic,
                "method": self.method,
                "folds": shown,
                **_pooled(scored),
                "within": self._range(inside),
                "untouched_test": self._range(self.data.split.test),
                "counts_as_attempt": False,
                "settings": self.training.identity(),
                "inputs_sha256": self.data.inputs_sha256,
                "key": self.key,
            }
        )
        return document


def _training(fit: FitResult) -> dict[str, Any]:
    return {"epochs_run": len(fit.history), "best_epoch": fit.best_epoch.epoch}


def _pooled(scored: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All folds' labelled bars together; a day that two folds share is one block."""
    day, bars, right = (_joined(scored, name) for name in ("day_us", "bars", "right"))
    blocks = day_blocks(day.astype(np.int64))
    sums, sizes = blocks.sums(right), blocks.sums(bars)
    interval = ratio_interval(sums, sizes, ACCURACY_ALPHA)
    accuracies = [fold["accuracy"] for fold in scored]
    return {
        "n": int(bars.sum()),
        "accuracy": float(right.sum() / bars.sum()),
        "accuracy_ci": interval.bounds,
        "worst": min(accuracies),
        "best": max(accuracies),
    }


def _joined(scored: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.concatenate([np.asarray(fold["by_day"][name], dtype=np.float64) for fold in scored])
