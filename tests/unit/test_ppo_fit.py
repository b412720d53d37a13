"""Proximal policy optimisation: worlds it must solve, what it tells, equal bits, resuming."""

import doctest
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError, UsageError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.models.policy import ACTIONS, FLAT
from tradingai.engine.training import ppo_config
from tradingai.engine.training.environment import Step
from tradingai.engine.training.policy_run import action_logits, greedy_positions
from tradingai.engine.training.ppo_config import PpoTraining
from tradingai.engine.training.ppo_fit import learning_rate

from tests.fakes.lstm_world import StopAt, weights
from tests.fakes.small_environments import (
    IdentityEnv,
    agent_fit,
    greedy_return,
    market_env,
    small_training,
    visible_market,
)


def test_docstrings_tell_the_truth():
    found = doctest.testmod(ppo_config)
    assert found.failed == 0
    assert found.attempted > 0


def test_identity_is_solved():
    """The best anyone can earn is 1 a step, chance earns a third."""
    fit = agent_fit(IdentityEnv(), small_training(entropy_bonus=0.0))
    network = fit.run()
    first, last = fit.state.history[0], fit.state.history[-1]
    assert first.mean_return < 0.9
    assert last.mean_return > 0.98
    assert last.entropy < first.entropy
    wanted = torch.eye(ACTIONS)[None]
    logits, _ = network(wanted, torch.full((1, ACTIONS), FLAT))
    assert logits.argmax(dim=-1).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_market_whose_next_move_is_visible_is_solved(seed):
    """Nearly all that a trader who knows each move could earn after costs, on a market it has not seen."""
    coins = [visible_market("A-USD", seed=1), visible_market("B-USD", seed=2)]
    unseen = [visible_market("A-USD", seed=3), visible_market("B-USD", seed=4)]
    training = small_training(seed=seed, steps=60_000)
    env = market_env(coins, lanes=32, seed=seed, cost_rise=0.25)
    network = agent_fit(env, training, judge=lambda made: greedy_return(made, unseen)).run()
    earned = greedy_return(network, unseen)
    best = np.mean([best_return(coin) for coin in unseen])
    assert earned > 0.9 * best
    held = greedy_positions(action_logits(network, 0, unseen[0]))
    moves = np.sign(np.round(unseen[0].values[:, 0].astype(float) - 3.0))
    assert ((held - FLAT) == moves)[moves != 0].mean() > 0.95


def best_return(coin):
    """What the trader earns who holds each visible move, and keeps a position over a still stretch."""
    growth, cost = coin.growth(), 0.001225
    # dynamic programming over the position held: the most that can be earned from each minute on
    future = np.zeros(3)
    for grown in growth[::-1]:
        after = np.log1p(np.array([-1, 0, 1]) * grown) + future
        turnover = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
        future = (after[None, :] + np.log1p(-turnover * cost)).max(axis=1)
    return future[FLAT] / len(growth)


def blind_market(seed):
    """Features that know nothing of the moves, and prices that end where they began."""
    coin, rng = visible_market(rows=8_000, seed=seed), np.random.default_rng(seed)
    level = np.log(coin.close)
    close = np.exp(level - np.linspace(0.0, level[-1] - level[0], len(level)))
    return replace(coin, values=rng.normal(size=coin.values.shape).astype(np.float32), close=close)


def test_where_nothing_can_be_foreseen_the_agent_stays_flat():
    coins, unseen = [blind_market(1), blind_market(2)], blind_market(3)
    env = market_env(coins, lanes=64, cost_rise=0.25)
    network = agent_fit(env, small_training(), judge=lambda made: greedy_return(made, coins)).run()
    held = greedy_positions(action_logits(network, 0, unseen))
    assert (held == FLAT).mean() > 0.95


class OneStepShort(IdentityEnv):
    """Every episode is one step long with reward 1, and ends as it is told to."""

    def __init__(self, *, truncates):
        super().__init__(lanes=32)
        self._truncates = truncates

    def step(self, actions):
        super().step(actions)
        over, never = torch.ones(self.shape, dtype=torch.bool), torch.zeros(self.shape, dtype=torch.bool)
        ends = (never, over) if self._truncates else (over, never)
        return Step(torch.ones(self.shape), *ends, self.observe() if self._truncates else None)


