import numpy as np
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import DataError
from tradingai.engine.features import compute as compute_module
from tradingai.engine.features.compute import align_peer, blocks, compute, live_tail
from tradingai.engine.features.registry import feature_set

from tests.fakes.random_candles import random_candles

ALONE = feature_set("BTC-USD")
PAIR = feature_set("BTC-USD", ("ETH-USD",))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(compute_module, "BLOCK_MINUTES", 1000)


def test_rows_before_the_look_back_are_nan_and_no_others():
    values = compute(ALONE, random_candles(3000))
    assert values.shape == (3000, 60)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert np.isnan(values[: ALONE.lookback]).all()
    assert np.isfinite(values[ALONE.lookback :]).all()


def test_too_little_past_gives_nan_only():
    assert np.isnan(compute(ALONE, random_candles(1))).all()
    assert np.isnan(compute(ALONE, random_candles(ALONE.lookback))).all()
    assert compute(ALONE, random_candles(1)[:0]).shape == (0, 60)


def test_blocks_are_cut_at_absolute_minutes(small_blocks):
    candles = random_candles(2500, start_minute=26_297_900)
    assert list(blocks(candles)) == [(0, 100), (100, 1100), (1100, 2100), (2100, 2500)]
    assert list(blocks(candles[:100])) == [(0, 100)]
    assert list(blocks(candles[:0])) == []


def test_the_block_size_changes_nothing(monkeypatch):
    candles = random_candles(7000, seed=2)
    whole = compute(ALONE, candles)
    monkeypatch.setattr(compute_module, "BLOCK_MINUTES", 777)
    assert np.array_equal(compute(ALONE, candles), whole, equal_nan=True)


@pytest.mark.parametrize("start", [0, 1, 239, 1003])
@pytest.mark.parametrize("rows", [1, 7, 500])
def test_the_live_tail_equals_the_batch(start, rows):
    own, peer = random_candles(6000, seed=3), random_candles(6000, seed=4)
    batch = compute(PAIR, own, {"ETH-USD": peer.close})
    end = 6000 - 13
    first = max(start, end - rows - PAIR.lookback)
    tail = live_tail(PAIR, own[first:end], {"ETH-USD": peer.close[first:end]}, rows)
    assert tail.shape == (rows, 65)
    assert np.array_equal(tail, batch[end - rows : end])


def test_a_live_tail_without_enough_past_says_nothing():
    tail = live_tail(ALONE, random_candles(ALONE.lookback + 2), rows=5)
    assert np.isnan(tail[:3]).all()
    assert np.isfinite(tail[3:]).all()
    assert live_tail(ALONE, random_candles(3), rows=5).shape == (3, 60)
    assert live_tail(ALONE, random_candles(3)[:0], rows=5).shape == (0, 60)


def test_a_prefix_has_the_same_bits(small_blocks):
    candles = random_candles(5000, seed=5)
    whole = compute(ALONE, candles)
    for end in (3001, 3333, 4000, 4999):
        assert np.array_equal(compute(ALONE, candles[:end]), whole[:end], equal_nan=True)


def test_a_hole_in_the_minutes_is_refused():
    candles = random_candles(3000)
    with_hole = Candles.concatenate([candles[:1000], candles[1001:]])
    with pytest.raises(DataError, match="not consecutive minutes"):
        compute(ALONE, with_hole)
    with pytest.raises(DataError, match="not consecutive minutes"):
        live_tail(ALONE, with_hole)
    twice_and_missing = candles[np.array([0, 1, 1, 3])]
    with pytest.raises(DataError, match="not consecutive minutes"):
        compute(ALONE, twice_and_missing)


@pytest.mark.parametrize("peers", [{}, {"ETH-USD": np.ones(10)}])
def test_a_missing_or_short_peer_is_named(peers):
    with pytest.raises(DataError, match="ETH-USD"):
        compute(PAIR, random_candles(3000), peers)


@pytest.mark.parametrize("price", [np.nan, -1.0, 0.0])
def test_a_price_that_cannot_be_names_the_feature_and_the_minute(price):
    candles = random_candles(3000, start_minute=26_297_280)
    candles.close[2990] = price
    with pytest.raises(DataError, match=r"feature momentum_1 .* at 2020-01-03 01:50 UTC"):
        compute(ALONE, candles)


def test_a_peer_is_cut_to_the_minutes_of_the_coin():
    peer = random_candles(100, start_minute=1000)
    own = random_candles(50, start_minute=1030)
    assert np.array_equal(align_peer(own, "ETH-USD", peer), peer.close[30:80])


@pytest.mark.parametrize(("start", "rows"), [(1031, 50), (1029, 50), (900, 20), (2000, 60)])
def test_a_peer_that_does_not_cover_the_coin_is_refused(start, rows):
    peer = random_candles(rows, start_minute=start)
    with pytest.raises(DataError, match="ETH-USD do not cover"):
        align_peer(random_candles(50, start_minute=1030), "ETH-USD", peer)


def test_a_peer_with_a_hole_is_refused_and_not_shifted():
    peer = random_candles(100, start_minute=1000)
    with_hole = Candles.concatenate([peer[:50], peer[51:]])
    with pytest.raises(DataError, match="ETH-USD do not cover"):
        align_peer(random_candles(50, start_minute=1030), "ETH-USD", with_hole)
