"""Environments an agent must solve in seconds, and what trains on them without a home."""

from itertools import count

import numpy as np
import torch
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.policy import ACTIONS
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.environment import Step
from tradingai.engine.training.market_env import CoinRows, MarketEnv, reward_unit
from tradingai.engine.training.policy_run import action_logits, greedy_positions, net_log_returns
from tradingai.engine.training.ppo_config import PpoTraining
from tradingai.engine.training.ppo_fit import PpoFit

COSTS = ExecutionCosts()
TS0 = 1_700_000_040_000_000


class IdentityEnv:
    """Reward 1 for the action that equals the observation, else 0; every step is an episode of its own."""

    inputs = ACTIONS

    def __init__(self, lanes=64, seed=0):
        self.shape = (1, lanes)
        self._generator = torch.Generator().manual_seed(seed)
        self._wanted = self._drawn()

    def observe(self):
        """The wanted action as one of three columns."""
        return torch.nn.functional.one_hot(self._wanted, ACTIONS).float(), torch.ones_like(self._wanted)

    def step(self, actions):
        """Every episode terminates."""
        reward, over = (actions == self._wanted).float(), torch.ones(self.shape, dtype=torch.bool)
        self._wanted = self._drawn()
        return Step(reward, over, torch.zeros_like(over), None)

    def advance(self, share):
        """No curriculum."""

    def state(self):
        """What the next step depends on."""
        return {"wanted": self._wanted, "generator": self._generator.get_state()}

    def restore(self, state):
        """Go on from it."""
        self._wanted = state["wanted"].clone()
        self._generator.set_state(state["generator"])

    def _drawn(self):
        return torch.randint(ACTIONS, self.shape, generator=self._generator)


def visible_market(symbol="X-USD", rows=4_000, seed=0, move_bps=40.0, noise=2, train=None):
    """A coin whose next minute's move is a feature, beside noise: up, none or down, for four minutes each."""
    rng = np.random.default_rng(seed)
    moves = np.repeat(rng.integers(-1, 2, size=rows // 4 + 1), 4)[:rows]
    close = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(moves[:-1] * move_bps * 1e-4)]))
    values = np.column_stack([5.0 * moves + 3.0, rng.normal(size=(rows, noise))]).astype(np.float32)
    train = train or Rows(0, rows)
    scaler = Scaler.fit(tuple(f"f{i}" for i in range(noise + 1)), values, *train)
    return CoinRows(symbol, values, close, TS0, scaler, train)


def market_env(coins, lanes=16, seed=1, cost_rise=0.0, costs=COSTS):
    """The environment over these coins."""
    return MarketEnv(coins, lanes, costs, unit=reward_unit(coins), seed=seed, cost_rise=cost_rise)


def small_training(**changes):
    """Settings for environments of this size."""
    settings = {
        "steps": 30_000, "lanes": 64, "rollout": 16, "minibatch": 256, "stages": 5, "hidden": 8, "width": 8,
        "peak_learning_rate": 1e-2, "weight_decay": 0.0, "discount": 0.8, "entropy_bonus": 0.01,
    }  # fmt: skip
    return PpoTraining(**{**settings, **changes})


def agent_fit(env, training=None, *, judge=None, reporter=None, **hooks):
    """The training, not yet run; without a judge the last stage counts as the best."""
    rising = count()
    return PpoFit(
        env, training or small_training(), judge=judge or (lambda _: float(next(rising))),
        reporter=reporter or SilentReporter(), clock=RealClock(), **hooks,
    )  # fmt: skip


def greedy_return(network, coins, costs=COSTS):
    """Mean net log return a minute of the greedy policy over all coins' rows."""
    grown = [
        net_log_returns(greedy_positions(action_logits(network, number, coin)), coin, costs)
        for number, coin in enumerate(coins)
    ]
    return float(np.concatenate(grown).mean())


AGENT_COINS = ("BTC-USD", "ETH-USD")


def agent_training(**changes):
    """Settings for a home of a week: five stages of six updates, a checkpoint after each."""
    return small_training(**{"steps": 30_000, "checkpoint_every_s": 0.0, **changes})
