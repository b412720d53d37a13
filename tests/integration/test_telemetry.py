"""What a scraper reads is what the loop stored; a health check says when somebody should look."""

import math
import sqlite3
from contextlib import asynccontextmanager

import pytest
from tradingai.bootstrap import alerting_beside
from tradingai.engine.core import events
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import AlertDelivered, AlertRefused, SignalsMissed
from tradingai.engine.decision.desk import halt_desk
from tradingai.engine.queries.run_snapshot import AccountFacts
from tradingai.engine.runtime.baseline import required
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.heart import Heart
from tradingai.engine.store.meter_table import EVENTS
from tradingai.engine.store.observation_rows import ObservationRow
from tradingai.engine.telemetry import watch
from tradingai.engine.telemetry.watch import Telemetry

from tests.fakes.exposition import parse
from tests.fakes.live import BTC, NOW, open_bench

ISSUED = {"sender": "tester", "surface": "cli", "issued_at": NOW}
CHANNELS = ("log", "telegram:42")


@asynccontextmanager
async def followed(root, **changes):
    """A loop, and what is said of it."""
    async with open_bench(root / "home", **changes) as bench:
        yield bench, await following(bench)


async def following(bench):
    telemetry = Telemetry(
        bench.store, bench.paths, bench.settings, bench.clock,
        run_id=bench.run_id, mode="dry-run", channels=CHANNELS,
    )  # fmt: skip
    await telemetry.open()
    return telemetry


async def read(bench, telemetry):
    """A scrape, later than the one before."""
    bench.clock.advance(2)
    return parse(await telemetry.metrics())


async def health(bench, telemetry):
    bench.clock.advance(2)
    found, document = await telemetry.health()
    assert (document["status"] == "ok") == found.ok
    return found.ok, document


def heart(bench):
    return Heart(bench.store, bench.begun.run, bench.clock, engine="e", interval_s=60, every_s=30)


