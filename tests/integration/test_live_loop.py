"""The live loop in one process: real store, models, features and rules; clock and provider are made."""

import asyncio
import sqlite3
from datetime import timedelta

import pytest
from tradingai.engine.core.commands import ResetAccount, SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import StoreError, UsageError
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.decision.desk import halt_desk
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.risk.guard import GuardStatus
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.verify import verify_run

from tests.fakes.live import BTC, NOW, SpoiltFeed, open_bench, promote, sure_artifact

ETH = "ETH-USD"
ISSUED = {"sender": "tester", "surface": "cli", "issued_at": NOW}


async def control(bench, command):
    return await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)


async def test_each_closed_candle_is_decided_on_once(tmp_path):
    async with open_bench(tmp_path / "home", interval_s=30) as bench:
        scans = await bench.scan(6)
        assert [one.reasons for one in scans] == [
            {"emitted": 1}, {"no_new_candle": 1}, {"position_open": 1}, {"no_new_candle": 1},
            {"position_open": 1}, {"no_new_candle": 1},
        ]  # fmt: skip
        (signal,) = await bench.store.scans.signals(bench.run_id)
        assert (signal.side, signal.tier, signal.mode) == ("long", "high", "dry-run")
        assert signal.confidence == pytest.approx(1 / (1 + 2.718281828459045**-2), abs=1e-9)
        (told,) = await bench.events("SignalEmitted")
        assert told["key"] == signal.key == "BTC-USD@2026-03-04T12:00:00Z"
        completed = await bench.events("ScanCompleted")
        assert [event["detail"] for event in completed] == ["", "no new closed candle"] * 3
        (opened,) = await bench.events("PositionOpened")
        assert opened["at"] == "2026-03-04T12:02:00Z"


async def test_scans_are_aligned_to_the_clock(tmp_path):
    async with open_bench(tmp_path / "home", interval_s=120) as bench:
        await bench.scan(3)
        rows = await bench.store.scans.scans(bench.run_id)
        assert [row.due.strftime("%H:%M:%S") for row in rows] == ["12:02:00", "12:04:00", "12:06:00"]
        assert {row.state for row in rows} == {"done"}


