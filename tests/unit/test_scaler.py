import json

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.features.scaler import CLIP, Scaler

VALUES = np.array([[1, 10, 5], [3, 30, 5], [5, 20, 5], [1000, 1000, 1000]], dtype=np.float32)
NAMES = ("a", "b", "c")


def test_mean_and_deviation_of_the_range_alone_by_hand():
    scaler = Scaler.fit(NAMES, VALUES, 0, 3)
    assert scaler.mean.tolist() == [3, 20, 5]
    # (4 + 0 + 4) / 3 and (100 + 100 + 0) / 3; a constant column keeps its distance
    assert scaler.std == pytest.approx([np.sqrt(8 / 3), np.sqrt(200 / 3), 1.0])
    assert (scaler.lo, scaler.hi, scaler.names) == (0, 3, NAMES)


def test_scaled_values_by_hand_and_limited():
    scaled = Scaler.fit(NAMES, VALUES, 0, 3).transform(VALUES)
    assert scaled.dtype == np.float32
    assert scaled[0] == pytest.approx([-2 / np.sqrt(8 / 3), -10 / np.sqrt(200 / 3), 0.0])
    assert scaled[3].tolist() == [CLIP] * 3


def test_rows_outside_the_range_have_no_influence():
    other = VALUES.copy()
    other[3] = -7
    assert Scaler.fit(NAMES, other, 0, 3).mean.tolist() == Scaler.fit(NAMES, VALUES, 0, 3).mean.tolist()


def test_many_blocks_give_the_moments_of_the_whole():
    values = np.random.default_rng(1).normal([50.0, -3.0], [1e-3, 200.0], (100_003, 2)).astype(np.float32)
    scaler = Scaler.fit(("a", "b"), values, 5, 100_001)
    exact = values[5:100_001].astype(np.float64)
    assert scaler.mean == pytest.approx(exact.mean(axis=0), rel=1e-13)
    assert scaler.std == pytest.approx(exact.std(axis=0), rel=1e-10)


def test_scaling_in_place():
    values = VALUES.copy()
    scaler = Scaler.fit(NAMES, VALUES, 0, 3)
    assert scaler.transform(values, out=values) is values
    assert np.array_equal(values, scaler.transform(VALUES))


def test_json_keeps_every_bit():
    values = np.random.default_rng(2).normal(size=(500, 3)).astype(np.float32)
    scaler = Scaler.fit(NAMES, values, 10, 400)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.as_dict())))
    assert (again.names, again.lo, again.hi) == (NAMES, 10, 400)
    assert np.array_equal(again.mean, scaler.mean)
    assert np.array_equal(again.std, scaler.std)
    assert again.matches(scaler).all()


def test_a_fit_on_other_rows_does_not_match():
    values = np.random.default_rng(3).normal(size=(500, 3)).astype(np.float32)
    values[:, 2] = 4.0
    declared, everything = Scaler.fit(NAMES, values, 0, 400), Scaler.fit(NAMES, values, 0, 500)
    assert declared.matches(everything).tolist() == [False, False, True]


@pytest.mark.parametrize(("lo", "hi"), [(2, 2), (3, 2), (-1, 2), (0, 5)])
def test_an_impossible_range_is_refused(lo, hi):
    with pytest.raises(DataError, match=f"rows {lo}"):
        Scaler.fit(NAMES, VALUES, lo, hi)


def test_values_that_are_not_finite_are_named():
    values = VALUES.copy()
    values[1, 1] = np.nan
    with pytest.raises(DataError, match="features b are not finite"):
        Scaler.fit(NAMES, values, 0, 3)


def test_another_number_of_columns_is_refused():
    with pytest.raises(DataError, match="3 features, not 2"):
        Scaler.fit(NAMES, VALUES, 0, 3).transform(VALUES[:, :2])


@pytest.mark.parametrize(
    "damage", [{"mean": [1.0]}, {"std": [1.0, 0.0, 1.0]}, {"std": None}, {"lo": "first"}, {"names": 3}]
)
def test_a_damaged_document_is_refused(damage):
    document = {**Scaler.fit(NAMES, VALUES, 0, 3).as_dict(), **damage}
    with pytest.raises(ArtifactError, match="damaged scaler"):
        Scaler.from_dict(document)


def test_several_ranges_give_the_moments_of_all_their_rows_and_of_no_other():
    values = np.random.default_rng(2).normal([5.0, -3.0], [1.0, 20.0], (100_000, 2)).astype(np.float32)
    values[40_000:60_000] = np.nan
    scaler = Scaler.over(("a", "b"), values, [(10, 40_000), (60_000, 99_990)])
    exact = np.concatenate([values[10:40_000], values[60_000:99_990]]).astype(np.float64)
    assert scaler.mean == pytest.approx(exact.mean(axis=0), rel=1e-12)
    assert scaler.std == pytest.approx(exact.std(axis=0), rel=1e-10)
    assert (scaler.lo, scaler.hi) == (10, 99_990)
    with pytest.raises(DataError, match="rows 7 … 7"):
        Scaler.over(("a", "b"), values, [(7, 7)])
