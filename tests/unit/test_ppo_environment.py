"""The market as an environment: rewards from prices and costs, ends, and what it may look at."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import DataError
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.policy import FLAT, LONG, SHORT
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.training.policy_run import greedy_positions, net_log_returns

from tests.fakes.small_environments import COSTS, TS0, market_env, visible_market

FREE = ExecutionCosts(default_spread_bps=0.0, default_slippage_bps=0.0, commission_rate=0.0)


def all_of(env, action):
    """The same action in every lane."""
    return torch.full(env.shape, action)


def test_a_reward_is_the_growth_of_the_equity_less_what_the_change_costs():
    coin = visible_market(rows=100)
    env = market_env([coin], lanes=1)
    unit = env._unit
    env.restore({**env.state(), "position": all_of(env, FLAT)})
    side_cost = (12 / 2 + 3) * 1e-4 + 0.000325
    held, equity = 0, []
    actions = [LONG, LONG, FLAT, SHORT, LONG, LONG, SHORT]
    for row, action in enumerate(actions):
        exposure = action - 1
        grown = 1.0 + exposure * (coin.close[row + 1] / coin.close[row] - 1.0)
        equity.append(np.log(grown) + np.log(1.0 - abs(exposure - held) * side_cost))
        reward = env.step(all_of(env, action)).reward
        assert float(reward[0, 0]) * unit == pytest.approx(equity[-1], abs=1e-7)
        held = exposure
    walked = net_log_returns(np.array([*actions, FLAT]), replace(coin, rows=Rows(0, 8)), COSTS)
    np.testing.assert_allclose(walked, equity, atol=1e-12)


def test_costs_are_those_of_the_coins_session_in_the_execution_model():
    level = SessionCosts(CostLevel.constant(20.0), CostLevel.constant(5.0))
    costs = replace(COSTS, pairs={"X-USD": {"london": level}})
    coin = visible_market(rows=3 * 1440)
    cost = coin.turnover_cost(costs)
    hour = (TS0 // 60_000_000 + 1 + np.arange(len(cost))) % 1440 // 60
    london = (hour >= 8) & (hour < 16)
    np.testing.assert_allclose(cost[london], (20 / 2 + 5) * 1e-4 + 0.000325)
    np.testing.assert_allclose(cost[~london], (12 / 2 + 3) * 1e-4 + 0.000325)


def test_costs_rise_from_nothing_to_all_while_the_agent_learns():
    env = market_env([visible_market(rows=40)], lanes=1, cost_rise=0.5)
    position = all_of(env, FLAT)
    paid = []
    for share in (0.0, 0.25, 0.5, 1.0):
        env.restore({**env.state(), "row": torch.zeros(env.shape, dtype=torch.int64), "position": position})
        env.advance(share)
        free = market_env([visible_market(rows=40)], lanes=1, costs=FREE).step(all_of(env, LONG)).reward
        paid.append(float((free - env.step(all_of(env, LONG)).reward)[0, 0]) * env._unit)
    full = -np.log1p(-0.001225)
    np.testing.assert_allclose(paid, [0.0, -np.log1p(-0.0006125), full, full], atol=1e-7)


def test_an_episode_is_truncated_at_the_end_of_its_lane_and_never_terminates():
    coin = visible_market(rows=41)
    env = market_env([coin], lanes=4)
    for step in range(1, 25):
        before = env.state()["row"].clone()
        taken = env.step(all_of(env, LONG))
        assert not taken.terminated.any()
        assert bool(taken.truncated.all()) == (step % 10 == 0)
        if taken.final is None:
            continue
        features, position = taken.final
        assert (position == LONG).all()
        np.testing.assert_array_equal(features[0].numpy(), coin.scaled((before[0] + 1).numpy()))
        assert env.state()["row"].tolist() == [[0, 10, 20, 30]]


def test_a_new_episode_begins_with_a_drawn_position():
    env = market_env([visible_market(rows=4_000)], lanes=1_900)
    first = env.observe()[1]
    while not env.step(all_of(env, FLAT)).truncated.any():
        pass
    again = env.observe()[1]
    assert {SHORT, FLAT, LONG} == set(first.flatten().tolist()) == set(again.flatten().tolist())


def test_nothing_outside_the_given_rows_is_looked_at():
    coin = visible_market(rows=400, train=Rows(100, 300))
    spoilt = replace(coin, values=coin.values.copy(), close=coin.close.copy())
    for outside in (slice(0, 100), slice(300, 400)):
        spoilt.values[outside], spoilt.close[outside] = np.nan, -1.0
    one, other = market_env([coin], lanes=4), market_env([spoilt], lanes=4)
    for step in range(120):
        for left, right in zip(one.observe(), other.observe(), strict=True):
            assert torch.equal(left, right)
        action = all_of(one, step % 3)
        assert torch.equal(one.step(action).reward, other.step(action).reward)


def test_what_was_consumed_is_what_was_stepped_through():
    env = market_env([visible_market(rows=400, train=Rows(100, 301))], lanes=4)
    assert env.consumed(0) == ()
    for _ in range(10):
        env.step(all_of(env, FLAT))
    assert env.consumed(0) == (Rows(100, 110), Rows(150, 160), Rows(200, 210), Rows(250, 260))
    for _ in range(60):
        env.step(all_of(env, FLAT))
    assert env.consumed(0) == (Rows(100, 300),)


def test_coins_are_kept_apart():
    """Each coin's rows, prices and scale are its own: its part is that of an environment of it alone."""
    coins = [visible_market("A-USD", 200, seed=1), visible_market("B-USD", 300, seed=2)]
    both = market_env(coins, lanes=4, seed=3)
    for number, coin in enumerate(coins):
        alone = market_env([coin], lanes=4, seed=3)
        alone._unit = both._unit
        state = {name: value for name, value in both.state().items() if name != "generator"}
        alone.restore(
            {"generator": alone.state()["generator"]} | {k: v[number : number + 1] for k, v in state.items()}
        )
        assert torch.equal(alone.observe()[0][0], both.observe()[0][number])
        action = torch.randint(3, both.shape)
        kept = both.state()
        reward = both.step(action).reward[number]
        both.restore(kept)
        assert torch.equal(alone.step(action[number : number + 1]).reward[0], reward)


