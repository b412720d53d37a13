"""Many attempts at once end as each does by the risk code itself: on the same day, by the same rule."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.challenge.attempt import ENDINGS, play
from tradingai.engine.challenge.many import play_many
from tradingai.engine.challenge.table import DayTable

from tests.fakes.challenge import random_config, random_history

ATTEMPTS = 12


def compare(seed: int) -> Counter[str]:
    """Play the same draws both ways; the endings that were met."""
    rng = np.random.default_rng(seed)
    history, config = random_history(rng), random_config(rng)
    draws = rng.integers(0, len(history.days), (ATTEMPTS, config.max_days))
    many = play_many(DayTable.of(history), draws, config)
    met: Counter[str] = Counter()
    for row in range(ATTEMPTS):
        one = play(history, draws[row].tolist(), config)
        found = (ENDINGS[many.ending[row]], many.day[row], many.phase[row], many.delay_days[row])
        assert found == (one.ending, one.day, one.phase, one.delay_days), (seed, row)
        if one.ending == "passed":
            assert np.isnan(many.balance[row])
            met["delayed"] += one.delay_days > 0
        else:
            assert many.balance[row] == pytest.approx(one.balance, abs=1e-3), (seed, row)
        met[one.ending] += 1
    return met


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_attempt_ends_the_same_alone_and_among_many(seed: int):
    compare(seed)


def test_every_ending_and_a_delay_by_the_best_day_are_among_those_compared():
    met = sum((compare(seed) for seed in range(70)), Counter())
    assert all(met[name] > 0 for name in (*ENDINGS, "delayed")), met


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_worlds_agree():
    met = sum((compare(seed) for seed in range(10_000, 12_000)), Counter())
    assert all(met[name] >= 50 for name in ("passed", "daily", "total_stop", "undecided")), met
