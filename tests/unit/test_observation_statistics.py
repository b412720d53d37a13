"""The interval of a win rate: closed forms, coverage where trades share their hour, and few hours."""

import numpy as np
import pytest
from scipy.stats import t as student_t
from tradingai.engine.queries.observation_statistics import (
    MIN_HOURS,
    Block,
    student_t_95,
    wilson,
    win_rate_interval,
)


def test_wilsons_interval_is_the_published_one():
    """Newcombe, *Statistics in Medicine* 17 (1998), table I: 81 of 263, and 0 of 20."""
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = wilson(0 / 20, 20)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.1611)


@pytest.mark.parametrize("degrees", [9, 10, 14, 29, 71, 500])
def test_students_quantile(degrees):
    assert student_t_95(degrees) == pytest.approx(student_t.ppf(0.975, degrees), abs=1e-3)


def test_no_trade_has_no_interval():
    assert win_rate_interval([]) is None


def test_trades_that_all_agree_within_their_hour_count_once_an_hour():
    """20 hours of 5 trades, all won or all lost: 20 independent trials, less the lost degree of freedom."""
    blocks = [Block(5, 5 * (hour % 2)) for hour in range(20)]
    found = win_rate_interval(blocks)
    assert found.effective == pytest.approx(19 * (1.959964 / 2.093024) ** 2, rel=1e-4)
    assert (found.low, found.high) == pytest.approx(wilson(0.5, found.effective))


def test_a_design_effect_below_one_narrows_nothing():
    """Every hour holds exactly one win of two: less spread than chance, which is no knowledge."""
    found = win_rate_interval([Block(2, 1)] * 40)
    assert found.effective == pytest.approx(80 * (1.959964 / 2.022691) ** 2, rel=1e-4)


def test_in_few_hours_each_hour_is_one_trial():
    found = win_rate_interval([Block(10, 6)] * (MIN_HOURS - 1))
    assert (found.effective, found.blocks) == (MIN_HOURS - 1, MIN_HOURS - 1)
    single = win_rate_interval([Block(1, 1)])
    assert (round(single.low, 3), single.high) == (0.207, pytest.approx(1.0))


@pytest.mark.parametrize(("correlation", "plain_covers"), [(0.0, 0.93), (0.2, 0.80), (0.5, 0.70)])
def test_it_covers_where_the_plain_interval_does_not(correlation, plain_covers):
    """72 hours of 2 to 7 trades whose chance of a win is drawn anew each hour (beta-binomial)."""
    rng = np.random.default_rng(1)
    worlds, hours, truth = 1000, 72, 0.57
    trades = rng.integers(2, 8, (worlds, hours))
    chance = np.full((worlds, hours), truth)
    if correlation:
        strength = (1 - correlation) / correlation
        chance = rng.beta(truth * strength, (1 - truth) * strength, (worlds, hours))
    wins = rng.binomial(trades, chance)
    covers = plain = 0
    for n, w in zip(trades, wins, strict=True):
        found = win_rate_interval([Block(int(a), int(b)) for a, b in zip(n, w, strict=True)])
        covers += found.low <= truth <= found.high
        low, high = wilson(w.sum() / n.sum(), float(n.sum()))
        plain += low <= truth <= high
    assert covers / worlds >= 0.94
    assert plain / worlds < plain_covers + 0.07
    if correlation:
        assert plain / worlds < 0.90
