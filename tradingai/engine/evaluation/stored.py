"""One coin's stored candles beside its dataset: what the evaluation trades on and the battery cuts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Candles, Floats
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.backtest import TradedRange
from tradingai.engine.evaluation.leakage.causality import Market
from tradingai.engine.features.registry import ATR_RATIO
from tradingai.engine.providers.quality import Rule
from tradingai.engine.store.candle_files import read_candles, read_flags

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StoredCoin:
    """A coin's data with its stored candles and those of its peers."""

    data: Dataset
    candles: Mapping[str, Candles]
    filled: Mapping[str, Bools]
    """Which of them cleaning filled in."""

    @classmethod
    def read(cls, paths: HomePaths, data: Dataset) -> StoredCoin:
        """Read the candles of a dataset whose hashes were compared already."""
        candles = {data.symbol: read_candles(paths, data.symbol, verify=False)}
        for peer in data.features.peers:
            candles[peer] = read_candles(paths, peer)
        filled = {name: _filled(paths, name, series) for name, series in candles.items()}
        return cls(data, candles, filled)

    @property
    def own(self) -> Candles:
        """The coin's candles; row i of the dataset is the same minute."""
        return self.candles[self.data.symbol]

    @property
    def test_sha256(self) -> str:
        """Hash of the test range's times and prices, up to the last close a label looks at."""
        test = self.data.split.test
        hasher = hashlib.sha256(self.data.symbol.encode())
        for column in self.own[test.lo : test.hi + HORIZON_MINUTES].columns().values():
            hasher.update(np.ascontiguousarray(column).data)
        return hasher.hexdigest()

    def market(self, scale: Floats) -> Market:
        """For the leakage battery; ``scale`` [F] is what differences of features are measured in."""
        return Market(self.data.symbol, self.candles, self.filled, self.data.values, scale)

    def traded(self, model: str, rows: Rows, probability: Floats) -> TradedRange:
        """For a backtest of ``rows``, of which ``probability`` [rows] was said."""
        column = self.data.features.names.index(ATR_RATIO)
        return TradedRange(
            model=model,
            symbol=self.data.symbol,
            candles=self.own,
            real=~self.filled[self.data.symbol],
            peers_real=tuple(~self._filled_beside(peer) for peer in self.data.features.peers),
            lo=rows.lo,
            hi=rows.hi,
            probability=probability,
            atr_ratio=np.array(self.data.values[rows.slice, column]),
        )

    def _filled_beside(self, peer: str) -> Bools:
        """Which of a peer's minutes were filled, on the coin's own rows."""
        first = int(self.own.ts[0] - self.candles[peer].ts[0]) // MINUTE_US
        return self.filled[peer][first : first + len(self.own)]


def _filled(paths: HomePaths, symbol: str, candles: Candles) -> Bools:
    flags = read_flags(paths, symbol)
    wanted = flags.ts[(flags.mask & int(Rule.FILLED)) > 0]
    return np.isin(candles.ts, wanted, assume_unique=True)
