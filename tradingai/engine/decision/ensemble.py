"""One probability from whatever models are promoted."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from tradingai.engine.core.candles import Floats

MODEL_KINDS: Final = ("lstm", "transformer", "ppo")
"""In the order of ENSEMBLE_WEIGHTS."""
AGENT: Final = "ppo"
"""The kind that takes part only where it was found to help."""
OTHER_WEIGHTS: Final = "it was made with other ENSEMBLE_WEIGHTS"
"""Why an ensemble says nothing under settings that changed since."""
Probability = TypeVar("Probability", float, Floats)


@dataclass(frozen=True, slots=True)
class EnsembleConfig:
    """Shares of the model kinds when all are promoted, and of the first two when there is no RL agent."""

    weights: tuple[float, float, float] = (0.35, 0.40, 0.25)
    without_rl: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        for shares in (self.weights, self.without_rl):
            if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
                raise ValueError(f"ensemble weights are shares of 1, not {shares}")


def ensemble_weights(promoted: Collection[str], config: EnsembleConfig) -> dict[str, float]:
    """The share of each promoted model kind; they add up to 1. Empty when nothing is promoted.

    The configured weights renormalised over what is promoted, except that LSTM and Transformer without RL
    have shares of their own. Kinds whose weights are all 0 share equally. Raises ValueError for an unknown
    kind.
    """
    unknown = sorted(set(promoted) - set(MODEL_KINDS))
    if unknown:
        raise ValueError(f"unknown model kinds {unknown}, known are {list(MODEL_KINDS)}")
    kinds = [kind for kind in MODEL_KINDS if kind in promoted]
    if kinds == ["lstm", "transformer"]:
        return dict(zip(kinds, config.without_rl, strict=True))
    shares = dict(zip(MODEL_KINDS, config.weights, strict=True))
    total = math.fsum(shares[kind] for kind in kinds)
    if total == 0:
        return {kind: 1 / len(kinds) for kind in kinds}
    return {kind: shares[kind] / total for kind in kinds}


def speaking_kinds(kinds: Collection[str], *, agent_joins: bool) -> tuple[str, ...]:
    """The kinds that take part, in the order of the weights: the agent only where it joins."""
    return tuple(kind for kind in MODEL_KINDS if kind in kinds and (kind != AGENT or agent_joins))


def made_otherwise(live: Iterable[tuple[str, str, str]], parts: Iterable[tuple[str, str, str]]) -> str:
    """Why an ensemble made of ``parts`` says nothing of the models that are ``live``; empty when it does.

    Both are (model, version, artifact hash).
    """
    made_of = {model: (version, sha256) for model, version, sha256 in parts}
    for model, version, sha256 in live:
        part = made_of.get(model)
        if part is None or part[1] != sha256:
            was = "without it" if part is None else f"of {part[0]}"
            return f"{model} {version} is live, and it was made {was}"
    return ""


def ensemble_probability(outputs: Mapping[str, Probability], weights: Mapping[str, float]) -> Probability:
    """Weighted mean of calibrated P(up), scalars or float64 [n] alike.

    Every weighted model must have spoken: a missing one raises KeyError, and a NaN stays one, so that a
    broken model silences the ensemble instead of leaving it to the others. Raises ValueError without a model.
    """
    if not weights:
        raise ValueError("an ensemble of no models")
    parts = [outputs[kind] * weight for kind, weight in weights.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
