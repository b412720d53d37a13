"""Training the agent: environment steps a second, beside Stable-Baselines3's PPO on the same environment.

    pip install -c constraints.txt -e ".[dev,bench]"
    python benchmarks/bench_ppo.py [--days 60] [--repeats 3] [--home DIR]

Requirement (product.md section 15): at least 20 times the environment steps a second of Stable-Baselines3, in
the same run; a step counts once it was collected and learnt from. Both train a network of the same layers on
the same coin's minutes, with the same steps an update, passes and minibatch, on one thread, by turns.
Stable-Baselines3 steps the Gymnasium wrapper, whose features are scaled and in memory, in the vectorised
environment it makes by default; the verdict is over the faster of one environment, its default, and eight.
Seconds are those of the process, so that neighbours on the machine disturb the ratio less.

Lines in brackets are for information: Stable-Baselines3 as it comes (2,048 steps an update, ten passes,
minibatches of 64), with 64 environments, and over this project's environment of tensors in place of its own.
The last shows how much of the difference is the environment: most of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.datasets.dataset import load_dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.build import build_features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.policy import ACTIONS, FLAT
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.gym_env import MarketGym
from tradingai.engine.training.market_env import CoinRows, MarketEnv, reward_unit
from tradingai.engine.training.ppo_config import PpoTraining
from tradingai.engine.training.ppo_fit import PpoFit

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
SYMBOL = PIPELINE_SYMBOLS[0]
COSTS = ExecutionCosts()
TRAINING = PpoTraining(steps=16 * 768 * 32, stages=4)
"""The product's own settings, for sixteen updates."""
PRODUCT = "tradingai"
ENVIRONMENTS = (1, 8)
MANY_ENVIRONMENTS = 64
MANY = f"({MANY_ENVIRONMENTS} environments)"
BASELINE_UPDATES = 2
MINUTES = 60_000
"""Of the training range: the Gymnasium wrapper keeps its scaled features in memory."""
REQUIRED_RATIO = 20


class Trunk(BaseFeaturesExtractor):
    """The product's two layers: the position enters the second."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        super().__init__(space, TRAINING.width)
        self.first = torch.nn.Linear(space.shape[0] - 1, TRAINING.hidden)
        self.second = torch.nn.Linear(TRAINING.hidden + 1, TRAINING.width)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(observations[:, :-1]))
        joined: torch.Tensor = torch.tanh(self.second(torch.cat([hidden, observations[:, -1:]], dim=1)))
        return joined


class Lanes(VecEnv):
    """The environment of tensors behind the interface of Stable-Baselines3."""

    def __init__(self, env: MarketEnv) -> None:
        space = gymnasium.spaces.Box(-10.0, 10.0, (env.inputs + 1,), np.float32)
        super().__init__(env.shape[1], space, gymnasium.spaces.Discrete(ACTIONS))
        self._env, self._taken = env, torch.empty(0)
        self.render_mode = None

    def _observed(self, seen: tuple[torch.Tensor, torch.Tensor]) -> np.ndarray:
        return torch.cat([seen[0][0], (seen[1][0, :, None] - FLAT).float()], dim=1).numpy()

    def reset(self) -> np.ndarray:
        return self._observed(self._env.observe())

    def step_async(self, actions: np.ndarray) -> None:
        self._taken = torch.from_numpy(actions)[None]

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step = self._env.step(self._taken)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if step.final is not None:
            final = self._observed(step.final)
            for lane in np.flatnonzero(step.truncated[0].numpy()):
                infos[lane] = {"TimeLimit.truncated": True, "terminal_observation": final[lane]}
        return self.reset(), step.reward[0].numpy(), step.truncated[0].numpy(), infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ARG002 - theirs
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - theirs
        return [False] * self.num_envs


class ProcessClock(RealClock):
    """Counts the seconds this process has computed."""

    def monotonic(self) -> float:
        return time.process_time()


def product(coin: CoinRows) -> float:
    """Environment steps a second of the product's training."""
    env = MarketEnv(
        [coin], TRAINING.lanes, COSTS, unit=reward_unit([coin]), seed=1, cost_rise=TRAINING.cost_rise
    )
    fit = PpoFit(env, TRAINING, judge=lambda _: 0.0, reporter=SilentReporter(), clock=ProcessClock())
    fit.run()
    return median(fit.state.steps_per_s)


def pieces(coin: CoinRows, count: int) -> list[CoinRows]:
    """The coin's rows in contiguous pieces, one for each environment."""
    edges = np.linspace(coin.rows.lo, coin.rows.hi, count + 1).astype(int).tolist()
    return [
        CoinRows(coin.symbol, coin.values, coin.close, coin.ts0, coin.scaler, Rows(lo, hi))
        for lo, hi in pairwise(edges)
    ]


