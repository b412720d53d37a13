import doctest

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.datasets import splits
from tradingai.engine.datasets.splits import Rows, TimeSplit, purged_kfold, time_split, walk_forward


def test_the_docstrings_print_what_they_say():
    found = doctest.testmod(splits)
    assert found.failed == 0
    assert found.attempted >= 5


def test_time_split_of_the_quick_workload_by_hand():
    # 172,800 rows, the first 2,800 without features: 170,000 · 70 % = 119,000 and · 85 % = 144,500.
    split = time_split(172_800, 2_800)
    assert split.train == (2_800, 121_785)
    assert split.early_stop == (121_800, 134_535)
    assert split.calibration == (134_550, 147_285)
    assert split.test == (147_300, 172_800)
    assert split.validation == (121_800, 147_285)


def test_a_split_survives_json():
    split = time_split(10_000, 100)
    assert TimeSplit.from_dict(split.as_dict()) == split


@pytest.mark.parametrize("change", [{"train": [1]}, {"train": "ab"}, {"purged_size": None}])
def test_a_damaged_split_is_named(change):
    with pytest.raises(ArtifactError, match="time split"):
        TimeSplit.from_dict({**time_split(10_000).as_dict(), **change})


def test_too_few_rows_say_how_many_are_needed():
    with pytest.raises(DataError, match="100 rows") as caught:
        time_split(2_978, 2_878)
    assert "5758" in caught.value.remedy
    assert time_split(5_758, 2_878).test.hi == 5_758
    with pytest.raises(DataError, match=r"^0 rows"):
        time_split(10, 2_878)


def test_kfold_gives_the_first_folds_one_row_more():
    assert [fold.test for fold in purged_kfold(11, 3, 0)] == [(0, 4), (4, 8), (8, 11)]


def test_the_embargo_is_only_where_training_follows_the_test():
    folds = list(purged_kfold(100, 5, purged_size=3, embargo_size=7))
    assert folds[0].train == (Rows(30, 100),)
    assert folds[2].train == (Rows(0, 37), Rows(70, 100))
    assert folds[4].train == (Rows(0, 77),)
    assert len(folds[2].train_indices()) == 67


@pytest.mark.parametrize("call", [
    lambda: list(purged_kfold(10, 1)),
    lambda: list(purged_kfold(3, 4)),
    lambda: list(purged_kfold(10, 2, 20)),
    lambda: list(purged_kfold(10, 2, -1)),
    lambda: list(walk_forward(10, 0)),
    lambda: list(walk_forward(10, 3, purged_size=9)),
    lambda: list(walk_forward(10, 3, purged_size=-1)),
])  # fmt: skip
def test_impossible_splits_are_refused(call):
    with pytest.raises(ValueError, match=r"\d"):
        call()


def test_walk_forward_ends_with_the_data_and_never_trains_on_the_future():
    folds = list(walk_forward(1_003, 4, purged_size=15))
    assert [fold.test for fold in folds] == [(203, 403), (403, 603), (603, 803), (803, 1_003)]
    assert [fold.train for fold in folds] == [((0, 188),), ((0, 388),), ((0, 588),), ((0, 788),)]


def test_rows_index_arrays():
    rows = Rows(2, 5)
    assert np.arange(10)[rows.slice].tolist() == rows.indices().tolist() == [2, 3, 4]
