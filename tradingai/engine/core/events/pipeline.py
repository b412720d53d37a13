"""What the steps from candles to a trained model brought about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class CandlesStored(Event):
    """A symbol's candles were written and its manifest published."""

    symbol: str
    provider: str
    market: str | None
    rows: int
    seconds: float
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FetchDelayed(Event):
    """A provider failed or asked to wait; the fetch goes on after a pause."""

    level: ClassVar[str] = "warning"
    symbol: str
    reason: str
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class FeaturesBuilt(Event):
    """A symbol's feature matrix was written."""

    symbol: str
    rows: int
    features: int
    seconds: float
    rows_per_s: float
    peak_memory_mb: float
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(Event):
    """A training begins, or goes on after ``finished_epochs`` when it was interrupted."""

    model: str
    run: str
    epochs: int
    finished_epochs: int
    bars: int
    """Training bars an epoch."""
    lanes: int
    chunk: int
    device: str
    threads: int
    seed: int
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class TrainingDiscarded(Event):
    """An unfinished training of other inputs or settings was given up for a new one."""

    level: ClassVar[str] = "warning"
    model: str
    finished_epochs: int
    difference: str


@dataclass(frozen=True, kw_only=True)
class EpochFinished(Event):
    """One epoch of training ended. Losses are mean cross-entropy in nats, accuracies fractions."""

    model: str
    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    bars_per_s: float
    eta_s: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class PolicyUpdated(Event):
    """A stage of the agent's training ended: means over its updates, then its result on unseen rows.

    Returns are net log returns a minute in basis points: ``mean_return_bps`` while exploring, at the costs
    of that stage, ``validation_return_bps`` of the greedy policy at full costs. Entropy and KL in nats.
    """

    model: str
    stage: int
    stages: int
    env_steps: int
    """Since the training began."""
    mean_return_bps: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    value_loss: float
    validation_return_bps: float
    env_steps_per_s: float
    """Collecting and learning."""
    eta_s: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class TrainingFinished(Event):
    """A model's training ended and its artifact was published."""

    model: str
    epochs: int
    best_epoch: int
    validation_accuracy: float
    seconds: float
    sha256: str
    early_stopped: bool
