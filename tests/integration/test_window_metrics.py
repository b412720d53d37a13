"""The metrics of a window: equal to the console's for the same hours, and to the rows that are in it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from tradingai.engine.alerts.outbox import Outbox
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.queries.assemble import SnapshotReader
from tradingai.engine.queries.rolling import REASONS
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.engine.queries.window_metrics import TIERS, Span, WindowMetrics, last_hours
from tradingai.engine.queries.window_reading import read_window
from tradingai.engine.queries.window_rows import metric_csv, metric_rows
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.store.live_rows import Heartbeat
from tradingai.engine.store.read_only import reading
from tradingai.screens.carrier import surroundings

from tests.fakes.alerts import LOST, UNKNOWN, ScriptedSink
from tests.fakes.command_line import tradingai
from tests.fakes.homes import plain_settings
from tests.fakes.live import BTC, NOW, Bench, SpoiltFeed, open_bench, sure_artifact
from tests.fakes.stored_market import open_replays, replay_home

ETH = "ETH-USD"
CHAT = {"telegram_token": SecretStr("123:secret"), "telegram_chat_id": 42}
ISSUED = {"sender": "tester", "surface": "cli", "issued_at": NOW}


def window(
    home: Path,
    hours: float | None = 24,
    span: Span | None = None,
    budget_ms: float = 500,
    chat: int | None = None,
) -> WindowMetrics:
    with reading(home / "tradingai.db") as connection:
        watched = choose_run(connection)
        assert watched is not None
        where = span or last_hours(watched, hours)
        return read_window(connection, watched, where, budget_ms=budget_ms, chat=chat)


def console(bench: Bench, **changes) -> ConsoleSnapshot:
    """What the console shows at this moment."""
    settings = plain_settings(symbols=bench.settings.symbols).model_copy(update=changes)
    reader = SnapshotReader(bench.paths, settings, bench.clock, surroundings())
    return reader.read(Interest(monitor=True, risk=True))


def assert_equal_to_the_console(found: WindowMetrics, shown: ConsoleSnapshot) -> None:
    monitor, live = shown.monitor, shown.live
    assert monitor is not None
    assert monitor.problem is None
    assert (found.run, found.scans.total) == (monitor.run.run, monitor.funnel.scans)
    assert (found.scans.late, found.scans.failed) == (monitor.latency.late, monitor.latency.failed)
    assert found.decisions.total == monitor.funnel.scanned
    assert found.decisions.by_reason == {one: monitor.funnel.by_reason.get(one, 0) for one in REASONS}
    assert found.decisions.by_tier == {tier: monitor.tiers.get(tier, 0) for tier in TIERS}
    assert found.signals.total == monitor.signals_in_window
    assert (found.trades.closed, found.trades.win_rate) == (monitor.closed, monitor.win_rate)
    assert found.trades.net_r == (monitor.net_r or 0.0)
    latency = monitor.latency
    assert (found.latency.p50_ms, found.latency.p99_ms) == (latency.p50_ms, latency.p99_ms)
    assert found.latency.budget_ms == latency.budget_ms
    assert live is not None
    assert (found.account.balance, found.account.equity) == (live.balance, live.equity)
    assert (found.account.max_drawdown, found.account.guard) == (live.drawdown, live.guard)
    newest = max(age.newest_candle for age in found.feed_age.values())
    assert newest + timedelta(minutes=1) == live.feed_at
    assert shown.risk is not None
    assert found.account.equity == shown.risk.curve[-1].equity
    assert (found.account.lowest_equity, found.account.highest_equity) == (
        min(point.equity for point in shown.risk.curve),
        max(point.equity for point in shown.risk.curve),
    )


async def test_a_live_run_within_a_day_is_what_the_console_shows(tmp_path):
    pair = (sure_artifact(BTC), sure_artifact(ETH, logit=-0.4))
    home = tmp_path / "home"
    async with open_bench(home, symbols=(BTC, ETH), artifacts=pair) as bench:
        await bench.scan(40)
        found = window(home)
        assert_equal_to_the_console(found, console(bench))
        scans = await bench.store.scans.scans(bench.run_id)
        decisions = await bench.store.scans.decisions(bench.run_id)
        trades = await bench.store.scans.trades(bench.run_id)
    assert found.scans.total == len(scans) == 40
    assert found.decisions.by_tier == {**dict.fromkeys(TIERS, 0), **Counter(row.tier for row in decisions)}
    assert (found.synthetic, found.feed) == (True, bench.feed.identity)
    assert found.trades.closed == len(trades) > 0
    assert found.trades.net == pytest.approx(sum(one.net for one in trades))
    assert found.trades.mean_r == pytest.approx(sum(one.r for one in trades) / len(trades))
    assert found.models == {"lstm_BTC-USD": ("v1.0.0",), "lstm_ETH-USD": ("v1.0.0",)}
    ages = [
        (row.at - row.candle).total_seconds() - 60 for row in decisions if row.symbol == ETH and row.candle
    ]
    assert (found.feed_age[ETH].last_s, found.feed_age[ETH].max_s) == (ages[-1], max(ages))


async def test_only_rows_of_the_window_are_in(tmp_path):
    """An hour of scans, and a window of its last twenty minutes, and one of minutes in the middle."""
    home = tmp_path / "home"
    async with open_bench(home) as bench:
        await bench.scan(60)
        found = window(home, hours=1 / 3)
        scans = await bench.store.scans.scans(bench.run_id)
        trades = await bench.store.scans.trades(bench.run_id)
        signals = await bench.store.scans.signals(bench.run_id)
        middle = window(home, span=Span(scans[9].at, scans[19].at))
        whole = window(home, hours=None)
        nothing = window(home, span=Span(scans[0].at - timedelta(hours=2), scans[0].at - timedelta(hours=1)))
    inside = [row for row in scans if found.start < row.at <= found.end]
    assert found.end == scans[-1].at
    assert (found.scans.total, found.first_scan, found.last_scan) == (20, inside[0].seq, inside[-1].seq)
    assert found.trades.closed == len([row for row in trades if row.exit_at > found.start]) < len(trades)
    assert found.signals.total == len([row for row in signals if row.at > found.start]) < len(signals)
    assert found.account.lowest_equity == min(row.equity for row in inside)
    assert (middle.first_scan, middle.last_scan, middle.scans.total) == (11, 20, 10)
    assert middle.account.equity == scans[19].equity
    assert middle.trades.closed == len([row for row in trades if scans[9].at < row.exit_at <= scans[19].at])
    assert (whole.start, whole.scans.total, whole.trades.closed) == (None, 60, len(trades))
    assert (nothing.scans.total, nothing.decisions.total, nothing.trades.closed) == (0, 0, 0)
    assert (nothing.trades.win_rate, nothing.latency.p99_ms, nothing.latency.within_budget) == (None,) * 3
    assert (nothing.account.equity, nothing.feed_age) == (None, {})


async def test_failed_and_slow_scans_and_the_budget(tmp_path, monkeypatch):
    def broken(*_):
        raise ConnectionError("refused")

    home = tmp_path / "home"
    async with open_bench(home, feed=SpoiltFeed()) as bench:
        await bench.scan(3)
        with monkeypatch.context() as spoilt:
            spoilt.setattr(bench.begun.step, "decide", broken)
            await bench.scan(2)
        await bench.scan(1)
        bench.clock.advance(200)
        await bench.scan(2)
        shown = console(bench)
        found = window(home)
        durations = sorted(
            row.latency_ms
            for row in await bench.store.scans.scans(bench.run_id)
            if row.latency_ms is not None
        )
        tight = window(home, budget_ms=durations[-1] / 2)
        events = await bench.events("ScanOverrun")
    assert_equal_to_the_console(found, shown)
    assert (found.scans.total, found.scans.failed, found.scans.late) == (8, 2, 1)
    assert found.scans.done == found.scans.total - found.scans.failed - found.scans.late
    assert found.scans.missed == sum(event["missed"] for event in events) > 0
    assert tight.latency.over_budget == len([one for one in durations if one > durations[-1] / 2]) > 0
    assert (tight.latency.within_budget, found.latency.within_budget) == (False, found.latency.p99_ms <= 500)


async def test_changes_of_controls_and_guard(tmp_path):
    home = tmp_path / "home"
    async with open_bench(home) as bench:
        await bench.scan(1)
        for command in (
            SetKillSwitch(**ISSUED, on=True, reason="a test"),
            SetThreshold(**ISSUED, value=0.8),
            SetThreshold(**ISSUED, value=None),
        ):
            await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)
        await bench.scan(3)
        found = window(home)
        after = window(home, span=Span(found.end, found.end + timedelta(hours=1)))
    assert found.changes is not None
    assert [(one.value, one.detail) for one in found.changes.kill_switch] == [("on", "tester, cli: a test")]
    assert [one.value for one in found.changes.threshold] == ["0.8", "the settings'"]
    assert found.decisions.by_reason["killed"] == 3
    assert after.changes is not None
    assert (after.changes.kill_switch, after.changes.threshold) == ((), ())


async def test_a_guard_that_halts_is_among_the_changes(tmp_path):
    home = tmp_path / "home"
    async with open_bench(home) as bench:
        await bench.scan(2)
        desk = bench.begun.step.desk
        poor = desk.paper.balance - 11_000
        bench.begun.step.replace_desk(replace(desk, paper=replace(desk.paper, balance=poor)))
        await bench.scan(2)
        found = window(home)
        (event,) = await bench.events("GuardStateChanged")
    assert found.changes is not None
    (change,) = found.changes.guard
    assert (change.value, found.account.guard) == (event["status"], "HALTED")
    assert change.detail.startswith(f"{event['previous']}: ")


async def test_alerts_by_what_became_of_them(tmp_path):
    """A repeat, a lost attempt and a dead letter, with the delivery times that were stored."""
    home = tmp_path / "home"
    async with open_bench(home) as bench:
        sink = ScriptedSink([UNKNOWN, LOST])
        outbox = Outbox(bench.store, bench.clock, bench.settings, sink, run_id=bench.run_id, mode="dry-run")
        await outbox.open()
        await bench.scan(1)
        for _ in range(4):
            await outbox.drain()
            bench.clock.advance(4)
        await bench.scan(40)
        await outbox.drain()
        rows = await bench.store.alerts.list("telegram:42")
        found = window(home, chat=42)
        shown = console(bench, **CHAT)
        silent = window(home)
    assert found.alerts is not None
    assert silent.alerts is None
    assert found.alerts.total == len(rows)
    assert found.alerts.by_state["delivered"] == len([one for one in rows if one.state == "delivered"]) > 2
    assert found.alerts.repeats == 1
    assert shown.live is not None
    assert shown.live.telegram is not None
    telegram = shown.live.telegram
    assert (found.alerts.by_state["delivered"], found.alerts.p50_s, found.alerts.p95_s) == (
        telegram.delivered,
        telegram.p50_s,
        telegram.p95_s,
    )
    kinds = [one for one in rows if one.kind == "signal"]
    assert (found.alerts.high_signals, found.alerts.high_signals_delivered) == (
        len(kinds),
        len([one for one in kinds if one.state == "delivered"]),
    )


async def test_heartbeats_and_the_time_they_cover(tmp_path):
    home = tmp_path / "home"
    beats = ((0, "a", "started"), (10, "a", "scanning"), (20, "a", "scanning"), (320, "b", "started"),
             (330, "b", "stopped"))  # fmt: skip
    async with open_bench(home) as bench:
        await bench.scan(8)
        start = bench.clock.now() - timedelta(seconds=400)
        for after, engine, state in beats:
            at = start + timedelta(seconds=after)
            await bench.store.live.beat(
                Heartbeat(bench.run_id, engine, "boot", 1, at, 1_000.0 + after, 60.0, 1, None, state)
            )
        found = window(home).heartbeats
    assert found is not None
    assert (found.count, found.starts, found.crashes) == (5, 2, 0)
    assert (found.uptime_s, found.longest_gap_s) == (30.0, 300.0)


# ------------------------------------------------------------------------------------- as a file


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return replay_home(tmp_path_factory.mktemp("metrics") / "home").root


async def test_a_replay_is_exported_whole_and_says_what_the_replay_said(made, tmp_path):
    home = shutil.copytree(made, tmp_path / "home", symlinks=True)
    async with open_replays(home) as bench:
        document = await bench.replay(6)
    out = tmp_path / "deep" / "m.json"
    called = tradingai(home, "metrics", "export", "--run", document["run"], "--out", str(out), "--json")
    assert called.status == 0, called.err
    found = json.loads(out.read_text())
    assert called.document == {"file": str(out), "format": "json", "metrics": found}
    assert (found["kind"], found["start"], found["scans"]["total"]) == ("replay", None, document["scans"])
    assert (found["synthetic"], found["feed"]) == (True, "")
    assert found["decisions"]["by_reason"] == document["by_reason"]
    assert (found["trades"]["win_rate"], found["trades"]["net_r"]) == (
        document["win_rate"],
        pytest.approx(document["net_r"]),
    )
    assert found["account"]["equity"] == document["equity"]
    assert (found["alerts"], found["heartbeats"], found["changes"]) == (None, None, None)
    assert "not later than end" in found["rows"]
    table = tmp_path / "m.csv"
    assert tradingai(home, "metrics", "export", "--run", document["run"], "--out", str(table)).status == 0
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(table.read_text()))}
    assert rows["scans.total"] == {"name": "scans.total", "value": str(document["scans"]), "unit": "count"}
    assert float(rows["account.equity"]["value"]) == document["equity"]
    hour = tmp_path / "hour.json"
    assert tradingai(
        home, "metrics", "export", "--window", "1", "--run", document["run"], "--out", str(hour)
    ).status == 0  # fmt: skip
    assert json.loads(hour.read_text())["scans"]["total"] == 30


def test_what_cannot_be_exported_says_why(made, tmp_path):
    """No live run, an unknown run, a wrong ending, a folder, a window of nothing, a target out of reach."""

    def refused(*arguments: str, home: Path = made) -> tuple[int, str]:
        called = tradingai(home, "metrics", "export", *arguments, "--json")
        return called.status, called.error["message"]

    out = tmp_path / "kept.json"
    out.write_text("kept")
    assert refused("--out", str(out)) == (4, "there is no live run to export metrics of")
    assert refused("--out", str(out), "--run", "nobody")[0] == 4
    assert refused("--out", str(tmp_path / "m.prom")) == (
        2,
        f"--out {tmp_path / 'm.prom'} ends in neither .json nor .csv",
    )
    (tmp_path / "folder.csv").mkdir()
    assert refused("--out", str(tmp_path / "folder.csv"))[0] == 2
    assert refused("--out", str(out), "--window", "0")[0] == 2
    assert refused("--out", str(out), "--window", "nan")[0] == 2
    assert refused("--out", str(out), home=tmp_path / "nowhere")[0] == 4
    assert out.read_text() == "kept"


async def test_a_target_that_cannot_be_written_loses_nothing(tmp_path):
    home = tmp_path / "home"
    async with open_bench(home) as bench:
        await bench.scan(2)
    (tmp_path / "file").write_text("no folder")
    called = tradingai(home, "metrics", "export", "--out", str(tmp_path / "file" / "m.json"), "--json")
    assert called.status == 1
    assert called.error["message"] == f"cannot write {tmp_path / 'file' / 'm.json'}: Not a directory"
    assert "choose another path" in called.error["remedy"]
    kept = tmp_path / "kept" / "m.json"
    kept.parent.mkdir()
    kept.write_text("kept")
    kept.parent.chmod(0o500)
    if not os.access(kept.parent, os.W_OK):
        assert tradingai(home, "metrics", "export", "--out", str(kept), "--json").status == 1
    assert kept.read_text() == "kept"
    with closing(sqlite3.connect(home / "tradingai.db")) as connection:
        assert connection.execute("SELECT count(*) FROM scans").fetchone() == (2,)


def test_rows_of_a_document():
    document = {
        "run": "r", "start": None, "latency": {"p50_ms": 1.5, "within_budget": True}, "models": {"a": ["v1"]},
        "account": {"equity": 200_000.0},
    }  # fmt: skip
    assert list(metric_rows(document)) == [
        ("run", "r", "text"),
        ("start", "", "time"),
        ("latency.p50_ms", "1.5", "ms"),
        ("latency.within_budget", "true", "yes or no"),
        ("models.a.count", "1", "count"),
        ("models.a.1", "v1", "text"),
        ("account.equity", "200000.0", "money"),
    ]
    assert metric_csv({"a": 1}) == "name,value,unit\na,1,count\n"


async def test_every_row_of_a_real_window_has_a_unit(tmp_path):
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(5)
        found = window(tmp_path / "home").as_json()
    without = {name for name, value, unit in metric_rows(found) if not unit and value}
    assert without == set()
