"""Checks 1 and 2: planted leaks are named, clean features are not, on synthetic and on real candles."""

import numpy as np
import pytest
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.evaluation.leakage.causality import causality
from tradingai.engine.evaluation.leakage.pipeline import (
    CANDLE_NAMES,
    perturbed_after,
    raw_of,
    until,
    window,
    without,
)

from tests.fakes import leaks

WORLDS = {"synthetic": leaks.synthetic_raw, "real": leaks.real_raw}


@pytest.fixture(scope="module", params=WORLDS)
def raw(request):
    return WORLDS[request.param]()


def run(raw, planted=(), cleaner=leaks.clean_until):
    symbol, *peers = raw
    made_by = leaks.pipeline(symbol, peers, planted, cleaner)
    prefix, future = causality(
        leaks.market(raw, made_by), made_by, np.random.default_rng(1), SilentReporter()
    )
    return prefix, future


def test_no_clean_feature_is_accused(raw):
    for check in run(raw):
        assert check.passed, check.detail
        assert check.accused == ()
        assert check.evidence["cuts"] >= 64
        assert check.detail == "96 cuts, 0 differ"


def test_every_planted_feature_is_named_by_both_checks_and_no_clean_one(raw):
    for check in run(raw, tuple(leaks.COLUMNS)):
        assert not check.passed
        assert set(check.accused) == set(leaks.COLUMNS)


@pytest.mark.parametrize("name", leaks.COLUMNS)
def test_each_leak_alone_is_named_at_many_cuts(name):
    prefix, _ = run(leaks.real_raw(), (name,))
    assert prefix.accused == (name,)
    assert name in prefix.detail
    assert prefix.evidence["differ"][name] > 10


def test_backward_fill_is_caught_in_the_candles_themselves(raw):
    prefix, future = run(raw, cleaner=leaks.backward_filling)
    for check in (prefix, future):
        assert not check.passed
        assert {"candles.open", "candles.close"} <= set(check.accused)


def test_too_few_candles_to_cut_says_so():
    raw = {name: series[:3_100] for name, series in leaks.synthetic_raw().items()}
    with pytest.raises(DataError, match="too few for 64 cuts"):
        run(raw)


def test_cutting_windows_keeps_the_row_before_them():
    raw = leaks.synthetic_raw()
    own = raw["BTC-USD"]
    gap = own.ts[:-1][np.diff(own.ts) > 60_000_000][0]
    cut = window({"x": own}, int(gap) + 60_000_000, int(gap) + 10 * 60_000_000)["x"]
    assert cut.ts[0] == gap
    assert until({"x": own}, int(gap))["x"].ts[-1] == gap


def test_cleaning_what_was_not_filled_gives_the_stored_candles_back():
    raw = leaks.synthetic_raw()["BTC-USD"]
    stored = leaks.clean_until(raw, int(raw.ts[-1]))
    filled = ~np.isin(stored.ts, raw.ts)
    assert filled.sum() == 55
    again = leaks.clean_until(raw_of(stored, filled), int(raw.ts[-1]))
    for name, column in stored.columns().items():
        assert np.array_equal(column, again.columns()[name])


def test_perturbing_leaves_the_past_and_changes_every_later_price():
    raw = leaks.real_raw()["BTC-USD"]
    cut = int(raw.ts[2_000])
    changed = perturbed_after(raw, cut, np.random.default_rng(0))
    assert np.array_equal(changed.close[:2_001], raw.close[:2_001])
    later = changed.ts > cut
    assert later.sum() < len(raw) - 2_001
    assert not np.isin(changed.close[later], raw.close).any()
    assert (changed.high[later] >= changed.low[later]).all()


def test_gaps_are_half_open():
    raw = leaks.real_raw()["BTC-USD"]
    left = without(raw, [(int(raw.ts[5]), int(raw.ts[7]))])
    assert np.array_equal(left.ts[:6], raw.ts[[0, 1, 2, 3, 4, 7]])


def test_candle_columns_have_names():
    assert CANDLE_NAMES == ("candles.open", "candles.high", "candles.low", "candles.close", "candles.volume")
