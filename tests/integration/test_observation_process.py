"""An observation as an operator runs it: processes, real time, a Bot API on loopback, kill -9."""

import json
import random
import shutil
import signal
import sqlite3
import time

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.queries.observation_report import as_markdown

from tests.fakes.bot_api import bot_api
from tests.fakes.command_line import start, tradingai
from tests.fakes.homes import new_home
from tests.fakes.live import BTC, sure_artifact
from tests.fakes.observed import promote_tested
from tests.fakes.stored_market import store_candles

SCALED = {
    "SYMBOLS": BTC,
    "HEARTBEAT_S": "1",
    "SCAN_INTERVAL_S": "60",
    "PAPER_TIME_EXIT_MINUTES": "2",
    "OBSERVATION_HOURS": "0.03",
    "OBSERVATION_MIN_TRADES": "1",
    "OBSERVATION_WIN_RATE_MARGIN_PCT": "100",
    "OBSERVATION_WIN_RATE_DROP_PCT": "100",
}
PATIENCE_S = 600


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with candles for a baseline and a drill, and a model that is always sure."""
    clock = RealClock()
    paths = new_home(tmp_path_factory.mktemp("observed") / "home", clock)
    store_candles(paths, 5.3, (BTC,))
    promote_tested(paths, clock, sure_artifact(), 6.0)
    return paths.root


@pytest.fixture
def home(made, tmp_path):
    target = tmp_path / "home"
    shutil.copytree(made, target, symlinks=True)
    return target


def rows(home, sql):
    with sqlite3.connect(f"file:{home}/tradingai.db?mode=ro", uri=True, timeout=30) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_real_minutes_end_in_go(home):
    """The real loop, the real outbox, a real chat on loopback: every criterion holds, visibly scaled."""
    with bot_api() as api:
        settings = {**SCALED, **api.environment}
        began = tradingai(home, "observe", "start", "--json", **settings)
        assert began.status == 0, began.err
        engine = start(home, "run", "--interval", "2", "--json", **settings)
        try:
            _until_the_clock_counts(home, settings)
            drilled = tradingai(home, "observe", "drill", "--json", **settings)
            assert (drilled.status, drilled.document["held"]) == (0, True), drilled.out
            early = tradingai(home, "observe", "approve", "--yes", "--json", **settings)
            assert (early.status, early.error["code"]) == (3, "gate_refused")
            view = _until_five_hold(home, settings)
            assert view["continuous_s"] >= 0.03 * 3600
            assert tradingai(home, "observe", "approve", "--yes", **settings).status == 0
            done = tradingai(home, "observe", "report", "--json", **settings)
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.communicate(timeout=60)
        assert (done.status, done.document["verdict"]["word"]) == (0, "SCALED GO"), done.out
        assert {one["state"] for one in done.document["criteria"]} == {"holds"}
        scaled = {one["name"] for one in done.document["scaled"]}
        assert scaled == {*SCALED} - {"SYMBOLS", "HEARTBEAT_S", "PAPER_TIME_EXIT_MINUTES"}
        numbers = {one["id"]: one["numbers"] for one in done.document["criteria"]}
        sent = [text for text in api.texts() if "LONG high" in text]
        assert numbers["delivery"]["delivered"] == numbers["delivery"]["signals"] > 0
        assert len(sent) >= numbers["delivery"]["delivered"]
        assert api.odd == []
    summary = (home / "reports" / "phase6_5" / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("# Observation: SCALED GO\n")
    assert "`OBSERVATION_HOURS=0.03 (product: 72)`" in summary
    status = tradingai(home, "status", "--json", **SCALED).document
    assert status["observation"]["state"] == "ended"
    assert {one["id"]: one["state"] for one in status["phases"]}["go_no_go"] == "done"
    assert [row[0] for row in rows(home, "SELECT word FROM observation_verdicts")] == ["GO"]


def _until_the_clock_counts(home, settings):
    """A drill held before the first heartbeat is no evidence."""
    deadline = time.monotonic() + PATIENCE_S
    while not tradingai(home, "observe", "status", "--json", **settings).document["continuous_s"]:
        assert time.monotonic() < deadline
        time.sleep(1)


def _until_five_hold(home, settings):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        view = tradingai(home, "observe", "status", "--json", **settings).document
        missing = [one for one in view["criteria"] if one["state"] != "holds"]
        if [one["id"] for one in missing] == ["approval"]:
            return view
        assert time.monotonic() < deadline, [(one["id"], one["state"], one["evidence"]) for one in missing]
        time.sleep(2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_it_begins_there_is_a_whole_observation_or_none(home):
    rng = random.Random(5)
    for _ in range(4):
        process = start(home, "observe", "start", "--anew", **SCALED)
        for line in process.stderr:
            if "started" in line:
                break
        time.sleep(rng.uniform(0.0, 3.0))
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 60
    while tradingai(home, "observe", "start", "--anew", "--json", **SCALED).status != 0:
        assert time.monotonic() < deadline
        time.sleep(1)
    found = rows(home, "SELECT observation_id, required, baseline, ended_at FROM observations")
    assert [row[3] is None for row in found].count(True) == 1
    for _name, required, baseline, _ended in found:
        assert json.loads(required)["observation_hours"] == 0.03
        assert json.loads(baseline)["trades"] > 0
    assert tradingai(home, "observe", "status", "--json", **SCALED).document["state"] == "running"
    assert rows(home, "SELECT count(*) FROM runs WHERE kind = 'replay' AND ended_at IS NULL") == [(0,)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_a_snapshot_is_written_no_file_is_half(home):
    assert tradingai(home, "observe", "start", **SCALED).status == 0
    folder, rng = home / "reports" / "phase6_5", random.Random(7)
    for _ in range(8):
        process = start(home, "observe", "daily", "day0", **SCALED)
        time.sleep(rng.uniform(0.3, 1.5))
        process.kill()
        process.communicate()
        if (folder / "day0.json").exists():
            json.loads((folder / "day0.json").read_text(encoding="utf-8"))
    done = tradingai(home, "observe", "daily", "day0", "--json", **SCALED)
    assert done.status == 0, done.err
    document = json.loads((folder / "day0.json").read_text(encoding="utf-8"))
    assert document == done.document
    assert (folder / "day0.md").read_text(encoding="utf-8") == as_markdown(document)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_commands_say_what_is_missing(tmp_path):
    home = new_home(tmp_path / "home").root
    called = tradingai(home, "observe", "start", "--json")
    assert (called.status, called.error["code"]) == (4, "missing")
    assert "no model is promoted" in called.error["message"]
    assert "tradingai pipeline" in called.error["remedy"]
    called = tradingai(home, "observe", "report", "--json")
    assert (called.status, called.error["message"]) == (4, "no observation has run")
    shown = tradingai(home, "observe", "status")
    assert shown.status == 0
    assert "No observation has run. It needs 72 h without a break" in shown.out
