"""The store: schema, transactions, events, commands, controls, runs."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import pytest
from tradingai.engine.core.clock import RealClock, SimulatedClock
from tradingai.engine.core.commands import Promote
from tradingai.engine.core.errors import LockHeldError, StoreError
from tradingai.engine.core.events import GateDecided, JobFailed, StateRepaired, TrainingFinished
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.locks import FileLock
from tradingai.engine.queries.status import read_controls
from tradingai.engine.store import connection as connections
from tradingai.engine.store.database import Store, StoreVersion
from tradingai.engine.store.failures import is_database
from tradingai.engine.store.migrate import migrate, migrations, pending, statements
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.run_table import RunRow

from tests.fakes.homes import new_home, open_store, plain_settings

NOW = parse_iso("2025-11-10T01:07:00Z")


def note(text):
    return StateRepaired(what=text, detail="")


@pytest.fixture
def clock():
    return SimulatedClock(NOW)


@pytest.fixture
async def opened(tmp_path, clock):
    async with open_store(tmp_path / "home", clock) as (store, paths):
        yield store, paths


@pytest.fixture
def store(opened):
    return opened[0]


def files_of(root):
    return sorted(path.name for path in root.iterdir() if path.is_file())


def ask(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# -- opening


async def test_a_new_database_is_private_and_as_the_specification_says(store):
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    for side in ("-wal", "-shm"):
        assert stat.S_IMODE(store.path.with_name(store.path.name + side).stat().st_mode) == 0o600
    async with store._database.transaction() as writer:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("foreign_keys", 1),
            ("synchronous", 2),
            ("busy_timeout", 5000),
        ):
            rows = await writer.execute_fetchall(f"PRAGMA {pragma}")
            assert rows[0][0] == value, pragma


async def test_closing_leaves_one_file(tmp_path, clock):
    async with open_store(tmp_path, clock) as (store, _):
        await store.events.append(note("x"))
    assert files_of(tmp_path) == ["home.json", "tradingai.db"]


async def test_many_processes_may_open_a_fresh_home_at_once(tmp_path):
    code = """
import asyncio, sys
from pathlib import Path
from tests.fakes.homes import open_store
from tradingai.engine.core.events import HomeCreated
async def main():
    async with open_store(Path(sys.argv[1])) as (store, _):
        for number in range(10):
            await store.events.append(HomeCreated(path=f"{sys.argv[2]} {number}"))