def test_a_restored_environment_goes_on_as_the_first():
    env, other = (market_env([visible_market()], lanes=16, seed=seed) for seed in (1, 2))
    draw = torch.Generator().manual_seed(0)
    for _ in range(130):
        env.step(torch.randint(3, env.shape, generator=draw))
    other.restore(env.state())
    for _ in range(260):
        action = torch.randint(3, env.shape, generator=draw)
        one, two = env.step(action), other.step(action)
        assert torch.equal(one.reward, two.reward)
        assert torch.equal(env.observe()[1], other.observe()[1])
    with pytest.raises(RuntimeError, match="lanes"):
        market_env([visible_market()], lanes=8).restore(env.state())


def test_coins_that_do_not_fit_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="B-USD has 4 features, A-USD 3") as caught:
        market_env([visible_market("A-USD"), visible_market("B-USD", noise=3)])
    assert "tradingai features build" in caught.value.remedy
    with pytest.raises(DataError, match="20 training rows of A-USD are too few for 16 lanes"):
        market_env([visible_market("A-USD", 20)])
    still = replace(visible_market(), close=np.ones(4_000))
    with pytest.raises(DataError, match="no price moves"):
        market_env([still])


def test_greedy_positions_follow_the_likeliest_action_from_flat():
    logits = torch.full((4, 3, 3), -1.0)
    logits[0, FLAT, LONG] = 1.0
    logits[1, LONG, LONG], logits[1, FLAT, SHORT] = 1.0, 1.0
    logits[2, LONG, SHORT] = 1.0
    logits[3, SHORT, FLAT] = 1.0
    assert greedy_positions(logits).tolist() == [LONG, LONG, SHORT, FLAT]
