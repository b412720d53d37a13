"""The synthetic live feed continues the stored history; which feed a home has."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.providers.live import SyntheticFeed, refuse_without_live, synthetic_feed
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import read_candles
from tradingai.engine.store.manifests import list_dataset_manifests

from tests.fakes.homes import new_home, plain_settings

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)


def home_with(root, *made):
    """A home with an hour of candles for each (symbol, market, seed)."""
    paths = new_home(root)
    for symbol, market, seed in made:
        start = END.replace(hour=0, minute=8)
        drift_at = END.replace(minute=0) if market == "drift" else None
        generate_dataset(paths, symbol, market, seed, start, END, drift_at, SilentReporter())
    return paths


@pytest.mark.parametrize("market", ["cycles", "drift"])
async def test_it_goes_on_where_the_history_ends(tmp_path, market):
    paths = home_with(tmp_path / "home", ("BTC-USD", market, 11))
    feed = synthetic_feed(plain_settings(), list_dataset_manifests(paths))
    stored = read_candles(paths, "BTC-USD")
    end = datetime_to_us(END)
    overlap = await feed.closed("BTC-USD", end - 30 * MINUTE_US, end + MINUTE_US)
    np.testing.assert_array_equal(overlap.close, stored.close[-30:])
    after = await feed.closed("BTC-USD", end, end + 10 * MINUTE_US + 59_000_000)
    assert (len(after), after.ts[0], after.ts[-1]) == (9, end + MINUTE_US, end + 9 * MINUTE_US)
    assert after.open[0] == stored.close[-1]


async def test_only_closed_candles_are_given():
    feed = SyntheticFeed(SyntheticMarket("null", 7))
    noon = datetime_to_us(datetime(2026, 1, 1, 12, tzinfo=UTC))
    for after, until, expected in (
        (noon, noon + MINUTE_US, 0),
        (noon, noon + 2 * MINUTE_US - 1, 0),
        (noon, noon + 2 * MINUTE_US, 1),
        (noon, noon - 5 * MINUTE_US, 0),
    ):
        assert len(await feed.closed("ETH-USD", after, until)) == expected


async def test_a_long_way_from_the_history_costs_no_more():
    feed = SyntheticFeed(SyntheticMarket("weak", 3))
    at = datetime_to_us(datetime(2030, 6, 1, tzinfo=UTC))
    one = await feed.closed("BNB-USD", at, at + 2 * MINUTE_US)
    many = await feed.closed("BNB-USD", at - 100 * MINUTE_US, at + 2 * MINUTE_US)
    assert one.close[0] == many.close[-1]


def test_the_identity_says_what_values_depend_on(tmp_path):
    identities = {
        SyntheticFeed(SyntheticMarket("cycles", 7)).identity,
        SyntheticFeed(SyntheticMarket("cycles", 8)).identity,
        SyntheticFeed(SyntheticMarket("null", 7)).identity,
        SyntheticFeed(SyntheticMarket("drift", 7, 29_000_000)).identity,
        SyntheticFeed(SyntheticMarket("drift", 7, 29_000_001)).identity,
    }
    assert len(identities) == 5


def test_without_history_the_settings_decide():
    settings = plain_settings(synthetic_market="null", synthetic_seed=5)
    assert synthetic_feed(settings, []).identity.startswith("synthetic null seed 5")
    with pytest.raises(UsageError, match="drift needs stored candles"):
        synthetic_feed(plain_settings(synthetic_market="drift"), [])


def test_histories_of_different_markets_have_no_common_feed(tmp_path):
    paths = home_with(tmp_path / "home", ("BTC-USD", "cycles", 1), ("ETH-USD", "cycles", 2))
    with pytest.raises(UsageError, match="different markets"):
        synthetic_feed(plain_settings(), list_dataset_manifests(paths))


@pytest.mark.parametrize(
    ("provider", "why"), [("yfinance", "come late and change"), ("file", "does not go on")]
)
def test_providers_that_cannot_be_followed_are_refused_with_the_reason(provider, why):
    with pytest.raises(UsageError, match=f"provider {provider} has no live candles: .*{why}") as refused:
        refuse_without_live(provider)
    assert "DATA_PROVIDER=ccxt" in refused.value.remedy


@pytest.mark.parametrize("provider", ["synthetic", "ccxt"])
def test_these_can_be_followed(provider):
    refuse_without_live(provider)


def test_a_coin_that_the_market_does_not_have_is_refused_before_the_first_scan():
    with pytest.raises(UsageError, match="SOL-USD"):
        synthetic_feed(plain_settings(symbols=("BTC-USD", "SOL-USD")), [])