asyncio.run(main())
"""
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, tmp_path / "home", str(n), stderr=asyncio.subprocess.PIPE
        )
        for n in range(4)
    ]
    assert [(await child.communicate())[1] for child in children] == [b""] * 4
    async with open_store(tmp_path / "home") as (store, _):
        events = await store.events.after(0)
    assert sorted(event.payload["path"] for event in events) == sorted(
        f"{n} {i}" for n in range(4) for i in range(10)
    )
    assert [event.seq for event in events] == list(range(1, 41))


async def test_a_newer_schema_is_refused_untouched(tmp_path, clock):
    async with open_store(tmp_path, clock) as (store, paths):
        path = store.path
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'future', '', '')")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema 99, made by a newer TradingAI") as caught:
        await Store.open(path, paths, clock)
    assert "Update TradingAI" in caught.value.remedy
    with pytest.raises(StoreError, match="schema 99"):
        await Store.open_existing(path, clock)
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_refused_untouched(tmp_path, clock):
    paths = new_home(tmp_path)
    path = tmp_path / "tradingai.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of something else"):
        await Store.open(path, paths, clock)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to have a header" * 10, b"x"])
async def test_a_file_that_is_no_database_is_damaged(tmp_path, clock, content):
    paths = new_home(tmp_path)
    path = tmp_path / "tradingai.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as caught:
        await Store.open(path, paths, clock)
    assert "restore FILE" in caught.value.remedy
    with pytest.raises(StoreError, match="is damaged"):
        await Store.open_existing(path, clock)
    assert path.read_bytes() == content


async def test_damaged_pages_are_reported_when_they_are_read(tmp_path, clock):
    async with open_store(tmp_path, clock) as (store, paths):
        for number in range(200):
            await store.events.append(note("x" * 200 + str(number)))
        path = store.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        async with await Store.open(path, paths, clock) as store:
            await store.events.after(0)


async def test_a_database_in_a_folder_of_its_own(tmp_path, clock):
    paths = new_home(tmp_path / "home")
    async with await Store.open(tmp_path / "state" / "deep" / "my.db", paths, clock) as store:
        assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


async def test_a_path_with_odd_characters(tmp_path, clock):
    async with open_store(tmp_path / "50% off? #1 ü", clock) as (store, _):
        await store.events.append(note("x"))
        path = store.path
    reader = await Store.open_existing(path, clock)
    async with reader:
        assert len(await reader.events.after(0)) == 1


# -- migrations


def write_migrations(folder, *scripts):
    folder.mkdir(exist_ok=True)
    for number, sql in enumerate(scripts, start=1):
        (folder / f"{number:04}_step{number}.sql").write_text(sql)
    return folder


def test_the_shipped_migrations_are_numbered_without_gaps():
    assert [item.version for item in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(len(item.sha256) == 64 for item in migrations())


def test_gaps_are_refused(tmp_path):
    folder = write_migrations(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);")
    (folder / "0001_step1.sql").unlink()
    with pytest.raises(StoreError, match="gaps"):
        migrations(folder)


def test_statements_are_split_where_they_end():
    script = (
        "-- a; comment\nCREATE TABLE a (x TEXT DEFAULT ';');\n\nINSERT INTO a\nVALUES ('x;y');\n-- the end\n"
    )
    assert [item.strip() for item in statements(script)] == [
        "-- a; comment\nCREATE TABLE a (x TEXT DEFAULT ';');",
        "INSERT INTO a\nVALUES ('x;y');",
    ]
    with pytest.raises(StoreError, match="middle of a statement"):
        list(statements("CREATE TABLE a (x)"))


def test_a_migration_comes_with_its_record_after_a_copy(tmp_path):
    path, backups = tmp_path / "t.db", tmp_path / "backups"
    folder = write_migrations(tmp_path / "m", "CREATE TABLE a (x);\nINSERT INTO a VALUES (1);")
    assert migrate(path, backups, NOW, folder) is None
    assert not backups.exists()
    write_migrations(folder, "CREATE TABLE a (x);\nINSERT INTO a VALUES (1);", "INSERT INTO a VALUES (2);")
    copy = migrate(path, backups, NOW, folder)
    assert copy == backups / "t-schema1-20251110T010700Z.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert ask(copy, "SELECT x FROM a") == [(1,)]
    assert ask(path, "SELECT x FROM a") == [(1,), (2,)]
    assert ask(path, "SELECT version, name, applied_at FROM schema_migrations") == [
        (1, "0001_step1", "2025-11-10T01:07:00.000000Z"),
        (2, "0002_step2", "2025-11-10T01:07:00.000000Z"),
    ]
    assert migrate(path, backups, NOW, folder) is None
    assert len(list(backups.iterdir())) == 1


def test_a_failing_migration_leaves_no_trace_of_itself(tmp_path):
    path = tmp_path / "t.db"
    folder = write_migrations(
        tmp_path / "m",
        "CREATE TABLE a (x);",
        "INSERT INTO a VALUES (1);\nCREATE TABLE b (x);\nCREATE TABLE b (y);",
    )
    with pytest.raises(StoreError, match="table b already exists"):
        migrate(path, tmp_path / "backups", NOW, folder)
    assert pending(path, folder)[0] == 1
    assert ask(path, "SELECT * FROM a") == []
    assert ask(path, "SELECT name FROM sqlite_master WHERE name = 'b'") == []


def test_trainings_of_before_are_jobs_of_kind_train_whose_target_is_the_model(tmp_path):
    path, steps = tmp_path / "t.db", [item.sql for item in migrations()]
    folder = write_migrations(tmp_path / "m", *steps[:6])
    migrate(path, tmp_path / "backups", NOW, folder)
    rows = [("a", "train_lstm"), ("b", "features")]
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO jobs"
            " (job_id, kind, target, params, threads, state, runner, created_at, log, version)"
            " VALUES (?, ?, 'BTC-USD', ?, 1, 'interrupted', 'r', '2025-11-10T01:07:00.000000Z', 'x.log', 1)",
            [(name, kind, '{"symbol": "BTC-USD", "epochs": 10}') for name, kind in rows],
        )
        connection.commit()
    write_migrations(folder, *steps[:7])
    migrate(path, tmp_path / "backups", NOW, folder)
    (lstm, features) = ask(path, "SELECT kind, target, params FROM jobs ORDER BY job_id")
    assert lstm[:2] == ("train", "lstm_BTC-USD")
    assert json.loads(lstm[2]) == {"model": "lstm_BTC-USD", "symbols": None, "epochs": 10}
    assert features[:2] == ("features", "BTC-USD")
    assert json.loads(features[2]) == {"symbol": "BTC-USD", "epochs": 10}


@pytest.fixture
def old_home(tmp_path, monkeypatch):
    """A home whose database has one migration less than there are."""
    paths = new_home(tmp_path / "home")
    path = paths.root / "tradingai.db"
    first = migrations()[0].sql
    folder = write_migrations(tmp_path / "m", first)
    migrate(path, paths.backups, NOW, folder)
    write_migrations(folder, first, "CREATE TABLE later (x);")
    monkeypatch.setattr(pending, "__defaults__", (folder,))
    monkeypatch.setattr(migrate, "__defaults__", (folder,))
    return paths, path


async def test_an_old_database_is_migrated_when_it_is_opened(old_home, clock):
    paths, path = old_home
    async with await Store.open(path, paths, clock):
        pass
    assert ask(path, "SELECT count(*) FROM later") == [(0,)]
    assert len(list(paths.backups.iterdir())) == 1


async def test_nothing_is_migrated_while_an_engine_runs_on_the_old_schema(old_home, clock):
    paths, path = old_home
    with FileLock(paths.locks / "engine", command="tradingai run", clock=clock):
        with pytest.raises(LockHeldError, match="tradingai run") as caught:
            await Store.open(path, paths, clock)
        assert "Stop the running engine" in caught.value.remedy
        assert pending(path)[0] == 1
        async with await Store.open(path, paths, clock, engine_lock_held=True):
            assert pending(path)[0] == 2


# -- transactions


async def test_a_failing_transaction_changes_nothing(store):
    async def fail():
        async with store._database.transaction() as writer:
            await writer.execute("INSERT INTO counters VALUES ('x', 1)")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    async with store._database.transaction() as writer:
        assert await writer.execute_fetchall("SELECT * FROM counters WHERE name = 'x'") == []


async def test_a_cancelled_writer_leaves_no_transaction_open(store):
    for _ in range(20):
        task = asyncio.create_task(store.events.append(note("cancelled")))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.events.append(note("after"))
    assert (await store.events.latest(1))[0].payload["what"] == "after"


async def test_tasks_write_one_after_the_other(store):
    await asyncio.gather(*(store.events.append(note(str(n)), note(f"{n}'")) for n in range(40)))
    whats = [event.payload["what"] for event in await store.events.after(0)]
    assert whats == [text for n in range(40) for text in (str(n), f"{n}'")]


async def test_a_lock_that_stays_is_a_clear_error_and_passes(opened, clock, monkeypatch):
    monkeypatch.setattr(connections, "_PRAGMAS", ("PRAGMA busy_timeout = 50",))
    store, paths = opened
    async with await Store.open(store.path, paths, clock) as other:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as hog:
            hog.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="is locked") as caught:
                await other.events.append(note("refused"))
            assert "fuser" in caught.value.remedy
            assert await other.events.after(0) == []
            hog.execute("ROLLBACK")
        await other.events.append(note("accepted"))
        assert len(await other.events.after(0)) == 1


async def test_reads_do_not_wait_for_a_write_that_waits(opened):
    store, _ = opened
    with closing(sqlite3.connect(store.path, isolation_level=None)) as hog:
        hog.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.events.append(note("later")))
        assert await store.events.after(0) == []
        assert not writing.done()
        hog.execute("ROLLBACK")
        await writing


# -- events


async def test_events_come_back_in_order_with_their_level_and_numbers(store, clock):
    await store.events.append(note("one"))
    clock.advance(1.5)
    await store.events.append(
        JobFailed(job_id="j", kind="train", target="BTC-USD", code="job", message="m", remedy="r"),
        GateDecided(model="m", version="v1.0.0", gate="accuracy", passed=True, detail="ü"),
    )
    events = await store.events.after(0)
    assert [(e.seq, e.type, e.level) for e in events] == [
        (1, "StateRepaired", "warning"),
        (2, "JobFailed", "error"),
        (3, "GateDecided", "info"),
    ]
    assert [e.ts for e in events] == [NOW, *[NOW + timedelta(seconds=1.5)] * 2]
    assert events[2].payload == {
        "model": "m", "version": "v1.0.0", "gate": "accuracy", "passed": True, "detail": "ü",
    }  # fmt: skip
    assert [e.seq for e in await store.events.after(1, limit=1)] == [2]
    assert [e.seq for e in await store.events.after(0, levels=("error", "warning"))] == [1, 2]
    assert [e.seq for e in await store.events.latest(2)] == [3, 2]
    assert [e.seq for e in await store.events.latest(5, before=3, levels=("warning",))] == [1]


async def test_what_is_no_number_is_stored_as_null(store):
    await store.events.append(
        TrainingFinished(
            model="m", epochs=1, best_epoch=1, validation_accuracy=math.nan, seconds=math.inf, sha256="",
            early_stopped=False,
        )
    )  # fmt: skip
    payload = (await store.events.latest(1))[0].payload
    assert (payload["validation_accuracy"], payload["seconds"]) == (None, None)


async def test_old_events_are_pruned_and_numbers_never_come_again(store, clock):
    await store.events.append(note("old"), note("old too"))
    clock.advance(30 * 86_400)
    await store.events.append(note("a month younger"))
    assert await store.events.prune(30) == 0
    clock.advance(1)
    assert await store.events.prune(30) == 2
    clock.advance(31 * 86_400)
    assert await store.events.prune(30) == 1
    assert (await store.version()).seq == 3
    await store.events.append(note("new"))
    assert [event.seq for event in await store.events.after(0)] == [4]


async def test_the_version_moves_with_every_change(store):
    before = await store.version()
    assert before == StoreVersion(0, 0, 0)
    await store.events.append(note("x"))
    assert (await store.version()).seq == 1


# -- commands, controls, runs


def promote(clock, **changes):
    words = {"sender": "alice", "surface": "cli", "issued_at": clock.now(), "model": "lstm_BTC-USD"}
    return Promote(**{**words, **changes})


async def test_commands_are_written_down_with_their_result(store, clock):
    command = promote(clock, why="good numbers")
    await store.commands.begin(command)
    clock.advance(2)
    await store.commands.finish(command.command_id, "done", {"version": "v1.0.0"})
    (row,) = await store.commands.latest()
    assert (row.type, row.sender, row.surface, row.state) == ("Promote", "alice", "cli", "done")
    assert row.payload == {"model": "lstm_BTC-USD", "version": None, "why": "good numbers"}
    assert (row.issued_at, row.expires_at) == (NOW, NOW + timedelta(seconds=30))
    assert (row.result, row.finished_at) == ({"version": "v1.0.0"}, NOW + timedelta(seconds=2))


async def test_a_command_is_never_written_twice(store, clock):
    command = promote(clock)
    await store.commands.begin(command)
    with pytest.raises(StoreError):
        await store.commands.begin(command)


async def test_a_control_its_audit_and_its_event_are_one_transaction(store, clock):
    command = promote(clock)
    await store.controls.set(
        "kill_switch", value=True, command=command, reason="drill", event=note("kill on")
    )
    control = (await store.controls.all())["kill_switch"]
    assert (control.value, control.sender, control.surface, control.reason) == (True, "alice", "cli", "drill")
    assert control.set_at == NOW
    assert (await store.commands.latest())[0].state == "done"
    assert await store.version() == StoreVersion(1, 0, 1)
    with pytest.raises(StoreError):
        await store.controls.set(
            "kill_switch", value=False, command=command, reason="again", event=note("off")
        )
    assert (await store.controls.all())["kill_switch"].value is True
    assert await store.version() == StoreVersion(1, 0, 1)


async def test_a_control_can_be_set_again_and_reset(store, clock):
    await store.controls.set("threshold", value=0.8, command=promote(clock), reason="", event=note("0.8"))
    await store.controls.set("threshold", value=0.9, command=promote(clock), reason="", event=note("0.9"))
    assert (await store.controls.all())["threshold"].value == 0.9
    await store.controls.reset("threshold", promote(clock), note("reset"))
    assert await store.controls.all() == {}
    assert len(await store.commands.latest()) == 3


async def test_one_live_run_is_open_at_a_time(store, clock):
    def run(name, kind="live"):
        return RunRow(name, kind, "real", clock.now(), None, "hash", "0.1.0", {"lstm_BTC-USD": "abc"})

    await store.runs.start(run("a"))
    with pytest.raises(StoreError):
        await store.runs.start(run("b"))
    await store.runs.start(run("r1", "replay"))
    await store.runs.start(run("r2", "replay"))
    clock.advance(5)
    await store.runs.end("a")
    await store.runs.start(run("b"))
    rows = {row.run_id: row for row in await store.runs.latest()}
    assert rows["a"].ended_at == NOW + timedelta(seconds=5)
    assert rows["b"].model_hashes == {"lstm_BTC-USD": "abc"}


async def test_an_event_of_an_unknown_run_is_refused(store):
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await store.events.append(note("x"), run_id="nobody's")


# -- reading only


async def test_reading_leaves_no_trace(tmp_path):
    async with open_store(tmp_path) as (store, _):
        await store.events.append(note("x"))
        path = store.path
    before = files_of(tmp_path)
    reader = await Store.open_existing(path, RealClock())
    async with reader:
        assert reader.read_only
        assert len(await reader.events.after(0)) == 1
        assert files_of(tmp_path) == before
    assert files_of(tmp_path) == before


async def test_a_reader_sees_what_is_written_after_it_opened(tmp_path):
    async with open_store(tmp_path) as (store, paths):
        path = store.path
    reader = await Store.open_existing(path, RealClock())
    async with reader:
        assert await reader.events.after(0) == []
        async with await Store.open(path, paths, RealClock()) as writer:
            await writer.events.append(note("one"))
            assert len(await reader.events.after(0)) == 1
            await writer.events.append(note("two"))
            assert len(await reader.events.after(0)) == 2
        assert len(await reader.events.after(0)) == 2


async def test_a_reader_is_refused_every_write(tmp_path):
    async with open_store(tmp_path) as (store, _):
        path = store.path
    reader = await Store.open_existing(path, RealClock())
    async with reader:
        with pytest.raises(StoreError, match="read-only"):
            await reader.events.append(note("x"))


async def test_no_database_is_nothing_yet(tmp_path):
    assert await Store.open_existing(tmp_path / "none.db", RealClock()) is None
    (tmp_path / "empty.db").touch()
    assert await Store.open_existing(tmp_path / "empty.db", RealClock()) is None
    assert files_of(tmp_path) == ["empty.db"]


async def test_an_old_schema_is_not_migrated_by_a_reader(tmp_path, clock):
    path = tmp_path / "t.db"
    migrate(path, tmp_path, NOW, write_migrations(tmp_path / "m", "CREATE TABLE a (x);"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM schema_migrations")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="has schema 0; this version reads schema"):
        await Store.open_existing(path, clock)
    assert path.read_bytes() == before


_LOOKS = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM runs'); c.close()"


async def test_a_look_at_the_file_costs_the_process_none_of_its_locks(tmp_path):
    """POSIX drops a process's locks with any descriptor of the file; the next process to close the database
    then removes the write-ahead log, and what is written here afterwards is lost."""
    async with open_store(tmp_path / "home") as (store, _):
        await store.events.append(note("before"))
        assert is_database(store.path)
        assert read_controls(store.path, plain_settings())["kill_switch"]["on"] is False
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _LOOKS, str(store.path)], check=True)
        await store.events.append(note("after"))
        with reading(store.path) as connection:
            rows = connection.execute("SELECT payload FROM events WHERE type = 'StateRepaired'").fetchall()
        assert store.path.with_name("tradingai.db-wal").exists()
    assert [json.loads(row[0])["what"] for row in rows] == ["before", "after"]
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE type = 'StateRepaired'").fetchone() == (
            2,
        )


async def test_a_closed_database_is_looked_at_again(tmp_path):
    async with (
        open_store(tmp_path / "home") as (store, paths),
        await Store.open(store.path, paths, RealClock()) as second,
    ):
        await second.close()
        assert is_database(store.path)
    store.path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="damaged"):
        is_database(store.path)
