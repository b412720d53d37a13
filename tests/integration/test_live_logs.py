"""What the scan loop leaves in its log: scans, decisions and signals as the store has them, and metrics."""

import asyncio
import json
import logging
import shutil
import sqlite3
import time

import pytest
from tradingai.bootstrap import open_controls, open_engine
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import SetKillSwitch
from tradingai.engine.core.events import ClockJumped, HomeCreated, LogsLost
from tradingai.engine.core.logs.process_log import process_log
from tradingai.engine.core.logs.rotating import CALM_S, Losses
from tradingai.engine.jobs.spec import new_job
from tradingai.engine.runtime.heart import Heart
from tradingai.engine.runtime.log_watch import tell_losses
from tradingai.engine.runtime.scan_lines import log_scan
from tradingai.engine.store.event_log import insert_events

from tests.fakes.command_line import start, tradingai
from tests.fakes.emf import metrics_of, parsed
from tests.fakes.full_disk import fill
from tests.fakes.homes import new_home, open_runner, open_store
from tests.fakes.live import BTC, NOW, open_bench, sure_artifact, sure_home

ETH = "ETH-USD"
WORKER_LOGS = ("worker.jsonl", "worker-2.jsonl")
PAIR = {"symbols": (BTC, ETH), "artifacts": (sure_artifact(BTC), sure_artifact(ETH, logit=-2.0))}


def read(file):
    return [parsed(line) for line in file.read_text().splitlines()]


def told(lines, event):
    return [line for line in lines if line.get("event") == event]


@pytest.fixture
async def logged(tmp_path):
    """Twenty scans of two coins, one of which fails, with a heartbeat: rows, log lines, their time."""
    async with open_bench(tmp_path / "home", cloudwatch_emf=True, **PAIR) as bench:
        bench.loop._on_scan = log_scan
        with process_log(bench.paths, bench.settings, bench.clock, "run") as log:
            heart = Heart(bench.store, bench.begun.run, bench.clock, engine="e", interval_s=60, every_s=30)
            await heart.beat("started", NOW)
            await bench.scan(18)
            decide, bench.begun.step.decide = bench.begun.step.decide, None
            await bench.scan(1)
            bench.begun.step.decide = decide
            await bench.scan(1)
            run, scans = bench.run_id, bench.store.scans
            rows = (await scans.scans(run), await scans.decisions(run), await scans.signals(run))
            trades = await scans.trades(run)
        yield read(log.file), rows, trades, log.file.read_text().splitlines(), bench.clock.now()


async def test_each_line_says_what_the_store_has(logged):
    lines, (scans, decisions, signals), trades, _, _ = logged
    assert [line["scan"] for line in told(lines, "scan")] == [row.seq for row in scans] == list(range(1, 21))
    for line, row in zip(told(lines, "scan"), scans, strict=True):
        assert (line["state"], line["detail"]) == (row.state, row.detail)
        of_scan = [one for one in decisions if one.scan_seq == row.seq]
        assert (
            line["decisions"]
            == len(of_scan)
            == sum(value for name, value in line.items() if name.startswith("decisions_"))
        )
        assert line["signals"] == line["signals_high"] == sum(one.scan_seq == row.seq for one in signals)
        if row.state == "failed":
            assert (line["level"], line["scans_failed"], line["lat_ms"]) == ("error", 1, None)
            continue
        assert (line["lat_ms"], line["took_ms"]) == (round(row.latency_ms, 3), round(row.took_ms, 3))
        assert (line["equity"], line["balance"], line["guard"]) == (row.equity, row.balance, row.guard)
        assert line["drawdown_pct"] == pytest.approx(100 * row.drawdown)
        assert line["daily_limit_left"] == pytest.approx(row.equity - 190_000)
        closed = [trade for trade in trades if trade.scan_seq == row.seq]
        assert (line["trades_closed"], line["trades_won"]) == (len(closed), sum(one.r > 0 for one in closed))
        assert line["net_r"] == (pytest.approx(sum(one.r for one in closed)) if closed else None)
    assert trades
    for line, row in zip(told(lines, "decision"), decisions, strict=True):
        assert (line["pair"], line["scan"], line["reason"], line["detail"]) == (
            row.symbol, row.scan_seq, row.reason, row.detail
        )  # fmt: skip
        assert (line["tier"], line["conf"], line["side"]) == (row.tier, row.confidence, row.side)
        assert (line["versions"], line["input_sha256"]) == (dict(row.versions), row.input_sha256)
        assert (line["entry"] is None) == (row.reason != "emitted")
    assert {row.side for row in signals} == {"long", "short"}
    for line, row in zip(told(lines, "signal"), signals, strict=True):
        expected = (
            row.symbol, row.side, row.tier, row.confidence, row.entry, row.take_profit, row.stop_loss,
            row.reward_risk, row.spread_bps, row.slip_bps, row.mode, row.key,
        )  # fmt: skip
        names = (
            "pair", "side", "tier", "conf", "entry", "tp", "sl", "rr", "spread_bps", "slip_bps", "mode", "key"
        )  # fmt: skip
        assert tuple(line[name] for name in names) == expected
        assert line["lat_ms"] == round(row.latency_ms, 3)
        assert line["versions"]
        assert len(line["input_sha256"]) == 64


