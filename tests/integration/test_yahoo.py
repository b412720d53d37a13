"""Yahoo's one-minute candles through the real yfinance, from a loopback server."""

import asyncio
import socketserver
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import SecretStr
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import DataError, MissingError, ProviderError, UsageError
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.providers import yahoo
from tradingai.engine.providers.yahoo import PAGE_DAYS, YahooHistory

from tests.fakes.homes import plain_settings
from tests.fakes.live import RunningClock
from tests.fakes.real_candles import real_candles
from tests.fakes.yahoo_api import DAMAGES, fresh_yfinance, loopback_curl, loopback_session, yahoo_api

BTC = "BTC-USD"
DAY = DAY_MINUTES * MINUTE_US
NOW = datetime(2023, 3, 11, 12, 0, 19, tzinfo=UTC)
"""Nineteen seconds into a minute."""
FIRST = datetime_to_us(datetime(2023, 3, 10, tzinfo=UTC))


class PausingClock(RunningClock):
    """Remembers how long it slept."""

    def __init__(self, start: datetime = NOW) -> None:
        super().__init__(start)
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await super().sleep(seconds)


@pytest.fixture
def clock():
    return PausingClock()


@pytest.fixture
def api(clock):
    fresh_yfinance()
    with yahoo_api(clock, {BTC: real_candles()}) as server:
        yield server
        assert not server.odd
    fresh_yfinance()


@pytest.fixture
def history(api, clock, tmp_path):
    return history_of(api, clock, tmp_path)


def history_of(api, clock, folder, symbol=BTC, session=loopback_session, **changes):
    return YahooHistory(
        symbol,
        plain_settings(provider_timeout_s=5, **changes),
        clock=clock,
        rng=np.random.default_rng(1),
        cache=folder / "yfinance",
        new_session=lambda _proxy: session(api.port),
    )


async def fetched(history, first_us, until_us):
    """The candles of one page, which covers all that was asked for."""
    page = await history.page(first_us, until_us)
    assert page.until_us == until_us
    return page.candles


def expected(first_us, until_us):
    """Volumes are whole numbers at Yahoo."""
    candles = real_candles()
    found = candles[(candles.ts >= first_us) & (candles.ts < until_us)]
    found.volume[:] = np.floor(found.volume)
    return found


def assert_same(found, wanted):
    for name, column in wanted.columns().items():
        np.testing.assert_array_equal(found.columns()[name], column, err_msg=name)


