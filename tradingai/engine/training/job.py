"""A training from data sets to a published artifact, whatever the network.

An unfinished training leaves only its resume state (``_last.pt``); the artifact (``_best.pt``) of the
training before it stays until the new one is complete. The caller holds the model's training lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch

from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.events import TrainingFinished, TrainingStarted
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.symbols import HORIZON_MINUTES
from tradingai.engine.datasets.market import MarketDataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.files import release
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import ModelArtifact, best_path, save_artifact
from tradingai.engine.models.calibration import fit_calibrator
from tradingai.engine.models.device import Compute, choose_compute, reproducible
from tradingai.engine.models.predict import Predictor
from tradingai.engine.models.transformer import TransformerNetwork, TrendHead
from tradingai.engine.models.warmup import measure_warmup
from tradingai.engine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tradingai.engine.training.config import Training
from tradingai.engine.training.history import write_history
from tradingai.engine.training.learning import longest_warmup
from tradingai.engine.training.record import (
    Calibrated,
    coin_part,
    training_identity,
    training_record,
)
from tradingai.engine.training.resume import last_path
from tradingai.engine.training.standing import TrainingResult, finished, resumable, sweep
from tradingai.engine.training.stream import FitResult, FitTask, StreamFit


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What is to be trained: the model's id, the kind of its network, the coins it speaks of."""

    model: str
    kind: str
    market: MarketDataset


