"""History from exchanges on loopback: what is stored, how often is asked, and what malformed answers do."""

import math
from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.errors import InterruptedRunError, ProviderError, UsageError
from tradingai.engine.core.events import FetchDelayed
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.store.candle_files import read_candles
from tradingai.engine.store.manifests import read_dataset_manifest

from tests.fakes.exchange_api import exchange_api
from tests.fakes.fetching import check_stored, fetch, minutes_later
from tests.fakes.homes import new_home
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.loopback_only import loopback_only
from tests.fakes.random_candles import random_candles, store_candles
from tests.fakes.real_candles import real_candles

REAL = real_candles()
FIRST, LAST = int(REAL.ts[0]), int(REAL.ts[-1])
NOW = LAST + 30_000_000
"""The last candle is open."""
CLOSED = REAL[:-1]
PAGES = {"binance": 1000, "coinbase": 300}


@pytest.fixture(autouse=True)
def guarded():
    """Nothing here reaches any other machine."""
    with loopback_only():
        yield


@pytest.fixture
def paths(tmp_path):
    return new_home(tmp_path / "home")


def listed(api, candles=REAL, **more):
    return api.list("BTC", "USDT" if api.exchange == "binance" else "USD", candles, **more)


@pytest.mark.parametrize("exchange", [*PAGES, "coinbaseexchange"])
def test_what_is_stored_are_the_closed_candles_in_as_few_requests_as_can_be(paths, exchange):
    reporter = SilentReporter()
    with exchange_api(exchange, NOW) as api:
        listed(api)
        found = fetch(paths, api, FIRST, reporter=reporter)
    check_stored(paths, CLOSED)
    manifest = found.fetched.manifest
    market = "BTC/USDT" if exchange == "binance" else "BTC/USD"
    assert (manifest.provider, manifest.exchange, manifest.market_symbol) == ("ccxt", exchange, market)
    assert manifest.parameters["host"] == api.url
    assert not manifest.synthetic
    assert manifest.market is None
    assert len(api.pages) == math.ceil(len(CLOSED) / PAGES.get(exchange, 300))
    asked = {"binance": 2, "coinbase": 6, "coinbaseexchange": 3}
    assert len(api.requests) - len(api.pages) == asked[exchange]
    assert api.odd == []
    assert reporter.last_progress.total == len(CLOSED)
    assert type(reporter.events[-1]).__name__ == "CandlesStored"
    assert not (paths.data / "fetched" / f"BTC-USD.ccxt-{exchange}-{market.replace('/', '')}").exists()


@pytest.mark.parametrize("exchange", PAGES)
def test_the_same_command_again_asks_only_for_what_is_new(paths, exchange):
    now = minutes_later(FIRST, 3000) + 10_000_000
    with exchange_api(exchange, lambda: now) as api:
        listed(api)
        fetch(paths, api, FIRST)
        before = len(api.pages)
        again = fetch(paths, api, FIRST)
        assert (again.fetched.new, len(api.pages)) == (0, before)
        now = minutes_later(FIRST, 3100) + 10_000_000
        fetch(paths, api, None)
        assert len(api.pages) == before + 1
    check_stored(paths, REAL[:3100])


@pytest.mark.parametrize("exchange", PAGES)
def test_earlier_later_and_distant_ranges_end_in_one_dataset_without_a_hole(paths, exchange):
    at = [minutes_later(FIRST, minute) for minute in (0, 700, 1500, 2200, 2900, 4000)]
    with exchange_api(exchange, NOW) as api:
        listed(api)
        fetch(paths, api, at[1], at[2])
        check_stored(paths, REAL[700:1501])
        fetch(paths, api, at[3], at[4])
        check_stored(paths, REAL[700:2901])
        fetch(paths, api, at[0], at[0])
        check_stored(paths, REAL[:2901])
        fetch(paths, api, at[5])
        check_stored(paths, CLOSED)
        least = math.ceil(len(CLOSED) / PAGES[exchange])
        assert least <= len(api.pages) <= least + 4


