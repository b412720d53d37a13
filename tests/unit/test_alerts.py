"""The outbox: in order, prioritised, at least once, and nothing that nobody wants to hear any more."""

import asyncio
import json
from itertools import pairwise

import pytest
from tradingai.engine.alerts.beside import alerting
from tradingai.engine.alerts.protocols import Message, Outcome
from tradingai.engine.alerts.sinks import LogFileSink, RecordingSink
from tradingai.engine.core.commands import SetKillSwitch
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import (
    DaySummarised,
    EngineStarted,
    EngineStopped,
    FeedFailed,
    FeedRecovered,
    FtmoLimitBreached,
    GuardStateChanged,
    KillSwitchSet,
    ScanCompleted,
    ScanLoopFailed,
)

from tests.fakes.alerts import LOST, RUN, UNKNOWN, ScriptedSink, open_outbox, signal, start_run
from tests.fakes.full_disk import fill
from tests.fakes.live import open_bench

HALTED = GuardStateChanged(previous="ACTIVE", status="HALTED", cause="limit", detail="daily", at="now")


def kill(on=True):
    return KillSwitchSet(on=on, who="ann", surface="cli", reason="lunch")


def texts(sink):
    return [message.plain.splitlines()[0] for message in sink.arrived]


async def test_everything_the_product_promises_is_told_and_nothing_else(tmp_path):
    sink = RecordingSink()
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(
            EngineStarted(run_id=RUN, engine="e", pid=1, feed="f", interval_s=60, resumed=False),
            EngineStarted(
                run_id=RUN, engine="e", pid=1, feed="f", interval_s=60, resumed=True, previous="died"
            ),
            signal(1), signal(2, "medium"),
            HALTED,
            FtmoLimitBreached(limit="daily", equity=189_000.0, floor=190_000.0, at="now"),
            FeedFailed(symbol="BTC-USD", provider="p", reason="r", failures=1, retry_in_s=1),
            FeedFailed(symbol="BTC-USD", provider="p", reason="r", failures=2, retry_in_s=2),
            FeedRecovered(symbol="BTC-USD", provider="p", failures=2, outage_s=90, candles=1),
            ScanCompleted(seq=1, due="12:00", new_candles=1, reasons={"stale": 2}, latency_ms=1),
            ScanCompleted(seq=2, due="12:01", new_candles=1, reasons={"stale": 2}, latency_ms=1),
            ScanCompleted(seq=3, due="12:02", new_candles=1, reasons={"emitted": 2}, latency_ms=1),
            ScanLoopFailed(reason="boom", remedy="Start it again."),
            EngineStopped(run_id=RUN, engine="e", reason="SIGTERM", scans=3),
            DaySummarised(
                day="2026-03-04", scans=10, failed=1, signals=4, high_signals=2, trades=4, wins=3, net=-12.5,
                equity=199_987.5, guard="ACTIVE", alerts_delivered=5, alerts_lost=1,
            ),
        )  # fmt: skip
        await bench.tell(kill(), run_id=None)
        await bench.go()
        told = {alert.title: alert.body for alert in await bench.alerts()}
    assert list(told) == [
        "engine started", "engine RESTARTED after a crash", "BTC-USD LONG high", "GUARD HALTED",
        "LIMIT BREACHED daily", "NO CANDLES BTC-USD", "candles again BTC-USD", "STALE DATA",
        "data fresh again", "SCAN LOOP FAILED", "engine stopped", "24 h to 2026-03-04",
        "KILL SWITCH ON: nothing is emitted",
    ]  # fmt: skip
    assert told["24 h to 2026-03-04"].splitlines() == [
        "scans 10 (1 failed)", "signals 4 (2 high)", "trades 4, win rate 75.0 %, net -12.50",
        "equity 199,987.50, guard ACTIVE", "alerts 5 delivered, 1 not",
    ]  # fmt: skip
    assert all("dry-run" in message.plain for message in sink.messages)
    assert all(f"id {message.event_id}" in message.html for message in sink.messages)


async def test_order_is_that_of_events_with_kill_and_guard_first(tmp_path):
    sink = ScriptedSink([LOST])
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(*(signal(number) for number in range(3)))
        await bench.go()
        assert sink.arrived == []
        await bench.tell(HALTED)
        await bench.go(2)
        assert texts(sink) == ["GUARD HALTED"] + ["BTC-USD LONG high"] * 3
        ids = [message.event_id for message in sink.arrived[1:]]
        assert ids == sorted(ids)
        assert len(set(ids)) == 3


async def test_what_happened_before_the_channel_is_not_told_and_a_reopened_one_goes_on(tmp_path):
    async with open_outbox(tmp_path / "home", ScriptedSink(channel="other")) as bench:
        await bench.tell(signal(1))
    sink = ScriptedSink()
    async with open_outbox(tmp_path / "home", sink, clock=bench.clock) as bench:
        await bench.go()
        assert sink.arrived == []
        await bench.tell(signal(2))
    async with open_outbox(tmp_path / "home", sink, clock=bench.clock) as bench:
        await bench.go()
        assert [message.document["body"].splitlines()[1] for message in sink.arrived] == ["entry 102.00"]


