"""A whole day of real candles as if live: real ccxt, loopback exchange, every fault on the way."""

from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import decisions_sha256
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.runtime.replay import plan_replay, read_inputs, replay

from tests.fakes.homes import plain_settings
from tests.fakes.live import RunningClock
from tests.fakes.live_exchange import Followed, listed, live_exchange
from tests.fakes.real_candles import REAL_MARKET, real_candles

DAY = 720
HEALS = (
    "500",
    "drop",
    "html",
    "cut",
    "429",
    "empty",
    "{}",
    "busy",
    "none",
    "notime",
    "502",
    "twice",
    "early",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not list(REAL_MARKET.glob("*.parquet")), reason=f"no candles in {REAL_MARKET}"),
]


def followed(*coins):
    """The newest eight days of these coins, the minutes that all of them have."""
    found = {}
    for coin in coins:
        (file,) = REAL_MARKET.glob(f"{coin}-USDT_1m_*.parquet")
        found[f"{coin}-USD"] = real_candles(file)
    end = min(int(candles.ts[-1]) for candles in found.values())
    start = end - 8 * 1440 * MINUTE_US
    return Followed({name: one[(one.ts >= start) & (one.ts <= end)] for name, one in found.items()})


def begins(market):
    """A whole hour, a day and some before the candles end."""
    end = min(one.end for one in market.candles.values())
    return end.replace(minute=0) - timedelta(hours=24)


@pytest.mark.parametrize("coins", [("BTC",), ("ADA", "DOGE")], ids="-".join)
async def test_a_day_is_verified_replayed_and_not_changed_by_faults(tmp_path, coins, record_property):
    market = followed(*coins)
    made = []
    for name in ("clean", "faulted"):
        clock = RunningClock(begins(market))
        with live_exchange(market.candles, clock) as (api, _):
            if name == "faulted":
                draws = np.random.default_rng(5)
                numbers = np.flatnonzero(draws.random(2 * DAY * len(coins)) < 0.1)
                api.on = {int(number): str(draws.choice(HEALS)) for number in numbers}
            async with market.scanning(tmp_path / name, clock, api) as bench:
                await bench.scan(DAY)
                found = await market.verified(bench)
                assert (found.scans, found.decisions) == (DAY, DAY * len(coins))
                await market.assert_only_closed_candles(bench, api)
                made.append(await market.decided(bench))
                if name == "clean":
                    again = await replayed(bench, market)
                    assert len(api.pages) == len(coins) * (DAY - 1 + 5)
                else:
                    assert sum(page.fault != "ok" for page in api.pages) > 50
    live, faulted = made
    signals = sum(one.signal is not None for one in live)
    record_property("signals", signals)
    assert signals > 20
    assert decisions_sha256(faulted) == decisions_sha256(live)
    assert decisions_sha256(again[len(coins) :]) == decisions_sha256(live[len(coins) :])


async def replayed(bench, market):
    """The decisions of a replay over the same day of candles that were stored after it."""
    reporter, settings = SilentReporter(), plain_settings(symbols=market.coins)
    for symbol, candles in market.candles.items():
        store_cleaned(bench.paths, symbol, clean(candles), market.origin, reporter, RealClock(), 0.0)
    plan = plan_replay(bench.paths, market.coins, 24, bench.clock.now(), 120)
    inputs = read_inputs(bench.paths, settings, plan)
    document = await replay(bench.store, settings, inputs, reporter, RealClock())
    return await market.decided(bench, document["run"])


async def test_outages_revisions_and_a_wrong_clock_bring_nothing_open_into_a_day(tmp_path):
    market = followed("ADA", "DOGE")
    clock = RunningClock(begins(market))
    start = datetime_to_us(clock.now())
    with live_exchange(market.candles, clock) as (api, exchange):
        for symbol in market.coins:
            draws = np.random.default_rng(len(symbol))
            for minute in draws.choice(1440, 40, replace=False):
                ts = start + int(minute) * MINUTE_US
                listed(api, symbol).revisions[ts] = (
                    ts + 3 * MINUTE_US,
                    1.0 + 0.001 * draws.standard_normal(),
                )
        async with market.scanning(tmp_path / "home", clock, api) as bench:
            for fault, seconds, scans in (
                ("ok", 0, 100), ("502", 0, 7), ("ok", -90, 100), ("drop", 0, 12), ("ok", 90, 100),
                ("html", 0, 3), ("ok", 0, 398),
            ):  # fmt: skip
                api.always, exchange.seconds = fault, seconds
                await bench.scan(scans)
            await market.assert_only_closed_candles(bench, api)
            found = await market.verified(bench)
            assert found.decisions == 2 * DAY
            assert {event["symbol"] for event in await bench.events("FeedRecovered")} == set(market.coins)
            assert sum(event["count"] for event in await bench.events("CandlesRevised")) > 40
            assert await bench.events("ScanFailed") == []
            cleaned = [event["detail"] for event in await bench.events("CandlesCleaned")]
            assert not [detail for detail in cleaned if "filled" in detail]