def gym_environments(coin: CoinRows, count: int) -> VecEnv:
    """Stable-Baselines3's own vectorised environment over that many wrappers."""
    unit = reward_unit([coin])
    return DummyVecEnv([lambda piece=piece: MarketGym(piece, COSTS, unit) for piece in pieces(coin, count)])


def tensor_lanes(coin: CoinRows) -> VecEnv:
    """As many lanes as the product has."""
    return Lanes(MarketEnv([coin], TRAINING.lanes, COSTS, unit=reward_unit([coin]), seed=1))


def baseline(env: VecEnv, *, as_it_comes: bool = False) -> float:
    """Environment steps a second of Stable-Baselines3 over two updates."""
    per_update = TRAINING.lanes * TRAINING.rollout
    with reproducible(choose_compute("cpu"), TRAINING.threads):
        same: dict[str, Any] = {
            "n_steps": per_update // env.num_envs, "batch_size": TRAINING.minibatch,
            "n_epochs": TRAINING.passes,
        }  # fmt: skip
        agent = stable_baselines3.PPO(
            ActorCriticPolicy, env, learning_rate=TRAINING.peak_learning_rate, gamma=TRAINING.discount,
            gae_lambda=TRAINING.gae_lambda, ent_coef=TRAINING.entropy_bonus, device="cpu", seed=1,
            policy_kwargs={"net_arch": [], "features_extractor_class": Trunk},
            **({} if as_it_comes else same),
        )  # fmt: skip
        steps = BASELINE_UPDATES * agent.n_steps * env.num_envs
        began = time.process_time()
        agent.learn(steps)
        return steps / (time.process_time() - began)


def prepare(home: Path, start: datetime) -> CoinRows:
    """Candles of all coins, features of the first, and the beginning of its training range."""
    paths, silent = HomePaths(home), SilentReporter()
    for symbol in PIPELINE_SYMBOLS:
        generate_dataset(paths, symbol, "cycles", 1, start, END, None, silent)
    build_features(paths, SYMBOL, None, silent)
    data = load_dataset(paths, SYMBOL)
    rows = Rows(data.split.train.lo, min(data.split.train.hi, data.split.train.lo + MINUTES))
    return CoinRows.of(data, Scaler.fit(data.features.names, data.values, *rows), rows)


def ways(coin: CoinRows) -> dict[str, Callable[[], float]]:
    """Name to measurement; the first is the product's."""
    found: dict[str, Callable[[], float]] = {PRODUCT: lambda: product(coin)}
    for count in ENVIRONMENTS:
        found[f"Stable-Baselines3, {count} environments"] = lambda count=count: baseline(
            gym_environments(coin, count)
        )
    found[MANY] = lambda: baseline(gym_environments(coin, MANY_ENVIRONMENTS))
    found["(as it comes, 1 environment)"] = lambda: baseline(gym_environments(coin, 1), as_it_comes=True)
    found[f"(over our {TRAINING.lanes} lanes of tensors)"] = lambda: baseline(tensor_lanes(coin))
    return found


def measure(coin: CoinRows, repeats: int) -> dict[str, list[float]]:
    """Environment steps a second of every way, by turns."""
    measured = ways(coin)
    rates: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(repeats):
        for name, once in measured.items():
            rates[name].append(once())
    return rates


def compare(coin: CoinRows, repeats: int) -> float:
    """Print the table; how many times faster the product is than the fastest baseline."""
    rates = measure(coin, repeats)
    middle = {name: median(found) for name, found in rates.items()}
    ours, fastest = middle[PRODUCT], fastest_baseline(middle)[1]
    print(f"\n{'one thread, CPU seconds':<36}{'env steps/s':>12}{'lowest':>10}{'highest':>10}{'times':>8}")
    for name, rate in middle.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:<36}{rate:>12,.0f}{low:>10,.0f}{high:>10,.0f}{ours / rate:>8.1f}")
    return ours / fastest


def fastest_baseline(middle: dict[str, float]) -> tuple[str, float]:
    """Name and rate of the baseline that the verdict is over."""
    return max(
        ((name, rate) for name, rate in middle.items() if name.startswith("Stable")), key=lambda it: it[1]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--home", type=Path, help="kept; by default a temporary folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        coin = prepare(options.home or Path(temporary), END - timedelta(days=options.days))
        inputs = coin.values.shape[1]
        print(f"{SYMBOL}: {coin.rows.size:,} training minutes, {inputs} features")
        ratio = compare(coin, options.repeats)
    print(f"{ratio:.1f} times the fastest of Stable-Baselines3 (required: {REQUIRED_RATIO})")
    if ratio < REQUIRED_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