async def test_an_unknown_outcome_is_repeated_and_says_so(tmp_path):
    sink = ScriptedSink([UNKNOWN, LOST, UNKNOWN])
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(signal(1))
        await bench.go(10)
        assert texts(sink) == ["BTC-USD LONG high", "REPEAT BTC-USD LONG high", "REPEAT BTC-USD LONG high"]
        assert len({message.event_id for message in sink.arrived}) == 1
        (alert,) = await bench.alerts()
        assert (alert.state, alert.attempts, alert.unknown) == ("delivered", 4, 2)
        (told,) = await bench.events("AlertDelivered")
        assert told["repeat"] is True


async def test_a_process_that_died_while_sending_repeats_once(tmp_path):
    async with open_outbox(tmp_path / "home") as bench:
        await bench.tell(signal(1), signal(2))
        await bench.outbox._fill()
        assert await bench.store.alerts.claim("telegram:42", killed=False)
    sink = ScriptedSink()
    async with open_outbox(tmp_path / "home", sink, clock=bench.clock) as bench:
        await bench.go()
        assert texts(sink) == ["REPEAT BTC-USD LONG high", "BTC-USD LONG high"]


async def test_waits_double_and_a_wait_that_is_asked_for_is_kept(tmp_path):
    sink = ScriptedSink([LOST] * 9 + [Outcome("waiting", "slow down", 37.0)])
    times = []
    sink.during = lambda: times.append(bench.clock.monotonic())
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(HALTED)
        await bench.go(600)
    waits = [after - before for before, after in pairwise(times)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 37])


async def test_a_refused_message_is_a_dead_letter_and_the_next_goes_on(tmp_path):
    sink = ScriptedSink([Outcome("refused", "Chat not found")])
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(signal(1), signal(2))
        await bench.go()
        assert await bench.states() == ["dead", "delivered"]
        (dead,) = await bench.events("AlertRefused")
        assert (dead["reason"], dead["event_id"]) == ("Chat not found", sink.attempts[0].event_id)


async def test_signals_past_their_horizon_are_one_digest_and_not_delivered(tmp_path):
    sink = ScriptedSink([UNKNOWN])
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(signal(1), signal(2))
        await bench.go()
        bench.clock.advance(14 * 60)
        await bench.tell(signal(3))
        bench.clock.advance(61)
        await bench.go()
        assert await bench.states() == ["missed", "missed", "delivered", "delivered"]
        assert texts(sink) == [
            "BTC-USD LONG high", "BTC-USD LONG high", "missed while offline: 2 signals",
        ]  # fmt: skip
        first = sink.attempts[0].event_id
        assert f"{first} (REPEAT: may have arrived)" in sink.arrived[-1].plain
        (missed,) = await bench.events("SignalsMissed")
        assert len(missed["ids"]) == 2


async def test_delivery_time_is_since_the_event(tmp_path):
    async with open_outbox(tmp_path / "home", ScriptedSink([LOST, LOST])) as bench:
        await bench.tell(signal(1))
        await bench.go(5)
        (alert,) = await bench.alerts()
        assert alert.delivery_s == pytest.approx(3.0)
        (told,) = await bench.events("AlertDelivered")
        assert told["seconds"] == pytest.approx(3.0)


async def test_kill_stops_the_signals_that_are_not_sent(tmp_path):
    sink = ScriptedSink([LOST])
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(signal(1), signal(2))
        await bench.go()
        for on in (True, False):
            command = SetKillSwitch(sender="ann", surface="cli", issued_at=bench.clock.now(), on=on)
            await bench.store.controls.set("kill_switch", on, command, "", kill(on))
        await bench.tell(signal(3))
        await bench.go(5)
        assert await bench.states() == ["stopped", "stopped", "delivered", "delivered", "delivered"]
        assert texts(sink)[:2] == ["KILL SWITCH ON: nothing is emitted", "KILL SWITCH off"]


async def test_the_environments_kill_switch_stops_them_too(tmp_path):
    async with open_outbox(tmp_path / "home", kill_switch=True) as bench:
        await bench.tell(signal(1))
        await bench.go()
        assert await bench.states() == ["stopped"]


@pytest.mark.parametrize("kind", ["replay", "drill", "backtest", "soak"])
async def test_other_runs_are_never_told(tmp_path, kind):
    async with open_outbox(tmp_path / "home") as bench:
        await start_run(bench.store, "other", kind, bench.clock)
        await bench.tell(signal(1), HALTED, run_id="other")
        await bench.go()
        assert await bench.alerts() == []


