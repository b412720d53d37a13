"""Generalised advantage estimation against its closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.training.gae import advantages


def closed_form(rewards, values, next_values, terminated, truncated, discount, gae_lambda):
    """Σ_l (γλ)^l δ_{t+l} up to the end of the episode, each δ written out: Schulman et al. (2016), eq. 16."""
    steps = len(rewards)
    found = np.zeros(steps)
    for t in range(steps):
        for k in range(t, steps):
            future = 0.0 if terminated[k] else next_values[k]
            error = rewards[k] + discount * future - values[k]
            found[t] += (discount * gae_lambda) ** (k - t) * error
            if terminated[k] or truncated[k]:
                break
    return found


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 12),
    discount=st.floats(0.0, 1.0),
    gae_lambda=st.floats(0.0, 1.0),
)
def test_it_is_the_sum_of_discounted_errors_within_each_episode(seed, steps, discount, gae_lambda):
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.normal(size=(3, steps, 4))
    terminated = rng.random((steps, 4)) < 0.2
    truncated = ~terminated & (rng.random((steps, 4)) < 0.2)
    found = advantages(
        *map(torch.from_numpy, (rewards, values, next_values, terminated, truncated)),
        discount=discount, gae_lambda=gae_lambda,
    ).numpy()  # fmt: skip
    for lane in range(4):
        columns = (x[:, lane] for x in (rewards, values, next_values, terminated, truncated))
        np.testing.assert_allclose(found[:, lane], closed_form(*columns, discount, gae_lambda), atol=1e-12)


def one_step(*, terminated, truncated, reward=1.0, value=0.5, after=10.0):
    """The advantage of a single step."""
    numbers = (torch.tensor([x]) for x in (reward, value, after, terminated, truncated))
    return float(advantages(*numbers, discount=0.9, gae_lambda=0.7)[0])


def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not():
    assert one_step(terminated=False, truncated=True) == pytest.approx(1.0 + 0.9 * 10.0 - 0.5)
    assert one_step(terminated=True, truncated=False) == pytest.approx(1.0 - 0.5)
    assert one_step(terminated=False, truncated=False) == pytest.approx(1.0 + 0.9 * 10.0 - 0.5)


def test_with_lambda_one_it_is_the_return_minus_the_value_and_with_zero_one_step():
    rewards, values = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 0.25, 2.0])
    after, never = torch.tensor([0.25, 2.0, 8.0]), torch.zeros(3, dtype=torch.bool)
    whole = advantages(rewards, values, after, never, never, discount=0.5, gae_lambda=1.0)
    assert whole.tolist() == [1 + 1 + 1 + 1 - 0.5, 2 + 2 + 2 - 0.25, 4 + 4 - 2.0]
    single = advantages(rewards, values, after, never, never, discount=0.5, gae_lambda=0.0)
    assert single.tolist() == [1 + 0.125 - 0.5, 2 + 1 - 0.25, 4 + 4 - 2.0]


def test_the_value_of_the_next_episode_never_leaks_into_this_one():
    """The step after an end belongs to another episode: whatever it earns changes nothing before it."""
    over = torch.tensor([False, True, False])
    never, ones = torch.zeros(3, dtype=torch.bool), torch.ones(3)
    for ends in ((over, never), (never, over)):
        calm = advantages(ones, ones, ones, *ends, discount=0.9, gae_lambda=0.9)
        wild = advantages(torch.tensor([1.0, 1.0, 99.0]), ones, ones, *ends, discount=0.9, gae_lambda=0.9)
        assert torch.equal(calm[:2], wild[:2])
        assert wild[2] > calm[2]
