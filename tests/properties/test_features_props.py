from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import Candles
from tradingai.engine.features import primitives
from tradingai.engine.features.check import column_scale, disturbed
from tradingai.engine.features.compute import Features, compute, live_tail
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.window import Bars

from tests.fakes.random_candles import START_MINUTE, random_candles, scaled, with_flat_stretch

FEATURES = feature_set("BTC-USD", ("ETH-USD",))
ROWS = 4200
FIRST = FEATURES.lookback

seeds = st.integers(0, 2**32 - 1)
rows = st.integers(FIRST, ROWS - 1)
quick = settings(max_examples=20, deadline=None)


@cache
def market() -> tuple[Candles, dict[str, np.ndarray], Features]:
    """Candles with gaps filled flat, a peer, and the batch."""
    own = with_flat_stretch(with_flat_stretch(random_candles(ROWS, seed=1), 3000, 3004), 3500, 3640)
    peers = {"ETH-USD": random_candles(ROWS, seed=2).close}
    return own, peers, compute(FEATURES, own, peers)


def until(end: int, first: int = 0) -> tuple[Candles, dict[str, np.ndarray]]:
    own, peers, _ = market()
    return own[first:end], {name: close[first:end] for name, close in peers.items()}


@quick
@given(end=rows)
def test_a_prefix_gives_the_same_bits(end):
    assert np.array_equal(compute(FEATURES, *until(end + 1)), market()[2][: end + 1], equal_nan=True)


@quick
@given(end=rows, seed=seeds)
def test_no_future_reaches_back(end, seed):
    own, peers, batch = market()
    other = compute(FEATURES, disturbed(own, end + 1, np.random.default_rng(seed)), peers)
    assert np.array_equal(other[: end + 1], batch[: end + 1], equal_nan=True)


@quick
@given(end=rows, seed=seeds)
def test_no_future_of_a_peer_reaches_back(end, seed):
    own, peers, batch = market()
    changed = peers["ETH-USD"].copy()
    changed[end + 1 :] *= np.random.default_rng(seed).lognormal(0.0, 0.1, ROWS - end - 1)
    other = compute(FEATURES, own, {"ETH-USD": changed})
    assert np.array_equal(other[: end + 1], batch[: end + 1], equal_nan=True)


@quick
@given(end=rows, more=st.integers(0, 1300), count=st.integers(1, 50))
def test_live_equals_batch_from_any_start(end, more, count):
    first = max(0, end + 1 - FIRST - count - more)
    tail = live_tail(FEATURES, *until(end + 1, first), count)
    expected = market()[2][end + 1 - count : end + 1]
    known = np.isfinite(tail)
    assert known[max(0, count - (end + 1 - first - FIRST)) :].all()
    assert np.array_equal(tail[known], expected[known])


@quick
@given(start=st.integers(0, 7 * 1440), seed=seeds)
def test_values_are_finite_wherever_candles_start_and_whatever_is_flat(start, seed):
    generator = np.random.default_rng(seed)
    first, last = sorted(generator.integers(1, 3200, 2).tolist())
    candles = with_flat_stretch(random_candles(3200, seed, START_MINUTE + start), first, last)
    values = compute(feature_set("BTC-USD"), candles)
    assert np.isfinite(values[FIRST:]).all()
    assert np.isnan(values[:FIRST]).all()


@quick
@given(exponent=st.floats(-6, 6))
def test_the_unit_of_price_changes_nothing(exponent):
    own, peers, batch = market()
    factor = 10.0**exponent
    other = compute(FEATURES, scaled(own, factor), {name: close * factor for name, close in peers.items()})
    difference = np.abs(other - batch)[FIRST:] / column_scale(batch, FIRST)
    assert difference.max() <= 1e-5


@quick
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), length=st.integers(1, 250))
def test_rolling_values_are_those_of_the_rows_there_are(values, length):
    column = np.array(values)
    bars = Bars(column, column, column, column, column)
    window = column[max(0, len(column) - length) :]
    assert np.isclose(bars.rolling_sum("close", length)[-1], window.sum(), rtol=1e-12, atol=1e-6)
    if len(column) >= length:
        assert bars.rolling_max("close", length)[-1] == window.max()
        assert bars.rolling_min("close", length)[-1] == window.min()
        assert np.isclose(bars.rolling_std("close", length)[-1], window.std(), rtol=1e-9, atol=1e-6)


@quick
@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=120),
    step=st.integers(1, 9),
    count=st.integers(1, 12),
)
def test_a_rank_is_a_share(values, step, count):
    rank = primitives.trailing_rank(np.array(values), step, count)
    assert ((rank >= 0.0) & (rank <= 1.0)).all()


@quick
@given(seed=seeds, lo=st.integers(0, 40), size=st.integers(2, 60))
def test_a_fitted_range_comes_out_standard(seed, lo, size):
    generator = np.random.default_rng(seed)
    spread, middle = 10.0 ** generator.uniform(-3, 3, 4), generator.normal(size=4)
    values = ((generator.random((100, 4)) + middle) * spread).astype(np.float32)
    scaled_values = (
        Scaler.fit("abcd", values, lo, lo + size).transform(values)[lo : lo + size].astype(np.float64)
    )
    assert np.abs(scaled_values.mean(axis=0)).max() < 1e-4
    assert np.abs(scaled_values.std(axis=0) - 1.0).max() < 1e-4