async def test_a_day_comes_whole_its_last_minute_too(history, api):
    found = await fetched(history, FIRST, FIRST + DAY)
    assert len(found) == DAY_MINUTES
    assert found.end == datetime(2023, 3, 10, 23, 59, tzinfo=UTC)
    assert_same(found, expected(FIRST, FIRST + DAY))
    assert api.asked == [(BTC, FIRST // 1_000_000, (FIRST + DAY) // 1_000_000)]
    assert sum("range=1d" in one for one in api.requests) == 1


@pytest.mark.parametrize("seconds", [0, 40, 41, 60.5])
async def test_the_newest_half_hour_is_left_to_yahoo(history, clock, seconds):
    """There the live price may stand in the place of a bar, whatever the second."""
    clock.advance(seconds)
    newest = await history.newest_us()
    assert timedelta(minutes=30) <= clock.now() - us_to_datetime(newest) < timedelta(minutes=31)
    found = await fetched(history, FIRST + DAY, newest)
    assert int(found.ts[-1]) == newest - MINUTE_US
    assert_same(found, expected(FIRST + DAY, newest))


async def test_the_live_price_is_there_to_be_taken_by_mistake(history, clock):
    """The server does what Yahoo does: without the half hour a bar would be wrong."""
    now = datetime_to_us(clock.now())
    page = await history.page(now - 60 * MINUTE_US, now + MINUTE_US)
    assert page.candles.close[-1] != expected(now - 60 * MINUTE_US, now).close[-1]


async def test_a_start_before_yahoos_history_is_refused_and_the_earliest_is_named(api, clock, tmp_path):
    clock.advance(25 * 86_400)
    history = history_of(api, clock, tmp_path)
    with pytest.raises(UsageError, match=r"last 30 days only; 2023-03-06T12:10Z is earlier") as refused:
        await fetched(history, datetime_to_us(datetime(2023, 3, 6, 12, 10, tzinfo=UTC)), FIRST + DAY)
    assert "Begin at 2023-03-06T13:00Z or later" in refused.value.remedy
    assert not api.requests
    earliest = history.earliest_us()
    assert earliest == datetime_to_us(datetime(2023, 3, 6, 13, tzinfo=UTC))
    assert_same(await fetched(history, earliest, FIRST + DAY), expected(earliest, FIRST + DAY))


async def test_a_page_is_no_longer_than_yahoo_takes(history, api, clock):
    clock.advance(20 * 86_400)
    page = await history.page(FIRST, FIRST + 20 * DAY)
    assert page.until_us == FIRST + PAGE_DAYS * DAY
    assert api.asked == [(BTC, FIRST // 1_000_000, (FIRST + PAGE_DAYS * DAY) // 1_000_000)]


@pytest.mark.parametrize("fault", ["500", "502", "html", "down", "{}", "null", "empty", "drop", "cut", "403"])
async def test_a_fault_that_passes_costs_nothing_but_time(history, api, clock, fault):
    # a status of 400 and above is asked for twice by yfinance itself
    api.script.extend([fault, fault, fault])
    assert_same(await fetched(history, FIRST, FIRST + DAY), expected(FIRST, FIRST + DAY))
    assert clock.pauses


@pytest.mark.parametrize("fault", ["ok", "500", "html", "drop", "429"])
async def test_the_session_an_operator_gets_heals_too(api, clock, tmp_path, fault):
    """yfinance's own kind, curl with a browser's handshake, has errors of its own."""
    api.script.extend([fault, fault])
    history = history_of(api, clock, tmp_path, session=loopback_curl)
    assert_same(await fetched(history, FIRST, FIRST + DAY), expected(FIRST, FIRST + DAY))
    assert len(api.asked) == (1 if fault == "ok" else 3)


@pytest.mark.parametrize("fault", ["500", "html", "drop", "empty"])
async def test_a_fault_while_the_time_zone_is_asked_for_passes_too(history, api, fault):
    api.zone_script.extend([fault])
    assert_same(await fetched(history, FIRST, FIRST + DAY), expected(FIRST, FIRST + DAY))


async def test_too_many_requests_are_answered_with_a_long_pause(history, api, clock):
    api.script.extend(["429"] * 4)
    assert_same(await fetched(history, FIRST, FIRST + DAY), expected(FIRST, FIRST + DAY))
    assert 2 * yahoo.RATE_PAUSE_S + 1.5 <= sum(clock.pauses) <= 2 * yahoo.RATE_PAUSE_S + 3


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("429", ProviderError, "too many requests"),
        ("500", DataError, "BTC-USD from 2023-03-10 00:00"),
        ("html", DataError, "cannot be used"),
        ("down", ProviderError, "CURRENTLY DOWN"),
        ("drop", ProviderError, "does not answer"),
        ("empty", DataError, "cannot be used"),
        ("words", DataError, "could not convert string to float"),
        ("volume words", DataError, "cannot be used"),
        ("other symbol", DataError, "candles of ETH-BTC at 1m"),
        ("other interval", DataError, "at 5m, asked for BTC-USD at 1m"),
        ("other currency", DataError, "prices in EUR, asked for USD"),
        ("short", DataError, "cannot be used"),
        ("no close", DataError, "close"),
        ("no times", DataError, "timestamp"),
        ("no meta", DataError, "instrumentType"),
        ("all null", DataError, "no bar with a price"),
    ],
)
async def test_what_stays_wrong_is_reported_by_name(api, clock, tmp_path, fault, error, words):
    api.always = fault
    history = history_of(api, clock, tmp_path, provider_retries=1)
    with pytest.raises(error, match=words) as refused:
        await fetched(history, FIRST, FIRST + DAY)
    assert refused.value.remedy
    assert len(api.asked) == (4 if fault.isdigit() else 2)


@pytest.mark.parametrize("damage", ["strings", "shuffled", "repeated"])
async def test_damage_that_can_be_undone_changes_no_candle(history, api, damage):
    assert damage in DAMAGES
    api.always = damage
    assert_same(await fetched(history, FIRST, FIRST + DAY), expected(FIRST, FIRST + DAY))


async def test_a_bar_of_nulls_is_no_price(history, api):
    api.always = "nulls"
    found = await fetched(history, FIRST, FIRST + DAY)
    assert np.flatnonzero(np.isnan(found.close)).tolist() == [3]
    kept = np.arange(len(found)) != 3
    assert_same(found[kept], expected(FIRST, FIRST + DAY)[kept])


async def test_a_symbol_that_yahoo_does_not_have_is_named_at_once(api, clock, tmp_path):
    history = history_of(api, clock, tmp_path, "XYZ-USD")
    with pytest.raises(MissingError, match="no candles of XYZ-USD") as refused:
        await history.page(FIRST, FIRST + DAY)
    assert "BASE-USD" in refused.value.remedy
    assert not clock.pauses


async def test_no_answer_in_time_is_a_failure_and_blocks_nobody(api, clock, tmp_path):
    api.always = "hang:1"
    history = history_of(api, clock, tmp_path, provider_retries=0)
    history._timeout_s = 0.2
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    beside = asyncio.create_task(others())
    with pytest.raises(ProviderError, match="does not answer"):
        await history.page(FIRST, FIRST + DAY)
    beside.cancel()
    assert turns > 5


class Proxy(socketserver.StreamRequestHandler):
    """Notes where it is asked to connect to, and does not."""

    def handle(self):
        self.server.asked.append(self.rfile.readline().decode().split()[:2])
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


async def test_everything_goes_through_the_proxy_and_its_password_is_not_told(tmp_path):
    fresh_yfinance()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        proxy = f"http://operator:hidden@127.0.0.1:{server.server_address[1]}"
        settings = plain_settings(provider_timeout_s=2, provider_retries=0)
        settings = settings.model_copy(update={"proxy_url": SecretStr(proxy)})
        rng = np.random.default_rng(1)
        history = YahooHistory(BTC, settings, clock=RealClock(), rng=rng, cache=tmp_path / "yfinance")
        first = history.earliest_us()
        with pytest.raises(ProviderError, match="does not answer") as refused:
            await history.page(first, first + DAY)
        server.shutdown()
    assert ["CONNECT", "query2.finance.yahoo.com:443"] in server.asked
    assert {method for method, _ in server.asked} == {"CONNECT"}
    assert "hidden" not in refused.value.message
    fresh_yfinance()
