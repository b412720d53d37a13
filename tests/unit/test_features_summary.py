import math

import numpy as np
import pytest
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.features.build import build_features
from tradingai.engine.features.files import load_features
from tradingai.engine.features.summary import (
    population_stability_index,
    sample_step,
    sparkline,
    standardised_shift,
    summarise,
)

from tests.fakes.random_candles import random_candles, store_candles

HALVES = np.array([0.0] * 50 + [1.0] * 50)


def test_stability_index_by_hand():
    # shares 1/2, 1/2 become 3/4, 1/4: (1/4) ln(3/2) + (-1/4) ln(1/2)
    moved = np.array([0.0] * 75 + [1.0] * 25)
    expected = 0.25 * math.log(1.5) - 0.25 * math.log(0.5)
    assert population_stability_index(HALVES, moved) == pytest.approx(expected)


def test_stability_index_of_the_same_values_is_zero_and_of_a_constant_too():
    values = np.random.default_rng(1).normal(size=5000)
    assert population_stability_index(values, values) == 0.0
    assert population_stability_index(np.full(100, 3.0), np.full(50, 3.0)) == 0.0


def test_stability_index_has_ten_equal_bins():
    reference = np.arange(1000.0)
    # all recent values in the lowest tenth: 0.9 ln 10 for it and 9 empty bins of share 1e-4
    expected = 0.9 * math.log(10) + 9 * (1e-4 - 0.1) * math.log(1e-3)
    assert population_stability_index(reference, np.arange(100.0)) == pytest.approx(expected)


def test_shift_by_hand():
    assert standardised_shift(HALVES, np.array([1.0, 1.5])) == pytest.approx((1.25 - 0.5) / 0.5)
    assert standardised_shift(np.full(9, 2.0), np.array([5.0])) == 0.0


def test_sparkline_is_the_newest_values_oldest_first():
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    assert sparkline(values, 1, 3) == (15.0, 17.0, 19.0)
    assert len(sparkline(values, 0, 60)) == 10


@pytest.mark.parametrize("rows", [1, 4096, 8192, 45_055, 45_056, 1440 * 4096, 2_157_167])
def test_sampled_rows_are_some_thousands_at_all_minutes_of_the_week(rows):
    step = sample_step(rows)
    assert math.gcd(step, 7 * 1440) == 1
    assert min(rows, 4000) <= rows / step <= 11 * 4096


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    paths = HomePaths(tmp_path_factory.mktemp("home"))
    store_candles(paths, "BTC-USD", random_candles(5000, seed=1))
    build_features(paths, "BTC-USD", None, SilentReporter())
    return load_features(paths, "BTC-USD")


def test_a_summary_a_feature_from_the_stored_rows(matrix):
    found = {item.name: item for item in summarise(matrix, 0, 4000, recent=500)}
    assert list(found) == list(matrix.manifest.names)
    rsi, stored = found["rsi_14"], matrix.column("rsi_14").astype(np.float64)
    assert (rsi.group, rsi.lookback) == ("oscillator", 512)
    assert rsi.last == stored[-1] == rsi.spark[-1]
    assert rsi.spark == tuple(stored[-60:])
    train, recent = stored[2878:4000], stored[4500:]  # so few rows are all taken
    assert rsi.shift == pytest.approx((recent.mean() - train.mean()) / train.std())
    assert rsi.psi == pytest.approx(population_stability_index(train, recent))


@pytest.mark.parametrize(("lo", "hi"), [(0, 2878), (4000, 4000), (4000, 5001)])
def test_a_range_without_features_is_refused(matrix, lo, hi):
    with pytest.raises(DataError, match="no range"):
        summarise(matrix, lo, hi)
