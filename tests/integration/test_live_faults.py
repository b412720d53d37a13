"""What goes wrong while the loop runs: it goes on where it may, emits nothing where it must not."""

import asyncio
import sqlite3
import threading
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.fakes.full_disk import fill
from tests.fakes.live import BTC, NOW, RunningClock, SpoiltFeed, changed, open_bench, promote, sure_artifact

ETH = "ETH-USD"
PAIR = {"symbols": (BTC, ETH), "artifacts": (sure_artifact(BTC), sure_artifact(ETH))}


def never(_candles):
    return asyncio.Event().wait()


def broken(_candles):
    raise ConnectionError("connection reset by peer")


async def test_a_provider_that_times_out_silences_one_coin_until_it_answers(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed, **PAIR) as bench:
        await bench.scan(1)
        bench.loop._parts.reader._timeout_s = 1.0
        feed.spoil[BTC] = never
        scans = await bench.scan(1)
        assert scans[0].reasons["no_new_candle"] == 1
        assert (await bench.reasons(BTC))[-1] == "no_new_candle"
        assert (await bench.decisions(ETH))[-1].candle == NOW.replace(second=0) + timedelta(minutes=1)
        (failed,) = await bench.events("FeedFailed")
        assert (failed["symbol"], failed["failures"]) == (BTC, 1)
        assert failed["reason"] == "no answer within 1 s"
        assert 2.5 <= failed["retry_in_s"] <= 7.5
        del feed.spoil[BTC]
        await bench.scan(1)
        assert (await bench.reasons(BTC))[-1] == "position_open"
        (back,) = await bench.events("FeedRecovered")
        assert (back["symbol"], back["failures"], back["candles"]) == (BTC, 1, 2)
        assert back["outage_s"] == pytest.approx(60)


async def test_pauses_grow_and_skip_scans_that_say_so(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed, interval_s=10) as bench:
        await bench.scan(1)
        feed.spoil[BTC] = broken
        asked = len(feed.asked)
        await bench.scan(60)
        failed = await bench.events("FeedFailed")
        assert len(feed.asked) - asked == len(failed) < 15
        assert {event["reason"] for event in failed} == {"ConnectionError: connection reset by peer"}
        for event in failed:
            full = min(300.0, 5.0 * 2 ** (event["failures"] - 1))
            assert 0.5 * full <= event["retry_in_s"] <= 1.5 * full
        details = [event["detail"] for event in await bench.events("ScanCompleted")]
        assert sum("asked again in" in detail for detail in details) == 60 - len(failed)


