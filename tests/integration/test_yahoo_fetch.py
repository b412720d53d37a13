"""Fetches from Yahoo into datasets: whole, resumed, refused; and ``tradingai data fetch`` as it is typed."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from tradingai.bootstrap import open_engine
from tradingai.cli import work
from tradingai.cli.main import main
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import DataError, MissingError, UsageError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.providers import yahoo
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.fetching import fetch_candles
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.manifests import read_dataset_manifest

from tests.fakes.fetching import check_stored
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.live_exchange import moved
from tests.fakes.random_candles import random_candles
from tests.fakes.yahoo_api import fresh_yfinance, loopback_session, yahoo_api

BTC = "BTC-USD"
DAY = DAY_MINUTES * MINUTE_US
NOW = datetime(2025, 11, 10, 1, 0, tzinfo=UTC)
DAYS = 20
FIRST = datetime_to_us(NOW) - DAYS * DAY
CANDLES = random_candles(DAYS * DAY_MINUTES, seed=3, start_minute=FIRST // MINUTE_US)
CANDLES.volume[:] = np.floor(CANDLES.volume)
LAST = int(CANDLES.ts[-31])
"""The newest one that is half an hour old."""


@pytest.fixture
def api(monkeypatch):
    fresh_yfinance()
    with yahoo_api(LeapingClock(NOW), {BTC: CANDLES}) as server:
        monkeypatch.setattr(yahoo, "browser_session", lambda _proxy: loopback_session(server.port))
        yield server
        assert not server.odd
    fresh_yfinance()


@pytest.fixture
def paths(tmp_path):
    return new_home(tmp_path / "home")


def fetch(paths, start_us=FIRST, end_us=None, symbol=BTC, **how):
    settings = plain_settings(provider_retries=how.pop("retries", 1))
    return fetch_candles(
        paths, settings, symbol, "yfinance", None,
        None if start_us is None else us_to_datetime(start_us),
        None if end_us is None else us_to_datetime(end_us),
        SilentReporter(), clock=LeapingClock(NOW), **how,
    )  # fmt: skip


def until(last_us):
    return CANDLES[CANDLES.ts <= last_us]


def test_twenty_days_in_three_requests(paths, api):
    found = fetch(paths)
    assert len(api.asked) == 3
    assert found.warning == yahoo.VOLUME_WARNING
    check_stored(paths, until(LAST))
    manifest = read_dataset_manifest(paths, BTC)
    assert (manifest.provider, manifest.synthetic, manifest.market) == ("yfinance", False, None)
    assert manifest.parameters["market_symbol"] == BTC
    assert manifest.parameters["volume"] == yahoo.VOLUME
    assert fetch(paths).fetched.new == 0
    assert len(api.asked) == 3


def test_a_failure_keeps_the_pages_before_it(paths, api):
    api.script.extend(["ok", "html", "html"])
    with pytest.raises(DataError, match="from 2025-10-28 01:00 to 2025-11-04 01:00"):
        fetch(paths)
    asked = len(api.asked)
    fetch(paths)
    assert [begin * 1_000_000 - FIRST for _, begin, _ in api.asked[asked:]] == [7 * DAY, 14 * DAY]
    check_stored(paths, until(LAST))


def test_what_is_stored_is_continued_and_never_asked_for_again(paths, api):
    fetch(paths, end_us=FIRST + 2 * DAY - MINUTE_US)
    fetch(paths, None)
    assert [begin * 1_000_000 - FIRST for _, begin, _ in api.asked] == [0, 2 * DAY, 9 * DAY, 16 * DAY]
    check_stored(paths, until(LAST))


def test_history_that_yahoo_no_longer_has_is_kept_where_it_is_stored(paths, api):
    fetch(paths, end_us=FIRST + 15 * DAY - MINUTE_US)
    later = NOW + timedelta(days=12)
    api.clock.slept = 12 * 86_400
    more = moved(CANDLES, 12 * DAY_MINUTES)
    api.market[BTC] = more_of(more)
    fetch_candles(
        paths, plain_settings(), BTC, "yfinance", None, us_to_datetime(FIRST), None, SilentReporter(),
        clock=LeapingClock(later),
    )  # fmt: skip
    assert read_dataset_manifest(paths, BTC).start == us_to_datetime(FIRST)


def more_of(later):
    """The candles, and after them others up to a later time."""
    rest = later[later.ts > CANDLES.ts[-1]]
    return type(rest).concatenate([CANDLES, rest])


def test_a_start_before_yahoos_history_stores_nothing_and_names_the_earliest(paths, api):
    with pytest.raises(UsageError, match="last 30 days only") as refused:
        fetch(paths, datetime_to_us(NOW) - 31 * DAY)
    assert "Begin at 2025-10-11T02:00Z or later" in refused.value.remedy
    assert not api.requests
    with pytest.raises(MissingError):
        read_dataset_manifest(paths, BTC)


def test_gaps_are_counted_and_filled_and_nulls_are_no_prices(paths, api):
    holes = np.ones(len(CANDLES), dtype=bool)
    holes[[100, 101, 5000]] = False
    api.market[BTC] = CANDLES[holes]
    api.always = "nulls"
    fetch(paths)
    quality = read_dataset_manifest(paths, BTC).quality
    assert (quality["non_finite"], quality["filled"], quality["gaps"]) == (3, 6, 5)


def test_candles_of_an_exchange_are_not_overwritten_unasked(paths, api):
    origin = DatasetIdentity("ccxt", None, None, {"exchange": "binance"})
    store_cleaned(paths, BTC, clean(CANDLES[:100]), origin, SilentReporter(), RealClock(), 0.0)
    with pytest.raises(UsageError, match="100 candles of provider ccxt"):
        fetch(paths)
    assert not api.requests
    fetch(paths, replace=True)
    check_stored(paths, until(LAST))


def test_a_delisted_symbol_stores_nothing(paths, api):
    with pytest.raises(MissingError, match="no candles of XYZ-USD"):
        fetch(paths, symbol="XYZ-USD")


# -------------------------------------------------------------------------------- the command line


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """The command line here, its workers in processes of their own with Yahoo on loopback."""
    opened = partial(open_engine, worker_module="tests.fakes.yahoo_worker")
    monkeypatch.setattr(work, "open_engine", opened)

    def call(port, *arguments):
        monkeypatch.setenv("YAHOO_PORT", str(port))
        status = main(["--home", str(tmp_path / "home"), "data", *arguments])
        return status, *capsys.readouterr()

    return call


def test_two_coins_at_once_are_fetched_listed_and_labelled(typed, tmp_path):
    clock = RealClock()
    now_us = datetime_to_us(clock.now()) // MINUTE_US * MINUTE_US
    btc = moved(CANDLES, (now_us - int(CANDLES.ts[-1])) // MINUTE_US)
    start = iso_z(us_to_datetime(int(btc.ts[0])))
    arguments = ("fetch", "--provider", "yfinance", "--symbols", "BTC,ETH", "--start", start)
    with yahoo_api(clock, {BTC: btc, "ETH-USD": moved(btc, 0, 0.07)}) as api:
        status, out, err = typed(api.port, *arguments, "--json")
        assert (status, api.odd) == (0, []), err
        assert len(api.asked) == 6
        refused, _, words = typed(api.port, "fetch", "--provider", "yfinance", "--start", "2020-01-01")
    listed = json.loads(out)
    assert [(item["symbol"], item["provider"]) for item in listed] == [
        (BTC, "yfinance"), ("ETH-USD", "yfinance"),
    ]  # fmt: skip
    end = datetime_to_us(datetime.fromisoformat(listed[0]["end"]))
    assert 30 * MINUTE_US <= now_us - end <= 33 * MINUTE_US
    check_stored(HomePaths(tmp_path / "home"), btc[btc.ts <= end])
    assert yahoo.VOLUME_WARNING in err
    assert refused == 2
    assert "last 30 days only; 2020-01-01T00:00Z is earlier" in words
    _, out, _ = typed(api.port, "list")
    assert "yfinance" in out
    data = tmp_path / "home" / "data"
    assert any(path.is_file() for path in (data / "yfinance").rglob("*"))
    assert [str(path) for path in data.rglob("*") if path.lstat().st_mode & 0o077] == []
