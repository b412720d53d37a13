"""No label window reaches from what is fitted on into what is judged, and no row serves twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.datasets.splits import MIN_VALID_ROWS, purged_kfold, time_split, walk_forward

HORIZONS = st.integers(min_value=0, max_value=60)


@given(st.integers(MIN_VALID_ROWS, 4_000_000), st.integers(0, 3_000), HORIZONS)
def test_time_split_keeps_label_windows_apart(valid, first_valid, horizon):
    split = time_split(first_valid + valid, first_valid, horizon)
    parts = list(split.parts().values())
    assert parts[0].lo == first_valid
    assert parts[-1].hi == first_valid + valid
    assert all(part.size > 0 for part in parts)
    for earlier, later in pairwise(parts):
        assert earlier.hi - 1 + horizon < later.lo
        assert later.lo - earlier.hi == horizon
    assert abs(split.train.size + horizon - 0.7 * valid) <= 1
    assert abs(split.test.size - 0.15 * valid) <= 1
    assert abs(split.early_stop.size - split.calibration.size) <= 1


@given(st.integers(20, 400), st.integers(2, 8), st.integers(0, 5), st.integers(0, 5))
def test_kfold_tests_every_row_once_and_trains_far_enough_away(n, k, purged, embargo):
    folds = list(purged_kfold(n, k, purged, embargo)) if n // k > purged + embargo else []
    tested = sorted(row for fold in folds for row in fold.test.indices())
    assert tested == (list(range(n)) if folds else [])
    for fold in folds:
        train = fold.train_indices().tolist()
        assert len(set(train)) == len(train)
        assert train == sorted(train)
        assert min(train) >= 0
        assert max(train) < n
        for row in train:
            assert row + purged < fold.test.lo or row >= fold.test.hi + purged + embargo
        near = set(range(fold.test.lo - purged, fold.test.hi + purged + embargo))
        assert set(train) | near >= set(range(n))


@given(st.integers(10, 500), st.integers(1, 8), st.integers(0, 5), st.none() | st.integers(1, 50))
def test_walk_forward_only_looks_back(n, splits, purged, max_train):
    size = n // (splits + 1)
    if size < 1 or n - splits * size - purged < 1:
        return
    folds = list(walk_forward(n, splits, purged_size=purged, max_train_size=max_train))
    assert len(folds) == splits
    assert folds[-1].test.hi == n
    for fold in folds:
        ((lo, hi),) = fold.train
        assert 0 <= lo < hi
        assert hi + purged == fold.test.lo
        assert fold.test.size == size
        assert max_train is None or hi - lo <= max_train
    for earlier, later in pairwise(folds):
        assert earlier.test.hi == later.test.lo