async def test_an_old_candle_is_no_news(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(1)
        feed.spoil[BTC] = lambda found: changed(found, -1, ts=found.ts[-1] - 60_000_000)
        assert (await bench.scan(1))[0].reasons == {"no_new_candle": 1}
        (told,) = await bench.events("CandlesRejected")
        assert (told["symbol"], told["count"], told["reason"]) == (BTC, 1, "known already")


async def test_a_candle_of_the_future_or_between_minutes_is_not_used(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(1)
        feed.spoil[BTC] = lambda found: changed(found, -1, ts=found.ts[-1] + 3_600_000_000)
        assert (await bench.scan(1))[0].reasons == {"no_new_candle": 1}
        feed.spoil[BTC] = lambda found: changed(found, -1, ts=found.ts[-1] + 1_000_000)
        await bench.scan(1)
        reasons = [event["reason"] for event in await bench.events("CandlesRejected")]
        assert reasons == ["not closed yet", "opened within a minute"]


async def test_a_gap_is_filled_flagged_and_told(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed, interval_s=180) as bench:
        await bench.scan(1)
        feed.spoil[BTC] = lambda found: found[np.array([True, False, True])]
        assert (await bench.scan(1))[0].state == "done"
        (told,) = await bench.events("CandlesCleaned")
        assert (told["symbol"], told["detail"]) == (BTC, "1 minutes filled flat")


async def test_a_low_above_the_high_is_repaired_and_told(tmp_path):
    feed = SpoiltFeed()
    feed.spoil[BTC] = lambda found: changed(found, -1, low=found.high[-1] * 1.01, high=found.low[-1])
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(1)
        (told,) = await bench.events("CandlesCleaned")
        assert "1 with high or low inside the body, repaired" in told["detail"]
        rows = await bench.store.live.candles(bench.run_id)
        assert rows[-1].low > rows[-1].high


async def test_a_newest_candle_without_a_number_decides_nothing(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed, interval_s=60) as bench:
        noon = int(NOW.replace(second=0).timestamp()) * 1_000_000
        feed.spoil[BTC] = lambda found: replace(found, close=np.where(found.ts >= noon, np.nan, found.close))
        first = (await bench.scan(1))[0]
        assert first.reasons == {"emitted": 1}
        (decision,) = await bench.decisions()
        assert decision.candle == NOW.replace(second=0) - timedelta(minutes=1)
        assert (await bench.scan(1))[0].reasons == {"no_new_candle": 1}
        told = await bench.events("CandlesCleaned")
        assert "1 without a number" in told[0]["detail"]
        rows = await bench.store.live.candles(bench.run_id, scans=(2, 2))
        assert rows[-1].close is None
        feed.spoil.clear()
        assert (await bench.scan(1))[0].reasons == {"position_open": 1}


async def test_a_full_disk_fails_the_scan_and_the_next_one_lives_through_its_candles(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(2)
        writer = bench.store.scans._database._writer
        pages = (await (await writer.execute("PRAGMA page_count")).fetchone())[0]
        await writer.execute(f"PRAGMA max_page_count = {pages}")
        failed = (await bench.scan(20))[-1]
        assert failed.state == "failed"
        assert "disk is full" in failed.detail
        await writer.execute("PRAGMA max_page_count = 1000000")
        assert (await bench.scan(1))[0].state == "done"
        states = [row.state for row in await bench.store.scans.scans(bench.run_id)]
        assert "failed" in states
        assert states[-1] == "done"
        told = await bench.events("ScanFailed")
        assert {event["code"] for event in told} == {"store"}
        assert all("disk is full" in event["reason"] for event in told)
        (trade,) = (await bench.store.scans.trades(bench.run_id))[:1]
        assert trade.exit_at - trade.entry_at <= timedelta(minutes=15)
        received = {row.ts_us for row in await bench.store.live.candles(bench.run_id)}
        assert len(received) == (max(received) - min(received)) // 60_000_000 + 1


async def test_a_disk_without_a_free_byte_fails_the_scan_and_space_heals_it(small_disk):
    async with open_bench(small_disk / "home") as bench:
        assert {row.state for row in await bench.scan(2)} == {"done"}
        fill(small_disk / "filler")
        failed = (await bench.scan(3))[-1]
        assert (failed.state, "disk is full" in failed.detail) == ("failed", True)
        before = [signal.key for signal in await bench.store.scans.signals(bench.run_id)]
        (small_disk / "filler").unlink()
        assert (await bench.scan(1))[0].state == "done"
        rows = await bench.store.scans.scans(bench.run_id)
        assert rows[-1].state == "done"
        assert set(before) <= {signal.key for signal in await bench.store.scans.signals(bench.run_id)}
        told = await bench.events("ScanFailed")
        assert told
        assert {event["code"] for event in told} == {"store"}
        received = {row.ts_us for row in await bench.store.live.candles(bench.run_id)}
        assert len(received) == (max(received) - min(received)) // 60_000_000 + 1


async def test_minutes_of_a_failed_scan_are_lived_through_by_the_next_engine(tmp_path):
    """The failed scan was stored, then the process died: its candles are known, and not yet lived through."""
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)
        decide, bench.begun.step.decide = bench.begun.step.decide, None
        failed = (await bench.scan(1))[0]
        assert failed.state == "failed"
        clock = bench.clock
        del decide
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        await bench.scan(1)
        (opened,) = await bench.events("PositionOpened")
        assert opened["at"] == "2026-03-04T12:02:00Z"
        assert "TypeError" in (await bench.events("ScanFailed"))[0]["code"]


@pytest.mark.slow
async def test_a_database_locked_for_ten_seconds_fails_scans_and_loses_nothing(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)
        locked = threading.Event()

        def hold():
            with sqlite3.connect(bench.store.path, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                locked.set()
                threading.Event().wait(10)
                other.execute("ROLLBACK")
            other.close()

        thread = threading.Thread(target=hold)
        thread.start()
        locked.wait()
        failed = await bench.scan(1)
        assert failed[0].state == "failed"
        assert "is locked" in failed[0].detail
        thread.join()
        assert (await bench.scan(1))[0].state == "done"
        rows = await bench.store.scans.scans(bench.run_id)
        assert [(row.seq, row.state) for row in rows] == [(1, "done"), (2, "failed"), (3, "done")]
        (told,) = await bench.events("ScanFailed")
        assert "is locked" in told["reason"]


async def test_a_clock_set_forward_an_hour(tmp_path):
    clock = RunningClock()
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        await bench.scan(1)
        clock.at.append((clock.monotonic() + 20, lambda: clock.set_wall(clock.now() + timedelta(hours=1))))
        scan = (await bench.scan(1))[0]
        (jump,) = await bench.events("ClockJumped")
        assert jump["seconds"] == pytest.approx(3600, abs=2)
        (missed,) = await bench.events("ScanOverrun")
        assert (missed["missed"], missed["reason"]) == (59, "the clock was set forward")
        assert scan.state in {"done", "late"}
        assert (await bench.scan(1))[0].state == "done"
        trades = await bench.store.scans.trades(bench.run_id)
        assert trades[0].exit_at - trades[0].entry_at <= timedelta(minutes=15)


async def test_a_clock_set_back_an_hour_emits_nothing_until_it_caught_up(tmp_path):
    clock = RunningClock()
    async with open_bench(tmp_path / "home", clock=clock, artifacts=(sure_artifact(),)) as bench:
        await bench.scan(1)
        clock.at.append((clock.monotonic() + 20, lambda: clock.set_wall(clock.now() - timedelta(hours=1))))
        await bench.scan(30)
        (jump,) = await bench.events("ClockJumped")
        assert jump["seconds"] == pytest.approx(-3600, abs=2)
        assert set((await bench.reasons())[1:]) == {"no_new_candle"}
        dues = [row.due for row in await bench.store.scans.scans(bench.run_id)]
        assert dues[1] < dues[0]
        assert dues[1:] == sorted(dues[1:])
        await bench.scan(40)
        assert "no_new_candle" not in (await bench.reasons())[-5:]
        keys = [row.key for row in await bench.store.scans.signals(bench.run_id)]
        assert len(keys) == len(set(keys))


async def test_a_corrupt_promoted_artifact_is_refused_and_told(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        file = promote(bench.paths, bench.clock, sure_artifact(logit=3.0))
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(bytes(content))
        await bench.scan(1)
        scans = await bench.scan(2)
        assert scans[-1].reasons == {"below_threshold": 1}
        (refused,) = await bench.events("ModelRefused")
        assert (refused["model"], refused["version"]) == ("lstm_BTC-USD", "v1.1.0")
        assert "refused" in (await bench.decisions())[-1].detail


async def test_a_model_that_gives_no_number_emits_nothing(tmp_path):
    nan = sure_artifact(ETH, nan=True)
    async with open_bench(
        tmp_path / "home", symbols=(BTC, ETH), artifacts=(sure_artifact(BTC), nan)
    ) as bench:
        scans = await bench.scan(2)
        assert scans[0].reasons == {"emitted": 1, "below_threshold": 1}
        assert [row.symbol for row in await bench.store.scans.signals(bench.run_id)] == [BTC]
        failures = await bench.events("ModelFailed", "ModelRefused")
        assert failures
        assert {event["model"] for event in failures} == {"lstm_ETH-USD"}


async def test_an_exception_inside_a_rule_blocks_and_is_told(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        config = bench.begun.step.config
        bench.begun.step.config = replace(config, decision=replace(config.decision, rates=None))
        assert (await bench.scan(1))[0].reasons == {"rate_limited": 1}
        (told,) = await bench.events("RuleFailed")
        assert (told["symbol"], told["rule"]) == (BTC, "rate_limited")
        assert "AttributeError" in told["error"]
        bench.begun.step.config = config
        assert (await bench.scan(1))[0].reasons == {"emitted": 1}


async def test_a_failure_while_candles_are_taken_fills_the_stream_again(tmp_path):
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(1)
        stream = bench.begun.step.stream
        take = stream.take

        def fails(*_arguments):
            stream.take = take
            raise RuntimeError("half way through")

        stream.take = fails
        assert (await bench.scan(1))[0].state == "failed"
        assert (await bench.scan(1))[0].reasons == {"position_open": 1}
        assert bench.begun.step.stream is not stream
        (told,) = await bench.events("ScanFailed")
        assert (told["code"], told["reason"]) == ("RuntimeError", "half way through")
        (opened,) = await bench.events("PositionOpened")
        assert opened["at"] == "2026-03-04T12:02:00Z"


async def test_an_overrun_is_told(tmp_path):
    clock = RunningClock()
    feed = SpoiltFeed()
    async with open_bench(tmp_path / "home", clock=clock, feed=feed) as bench:
        await bench.scan(1)
        feed.spoil[BTC] = lambda found: (clock.advance(150), found)[1]
        await bench.scan(1)
        feed.spoil.clear()
        scan = (await bench.scan(1))[0]
        assert scan.state == "late"
        (missed,) = await bench.events("ScanOverrun")
        assert missed["missed"] == 1
        (late,) = await bench.events("ScanLate")
        assert late["late_s"] == pytest.approx(30)