def train(
    paths: HomePaths, order: Order, training: Training, reporter: Reporter, clock: Clock | None = None
) -> TrainingResult:
    """Train, calibrate and publish the model of ``order``; done already, it says so and returns.

    Goes on from the resume state of the same training. Raises ArtifactError for damaged files and for the
    resume state of another training (see ``replace_unfinished``), InterruptedRunError at a safe point with
    everything kept.
    """
    clock = clock or RealClock()
    model = order.model
    compute = choose_compute(training.device)
    identity = training_identity(order.market.coins, model, training.identity(), compute)
    sweep(paths, model)
    job = _Job(paths, order, training, compute, identity, reporter, clock)
    if training.fresh:
        return job.run(None)
    done = finished(paths, model, identity, load_checkpoint)
    if done is not None:
        return done
    replace_unfinished = training.replace_unfinished
    return job.run(
        resumable(
            paths, model, identity, load_checkpoint, replace_unfinished=replace_unfinished, reporter=reporter
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One run of a training, from wherever it stands to the published artifact."""

    paths: HomePaths
    order: Order
    training: Training
    compute: Compute
    identity: dict[str, Any]
    reporter: Reporter
    clock: Clock

    @property
    def model(self) -> str:
        """The model's id."""
        return self.order.model

    @property
    def data(self) -> MarketDataset:
        """What it is trained on."""
        return self.order.market

    def run(self, checkpoint: Checkpoint | None) -> TrainingResult:
        """Fit, measure the warm-up, calibrate, publish; then the resume state may go."""
        started = self.clock.monotonic()
        run = self._describe(checkpoint)
        scalers = fit_scalers(self.data)
        fit = self._fit(scalers, checkpoint, run).run()
        artifact = self._artifact(fit, scalers, run)
        path = best_path(self.paths, self.model)
        sha256 = save_artifact(path, artifact)
        last_path(self.paths, self.model).unlink(missing_ok=True)
        seconds = self.clock.monotonic() - started
        self.reporter.emit(
            TrainingFinished(
                model=self.model, epochs=len(fit.history), best_epoch=fit.best_epoch.epoch,
                validation_accuracy=fit.best_epoch.validation_accuracy, seconds=seconds, sha256=sha256,
                early_stopped=fit.early_stopped,
            )
        )  # fmt: skip
        rate = sum(fit.bars_per_s) / len(fit.bars_per_s)
        return TrainingResult(
            self.model, path, sha256, artifact.record, skipped=False, seconds=seconds, bars_per_s=rate
        )

    def _describe(self, checkpoint: Checkpoint | None) -> dict[str, Any]:
        """Facts about the run that do not change its result; a resumed run keeps its id."""
        if checkpoint is not None:
            return {**checkpoint.run, "resumes": checkpoint.run["resumes"] + 1}
        now = self.clock.now()
        return {
            "run": f"{now:%Y%m%dT%H%M%S.%fZ}-seed{self.training.seed}", "started_at": iso_z(now),
            "resumes": 0,
            "market": self.data.market, "synthetic": self.data.synthetic,
            "epochs": self.training.epochs, "seed": self.training.seed, "device": self.compute.label,
            "threads": self.training.threads, "torch": torch.__version__,
        }  # fmt: skip

    def _fit(
        self, scalers: Mapping[str, Scaler], checkpoint: Checkpoint | None, run: dict[str, Any]
    ) -> StreamFit:
        task = fit_task(self.model, self.data, scalers)

        def save(fit: StreamFit) -> None:
            save_checkpoint(last_path(self.paths, self.model), fit, self.identity, run)
            epochs = [
                {**asdict(epoch), "bars_per_s": rate}
                for epoch, rate in zip(fit.state.history, fit.state.bars_per_s, strict=True)
            ]
            write_history(self.paths, self.model, run, epochs)

        fit = StreamFit(
            task, self.training, compute=self.compute, reporter=self.reporter, clock=self.clock, save=save,
            restore=checkpoint.restore if checkpoint else lambda _: None,
        )  # fmt: skip
        self.reporter.emit(
            TrainingStarted(
                model=self.model, run=run["run"], epochs=self.training.epochs, bars=fit.plan.bars,
                finished_epochs=checkpoint.finished_epochs if checkpoint else 0, lanes=len(fit.plan.lanes),
                chunk=fit.plan.chunk, device=self.compute.label, threads=self.training.threads,
                seed=self.training.seed, resumed=checkpoint is not None,
            )
        )  # fmt: skip
        return fit

    def _artifact(self, fit: FitResult, scalers: Mapping[str, Scaler], run: dict[str, Any]) -> ModelArtifact:
        """Measure the warm-up, calibrate on the second half of validation, and join the parts."""
        data, split, first = self.data, self.data.split, self.data.first_valid
        values, cpu = data.values, choose_compute("cpu")
        with reproducible(cpu, self.training.threads):
            predictor = Predictor(fit.network, Scaler.beside(scalers), cpu)
            measured, longest = split.validation, longest_warmup(fit.network)
            warmup = measure_warmup(predictor, values, measured.lo, measured.hi, first, longest)
            self.reporter.safe_point()
            lo, hi = split.calibration
            fed = Rows(max(first, lo - warmup.bars), hi)
            logits = predictor.stream_all(values, lo, hi, lo - fed.lo)
            trends = self._trends(fit, predictor, fed)
            calibrated = [
                Calibrated(coin, own, fit_calibrator(own, coin.labels[lo:hi]), trend)
                for coin, own, trend in zip(data.coins, np.ascontiguousarray(logits.T), trends, strict=True)
            ]
        warmup_fed = Rows(max(first, measured.lo - longest), measured.hi)
        return ModelArtifact(
            model=self.model,
            kind=self.order.kind,
            coins=tuple(
                coin_part(one.data, scalers[one.data.symbol], one.fit.calibrator) for one in calibrated
            ),
            config=fit.network.config.as_dict(),
            tensors=dict(fit.network.state_dict()),
            warmup=warmup,
            record=training_record(self.identity, fit, calibrated, fed, warmup_fed),
            market=data.market,
            synthetic=data.synthetic,
            notes={**run, "created_at": iso_z(self.clock.now()), "bars_per_s": list(fit.bars_per_s)},
        )

    def _trends(self, fit: FitResult, predictor: Predictor, fed: Rows) -> list[float | None]:
        """Of each coin the correlation of the trend head with what came, on the calibration range."""
        if not isinstance(fit.network, TransformerNetwork):
            return [None] * len(self.data.coins)
        lo, hi = self.data.split.calibration
        streamed = replace(predictor, network=TrendHead(fit.network))
        said = streamed.stream_all(self.data.values, lo, hi, lo - fed.lo)
        came = self.data.forward_returns([1.0] * len(self.data.coins))[lo:hi]
        return [float(np.corrcoef(said[:, coin], came[:, coin])[0, 1]) for coin in range(said.shape[1])]


def fit_scalers(data: MarketDataset) -> dict[str, Scaler]:
    """Each coin's scaler, fitted on the training range.

    Raises DataError for features that are not finite there.
    """
    scalers: dict[str, Scaler] = {}
    for coin in data.coins:
        scalers[coin.symbol] = Scaler.fit(coin.features.names, coin.values, *data.split.train)
        release(coin.values)
    return scalers


def fit_task(
    model: str, data: MarketDataset, scalers: Mapping[str, Scaler], leave_out: Sequence[str] = ()
) -> FitTask:
    """What a network of these coins is fitted on.

    The trend is the forward return in deviations of ``momentum_15``, the same change one horizon earlier: a
    constant that the scaler has already, from the training range alone. ``leave_out`` takes features away for
    a comparison, by patterns such as ``BTC-USD *`` over ``BTC-USD rsi_14``: they are 0 at every bar.
    """
    trend = f"momentum_{HORIZON_MINUTES}"
    deviations = [float(one.std[one.names.index(trend)]) for one in scalers.values()]
    scaler = blinded(Scaler.beside(scalers), leave_out)
    return FitTask(
        model=model, values=data.values, labels=data.labels, scaler=scaler,
        train=(data.split.train,), early_stop=data.split.early_stop, first=data.first_valid,
        returns=data.forward_returns(deviations),
    )  # fmt: skip


def blinded(scaler: Scaler, patterns: Sequence[str]) -> Scaler:
    """A scaler that gives 0 for every feature whose name fits one of ``patterns`` (as file names do).

    Raises DataError for a pattern that fits none.
    """
    std = scaler.std.copy()
    for pattern in patterns:
        fits = [fnmatchcase(name, pattern) for name in scaler.names]
        if not any(fits):
            raise DataError(f"no feature fits {pattern!r}", remedy=f"They are named as {scaler.names[0]!r}.")
        std[fits] = np.inf
    return replace(scaler, std=std)
