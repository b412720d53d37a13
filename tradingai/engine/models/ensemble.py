"""Several models as one voice: their calibrated probabilities weighted, the mean calibrated again.

The mean of calibrated probabilities is nearer to one half than it should be, the more the models differ. So
every subset of the models that may speak has a calibrator of its own, fitted on the logit of the mean.
Source: Ranjan & Gneiting, Combining Probability Forecasts (2010).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.decision.ensemble import (
    MODEL_KINDS,
    EnsembleConfig,
    ensemble_probability,
    ensemble_weights,
    speaking_kinds,
)
from tradingai.engine.models.artifact import ModelArtifact
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.voice import Calibrated, Matrices, NetworkVoice

ENSEMBLE: Final = "ensemble"
"""Model id and kind."""
_EDGE: Final = 1e-6


class Component(NamedTuple):
    """One version that an ensemble is made of."""

    model: str
    kind: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EnsembleRule:
    """How the models of a coin become one probability."""

    config: EnsembleConfig = field(default_factory=EnsembleConfig)
    calibrators: Mapping[str, Mapping[str, Calibrator]] = field(default_factory=dict)
    """Coin to subset (:func:`subset_name`) to calibrator; a subset without one is left as it is."""
    agent_joins: bool = False

    def speaking(self, kinds: Collection[str]) -> tuple[str, ...]:
        """The kinds that take part, in the order of the weights."""
        return speaking_kinds(kinds, agent_joins=self.agent_joins)

    def weights(self, kinds: Collection[str]) -> dict[str, float]:
        """The share of each kind that takes part; empty when none does."""
        return ensemble_weights(self.speaking(kinds), self.config)

    def probability(self, symbol: str, outputs: Mapping[str, Floats]) -> Floats:
        """P(up), float64 [n], of calibrated ``outputs`` by kind [n].

        Raises ValueError when nobody takes part.
        """
        kinds = self.speaking(outputs)
        mean = ensemble_probability(outputs, ensemble_weights(kinds, self.config))
        calibrator = self.calibrators.get(symbol, {}).get(subset_name(kinds))
        return mean if calibrator is None else calibrator.probability(logit(mean))


def subset_name(kinds: Sequence[str]) -> str:
    """``lstm+transformer``."""
    return "+".join(kinds)


def subsets(kinds: Collection[str]) -> list[tuple[str, ...]]:
    """Every choice of two or more of the kinds, in the order of the weights, the largest last.

    >>> [subset_name(kinds) for kinds in subsets({"ppo", "lstm", "transformer"})]
    ['lstm+transformer', 'lstm+ppo', 'transformer+ppo', 'lstm+transformer+ppo']
    """
    ordered = [kind for kind in MODEL_KINDS if kind in kinds]
    return [chosen for size in range(2, len(ordered) + 1) for chosen in combinations(ordered, size)]


def logit(probability: Floats) -> Floats:
    """log(p / (1 - p)), p kept a millionth away from certainty."""
    kept = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    return np.log(kept) - np.log1p(-kept)


def rule_of(artifact: ModelArtifact) -> EnsembleRule:
    """The rule in an ensemble's artifact. Raises ArtifactError when it is damaged or of no ensemble."""
    try:
        config = artifact.config
        return EnsembleRule(
            EnsembleConfig(tuple(config["weights"]), tuple(config["without_rl"])),
            {
                symbol: {name: Calibrator.from_dict(one) for name, one in found.items()}
                for symbol, found in config["calibrators"].items()
            },
            bool(config["agent_joins"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{artifact.model} is no ensemble, or damaged: {error}") from error


def components_of(artifact: ModelArtifact) -> tuple[Component, ...]:
    """The versions that an ensemble is made of. Raises ArtifactError when it is damaged or of no ensemble."""
    try:
        return tuple(Component(*part) for part in artifact.config["components"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{artifact.model} is no ensemble, or damaged: {error}") from error


class EnsembleVoice:
    """The versions an ensemble is made of, speaking together."""

    def __init__(self, artifact: ModelArtifact, voices: Sequence[NetworkVoice]) -> None:
        """``voices`` are of its components, in order. Raises ArtifactError when they are others."""
        named = [part.sha256 for part in components_of(artifact)]
        if named != [voice.artifact.sha256 for voice in voices]:
            raise ArtifactError(f"{artifact.model} is made of other versions than it was given")
        self.artifact = artifact
        self.voices = tuple(voices)
        self.rule = rule_of(artifact)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every coin that some component looks at."""
        return tuple(dict.fromkeys(symbol for voice in self.voices for symbol in voice.inputs))

    @property
    def warmup(self) -> int:
        """The longest of the components'."""
        return max(voice.warmup for voice in self.voices)

    def outputs(self, values: Matrices, lo: int, hi: int, first: int) -> dict[str, dict[str, Floats]]:
        """Coin to kind to calibrated P(up) of rows [lo, hi), float64 [hi - lo]."""
        return said_by(self.voices, self.artifact.symbols, values, Rows(lo, hi), first)

    def probabilities(self, values: Matrices, lo: int, hi: int, first: int) -> dict[str, Floats]:
        """See :class:`tradingai.engine.models.voice.Voice`."""
        outputs = self.outputs(values, lo, hi, first)
        return {symbol: self.rule.probability(symbol, kinds) for symbol, kinds in outputs.items()}

    def calibrated(self, values: Matrices, lo: int, hi: int, first: int, symbol: str) -> list[Calibrated]:
        """See :class:`tradingai.engine.models.voice.Voice`: one for each subset."""
        outputs = self.outputs(values, lo, hi, first)[symbol]
        stored = self.rule.calibrators[symbol]
        config = self.rule.config
        by_name = {subset_name(kinds): mean_logit(outputs, kinds, config) for kinds in subsets(outputs)}
        return [Calibrated(name, logits, stored[name]) for name, logits in by_name.items()]

    def cold_start(self, windows: Matrices, symbol: str) -> float:
        """See :class:`tradingai.engine.models.voice.Voice`."""
        outputs = {
            voice.artifact.kind: np.array([voice.cold_start(windows, symbol)])
            for voice in self.voices
            if symbol in voice.artifact.symbols
        }
        return float(self.rule.probability(symbol, outputs)[0])


def said_by(
    voices: Sequence[NetworkVoice], symbols: Sequence[str], values: Matrices, rows: Rows, first: int
) -> dict[str, dict[str, Floats]]:
    """Of these coins: coin to kind to calibrated P(up) of ``rows``, float64 [rows]."""
    found: dict[str, dict[str, Floats]] = {symbol: {} for symbol in symbols}
    for voice in voices:
        for symbol, probability in voice.probabilities(values, rows.lo, rows.hi, first).items():
            if symbol in found:
                found[symbol][voice.artifact.kind] = probability
    return found


def mean_logit(outputs: Mapping[str, Floats], kinds: Sequence[str], config: EnsembleConfig) -> Floats:
    """The logit of the weighted mean of these kinds' probabilities, float64 [n]."""
    return logit(ensemble_probability(outputs, ensemble_weights(kinds, config)))


def ensemble_document(rule: EnsembleRule, components: Sequence[Component]) -> dict[str, Any]:
    """The configuration that :func:`rule_of` and :func:`components_of` read."""
    return {
        "components": [list(part) for part in components],
        "weights": list(rule.config.weights),
        "without_rl": list(rule.config.without_rl),
        "calibrators": {
            symbol: {name: one.as_dict() for name, one in found.items()}
            for symbol, found in rule.calibrators.items()
        },
        "agent_joins": rule.agent_joins,
    }
