"""An exchange as a live feed: the real ccxt, and a loopback server on the test's clock."""

import asyncio
from datetime import timedelta

import pytest
from tradingai.bootstrap import _feed
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import ProviderError, UsageError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.exchange.feed import OVERLAP_MINUTES
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.store.candle_files import DatasetIdentity

from tests.fakes.homes import new_home
from tests.fakes.live import RunningClock
from tests.fakes.live_exchange import (
    BTC,
    COINS,
    ETH,
    NOW,
    NOW_US,
    REAL,
    assert_same,
    expected,
    feed_of,
    listed,
    live_exchange,
    market,
)


@pytest.mark.parametrize("exchange", ["binance", "coinbase", "kraken"])
async def test_one_request_gives_what_has_closed_and_nothing_else(exchange):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock, exchange) as (api, _):
        async with feed_of(api, clock) as feed:
            newest = NOW_US - 20 * MINUTE_US
            for scan in range(4):
                until = datetime_to_us(clock.now())
                found = await feed.closed(BTC, newest, until)
                assert_same(found, expected(BTC, newest, until))
                assert (len(found), len(api.pages)) == (19 if scan == 0 else 2, scan + 1)
                newest = int(found.ts[-1])
                clock.advance(120.4)
            assert feed.told() == []


@pytest.mark.parametrize(("exchange", "pages"), [("binance", 4), ("coinbase", 12)])
async def test_history_is_taken_page_by_page(exchange, pages):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock, exchange) as (api, _):
        async with feed_of(api, clock) as feed:
            after = int(market()[BTC].ts[0]) - MINUTE_US
            found = await feed.closed(BTC, after, NOW_US)
            assert_same(found, expected(BTC, after, NOW_US))
            assert len(api.pages) <= pages


@pytest.mark.parametrize("seconds", [-90, -3, 0, 3, 90])
async def test_a_candle_is_given_once_both_clocks_say_that_it_has_closed(seconds):
    """The open minute moves: whoever took it would have another close."""
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, exchange):
        exchange.seconds = seconds
        async with feed_of(api, clock) as feed:
            newest = NOW_US - 20 * MINUTE_US
            for _ in range(3):
                until = datetime_to_us(clock.now())
                found = await feed.closed(BTC, newest, until)
                assert_same(found, expected(BTC, newest, min(until, exchange())))
                newest = int(found.ts[-1])
                clock.advance(120)
            told = feed.told()
    assert [round(event.ahead_s) for event in told] == ([] if seconds == 0 else [-seconds])


async def test_clocks_that_agree_again_are_told_once():
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, exchange):
        async with feed_of(api, clock) as feed:
            for seconds in (0, 90, 90, 0.5, 0):
                exchange.seconds = seconds
                await feed.closed(BTC, NOW_US - 20 * MINUTE_US, NOW_US)
            assert [round(event.ahead_s) for event in feed.told()] == [-90, 0]


async def test_a_candle_that_closes_in_a_moment_is_waited_for():
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, exchange):
        exchange.seconds = -0.7
        async with feed_of(api, clock) as feed:
            found = await feed.closed(BTC, NOW_US - 3 * MINUTE_US, NOW_US)
    assert_same(found, expected(BTC, NOW_US - 3 * MINUTE_US, NOW_US))
    assert len(api.pages) == 2
    assert clock.now() - NOW == timedelta(seconds=1)


async def test_an_exchange_whose_answers_carry_no_time_is_asked_for_it_first():
    clock = RunningClock(NOW)
    with live_exchange(market(), clock, dated=False) as (api, exchange):
        exchange.seconds = -90
        async with feed_of(api, clock) as feed:
            found = await feed.closed(BTC, NOW_US - 5 * MINUTE_US, NOW_US)
            assert_same(found, expected(BTC, NOW_US - 5 * MINUTE_US, exchange()))
            paths = [request.path.rpartition("/")[2] for request in api.requests]
            assert paths == ["exchangeInfo", "klines", "time", "klines"]


async def test_a_revision_and_a_late_candle_are_told_once_and_change_nothing_that_was_given():
    clock = RunningClock(NOW)
    revised, late = NOW_US - MINUTE_US, NOW_US - 2 * MINUTE_US
    with live_exchange(market(), clock) as (api, _):
        listed(api, BTC).revisions[revised] = (NOW_US + 90_000_000, 1.001)
        listed(api, BTC).hidden[late] = NOW_US + 200_000_000
        async with feed_of(api, clock) as feed:
            first = await feed.closed(BTC, NOW_US - 5 * MINUTE_US, NOW_US)
            wanted = expected(BTC, NOW_US - 5 * MINUTE_US, NOW_US)
            assert_same(first, wanted[wanted.ts != late])
            told = []
            for _ in range(3):
                clock.advance(120)
                until = datetime_to_us(clock.now())
                assert_same(
                    await feed.closed(BTC, until - 3 * MINUTE_US, until),
                    expected(BTC, until - 3 * MINUTE_US, until),
                )
                told.append(feed.told())
    (change,), (came,), nothing = told
    assert (change.count, change.total, came.count, came.total) == (1, 1, 1, 2)
    assert change.largest_bps == pytest.approx(10.0)
    assert (came.largest_bps, came.first) == (0.0, "2023-03-12T05:58:00Z")
    assert nothing == []


@pytest.mark.parametrize("damage", ["twice", "early"])
async def test_rows_that_overlap_are_given_once(damage):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        api.always = damage
        async with feed_of(api, clock) as feed:
            after = NOW_US - 20 * MINUTE_US
            assert_same(await feed.closed(BTC, after, NOW_US), expected(BTC, after, NOW_US))


