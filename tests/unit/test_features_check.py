import math

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, DataError, MissingError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.features import compute as compute_module
from tradingai.engine.features.build import Inputs, build_features
from tradingai.engine.features.check import (
    check_features,
    check_values,
    column_scale,
    cut_rows,
    disturbed,
    mismatches,
)
from tradingai.engine.features.compute import compute
from tradingai.engine.features.declaration import Feature, FeatureSet
from tradingai.engine.features.registry import feature_set

from tests.fakes.random_candles import random_candles, store_candles, with_flat_stretch

CAUSAL = {"prefix", "future", "live"}


def planted(name, formula, lookback=1500):
    return Feature(
        name=name, group="planted", lookback=lookback, source="a leak", meaning="a leak", compute=formula
    )


def shifted_label(window):
    return np.sign(np.append(window.close[15:], np.repeat(window.close[-1], 15)) - window.close)


def centred_average(window):
    return np.convolve(window.close, np.ones(21) / 21, mode="same") / window.close


def global_percentile(window):
    return window.close.argsort().argsort() / len(window)


def backward_fill(window):
    # the next price that differs, as a gap filled from its far end
    ahead = np.append(np.flatnonzero(np.diff(window.close)) + 1, len(window) - 1)
    return window.close[ahead[np.searchsorted(ahead, np.arange(len(window)))]] / window.close


def tomorrows_high(window):
    day = window.minute // 1440
    highs = {int(d): float(window.high[day == d].max()) for d in np.unique(day)}
    return np.array([highs.get(int(d) + 1, 0.0) for d in day]) / window.close


def incomplete_bar(window):
    # the close of the 15-minute bar that is still running
    bar = window.minute // 15
    last = np.searchsorted(bar, bar, side="right") - 1
    return window.close[last] / window.close


def too_short_a_look_back(window):
    return window.rolling_mean("close", 300) / window.close


def price_itself(window):
    return window.close


def target_encoded_session(window):
    up = np.append(window.close[15:] > window.close[:-15], np.zeros(15)).astype(float)
    session = window.minute_of_day // 480
    return np.array([up[session == s].mean() if (session == s).any() else 0.5 for s in range(3)])[session]


LEAKS = [
    shifted_label, centred_average, global_percentile, backward_fill, tomorrows_high, incomplete_bar,
    target_encoded_session,
]  # fmt: skip


def report_with(*extra: Feature, cuts=12, gaps=False):
    candles = random_candles(9000, seed=31)
    if gaps:
        candles = with_flat_stretch(with_flat_stretch(candles, 4000, 4100), 6000, 6003)
    clean = tuple(f for f in feature_set("BTC-USD").features if f.lookback <= 1500)
    features = FeatureSet("BTC-USD", (), (*clean, *extra))
    values = compute(features, candles)
    return check_values(features, Inputs(candles, {}), values, SilentReporter(), cuts=cuts, seed=1)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_named_and_no_clean_feature_accused(leak):
    report = report_with(planted("the_leak", leak), gaps=True)
    assert report.failed_features == ("the_leak",)
    assert CAUSAL & {check.name for check in report.checks if not check.passed}


def test_clean_features_pass_also_around_filled_gaps():
    report = report_with(gaps=True, cuts=24)
    assert report.passed
    assert report.failed_features == ()
    assert [check.name for check in report.checks] == [
        "stored",
        "prefix",
        "future",
        "live",
        "look-back",
        "scale",
    ]
    assert all(check.values > 0 for check in report.checks)


def test_a_look_back_declared_too_short_is_named():
    report = report_with(planted("short", too_short_a_look_back, lookback=100))
    (failed,) = (check for check in report.checks if not check.passed)
    assert failed.name == "look-back"
    assert [wrong.feature for wrong in failed.failures] == ["short"]


def test_a_feature_in_units_of_price_is_named():
    report = report_with(planted("price", price_itself))
    (failed,) = (check for check in report.checks if not check.passed)
    assert failed.name == "scale"
    wrong = failed.failures[0]
    assert wrong.feature == "price"
    assert wrong.got == pytest.approx(10 * wrong.expected)


