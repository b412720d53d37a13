"""An observation from its beginning to its verdict, through the real loop on a simulated clock."""

import json
import sqlite3

import pytest
from pydantic import SecretStr
from tradingai.engine.core.commands import (
    ApproveObservation,
    ReportObservation,
    SetThreshold,
    WriteSnapshot,
)
from tradingai.engine.core.errors import GateRefusedError, MissingError, UsageError
from tradingai.engine.queries.observation_report import as_markdown
from tradingai.engine.queries.observation_views import CRITERIA
from tradingai.engine.runtime import loop
from tradingai.engine.runtime.controls import carry_out

from tests.fakes.bot_api import CHAT, TOKEN
from tests.fakes.live import sure_artifact
from tests.fakes.observed import WHO, observed, promote_tested, state_of

SCALED = {
    "observation_hours": 2.0,
    "observation_min_trades": 3,
    "observation_win_rate_margin_pct": 60,
    "observation_win_rate_drop_pct": 90,
}
HOUR = 3600.0
CHANNEL = f"telegram:{CHAT}"


@pytest.fixture(autouse=True)
def _long_naps(monkeypatch):
    """Between two scans the loop looks at the clock once: simulated minutes are walked through faster."""
    monkeypatch.setattr(loop, "NAP_S", 60.0)


async def test_an_outage_and_a_crash_end_in_no_go_that_names_both(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        row = await home.begin()
        await home.start_loop()
        await home.run(HOUR / 2)
        await home.outage(1000)
        await home.run(HOUR / 4)
        await home.crash()
        await home.run(40)
        await home.start_loop()
        await home.run(HOUR / 2)
        view = home.view()
        assert view.id == row.observation_id
        assert [one.cause for one in view.restarts] == ["gap", "crash"]
        assert view.crashes == 1
        assert view.continuous_s == pytest.approx(HOUR / 2, abs=61)
        document = await home.report()
        assert document["verdict"]["word"] == "SCALED NO-GO"
        assert document["verdict"]["decided_by"] == "continuous"
        for words in ("gap of 1,0", "ended without a word", "restarted 2 times"):
            assert words in document["verdict"]["text"]
        path = home.paths.root / document.pop("path")
        assert "gap of 1,0" in path.read_text(encoding="utf-8")
        assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == document
        told = await home.events("ObservationClockRestarted")
        assert [one["cause"] for one in told] == ["gap", "crash"]


async def test_a_clean_one_holds_all_but_what_needs_real_time(tmp_path):
    demands = {**SCALED, "observation_hours": 1.0}
    async with observed(tmp_path / "home", days=5.3, **demands) as home:
        await home.begin()
        await home.start_loop()
        await home.run(30)
        drilled = await home.drill()
        assert drilled["held"], drilled["failures"]
        await home.run(1.2 * HOUR)
        view = home.view()
        assert (view.restarts, view.crashes) == ((), 0)
        assert state_of(view) == {
            "continuous": "open", "drill": "holds", "delivery": "open", "win_rate": "holds",
            "tiers": "holds", "approval": "open",
        }  # fmt: skip
        assert view.observed.trades >= 3
        assert view.observed.tiers == {"high": 1.0}
        assert view.baseline.tiers["high"] == 1.0
        continuous = view.criterion("continuous")
        assert continuous.measured.startswith("1:1")
        assert "simulated clock: this needs real time" in continuous.evidence
        document = await home.report()
        assert (document["verdict"]["word"], document["verdict"]["decided_by"]) == (
            "SCALED NO-GO",
            "continuous",
        )
        assert "needs real time" in document["verdict"]["text"]
        with pytest.raises(GateRefusedError, match="needs real time"):
            await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="GO"))


async def full_but_for_approval(home, *, drilled=True):
    """An observation whose clock is full and whose alerts arrived: run and chat as if they were real ones."""
    chat = {"telegram_chat_id": CHAT, "telegram_token": SecretStr(TOKEN)}
    home.settings = home.settings.model_copy(update=chat)
    await home.begin()
    await home.start_loop()
    await home.run(30)
    assert not drilled or (await home.drill())["held"]
    await home.run(1.2 * HOUR * home.settings.observation_hours)
    deliver(home)


def deliver(home):
    with sqlite3.connect(home.store.path) as connection:
        connection.execute("UPDATE runs SET clock = 'real' WHERE kind = 'live'")
        connection.execute("INSERT OR IGNORE INTO alert_channels VALUES (?, 0, '{}', '', NULL)", (CHANNEL,))
        connection.execute(
            "INSERT INTO alerts SELECT ?, (SELECT count(*) FROM signals AS s WHERE s.at <= signals.at),"
            " run_id, 'signal', 1, '', '', at, at, 'delivered', 1, 0, at, 0.7, '', key FROM signals"
            " JOIN runs USING (run_id) WHERE kind = 'live' AND key NOT IN (SELECT subject FROM alerts)",
            (CHANNEL,),
        )
    connection.close()