async def test_every_line_is_valid_embedded_metric_format(logged):
    _, _, _, texts, now = logged
    found = set().union(*(metrics_of(text, now) for text in texts))
    assert found >= {
        ("lat_ms", ("mode",)), ("scans_failed", ("mode",)), ("conf", ("pair", "mode")),
        ("spread_bps", ("pair", "mode")), ("slip_bps", ("mode",)), ("heartbeats", ("mode",)),
        ("daily_stop_left", ("mode",)), ("decisions_stale", ("mode",)), ("signals_high", ("mode",)),
    }  # fmt: skip
    assert {dimensions for _, dimensions in found} == {("mode",), ("pair", "mode")}
    counted = [json.loads(text) for text in texts if '"scans_failed"' in text]
    assert sum(line["scans"] for line in counted) == 20
    assert sum(line["scans_failed"] for line in counted) == 1


async def roll_back(store, event):
    async with store.events._database.transaction() as connection:
        await insert_events(connection, NOW, [event.as_json()])
        raise RuntimeError


async def test_events_are_logged_once_they_are_committed_and_never_when_rolled_back(tmp_path, caplog):
    async with open_store(tmp_path / "home") as (store, _):
        caplog.set_level(logging.INFO)
        with pytest.raises(RuntimeError):
            await roll_back(store, HomeCreated(path="/rolled/back"))
        assert "rolled" not in caplog.text
        await store.events.append(ClockJumped(seconds=60.0, at="x"))
    (line,) = [one for one in caplog.records if one.name == "tradingai.events"]
    assert (line.levelname, line.fields["event"]) == ("WARNING", "ClockJumped")
    assert line.fields["payload"] == {"seconds": 60.0, "at": "x"}


async def test_each_surface_has_a_file_and_reading_has_none(tmp_path):
    home = tmp_path / "home"
    async with open_engine(home, surface="console") as engine:
        paths = engine.paths
    async with open_controls(home) as desk:
        await desk.carry_out(SetKillSwitch(sender="ann", surface="cli", issued_at=desk.clock.now(), on=True))
    async with open_engine(home, read_only=True):
        pass
    assert {file.name for file in paths.logs.glob("*.jsonl")} == {"console.jsonl", "cli.jsonl"}
    assert [line["event"] for line in read(paths.logs / "console.jsonl")] == ["begin", "HomeCreated", "end"]
    (switched,) = told(read(paths.logs / "cli.jsonl"), "KillSwitchSet")
    assert (switched["level"], switched["payload"]["who"]) == ("warning", "ann")


async def test_a_lost_log_is_an_event_of_the_home_and_so_is_its_end(tmp_path):
    home = tmp_path / "home"
    paths = new_home(home)
    shutil.rmtree(paths.logs)
    paths.logs.write_text("in the way")
    async with open_engine(home) as engine:
        logging.getLogger("x").error("lost")
    async with open_engine(home, read_only=True) as engine:
        lost = [event for event in await engine.store.events.latest() if event.type == "LogsLost"]
    assert [event.payload["file"] for event in lost] == ["logs/cli.jsonl"]
    clock = SimulatedClock(NOW)
    async with open_store(home, clock) as (store, _):
        losses = Losses("logs/run.jsonl", clock)
        losses.lose("No space left on device", 3)
        writer = store.events._database._writer
        await writer.execute("PRAGMA query_only = ON")
        await tell_losses(store, losses)
        assert losses.news() == [LogsLost(file="logs/run.jsonl", reason="No space left on device")]
        await writer.execute("PRAGMA query_only = OFF")
        await tell_losses(store, losses)
        clock.advance(CALM_S)
        losses.wrote()
        await tell_losses(store, losses)
        await tell_losses(store, losses)
        newest = [(event.type, event.payload.get("lost")) for event in await store.events.latest(2)]
        assert newest == [("LogsResumed", 3), ("LogsLost", None)]


# -- processes