def with_flaws(candles: Candles) -> Candles:
    """Holes, prices below zero, a volume below zero and bars whose high and low do not hold."""
    rng = np.random.default_rng(5)
    kept = np.sort(rng.choice(len(candles), len(candles) - 400, replace=False))
    kept = kept[(kept < 900) | (kept > 1100)]
    close, high, volume = candles.close[kept], candles.high[kept], candles.volume[kept]
    close[50], high[60], volume[70], close[-40] = -1.0, high[60] / 2, -3.0, 0.0
    return Candles(candles.ts[kept], candles.open[kept], high, candles.low[kept], close, volume)


@pytest.mark.parametrize("exchange", PAGES)
def test_flaws_are_cleaned_and_counted_the_same_however_many_fetches_it_took(paths, exchange):
    flawed = with_flaws(REAL)
    now = NOW
    with exchange_api(exchange, lambda: now) as api:
        listed(api, flawed)
        for minute in (301, 950, 1000, 1999):
            fetch(paths, api, FIRST + 60 * MINUTE_US, minutes_later(FIRST, minute))
        fetch(paths, api, FIRST)
    check_stored(paths, flawed[flawed.ts < LAST])
    assert read_dataset_manifest(paths, "BTC-USD").quality["filled"] > 500


def test_a_coin_without_trades_for_days_before_and_after_its_listing_takes_few_requests(paths):
    """Coinbase has no row for a minute without a trade: the days with candles say where there is nothing."""
    whole = random_candles(60 * DAY_MINUTES, start_minute=19_000 * DAY_MINUTES)
    day = (np.arange(len(whole)) // DAY_MINUTES).astype(int)
    minute = np.arange(len(whole)) % DAY_MINUTES
    traded = whole[((day == 40) & (minute >= 700) & (minute < 1000)) | (day >= 57)]
    with exchange_api("coinbase", int(whole.ts[-1]) + MINUTE_US) as api:
        listed(api, traded)
        fetch(paths, api, int(whole.ts[0]))
        requests = len(api.requests)
        fetch(paths, api, int(whole.ts[0]))
    check_stored(paths, traded)
    assert requests < 36
    assert len(api.requests) - requests == 6
    assert api.odd == []


def test_binance_begins_where_the_coin_was_listed(paths):
    with exchange_api("binance", NOW) as api:
        listed(api, REAL[2000:])
        fetch(paths, api, FIRST - 100_000 * MINUTE_US)
        assert len(api.pages) == math.ceil((len(CLOSED) - 2000) / 1000)
        fetch(paths, api, FIRST - 100_000 * MINUTE_US)
        assert len(api.pages) == math.ceil((len(CLOSED) - 2000) / 1000)
        fetch(paths, api, FIRST - 200_000 * MINUTE_US)
        assert len(api.pages) == math.ceil((len(CLOSED) - 2000) / 1000) + 1
    check_stored(paths, REAL[2000:-1])


def test_nothing_was_traded_in_the_range(paths):
    with exchange_api("coinbase", NOW) as api:
        listed(api, REAL[2000:])
        with pytest.raises(
            UsageError, match="no candles of BTC-USD from 2023-03-09 12:00 to 2023-03-09 13:40"
        ):
            fetch(paths, api, FIRST, minutes_later(FIRST, 100))


def test_kraken_gives_its_newest_candles_and_says_that_it_has_no_others(paths):
    with exchange_api("kraken", NOW) as api:
        listed(api)
        start = minutes_later(LAST, -719)
        with pytest.raises(
            UsageError, match=r"kraken serves only its newest 720 .* from 2023-03-12 00:00 on"
        ):
            fetch(paths, api, start - MINUTE_US)
        assert api.pages == []
        fetch(paths, api, start)
        assert len(api.pages) == 1
    check_stored(paths, REAL[-720:-1])


def test_kraken_goes_on_while_the_hole_is_short_enough(paths):
    now = minutes_later(FIRST, 1000)
    with exchange_api("kraken", lambda: now) as api:
        listed(api)
        fetch(paths, api, minutes_later(FIRST, 500))
        now = minutes_later(FIRST, 1600)
        fetch(paths, api, None)
        check_stored(paths, REAL[500:1600])
        now = minutes_later(FIRST, 2600)
        with pytest.raises(UsageError, match="kraken serves only"):
            fetch(paths, api, None)
    check_stored(paths, REAL[500:1600])


HARMLESS = (
    "html", "empty", "null", "{}", "none", "cut", "notime", "nulls", "words", "short", "all-nulls", "twice",
    "early", "part", "busy", "429:3",
)  # fmt: skip


@pytest.mark.parametrize("exchange", PAGES)
def test_malformed_answers_on_the_way_change_nothing_that_is_stored(paths, exchange):
    with exchange_api(exchange, NOW) as api:
        listed(api)
        api.on = {2 + 3 * index: fault for index, fault in enumerate(HARMLESS) if fault != "part"}
        if exchange == "binance":
            api.on[1] = "part"
        while api.on and max(api.on) >= 14 and exchange == "binance":
            api.on.pop(max(api.on))
        fetch(paths, api, FIRST)
        assert api.odd == []
    stored = read_candles(paths, "BTC-USD")
    for name, column in stored.columns().items():
        np.testing.assert_array_equal(column, CLOSED.columns()[name], err_msg=name)


@pytest.mark.parametrize("fault", HARMLESS)
def test_each_malformed_answer_of_binance_is_survived(paths, fault):
    with exchange_api("binance", NOW) as api:
        listed(api)
        api.on = {1: fault}
        fetch(paths, api, FIRST, minutes_later(FIRST, 2499))
    stored = read_candles(paths, "BTC-USD")
    for name, column in stored.columns().items():
        np.testing.assert_array_equal(column, REAL[:2500].columns()[name], err_msg=name)


@pytest.mark.parametrize("exchange", PAGES)
@pytest.mark.parametrize("fault", ["nulls", "words", "off"])
def test_a_candle_that_stays_unreadable_is_a_counted_gap(paths, exchange, fault):
    with exchange_api(exchange, NOW) as api:
        listed(api)
        api.always = fault
        fetch(paths, api, FIRST, minutes_later(FIRST, 899))
        pages = math.ceil(900 / PAGES[exchange])
    stored, quality = read_candles(paths, "BTC-USD"), read_dataset_manifest(paths, "BTC-USD").quality
    bad = np.array([index * PAGES[exchange] + 2 for index in range(pages)])
    assert (quality["non_finite"], quality["filled"], quality["rows_in"]) == (pages, pages, 900)
    np.testing.assert_array_equal(stored.close[bad], REAL.close[bad - 1])
    np.testing.assert_array_equal(np.delete(stored.close, bad), np.delete(REAL.close[:900], bad))


def test_a_failure_keeps_what_came_and_says_where_it_stopped(paths):
    with exchange_api("binance", NOW) as api:
        listed(api)
        api.on = dict.fromkeys(range(2, 20), "418:259200")
        with pytest.raises(ProviderError) as caught:
            fetch(paths, api, FIRST)
        assert caught.value.message.startswith(
            "fetch of BTC-USD stopped at 2023-03-10 21:20: binance answered 418, too many requests"
        )
        assert caught.value.message.endswith("2,000 fetched minutes are kept")
        assert "goes on from there" in caught.value.remedy
        api.on.clear()
        fetch(paths, api, FIRST)
        assert [int(page.query["startTime"]) * 1000 for page in api.pages[3:]] == [
            minutes_later(FIRST, minute) for minute in (2000, 3000, 4000)
        ]
    check_stored(paths, CLOSED)


def test_a_pause_that_takes_long_is_told_with_its_reason(paths):
    reporter = SilentReporter()
    with exchange_api("binance", NOW) as api:
        listed(api)
        api.on = {1: "429:30", 3: "500"}
        fetch(paths, api, FIRST, reporter=reporter)
    (told,) = [event for event in reporter.events if isinstance(event, FetchDelayed)]
    assert told.reason == "binance answered 429, too many requests from this address and asks to wait 30 s"
    assert (told.symbol, told.retry_in_s) == ("BTC-USD", 30.0)


def test_a_request_to_stop_is_obeyed_between_pages(paths):
    class Stops(SilentReporter):
        def safe_point(self):
            if len(api.pages) == 2:
                raise InterruptedRunError("stopped")

    with exchange_api("binance", NOW) as api:
        listed(api)
        with pytest.raises(InterruptedRunError):
            fetch(paths, api, FIRST, reporter=Stops())
        assert len(api.pages) == 2
        fetch(paths, api, FIRST)
        assert len(api.pages) == 5
    check_stored(paths, CLOSED)


def test_a_damaged_page_is_asked_for_again(paths):
    with exchange_api("binance", NOW) as api:
        listed(api)
        api.on = {3: "451"}
        with pytest.raises(ProviderError, match="does not serve this place"):
            fetch(paths, api, FIRST)
        first, second, _ = sorted((paths.data / "fetched").glob("*/*.page"))
        first.write_bytes(first.read_bytes()[:-8])
        second.write_bytes(second.read_bytes()[:-1] + b"x")
        (first.parent / "notes.page").write_text("x")
        fetch(paths, api, FIRST)
        assert len(api.pages) == 8
    check_stored(paths, CLOSED)


def test_damaged_candles_are_fetched_again(paths):
    with exchange_api("binance", NOW) as api:
        listed(api)
        fetch(paths, api, FIRST)
        (file,) = (paths.candles / "BTC-USD").glob("20*.parquet")
        file.write_bytes(b"nothing")
        reporter = SilentReporter()
        fetch(paths, api, FIRST, reporter=reporter)
    check_stored(paths, CLOSED)
    assert "StateRepaired" in {type(event).__name__ for event in reporter.events}


def test_another_exchange_or_market_does_not_overwrite(paths):
    with exchange_api("binance", NOW) as api, exchange_api("coinbase", NOW) as other:
        listed(api)
        listed(other, random_candles(len(REAL), start_minute=FIRST // MINUTE_US))
        fetch(paths, api, FIRST, minutes_later(FIRST, 99))
        with pytest.raises(
            UsageError, match=r"holds 100 candles of binance BTC/USDT .* coinbase BTC/USD would"
        ):
            fetch(paths, other, FIRST, minutes_later(FIRST, 99))
        check_stored(paths, REAL[:100])
        fetch(paths, other, FIRST, minutes_later(FIRST, 49), replace=True)
    assert read_dataset_manifest(paths, "BTC-USD").rows == 50


@pytest.mark.parametrize("here_s", [-7200, 7200])
def test_candles_are_closed_by_both_clocks_and_a_wrong_one_is_named(paths, here_s):
    clock = LeapingClock(us_to_datetime(NOW) + timedelta(seconds=here_s))
    with exchange_api("binance", NOW) as api:
        listed(api)
        found = fetch(paths, api, FIRST, clock=clock)
    last = CLOSED if here_s > 0 else REAL[:-121]
    check_stored(paths, last)
    way = "ahead of" if here_s > 0 else "behind"
    assert found.warning == f"this machine's clock is 7,200 s {way} binance's"


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (None, None, "no candles of BTC-USD to go on from"),
        (NOW + 60 * 60 * 10**6, None, "start .* is not"),
        (FIRST + 1, None, "not a whole minute"),
        (minutes_later(FIRST, 10), FIRST, "end is before start"),
    ],
)
def test_ranges_that_cannot_be(paths, start, end, words):
    with exchange_api("binance", NOW) as api:
        listed(api)
        with pytest.raises(UsageError, match=words):
            fetch(paths, api, start, end)
        assert api.pages == []


def test_unknown_delisted_and_what_is_there_of_another_provider(paths):
    with exchange_api("binance", NOW) as api:
        api.list("ETH", "USDT", REAL, trading=False)
        with pytest.raises(UsageError, match="binance has no market BTC/USD or BTC/USDT or BTC/USDC"):
            fetch(paths, api, FIRST)
        with pytest.raises(UsageError, match="does not trade ETH/USDT now"):
            fetch(paths, api, FIRST, symbol="ETH-USD")
        listed(api)
        store_candles(paths, "BTC-USD", random_candles(500), provider="file", market=None, seed=None)
        with pytest.raises(UsageError, match="of provider file"):
            fetch(paths, api, FIRST)
    assert api.pages == []
