"""What a model says of its coins: calibrated P(up) over stored rows, and of one bar from a cold start.

A voice hides whether one network stands behind it or an ensemble of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.compute import Features
from tradingai.engine.features.side_by_side import Matrix
from tradingai.engine.models.artifact import ModelArtifact
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.predict import Predictor, inputs_of

Matrices = Mapping[str, Features]
"""Coin to its unscaled features float32 [rows, F]; row i is the same minute of every coin."""


class Calibrated(NamedTuple):
    """A calibrator and uncalibrated logits float64 [n]; ``name`` tells it from the coin's others."""

    name: str
    logits: Floats
    calibrator: Calibrator


class Voice(Protocol):
    """A trained model, as evaluation and live loop ask it."""

    @property
    def artifact(self) -> ModelArtifact:
        """What was trained."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The coins whose features it looks at."""
        ...

    @property
    def warmup(self) -> int:
        """Bars after which a cold start agrees with carried state."""
        ...

    def probabilities(self, values: Matrices, lo: int, hi: int, first: int) -> dict[str, Floats]:
        """Coin to P(up) of rows [lo, hi), float64 [hi - lo]; nothing before row ``first`` is read.

        Raises DataError for rows that are not there or not finite.
        """
        ...

    def calibrated(self, values: Matrices, lo: int, hi: int, first: int, symbol: str) -> list[Calibrated]:
        """Every calibrator of a coin with the logits of rows [lo, hi) that it is meant for."""
        ...

    def cold_start(self, windows: Matrices, symbol: str) -> float:
        """P(up) of one coin at the last bar of ``windows`` [warmup + 1, F], cold at the first."""
        ...


class NetworkVoice:
    """One artifact's network."""

    def __init__(self, artifact: ModelArtifact) -> None:
        self.artifact = artifact
        self.predictor = Predictor.of(artifact)
        self._known: tuple[tuple[int, ...], Floats] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact's coins."""
        return self.artifact.symbols

    @property
    def warmup(self) -> int:
        """The artifact's."""
        return self.artifact.warmup.bars

    def joined(self, values: Matrices) -> Matrix:
        """What the network reads."""
        return inputs_of([values[symbol] for symbol in self.inputs])

    def logits(self, values: Matrices, lo: int, hi: int, first: int) -> Floats:
        """Logits of rows [lo, hi) for every coin, float64 [hi - lo, coins], warmed up from ``first`` on.

        The last answer is kept: the coins of one network are asked about one after another.
        """
        question = (lo, hi, first, *(id(values[symbol]) for symbol in self.inputs))
        if self._known is None or self._known[0] != question:
            warmup = min(self.warmup, lo - first)
            self._known = question, self.predictor.stream_all(self.joined(values), lo, hi, warmup)
        return self._known[1]

    def probabilities(self, values: Matrices, lo: int, hi: int, first: int) -> dict[str, Floats]:
        """See :class:`Voice`."""
        logits = self.logits(values, lo, hi, first)
        return {
            part.symbol: part.calibrator.probability(np.ascontiguousarray(logits[:, coin]))
            for coin, part in enumerate(self.artifact.coins)
        }

    def calibrated(self, values: Matrices, lo: int, hi: int, first: int, symbol: str) -> list[Calibrated]:
        """See :class:`Voice`: it has one a coin."""
        logits = self.logits(values, lo, hi, first)[:, self.inputs.index(symbol)]
        return [Calibrated("", np.ascontiguousarray(logits), self.artifact.coin(symbol).calibrator)]

    def cold_start(self, windows: Matrices, symbol: str) -> float:
        """See :class:`Voice`."""
        coin = self.inputs.index(symbol)
        joined = np.concatenate([windows[name][-self.warmup - 1 :] for name in self.inputs], axis=-1)
        logit = self.predictor.about(coin).windows(joined[None])
        return float(self.artifact.coin(symbol).calibrator.probability(logit)[0])
