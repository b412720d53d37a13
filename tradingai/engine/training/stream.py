"""Streaming truncated back-propagation: every bar is visited once an epoch and is a training example.

The training rows are cut into lanes. All lanes are walked side by side in chunks of 32 or 64 steps; each
lane's state is carried from chunk to chunk, and the loss of all labelled bars of a chunk is propagated back
to the chunk's start. Lanes begin an epoch cold, and the bars while they warm up are trained on like all
others: they are few, and they teach the network to recover from a cold start.
Source: Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
Trajectories (1990).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError
from tradingai.engine.core.events import EpochFinished
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import Matrix
from tradingai.engine.models.calibration import log_loss, sigmoid
from tradingai.engine.models.device import Compute, reproducible
from tradingai.engine.models.predict import Predictor
from tradingai.engine.training.config import Training, lane_shape
from tradingai.engine.training.lanes import Chunk, LanePlan, LaneReader
from tradingai.engine.training.learning import (
    Network,
    State,
    answers,
    limit_gradient,
    losses,
    new_network,
    parameter_groups,
    rebuilt,
)

VALIDATION_WARMUP: Final = 1440
"""Bars fed, not scored, before the early-stopping range."""
_FINAL_RATE: Final = 0.01
_TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class FitTask:
    """What to fit on: ``values`` float32 [rows, F] unscaled, ``labels`` int8 [rows, coins], -1 for none.

    Labels of a single coin may be [rows]. Only rows of ``train`` are trained on; ``early_stop`` is scored
    after each epoch; no row before ``first`` is read.
    """

    model: str
    values: Matrix
    labels: Labels
    scaler: Scaler
    train: tuple[Rows, ...]
    early_stop: Rows
    first: int = 0
    returns: Features | None = None
    """What a trend head learns, float32 [rows, coins]: the standardised forward returns."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch's result. Losses are mean cross-entropy in nats over labelled bars, accuracies fractions."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    best: bool


@dataclass(slots=True, eq=False)
class FitState:
    """Where a fit stands between two chunks: with weights and moments, all that a resumed run needs."""

    chunk: int = 0
    loss_sum: float = 0.0
    right: int = 0
    labelled: int = 0
    epoch_seconds: float = 0.0
    lanes: State | None = None
    history: list[Epoch] = field(default_factory=list)
    bars_per_s: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    consumed: tuple[Rows, ...] = ()
    """Rows that the last finished epoch trained on."""

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> Epoch:
        """The epoch with the lowest validation loss so far."""
        return next(epoch for epoch in reversed(self.history) if epoch.best)

    def finish_epoch(self, epoch: Epoch, consumed: tuple[Rows, ...], bars: int) -> None:
        """Note the result and stand at the cold start of the next epoch.

        Raises ValueError when it has not trained on the same rows as the epoch before.
        """
        if self.consumed not in ((), consumed):
            raise ValueError(
                f"epoch {epoch.epoch} trained on rows {consumed}, the one before on {self.consumed}"
            )
        self.consumed = consumed
        self.history.append(epoch)
        self.bars_per_s.append(bars / self.epoch_seconds if self.epoch_seconds > 0 else 0.0)
        self.chunk, self.loss_sum, self.right, self.labelled, self.epoch_seconds = 0, 0.0, 0, 0, 0.0
        self.lanes = None


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """The best epoch's network, in evaluation mode on the CPU, and how it came about."""

    network: Network
    history: tuple[Epoch, ...]
    best_epoch: Epoch
    early_stopped: bool
    consumed: tuple[Rows, ...]
    """Rows that each epoch trained on."""
    validation_fed: Rows
    bars_per_s: tuple[float, ...]


