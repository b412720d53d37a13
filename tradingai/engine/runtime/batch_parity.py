"""A run's probabilities beside those of one batch over the same candles, as evaluation computes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import Decision
from tradingai.engine.features.compute import compute
from tradingai.engine.inference.promoted import LiveModel
from tradingai.engine.models.voice import NetworkVoice
from tradingai.engine.providers.cleaning import clean

TOLERANCE: Final = 1e-5
"""Largest difference in P(up) that counts as equal."""


@dataclass(frozen=True, slots=True)
class BatchAgreement:
    """How far a run and a batch are apart."""

    compared: int
    """Probabilities that were compared."""
    largest_difference: float
    flips: int
    """Decisions on the other side of the threshold although the probability differs by no more than 1e-5."""

    @property
    def agrees(self) -> bool:
        """Nothing differs by more than 1e-5."""
        return self.largest_difference <= TOLERANCE

    def as_json(self) -> dict[str, Any]:
        """For ``observe verify --json``."""
        return {**asdict(self), "agrees": self.agrees}


class _Said(NamedTuple):
    """What a model said on one candle."""

    symbol: str
    candle_us: int
    probability: float
    threshold: float


class BatchParity:
    """Collects what a run saw and said, and computes it again in one piece."""

    def __init__(self) -> None:
        self._raw: dict[str, list[Candles]] = {}
        self._said: dict[LiveModel, list[_Said]] = {}

    def saw(self, symbol: str, raw: Candles) -> None:
        """Raw candles in the order in which the run took them."""
        if len(raw):
            self._raw.setdefault(symbol, []).append(raw)

    def said(self, decision: Decision, models: Mapping[str, LiveModel]) -> None:
        """One decision, and the models by id that spoke."""
        if decision.candle_us is None:
            return
        for model, probability in decision.outputs.items():
            if np.isfinite(probability):
                said = _Said(decision.symbol, decision.candle_us, probability, decision.threshold)
                self._said.setdefault(models[model], []).append(said)

    def agreement(self) -> BatchAgreement:
        """The comparison; candles too early for a batch to be warmed up are left out."""
        compared, largest, flips = 0, 0.0, 0
        for live, said in self._said.items():
            for one, probability in self._beside(live, said):
                compared += 1
                apart = abs(one.probability - probability)
                largest = max(largest, apart)
                confident = (max(p, 1.0 - p) >= one.threshold for p in (one.probability, probability))
                flips += apart <= TOLERANCE and len(set(confident)) > 1
        return BatchAgreement(compared, largest, flips)

    def _beside(self, live: LiveModel, said: list[_Said]) -> Iterator[tuple[_Said, float]]:
        try:
            first_us, probabilities = self._batch(live)
        except DataError:
            return
        for one in said:
            row = (one.candle_us - first_us) // MINUTE_US
            batch = probabilities[one.symbol]
            if live.artifact.warmup.bars <= row < len(batch):
                yield one, float(batch[row])

    def _batch(self, live: LiveModel) -> tuple[int, dict[str, Floats]]:
        """(open time of the first row, P(up) by coin of all rows) over what is known of all its candles.

        Raises DataError when that is not enough.
        """
        names = dict.fromkeys(
            name for symbol, features in live.features.items() for name in (symbol, *features.peers)
        )
        if any(name not in self._raw for name in names):
            raise DataError(f"no candles for {live.model}")
        series = {name: clean(Candles.concatenate(self._raw[name])).candles for name in names}
        first = max(int(candles.ts[0]) for candles in series.values())
        last = min(int(candles.ts[-1]) for candles in series.values())
        rows = {
            name: candles[(candles.ts >= first) & (candles.ts <= last)] for name, candles in series.items()
        }
        lookback = max(features.lookback for features in live.features.values())
        own = rows[live.symbols[0]]
        if len(own) <= lookback:
            raise DataError(f"{len(own)} candles for {live.model}, {lookback + 1} are needed")
        values = {
            symbol: compute(features, rows[symbol], {name: rows[name].close for name in features.peers})
            for symbol, features in live.features.items()
        }
        probabilities = NetworkVoice(live.artifact).probabilities(values, lookback, len(own), lookback)
        return int(own.ts[lookback]), probabilities
