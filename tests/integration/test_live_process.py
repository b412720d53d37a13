"""The engine as an operator runs it: processes, signals from the system, commands from a second terminal."""

import json
import random
import shutil
import signal
import sqlite3
import time

import pytest
from tradingai.cli.main import main
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS

from tests.fakes.command_line import Called, start, tradingai
from tests.fakes.live import sure_home


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home whose models are always sure."""
    return sure_home(tmp_path_factory.mktemp("live") / "home").root


@pytest.fixture
def home(made, tmp_path):
    target = tmp_path / "home"
    shutil.copytree(made, target, symlinks=True)
    return target


@pytest.fixture
def called(capsys):
    """The command line within this process, for what ends before anything runs."""

    def call(home, *arguments):
        status = main(["--home", str(home), *arguments])
        return Called(status, *capsys.readouterr())

    return call


def rows(home, sql):
    with sqlite3.connect(f"file:{home}/tradingai.db?mode=ro", uri=True, timeout=30) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def wait_for(process, words, seconds=120):
    """Read stderr until a line holds ``words``; return that line."""
    deadline = time.monotonic() + seconds
    for line in process.stderr:
        if words in line:
            return line
        assert time.monotonic() < deadline, line
    raise AssertionError(f"the process ended before it said {words!r}")


def ended(process, by):
    process.send_signal(by)
    out, _err = process.communicate(timeout=120)
    return process.returncode, out


@pytest.mark.slow
def test_scans_are_counted_and_a_second_run_goes_on(home):
    first = tradingai(home, "run", "--interval", "1", "--scans", "3", "--json")
    assert first.status == 0, first.err
    assert first.document["scans"] == 3
    assert sum(first.document["run_by_reason"].values()) == first.document["run_decisions"] == 9
    assert first.document["signals"] > 0
    second = tradingai(home, "run", "--interval", "1", "--scans", "2", "--json")
    assert (second.document["run"], second.document["resumed"]) == (first.document["run"], True)
    assert second.document["run_scans"] == 5
    assert "no new candle" in first.err
    beats = rows(home, "SELECT state, engine FROM heartbeats ORDER BY seq")
    assert [state for state, _ in beats] == ["started", "stopped", "started", "stopped"]
    assert beats[0][1] != beats[2][1]
    started = [
        json.loads(row[0]) for row in rows(home, "SELECT payload FROM events WHERE type = 'EngineStarted'")
    ]
    assert [(one["resumed"], one["previous"]) for one in started] == [(False, ""), (True, "stopped")]
    listed = tradingai(home, "signals", "--json").document
    assert {one["pair"] for one in listed} <= set(PIPELINE_SYMBOLS)
    for one in listed:
        assert set(one) >= {
            "pair", "side", "tier", "confidence", "entry", "take_profit", "stop_loss", "reward_risk",
            "spread_bps", "slip_bps", "latency_ms", "mode", "models", "input_sha256",
        }  # fmt: skip
        assert (one["mode"], one["reward_risk"]) == ("dry-run", pytest.approx(2.0))
    assert tradingai(home, "signals", "--run", first.document["run"], "--json").document == listed
    assert tradingai(home, "signals", "--since", "2020-01-01", "--json").document == listed
    assert tradingai(home, "signals", "--run", "none", "--json").status == 4


def test_one_engine_a_home_and_a_graceful_end(home):
    engine = start(home, "run", "--interval", "1", "--json")
    try:
        wait_for(engine, "scan 1 ")
        second = tradingai(home, "run", "--scans", "1", "--json")
        assert (second.status, second.error["code"]) == (1, "locked")
        assert f"process {engine.pid} (tradingai run)" in second.error["message"]
        state = tradingai(home, "status", "--json").document["engine"]
        assert (state["running"], state["pid"]) == (True, engine.pid)
        assert state["last_scan"]["state"] in {"done", "late"}
        assert state["heartbeat"]["pid"] == engine.pid
        status, out = ended(engine, signal.SIGTERM)
    finally:
        engine.kill()
        engine.communicate()
    assert status == 0
    assert json.loads(out)["scans"] >= 1
    (stopped,) = rows(home, "SELECT payload FROM events WHERE type = 'EngineStopped'")
    assert json.loads(stopped[0])["reason"] == "SIGTERM"
    assert tradingai(home, "status", "--json").document["engine"]["running"] is False


def test_ctrl_c_ends_with_130(home):
    engine = start(home, "run", "--interval", "1", "--json")
    try:
        wait_for(engine, "scan 1 ")
        status, out = ended(engine, signal.SIGINT)
    finally:
        engine.kill()
        engine.communicate()
    assert status == 130
    assert json.loads(out)["error"]["code"] == "interrupted"


def test_a_killed_engine_neither_loses_nor_repeats_a_signal(home):
    engine = start(home, "run", "--interval", "1")
    wait_for(engine, "SIGNAL")
    engine.kill()
    engine.communicate()
    before = rows(home, "SELECT run_id, key FROM signals")
    assert before
    again = tradingai(home, "run", "--interval", "1", "--scans", "2", "--json")
    assert again.status == 0, again.err
    assert again.document["resumed"] is True
    after = rows(home, "SELECT run_id, key FROM signals")
    assert set(before) <= set(after)
    assert len(after) == len({key for _, key in after})
    (started,) = rows(
        home, "SELECT payload FROM events WHERE type = 'EngineStarted' ORDER BY seq DESC LIMIT 1"
    )
    assert json.loads(started[0])["previous"] == "died"


@pytest.mark.slow
def test_engines_killed_at_any_moment_leave_one_unbroken_run(home):
    chance = random.Random(5)
    for _ in range(8):
        engine = start(home, "run", "--interval", "1")
        wait_for(engine, "run live-")
        time.sleep(chance.uniform(0.0, 4.0))
        engine.kill()
        engine.communicate()
    done = tradingai(home, "run", "--interval", "1", "--scans", "70", "--json")
    assert done.status == 0, done.err
    runs = dict(rows(home, "SELECT run_id, count(*) FROM scans GROUP BY run_id"))
    for run_id, count in runs.items():
        seqs = rows(home, f"SELECT seq FROM scans WHERE run_id = '{run_id}' ORDER BY seq")
        assert [seq for (seq,) in seqs] == list(range(1, count + 1))
    emitted = rows(home, "SELECT signal_key FROM decisions WHERE reason = 'emitted'")
    signals = rows(home, "SELECT key FROM signals")
    assert sorted(emitted) == sorted(signals)
    assert len(signals) == len(set(signals)) > 0
    (account,) = rows(home, "SELECT desk FROM run_accounts JOIN runs USING (run_id) WHERE ended_at IS NULL")
    assert len(json.loads(account[0])["rates"]["total_us"]) == min(10, len(signals))
    opened = rows(home, "SELECT payload FROM events WHERE type = 'PositionOpened'")
    keys = [json.loads(row[0])["key"] for row in opened]
    assert len(keys) == len(set(keys)) > 0
    assert tradingai(home, "observe", "verify", "--json").document["verified"] is True


@pytest.mark.slow
def test_a_kill_from_a_second_terminal_stops_emissions_at_once(home):
    engine = start(home, "run", "--interval", "1")
    try:
        wait_for(engine, "scan 1 ")
        done = tradingai(home, "kill", "on", "--reason", "a drill", "--json")
        assert done.document["on"] is True
        at = rows(home, "SELECT set_at FROM controls WHERE name = 'kill_switch'")[0][0]
        wait_for(engine, "3 killed")
        assert rows(home, f"SELECT 1 FROM signals WHERE at > '{at}'") == []
        assert ended(engine, signal.SIGTERM)[0] == 0
    finally:
        engine.kill()
        engine.communicate()


def test_a_persisted_kill_switch_holds_for_a_new_engine(home):
    assert tradingai(home, "kill", "on", "--reason", "before the start").status == 0
    done = tradingai(home, "run", "--interval", "1", "--scans", "2", "--json")
    assert done.document["signals"] == 0
    assert done.document["run_by_reason"] == {"killed": 3, "no_new_candle": 3}
    shown = tradingai(home, "kill", "status", "--json").document
    assert (shown["on"], shown["source"], shown["reason"]) == (True, "cli", "before the start")


def test_the_environment_outranks_kill_off(home):
    assert tradingai(home, "kill", "status", "--json").document == {"on": False, "source": "default"}
    shown = tradingai(home, "kill", "status", "--json", KILL_SWITCH="true").document
    assert shown == {"on": True, "source": "KILL_SWITCH"}
    refused = tradingai(home, "kill", "off", "--json", KILL_SWITCH="true")
    assert (refused.status, refused.error["code"]) == (2, "usage")
    assert "KILL_SWITCH" in refused.error["message"]
    assert tradingai(home, "kill", "off", "--json").document["on"] is False
    audited = rows(home, "SELECT type, state FROM commands ORDER BY rowid")
    assert audited == [("SetKillSwitch", "refused"), ("SetKillSwitch", "done")]


def test_the_threshold_shows_value_and_source(home):
    assert tradingai(home, "threshold", "--json").document == {
        "value": 0.75,
        "source": "CONFIDENCE_THRESHOLD",
    }
    given = tradingai(home, "threshold", "0.8", "--json", CONFIDENCE_THRESHOLD="0.7").document
    assert (given["value"], given["source"]) == (0.8, "cli")
    shown = tradingai(home, "threshold", "--json", CONFIDENCE_THRESHOLD="0.7").document
    assert (shown["value"], shown["source"]) == (0.8, "cli")
    reset = tradingai(home, "threshold", "--reset", "--json", CONFIDENCE_THRESHOLD="0.7").document
    assert reset == {"value": 0.7, "source": "CONFIDENCE_THRESHOLD"}
    for wrong in (("0.4",), ("1",), ("0.8", "--reset")):
        assert tradingai(home, "threshold", *wrong, "--json").status == 2


def test_account_and_costs_before_the_first_run(home):
    account = tradingai(home, "ftmo", "status", "--json").document
    assert (account["run"], account["status"], account["equity"]) == (None, "ACTIVE", 200_000)
    assert {floor["name"] for floor in account["floors"]} == {
        "daily stop", "daily limit", "total stop", "total limit"
    }  # fmt: skip
    assert tradingai(home, "ftmo", "reset", "--reason", "there is no account", "--json").status == 4
    costs = tradingai(home, "execution", "show", "--json").document
    assert (costs["measured"], costs["source"]) == (False, "defaults")
    assert set(costs["pairs"]) == set(PIPELINE_SYMBOLS)
    assert all(level["default"] for sessions in costs["pairs"].values() for level in sessions.values())
    assert costs["pairs"]["BTC-USD"]["tokyo"]["spread"]["mean"] == 12


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["run", "--interval", "0.5"], 2, "--interval 0.5"),
        (["run", "--scans", "0"], 2, "--scans 0"),
        (["--read-only", "run"], 2, "--read-only"),
        (["--read-only", "kill", "on"], 2, "--read-only"),
        (["signals", "--since", "yesterday"], 2, "yesterday"),
    ],
)
def test_wrong_usage(made, called, arguments, status, words):
    done = called(made, *arguments, "--json")
    assert done.status == status
    assert words in done.error["message"]


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["kill", "on"], ["kill", "status"], ["signals"], ["ftmo", "status"], ["execution", "show"]],
)
def test_nothing_makes_a_home(tmp_path, called, arguments):
    done = called(tmp_path / "none", *arguments, "--json")
    assert (done.status, done.error["code"]) == (4, "missing")
    assert not (tmp_path / "none").exists()
