"""Complete days of live candles go into yearly files; the store keeps what is recent."""

from datetime import UTC, datetime, timedelta

import numpy as np
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.runtime.compaction import LivePaths, Upkeep
from tradingai.engine.store.candle_files import read_candles, read_flags, verify_dataset

from tests.fakes.live import BTC, RunningClock, SpoiltFeed, open_bench

EVENING = datetime(2026, 12, 31, 23, 50, 30, tzinfo=UTC)
MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)


def upkeep(bench, keep_days=30):
    return Upkeep(
        bench.store, bench.begun.run, bench.paths, bench.clock, feed=bench.feed, keep_days=keep_days
    )


async def test_midnight_compacts_every_complete_day_once(tmp_path):
    async with open_bench(tmp_path / "home", clock=RunningClock(EVENING)) as bench:
        work = upkeep(bench)
        await bench.scan(5)
        assert await work() == ()
        await bench.scan(10)
        (event,) = await work()
        assert await work() == ()
        paths = LivePaths(bench.paths.root, bench.feed.identity)
        stored = read_candles(paths, BTC)
        assert (event.symbol, event.rows, event.sha256) == (
            BTC,
            len(stored),
            verify_dataset(paths, BTC).sha256,
        )
        assert stored.end == MIDNIGHT - timedelta(minutes=1)
        expected = bench.feed.market.candles(BTC, int(stored.minute[0]), int(stored.minute[-1]))
        np.testing.assert_array_equal(stored.close, expected.close)
        assert not list(bench.paths.candles.glob("*"))


async def test_the_next_day_is_added_to_the_files_of_both_years(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", clock=RunningClock(EVENING), feed=feed, interval_s=600) as bench:
        work = upkeep(bench)
        await bench.scan(3)
        await work()
        gap = datetime_to_us(MIDNIGHT + timedelta(hours=5))
        feed.spoil[BTC] = lambda found: found[found.ts != gap]
        await bench.scan(145)
        (event,) = await work()
        paths = LivePaths(bench.paths.root, feed.identity)
        manifest = verify_dataset(paths, BTC)
        assert [item.year for item in manifest.files] == [2026, 2027]
        assert manifest.end == MIDNIGHT + timedelta(days=1) - timedelta(minutes=1)
        assert (manifest.rows, manifest.quality["filled"]) == (event.rows, 1)
        assert gap in read_flags(paths, BTC).ts
        assert (manifest.synthetic, manifest.market, manifest.seed) == (True, "cycles", 7)


async def test_an_engine_that_was_away_at_midnight_compacts_at_its_first_upkeep(tmp_path):
    clock = RunningClock(EVENING)
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        await bench.scan(3)
    clock.advance(3600)
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        work = upkeep(bench)
        await work.resume()
        assert [event.symbol for event in await work()] == [BTC]


async def test_old_candles_leave_the_store_once_they_are_in_the_files(tmp_path):
    async with open_bench(tmp_path / "home", clock=RunningClock(EVENING), interval_s=600) as bench:
        work = upkeep(bench, keep_days=1)
        await bench.scan(3)
        await work()
        await bench.scan(150)
        await work()
        rows = await bench.store.live.candles(bench.run_id)
        assert min(row.received_at for row in rows) >= MIDNIGHT
        stored = read_candles(LivePaths(bench.paths.root, bench.feed.identity), BTC)
        assert stored.ts[0] < datetime_to_us(EVENING) - 1000 * MINUTE_US


async def test_a_feed_that_was_away_at_midnight_gets_the_rest_of_its_day_into_the_files(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", clock=RunningClock(EVENING), feed=feed) as bench:
        work = upkeep(bench)
        await bench.scan(2)
        feed.spoil[BTC] = lambda found: found[0:0]
        await bench.scan(8)
        paths = LivePaths(bench.paths.root, feed.identity)
        (event,) = await work()
        away_from = read_candles(paths, BTC).end
        assert away_from < MIDNIGHT - timedelta(minutes=3)
        del feed.spoil[BTC]
        await bench.scan(5)
        bench.clock.advance(86_400)
        await bench.scan(2)
        (later,) = await work()
        assert later.rows > event.rows
        stored = read_candles(paths, BTC)
        rows = await bench.store.live.candles(bench.run_id, BTC)
        received = {row.ts_us: row.close for row in rows}
        minutes = stored.ts[(stored.ts > datetime_to_us(away_from)) & (stored.ts < datetime_to_us(MIDNIGHT))]
        assert len(minutes) > 3
        closes = dict(zip(stored.ts.tolist(), stored.close.tolist(), strict=True))
        assert [closes[ts] for ts in minutes.tolist()] == [received[ts] for ts in minutes.tolist()]
