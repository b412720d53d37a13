"""What the leakage battery looks at: one coin of one trained model, with the data it was judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.leakage.causality import Market
from tradingai.engine.evaluation.leakage.pipeline import Pipeline
from tradingai.engine.features.compute import Features
from tradingai.engine.models.artifact import CoinPart, ModelArtifact
from tradingai.engine.models.voice import Voice

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """What the battery looks at; ``rows`` [n] are the test rows, ``probability`` [n] what was said there.

    ``together`` has the data of every coin whose features the model looks at.
    """

    voice: Voice
    data: Dataset
    together: tuple[Dataset, ...]
    market: Market
    pipelines: Mapping[str, Pipeline]
    rows: Ints
    probability: npt.NDArray[np.float64]

    @property
    def artifact(self) -> ModelArtifact:
        """What was trained."""
        return self.voice.artifact

    @property
    def pipeline(self) -> Pipeline:
        """From raw candles to the coin's own features."""
        return self.pipelines[self.data.symbol]

    @property
    def values(self) -> dict[str, Features]:
        """Coin to its features, unscaled."""
        return {data.symbol: data.values for data in self.together}

    @property
    def first(self) -> int:
        """The first row with features."""
        return self.data.features.first_valid

    @property
    def coin(self) -> CoinPart:
        """The artifact's part of the coin."""
        return self.artifact.coin(self.data.symbol)

    @property
    def record(self) -> dict[str, Any]:
        """The trainer's record of what it consumed."""
        return self.artifact.record

    @property
    def test(self) -> Rows:
        """The test range."""
        return Rows(int(self.rows[0]), int(self.rows[-1]) + 1)

    def scored(self, purpose: str) -> list[Rows]:
        """Ranges whose labels were consumed for a purpose."""
        return [Rows(*pair) for pair in self.record["consumed"][purpose].get("scored", [])]

    @property
    def labelled_test(self) -> Ints:
        """Test rows that have a label."""
        return self.rows[self.data.labels[self.rows] >= 0]

    @property
    def labelled_train(self) -> Ints:
        """Rows that training consumed and that have a label."""
        rows: Ints = np.concatenate([part.indices() for part in self.scored("train")])
        return rows[self.data.labels[rows] >= 0]