async def test_an_approval_ends_it_in_go_and_nothing_later_changes_that(tmp_path):
    demands = {**SCALED, "observation_hours": 1.0}
    async with observed(tmp_path / "home", days=5.3, **demands) as home:
        await full_but_for_approval(home)
        view = home.view(CHAT)
        assert home.view().criteria == view.criteria, "what arrived does not depend on who asks"
        assert state_of(view) == {**dict.fromkeys(CRITERIA, "holds"), "approval": "open"}
        assert view.verdict.word == ""
        before = await home.report()
        assert (before["verdict"]["word"], before["verdict"]["decided_by"]) == ("SCALED NO-GO", "approval")
        await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="GO"))
        document = await home.report()
        assert document["verdict"]["word"] == "SCALED GO"
        ended = home.view(CHAT)
        assert (ended.state, ended.ended_why, ended.verdict.word) == ("ended", "GO", "GO")
        assert ended.verdict.summary_path == "reports/phase6_5/summary.md"
        await home.run(HOUR / 4)
        await home.crash()
        later = home.view(CHAT)
        assert (later.continuous_s, later.criteria, later.verdict) == (
            ended.continuous_s, ended.criteria, ended.verdict,
        )  # fmt: skip
        assert (await home.report())["verdict"]["word"] == "SCALED GO"
        with pytest.raises(UsageError, match="ended at"):
            await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="GO"))


async def test_an_approval_does_not_outlive_a_restart_of_the_clock(tmp_path):
    demands = {**SCALED, "observation_hours": 0.5, "observation_min_trades": 1}
    async with observed(tmp_path / "home", days=5.3, **demands) as home:
        await full_but_for_approval(home)
        await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="GO"))
        assert home.view(CHAT).verdict.word == "GO"
        await home.outage(400)
        await home.run(0.8 * HOUR)
        deliver(home)
        view = home.view(CHAT)
        assert [one.counts for one in view.approvals] == [False]
        assert view.criterion("approval").state == "open"
        assert view.criterion("drill").state == "open", "the drill was before the restart as well"
        assert view.criterion("continuous").state == "holds"


async def test_a_signal_that_did_not_arrive_is_no_go(tmp_path):
    demands = {**SCALED, "observation_hours": 0.5}
    async with observed(tmp_path / "home", **demands) as home:
        await full_but_for_approval(home, drilled=False)
        with sqlite3.connect(home.store.path) as connection:
            connection.execute("UPDATE alerts SET state = 'missed' WHERE seq = (SELECT min(seq) FROM alerts)")
        connection.close()
        delivery = home.view(CHAT).criterion("delivery")
        assert (delivery.state, delivery.numbers["lost"]) == ("failed", 1)
        assert delivery.measured == f"{delivery.numbers['signals'] - 1} of {delivery.numbers['signals']}"
        assert home.view(CHAT).verdict.decided_by == "delivery"


