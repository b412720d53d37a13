"""``tradingai replay`` and ``observe verify`` as an operator uses them: processes, JSON, kill -9."""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import alive, open_scans, wait_for, worker_of
from tests.fakes.stored_market import replay_home

HOURS = ("--hours", "6")
SCANS = 180


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Candles of three coins and a live model of each; replays only ever add runs to it."""
    return replay_home(tmp_path_factory.mktemp("cli-replay") / "home").root


@pytest.fixture(scope="module")
def first(home):
    done = tradingai(home, "replay", *HOURS, "--json")
    assert done.status == 0, done.err
    return done.document


def states(home):
    with closing(sqlite3.connect(home / "tradingai.db")) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM run_results ORDER BY rowid")]


def test_one_document_with_the_funnel(first):
    assert (first["scans"], first["decisions"]) == (SCANS, 3 * SCANS)
    assert sum(first["by_reason"].values()) == 3 * SCANS
    assert first["by_reason"]["emitted"] == first["signals"]
    assert len(first["decisions_sha256"]) == 64


def test_the_same_again_decides_the_same_and_the_text_says_so(home, first):
    again = tradingai(home, "replay", *HOURS)
    assert again.status == 0, again.err
    assert f"Decisions {first['decisions_sha256']}" in again.out
    for words in (
        "180 scans × 3 coins",
        "confidence below the threshold",
        "Trades",
        "break-even after costs",
    ):
        assert words in again.out
    assert "SYNTHETIC candles of BTC-USD, ETH-USD, BNB-USD" in again.out


def test_at_a_pace_it_decides_the_same(home, first):
    done = tradingai(home, "replay", *HOURS, "--speed", "20000", "--json")
    assert done.status == 0, done.err
    varying = {"run", "wall_s", "scan_ms"}
    kept = [{k: v for k, v in found.items() if k not in varying} for found in (first, done.document)]
    assert kept[0] == kept[1]


def test_a_watched_one_can_be_read_and_stopped_between_two_scans(home, tmp_path):
    """At speed 1 the second scan is two minutes after the first: it is stored, and Ctrl-C need not wait."""
    copy = shutil.copytree(home, tmp_path / "home", symlinks=True)
    running = start(copy, "replay", *HOURS, "--speed", "1")
    wait_for(lambda: open_scans(copy, "replay"))
    with closing(sqlite3.connect(copy / "tradingai.db")) as connection:
        (open_one,) = connection.execute(
            "SELECT speed, interval_s FROM runs JOIN replay_runs USING (run_id) WHERE ended_at IS NULL"
        ).fetchall()
        assert open_one == (1.0, 120)
        wait_for(lambda: _progress(connection).get("speed") == 1.0)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "the same command begins a new one" in " ".join(err.split())
    assert states(copy)[-1] == "interrupted"


def test_a_watched_one_ends_with_its_parent(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home", symlinks=True)
    running = start(copy, "replay", *HOURS, "--speed", "1")
    wait_for(lambda: open_scans(copy, "replay"))
    worker = worker_of(copy, "replay")
    running.kill()
    running.communicate(timeout=10)
    wait_for(lambda: not alive(worker), seconds=15)
    assert states(copy)[-1] == "interrupted"


def _progress(connection):
    rows = connection.execute("SELECT detail FROM job_progress ORDER BY at DESC LIMIT 1").fetchall()
    return json.loads(rows[0][0]) if rows else {}


def test_verify_says_all_identical(home, first):
    done = tradingai(home, "observe", "verify", "--run", first["run"], "--json")
    assert done.status == 0, done.err
    assert done.document["verified"] is True
    assert (done.document["identical"], done.document["decisions"]) == (3 * SCANS, 3 * SCANS)
    assert done.document["features_identical"] == done.document["features"] == 3 * SCANS
    assert done.document["first_difference"] is None


def test_verify_of_something_else_exits_4(home, tmp_path):
    done = tradingai(home, "observe", "verify", "--run", "nothing", "--json")
    assert (done.status, done.error["code"]) == (4, "missing")
    done = tradingai(tmp_path / "none", "observe", "verify", "--json")
    assert done.status == 4
    assert not (tmp_path / "none").exists()


def test_wrong_ranges_are_refused(home):
    speeds = [("--speed", speed) for speed in ("0", "-5", "nan", "inf")]
    for wrong in (("--hours", "0"), ("--hours", "nan"), ("--end", "yesterday"), *speeds):
        done = tradingai(home, "replay", *wrong, "--json")
        assert (done.status, done.error["code"]) == (2, "usage")
    assert tradingai(home, "replay", "--hours", "500", "--json").status == 4


def test_killed_in_the_middle_a_fresh_start_decides_the_same(home, first, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home", symlinks=True)
    running = start(copy, "replay", *HOURS)
    wait_for(lambda: open_scans(copy, "replay"))
    worker = worker_of(copy, "replay")
    running.kill()
    running.communicate(timeout=10)
    wait_for(lambda: not alive(worker), seconds=15)
    done = tradingai(copy, "replay", *HOURS, "--json")
    assert done.status == 0, done.err
    assert done.document["decisions_sha256"] == first["decisions_sha256"]
    assert states(copy)[-2:] == ["interrupted", "finished"]


@pytest.mark.slow
def test_a_killed_worker_is_started_again(home, first, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home", symlinks=True)
    running = start(copy, "replay", *HOURS, "--json")
    wait_for(lambda: open_scans(copy, "replay"))
    os.kill(worker_of(copy, "replay"), signal.SIGKILL)
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    assert first["decisions_sha256"] in out
    assert states(copy)[-2:] == ["interrupted", "finished"]


@pytest.mark.slow
def test_ctrl_c_says_what_happened(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home", symlinks=True)
    running = start(copy, "replay", *HOURS)
    wait_for(lambda: open_scans(copy, "replay"))
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode in {0, 130}, err
    assert set(states(copy)[-1:]) <= {"interrupted", "finished"}


def test_status_knows_of_it(home, first):
    phases = {phase["id"]: phase for phase in tradingai(home, "status", "--json").document["phases"]}
    assert phases["replay"]["state"] == "done"
    assert "180 scans" in phases["replay"]["detail"]
