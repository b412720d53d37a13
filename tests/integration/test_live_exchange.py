"""The scan loop on an exchange's candles: the real ccxt, and a loopback server on the test's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from tradingai.cli.main import main
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import Reason, decisions_sha256
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.runtime.compaction import LivePaths, Upkeep
from tradingai.engine.runtime.replay import plan_replay, read_inputs, replay
from tradingai.engine.store.candle_files import DatasetIdentity, read_candles, verify_dataset

from tests.fakes.command_line import tradingai
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.live import RunningClock, promote, sure_artifact
from tests.fakes.live_exchange import (
    BTC,
    COINS,
    ETH,
    NOW,
    NOW_US,
    REAL,
    Followed,
    assert_same,
    expected,
    listed,
    live_exchange,
    market,
    moved,
)

# ------------------------------------------------------------------------------------ the scan loop


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


async def test_an_engine_that_was_away_goes_on_where_it_was(tmp_path):
    """Half an hour without it is asked for at once; what had been given is not taken for revised."""
    clock = RunningClock(NOW)
    with live_exchange(market(), clock) as (api, _):
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            await bench.scan(5)
        clock.advance(1800)
        api.requests.clear()
        async with TWO.scanning(tmp_path / "home", clock, api) as bench:
            assert bench.begun.resumed
            await bench.scan(5)
            assert len(api.pages) == len(COINS) * 5
            assert await bench.events("CandlesRevised", "CandlesRejected", "CandlesCleaned") == []
            await TWO.assert_only_closed_candles(bench, api)
            found = await TWO.verified(bench)
            assert found.scans == 10


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


async def test_a_clock_that_is_off_brings_no_open_candle_into_a_decision_and_loses_no_signal(tmp_path):
    """Behind ours the exchange has each candle for the scan after; ahead of ours nothing changes."""
    found = {}
    for seconds in (0, -90, 90):
        clock = RunningClock(NOW)
        with live_exchange(market(), clock) as (api, exchange):
            exchange.seconds = seconds
            async with TWO.scanning(tmp_path / f"{seconds}", clock, api) as bench:
                await bench.scan(20)
                told = [round(event["ahead_s"]) for event in await bench.events("ProviderClockDiffers")]
                assert told == ([] if seconds == 0 else [-seconds])
                await TWO.assert_only_closed_candles(bench, api)
                rows = await bench.decisions()
                behind = timedelta(minutes=2 if seconds < 0 else 0)
                assert {row.at - row.candle for row in rows} == {timedelta(minutes=1) + behind}
                await TWO.verified(bench)
                made = await TWO.decided(bench)
        found[seconds] = {(one.symbol, one.candle_us): (one.p_up, one.reason) for one in made}
    assert found[90] == found[0]
    shared = found[-90].keys() & found[0].keys()
    assert len(shared) == len(COINS) * 19
    for key in shared:  # the models began a scan later, which a warm-up evens out
        assert found[-90][key][0] == pytest.approx(found[0][key][0], abs=1e-5)
    signals = [key for key in shared if found[0][key][1] is Reason.EMITTED]
    assert len(signals) > 1
    # what is opened a scan later is closed a scan later, and counts towards the hour a scan later
    reasons = {found[-90][key][1] for key in signals}
    assert Reason.EMITTED in reasons
    assert reasons <= {Reason.EMITTED, Reason.POSITION_OPEN, Reason.RATE_LIMITED}


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
