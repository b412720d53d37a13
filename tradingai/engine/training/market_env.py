"""The market as an environment: many lanes of minutes side by side, held in tensors.

A step is one minute. The action is the position to hold over the next minute (short, flat, long: −1, 0 or +1
of the equity), taken at the close of the minute that was observed; the position is part of the observation.
The reward is the log growth of the equity over the step, net of what the change of position costs, in units
of the training range's root mean square minute return::

    r_t = [ln(1 + x_t·(close_{t+1} / close_t − 1)) + ln(1 − |x_t − x_{t−1}|·c_t)] / unit

with c_t of the execution model: half the expected spread and the slippage of the coin's session, and the
commission of one side. An episode is one lane from its first to its last minute. It never *terminates*, since
a market goes on: at the end of its lane it is *truncated* and begins anew at the lane's start with a random
position. No step looks beyond the rows it was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tradingai.engine.core.candles import Floats, Ints
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.policy import ACTIONS
from tradingai.engine.risk.costs import ExecutionCosts, filled


class Step(NamedTuple):
    """What one step brought, each of shape [coins, lanes]."""

    reward: Tensor
    """float32"""
    terminated: Tensor
    """bool: the episode is over and nothing follows."""
    truncated: Tensor
    """bool: the episode was cut off; it would have gone on from the final observation."""
    final: tuple[Tensor, Tensor] | None
    """Features and positions that the step led to, before any reset; None when no episode was truncated."""


class VectorEnv(Protocol):
    """Lanes of one environment, stepped together; coins are a leading dimension with a layer each."""

    shape: tuple[int, int]
    """(coins, lanes of each)"""
    inputs: int

    def observe(self) -> tuple[Tensor, Tensor]:
        """Features float32 [coins, lanes, inputs] and positions int64 [coins, lanes]; yours to keep."""
        ...

    def step(self, actions: Tensor) -> Step:
        """Take the positions int64 [coins, lanes]; lanes whose episode ends begin the next one."""
        ...

    def advance(self, share: float) -> None:
        """Told before each rollout which share of the training is behind, 0 … 1: the place for a curriculum."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on but what :meth:`advance` was told."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned. Raises KeyError and RuntimeError when it does not fit."""
        ...


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

    def scaled(self, rows: Ints, out: Features | None = None) -> Features:
        """The features of ``rows`` [n], standardised, float32 [n, F]."""
        found = np.take(self.values, rows, axis=0, out=out)
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

    Each begins at a random minute of its lane, so that lanes do not all end together. Raises DataError when a
    coin has fewer than two rows a lane or another number of features than the first.
    """

    def __init__(
        self, coins: Sequence[CoinRows], lanes: int, costs: ExecutionCosts, unit: float, seed: int,
        cost_rise: float = 0.0,
    ) -> None:
        self.shape, self.inputs = (len(coins), lanes), coins[0].values.shape[1]
        for coin in coins:
            if coin.values.shape[1] != self.inputs:
                raise DataError(
                    f"{coin.symbol} has {coin.values.shape[1]} features, {coins[0].symbol} {self.inputs}",
                    remedy="Build the features of all coins together: `tradingai features build`.",
                )
            if coin.rows.size < 2 * lanes:
                raise DataError(f"{coin.rows.size} rows of {coin.symbol} are too few for {lanes} lanes")
        self._coins = coins
        edges = np.stack([np.linspace(0, coin.rows.size - 1, lanes + 1).astype(np.int64) for coin in coins])
        self._first, self._end = torch.from_numpy(edges[:, :-1].copy()), torch.from_numpy(edges[:, 1:].copy())
        sizes = np.cumsum([0, *(coin.rows.size for coin in coins)])[:-1]
        self._base = torch.from_numpy(sizes)[:, None]
        flat = [(np.append(coin.growth(), 0.0), coin.turnover_cost(costs)) for coin in coins]
        self._growth = torch.from_numpy(np.concatenate([growth for growth, _ in flat]).astype(np.float32))
        self._cost = torch.from_numpy(np.concatenate([cost for _, cost in flat]).astype(np.float32))
        self._unit = unit
        self._generator = torch.Generator().manual_seed(seed)
        share = torch.rand(self.shape, generator=self._generator)
        self._row = self._first + (share * (self._end - self._first)).long()
        self._position = self._drawn_positions()
        self._cost_rise, self._cost_share = cost_rise, 1.0

    def advance(self, share: float) -> None:
        """See :class:`VectorEnv`: costs rise linearly from nothing to all within ``cost_rise``."""
        self._cost_share = min(1.0, share / self._cost_rise) if self._cost_rise > 0 else 1.0

    def observe(self) -> tuple[Tensor, Tensor]:
        """See :class:`VectorEnv`."""
        return self._features(), self._position.clone()

    def step(self, actions: Tensor) -> Step:
        """See :class:`VectorEnv`."""
        at = self._base + self._row
        exposure, turnover = (actions - 1).float(), (actions - self._position).abs().float()
        reward = torch.log1p(exposure * self._growth[at]) + torch.log1p(
            -turnover * self._cost[at] * self._cost_share
        )
        self._row, self._position = self._row + 1, actions
        ended = self._row >= self._end
        final = None
        if bool(ended.any()):
            final = self.observe()
            self._row = torch.where(ended, self._first, self._row)
            self._position = torch.where(ended, self._drawn_positions(), self._position)
        return Step(reward / self._unit, torch.zeros_like(ended), ended, final)

    def state(self) -> dict[str, Tensor]:
        """See :class:`VectorEnv`."""
        return {"row": self._row, "position": self._position, "generator": self._generator.get_state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See :class:`VectorEnv`."""
        row, position = state["row"], state["position"]
        if tuple(row.shape) != self.shape:
            raise RuntimeError(f"lanes {tuple(row.shape)} instead of {self.shape}")
        self._row, self._position = row.clone(), position.clone()
        self._generator.set_state(state["generator"])

    def _drawn_positions(self) -> Tensor:
        return torch.randint(ACTIONS, self.shape, generator=self._generator)

    def _features(self) -> Tensor:
        scaled = torch.empty((*self.shape, self.inputs))
        for coin, rows, out in zip(self._coins, self._row.numpy(), scaled.numpy(), strict=True):
            coin.scaled(rows + coin.rows.lo, out)
        return scaled
