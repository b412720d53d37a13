"""``status``: where a home stands, whatever state it is in, without touching it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tradingai.engine.core.clock import RealClock, SimulatedClock
from tradingai.engine.core.commands import Promote
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.jobs.kinds import KINDS
from tradingai.engine.jobs.spec import new_job
from tradingai.engine.queries.status import read_status

from tests.fakes.homes import new_home, open_runner, open_store, plain_settings

CLOCK = SimulatedClock(parse_iso("2025-11-10T01:07:00Z"))
SETTINGS = plain_settings(symbols="BTC-USD,ETH-USD")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fed_home(tmp_path_factory):
    """A home with three days of two coins and the features of one."""
    paths = new_home(tmp_path_factory.mktemp("fed") / "home")
    for symbol in ("BTC-USD", "ETH-USD"):
        KINDS["generate"](paths, SETTINGS, generate(symbol), SilentReporter())
    result = KINDS["features"](paths, SETTINGS, features("BTC-USD"), SilentReporter())
    assert not result.get("skipped")
    return paths


@pytest.fixture
def home(fed_home, tmp_path):
    shutil.copytree(fed_home.root, tmp_path / "home", symlinks=True)
    return HomePaths(tmp_path / "home")


def generate(symbol, seed=7):
    return {
        "symbol": symbol, "market": "cycles", "seed": seed, "start": "2025-11-07T00:00:00Z",
        "end": "2025-11-10T01:07:00Z", "drift_at": None, "replace": False, "threads": 1,
    }  # fmt: skip


def features(symbol):
    return {"symbol": symbol, "peers": None, "force": False, "threads": 1}


def status(paths, settings=SETTINGS):
    return read_status(paths, settings, CLOCK)


def states(paths):
    return {phase["id"]: phase["state"] for phase in status(paths)["phases"]}


def details(paths):
    return {phase["id"]: phase["detail"] for phase in status(paths)["phases"]}


def everything(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}


# -- phases


def test_an_empty_home_begins_with_candles(tmp_path):
    paths = new_home(tmp_path)
    found = status(paths)
    assert [(phase["id"], phase["state"]) for phase in found["phases"]] == [
        ("candles", "next"),
        ("features", "waiting"),
        ("training", "waiting"),
        ("evaluation", "waiting"),
        ("gates", "waiting"),
        ("promotion", "waiting"),
        ("replay", "waiting"),
        ("observation", "waiting"),
        ("go_no_go", "waiting"),
    ]
    assert found["phases"][0]["command"] == "tradingai data generate --symbols BTC-USD,ETH-USD"
    assert found["problems"] == found["jobs"] == []
    assert found["models"] == {}
    assert found["engine"] == {"running": False}
    assert found["at"] == "2025-11-10T01:07:00Z"


def test_a_folder_that_is_no_home_yet_can_be_asked_about(tmp_path):
    assert states(HomePaths(tmp_path / "none"))["candles"] == "next"


def test_it_knows_what_is_done_and_what_is_missing(home):
    found = status(home)
    candles, matrix = found["phases"][:2]
    assert candles["state"] == "done"
    assert candles["detail"] == "4,388 + 4,388 candles of BTC-USD, ETH-USD (SYNTHETIC cycles, seed 7)"
    assert (matrix["state"], matrix["detail"]) == ("next", "1 of 2; missing ETH-USD")


def test_features_of_other_candles_do_not_count(home):
    KINDS["generate"](home, SETTINGS, generate("BTC-USD", seed=8), SilentReporter())
    assert states(home)["features"] == "next"
    assert details(home)["features"] == "nothing yet; candles changed since: BTC-USD"


def test_coins_an_operator_brought_are_what_it_is_about(home):
    found = status(home, plain_settings(symbols="SOL-USD"))
    assert found["phases"][0]["state"] == "done"
    assert "BTC-USD, ETH-USD" in found["phases"][0]["detail"]
    found = status(home, plain_settings(symbols="BTC-USD,ETH-USD,SOL-USD"))
    assert found["phases"][0]["detail"] == "2 of 3; missing SOL-USD"
    assert found["phases"][0]["command"] == "tradingai data generate --symbols SOL-USD"


def train(paths, symbol, sha256):
    card = paths.checkpoints / f"lstm_{symbol}_best.json"
    card.write_text(json.dumps({"sha256": sha256}))
    card.with_suffix(".pt").write_bytes(b"weights")


def ledger_with(*entries):
    ledger = Ledger()
    for kind, model, sha256, passed in entries:
        details = {
            "passed": passed, "gates": {"accuracy": passed, "calibration": True},
            "metrics": {"accuracy": 0.75 if passed else 0.61},
        }  # fmt: skip
        ledger = ledger.append(
            at=CLOCK.now(), kind=kind, who="test", why="", model=model, version="v1.0.0",
            artifact_sha256=sha256, details=details if kind == "evaluated" else {"previous": None},
        )  # fmt: skip
    return ledger.text()


def test_from_training_to_promotion(home):
    KINDS["features"](home, SETTINGS, features("ETH-USD"), SilentReporter())
    train(home, "BTC-USD", "a")
    assert states(home)["training"] == "next"
    assert status(home)["phases"][2]["command"] == "tradingai train lstm --coin ETH-USD"
    train(home, "ETH-USD", "b")
    assert (states(home)["training"], states(home)["evaluation"]) == ("done", "next")

    btc, eth = "lstm_BTC-USD", "lstm_ETH-USD"
    home.ledger.write_text(ledger_with(("evaluated", btc, "a", True), ("evaluated", eth, "b", False)))
    assert states(home)["gates"] == "refused"
    assert details(home)["evaluation"] == "accuracy 61.0 to 75.0 % on the test range"
    assert details(home)["gates"] == "lstm_ETH-USD: accuracy"
    assert states(home)["promotion"] == "waiting"

    entries = [
        (kind, model, sha, True)
        for kind in ("evaluated", "promoted")
        for model, sha in ((btc, "a"), (eth, "b"))
    ]
    home.ledger.write_text(ledger_with(*entries))
    assert [states(home)[name] for name in ("gates", "promotion")] == ["done", "done"]
    assert details(home)["promotion"] == "lstm_BTC-USD v1.0.0, lstm_ETH-USD v1.0.0"
    assert status(home)["models"][btc] == {
        "live": "v1.0.0", "version": "v1.0.0", "accuracy": 0.75, "passed": True, "trained": True,
    }  # fmt: skip

    train(home, "BTC-USD", "another")
    assert states(home)["evaluation"] == "next", "a newer artifact waits for its evaluation"


async def test_what_a_job_is_doing_is_the_phase(home):
    home.root.joinpath("starts").unlink(missing_ok=True)
    async with open_store(home.root) as (store, _):
        spec = new_job("features", "ETH-USD", clock=RealClock())
        words = {
            "kind": "features",
            "target": "ETH-USD",
            "params": {},
            "threads": 1,
            "runner": "r",
            "log": "l",
        }
        await store.jobs.create(job_id=spec.id, **words)
        assert (states(home)["features"], status(home)["jobs"]) == ("interrupted", []), "nobody runs it"
        life = FileLock(home.runner_lock("r"), command="job runner", clock=CLOCK)
        life.acquire()
        assert states(home)["features"] == "running"
        assert details(home)["features"] == "ETH-USD queued"
        progress = {"done": 1, "total": 4, "unit": "rows", "rate": 2.0, "eta_s": 1.5, "detail": {}}
        await store.jobs.record(spec.id, [], progress)
        assert details(home)["features"] == "ETH-USD 25 %"
        (job,) = status(home)["jobs"]
        assert (job["kind"], job["target"], job["done"], job["eta_s"]) == ("features", "ETH-USD", 1, 1.5)
        life.release()
        note = StateRepaired(what="x", detail="")
        await store.jobs.ended(spec.id, "interrupted", event=note)
        assert (states(home)["features"], details(home)["features"]) == (
            "interrupted",
            "ETH-USD: interrupted, can go on",
        )
        error = {"code": "data", "message": "too few candles", "remedy": ""}
        await store.jobs.ended(spec.id, "failed", event=note, error=error)
        assert (states(home)["features"], details(home)["features"]) == ("failed", "ETH-USD: too few candles")
    KINDS["features"](home, SETTINGS, features("ETH-USD"), SilentReporter())
    assert states(home)["features"] == "done", "an old failure is no news once the work is done"


# -- engine, controls


def test_a_running_engine_is_seen_without_touching_its_lock(tmp_path):
    paths = new_home(tmp_path)
    with FileLock(paths.locks / "engine", command="tradingai run", clock=CLOCK):
        assert status(paths)["engine"] == {
            "running": True, "pid": os.getpid(), "command": "tradingai run", "since": "2025-11-10T01:07:00Z",
        }  # fmt: skip
    assert status(paths)["engine"] == {"running": False}


async def test_kill_switch_and_threshold_with_their_sources(tmp_path):
    clock = SimulatedClock(CLOCK.now())
    async with open_store(tmp_path, clock) as (store, paths):
        assert status(paths)["kill_switch"] == {"on": False, "source": "default"}
        assert status(paths)["threshold"] == {"value": 0.75, "source": "CONFIDENCE_THRESHOLD"}

        def command():
            return Promote(sender="alice", surface="cli", issued_at=clock.now(), model="m")

        note = StateRepaired(what="x", detail="")
        await store.controls.set("kill_switch", value=True, command=command(), reason="drill", event=note)
        clock.advance(timedelta(minutes=1).total_seconds())
        await store.controls.set("threshold", value=0.8, command=command(), reason="", event=note)
        found = status(paths)
        assert found["kill_switch"] == {
            "on": True, "source": "cli", "since": "2025-11-10T01:07:00Z", "by": "alice", "reason": "drill",
        }  # fmt: skip
        assert found["threshold"] == {
            "value": 0.8,
            "source": "cli",
            "since": "2025-11-10T01:08:00Z",
            "by": "alice",
        }
        found = status(paths, plain_settings(kill_switch=True))
        assert found["kill_switch"] == {"on": True, "source": "KILL_SWITCH"}


# -- in trouble


def test_what_cannot_be_read_is_named_and_hides_nothing_else(home):
    (home.root / "tradingai.db").write_bytes(b"no database at all" * 100)
    home.ledger.write_text('{"schema": 1')
    (home.candles / "ETH-USD" / "manifest.json").write_text("{")
    (home.features / "BTC-USD" / "manifest.json").write_text("[]")
    (home.checkpoints / "lstm_BTC-USD_best.json").write_text("[]")
    (home.checkpoints / "lstm_BTC-USD_best.pt").write_bytes(b"")
    found = status(home)
    assert [problem["code"] for problem in found["problems"]] == [
        "artifact", "artifact", "registry", "artifact", "store",
    ]  # fmt: skip
    assert all(problem["message"] and problem["remedy"] for problem in found["problems"])
    assert found["phases"][0]["detail"] == "1 of 2; missing ETH-USD"
    assert found["kill_switch"] == {"on": True, "source": "the store cannot be read"}


async def test_a_database_that_is_locked_outright(tmp_path):
    async with open_store(tmp_path) as (_, paths):
        pass
    with closing(sqlite3.connect(tmp_path / "tradingai.db", isolation_level=None)) as hog:
        hog.execute("PRAGMA locking_mode = EXCLUSIVE")
        hog.execute("BEGIN EXCLUSIVE")
        hog.execute("UPDATE counters SET value = 1")
        found = status(paths)
    (problem,) = found["problems"]
    assert "is locked" in problem["message"]
    assert found["kill_switch"]["on"] is True


async def test_a_newer_database_is_named(tmp_path):
    async with open_store(tmp_path) as (_, paths):
        pass
    with closing(sqlite3.connect(tmp_path / "tradingai.db")) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'future', '', '')")
    assert "newer TradingAI" in status(paths)["problems"][0]["message"]


# -- traceless and light


async def test_asking_changes_nothing_also_beside_a_writer(home):
    async with open_runner(home.root) as opened:
        await opened.runner.run(new_job("skip", "BTC-USD", clock=RealClock()))
        before = everything(home.root)
        assert status(home)["problems"] == []
        assert everything(home.root) == before
    before = everything(home.root)
    status(home)
    assert everything(home.root) == before


def test_it_loads_nothing_heavy(home):
    code = """
import json, sys
from pathlib import Path
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import load_settings
from tradingai.engine.queries.status import read_status
root = Path(sys.argv[1])
read_status(HomePaths(root), load_settings(root), RealClock())
heavy = {"torch", "polars", "textual", "numpy", "scipy", "aiosqlite", "rich", "typer"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, home.root], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert json.loads(done.stdout) == []
