"""The market as an environment: many lanes of minutes side by side, held in tensors.

A step is one minute. The action is the position to hold over the next minute (short, flat, long: −1, 0 or +1
of the equity), taken at the close of the minute that was observed; the position is part of the observation.
The reward is the log growth of the equity over the step, net of what the change of position costs, in units
of the training range's root mean square minute return::

    r_t = [ln(1 + x_t·(close_{t+1} / close_t − 1)) + ln(1 − |x_t − x_{t−1}|·c_t)] / unit

with c_t of the execution model: half the expected spread and the slippage of the coin's session, and the
commission of one side. An episode is one lane from its first to its last minute. It never *terminates*, since
a market goes on: at the end of its lane it is *truncated* and begins anew at the lane's start with a random
position. No step looks beyond the rows it was given. While the agent learns, costs rise from nothing to all
of c_t: one that meets them at once learns to stay flat before it has learnt what moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tradingai.engine.core.candles import Floats, Ints
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.compute import Features
from tradingai.engine.features.files import RowReader
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.policy import ACTIONS, FLAT
from tradingai.engine.risk.costs import ExecutionCosts, filled
from tradingai.engine.training.environment import Step
from tradingai.engine.training.lanes import joined

_STRETCH: Final = 32
"""Minutes of a lane that are read at once."""


@dataclass(frozen=True, slots=True, eq=False)
class CoinRows:
    """One coin's part of the market: its rows, what they are scaled with, and what a change costs."""

    symbol: str
    values: Features
    """float32 [rows, F], unscaled; may be a memory map."""
    close: Floats
    ts0: int
    scaler: Scaler
    rows: Rows
    """Rows that may be observed; the last one is only looked at, as what the step before it led to."""

    @classmethod
    def of(cls, data: Dataset, scaler: Scaler, rows: Rows) -> CoinRows:
        """The part of a coin's dataset."""
        return cls(data.symbol, data.values, data.close, data.ts0, scaler, rows)

    def scaled(self, rows: Ints) -> Features:
        """The features of ``rows`` [n], standardised, float32 [n, F]."""
        found = np.take(self.values, rows, axis=0)
        return self.scaler.transform(found, out=found)

    def growth(self) -> Floats:
        """close[t+1] / close[t] − 1 of every row but the last, float64 [rows.size − 1]."""
        close = self.close[self.rows.slice]
        return close[1:] / close[:-1] - 1.0

    def turnover_cost(self, costs: ExecutionCosts) -> Floats:
        """What changing the position by one costs at each row's close, a fraction, float64 [rows.size]."""
        day = np.empty(DAY_MINUTES)
        for minute in range(DAY_MINUTES):  # expected costs go by the session, so they repeat every day
            away_bps = costs.expected(self.symbol, minute * MINUTE_US).market_bps
            day[minute] = filled(1.0, 1.0, away_bps) - 1.0 + costs.commission(1.0, 1.0)
        closes = self.ts0 // MINUTE_US + np.arange(*self.rows) + 1
        turnover: Floats = day[closes % DAY_MINUTES]
        return turnover


def reward_unit(coins: Sequence[CoinRows]) -> float:
    """Root mean square of the log returns of one minute over all coins' rows.

    Raises DataError when no price moves.
    """
    squares = [np.log1p(coin.growth()) ** 2 for coin in coins]
    unit = float(np.sqrt(np.concatenate(squares).mean()))
    if unit <= 0.0:
        raise DataError(
            "no price moves within the training range: there is nothing to trade",
            remedy="Import or generate other candles.",
        )
    return unit