async def test_heartbeats_an_observation_counts_by_are_never_pruned(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        await home.start_loop()
        await home.run(HOUR / 4)
        await home.begin()
        await home.run(HOUR / 4)
        counted = home.view().continuous_s
        await home.stop_loop()
        home.clock.advance(40 * 86_400)
        pruned = await home.store.live.prune_heartbeats(30)
        assert pruned > 10
        assert await home.store.live.prune_heartbeats(30) == 0
        assert home.view().continuous_s == pytest.approx(counted, abs=61)


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_five_days_with_an_outage_and_a_crash_end_in_no_go_that_names_both(tmp_path):
    async with observed(tmp_path / "home", days=5.3, tested_hours=48.0) as home:
        await home.begin()
        await home.start_loop()
        await home.run(36 * HOUR)
        await home.outage(1000)
        await home.run(45 * HOUR)
        await home.crash()
        await home.run(40)
        await home.start_loop()
        await home.run(39 * HOUR)
        document = await home.report()
        verdict = document["verdict"]
        assert (verdict["word"], verdict["decided_by"]) == ("NO-GO", "continuous")
        assert "gap of 1,0" in verdict["text"]
        assert "ended without a word" in verdict["text"]
        assert document["scaled"] == []
        days = [one.state for one in home.view().snapshots]
        assert days == ["written"] * 6 + ["waiting"]


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_five_clean_days_hold_all_but_what_needs_real_time(tmp_path):
    async with observed(tmp_path / "home", days=5.3, tested_hours=72.0, paper_risk_pct=0.01) as home:
        await home.begin()
        await home.start_loop()
        await home.run(60)
        assert (await home.drill())["held"]
        await home.run(120 * HOUR)
        view = home.view()
        assert (view.restarts, view.crashes, view.scaled) == ((), 0, ())
        assert view.continuous_hours == pytest.approx(120, abs=0.1)
        assert {cell.state for cell in view.hours[:-1]} == {"whole"}
        assert view.observed.trades >= 300
        assert state_of(view) == {
            "continuous": "open", "drill": "holds", "delivery": "open", "win_rate": "holds",
            "tiers": "holds", "approval": "open",
        }, [(one.id, one.measured, one.evidence) for one in view.criteria]  # fmt: skip
        assert "needs real time" in (await home.report())["verdict"]["text"]


async def test_a_change_of_model_or_threshold_restarts_the_clock_and_is_named(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        await home.begin()
        await home.start_loop()
        await home.run(HOUR / 4)
        promote_tested(home.paths, home.clock, sure_artifact(logit=2.2), 6.0)
        await home.run(HOUR / 4)
        command = SetThreshold(**WHO, issued_at=home.clock.now(), value=0.8)
        await carry_out(home.store, home.settings, home.paths, home.clock, command)
        await home.run(HOUR / 4)
        view = home.view()
        assert [(one.cause, one.text) for one in view.restarts] == [
            ("model", "lstm_BTC-USD v1.0.0 → v1.1.0"),
            ("threshold", "threshold 0.75 → 0.8"),
        ]
        assert view.continuous_s < HOUR / 4
        assert state_of(view)["win_rate"] == "open"
        assert "other threshold (0.75, now 0.8), models" in view.criterion("win_rate").evidence
        text = as_markdown(await home.report())
        assert "lstm_BTC-USD v1.0.0 → v1.1.0" in text
        assert "threshold 0.75 → 0.8" in text


async def test_other_settings_restart_the_clock_and_are_named(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        await home.begin()
        await home.start_loop()
        await home.run(HOUR / 4)
        await home.stop_loop()
        home.settings = home.settings.model_copy(update={"paper_risk_pct": 0.5})
        await home.start_loop()
        await home.run(HOUR / 4)
        view = home.view()
        assert [(one.cause, one.text) for one in view.restarts] == [("settings", "PAPER_RISK_PCT 0.25 → 0.5")]
        assert "PAPER_RISK_PCT 0.25 → 0.5" in as_markdown(await home.report())


async def test_a_clean_restart_does_not_restart_the_clock(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        await home.begin()
        await home.start_loop()
        await home.run(HOUR / 4)
        await home.stop_loop()
        await home.run(100)
        await home.start_loop()
        await home.run(HOUR / 4)
        view = home.view()
        assert (view.restarts, view.crashes) == ((), 0)
        assert view.continuous_s == pytest.approx(HOUR / 2, abs=61)


async def test_too_few_trades_are_insufficient(tmp_path):
    async with observed(tmp_path / "home", **{**SCALED, "observation_hours": 0.5}) as home:
        await home.begin()
        await home.start_loop()
        await home.run(0.6 * HOUR)
        view = home.view()
        assert 0 < view.observed.trades < 3
        win_rate = view.criterion("win_rate")
        assert win_rate.state == "insufficient"
        assert f"{3 - view.observed.trades} more closed trades; at " in win_rate.evidence
        document = await home.report()
        assert document["verdict"]["word"] != "SCALED GO"


async def test_a_day_is_written_when_it_is_over_and_says_the_same_whenever_it_is_written(tmp_path):
    async with observed(tmp_path / "home", heartbeat_s=240, **SCALED) as home:
        home.interval_s = 1800
        await home.begin()
        await home.start_loop()
        await home.run(24.6 * HOUR)
        written = {one.day: one for one in home.view().snapshots}
        assert {day: one.state for day, one in written.items()} == {
            "day0": "written", "day1": "written", "day2": "waiting",
        }  # fmt: skip
        path = home.paths.root / written["day1"].json_path
        first = json.loads(path.read_text(encoding="utf-8"))
        assert first["clock"]["hours"] == pytest.approx(24, abs=0.08)
        markdown = (home.paths.root / written["day1"].markdown_path).read_text(encoding="utf-8")
        assert markdown == as_markdown(first)
        await home.run(HOUR / 2)
        again = await home.desk.snapshot(WriteSnapshot(**WHO, issued_at=home.clock.now(), day="day1"))
        assert json.loads(path.read_text(encoding="utf-8")) == first == again["document"]
        part = await home.desk.snapshot(WriteSnapshot(**WHO, issued_at=home.clock.now()))
        assert (part["day"], part["whole"]) == ("day2", False)
        assert home.view().snapshots[2].state == "partial"
        with pytest.raises(UsageError, match="day3 has not begun"):
            await home.desk.snapshot(WriteSnapshot(**WHO, issued_at=home.clock.now(), day="day3"))


@pytest.mark.parametrize("how", ["file in its place", "read-only"])
async def test_a_lost_reports_folder_stops_no_scan_and_is_told_once(tmp_path, how, monkeypatch):
    async with observed(tmp_path / "home", **SCALED) as home:
        folder = home.paths.root / "reports" / "phase6_5"
        if how == "file in its place":
            folder.write_text("in the way")
        else:
            monkeypatch.setattr("tradingai.engine.core.files.tempfile.mkstemp", _read_only)
        await home.begin()
        await home.start_loop()
        await home.run(HOUR / 4)
        assert await home.store.scans.newest_scan((await home.store.runs.latest())[0].run_id) >= 7
        (told,) = await home.events("ObservationSnapshotFailed")
        assert told["day"] == "day0"
        assert "phase6_5" in told["reason"]
        assert home.view().snapshots[0].problem == told["reason"]
        if how == "file in its place":
            folder.unlink()
        monkeypatch.undo()
        await home.run(150)
        assert home.view().snapshots[0].state == "written"
        (folder / "day0.json").unlink()
        assert home.view().snapshots[0].state == "lost"
        await home.run(150)
        assert home.view().snapshots[0].state == "written"


def _read_only(**_where):
    raise OSError(30, "Read-only file system")


async def test_a_replay_is_assessed_with_the_same_report_and_never_counts(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        row = await home.begin()
        document = await home.report(row.baseline["run"])
        assert document["labels"] == ["REPLAY", "SCALED"]
        assert document["verdict"]["word"] == "REPLAY SCALED NO-GO"
        assert document["verdict"]["counts"] is False
        states = {one["id"]: one["state"] for one in document["criteria"]}
        assert states == {
            "continuous": "open", "drill": "open", "delivery": "open", "win_rate": "holds",
            "tiers": "holds", "approval": "open",
        }  # fmt: skip
        assert document["observed"]["trades"] == row.baseline["trades"]
        assert document["observed"]["win_rate"] == pytest.approx(row.baseline["win_rate"])
        assert document["observed"]["tiers"] == pytest.approx(
            {tier: share for tier, share in row.baseline["tiers"].items() if share}
        )
        assert "It never counts as observation" in as_markdown(document)
        assert home.view().verdict.summary_path == ""
        with pytest.raises(MissingError, match="there is no run nobody"):
            await home.report("nobody")


async def test_one_observation_at_a_time_and_the_old_reports_are_kept(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        with pytest.raises(MissingError, match="no observation has run"):
            await home.report()
        first = await home.begin()
        assert await home.begin() == first, "the same command begins nothing twice"
        with pytest.raises(UsageError, match=r"has counted 0\.00 of 2 h"):
            await home.begin(command_id="another")
        await home.report()
        second = await home.begin(command_id="another", anew=True)
        assert second.baseline["run"] == first.baseline["run"], "the same inputs are replayed once"
        (started,) = [
            one for one in await home.events("ObservationStarted") if one["given_up_hours"] is not None
        ]
        assert started["observation"] == second.observation_id
        await home.report()
        folder = home.paths.root / "reports" / "phase6_5"
        assert {one.name for one in (folder / first.observation_id).iterdir()} == {
            "summary.json",
            "summary.md",
        }
        assert second.observation_id in (folder / "summary.md").read_text(encoding="utf-8")


async def test_the_baseline_is_the_test_range_with_the_threshold_of_the_moment(tmp_path):
    async with observed(tmp_path / "home", **SCALED, observation_baseline_days=0.125) as home:
        command = SetThreshold(**WHO, issued_at=home.clock.now(), value=0.7)
        await carry_out(home.store, home.settings, home.paths, home.clock, command)
        base = (await home.begin()).baseline
        assert (base["hours"], base["threshold"]) == (3, 0.7)
        assert base["command"] == (
            "CONFIDENCE_THRESHOLD=0.7 tradingai replay --hours 3 --end 2025-11-10T00:52:00Z"
        )
        assert base["models"] == {"lstm_BTC-USD": "v1.0.0"}
        trades = await home.store.scans.trades(base["run"])
        assert (base["trades"], base["wins"]) == (len(trades), sum(one.r > 0 for one in trades))


async def test_an_approval_is_a_word_and_the_command_of_another_home_is_refused(tmp_path):
    async with observed(tmp_path / "home", **SCALED) as home:
        with pytest.raises(MissingError, match="no observation has run"):
            await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="GO"))
        await home.begin()
        with pytest.raises(UsageError, match="an approval is the word GO, not 'yes'"):
            await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed="yes"))
        with pytest.raises(GateRefusedError, match="5 of the other five criteria do not hold"):
            await home.desk.approve(ApproveObservation(**WHO, issued_at=home.clock.now(), typed=" go "))
        command = ReportObservation(**WHO, issued_at=home.clock.now(), run="live-1")
        with pytest.raises(MissingError, match="there is no run live-1"):
            await home.desk.report(command)
