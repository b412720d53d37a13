import doctest

import numpy as np
import pytest
from tradingai.engine.core.errors import DataError
from tradingai.engine.datasets import labels
from tradingai.engine.datasets.dataset import check_labels
from tradingai.engine.datasets.labels import NO_LABEL, UP, direction_labels
from tradingai.engine.datasets.splits import time_split


def test_the_docstring_tells_the_truth():
    assert doctest.testmod(labels).failed == 0
    assert doctest.testmod(labels).attempted > 0


def test_direction_over_fifteen_minutes_by_hand():
    close = np.full(40, 100.0)
    close[15:] = 101.0
    close[33] = 99.0
    found = direction_labels(close)
    assert found.dtype == np.int8
    assert found[:15].tolist() == [1] * 15
    assert found[18] == 0
    assert found[[15, 16, 17, 19, 24]].tolist() == [-1] * 5


def test_the_last_horizon_bars_have_no_label():
    close = np.arange(1.0, 31.0)
    assert direction_labels(close)[:15].tolist() == [1] * 15
    assert direction_labels(close)[15:].tolist() == [-1] * 15
    assert direction_labels(close[:15]).tolist() == [-1] * 15
    assert direction_labels(close[:0]).tolist() == []


@pytest.mark.parametrize(("moved", "changes"), [(20, True), (5, True), (19, False), (21, False), (6, False)])
def test_a_label_looks_at_its_own_close_and_the_one_a_horizon_later(moved, changes):
    close = np.linspace(100.0, 101.0, 60)
    before = direction_labels(close)[5]
    close[moved] *= 0.5 if moved > 5 else 2.0
    assert bool(direction_labels(close)[5] != before) is changes


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_none_is_refused_with_its_row(bad):
    close = np.full(20, 100.0)
    close[7] = bad
    with pytest.raises(DataError, match=r"close\[7\]"):
        direction_labels(close)


def test_a_horizon_without_future_is_refused():
    with pytest.raises(ValueError, match="0 minutes"):
        direction_labels(np.ones(5), horizon=0)


@pytest.mark.parametrize("name", ["train", "early_stop", "calibration", "test"])
def test_a_price_that_stands_still_in_any_part_is_refused(name):
    split = time_split(10_000)
    varied = (np.arange(10_000) // 7 % 2).astype(np.int8)
    check_labels("BTC-USD", varied, split)
    part = split.parts()[name]
    for direction in (NO_LABEL, UP):
        spoilt = varied.copy()
        spoilt[part.slice] = direction
        if (name, direction) == ("test", UP):
            check_labels("BTC-USD", spoilt, split)
            continue
        rises = 0 if direction == NO_LABEL else part.size
        words = (
            f"rises {rises:,} times and falls 0 times within 15 minutes in the {name.replace('_', ' ')} range"
        )
        with pytest.raises(DataError, match=words) as caught:
            check_labels("BTC-USD", spoilt, split)
        assert "tradingai data quality BTC-USD" in caught.value.remedy