async def test_every_child_is_there_before_anything_happened(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        found = await read(bench, telemetry)
        for name, labels, children in (
            ("tradingai_scans_total", "state", {"done", "late", "failed"}),
            ("tradingai_signals_total", "tier", {"low", "medium", "high", "none"}),
            ("tradingai_feed_failures_total", "pair", {BTC}),
            ("tradingai_alert_dead_letters_total", "channel", set(CHANNELS)),
        ):
            family = found[name]
            assert {dict(key)[labels] for _, key in family.samples} == children, name
            assert set(family.samples.values()) == {0}, name
        assert len(found["tradingai_decisions_total"].samples) == 8
        assert len(found["tradingai_alerts"].samples) == 12
        assert found["tradingai_scan_latency_seconds"].value("_count") == 0
        assert found["tradingai_scan_latency_seconds"].value("_bucket", le="0.5") == 0
        for name in ("tradingai_confidence", "tradingai_feed_age_seconds"):
            assert math.isnan(found[name].value(pair=BTC)), name
        assert found["tradingai_equity_dollars"].value() == 200_000
        assert found["tradingai_floor_distance_dollars"].value(floor="daily stop") == pytest.approx(9_000)
        assert found["tradingai_store_readable"].value() == 1


async def test_the_budget_is_a_bucket(tmp_path):
    async with followed(tmp_path, latency_budget_ms=333.0) as (bench, telemetry):
        await bench.scan(1)
        found = await read(bench, telemetry)
        assert found["tradingai_scan_latency_budget_seconds"].value() == 0.333
        assert found["tradingai_scan_latency_seconds"].value("_bucket", le="0.333") in {0, 1}
        assert found["tradingai_scan_latency_seconds"].value("_bucket", le="+Inf") == 1


async def test_nothing_that_goes_wrong_with_the_metrics_keeps_the_loop_from_scanning(tmp_path, monkeypatch):
    def broken(*_arguments, **_options):
        raise ImportError("no module named asyncio")

    async with open_bench(tmp_path / "home", metrics_port=9) as bench:
        monkeypatch.setattr(watch, "Telemetry", broken)
        beside = alerting_beside(bench.store, bench.paths, bench.settings, bench.clock)
        async with beside(bench.run_id, "dry-run"):
            pass
        (failed,) = await bench.events("MetricsFailed")
        assert (failed["port"], failed["reason"]) == (9, "unexpected ImportError: no module named asyncio")


async def test_the_numbers_are_those_of_the_store(tmp_path):
    async with followed(tmp_path, interval_s=30) as (bench, telemetry):
        await bench.scan(3)
        await read(bench, telemetry)
        await bench.scan(4)
        found = await read(bench, telemetry)
        rows = await bench.store.scans.scans(bench.run_id)
        decisions = await bench.decisions()
        for state in ("done", "late", "failed"):
            count = sum(row.state == state for row in rows)
            assert found["tradingai_scans_total"].value(state=state) == count
        for reason in {row.reason for row in decisions}:
            count = sum(row.reason == reason for row in decisions)
            assert found["tradingai_decisions_total"].value(reason=reason) == count
        assert sum(found["tradingai_decisions_total"].samples.values()) == len(decisions) == 7
        assert found["tradingai_signals_total"].value(tier="high") == 1
        for name, column in (("latency", "latency_ms"), ("duration", "took_ms")):
            family = found[f"tradingai_scan_{name}_seconds"]
            values = [getattr(row, column) / 1000 for row in rows]
            assert family.value("_count") == 7
            assert family.value("_sum") == pytest.approx(sum(values))
            for bound in (0.005, 0.1, 0.5, 10):
                assert family.value("_bucket", le=f"{bound:g}") == sum(value <= bound for value in values)
        scored = [row for row in decisions if row.confidence is not None][-1]
        assert found["tradingai_confidence"].value(pair=BTC) == scored.confidence
        age = (bench.clock.now() - decisions[-1].candle).total_seconds() - 60
        assert found["tradingai_feed_age_seconds"].value(pair=BTC) == pytest.approx(age)
        assert found["tradingai_last_scan_timestamp_seconds"].value() == pytest.approx(
            rows[-1].at.timestamp()
        )
        assert found["tradingai_model_info"].value(model="lstm_BTC-USD", version="v1.0.0") == 1
        assert found["tradingai_build_info"].kind == "gauge"
        assert found["process_resident_memory_bytes"].value() > 10_000_000
        assert found["process_cpu_seconds_total"].value() > 0


async def test_the_account_is_that_of_ftmo_status(tmp_path):
    from tradingai.engine.queries.risk_views import StoredAccount
    from tradingai.engine.runtime.account_facts import HomeAccounts

    async with followed(tmp_path, interval_s=60) as (bench, telemetry):
        await bench.scan(20)
        found = await read(bench, telemetry)
        row = await bench.store.scans.account(bench.run_id)
        stored = StoredAccount(bench.run_id, row.at, row.desk)
        shown: AccountFacts = HomeAccounts(bench.settings, bench.paths).facts(
            stored, bench.clock.now(), live=True
        )
        document = shown.document
        assert document["equity"] != 200_000
        assert found["tradingai_equity_dollars"].value() == document["equity"]
        assert found["tradingai_balance_dollars"].value() == document["balance"]
        for floor in document["floors"]:
            left = found["tradingai_floor_distance_dollars"].value(floor=floor["name"])
            assert left == pytest.approx(floor["left"])
        drawdown = (await bench.store.scans.scans(bench.run_id))[-1].drawdown
        assert found["tradingai_max_drawdown_ratio"].value() == drawdown > 0
        assert found["tradingai_guard_state"].value(state="ACTIVE") == 1
        assert found["tradingai_guard_state"].value(state="HALTED") == 0


async def test_counters_begin_with_the_engine_and_not_with_the_run(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        await bench.scan(2)
        assert sum((await read(bench, telemetry))["tradingai_scans_total"].samples.values()) == 2
        again = await following(bench)
        assert sum((await read(bench, again))["tradingai_scans_total"].samples.values()) == 0
        await bench.scan(1)
        assert sum((await read(bench, again))["tradingai_scans_total"].samples.values()) == 1
        assert sum((await read(bench, telemetry))["tradingai_scans_total"].samples.values()) == 3


async def test_a_failed_scan_and_scans_that_fell_out(tmp_path, monkeypatch):
    async with followed(tmp_path) as (bench, telemetry):

        def broken(*_):
            raise ValueError("no features today")

        with monkeypatch.context() as patched:
            patched.setattr(bench.begun.step, "prepare", broken)
            await bench.scan(1)
        bench.clock.advance(200)
        await bench.scan(1)
        found = await read(bench, telemetry)
        assert found["tradingai_scans_total"].value(state="failed") == 1
        assert found["tradingai_scans_missed_total"].value() == 2
        assert found["tradingai_scan_latency_seconds"].value("_count") == 1


async def test_controls_are_those_that_hold_at_the_scrape(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        found = await read(bench, telemetry)
        assert found["tradingai_kill_switch"].value() == 0
        assert found["tradingai_confidence_threshold"].value() == 0.75
        for command in (SetKillSwitch(**ISSUED, on=True, reason="a test"), SetThreshold(**ISSUED, value=0.8)):
            await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)
        found = await read(bench, telemetry)
        assert found["tradingai_kill_switch"].value() == 1
        assert found["tradingai_confidence_threshold"].value() == 0.8


async def test_alerts_by_what_became_of_them(tmp_path):
    told = {"event_id": "1", "kind": "signal", "title": "t", "channel": "telegram:42"}
    async with followed(tmp_path) as (bench, telemetry):
        await bench.store.alerts.open("telegram:42")
        await bench.store.events.append(
            AlertDelivered(**told, seconds=0.4, repeat=False),
            AlertDelivered(**told, seconds=61.0, repeat=True),
            AlertRefused(**told, reason="chat not found"),
            SignalsMissed(channel="telegram:42", ids=["1", "2", "3"], maybe=[]),
        )
        with sqlite3.connect(bench.store.path) as other:
            for number, state in enumerate(("waiting", "dead", "dead", "delivered"), start=1):
                other.execute(
                    "INSERT INTO alerts (channel, seq, run_id, kind, priority, title, body, at, state)"
                    " VALUES ('telegram:42', ?, ?, 'kill', 0, '', '', '2026-03-04T12:00:00.000000Z', ?)",
                    (number, bench.run_id, state),
                )
        other.close()
        found = await read(bench, telemetry)
        delivery = found["tradingai_alert_delivery_seconds"]
        assert (delivery.value("_count"), delivery.value("_sum")) == (2, pytest.approx(61.4))
        assert (delivery.value("_bucket", le="0.5"), delivery.value("_bucket", le="60")) == (1, 1)
        assert found["tradingai_alert_dead_letters_total"].value(channel="telegram:42") == 1
        assert found["tradingai_alert_dead_letters_total"].value(channel="log") == 0
        assert found["tradingai_alert_missed_signals_total"].value(channel="telegram:42") == 3
        counts = {
            state: found["tradingai_alerts"].value(channel="telegram:42", state=state)
            for state in ("waiting", "dead", "delivered", "missed")
        }
        assert counts == {"waiting": 1, "dead": 2, "delivered": 1, "missed": 0}
        with sqlite3.connect(bench.store.path) as other:
            other.execute("UPDATE alerts SET state = 'delivered' WHERE state = 'waiting'")
        other.close()
        found = await read(bench, telemetry)
        assert found["tradingai_alerts"].value(channel="telegram:42", state="waiting") == 0
        assert delivery.value("_count") == 2


async def test_a_scan_that_decided_makes_it_well_and_its_age_does_not(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        ok, document = await health(bench, telemetry)
        assert (ok, document["reasons"]) == (False, ["no heartbeat yet"])
        await heart(bench).beat("started", bench.clock.now())
        ok, document = await health(bench, telemetry)
        assert not ok
        assert "no scan has decided since the engine started" in document["reasons"][0]
        await bench.scan(1)
        await heart(bench).beat("scanning", bench.clock.now())
        ok, document = await health(bench, telemetry)
        assert (ok, document["reasons"]) == (True, [])
        assert (document["run"], document["home"]) == (bench.run_id, str(bench.paths.root))
        assert (document["last_scan"]["seq"], document["last_scan"]["state"]) == (1, "done")
        assert document["kill_switch"] == {"on": False, "source": "default"}
        assert document["guard"] == "ACTIVE"
        bench.clock.advance(140)
        ok, document = await health(bench, telemetry)
        assert not ok
        assert [reason.split(" is ")[0] for reason in document["reasons"]] == [
            "the last heartbeat", "the last scan that decided"
        ]  # fmt: skip
        assert (await read(bench, telemetry))["tradingai_healthy"].value() == 0


async def test_killed_and_halted_are_said_and_no_illness(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        await bench.scan(1)
        await heart(bench).beat("scanning", bench.clock.now())
        command = SetKillSwitch(**ISSUED, on=True, reason="a test")
        await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)
        now = round(bench.clock.now().timestamp() * 1e6)
        desk, _ = halt_desk(bench.begun.step.desk, now, "exception", "a test")
        await bench.begun.run.change_desk(desk, now, "test", "halted")
        ok, document = await health(bench, telemetry)
        assert ok
        assert (document["kill_switch"]["on"], document["kill_switch"]["reason"]) == (True, "a test")
        assert document["guard"] == "HALTED"
        found = await read(bench, telemetry)
        assert found["tradingai_healthy"].value() == 1
        assert found["tradingai_guard_state"].value(state="HALTED") == 1


async def test_a_store_that_cannot_be_read(tmp_path, monkeypatch):
    async with followed(tmp_path) as (bench, telemetry):
        await bench.scan(1)
        await heart(bench).beat("scanning", bench.clock.now())
        assert (await health(bench, telemetry))[0]

        async def unreadable(*_):
            raise StoreError("database disk image is malformed", remedy="Restore it.")

        with monkeypatch.context() as broken:
            broken.setattr(bench.store.meters, "since", unreadable)
            ok, document = await health(bench, telemetry)
            assert not ok
            assert document["reasons"] == ["the store cannot be read: database disk image is malformed"]
            assert document["kill_switch"] == {"on": True, "source": "the store cannot be read"}
            found = await read(bench, telemetry)
            assert found["tradingai_store_readable"].value() == 0
            assert found["tradingai_kill_switch"].value() == 1
            assert found["tradingai_scans_total"].value(state="done") == 1
            await bench.scan(1)
        found = await read(bench, telemetry)
        assert found["tradingai_store_readable"].value() == 1
        assert found["tradingai_kill_switch"].value() == 0
        assert sum(found["tradingai_scans_total"].samples.values()) == 2


async def test_counting_begins_when_the_store_can_be_read(tmp_path, monkeypatch):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)

        async def unreadable(*_):
            raise StoreError("the database is locked", remedy="Find who holds it.")

        with monkeypatch.context() as broken:
            broken.setattr(bench.store.meters, "marks", unreadable)
            telemetry = await following(bench)
            found = await read(bench, telemetry)
            assert found["tradingai_store_readable"].value() == 0
        assert sum((await read(bench, telemetry))["tradingai_scans_total"].samples.values()) == 0
        await bench.scan(1)
        assert sum((await read(bench, telemetry))["tradingai_scans_total"].samples.values()) == 1


async def test_an_account_that_cannot_be_shown_is_said_and_no_illness(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        await bench.scan(1)
        await heart(bench).beat("scanning", bench.clock.now())
        bench.paths.data.mkdir(exist_ok=True)
        (bench.paths.data / "execution_metrics.json").write_text("{")
        ok, document = await health(bench, telemetry)
        assert ok
        assert "execution_metrics.json" in document["account_fault"]
        assert (await read(bench, telemetry))["tradingai_kill_switch"].value() == 0


async def test_the_clock_of_an_observation(tmp_path):
    async with followed(tmp_path) as (bench, telemetry):
        found = await read(bench, telemetry)
        assert math.isnan(found["tradingai_observation_continuous_seconds"].value())
        baseline = {
            "run": "r", "start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "trades": 0,
            "win_rate": None, "tiers": {}, "scored": 0, "threshold": 0.75, "interval_s": 60, "models": {},
            "synthetic": True, "command": "tradingai replay", "code_version": "c",
            "settings_hash": "s",
        }  # fmt: skip
        row = ObservationRow("o1", bench.clock.now(), 0, "tester", "cli", required(bench.settings), baseline)
        event = events.ObservationStarted(
            observation="o1", baseline_run="r", required_hours=72.0, win_rate=None, trades=0,
            who="tester", surface="cli",
        )  # fmt: skip
        await bench.store.observations.start(row, event, give_up=False)
        await heart(bench).beat("started", bench.clock.now())
        bench.clock.advance(30)
        await heart(bench).beat("scanning", bench.clock.now())
        bench.clock.advance(20)
        found = await read(bench, telemetry)
        assert found["tradingai_observation_continuous_seconds"].value() == 30
        assert found["tradingai_observation_required_seconds"].value() == 72 * 3600
        assert found["tradingai_observation_counting"].value() == 1
        with sqlite3.connect(bench.store.path) as other:
            other.execute("UPDATE observations SET baseline = '{}'")
        other.close()
        bench.clock.advance(20)
        found = await read(bench, telemetry)
        assert math.isnan(found["tradingai_observation_continuous_seconds"].value())
        assert found["tradingai_store_readable"].value() == 1
        assert "KeyError" in (await health(bench, telemetry))[1]["observation_fault"]


async def test_the_store_is_read_once_a_second_however_often_somebody_asks(tmp_path, monkeypatch):
    async with followed(tmp_path) as (bench, telemetry):
        reads = []
        real = bench.store.meters.since

        async def counted(*arguments):
            reads.append(arguments)
            return await real(*arguments)

        monkeypatch.setattr(bench.store.meters, "since", counted)
        for _ in range(50):
            await telemetry.metrics()
            await telemetry.health()
        assert len(reads) == 1


def test_followed_events_are_events_that_exist():
    assert all(hasattr(events, name) for name in EVENTS)