async def test_a_new_loop_goes_on_where_the_last_one_stopped(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(2)
        run_id, clock = bench.run_id, bench.clock
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        assert (bench.run_id, bench.begun.resumed) == (run_id, True)
        asked = bench.loop._wanted()
        scans = await bench.scan(30)
        rows = await bench.store.scans.scans(run_id)
        assert [row.seq for row in rows] == list(range(1, 33))
        keys = [row.key for row in await bench.store.scans.signals(run_id)]
        assert len(keys) == len(set(keys))
        assert scans[0].reasons == {"position_open": 1}
        newest = (clock.now() - timedelta(minutes=31)).replace(second=0)
        assert asked[BTC] == int(newest.timestamp()) * 1_000_000
        trades = await bench.store.scans.trades(run_id)
        assert trades[0].key == keys[0]
        assert trades[0].exit_at - trades[0].entry_at <= timedelta(minutes=15)


async def test_rate_limits_and_back_off_survive_a_new_loop(tmp_path):
    async with open_bench(tmp_path / "home", max_signals_per_hour=1, max_signals_per_hour_high=1) as bench:
        assert (await bench.scan(1))[0].reasons == {"emitted": 1}
        clock, rates, guard = bench.clock, bench.begun.step.desk.rates, bench.begun.step.desk.guard
    settings = {"max_signals_per_hour": 1, "max_signals_per_hour_high": 1}
    async with open_bench(tmp_path / "home", clock=clock, **settings) as bench:
        assert (bench.begun.step.desk.rates, bench.begun.step.desk.guard) == (rates, guard)
        scans = await bench.scan(55)
        assert {reason for one in scans for reason in one.reasons} == {"rate_limited"}


async def test_a_coin_taken_out_of_the_settings_ends_its_position_by_its_own_prices(tmp_path):
    pair = (sure_artifact(BTC), sure_artifact(ETH))
    async with open_bench(tmp_path / "home", symbols=(BTC, ETH), artifacts=pair) as bench:
        await bench.scan(2)
        assert bench.begun.step.desk.paper.coins == (BTC, ETH)
        clock = bench.clock
    async with open_bench(tmp_path / "home", symbols=(BTC,), clock=clock) as bench:
        await bench.scan(30)
        assert ETH in {trade.symbol for trade in await bench.store.scans.trades(bench.run_id)}
        assert ETH not in bench.begun.step.desk.paper.coins
        assert bench.begun.step.desk.guard.status is not GuardStatus.HALTED
        assert await bench.decisions(ETH) == []
        found = await verify_run(bench.store, bench.paths, bench.run_id, SilentReporter(), bench.clock)
        assert found.verified, found.as_json()


async def test_controls_that_cannot_be_read_are_a_kill(tmp_path, monkeypatch):
    async def unreadable():
        raise StoreError("database disk image is malformed", remedy="Restore it.")

    async with open_bench(tmp_path / "home") as bench:
        with monkeypatch.context() as broken:
            broken.setattr(bench.store.controls, "all", unreadable)
            assert (await bench.scan(1))[0].reasons == {"killed": 1}
        (decision,) = await bench.decisions()
        assert "the store cannot be read: database disk image is malformed" in decision.detail
        assert (await bench.scan(1))[0].reasons == {"emitted": 1}


async def test_another_market_is_no_way_around_limits_and_halt(tmp_path):
    limits = {"max_signals_per_hour": 1, "max_signals_per_hour_high": 1}
    async with open_bench(tmp_path / "home", **limits) as bench:
        assert (await bench.scan(1))[0].reasons == {"emitted": 1}
        desk, _ = halt_desk(bench.begun.step.desk, 0, "exception", "a test")
        now = bench.clock.now()
        await bench.begun.run.change_desk(desk, round(now.timestamp() * 1e6), "test", "halted")
        first, clock = bench.run_id, bench.clock
    other = SpoiltFeed(SyntheticMarket("cycles", 8))
    async with open_bench(tmp_path / "home", clock=clock, feed=other, **limits) as bench:
        assert bench.run_id != first
        fresh = bench.begun.step.desk
        assert (fresh.paper.positions, fresh.paper.orders, fresh.seen_us) == ((), (), {})
        assert (fresh.rates, fresh.guard) == (desk.rates, desk.guard)
        assert (await bench.scan(1))[0].reasons == {"rate_limited": 1}
        reset = ResetAccount(**ISSUED, reason="the other market may go on")
        assert (await control(bench, reset))["status"] == "ACTIVE"
        scans = await bench.scan(60)
        assert scans[0].reasons == {"rate_limited": 1}
        assert scans[-1].reasons != {"risk_blocked": 1}


async def test_changed_settings_begin_another_run_with_the_same_account(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(2)
        first, desk, clock = bench.run_id, bench.begun.step.desk, bench.clock
    async with open_bench(tmp_path / "home", clock=clock, paper_risk_pct=0.5) as bench:
        assert bench.run_id != first
        assert not bench.begun.resumed
        assert bench.begun.step.desk == desk
        scans = await bench.scan(30)
        assert scans[0].reasons == {"position_open": 1}
        assert (await bench.store.scans.trades(bench.run_id))[0].key == "BTC-USD@2026-03-04T12:00:00Z"
        ended = {row.run_id: row.ended_at for row in await bench.store.runs.latest()}
        assert ended[first] is not None
        assert ended[bench.run_id] is None


async def test_measured_costs_begin_another_run_and_are_named(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(2)
        first, clock, desk, paths = bench.run_id, bench.clock, bench.begun.step.desk, bench.paths
        plain = (await bench.store.runs.latest())[0].settings_hash
    level = CostLevel(6.0, 6.0, 6.0, 500)
    document = ExecutionCosts(
        pairs={BTC: {"london": SessionCosts(level, level)}},
        source="ticks",
        measured_at="2026-03-04T00:00:00Z",
    ).as_document()
    (paths.data / "execution_metrics.json").write_text(dumps(document))
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        assert bench.run_id != first
        assert not bench.begun.resumed
        assert bench.begun.step.desk == desk
        assert (await bench.store.runs.latest())[0].settings_hash != plain
        (change,) = await bench.store.scans.desk_changes(bench.run_id)
        assert change.detail == (
            f"the account of run {first}; execution costs: measured 2026-03-04 instead of defaults"
        )
        second = bench.run_id
    document["source"] = "the same figures under another name"
    (paths.data / "execution_metrics.json").write_text(dumps(document))
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        assert (bench.run_id, bench.begun.resumed) == (second, True)


async def test_kill_switch_and_threshold_hold_for_the_next_scan(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await control(bench, SetKillSwitch(**ISSUED, on=True, reason="a drill"))
        assert (await bench.scan())[0].reasons == {"killed": 1}
        await control(bench, SetKillSwitch(**ISSUED, on=False))
        await control(bench, SetThreshold(**ISSUED, value=0.9))
        assert (await bench.scan())[0].reasons == {"below_threshold": 1}
        await control(bench, SetThreshold(**ISSUED, value=None))
        assert (await bench.scan())[0].reasons == {"emitted": 1}
        rows = await bench.store.scans.scans(bench.run_id)
        assert [(row.killed, row.threshold) for row in rows] == [(True, None), (False, 0.9), (False, None)]
        audited = await bench.store.commands.latest()
        assert [(row.type, row.state) for row in audited] == [
            ("SetThreshold", "done"), ("SetThreshold", "done"),
            ("SetKillSwitch", "done"), ("SetKillSwitch", "done"),
        ]  # fmt: skip


async def test_a_kill_between_decision_and_store_stops_the_signal(tmp_path):
    """Another process kills after the scan read its controls: it has to decide again."""

    async with open_bench(tmp_path / "home") as bench:

        def kill():
            with sqlite3.connect(bench.store.path) as other:
                other.execute(
                    "INSERT INTO commands VALUES"
                    " ('c', 'SetKillSwitch', '{}', 'x', 'cli', '', '', 'done', '{}', '')"
                )
                other.execute(
                    "INSERT INTO controls VALUES"
                    " ('kill_switch', 'true', '2026-03-04T12:00:00Z', 'x', 'cli', '', 'c')"
                )
                other.execute("UPDATE counters SET value = value + 1 WHERE name = 'controls'")
            other.close()

        decide = bench.begun.step.decide

        def killed_meanwhile(*arguments):
            bench.clock.on_read = kill
            bench.begun.step.decide = decide
            return decide(*arguments)

        bench.begun.step.decide = killed_meanwhile
        assert (await bench.scan())[0].reasons == {"killed": 1}
        assert await bench.store.scans.signals(bench.run_id) == []
        assert len(await bench.store.scans.scans(bench.run_id)) == 1


async def test_kill_off_is_refused_while_the_environment_kills(tmp_path):
    async with open_bench(tmp_path / "home", kill_switch=True) as bench:
        with pytest.raises(UsageError, match="KILL_SWITCH=true"):
            await control(bench, SetKillSwitch(**ISSUED, on=False))
        assert (await bench.store.commands.latest())[0].state == "refused"
        assert (await bench.scan())[0].reasons == {"killed": 1}


async def test_a_threshold_that_is_none_is_refused(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        refused = {0.49: 0.49, 1.0: 1.0, float("nan"): "nan", float("-inf"): "-inf"}
        for value, written in refused.items():
            with pytest.raises(UsageError, match=r"from 0\.5 to below 1"):
                await control(bench, SetThreshold(**ISSUED, value=value))
            audited = (await bench.store.commands.latest())[0]
            assert (audited.state, audited.payload) == ("refused", {"value": written})
        assert await bench.store.controls.all() == {}


async def test_a_promotion_is_picked_up_between_scans(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)
        promote(bench.paths, bench.clock, sure_artifact(logit=0.2))
        scans = await bench.scan(2)
        assert scans[0].reasons == {"position_open": 1}
        assert scans[1].reasons == {"below_threshold": 1}
        warmed = await bench.events("ModelWarmed")
        assert [event["version"] for event in warmed] == ["v1.0.0", "v1.1.0"]


async def test_an_account_reset_beside_the_loop_holds(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)
        step, run = bench.begun.step, bench.begun.run
        desk, events = halt_desk(step.desk, int(NOW.timestamp() * 1e6), "exception", "a drill")
        await run.change_desk(desk, int(NOW.timestamp() * 1e6), "drill", "", events)
        step.replace_desk(desk)
        assert (await bench.scan(1))[0].reasons in ({"risk_blocked": 1}, {"position_open": 1})
        with pytest.raises(UsageError, match="shorter than"):
            await control(bench, ResetAccount(**ISSUED, reason="why not"))
        result = await control(bench, ResetAccount(**ISSUED, reason="the drill is over"))
        assert (result["status"], result["fresh"]) == ("ACTIVE", False)
        assert step.desk.guard.status == "HALTED"
        scans = await bench.scan(1)
        assert step.desk.guard.status == "ACTIVE"
        assert scans[0].state == "done"
        (told,) = await bench.events("AccountReset")
        assert (told["who"], told["reason"]) == ("tester", "the drill is over")


async def test_the_loop_stops_on_request_without_a_further_scan(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        stop = asyncio.Event()
        bench.clock.at.append((200.0, stop.set))
        await bench.loop.run(stop)
        assert bench.loop.scanned == 3


async def test_positions_of_long_ago_end_by_the_candles_that_followed(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(2)
        clock = bench.clock
    clock.advance(30 * 86_400)
    async with open_bench(tmp_path / "home", clock=clock) as bench:
        scans = await bench.scan(2)
        (trade,) = (await bench.store.scans.trades(bench.run_id))[:1]
        assert trade.exit_at - trade.entry_at <= timedelta(minutes=15)
        assert scans[0].reasons == {"stale": 1}
        assert scans[1].reasons == {"emitted": 1}
        assert bench.begun.step.desk.guard.status == "ACTIVE"


async def test_received_candles_are_kept_with_their_scan(tmp_path):
    async with open_bench(tmp_path / "home", interval_s=120, feed=SpoiltFeed()) as bench:
        await bench.scan(3)
        rows = await bench.store.live.candles(bench.run_id, scans=(2, 3))
        times = [(row.scan_seq, row.received_at, row.ts_us) for row in rows]
        scans = {row.seq: row.at for row in await bench.store.scans.scans(bench.run_id)}
        assert [seq for seq, _, _ in times] == [2, 2, 3, 3]
        assert all(received == scans[seq] for seq, received, _ in times)
        inputs = {row.scan_seq: row.candles for row in await bench.store.scans.inputs(bench.run_id)}
        assert inputs[2] == inputs[3] == 2


async def test_whoever_watches_hears_what_a_scan_decided_and_left(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        first, second = await bench.scan(2)
        row = (await bench.store.scans.scans(bench.run_id))[1]
        assert (second.run_id, second.mode, second.seq) == (bench.run_id, "dry-run", 2)
        assert second.latency_ms == pytest.approx(row.latency_ms)
        assert second.took_ms == pytest.approx(row.took_ms)
        assert [one.reason.value for one in first.decisions] == ["emitted"]
        assert first.decisions[0].signal is first.signals[0]
        account = second.account
        assert (account.balance, account.equity, account.drawdown, account.guard) == (
            row.balance, row.equity, row.drawdown, row.guard
        )  # fmt: skip
        lefts = {floor.name: floor.left for floor in account.floors}
        assert lefts["daily stop"] == pytest.approx(account.equity - 191_000)
        assert lefts["total limit"] == pytest.approx(account.equity - 180_000)


async def test_a_watcher_that_raises_ends_no_scan_and_is_told_once(tmp_path):
    async with open_bench(tmp_path / "home") as bench:

        def broken(_scanned):
            raise OSError("stderr is gone")

        bench.loop._on_scan = broken
        await bench.loop.run(asyncio.Event(), 3)
        rows = await bench.store.scans.scans(bench.run_id)
        assert [row.state for row in rows] == ["done"] * 3
        (told,) = await bench.events("UpkeepFailed")
        assert (told["what"], told["reason"]) == ("telling of scans", "OSError: stderr is gone")
