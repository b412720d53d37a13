"""What the console sees of models: training runs, gates, the ledger. Parts of the console's snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from tradingai.engine.core.model_report import ModelReport

JobState = Literal["queued", "running", "done", "skipped", "refused", "failed", "interrupted", "cancelled"]
EMPTY_MAP: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps the console from working as it should, and what to do about it."""

    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One finished epoch. Losses are mean cross-entropy in nats, accuracies fractions."""

    epoch: float
    train_loss: float
    validation_loss: float
    train_accuracy: float
    validation_accuracy: float
    bars_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class PolicyPoint:
    """One finished stage of the agent's training: means over its steps, then its result on unseen rows.

    Returns are net log returns a minute in basis points; entropy and KL are in nats.
    """

    stage: int
    env_steps: int
    """Since the training began."""
    mean_return_bps: float
    """While exploring, at the costs of that stage."""
    validation_return_bps: float
    """Of the greedy policy at full costs, on the early-stopping half of validation."""
    entropy: float
    approx_kl: float
    clip_fraction: float
    value_loss: float
    env_steps_per_s: float | None = None
    best: bool = False
    """Whether its weights were the best so far."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One training run of a model."""

    id: str
    label: str
    """When it began, short enough for a legend."""
    model: str
    state: JobState
    epochs: int
    """Epochs of a network, stages of the agent; 0 while a run has not said how many."""
    points: tuple[CurvePoint, ...] = ()
    """A network's epochs; the agent has ``stages``."""
    seed: int | None = None
    version: str | None = None
    best_epoch: int | None = None
    """Of the agent: the best stage."""
    patience: int | None = None
    early_stopped: bool = False
    started_at: datetime | None = None
    took_s: float | None = None
    bars_per_s: float | None = None
    """Of the agent: environment steps a second."""
    job_id: str | None = None
    message: str = ""
    remedy: str = ""
    facts: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAP)
    """What the artifact's record says of network, data and machine, ready to show."""
    stages: tuple[PolicyPoint, ...] = ()
    """The agent's finished stages."""

    @property
    def finished(self) -> int:
        """Epochs or stages that are over."""
        return len(self.points) or len(self.stages)


@dataclass(frozen=True, slots=True)
class ComponentView:
    """One version that an ensemble is made of."""

    model: str
    kind: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """The ensemble with the agent beside the one without, over the second half of validation."""

    joins: bool
    reason: str
    """Why it does not join; empty when it does."""
    days: int
    daily_r_with: float
    daily_r_without: float
    difference: tuple[float, float] | None
    """Bounds of the mean daily difference in R; None when there are too few days."""
    alpha: float
    required_gain: float


@dataclass(frozen=True, slots=True)
class EnsembleView:
    """How one version of the ensemble is made."""

    version: str
    components: tuple[ComponentView, ...]
    shares: Mapping[str, Mapping[str, float]]
    """Coin to kind of model to its share; a kind that takes no part is not there."""
    agent: AgentView | None = None
    """None when there was no agent to compare."""


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What is known of one model's gates: its newest report, if any, and what may be done with it."""

    model: str
    report: ModelReport | None = None
    """The newest evaluation as it stands in its file; the same document that ``evaluate --json`` prints."""
    problem: Problem | None = None
    """Why the report of an evaluation that the ledger names cannot be shown."""
    version: str | None = None
    """Version of the newest evaluated artifact."""
    live_version: str | None = None
    live_since: datetime | None = None
    rollback_to: str | None = None
    """The version that was live before, if there is one to go back to."""
    trained: bool = False
    """Whether there is an artifact that could be evaluated."""
    stale: bool = False
    """Whether the newest artifact is another one than the report's."""
    next_attempt: int | None = None
    next_alpha: float | None = None
    certificate: str = ""
    """Hash of the certificate that was issued, or empty."""
    ensemble: EnsembleView | None = None
    """What the version of the report is made of, of an ensemble."""
    idle: str = ""
    """Why a live ensemble says nothing of the models that are live; empty when it speaks."""
    share: float | None = None
    """The live model's weight in what is decided; None when it is not live or takes no part."""
    missing: tuple[str, ...] = ()
    """Versions the report's ensemble is made of that are not live: it cannot be promoted before they are."""

    @property
    def promotable(self) -> bool:
        """Whether this version may go live and is not live yet."""
        return self.report is not None and self.report.promotable and self.version != self.live_version


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the ledger."""

    index: int
    version: str
    model: str
    event: str
    """evaluated, refused, promoted, rolled back."""
    at: datetime
    live: bool = False
    passed: bool | None = None
    accuracy: float | None = None
    gates_passed: int | None = None
    gates_total: int | None = None
    artifact_sha256: str = ""
    attempt: int | None = None
    who: str = ""
    why: str = ""
    data_sha256: str = ""
    features_sha256: str = ""
    certificate: str = ""
    previous: str = ""
    coins: tuple[tuple[str, float | None, tuple[str, ...]], ...] = ()
    """Of a version of several coins each with its accuracy and the gates that refuse it."""
    components: tuple[tuple[str, str], ...] = ()
    """Of an ensemble the models it is made of, with their versions."""


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The registry: oldest entry first."""

    entries: tuple[LedgerEntry, ...] = ()
    problem: Problem | None = None
    """Why the chain or an artifact is not what it should be; None while all is intact."""
    verified_at: datetime | None = None
    """When the artifacts' hashes were last compared; the chain itself is checked at every reading."""


EMPTY_LEDGER: Final = LedgerView()