@pytest.mark.parametrize("damage", ["nulls", "words", "off"])
async def test_a_row_without_its_numbers_is_not_given_and_told(damage):
    clock = RunningClock(NOW)
    after = NOW_US - 40 * MINUTE_US
    with live_exchange(market(), clock) as (api, _):
        for minute in range(OVERLAP_MINUTES):  # the third row is to be one that is asked for
            listed(api, BTC).hidden[after - minute * MINUTE_US] = NOW_US + 1
        api.always = damage
        async with feed_of(api, clock) as feed:
            found = await feed.closed(BTC, after, NOW_US)
            (told,) = feed.told()
    wanted = expected(BTC, after, NOW_US)
    assert_same(found, wanted[wanted.ts != after + 3 * MINUTE_US])
    assert (told.symbol, told.count) == (BTC, 1)


async def test_stored_candles_come_first_and_are_not_asked_for():
    clock = RunningClock(NOW)
    edge = NOW_US - 30 * MINUTE_US

    async def stored(symbol, after_us, until_us):
        candles = market()[symbol]
        return candles[(candles.ts > after_us) & (candles.ts <= min(edge, until_us))]

    with live_exchange(market(), clock) as (api, _):
        async with feed_of(api, clock, stored) as feed:
            after = int(market()[BTC].ts[0])
            assert_same(await feed.closed(BTC, after, NOW_US), expected(BTC, after, NOW_US))
            (page,) = api.pages
            assert int(page.query["startTime"]) * 1000 == edge + MINUTE_US - OVERLAP_MINUTES * MINUTE_US


@pytest.mark.parametrize("hours", [11, 13])
async def test_kraken_does_not_bridge_more_than_it_serves(hours):
    clock = RunningClock(NOW)
    edge = NOW_US - hours * 60 * MINUTE_US

    async def stored(symbol, after_us, _until_us):
        candles = market()[symbol]
        return candles[(candles.ts > after_us) & (candles.ts <= edge)]

    with live_exchange(market(), clock, "kraken") as (api, _):
        async with feed_of(api, clock, stored) as feed:
            found = await feed.closed(BTC, int(market()[BTC].ts[0]), NOW_US)
            told = feed.told()
    if hours == 11:
        assert_same(found, expected(BTC, int(market()[BTC].ts[0]), NOW_US))
        assert told == []
    else:
        assert_same(found, expected(BTC, NOW_US - 720 * MINUTE_US, NOW_US))
        (event,) = told
        assert "60 minutes before the 720 that kraken serves" in event.reason


async def test_what_was_given_is_looked_at_again_for_a_few_minutes_only():
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with feed_of(api, clock) as feed:
            newest = NOW_US - 20 * MINUTE_US
            for _ in range(3):
                until = datetime_to_us(clock.now())
                newest = int((await feed.closed(BTC, newest, until)).ts[-1])
                clock.advance(120)
            last = int(api.pages[-1].query["startTime"]) * 1000
            assert last == NOW_US + 2 * MINUTE_US - OVERLAP_MINUTES * MINUTE_US
            assert len(feed._given[BTC]) == 2 * OVERLAP_MINUTES


async def test_the_market_has_to_be_the_one_whose_candles_are_stored(tmp_path):
    clock = RunningClock(NOW)
    home = new_home(tmp_path / "home")
    origin = DatasetIdentity("ccxt", None, None, {"exchange": "binance", "market_symbol": "BTC/USDC"})
    store_cleaned(home, BTC, clean(REAL[:100]), origin, SilentReporter(), RealClock(), 0.0)
    with live_exchange(market(), clock) as (api, _):
        feed = _feed(home, api.settings(symbols=COINS), clock)
        try:
            with pytest.raises(UsageError, match=r"BTC-USD is BTC/USDT at binance, .* are of BTC/USDC"):
                await feed.closed(BTC, NOW_US - 5 * MINUTE_US, NOW_US)
        finally:
            await feed.close()


async def test_a_scan_does_not_wait_as_long_as_an_exchange_asks_for(tmp_path):
    """It says so at once, and nobody asks again before the time is over."""
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        feed = _feed(new_home(tmp_path / "home"), api.settings(symbols=COINS), clock)
        api.script.append("429:30")
        try:
            with pytest.raises(ProviderError, match="asks to wait 30 s"):
                await feed.closed(BTC, NOW_US - 5 * MINUTE_US, NOW_US)
            with pytest.raises(ProviderError, match=r"left alone: .* in (29|30) s"):
                await feed.closed(ETH, NOW_US - 5 * MINUTE_US, NOW_US)
            assert (clock.now() - NOW).total_seconds() < 2
            assert len(api.pages) == 1
            clock.advance(31)
            assert len(await feed.closed(ETH, NOW_US - 5 * MINUTE_US, NOW_US)) == 4
        finally:
            await feed.close()


async def test_a_feed_that_is_made_in_a_thread_works_in_the_loop(tmp_path):
    """The console makes it beside its event loop: ccxt takes a second to import."""
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        feed = await asyncio.to_thread(_feed, new_home(tmp_path / "home"), api.settings(symbols=COINS), clock)
        try:
            assert_same(
                await feed.closed(BTC, NOW_US - 5 * MINUTE_US, NOW_US),
                expected(BTC, NOW_US - 5 * MINUTE_US, NOW_US),
            )
        finally:
            await feed.close()