async def test_workers_beside_each_other_log_into_files_of_their_own(tmp_path):
    async with open_runner(tmp_path / "home", job_workers=2, proxy_url="http://u:hunter2@127.0.0.1") as home:
        jobs = [
            new_job("patient", symbol, {"note": "hunter2"}, clock=home.clock, threads=1)
            for symbol in (BTC, ETH)
        ]
        running = asyncio.ensure_future(home.runner.run_all(jobs))
        logs = home.paths.logs
        await asyncio.to_thread(until, lambda: all(begun(logs / name) for name in WORKER_LOGS))
        (home.paths.root / "finish").touch()
        await running
    pids = {line["pid"] for name in WORKER_LOGS for line in read(logs / name)}
    assert len(pids) == 2
    for name in WORKER_LOGS:
        lines = read(logs / name)
        assert {line["process"] for line in lines} == {"worker"}
        assert [line["msg"] for line in lines][::3] == ["worker begins", "worker ends"]
        assert "<password>" in lines[1]["msg"]
    written = b"".join(file.read_bytes() for file in logs.rglob("*") if file.is_file())
    assert b"hunter2" not in written


def test_a_command_says_its_warnings_in_its_own_words_unless_asked(made, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(made, home, symlinks=True)
    assert tradingai(home, "kill", "on").err == ""
    assert "tradingai.events: KillSwitchSet" in tradingai(home, "--log-level", "info", "kill", "off").err
    lines = read(home / "logs" / "cli.jsonl")
    assert [line["payload"]["on"] for line in told(lines, "KillSwitchSet")] == [True, False]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return sure_home(tmp_path_factory.mktemp("logs") / "home").root


PROXY = {"PROXY_URL": "http://user:hunter2@127.0.0.1:9"}
BOT = {
    "TELEGRAM_TOKEN": "123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "TELEGRAM_CHAT_ID": "42",
    "TELEGRAM_API_URL": "http://127.0.0.1:9",
}  # fmt: skip


@pytest.mark.parametrize(
    "secrets", [PROXY, pytest.param({**PROXY, **BOT}, marks=pytest.mark.slow)], ids=["proxy", "bot"]
)
def test_a_run_logs_every_scan_and_no_secret(made, tmp_path, secrets):
    home = tmp_path / "home"
    shutil.copytree(made, home, symlinks=True)
    done = tradingai(
        home, "--log-level", "debug", "run", "--interval", "1", "--scans", "3", "--json",
        CLOUDWATCH_EMF="true", LOG_LEVEL="debug", **secrets,
    )  # fmt: skip
    assert done.status == 0, done.err
    texts = (home / "logs" / "run.jsonl").read_text().splitlines()
    lines = [parsed(text) for text in texts]
    assert len(told(lines, "scan")) == 3
    assert len(told(lines, "decision")) == 9
    assert len(told(lines, "signal")) == done.document["signals"] > 0
    assert told(lines, "EngineStarted")
    assert [line["state"] for line in told(lines, "heartbeat")] == ["started", "stopped"]
    assert lines[-1]["msg"] == "run ends"
    written = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    for secret in ("AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "hunter2"):
        assert secret.encode() not in written
        assert secret not in done.out + done.err


def states(home):
    with sqlite3.connect(f"file:{home}/tradingai.db?mode=ro", uri=True, timeout=30) as connection:
        found = [row[0] for row in connection.execute("SELECT state FROM scans ORDER BY seq")]
        events = dict(connection.execute("SELECT type, count(*) FROM events GROUP BY type"))
    connection.close()
    return found, events


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(file):
    """Its process has said that it begins, and with what."""
    return file.exists() and len(file.read_text().splitlines()) > 1


def noted(lines):
    return any("lines before this one were lost" in line["msg"] for line in lines)


@pytest.mark.slow
def test_no_trouble_with_its_log_stops_a_scan(made, tmp_path, small_disk):
    """Full, deleted, and a file in its place, while it scans: logs on a disk of their own."""
    home = tmp_path / "home"
    shutil.copytree(made, home, symlinks=True)
    shutil.rmtree(home / "logs")
    logs = small_disk / "logs"
    (logs / "jobs").mkdir(parents=True)
    (home / "logs").symlink_to(logs)
    engine = start(home, "run", "--interval", "1", CLOUDWATCH_EMF="true")
    try:
        until(lambda: (logs / "run.jsonl").exists() and len(states(home)[0]) >= 2)

        def scans_on(count=3):
            before = len(states(home)[0])
            until(lambda: len(states(home)[0]) >= before + count)

        fill(small_disk / "filler")
        scans_on()
        (small_disk / "filler").unlink()
        scans_on()
        assert noted(read(logs / "run.jsonl"))
        shutil.rmtree(logs)
        logs.write_text("in the way")
        scans_on()
        logs.unlink()
        scans_on()
        assert noted(read(logs / "run.jsonl"))
        (logs / "run.jsonl").unlink()
        scans_on()
        assert told(read(logs / "run.jsonl"), "scan")
        engine.terminate()
        out, err = engine.communicate(timeout=60)
    finally:
        engine.kill()
        engine.communicate()
    assert engine.returncode == 0, err
    found, events = states(home)
    assert set(found) <= {"done", "late"}, err
    assert events["LogsLost"] == 1
    assert read(logs / "run.jsonl")[-1]["msg"] == "run ends"
    assert "Traceback" not in out + err