class StreamFit:
    """One fit of one network: :meth:`run` goes from where the state stands to the end.

    ``save`` is called with the fit itself between two chunks: every ``checkpoint_every_s`` seconds, after
    each epoch, and before an interruption is let through. ``restore`` is called once, before the first chunk.
    """

    def __init__(
        self,
        task: FitTask,
        training: Training,
        *,
        compute: Compute,
        reporter: Reporter,
        clock: Clock,
        save: Callable[[StreamFit], None] = lambda _: None,
        restore: Callable[[StreamFit], None] = lambda _: None,
    ) -> None:
        self.task, self.training, self.compute = task, training, compute
        self._reporter, self._clock = reporter, clock
        self._save, self._restore = save, restore
        self.plan = LanePlan.over(task.train, *lane_shape(sum(rows.size for rows in task.train)))
        self.reader = LaneReader(self.plan, task.values, task.labels, task.scaler, task.returns)
        self.state = FitState()
        self._saved_at = self._told_at = clock.monotonic()
        with self._reproducible():
            torch.manual_seed(training.seed)
            self.network = new_network(training, task.values).to(compute.device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network), weight_decay=training.weight_decay, fused=compute.kind != "mps"
        )

    def run(self) -> FitResult:
        """Train to the last epoch or until early stopping.

        Raises InterruptedRunError at a safe point, TradingAIError when the loss is no number any more.
        """
        with self._reproducible():
            self._restore(self)
            while self.state.epoch < self.training.epochs and not self.early_stopped:
                self._train_epoch()
                self._finish_epoch()
        return FitResult(
            network=rebuilt(self.network, self.state.best),
            history=tuple(self.state.history),
            best_epoch=self.state.best_epoch,
            early_stopped=self.early_stopped,
            consumed=self.state.consumed,
            validation_fed=self._validation_fed,
            bars_per_s=tuple(self.state.bars_per_s),
        )

    @property
    def early_stopped(self) -> bool:
        """Whether the last ``patience`` epochs brought no lower validation loss, before the planned end."""
        done = self.state.epoch
        waited = done - self.state.best_epoch.epoch if done else 0
        return waited >= self.training.patience and done < self.training.epochs

    def _reproducible(self) -> AbstractContextManager[None]:
        return reproducible(self.compute, self.training.threads)

    def _train_epoch(self) -> None:
        """The rest of the current epoch, chunk by chunk."""
        self.network.train()
        while self.state.chunk < self.plan.chunks:
            began = self._clock.monotonic()
            self._update(self.reader.chunk(self.state.chunk))
            self.state.chunk += 1
            self.state.epoch_seconds += self._clock.monotonic() - began
            if self._clock.monotonic() - self._told_at >= _TELL_EVERY_S:
                self._tell()
            self._checkpoint_if_due()

    def _update(self, chunk: Chunk) -> None:
        """One truncated back-propagation over the chunk, from the state before it."""
        state, device = self.state, self.compute.device
        inputs = torch.from_numpy(chunk.features).to(device)
        targets = torch.from_numpy(chunk.labels).to(device)
        returns = None if chunk.returns is None else torch.from_numpy(chunk.returns).to(device)
        known = targets >= 0
        count = int(known.sum())
        with self.compute.autocast():
            said = answers(self.network, inputs, state.lanes)
        found = losses(self.training, said, targets, returns)
        step = state.epoch * self.plan.chunks + state.chunk
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.training, step, self.training.epochs * self.plan.chunks)
        self.optimizer.zero_grad()
        torch.autograd.backward(found.minimised / max(count, 1))
        limit_gradient(self.network, self.training.gradient_limit)
        self.optimizer.step()
        state.lanes = tuple(part.detach().float().contiguous() for part in said.state)
        state.loss_sum += self._checked(found.cross_entropy.item())
        state.labelled += count
        state.right += int((((said.logits > 0) == (targets > 0)) & known).sum())

    def _checked(self, loss_sum: float) -> float:
        if not math.isfinite(loss_sum):
            raise TradingAIError(
                f"{self.task.model} diverged: in epoch {self.state.epoch + 1} the loss is {loss_sum}",
                remedy="Look at `tradingai data quality`, then train with another --seed and --fresh.",
            )
        return loss_sum

    def _finish_epoch(self) -> None:
        """Judge the epoch, keep its weights when they are the best, stand at the start of the next."""
        state = self.state
        loss, accuracy = self._validate()
        best = not state.history or loss < state.best_epoch.validation_loss
        if best:
            weights = self.network.state_dict()
            state.best = {name: value.detach().cpu().clone() for name, value in weights.items()}
        epoch = Epoch(
            epoch=state.epoch + 1,
            train_loss=state.loss_sum / max(state.labelled, 1),
            train_accuracy=state.right / max(state.labelled, 1),
            validation_loss=loss,
            validation_accuracy=accuracy,
            best=best,
        )
        state.finish_epoch(epoch, self.reader.consumed(), self.plan.bars)
        self.reader.restart()
        self._checkpoint()
        self._tell()
        rate = state.bars_per_s[-1]
        left = (self.training.epochs - state.epoch) * self.plan.bars
        self._reporter.emit(
            EpochFinished(
                model=self.task.model, epochs=self.training.epochs, bars_per_s=rate,
                eta_s=left / rate if rate > 0 else 0.0, **asdict(epoch),
            )
        )  # fmt: skip

    def _validate(self) -> tuple[float, float]:
        """Log loss and accuracy over the labelled bars of the early-stopping range, of all coins together."""
        rows = self.task.early_stop
        labels = self.task.labels[rows.slice].ravel()
        predictor = Predictor(self.network.eval(), self.task.scaler, self.compute)
        warmup = rows.lo - self._validation_fed.lo
        logits = predictor.stream_all(self.task.values, rows.lo, rows.hi, warmup).ravel()
        loss = log_loss(sigmoid(logits), labels)
        known = labels >= 0
        return loss, float(np.mean((logits[known] > 0) == (labels[known] == 1)))

    @property
    def _validation_fed(self) -> Rows:
        rows = self.task.early_stop
        return Rows(max(self.task.first, rows.lo - VALIDATION_WARMUP), rows.hi)

    def _checkpoint_if_due(self) -> None:
        """Save when it is time; when a stop was asked for, save and let the interruption through."""
        try:
            self._reporter.safe_point()
        except InterruptedRunError:
            self._checkpoint()
            raise
        if self._clock.monotonic() - self._saved_at >= self.training.checkpoint_every_s:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._save(self)
        self._saved_at = self._clock.monotonic()

    def _tell(self) -> None:
        """Report progress; the rate is that of this epoch, or at its start that of the one before."""
        self._told_at = self._clock.monotonic()
        state, total = self.state, self.training.epochs * self.plan.bars
        in_epoch = self.reader.bars
        done = state.epoch * self.plan.bars + in_epoch
        rate = state.bars_per_s[-1] if state.bars_per_s else None
        if state.epoch_seconds > 0:
            rate = in_epoch / state.epoch_seconds
        last = state.history[-1] if state.history else None
        self._reporter.progress(
            Progress(
                done=done, total=total, unit="bars", rate=rate, eta_s=(total - done) / rate if rate else None,
                detail={
                    "model": self.task.model, "epochs": self.training.epochs,
                    "epoch": min(state.epoch + 1, self.training.epochs),
                    "loss": state.loss_sum / state.labelled if state.labelled else None,
                    "accuracy": state.right / state.labelled if state.labelled else None,
                    "validation_loss": last.validation_loss if last else None,
                    "validation_accuracy": last.validation_accuracy if last else None,
                    "bars_per_s": rate, "device": self.compute.label, "threads": self.training.threads,
                },
            )
        )  # fmt: skip


def learning_rate(training: Training, step: int, steps: int) -> float:
    """One cycle: linear from 1 % to the peak, then a half cosine down to 1 %, over ``steps`` updates.

    Source: Smith & Topin, Super-Convergence (2018). It depends on the step alone: nothing has to be resumed.
    """
    rise = max(1.0, training.rise_share * steps)
    if step < rise:
        share = step / rise
    else:
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1.0, steps - rise))))
    return training.peak_learning_rate * max(share, _FINAL_RATE)
