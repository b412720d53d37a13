from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.market import MarketDataset, load_market
from tradingai.engine.features.build import build_features
from tradingai.engine.providers.generate import generate_dataset

from tests.integration.test_training_resume import END

COINS = ("BTC-USD", "ETH-USD")


def fill(paths, symbols=COINS, days=5, seed=1, market="cycles"):
    """Candles of all coins, then the features of all with the others as their peers."""
    silent, start = SilentReporter(), END - timedelta(days=days)
    for symbol in symbols:
        generate_dataset(paths, symbol, market, seed, start, END, None, silent)
    for symbol in symbols:
        build_features(paths, symbol, tuple(symbols), silent)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    paths = HomePaths(tmp_path_factory.mktemp("market"))
    fill(paths)
    return paths


@pytest.fixture(scope="module")
def market(paths):
    return load_market(paths, COINS)


def test_rows_of_all_coins_are_the_same_minutes(market):
    btc, eth = market.coins
    assert market.symbols == COINS
    assert market.split == btc.split == eth.split
    assert market.first_valid == eth.features.first_valid
    rows = slice(market.first_valid, market.first_valid + 3)
    wide = market.values[rows]
    np.testing.assert_array_equal(wide, np.concatenate([btc.values[rows], eth.values[rows]], axis=1))
    np.testing.assert_array_equal(market.labels, np.column_stack([btc.labels, eth.labels]))
    assert (market.market, market.synthetic) == ("cycles", True)


def test_a_single_coin_is_read_as_it_is_stored(paths):
    market = load_market(paths, ["ETH-USD"])
    assert market.values is market.coins[0].values
    assert market.labels.shape == (market.coins[0].rows, 1)


def test_forward_returns_have_the_sign_of_the_label_and_the_unit_they_were_given(market):
    found = market.forward_returns([0.5, 2.0])
    for number, coin in enumerate(market.coins):
        expected = np.log(coin.close[15:] / coin.close[:-15]) / (0.5, 2.0)[number]
        np.testing.assert_allclose(found[:-15, number], expected, rtol=1e-6, atol=1e-9)
        assert (found[-15:, number] == 0).all()
        known = coin.labels >= 0
        np.testing.assert_array_equal(found[known, number] > 0, coin.labels[known] == 1)


def test_coins_of_other_minutes_are_refused_by_name(market):
    btc, eth = market.coins
    shifted = replace(eth, ts0=eth.ts0 + 60_000_000)
    with pytest.raises(DataError, match=r"BTC-USD has candles 2025-11-05T.*, ETH-USD has 2025-11-05T"):
        MarketDataset((btc, shifted))
    other = replace(eth, split=replace(eth.split, purged_size=16))
    with pytest.raises(DataError, match="same minutes"):
        MarketDataset((btc, other))


def test_coins_of_other_markets_are_refused_by_name(market):
    btc, eth = market.coins
    other = replace(eth, features=replace(eth.features, market="null"))
    with pytest.raises(DataError, match="BTC-USD cycles, ETH-USD null") as caught:
        MarketDataset((btc, other))
    assert "same source" in caught.value.remedy


@pytest.mark.parametrize(("symbols", "words"), [
    ([], "no coin"), (["ETH-USD", "BTC-USD", "ETH-USD"], "ETH-USD is named more than once"),
])  # fmt: skip
def test_each_coin_is_named_once(paths, symbols, words):
    with pytest.raises(DataError, match=words):
        load_market(paths, symbols)
