"""The formulas a synthetic market is made of, against hand computation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from tradingai.engine.core.symbols import HORIZON_MINUTES
from tradingai.engine.providers.synthetic import momentum
from tradingai.engine.providers.synthetic.bars import price_extremes
from tradingai.engine.providers.synthetic.coins import ORIGIN_DAY
from tradingai.engine.providers.synthetic.cycle import JITTER, OMEGA, PERIOD_MINUTES, Cycle
from tradingai.engine.providers.synthetic.diffusion import Diffusion
from tradingai.engine.providers.synthetic.profiles import amplitude_day, volatility_week, volume_week
from tradingai.engine.providers.synthetic.streams import Stream

DAY = ORIGIN_DAY + 700


def test_momentum_is_the_stated_kernel():
    eps = np.random.default_rng(0).standard_normal((3, 1440))
    flat = eps.reshape(-1)
    result = momentum.drift(eps).reshape(-1)
    for minute in (0, 1, 29, 30, 777, 1439, 1440, 2879):
        now = 1440 + minute
        expected = 0.06 * sum(flat[now - k] for k in range(1, 31)) / np.sqrt(30)
        assert result[minute] == pytest.approx(expected, abs=1e-12)


def test_momentum_expectation_is_what_the_known_innovations_bring():
    eps = np.random.default_rng(1).standard_normal((2, 1440))
    volatility = np.full((1, 1440), 0.002)
    result = momentum.expected_returns(eps, volatility)[0]
    flat = eps.reshape(-1)
    for minute in (0, 5, 700, 1439):
        now = 1440 + minute
        future = np.concatenate([flat[: now + 1], np.zeros(HORIZON_MINUTES)])
        expected = 0.002 * sum(
            0.06 * sum(future[now + j - k] for k in range(1, 31)) / np.sqrt(30) for j in range(1, 16)
        )
        assert result[minute] == pytest.approx(expected, abs=1e-15)


def test_a_day_of_minutes_sums_to_its_total():
    source = Diffusion("null", 3, "BTC-USD", 0.6)
    minutes = source.minutes(DAY, 40)
    ends = source.anchors(DAY, 40)
    total = (minutes.returns + minutes.jumps).sum(axis=1)
    assert np.allclose(total, np.diff(ends), atol=1e-12)


def test_minutes_are_unit_normal_given_their_volatility():
    """Also the bridge keeps them so: variance 1 - share, nearly 1, and no correlation with the neighbour."""
    minutes = Diffusion("null", 3, "BTC-USD", 0.6).minutes(DAY, 200)
    unit = (minutes.returns / minutes.volatility).reshape(-1)
    count = len(unit)
    assert abs(unit.mean()) < 4 / np.sqrt(count)
    assert abs(unit.var() - (1 - 1 / 1440)) < 4 * np.sqrt(2 / count)
    assert abs(np.mean(unit**4) - 3.0) < 0.1
    assert abs(np.mean(unit[1:] * unit[:-1])) < 4 / np.sqrt(count)


def test_annual_variance_is_as_asked_over_many_days():
    days = 10_000
    source = Diffusion("null", 9, "x", 0.6)
    steps = np.diff(source.anchors(ORIGIN_DAY, days))
    jumps_share = 1.0 + 0.12 * 0.85**2
    annual = np.sqrt(365 * np.mean(steps**2))
    assert annual == pytest.approx(0.6 * np.sqrt(jumps_share), rel=0.03)


def test_jumps_are_occasional():
    jumps = Diffusion("null", 9, "x", 0.6).minutes(DAY, 300).jumps
    struck = np.count_nonzero(jumps)
    assert abs(struck - 36) < 4 * np.sqrt(36)
    assert np.count_nonzero(jumps, axis=1).max() == 1


def test_the_phase_wanders_enough_and_no_clock_divides_the_period():
    assert JITTER * np.sqrt(1440) >= 0.9
    for clock in (1440, 7 * 1440):
        turns = clock / PERIOD_MINUTES
        assert 0.1 < turns % 1.0 < 0.9
    source = Cycle("cycles", 1, 0)
    midnights = source._walk
    assert np.std(np.diff(midnights)) == pytest.approx(JITTER * np.sqrt(1440), rel=0.02)
    phase = source._phase(DAY, 30).reshape(-1)
    assert np.std(np.diff(phase) - OMEGA) == pytest.approx(JITTER, rel=0.02)


def test_a_lagging_coin_shows_what_btc_showed():
    day = amplitude_day()
    shape = {lag: Cycle("cycles", 1, lag).closes(DAY, 2)[1:] / np.tile(day, 2) for lag in (0, 4, 7)}
    assert np.allclose(shape[4][4:], shape[0][:-4], atol=1e-12)
    assert np.allclose(shape[7][7:], shape[0][:-7], atol=1e-12)


def test_the_cycle_has_the_stated_amplitude():
    values = Cycle("cycles", 1, 0).closes(DAY, 60)[1:]
    assert np.sqrt(2.0 * np.mean(values**2)) == pytest.approx(45e-4, rel=0.03)


def test_expected_cycle_return_is_the_mean_over_futures():
    """Averaged over many minutes of nearly equal phase, what followed is what was expected."""
    source = Cycle("cycles", 2, 4)
    days = 400
    values = source.closes(DAY, days)[1:]
    expected = source.expected_returns(DAY, days).reshape(-1)[:-HORIZON_MINUTES]
    followed = values[HORIZON_MINUTES:] - values[:-HORIZON_MINUTES]
    order = np.argsort(expected)
    for part in np.array_split(order, 10):
        assert followed[part].mean() == pytest.approx(expected[part].mean(), abs=3e-5)


def test_the_path_of_a_bar_holds_both_ends_and_mirrors():
    generator = np.random.default_rng(5)
    change = generator.normal(0, 1e-3, (1, 5000))
    volatility = np.full_like(change, 1e-3)
    draws = np.concatenate(
        [generator.standard_normal((1, 1, 5000)), generator.standard_exponential((4, 1, 5000))]
    )
    high, low = price_extremes(change, volatility, draws)
    assert np.all(high >= np.maximum(change, 0.0) - 1e-15)
    assert np.all(low <= np.minimum(change, 0.0) + 1e-15)
    mirrored = np.concatenate([-draws[:1], draws[3:5], draws[1:3]])
    high_mirrored, low_mirrored = price_extremes(-change, volatility, mirrored)
    assert np.allclose(high_mirrored, -low)
    assert np.allclose(low_mirrored, -high)


def test_the_mean_high_is_that_of_brownian_motion():
    """E[max of W over a unit of time] = sqrt(2 / pi), from the reflection principle."""
    generator = np.random.default_rng(6)
    change = generator.standard_normal((1, 400_000))
    draws = np.concatenate(
        [generator.standard_normal((1, *change.shape)), generator.standard_exponential((4, *change.shape))]
    )
    high, low = price_extremes(change, np.ones_like(change), draws)
    assert high.mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.01)
    assert low.mean() == pytest.approx(-np.sqrt(2 / np.pi), rel=0.01)


def test_profiles_are_smooth_and_normalised():
    assert np.mean(volatility_week() ** 2) == pytest.approx(1.0)
    assert np.mean(volume_week() ** 2) == pytest.approx(1.0)
    day = amplitude_day()
    assert np.mean(day**2) == pytest.approx(1.0)
    assert np.abs(np.diff(day, append=day[0])).max() < 0.01
    assert day[240] < day[720] < day[1200]


def test_streams_are_independent_and_days_repeat():
    first, second = Stream("null", 1, "BTC-USD", "minutes"), Stream("null", 1, "ETH-USD", "minutes")
    one, other = first.minutes(DAY, 3, normals=1)[0], second.minutes(DAY, 3, normals=1)[0]
    assert abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < 4 / np.sqrt(3 * 1440)
    assert np.array_equal(first.minutes(DAY + 1, 1, normals=1)[0, 0], one[1])
    assert np.array_equal(first.daily(50, 2)[:20], first.daily(20, 2))
