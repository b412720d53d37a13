"""The guard drill: real candles, models, rules and store; the guard as it is, and guards that were spoilt."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import SetKillSwitch
from tradingai.engine.core.errors import InterruptedRunError, MissingError
from tradingai.engine.core.events import DrillFinished, KillSwitchSet
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.decision import desk as desks
from tradingai.engine.decision.records import Reason
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.risk import guard as guards
from tradingai.engine.risk.guard import GuardStatus
from tradingai.engine.runtime.drill import _drill_job, drill, read_drill

from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import alive, open_scans, wait_for, worker_of
from tests.fakes.live import open_bench
from tests.fakes.stored_market import open_replays, replay_home

KEYS = {
    "run", "held", "failures", "breach", "halted_at", "cause", "positions_closed", "closed_by", "scans_after",
    "emitted_after", "risk_blocked_after", "twin_emitted", "held_back", "symbols", "models", "synthetic",
    "start", "end", "wall_s",
}  # fmt: skip
DAY_SCANS = 720


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return replay_home(tmp_path_factory.mktemp("drill") / "home", days=5.4).root


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


async def drilled(bench, reporter=None, models=None):
    inputs = read_drill(bench.paths, bench.settings, models)
    return await drill(bench.store, bench.settings, inputs, reporter or SilentReporter(), RealClock())


# ------------------------------------------------------------------------------- the guard as it is


async def test_the_guard_holds_and_every_number_is_in_the_rows(home):
    reporter = SilentReporter()
    async with open_replays(home) as bench:
        found = await drilled(bench, reporter)
        run, scans = found["run"], bench.store.scans
        assert found.keys() == KEYS
        assert (found["held"], found["failures"], found["cause"]) == (True, [], "daily_limit")
        assert (found["emitted_after"], found["scans_after"]) == (0, DAY_SCANS)
        assert found["twin_emitted"] == found["held_back"] > 5
        assert found["risk_blocked_after"] >= found["held_back"]
        assert sum(found["closed_by"].values()) == found["positions_closed"] > 0
        change = (await scans.desk_changes(run))[-1]
        loss = found["breach"]["loss"]
        assert (change.cause, change.detail) == ("drill", f"a simulated loss of {loss:,.2f}")
        before = (await scans.scans(run))[change.after_scan - 1]
        breach = found["breach"]
        assert (parse_iso(breach["at"]), breach["limit"]) == (before.at, "daily")
        assert breach["equity"] == pytest.approx(before.equity - breach["loss"])
        assert breach["floor"] == pytest.approx(190_000, abs=3_000)
        assert breach["equity"] == pytest.approx(breach["floor"] - 2_000)
        after = await scans.scans(run, after=change.after_scan)
        assert {row.guard for row in after} == {"HALTED"}
        assert (len(after), after[-1].at) == (DAY_SCANS, parse_iso(found["end"]))
        decided = await scans.decisions(run, after=change.after_scan)
        assert [row.reason for row in decided].count("risk_blocked") == found["risk_blocked_after"]
        assert not [row for row in decided if row.reason in {"emitted", "killed"}]
        signals = await scans.signals(run, since=before.at)
        assert [row for row in signals if row.at > before.at] == []
        trades = [trade for trade in await scans.trades(run) if trade.scan_seq > change.after_scan]
        assert {trade.exit_reason for trade in trades} == set(found["closed_by"])
        assert len(trades) == found["positions_closed"]
        account = (await scans.account(run)).desk
        assert (account["paper"]["positions"], account["paper"]["orders"]) == ([], [])
        assert account["ftmo"]["breach"]["limit"] == "daily"
        kept = await scans.newest_finished("drill")
        assert (kept.run_id, kept.result) == (run, json.loads(json.dumps(found)))
        assert (await bench.store.runs.plan(run)).speed is None
        verified = await bench.verify(run)
        assert (verified.verified, verified.first) == (True, None)
        (event,) = [event for event in reporter.events if isinstance(event, DrillFinished)]
        assert (event.held, event.run_id, event.twin_emitted) == (True, run, found["twin_emitted"])
        assert await bench.store.events.after(0) == []


async def test_the_twin_is_a_replay_that_lost_nothing(home):
    """What the twin emitted is what a replay of the same hours emits: it is no other account."""
    async with open_replays(home) as bench:
        found = await drilled(bench)
        plan = await bench.store.runs.plan(found["run"])
        hours = (parse_iso(found["end"]) - plan.first_at).total_seconds() / 3600 + 1 / 30
        whole = await bench.replay(hours, end=parse_iso(found["end"]))
        assert parse_iso(whole["start"]) == plan.first_at
        lost_at = parse_iso(found["breach"]["at"])
        signals = await bench.store.scans.signals(whole["run"])
    assert len([row for row in signals if row.at > lost_at]) == found["twin_emitted"]


async def test_it_knows_neither_kill_switch_nor_halt_and_leaves_live_rows_alone(home):
    from tests.integration.test_replay import rows_of

    async with open_bench(home) as live:
        await live.scan(20)
        command = SetKillSwitch(
            sender="test", surface="cli", issued_at=RealClock().now(), on=True, reason="test"
        )
        event = KillSwitchSet(on=True, who="test", surface="cli", reason="test")
        await live.store.controls.set("kill_switch", True, command, "test", event)
        run = live.run_id
        before = rows_of(home, run)
    async with open_replays(home) as bench:
        found = await drilled(bench)
    assert found["held"] is True
    assert found["twin_emitted"] > 0
    assert rows_of(home, run) == before


# -------------------------------------------------------------------------------- guards that were spoilt


async def test_a_guard_that_does_not_halt_is_found_out(home, monkeypatch):
    monkeypatch.setattr(guards, "halt", lambda guard, *_why: (guard, ()))
    async with open_replays(home) as bench:
        found = await drilled(bench)
    assert found["held"] is False
    assert (found["halted_at"], found["cause"]) == (None, None)
    assert found["emitted_after"] > 0
    assert found["failures"][0] == "the guard did not halt"
    assert f"{found['emitted_after']} signals were emitted after the loss" in found["failures"]


async def test_a_guard_that_lets_go_after_an_hour_is_found_out(home, monkeypatch):
    whole = guards.observe

    def forgetful(guard, account, config, reading):
        guard, account, events = whole(guard, account, config, reading)
        if guard.status is GuardStatus.HALTED and reading.at_us - guard.since_us > 3600 * 1_000_000:
            guard = replace(guard, status=GuardStatus.ACTIVE)
        return guard, account, events

    monkeypatch.setattr(guards, "observe", forgetful)
    async with open_replays(home) as bench:
        found = await drilled(bench)
    assert found["held"] is False
    assert any("was not HALTED after" in text for text in found["failures"])


async def test_a_guard_that_halts_but_closes_nothing_is_found_out(home, monkeypatch):
    whole = desks.step_paper
    monkeypatch.setattr(desks, "step_paper", lambda *given: whole(*given[:4], None))
    async with open_replays(home) as bench:
        found = await drilled(bench)
    assert found["held"] is False
    assert found["emitted_after"] == 0
    assert "halt" not in found["closed_by"]
    assert any(text.startswith("not closed at the first price after the halt") for text in found["failures"])


async def test_a_halted_desk_that_emits_all_the_same_is_found_out(home, monkeypatch):
    from tradingai.engine.decision import rules

    spoilt = tuple(rule for rule in rules.ROOM if rule[0] is not Reason.RISK_BLOCKED)
    assert len(spoilt) == len(rules.ROOM) - 1
    monkeypatch.setattr(desks, "ROOM", spoilt)
    async with open_replays(home) as bench:
        found = await drilled(bench)
    assert found["held"] is False
    assert found["emitted_after"] > 0
    assert any("were not blocked by the guard" in text for text in found["failures"])


# ------------------------------------------------------------------------------------ what can go wrong


async def test_without_a_model_or_candles_it_names_the_command_that_helps(home):
    async with open_replays(home) as bench:
        with pytest.raises(MissingError, match="no model is promoted") as told:
            read_drill(bench.paths, bench.settings, PromotedModels())
        assert "tradingai pipeline" in told.value.remedy
        few = bench.settings.model_copy(update={"scan_interval_s": 120, "symbols": ("SOL-USD",)})
        with pytest.raises(MissingError, match="72 hours of candles: there are no candles of SOL") as told:
            read_drill(bench.paths, few)
        assert "tradingai data generate" in told.value.remedy
        assert await bench.store.runs.latest() == []


async def test_models_that_decide_nothing_have_nothing_to_lose(home):
    async with open_replays(home, confidence_threshold=0.999) as bench:
        with pytest.raises(MissingError, match="no position opened within 48 hours") as told:
            await drilled(bench)
        assert "tradingai replay" in told.value.remedy
        (row,) = await bench.store.runs.latest()
        assert (await bench.store.scans.result(row.run_id)).state == "failed"
        assert await bench.store.scans.newest_finished("drill") is None


async def test_it_stops_at_a_safe_point_and_the_next_one_closes_dead_ones(home):
    class Stop(SilentReporter):
        def safe_point(self):
            raise InterruptedRunError("stopped: Ctrl-C")

    async with open_replays(home) as bench:
        with pytest.raises(InterruptedRunError):
            await drilled(bench, Stop())
        (row,) = await bench.store.runs.latest()
        assert (await bench.store.scans.result(row.run_id)).state == "interrupted"
        found = await _drill_job(bench.paths, bench.settings, SilentReporter(), RealClock())
        assert found["drill"]["held"] is True
        assert found["summary"].startswith("the guard held: 0 emitted of ")
        assert await bench.store.runs.open_runs("drill") == []


@pytest.mark.slow
def test_from_the_command_line_with_kill_9_in_the_middle(home):
    """The run of the killed one is marked, the next one works, text and JSON say the same."""
    running = start(home, "observe", "drill")
    wait_for(lambda: open_scans(home, "drill"))
    worker = worker_of(home, "drill")
    running.kill()
    running.communicate(timeout=10)
    wait_for(lambda: not alive(worker), seconds=15)
    done = tradingai(home, "observe", "drill", "--json")
    assert done.status == 0, done.err
    assert done.document["held"] is True
    with closing(sqlite3.connect(home / "tradingai.db")) as connection:
        states = [row[0] for row in connection.execute("SELECT state FROM run_results ORDER BY rowid")]
    assert states == ["interrupted", "finished"]
    told = tradingai(home, "observe", "drill")
    assert told.status == 0
    assert "the guard held (SYNTHETIC candles of BTC-USD, ETH-USD, BNB-USD)" in told.out
    assert "below the daily limit at" in told.out
    assert f"a twin without the loss emitted {done.document['twin_emitted']}" in " ".join(told.out.split())


def test_without_candles_it_exits_4(tmp_path):
    tradingai(tmp_path / "home", "status")
    done = tradingai(tmp_path / "home", "observe", "drill", "--json")
    assert (done.status, done.error["code"]) == (4, "missing")
    assert "tradingai data generate" in done.error["remedy"]