@pytest.mark.parametrize(("truncates", "value"), [(False, 1.0), (True, 2.0)])
def test_values_bootstrap_over_a_truncation_and_stop_at_a_termination(truncates, value):
    """With γ = ½ and reward 1 for ever the value is 2; where each step is the last one it is 1."""
    training = small_training(discount=0.5)
    network = agent_fit(OneStepShort(truncates=truncates), training).run()
    _, found = network(torch.eye(ACTIONS)[None], torch.full((1, ACTIONS), FLAT))
    np.testing.assert_allclose(found.detach().numpy(), value, atol=0.02)


def test_curves_are_means_over_the_stage_and_the_best_stage_is_kept():
    judged = iter([0.1, 0.5, 0.2, 0.5, 0.3])
    kept = []

    def judge(network):
        kept.append(weights(network))
        return next(judged)

    told = []
    reporter = SilentReporter()
    fit = agent_fit(IdentityEnv(), judge=judge, reporter=reporter, told=lambda _, stage: told.append(stage))
    network = fit.run()
    assert told == fit.state.history
    assert [stage.best for stage in told] == [True, True, False, False, False]
    assert weights(network) == kept[1]
    assert fit.state.best_stage.stage == 2
    assert told[-1].env_steps == fit.steps == 30_720
    for stage in told:
        assert 0.0 <= stage.entropy <= math.log(3)
        assert 0.0 <= stage.clip_fraction <= 1.0
        assert stage.approx_kl >= 0.0
        assert 0.0 <= stage.mean_return <= 1.0
    last = reporter.last_progress
    assert (last.done, last.total, last.unit, last.eta_s) == (30_720, 30_720, "env steps", 0.0)
    assert last.detail["validation_reward"] == 0.3
    assert last.detail["epoch"] == last.detail["epochs"] == 5


def test_progress_within_a_stage_says_how_far_it_is():
    fit = agent_fit(IdentityEnv(), reporter=(reporter := StopAt(9)))
    with pytest.raises(InterruptedRunError):
        fit.run()
    fit._tell()
    said = reporter.last_progress
    assert said.done == 9 * 16 * 64
    assert said.eta_s == pytest.approx((said.total - said.done) / said.rate)


def test_equal_seeds_give_equal_bits_and_another_seed_others():
    first, second, other = (
        agent_fit(market_env([visible_market()]), small_training(lanes=16, steps=8_000, seed=seed))
        for seed in (1, 1, 2)
    )
    one = weights(first.run())
    assert weights(second.run()) == one
    assert first.state.history == second.state.history
    assert weights(other.run()) != one


def test_training_leaves_torch_as_it_was():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    agent_fit(IdentityEnv(), small_training(steps=1_000)).run()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_an_environment_that_gives_no_numbers_is_divergence():
    class Broken(IdentityEnv):
        def step(self, actions):
            return super().step(actions)._replace(reward=torch.full(self.shape, math.nan))

    with pytest.raises(TradingAIError, match="the agent diverged: in update 1 ") as caught:
        agent_fit(Broken()).run()
    assert "--fresh" in caught.value.remedy


def test_the_learning_rate_falls_to_a_tenth():
    training = PpoTraining(peak_learning_rate=0.01)
    rates = [learning_rate(training, update, 100) for update in range(101)]
    assert rates[0] == 0.01
    assert rates[100] == pytest.approx(0.001)
    assert np.ptp(np.diff(rates)) < 1e-12


def test_settings_that_cannot_be_trained_with_are_refused():
    for name in ("lanes", "steps", "threads"):
        with pytest.raises(UsageError, match=f"{name} is 0"):
            PpoTraining(**{name: 0})
    with pytest.raises(UsageError, match="the seed is -1"):
        PpoTraining(seed=-1)
    assert "fresh" not in PpoTraining().identity()
    assert PpoTraining().identity()["discount"] == 0.95
