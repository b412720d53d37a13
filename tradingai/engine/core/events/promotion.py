"""What was found out about a trained model, and which version is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class EvaluationFinished(Event):
    """A model was evaluated on its test range."""

    model: str
    version: str
    accuracy: float
    passed: bool
    attempt: int


@dataclass(frozen=True, kw_only=True)
class GateDecided(Event):
    """One promotion gate looked at one model."""

    model: str
    version: str
    gate: str
    passed: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class FoldScored(Event):
    """A model's training was repeated on one fold of the past and scored: a diagnosis, no evaluation."""

    model: str
    method: str
    """``walk_forward`` or ``k_fold``."""
    fold: int
    folds: int
    accuracy: float
    bars: int


@dataclass(frozen=True, kw_only=True)
class ModelPromoted(Event):
    """A version went live."""

    model: str
    version: str
    previous: str | None
    who: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ModelRolledBack(Event):
    """An earlier version went live again."""

    level: ClassVar[str] = "warning"
    model: str
    version: str
    previous: str
    who: str
    why: str
