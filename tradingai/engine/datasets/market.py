"""Several coins' data sets on the same minutes: what a model that sees all coins at once is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.errors import DataError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.labels import Labels
from tradingai.engine.datasets.splits import TimeSplit
from tradingai.engine.datasets.together import check_together, load_together
from tradingai.engine.features.side_by_side import Matrix, SideBySide

Returns = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class MarketDataset:
    """Coins whose row i is the same minute and whose split is the same.

    Raises DataError, naming coins and ranges, when their minutes or markets differ, and for a coin named
    twice.
    """

    coins: tuple[Dataset, ...]

    def __post_init__(self) -> None:
        _check_once(self.symbols)
        check_together(self.coins)
        _check_market(self.coins)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The coins, in the order of inputs and outputs."""
        return tuple(coin.symbol for coin in self.coins)

    @property
    def split(self) -> TimeSplit:
        """Which rows train, stop early, calibrate and test."""
        return self.coins[0].split

    @property
    def first_valid(self) -> int:
        """The first row with features."""
        return self.coins[0].features.first_valid

    @property
    def market(self) -> str | None:
        """The synthetic market's preset; None for other candles."""
        return self.coins[0].features.market

    @property
    def synthetic(self) -> bool:
        """Whether the candles are made."""
        return self.coins[0].features.synthetic

    @property
    def values(self) -> Matrix:
        """Features float32 [rows, F], those of several coins side by side, read from their memory maps."""
        if len(self.coins) == 1:
            return self.coins[0].values
        return SideBySide([coin.values for coin in self.coins])

    @property
    def labels(self) -> Labels:
        """int8 [rows, coins]; see :func:`~tradingai.engine.datasets.labels.direction_labels`."""
        return np.stack([coin.labels for coin in self.coins], axis=1)

    def forward_returns(self, deviations: Sequence[float]) -> Returns:
        """Log return from close(t) to close(t + horizon) over each coin's deviation, float32 [rows, coins].

        The last rows, whose future is not there, are 0; they have no label.
        """
        standardised = np.zeros((self.coins[0].rows, len(self.coins)), dtype=np.float32)
        for number, (coin, deviation) in enumerate(zip(self.coins, deviations, strict=True)):
            ahead, logs = coin.horizon_minutes, np.log(coin.close)
            standardised[:-ahead, number] = (logs[ahead:] - logs[:-ahead]) / deviation
        return standardised


def load_market(paths: HomePaths, symbols: Sequence[str], *, verify: bool = True) -> MarketDataset:
    """The data sets of these coins side by side.

    Raises what :func:`~tradingai.engine.datasets.together.load_together` and :class:`MarketDataset` raise.
    """
    if not symbols:
        raise DataError("no coin to train on", remedy="Name at least one: `--symbols BTC-USD,ETH-USD`.")
    _check_once(symbols)
    return MarketDataset(load_together(paths, symbols, verify=verify))


def _check_once(symbols: Sequence[str]) -> None:
    twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if twice:
        raise DataError(f"{', '.join(twice)} is named more than once", remedy="Name each coin once.")


def _check_market(coins: Sequence[Dataset]) -> None:
    if len({(coin.features.market, coin.features.synthetic) for coin in coins}) == 1:
        return
    kinds = ", ".join(f"{coin.symbol} {coin.features.market or coin.features.provider}" for coin in coins)
    raise DataError(
        f"the coins are not of one market: {kinds}",
        remedy="Generate or import the candles of all from the same source.",
    )
