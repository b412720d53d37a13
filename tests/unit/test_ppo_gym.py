"""The Gymnasium wrapper: the checker's rules, and the same rewards as the environment in tensors."""

import warnings

import numpy as np
import pytest
import torch
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.policy import FLAT
from tradingai.engine.training.market_env import reward_unit

from tests.fakes.small_environments import COSTS, market_env, visible_market

pytest.importorskip("gymnasium")


def gym_env(coin):
    from tradingai.engine.training.gym_env import MarketGym

    return MarketGym(coin, COSTS, reward_unit([coin]))


def test_gymnasiums_own_checker_passes():
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym_env(visible_market(rows=200)), skip_render_check=True)


def test_it_is_the_environment_the_agent_is_trained_on():
    coin = visible_market(rows=400, train=Rows(100, 300))
    one, lanes = gym_env(coin), market_env([coin], lanes=1)
    observed, _ = one.reset(seed=3)
    lanes.restore({**lanes.state(), "position": torch.tensor([[int(observed[-1]) + FLAT]])})
    rng = np.random.default_rng(0)
    for step in range(199):
        features, position = lanes.observe()
        np.testing.assert_array_equal(observed[:-1], features[0, 0].numpy())
        assert observed[-1] == int(position[0, 0]) - FLAT
        action = rng.integers(3)
        observed, reward, terminated, truncated, _ = one.step(action)
        taken = lanes.step(torch.tensor([[int(action)]]))
        assert reward == pytest.approx(float(taken.reward[0, 0]), abs=1e-5)
        assert not terminated
        assert truncated == bool(taken.truncated[0, 0]) == (step == 198)
    features, position = taken.final
    np.testing.assert_array_equal(observed, [*features[0, 0].numpy(), int(position[0, 0]) - FLAT])
