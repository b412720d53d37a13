"""A policy walked greedily through consecutive minutes: what it would have held, and what that earned."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from tradingai.engine.core.candles import Floats, Ints
from tradingai.engine.features.files import release
from tradingai.engine.models.policy import FLAT, PolicyNetwork
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.market_env import CoinRows

_ROWS_AT_ONCE: Final = 8192


def action_logits(network: PolicyNetwork, coin: int, rows: CoinRows) -> Tensor:
    """The network's action logits of every row for each position held, float32 [rows, 3 positions, 3]."""
    found = []
    with torch.inference_mode():
        for lo in range(rows.rows.lo, rows.rows.hi, _ROWS_AT_ONCE):
            at = np.arange(lo, min(lo + _ROWS_AT_ONCE, rows.rows.hi))
            scaled = torch.from_numpy(rows.scaled(at))
            found.append(network.one_coin(coin, scaled))
    release(rows.values)
    return torch.cat(found)


def greedy_positions(logits: Tensor) -> Ints:
    """What is held after each of n minutes when the likeliest action is taken, beginning flat: int64 [n].

    ``logits`` is [n, 3 positions, 3 actions].
    """
    following: list[list[int]] = logits.argmax(dim=-1).tolist()
    held, positions = FLAT, np.empty(len(following), dtype=np.int64)
    for minute, by_position in enumerate(following):
        held = by_position[held]
        positions[minute] = held
    return positions


def net_log_returns(positions: Ints, rows: CoinRows, costs: ExecutionCosts) -> Floats:
    """Log growth of the equity over each minute but the last, costs of changes included, float64 [n − 1].

    The account begins flat; ``positions`` int64 [n] are of the rows of ``rows``.
    """
    before = np.concatenate([[FLAT], positions[:-2]])
    held, growth, cost = positions[:-1], rows.growth(), rows.turnover_cost(costs)[:-1]
    grown: Floats = np.log1p((held - FLAT) * growth) + np.log1p(-np.abs(held - before) * cost)
    return grown
