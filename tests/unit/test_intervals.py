"""Day-block intervals against closed forms and against the coverage they promise."""

import math

import numpy as np
import pytest
from scipy import stats
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.evaluation.intervals import attempt_alpha, day_blocks, ratio_interval

from tests.fakes.evaluations import START

DAY = 1440


def interval_of(values, alpha=0.05, start=START):
    blocks = day_blocks(start + np.arange(len(values)) * MINUTE_US)
    return ratio_interval(blocks.sums(values), blocks.bars, alpha)


def test_equal_days_give_students_t_on_day_means():
    means = np.linspace(0.4, 0.8, 20)
    found = interval_of(np.repeat(means, DAY), alpha=0.05)
    low, high = stats.t.interval(0.95, 19, loc=means.mean(), scale=stats.sem(means))
    assert (found.lo, found.hi) == (pytest.approx(low), pytest.approx(high))
    assert (found.blocks, found.reason) == (20, "")


def test_days_are_utc_days():
    blocks = day_blocks(START + np.array([-1, 0, DAY - 1, DAY]) * MINUTE_US)
    assert blocks.day.tolist() == [0, 1, 1, 2]
    assert blocks.bars.tolist() == [1.0, 2.0, 1.0]


def test_unequal_days_by_hand():
    # 15 days, the first with 2 bars of 1.0, the others with one bar of 0.0: p = 2/16.
    sums, bars = np.array([2.0] + [0.0] * 14), np.array([2.0] + [1.0] * 14)
    p, mean_bars = 2 / 16, 16 / 15
    residuals = [(2 - 2 * p) / mean_bars] + [-p / mean_bars] * 14
    error = math.sqrt(sum(r * r for r in residuals) / (15 * 14))
    found = ratio_interval(sums, bars, 0.1)
    half = 1.7613101357748564 * error  # t quantile 0.95 with 14 degrees of freedom, from tables
    assert (found.lo, found.hi) == (pytest.approx(p - half), pytest.approx(p + half))


def test_fourteen_days_are_too_few_and_fifteen_are_enough():
    assert interval_of(np.zeros(15 * DAY)).bounds == [0.0, 0.0]
    refused = interval_of(np.zeros(14 * DAY))
    assert refused.bounds is None
    assert refused.reason == "14 test days are too few for an interval; 15 are needed"


def test_attempts_share_five_per_cent():
    # The wireframes' certificate: attempt 2 uses 0.0076, attempt 3 0.0034.
    assert [round(attempt_alpha(k), 4) for k in (1, 2, 3)] == [0.0304, 0.0076, 0.0034]
    assert sum(attempt_alpha(k) for k in range(1, 20_000)) == pytest.approx(0.05, abs=1e-5)
    with pytest.raises(ValueError, match="counted from 1"):
        attempt_alpha(0)


def test_later_attempts_need_wider_intervals():
    values = np.random.default_rng(0).random(20 * DAY)
    widths = [np.diff(interval_of(values, attempt_alpha(k)).bounds)[0] for k in (1, 2, 5)]
    assert widths == sorted(widths)


@pytest.mark.parametrize("days", [18, 60])
def test_coverage_on_dependent_bars_is_near_ninety_five_per_cent(days):
    # Bars repeat for 15 minutes and share a drifting regime of hours; the mean of the process is 0.7.
    rng = np.random.default_rng(days)
    covered = 0
    rounds = 400
    for _ in range(rounds):
        steps = days * DAY // 15
        regime = np.repeat(rng.normal(0.0, 0.25, -(-steps // 24)), 24)[:steps]
        right = np.repeat(
            rng.random(steps) < stats.norm.cdf(stats.norm.ppf(0.7) * math.sqrt(1.0625) + regime), 15
        )
        found = interval_of(right, 0.05)
        covered += found.lo <= 0.7 <= found.hi
    assert 0.925 <= covered / rounds <= 0.975