async def test_a_store_that_fails_between_sending_and_recording_costs_a_repeat(tmp_path, monkeypatch):
    sink = ScriptedSink()
    async with open_outbox(tmp_path / "home", sink) as bench:

        async def full(*_):
            raise StoreError("the disk is full", remedy="Make room.")

        await bench.tell(signal(1))
        with monkeypatch.context() as broken:
            broken.setattr(bench.store.alerts, "delivered", full)
            with pytest.raises(StoreError):
                await bench.outbox.step()
    async with open_outbox(tmp_path / "home", sink, clock=bench.clock) as bench:
        await bench.go()
    assert texts(sink) == ["BTC-USD LONG high", "REPEAT BTC-USD LONG high"]


async def test_a_sink_that_raises_ends_nothing_and_its_words_go_nowhere(tmp_path):
    sink = ScriptedSink()

    def fail():
        sink.during = lambda: None
        raise RuntimeError("https://api.telegram.org/bot123:SECRET/sendMessage")

    sink.during = fail
    async with open_outbox(tmp_path / "home", sink) as bench:
        await bench.tell(signal(1))
        await bench.go(5)
        assert await bench.states() == ["delivered"]
    assert b"SECRET" not in b"".join(file.read_bytes() for file in (tmp_path / "home").glob("tradingai.db*"))


async def test_the_log_file_takes_one_document_a_line(tmp_path):
    file = tmp_path / "alerts.jsonl"
    async with open_outbox(tmp_path / "home", LogFileSink(file)) as bench:
        await bench.tell(signal(1), HALTED)
        await bench.go()
        assert await bench.events("AlertDelivered") == []
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["title"] for line in lines] == ["GUARD HALTED", "BTC-USD LONG high"]
    assert {line["run"] for line in lines} == {RUN}
    assert file.stat().st_mode & 0o777 == 0o600
    async with open_outbox(tmp_path / "other", LogFileSink(tmp_path / "none" / "a.jsonl")) as bench:
        await bench.tell(signal(1))
        await bench.go()
        (alert,) = await bench.alerts()
        assert (alert.state, "No such file" in alert.error) == ("waiting", True)


async def test_a_day_has_one_summary(tmp_path):
    async with open_outbox(tmp_path / "home") as bench:
        assert await bench.store.bot.summarise("telegram:42", RUN) is False


async def test_a_summary_counts_the_last_24_hours_of_live_runs(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(40)
        assert await bench.store.bot.summarise("telegram:42", bench.run_id) is True
        assert await bench.store.bot.summarise("telegram:42", bench.run_id) is False
        (told,) = await bench.events("DaySummarised")
        trades = await bench.store.scans.trades(bench.run_id)
        signals = await bench.store.scans.signals(bench.run_id)
        assert (told["day"], told["scans"], told["failed"]) == ("2026-03-04", 40, 0)
        assert told["signals"] == len(signals) > 0
        assert told["high_signals"] == sum(one.tier == "high" for one in signals)
        assert (told["trades"], told["wins"]) == (len(trades), sum(one.r > 0 for one in trades))
        assert told["net"] == pytest.approx(sum(one.net for one in trades))
        assert told["guard"] == bench.begun.step.desk.guard.status


async def test_the_day_has_its_summary_from_its_hour_on(tmp_path):
    sink = ScriptedSink()
    async with open_outbox(tmp_path / "home", sink) as bench:
        calls = []

        async def summarise(channel, run_id):
            calls.append((bench.clock.now().isoformat(), channel, run_id))
            return True

        bench.store.bot.summarise = summarise
        settings = bench.settings.model_copy(update={"telegram_summary_hour": 13})
        async with alerting(bench.store, bench.clock, settings, [], [], channel="telegram:42", run_id=RUN):
            for _ in range(26 * 60 + 10):
                await asyncio.sleep(0)
        days = [call[0][:13] for call in calls]
        assert days == ["2026-03-04T13", "2026-03-05T13"]


async def test_the_end_sends_what_can_be_sent_and_cuts_no_attempt_off(tmp_path):
    sink = ScriptedSink()
    async with open_outbox(tmp_path / "home", sink) as bench:
        async with alerting(
            bench.store, bench.clock, bench.settings, [bench.outbox], [], channel="telegram:42", run_id=RUN
        ):
            await bench.tell(HALTED)
            await bench.tell(EngineStopped(run_id=RUN, engine="e", reason="SIGTERM", scans=3))
        assert texts(sink) == ["GUARD HALTED", "engine stopped"]
        assert await bench.states() == ["delivered", "delivered"]
        assert all("REPEAT" not in message.plain for message in sink.attempts)


async def test_a_full_disk_tears_no_line_of_the_alert_file(small_disk):
    """The page the file ends in takes part of a line; what is written once there is room is a whole line."""
    file = small_disk / "alerts.jsonl"
    sink = LogFileSink(file)
    file.write_bytes(b"x" * 4000 + b"\n")
    fill(small_disk / "filler")
    message = Message("0001", "plain", "html", {"id": "0001", "body": "b" * 300})
    assert (await sink.deliver(message)).state == "waiting"
    assert file.stat().st_size == 4001
    (small_disk / "filler").unlink()
    assert (await sink.deliver(message)).state == "delivered"
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[1]) == message.document
