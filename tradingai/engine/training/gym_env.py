"""One lane of the market as a Gymnasium environment, for other libraries' agents.

The only module that imports Gymnasium; nothing of the product imports it. It is in the extra ``dev``.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from tradingai.engine.features.scaler import CLIP
from tradingai.engine.models.policy import ACTIONS, FLAT
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.market_env import CoinRows

Observation = npt.NDArray[np.float32]


class MarketGym(gymnasium.Env[Observation, np.int64]):
    """The rows of one coin from the first to the last, one minute a step, as :class:`MarketEnv` has them.

    An observation is float32 [F + 1]: the standardised features, then the exposure −1, 0 or +1. Actions are
    SHORT, FLAT and LONG. The last row truncates the episode; none terminates. ``unit`` is the reward's, see
    :func:`~tradingai.engine.training.market_env.reward_unit`; the features are scaled once and kept.
    """

    def __init__(self, coin: CoinRows, costs: ExecutionCosts, unit: float) -> None:
        self._features = coin.scaled(coin.rows.indices())
        self._growth: list[float] = coin.growth().tolist()
        self._cost: list[float] = coin.turnover_cost(costs).tolist()
        self._unit = unit
        self._row, self._exposure = 0, 0
        shape = (self._features.shape[1] + 1,)
        self.observation_space = gymnasium.spaces.Box(-CLIP, CLIP, shape, np.float32)
        self.action_space = gymnasium.spaces.Discrete(ACTIONS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin at the first row with a drawn position; ``options`` has none."""
        super().reset(seed=seed, options=options)
        self._row, self._exposure = 0, int(self.np_random.integers(ACTIONS)) - FLAT
        return self._observed(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold the position for a minute: observation, reward, terminated, truncated, nothing more."""
        exposure = int(action) - FLAT
        paid = abs(exposure - self._exposure) * self._cost[self._row]
        grown = math.log1p(exposure * self._growth[self._row]) + math.log1p(-paid)
        self._row, self._exposure = self._row + 1, exposure
        return self._observed(), grown / self._unit, False, self._row >= len(self._growth), {}

    def _observed(self) -> Observation:
        return np.append(self._features[self._row], np.float32(self._exposure))
