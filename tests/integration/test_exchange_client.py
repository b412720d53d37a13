"""The exchange client with the real ccxt against exchanges on loopback."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import ProviderError, UsageError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.client import HEADROOM, ExchangeClient
from tradingai.engine.providers.exchange.pace import OwnPace

from tests.fakes.exchange_api import exchange_api
from tests.fakes.homes import plain_settings
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.loopback_only import LeftTheMachineError, loopback_only
from tests.fakes.random_candles import random_candles
from tests.fakes.real_candles import real_candles

EXCHANGES = ("binance", "coinbase", "kraken")
REAL = real_candles()
FIRST = int(REAL.ts[0])
NOW = int(REAL.ts[-1]) + 30_000_000
"""The last candle is still open."""


@pytest.fixture(autouse=True)
def guarded():
    """No test here reaches any other machine."""
    with loopback_only():
        yield


@asynccontextmanager
async def client_of(api, clock=None, **settings):
    clock = clock or LeapingClock()
    quote = "USDT" if api.exchange == "binance" else "USD"
    if not api.format.markets:
        api.list("BTC", quote, REAL)
    client = ExchangeClient(
        api.settings(**settings), clock=clock, rng=np.random.default_rng(1), pace=OwnPace(clock)
    )
    async with client:
        yield client
    assert api.odd == []


async def page(client, since=None, expected=True):
    market = await client.market("BTC-USD")
    start = NOW - 100 * MINUTE_US - NOW % MINUTE_US if since is None else since
    return await client.candles(market, start, NOW - NOW % MINUTE_US, expected=expected)


@pytest.mark.parametrize("exchange", [*EXCHANGES, "coinbaseexchange"])
async def test_candles_are_the_ones_the_exchange_has_without_the_open_one(exchange):
    with exchange_api(exchange, NOW) as api:
        async with client_of(api) as client:
            got = await page(client)
            market = await client.market("BTC-USD")
    assert got.unread == ()
    assert got.off_minute == 0
    for name, column in got.candles.columns().items():
        np.testing.assert_array_equal(column, REAL[-101:-1].columns()[name], err_msg=name)
    assert market.name == ("BTC/USDT" if exchange == "binance" else "BTC/USD")
    assert len(api.pages) == 1


@pytest.mark.parametrize(("exchange", "rows"), [("binance", 1000), ("coinbase", 300)])
async def test_a_page_is_as_long_as_the_exchange_allows(exchange, rows):
    with exchange_api(exchange, NOW) as api:
        async with client_of(api) as client:
            got = await page(client, FIRST)
    np.testing.assert_array_equal(got.candles.ts, REAL.ts[:rows])


@pytest.mark.parametrize("exchange", [*EXCHANGES, "coinbaseexchange"])
async def test_time_quote_and_book(exchange):
    with exchange_api(exchange, NOW) as api:
        async with client_of(api) as client:
            market = await client.market("BTC-USD")
            quote = await client.quote(market)
            book = await client.book(market, 3)
    assert (quote.bid, quote.ask) == (99.0, 101.0)
    assert quote.spread_bps == pytest.approx(200.0)
    assert book.bids == ((99.0, 1.5), (98.0, 1.5), (97.0, 1.5))
    assert book.asks == ((101.0, 2.5), (102.0, 2.5), (103.0, 2.5))


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("ahead_s", [-3600, 0, 90])
async def test_skew_is_how_far_this_machine_is_off(exchange, ahead_s):
    clock = LeapingClock()
    there = datetime_to_us(clock.now() - timedelta(seconds=ahead_s)) // 1000 * 1000
    with exchange_api(exchange, lambda: there) as api:
        async with client_of(api, clock) as client:
            found = await client.time()
    assert abs(found.skew_s - ahead_s) <= found.uncertain_s + clock.slept
    assert found.at_us == there


REPEATED = {
    "429:7": 7, "418:120": 120, "500": 0, "502": 0, "503": 0, "504": 0, "busy": 0, "html": 0, "empty": 0,
    "null": 0, "{}": 0, "none": 0, "cut": 0, "drop": 0, "notime": 0,
}  # fmt: skip
"""Faults a second request heals, and the seconds that have to pass first."""


@pytest.mark.parametrize(
    ("exchange", "fault"),
    [
        *(("binance", fault) for fault in REPEATED),
        *(
            (exchange, fault)
            for exchange in ("coinbase", "kraken")
            for fault in ("429:7", "busy", "html", "{}", "none")
        ),
    ],
)
async def test_a_passing_fault_is_survived(exchange, fault):
    clock = LeapingClock()
    with exchange_api(exchange, NOW, ticker=clock.monotonic) as api:
        again = 2 if fault == "drop" else 1  # aiohttp itself asks again on a lost connection
        api.script.extend([fault] * again * 2)
        async with client_of(api, clock) as client:
            got = await page(client)
    np.testing.assert_array_equal(got.candles.close, REAL.close[-101:-1])
    assert len(api.pages) == 2 * again + 1
    times = [request.at for request in api.pages][::again]
    assert np.diff(times).min() >= max(REPEATED[fault], 0.5)


LASTING = {
    "429:7": "binance answered 429, too many requests",
    "418": "binance answered 418, too many requests",
    "503": "binance answered HTTP 503 to candles of BTC/USDT",
    "busy": "overloaded",
    "html": "binance answered candles of BTC/USDT .* with no JSON: Sorry We will be back",
    "empty": "with no JSON: an empty body",
    "{}": "with none",
    "null": "with no JSON: null",
    "none": "with none",
    "cut": "was cut short",
    "drop": "closed the connection without an answer",
    "slow:1": "did not answer within 0.2 s",
    "notime": "with row 3 without a time",
}


@pytest.mark.parametrize("fault", LASTING)
async def test_a_lasting_fault_is_named_after_the_tries(fault):
    with exchange_api("binance", NOW) as api:
        api.always = fault
        timeout = 0.2 if fault.startswith("slow") else 10
        async with client_of(api, provider_retries=2, provider_timeout_s=timeout) as client:
            with pytest.raises(ProviderError, match=LASTING[fault]) as caught:
                await page(client)
    assert caught.value.remedy
    assert len(api.pages) == (6 if fault == "drop" else 3)  # aiohttp itself asks again on a lost connection


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("451", "does not serve this place or address .HTTP 451.: .*restricted location"),
        ("403", "does not serve this place or address .HTTP 403."),
        ("418:259200", "asks to wait 259,200 s"),
    ],
)
async def test_what_cannot_heal_is_asked_once(fault, words):
    clock = LeapingClock()
    with exchange_api("binance", NOW) as api:
        api.always = fault
        async with client_of(api, clock) as client:
            with pytest.raises(ProviderError, match=words):
                await page(client)
    assert len(api.pages) == 1
    assert clock.slept < 10


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", ["short", "nulls", "words"])
async def test_an_unreadable_value_is_asked_for_again_and_then_marked(exchange, fault):
    with exchange_api(exchange, NOW) as api:
        api.script.append(fault)
        async with client_of(api) as client:
            healed = await page(client)
            api.always = fault
            marked = await page(client)
    assert np.isfinite(healed.candles.close).all()
    bad = int(np.flatnonzero(np.isnan(marked.candles.close))[0])
    assert np.isnan(marked.candles.close).sum() == 1
    np.testing.assert_array_equal(np.delete(marked.candles.close, bad), np.delete(REAL.close[-101:-1], bad))


async def test_a_page_of_unreadable_values_is_refused_by_name():
    with exchange_api("binance", NOW) as api:
        api.always = "all-nulls"
        async with client_of(api) as client:
            with pytest.raises(ProviderError, match=r"100 values that are no numbers, the first for \d{4}"):
                await page(client)


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_bar_off_the_minute_leaves_its_minute_empty(exchange):
    with exchange_api(exchange, NOW) as api:
        api.always = "off"
        async with client_of(api) as client:
            got = await page(client)
    assert got.off_minute == 1
    bad = int(np.flatnonzero(np.isnan(got.candles.open))[0])
    np.testing.assert_array_equal(got.candles.ts, REAL.ts[-101:-1])
    np.testing.assert_array_equal(np.delete(got.candles.close, bad), np.delete(REAL.close[-101:-1], bad))


@pytest.mark.parametrize("fault", ["twice", "early"])
async def test_repeated_rows_change_no_value(fault):
    with exchange_api("binance", NOW) as api:
        api.always = fault
        async with client_of(api) as client:
            got = await page(client)
    ts, first = np.unique(got.candles.ts, return_index=True)
    np.testing.assert_array_equal(ts, REAL.ts[-101:-1])
    np.testing.assert_array_equal(got.candles.close[first], REAL.close[-101:-1])


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_unknown_and_delisted_symbols_are_named(exchange):
    with exchange_api(exchange, NOW) as api:
        api.list("ETH", "USDT" if exchange == "binance" else "USD", REAL, trading=False)
        async with client_of(api) as client:
            with pytest.raises(UsageError, match=r"has no market DOGE/USD or DOGE/USDT or DOGE/USDC"):
                await client.market("DOGE-USD")
            with pytest.raises(UsageError, match=f"{exchange} does not trade ETH/"):
                await client.market("ETH-USD")


async def test_dollars_come_before_what_stands_for_them():
    with exchange_api("coinbase", NOW) as api:
        api.list("BTC", "USDC", REAL)
        api.list("BTC", "USD", REAL)
        api.list("ETH", "USDC", REAL)
        async with client_of(api) as client:
            assert (await client.market("BTC-USD")).name == "BTC/USD"
            assert (await client.market("ETH-USD")).name == "ETH/USDC"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exchange": "nosuch"}, "ccxt knows no exchange 'nosuch'"),
        ({"proxy_url": "socks5://127.0.0.1:1"}, "SOCKS proxy"),
    ],
)
async def test_what_cannot_be_opened_is_refused(change, words):
    clock = LeapingClock()
    with pytest.raises(UsageError, match=words):
        ExchangeClient(
            plain_settings(**change), clock=clock, rng=np.random.default_rng(1), pace=OwnPace(clock)
        )


async def test_nothing_listening_is_named():
    with exchange_api("binance", NOW) as api:
        pass
    async with client_of(api, provider_retries=1) as client:
        with pytest.raises(ProviderError, match="binance cannot be reached"):
            await client.market("BTC-USD")


async def test_the_guard_sees_whoever_leaves_the_machine():
    with (
        exchange_api("binance", NOW) as api,
        pytest.raises(LeftTheMachineError, match=r"api\.binance\.com is another machine"),
    ):
        async with client_of(api, exchange_api_url=None) as client:
            await client.market("BTC-USD")
    assert api.requests == []


async def test_every_address_is_moved_to_the_server():
    with exchange_api("binance", NOW) as api:
        async with client_of(api) as client:
            addresses = list(client._ccxt.urls["api"].values())
            host = client.host
    assert host == api.url
    assert {address.startswith(f"{api.url}/") for address in addresses} == {True}


@pytest.mark.parametrize(("exchange", "cost"), [("binance", 0.02), ("coinbase", 0.102), ("kraken", 1.2)])
async def test_requests_keep_the_published_distance(exchange, cost):
    clock = LeapingClock()
    with exchange_api(exchange, NOW, ticker=clock.monotonic) as api:
        async with client_of(api, clock) as client:
            for _ in range(5):
                await page(client)
    apart = np.diff([request.at for request in api.pages]).min()
    assert apart == pytest.approx(cost / HEADROOM)
    assert apart > cost


@pytest.mark.parametrize(("fault", "held_s"), [("429:120", 120), ("418:259200", 900)])
async def test_what_the_exchange_asks_for_holds_everybody_and_is_told(fault, held_s):
    clock = LeapingClock()
    told = []
    given = {"clock": clock, "rng": np.random.default_rng(1), "pace": OwnPace(clock)}
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        api.always = fault
        async with ExchangeClient(api.settings(provider_retries=0), **given) as client:
            with pytest.raises(ProviderError, match="too many requests"):
                await page(client)
        began = clock.slept
        other = ExchangeClient(api.settings(), on_pause=lambda *what: told.append(what), **given)
        async with other as client:
            await client.market("BTC-USD")
    assert [(reason, round(pause)) for reason, pause in told] == [
        ("binance has asked to be left alone", held_s)
    ]
    assert clock.slept - began == pytest.approx(held_s, abs=1)


async def test_what_the_safe_point_raises_ends_a_wait():
    calls = 0

    class CalledOffError(Exception):
        pass

    def safe_point():
        nonlocal calls
        calls += bool(api.pages)
        if calls > 5:
            raise CalledOffError

    clock = LeapingClock()
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        api.always = "429:600"
        client = ExchangeClient(
            api.settings(),
            clock=clock,
            rng=np.random.default_rng(1),
            pace=OwnPace(clock),
            safe_point=safe_point,
        )
        async with client:
            with pytest.raises(CalledOffError):
                await page(client)
    assert clock.slept < 60
    assert len(api.pages) == 1


async def test_days_with_candles():
    candles = random_candles(3 * 1440, start_minute=19_783 * 1440)
    kept = np.delete(np.arange(len(candles)), np.s_[1440:2880])
    with exchange_api("coinbase", int(candles.ts[-1]) + MINUTE_US) as api:
        api.list("BTC", "USD", candles[kept])
        async with client_of(api) as client:
            days = await client.trading_days(await client.market("BTC-USD"), int(candles.ts[0]))
    assert days == (int(candles.ts[0]), int(candles.ts[2880]))


async def test_several_clients_at_once_in_real_time():
    """Three clients share a pace; the server sees what all of them asked for, and no more."""
    from tradingai.engine.core.clock import RealClock

    clock = RealClock()
    pace = OwnPace(clock)
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)

        async def ask(seed):
            client = ExchangeClient(api.settings(), clock=clock, rng=np.random.default_rng(seed), pace=pace)
            async with client:
                return [await page(client) for _ in range(4)]

        found = await asyncio.gather(*(ask(seed) for seed in range(3)))
        ended = time.monotonic()
    assert [len(pages) for pages in found] == [4, 4, 4]
    taken = ended - api.requests[0].at
    assert sum(request.weight for request in api.requests) <= 6000 / 60 * taken + 60