class MarketEnv:
    """Lanes over the rows of several coins, ``lanes`` for each, of nearly equal length.

    ``cost_rise`` is the share of the training within which costs rise to all of c_t. Raises DataError when a
    coin has fewer than two rows a lane or another number of features than the first.
    """

    def __init__(
        self,
        coins: Sequence[CoinRows],
        lanes: int,
        costs: ExecutionCosts,
        *,
        unit: float,
        seed: int,
        cost_rise: float = 0.0,
    ) -> None:
        self.shape, self.inputs = (len(coins), lanes), coins[0].values.shape[1]
        for coin in coins:
            _check(coin, coins[0], lanes)
        self._coins, self._unit, self._cost_rise, self._cost_share = tuple(coins), unit, cost_rise, 1.0
        edges = np.stack([np.linspace(0, coin.rows.size - 1, lanes + 1).astype(np.int64) for coin in coins])
        self._first, self._end = (torch.from_numpy(part.copy()) for part in (edges[:, :-1], edges[:, 1:]))
        self._base = torch.tensor([0, *(coin.rows.size for coin in coins)])[:-1].cumsum(0)[:, None]
        self._growth = _joined([np.append(coin.growth(), 0.0) for coin in coins])
        self._cost = _joined([coin.turnover_cost(costs) for coin in coins])
        self._ahead = [_Ahead(coin, lanes) for coin in coins]
        self._generator = torch.Generator().manual_seed(seed)
        self._row, self._furthest, self._position = self._first, self._first, self._drawn_positions()

    def observe(self) -> tuple[Tensor, Tensor]:
        """See :class:`~tradingai.engine.training.environment.VectorEnv`."""
        scaled = torch.empty((*self.shape, self.inputs))
        for ahead, rows, out in zip(self._ahead, self._row.numpy(), scaled.numpy(), strict=True):
            ahead.rows(rows, out)
        return scaled, self._position.clone()

    def step(self, actions: Tensor) -> Step:
        """See :class:`~tradingai.engine.training.environment.VectorEnv`."""
        at = self._base + self._row
        turnover = (actions - self._position).abs().float()
        earned = torch.log1p((actions - FLAT).float() * self._growth[at])
        paid = torch.log1p(-turnover * self._cost[at] * self._cost_share)
        self._row, self._position = self._row + 1, actions.clone()
        self._furthest = torch.maximum(self._furthest, self._row)
        ended = self._row >= self._end
        final = None
        if bool(ended.any()):
            final = self.observe()
            self._row = torch.where(ended, self._first, self._row)
            self._position = torch.where(ended, self._drawn_positions(), self._position)
        return Step((earned + paid) / self._unit, torch.zeros_like(ended), ended, final)

    def advance(self, share: float) -> None:
        """See :class:`~tradingai.engine.training.environment.VectorEnv`: costs rise linearly."""
        self._cost_share = min(1.0, share / self._cost_rise) if self._cost_rise > 0 else 1.0

    def state(self) -> dict[str, Tensor]:
        """See :class:`~tradingai.engine.training.environment.VectorEnv`."""
        return {
            "row": self._row, "furthest": self._furthest, "position": self._position,
            "generator": self._generator.get_state(),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See :class:`~tradingai.engine.training.environment.VectorEnv`."""
        if tuple(state["row"].shape) != self.shape:
            raise RuntimeError(f"lanes {tuple(state['row'].shape)} instead of {self.shape}")
        self._row, self._furthest = state["row"].clone(), state["furthest"].clone()
        self._position = state["position"].clone()
        self._generator.set_state(state["generator"])

    def consumed(self, coin: int) -> tuple[Rows, ...]:
        """The rows whose growth was seen as a reward so far, of one coin."""
        lo = self._coins[coin].rows.lo
        ends = zip(self._first[coin].tolist(), self._furthest[coin].tolist(), strict=True)
        return joined([Rows(lo + first, lo + furthest) for first, furthest in ends])

    def _drawn_positions(self) -> Tensor:
        return torch.randint(ACTIONS, self.shape, generator=self._generator)


class _Ahead:
    """One coin's features as its lanes walk on: read from the file and scaled a stretch of minutes at a time.

    What it holds follows from the rows it is asked for, and changes nothing about what it answers.
    """

    def __init__(self, coin: CoinRows, lanes: int) -> None:
        self._coin, self._reader = coin, RowReader(coin.values)
        self._scaled = np.empty((lanes, _STRETCH, coin.values.shape[1]), dtype=np.float32)
        self._first = np.full(lanes, -_STRETCH, dtype=np.int64)
        self._lanes = np.arange(lanes)

    def rows(self, rows: Ints, out: Features) -> None:
        """Fill ``out`` float32 [lanes, F] with one row of each lane, int64 [lanes] counted from the first."""
        apart = rows - self._first
        outside = np.flatnonzero((apart < 0) | (apart >= _STRETCH))
        if len(outside):
            self._read(outside, rows)
            apart = rows - self._first
        out[:] = self._scaled[self._lanes, apart]

    def _read(self, lanes: Ints, rows: Ints) -> None:
        begin, end = self._coin.rows
        stretches = np.zeros((len(lanes), *self._scaled.shape[1:]), dtype=np.float32)
        for lane, stretch in zip(lanes, stretches, strict=True):
            lo = begin + int(rows[lane])
            self._reader.into(stretch[: end - lo], lo)
        self._scaled[lanes] = self._coin.scaler.transform(stretches, out=stretches)
        self._first[lanes] = rows[lanes]


def _check(coin: CoinRows, first: CoinRows, lanes: int) -> None:
    if coin.values.shape[1] != first.values.shape[1]:
        raise DataError(
            f"{coin.symbol} has {coin.values.shape[1]} features, {first.symbol} {first.values.shape[1]}",
            remedy="Build the features of all coins together: `tradingai features build`.",
        )
    if coin.rows.size < 2 * lanes:
        raise DataError(
            f"{coin.rows.size:,} training rows of {coin.symbol} are too few for {lanes} lanes",
            remedy="Import or generate a longer history.",
        )


def _joined(parts: Sequence[Floats]) -> Tensor:
    """All coins' numbers one after another, float32."""
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))
