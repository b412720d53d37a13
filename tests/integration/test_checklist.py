"""The checklist's rehearsals: as they are, with what they rehearse spoilt, and cut off in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import MissingError, StoreError
from tradingai.engine.core.files import write_json
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision import rules
from tradingai.engine.queries.checklist_views import ITEMS, ChecklistView, newest_checklist
from tradingai.engine.registry import registry as registries
from tradingai.engine.runtime.controls import carry_out
from tradingai.rehearsals import costs, kill, rates, restart
from tradingai.rehearsals import rollback as rollbacks
from tradingai.rehearsals.checklist import rehearse
from tradingai.telegram import commands as bot_commands

from tests.fakes.bot_api import TOKEN, bot_api
from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import alive, wait_for
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.live import NOW, open_bench
from tests.fakes.stored_market import COINS, replay_home

LEVEL = {"mean": 4.0, "p50": 4.0, "p90": 6.0, "samples": 500}
METRICS = {
    "schema": 1,
    "source": "ccxt",
    "measured_at": "2025-11-10T00:00:00Z",
    "pairs": {coin: {"tokyo": {"spread_bps": LEVEL, "slippage_bps": LEVEL}} for coin in COINS},
}
AGAIN = """
INSERT INTO live_candles SELECT run_id, scan_seq + 1, warm, symbol, ts_us, open, high, low, close, volume,
received_at FROM live_candles WHERE warm = 0 LIMIT 1
"""


@pytest.fixture(scope="module")
async def made(tmp_path_factory):
    """A home with everything that must not be touched: rows, controls, account, settings, measured costs."""
    root = replay_home(tmp_path_factory.mktemp("checklist") / "home", days=5.4).root
    async with open_bench(root) as bench:
        await bench.scan(25)
        issued = {"sender": "tester", "surface": "cli", "issued_at": NOW}
        for command in (SetKillSwitch(**issued, on=True, reason="kept"), SetThreshold(**issued, value=0.8)):
            await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)
    (root / ".env").write_text("MAX_SIGNALS_PER_HOUR=10\n")
    write_json(root / "data" / "execution_metrics_2025-11-10.json", METRICS)
    (root / "data" / "execution_metrics.json").symlink_to("execution_metrics_2025-11-10.json")
    return root


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


def live_state(home: Path) -> dict[str, str]:
    """Every file and link of the home but the evidence, logs and locks, by its bytes."""
    found = {}
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if name.startswith(("reports/checklist", "logs", "locks")):
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"tradingai.db", ".env", "data/execution_metrics.json", "models/registry.json"} <= set(found)
    return found


async def rehearsed(home: Path, *items: str, **settings) -> ChecklistView:
    return await rehearse(
        HomePaths(home), plain_settings(symbols=COINS, **settings), RealClock(), items,
        lambda _item, _text: None, lambda _item: None,
    )  # fmt: skip


async def one(home: Path, item: str, **settings):
    view = await rehearsed(home, item, **settings)
    assert view.live_state is not None
    assert view.live_state.unchanged, view.live_state.changed
    (found,) = view.items
    return found


# ------------------------------------------------------------------------------- as they are


async def test_rollback_limits_and_costs(home):
    before = live_state(home)
    view = await rehearsed(home, "rollback", "rate-limiter", "costs")
    assert live_state(home) == before
    rolled, limited, unmeasured = view.items
    assert (rolled.passed, limited.passed, unmeasured.passed) == (True, True, False)
    assert (rolled.measured["there_and_back"], rolled.measured["rollbacks_and_promotions"]) == (3, 9)
    assert "nothing to go back to" in rolled.not_rehearsed[0]
    numbers = limited.measured
    assert (numbers["all_most_in_60_min"], numbers["high_most_in_60_min"]) == (10, 5)
    assert numbers["all_most_without_limits"] > 10
    rows = json.loads((home / limited.home / "reports" / "emissions.json").read_text())
    assert len(rows) == numbers["all_emitted"] + numbers["high_emitted"]
    assert not view.passed
    assert newest_checklist(HomePaths(home)) == view
    text = (home / view.folder / "checklist.md").read_text()
    assert "NOT PASSED: 2 of 3 items (3 of 7 items were asked for)" in text
    history = tradingai(home / rolled.home, "models", "history", "--json").document
    kinds = [entry["kind"] for entry in history]
    assert (kinds.count("rolled_back"), kinds.count("promoted")) == (6, 9)


async def test_a_rollback_between_two_real_versions(home):
    from tests.fakes.live import promote
    from tests.fakes.stored_market import opinionated

    promote(HomePaths(home), RealClock(), opinionated("BTC-USD", seed=1))
    found = await one(home, "rollback")
    assert found.passed
    assert "lstm_BTC-USD: v1.1.0 → v1.0.0 → v1.1.0" in found.steps[1]
    assert "lstm_BTC-USD" not in found.not_rehearsed[0]


@pytest.mark.slow
async def test_the_kill_switch_from_every_surface(home, monkeypatch):
    monkeypatch.setenv("DB_URL", f"sqlite:///{home / 'tradingai.db'}")
    monkeypatch.setenv("KILL_SWITCH", "true")
    before = live_state(home)
    found = await one(home, "kill-switch")
    assert live_state(home) == before
    assert found.passed, found.summary
    assert (found.measured["surfaces"], found.measured["emitted_while_on"]) == (4, 0)
    assert found.measured["decisions_held"] == 4 * kill.HELD_SCANS * len(COINS)
    assert found.measured["audited_turns"] == 6
    assert (found.measured["process_emitted"], found.measured["process_decisions_held"]) == (0, len(COINS))
    assert [step.partition(":")[0] for step in found.steps] == [
        "command line", "console", "Telegram bot", "KILL_SWITCH in the environment",
        "`KILL_SWITCH=true tradingai run` as a process",
    ]  # fmt: skip


@pytest.mark.slow
async def test_the_bot_answers(home):
    found = await one(home, "bot")
    assert found.passed, found.summary
    assert found.measured["answers"] == found.measured["questions"] == 24
    assert found.measured["scans_meanwhile"] > 0
    assert "TELEGRAM_TOKEN is not set" in found.not_rehearsed[0]


# ------------------------------------------------------------------------------- spoilt


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (None, "30 signals within 60 minutes; the limit is 10"),
        ("never", "at most 0 signals within 60 minutes: less than the limit of 10 lets through"),
    ],
)
async def test_a_limiter_that_is_spoilt(home, monkeypatch, refusal, words):
    def spoilt(_state, limits, _at_us, *, high):
        return None if limits is rates.UNLIMITED else refusal

    monkeypatch.setattr(rules, "rate_refusal", spoilt)
    monkeypatch.setattr(rates, "HOURS", 1)
    found = await one(home, "rate-limiter")
    assert not found.passed
    assert words.partition(" ")[2] in found.summary


async def test_a_link_that_does_not_follow(home, monkeypatch):
    monkeypatch.setattr(registries, "set_link", lambda *_args: None)
    found = await one(home, "rollback")
    assert not found.passed
    assert "the link has " in found.summary


async def test_a_second_version_that_cannot_be_loaded(home, monkeypatch):
    real = rollbacks.save_artifact
    monkeypatch.setattr(rollbacks, "save_artifact", lambda file, artifact: real(file, artifact)[:-1] + "x")
    found = await one(home, "rollback")
    assert not found.passed


async def test_a_rehearsal_that_breaks_hides_no_other_and_touches_nothing(home, monkeypatch):
    async def broken(_stage):
        raise RuntimeError("no")

    async def refused(_stage):
        raise StoreError("the disk is gone", remedy="Bring it back.")

    monkeypatch.setattr(rollbacks, "rehearse", broken)
    monkeypatch.setattr(kill, "rehearse", refused)
    before = live_state(home)
    view = await rehearsed(home, "rollback", "kill-switch", "costs")
    assert live_state(home) == before
    assert [(item.passed, item.remedy) for item in view.items] == [
        (False, ""), (False, "Bring it back."), (False, costs.MEASURE),
    ]  # fmt: skip
    assert view.items[0].summary == "unexpected RuntimeError: no"
    assert view.complete


async def test_a_live_home_that_was_changed_does_not_pass(home, monkeypatch):
    async def meddling(stage):
        stage.live.ledger.write_text(stage.live.ledger.read_text() + " ")
        return rollbacks.Finding(summary="all well")

    monkeypatch.setattr(rollbacks, "rehearse", meddling)
    view = await rehearsed(home, "rollback")
    assert view.items[0].passed
    assert not view.passed
    assert view.live_state is not None
    assert view.live_state.changed == ("models/registry.json",)


async def test_without_promoted_models_nothing_is_rehearsed(tmp_path):
    new_home(tmp_path / "home")
    with pytest.raises(MissingError, match="no model is promoted"):
        await rehearsed(tmp_path / "home", "costs")
    called = tradingai(tmp_path / "home", "observe", "checklist", "--json")
    assert (called.status, called.error["code"]) == (4, "missing")
    assert "tradingai pipeline" in called.error["remedy"]
    assert not (tmp_path / "home" / "reports" / "checklist").exists()


def test_as_a_command(home):
    before = live_state(home)
    called = tradingai(home, "observe", "checklist", "--only", "costs")
    assert called.status == 3, called.err
    assert live_state(home) == before
    lines = called.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "NOT PASSED: 0 of 1 items (1 of 7 items were asked for)"
    assert "costs: FAILED" in called.err
    assert "days ago; at most 30 days are recent" in " ".join(called.out.split())
    assert "tradingai execution measure" in called.out


# ------------------------------------------------------------------------------- slow proofs


@pytest.mark.slow
def test_with_a_token_one_message_goes_to_the_real_chat_which_is_never_polled(home):
    with bot_api() as api:
        api.polls.append("409")
        called = tradingai(home, "observe", "checklist", "--only", "bot", "--json", **api.environment)
        assert (list(api.polls), api.odd) == (["409"], [])
        assert [text.splitlines()[0] for text in api.texts()] == ["TradingAI test message"]
    assert called.status == 0, called.err
    (found,) = called.document["items"]
    assert 0 < found["measured"]["real_message_s"] < 5
    assert found["measured"]["answers"] == 24
    assert "only the running engine's bot may poll it" in found["not_rehearsed"][0]
    folder = home / called.document["folder"]
    for path in folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    assert TOKEN not in called.out + called.err


@pytest.mark.slow
async def test_a_bot_that_says_nothing(home, monkeypatch):
    async def silent(self, request):
        raise TimeoutError

    monkeypatch.setattr(bot_commands.Commands, "_carry_out", silent)
    found = await one(home, "bot")
    assert not found.passed
    assert "busy" in found.summary


@pytest.mark.slow
async def test_a_kill_switch_that_does_not_hold(home, monkeypatch):
    spoilt = tuple(rule for rule in rules.WORTH if rule[1] is not rules.killed)
    monkeypatch.setattr("tradingai.engine.decision.desk.WORTH", spoilt)
    found = await one(home, "kill-switch")
    assert not found.passed
    assert "signals were emitted while it was on" in found.summary


@pytest.mark.slow
async def test_restart_after_a_kill(home):
    before = live_state(home)
    found = await one(home, "restart")
    assert live_state(home) == before
    assert found.passed, found.summary
    assert found.measured["identical_when_computed_again"] == found.measured["decisions"]
    assert found.measured["scans"] >= restart.KILLS * restart.SCANS_BETWEEN + restart.SCANS_BETWEEN
    database = home / found.home / "tradingai.db"
    run = found.measured["run"]

    def failures(statement: str) -> list[str]:
        spoilt = database.with_name("spoilt.db")
        shutil.copyfile(database, spoilt)
        with closing(sqlite3.connect(spoilt)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(statement, {"run": run})
            found = rollbacks.Finding()
            restart._expect_rows(found, connection, run)
        return found.failures

    assert failures("SELECT 1") == []
    for statement, words in (
        ("DELETE FROM signals WHERE run_id = :run", "emitted decisions have no signal"),
        ("DELETE FROM decisions WHERE run_id = :run AND scan_seq = 3", "scans have no decisions"),
        ("DELETE FROM events WHERE type = 'SignalEmitted'", "signal events differ"),
        (AGAIN, "candles were received twice"),
    ):
        assert words in " ".join(failures(statement)), statement


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_checklist_beside_an_engine_that_runs(home):
    engine = start(home, "run", "--interval", "1")
    try:
        wait_for(lambda: (home / "tradingai.db").exists() and scans(home) >= 2, 120)
        called = tradingai(home, "observe", "checklist", "--json", timeout=1100)
        before = scans(home)
        wait_for(lambda: scans(home) > before + 1, 60)
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.communicate(timeout=60)
    assert engine.returncode == 0
    assert called.status == 3
    view = ChecklistView.from_json(called.document)
    assert {item.id: item.passed for item in view.items} == {name: name != "costs" for name in ITEMS}
    assert view.live_state is not None
    assert view.live_state.unchanged
    assert "running engine" in view.live_state.left_out
    verified = tradingai(home, "observe", "verify", "--json").document
    assert verified["verified"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_in_the_middle_it_leaves_no_process_and_the_home_as_it_was(home):
    """SIGKILL while a child scans on a copy, and in three other places."""
    before = live_state(home)
    for wait_s in (4.0, 8.0, 12.0):
        process = start(home, "observe", "checklist")
        time.sleep(wait_s)
        process.kill()
        process.communicate()
        assert live_state(home) == before
    process = start(home, "observe", "checklist", "--only", "restart")
    try:
        child = wait_for(lambda: scanning_child(process.pid), 120)
    finally:
        process.kill()
        process.communicate()
    wait_for(lambda: not alive(child), 20)
    assert live_state(home) == before
    newest = newest_checklist(HomePaths(home))
    assert newest is not None
    assert not newest.complete
    assert not newest.passed
    assert "CUT OFF" in (home / newest.folder / "checklist.md").read_text()
    again = tradingai(home, "observe", "checklist", "--only", "rollback", "--json")
    assert again.document["passed"]


def scans(home: Path) -> int:
    with closing(sqlite3.connect(f"{(home / 'tradingai.db').as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM scans").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def scanning_child(parent: int) -> int | None:
    """The child of that process which runs ``tradingai run``."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == parent and b"run" in words:
            os.kill(int(entry.name), 0)
            return int(entry.name)
    return None