def test_a_stored_value_that_candles_do_not_give_is_named():
    features = feature_set("BTC-USD")
    candles = random_candles(3500, seed=3)
    values = compute(features, candles)
    values[3111, features.names.index("rv_60")] *= 1.001
    report = check_values(features, Inputs(candles, {}), values, SilentReporter(), cuts=4)
    assert report.failed_features == ("rv_60",)
    stored = report.checks[0]
    assert stored.failures[0].ts == candles[3111:].start


def test_the_operators_own_data(tmp_path, monkeypatch):
    paths, reporter = HomePaths(tmp_path), SilentReporter()
    store_candles(paths, "BTC-USD", random_candles(6000, seed=1))
    with pytest.raises(MissingError):
        check_features(paths, "BTC-USD", reporter)
    store_candles(paths, "ETH-USD", random_candles(6001, seed=2))
    monkeypatch.setattr(compute_module, "BLOCK_MINUTES", 1000)
    build_features(paths, "BTC-USD", None, reporter)
    report = check_features(paths, "BTC-USD", reporter, cuts=10, seed=5)
    assert report.passed
    assert (report.symbol, report.rows, report.features, len(report.cuts)) == ("BTC-USD", 6000, 65, 10)
    assert reporter.last_progress.done == reporter.last_progress.total == 6
    store_candles(paths, "ETH-USD", random_candles(6001, seed=7))
    with pytest.raises(ArtifactError, match="other candles of ETH-USD"):
        check_features(paths, "BTC-USD", reporter)


def test_cuts_lie_off_and_on_the_boundaries_of_slower_bars():
    candles = with_flat_stretch(random_candles(20_000), 5000, 5030)
    rows = cut_rows(candles, 2878, 64, np.random.default_rng(1))
    following = candles.minute[rows] + 1
    assert len(rows) == 64
    assert rows == sorted(set(rows))
    assert rows[0] == 2878
    assert rows[-1] == 19_999
    assert (following % 5 != 0).sum() >= 30
    assert (following % 240 == 0).sum() >= 16
    assert (np.abs(candles.minute[rows] % 1440 - 720) <= 90).sum() >= 8
    assert sum(5000 <= row < 5030 for row in rows) >= 8
    assert rows == cut_rows(candles, 2878, 64, np.random.default_rng(1))
    assert rows != cut_rows(candles, 2878, 64, np.random.default_rng(2))


def test_few_rows_are_all_cut_and_none_is_an_error():
    candles = random_candles(2880)
    assert cut_rows(candles, 2878, 64, np.random.default_rng(1)) == [2878, 2879]
    with pytest.raises(DataError, match="leave none"):
        cut_rows(candles, 2880, 64, np.random.default_rng(1))


def test_disturbed_candles_differ_everywhere_after_the_cut_and_nowhere_before():
    candles = random_candles(100)
    changed = disturbed(candles, 60, np.random.default_rng(1))
    for name in ("open", "high", "low", "close", "volume"):
        same = getattr(changed, name) == getattr(candles, name)
        assert same[:60].all()
        assert not same[60:].any()
    assert (changed.high >= np.maximum(changed.open, changed.close)).all()
    assert (changed.low <= np.minimum(changed.open, changed.close)).all()


def test_mismatches_are_measured_in_deviations_of_the_feature():
    expected = np.array([[1.0, 5.0, np.nan], [2.0, 5.0, 1.0]], dtype=np.float32)
    got = np.array([[1.0, 5.1, np.nan], [2.0, 5.2, np.nan]], dtype=np.float32)
    found = mismatches(("a", "b", "c"), expected, got, np.ones(3), np.array([0, 1]))
    assert [(wrong.feature, wrong.ts.minute) for wrong in found] == [("b", 1), ("c", 1)]
    assert found[0].got == pytest.approx(5.2)
    assert math.isnan(found[1].got)
    # 0.2 of a feature that varies by 1e6 is nothing
    assert mismatches(("b",), expected[:, 1:2], got[:, 1:2], np.array([1e6]), np.array([0, 1])) == ()
    # near zero the share of the value would be large, in deviations it is not
    tiny = np.array([[1e-9]], dtype=np.float32)
    assert mismatches(("a",), tiny, 2 * tiny, np.ones(1), np.array([0])) == ()


def test_the_scale_of_a_column_is_its_deviation_after_the_look_back():
    values = np.array([[np.nan, np.nan], [1.0, 4.0], [3.0, 4.0]], dtype=np.float32)
    assert column_scale(values, 1).tolist() == [1.0, 1e-12]
