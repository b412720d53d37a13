"""The scan loop on an exchange's candles: the real ccxt, and a loopback server on the test's clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from tradingai.bootstrap import _feed
from tradingai.cli.main import main
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import ProviderError, UsageError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import decisions_sha256
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.exchange.feed import OVERLAP_MINUTES
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.runtime.compaction import LivePaths, Upkeep
from tradingai.engine.runtime.replay import plan_replay, read_inputs, replay
from tradingai.engine.store.candle_files import DatasetIdentity, read_candles, verify_dataset

from tests.fakes.command_line import tradingai
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.live import RunningClock, promote, sure_artifact
from tests.fakes.live_exchange import Followed, feed_of, listed, live_exchange, moved
from tests.fakes.real_candles import real_candles

REAL = real_candles()
BTC, ETH = "BTC-USD", "ETH-USD"
NOW = datetime(2023, 3, 12, 6, 0, 0, tzinfo=UTC)
NOW_US = datetime_to_us(NOW)


@cache
def market():
    """BTC as it was; another coin with the same hours seven hours later, and at another price."""
    later = moved(REAL, 420, 0.07)
    return {BTC: REAL[REAL.ts >= later.ts[0]], ETH: later[later.ts <= REAL.ts[-1]]}


def expected(symbol, after_us, until_us) -> Candles:
    candles = market()[symbol]
    return candles[(candles.ts > after_us) & (candles.ts + MINUTE_US <= until_us)]


def assert_same(found, wanted):
    for name, column in wanted.columns().items():
        np.testing.assert_array_equal(found.columns()[name], column, err_msg=name)


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


# ------------------------------------------------------------------------------------ the scan loop


COINS = (BTC, ETH)
SCANS = 60
TWO = Followed(market())


async def test_two_hours_live_are_recomputed_and_replayed_to_the_same_decisions(tmp_path):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(SCANS)
            found = await TWO.verified(bench)
            assert (found.decisions, found.scans) == (2 * SCANS, SCANS)
            live = await TWO.decided(bench)
            await TWO.assert_only_closed_candles(bench, api)
            # four pages of history a coin, then one request a coin and scan
            assert len(api.pages) == len(COINS) * (SCANS - 1 + 4)
            reporter, settings = SilentReporter(), plain_settings(symbols=COINS)
            for symbol in COINS:
                store_cleaned(
                    bench.paths, symbol, clean(market()[symbol]), TWO.origin, reporter, RealClock(), 0.0
                )
            plan = plan_replay(bench.paths, COINS, 2, clock.now(), 120)
            inputs = read_inputs(bench.paths, settings, plan)
            document = await replay(bench.store, settings, inputs, reporter, RealClock())
            again = await TWO.decided(bench, document["run"])
    assert len(again) == len(live) == 2 * SCANS
    assert sum(one.signal is not None for one in live) > 3
    assert document["synthetic"] is False
    # the first scan of a live run is given all history, that of a replay what came since the scan before
    assert decisions_sha256(live[2:]) == decisions_sha256(again[2:])
    for mine, other in zip(live[:2], again[:2], strict=True):
        assert (mine.p_up, mine.reason, mine.candle_us) == (other.p_up, other.reason, other.candle_us)


HEALS = ("500", "drop", "html", "cut", "429", "empty", "{}", "busy", "none", "notime", "502")


async def test_faults_that_heal_within_a_scan_lose_no_signal(tmp_path):
    """Every answer of the first scans fails once or twice before it comes; the decisions are the same."""
    made = []
    for name, faults in (("clean", ()), ("faulted", HEALS)):
        clock = RunningClock(NOW)
        with live_exchange(market(), clock) as (api, _):
            for fault in faults:
                api.script.extend([fault, "ok", fault, fault, "ok"])
            async with TWO.scanning(tmp_path / name, clock, api) as bench:
                await bench.scan(SCANS // 2)
                assert not api.script
                assert await bench.events("FeedFailed", "CandlesRevised", "CandlesCleaned") == []
                await TWO.assert_only_closed_candles(bench, api)
                made.append(await TWO.decided(bench))
    assert sum(one.signal is not None for one in made[0]) > 1
    assert decisions_sha256(made[0]) == decisions_sha256(made[1])


async def test_an_outage_is_told_and_the_next_answer_fills_the_gap(tmp_path):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(5)
            api.always = "502"
            await bench.scan(5)
            assert (await bench.reasons())[-5:] == ["no_new_candle"] * 5
            api.always = "ok"
            await bench.scan(20)
            failed, recovered = await bench.events("FeedFailed"), await bench.events("FeedRecovered")
            assert (
                {event["symbol"] for event in failed}
                == {event["symbol"] for event in recovered}
                == set(COINS)
            )
            assert "binance answered HTTP 502" in failed[0]["reason"]
            assert await bench.events("CandlesCleaned") == []
            await TWO.assert_only_closed_candles(bench, api)
            await TWO.verified(bench)


async def test_a_coin_that_is_halted_does_not_silence_the_others(tmp_path):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(2)
            listed(api, ETH).candles = market()[ETH][market()[ETH].ts < NOW_US]
            await bench.scan(4)
            assert (await bench.reasons(ETH))[-4:] == ["no_new_candle"] * 4
            assert "no_new_candle" not in await bench.reasons(BTC)
            await TWO.verified(bench)


@pytest.mark.parametrize("seconds", [-90, 90])
async def test_a_clock_that_is_off_brings_no_open_candle_into_a_decision(tmp_path, seconds):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, exchange):
        exchange.seconds = seconds
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(10)
            (told,) = await bench.events("ProviderClockDiffers")
            assert told["ahead_s"] == pytest.approx(-seconds, abs=1)
            await TWO.assert_only_closed_candles(bench, api)
            rows = await bench.decisions()
            behind = timedelta(minutes=2 if seconds < 0 else 0)
            assert {row.at - row.candle for row in rows} == {timedelta(minutes=1) + behind}
            await TWO.verified(bench)


async def test_a_candle_that_is_revised_later_stays_what_was_decided_on(tmp_path):
    clock = RunningClock(NOW)
    revised = NOW_US + MINUTE_US
    with live_exchange(market(), clock) as (api, _):
        listed(api, BTC).revisions[revised] = (NOW_US + 3 * MINUTE_US, 1.01)
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(10)
            (told,) = await bench.events("CandlesRevised")
            assert (told["symbol"], told["count"], round(told["largest_bps"])) == (BTC, 1, 100)
            await TWO.assert_only_closed_candles(bench, api)
            await TWO.verified(bench)


async def test_a_missing_minute_is_filled_and_what_comes_late_for_it_is_told(tmp_path):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        listed(api, BTC).hidden[NOW_US] = NOW_US + 5 * MINUTE_US
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(6)
            (cleaned,) = await bench.events("CandlesCleaned")
            assert cleaned["detail"] == "1 minutes filled flat"
            (told,) = await bench.events("CandlesRevised")
            assert (told["first"], told["largest_bps"]) == ("2023-03-12T06:00:00Z", 0.0)
            await TWO.verified(bench)


async def test_an_answer_that_does_not_come_is_given_up_and_the_next_one_is_taken(tmp_path):
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with TWO.scanning(tmp_path / "home", clock, api, timeout_s=0.3) as bench:
            await bench.scan(2)
            api.script.extend(["slow:0.5", "slow:0.5"])
            await bench.scan(1)
            assert {event["reason"] for event in await bench.events("FeedFailed")} == {
                "no answer within 0.3 s"
            }
            await bench.scan(2)
            await TWO.assert_only_closed_candles(bench, api)
            await TWO.verified(bench)


async def test_a_complete_day_goes_into_the_yearly_file_as_it_was_first_given(tmp_path):
    evening = datetime(2023, 3, 11, 23, 50, tzinfo=UTC)
    clock, midnight = RunningClock(evening), datetime(2023, 3, 12, tzinfo=UTC)
    with live_exchange(market(), clock) as (api, _):
        revised = datetime_to_us(evening) + 3 * MINUTE_US
        listed(api, BTC).revisions[revised] = (revised + 2 * MINUTE_US, 1.01)
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            work = Upkeep(bench.store, bench.begun.run, bench.paths, clock, feed=bench.feed, keep_days=30)
            await bench.scan(3)
            assert await work() == ()
            await bench.scan(4)
            assert {event.symbol for event in await work()} == set(COINS)
            paths = LivePaths(bench.paths.root, bench.feed.identity)
            assert paths.candles == bench.paths.data / "live" / "ccxt-binance"
            for symbol in COINS:
                manifest = verify_dataset(paths, symbol)
                assert (manifest.provider, manifest.synthetic) == ("ccxt", False)
                assert manifest.parameters["exchange"] == "binance"
                assert manifest.end == midnight - timedelta(minutes=1)
                stored = read_candles(paths, symbol)
                assert_same(stored, expected(symbol, int(stored.ts[0]) - MINUTE_US, datetime_to_us(midnight)))


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


# -------------------------------------------------------------------------------- the command line


def test_run_follows_the_exchange_and_every_decision_is_verified(tmp_path):
    """The candles of 2023, moved so that they go by now."""
    clock = RealClock()
    now_us = datetime_to_us(clock.now())
    going_by = moved(REAL, (now_us - int(REAL.ts[-60])) // MINUTE_US)
    home = new_home(tmp_path / "home")
    promote(home, clock, sure_artifact())
    with live_exchange({BTC: going_by}, clock) as (api, _):
        environment = {**api.environment, "SYMBOLS": BTC}
        done = tradingai(home.root, "run", "--interval", "1", "--scans", "2", "--json", **environment)
        assert (done.status, api.odd) == (0, []), done.err
        assert done.document["run_by_reason"].get("emitted") == 1
        asked = len(api.pages)
        checked = tradingai(home.root, "observe", "verify", "--json", **environment)
        assert (checked.status, len(api.pages)) == (0, asked), checked.err
    assert (checked.document["decisions"], checked.document["identical"]) == (2, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DATA_PROVIDER": "yfinance"}, "the newest holds the live price"),
        ({"DATA_PROVIDER": "file"}, "a file does not go on"),
        ({"DATA_PROVIDER": "ccxt"}, "are of ccxt kraken, live ones would be of ccxt binance"),
        ({"DATA_PROVIDER": "ccxt", "EXCHANGE": "nowhere"}, "nowhere"),
        ({}, "are of provider ccxt, live ones would be synthetic"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_the_first_scan(
    tmp_path, capsys, monkeypatch, settings, words
):
    home = new_home(tmp_path / "home")
    origin = DatasetIdentity("ccxt", None, None, {"exchange": "kraken", "market_symbol": "BTC/USD"})
    store_cleaned(home, BTC, clean(REAL), origin, SilentReporter(), RealClock(), 0.0)
    for name, value in {"SYMBOLS": BTC, **settings}.items():
        monkeypatch.setenv(name, value)
    assert main(["--home", str(home.root), "run", "--scans", "1"]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")
