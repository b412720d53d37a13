"""Backup and restore: everything comes back, nothing is lost, nothing damaged or hostile gets in."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import sqlite3
import stat
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from tradingai.bootstrap import open_engine, restore_home
from tradingai.engine.archive import unpack_archive, write_archive
from tradingai.engine.backup import create_backup, restore_backup
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import BackUp, Rollback
from tradingai.engine.core.errors import (
    ArtifactError,
    HomeError,
    LockHeldError,
    MissingError,
    StoreError,
    TradingAIError,
    UsageError,
)
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.ledger import Candidate, read_ledger
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.evaluation.assess import Subject, assess
from tradingai.engine.gates import Thresholds
from tradingai.engine.registry.registry import Registry
from tradingai.engine.registry.verify import verify

from tests.fakes.evaluations import CLEAN, assessed, calibrated, judged, wave_close
from tests.fakes.homes import new_home, open_store

CLOCK = RealClock()
MODEL = "lstm_BTC-USD"


@pytest.fixture(scope="module")
def report():
    """A report that passes every gate."""
    close, _ = wave_close(days=16)
    labels = direction_labels(close)
    inputs = {"data_sha256": "d" * 64, "features_sha256": "f" * 64}
    subject = Subject(MODEL, "BTC-USD", "cycles", True, inputs)
    return assess(subject, judged(calibrated(0.85, labels), close), Thresholds(), CLEAN)


def fill_registry(paths: HomePaths, report) -> None:
    """Three versions: v1.0.0 was live, v1.1.0 is, v1.2.0 was never promoted."""
    registry = Registry(paths, CLOCK, who="test")
    for number, letter in enumerate("abc"):
        source = paths.checkpoints / f"{letter}.pt"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(letter.encode() * 5000)
        source.with_suffix(".json").write_text(json.dumps({"artifact": letter}))
        tests = {"BTC-USD": "t" * 64}
        candidate = Candidate(MODEL, tests, letter * 64, source, source.with_suffix(".json"), f"key {letter}")
        registry.record(candidate, assessed(report))
        if number < 2:
            registry.promote(MODEL)


@pytest.fixture
async def home(tmp_path, report):
    """A home with everything, closed."""
    async with open_store(tmp_path / "home") as (store, paths):
        await store.events.append(*(StateRepaired(what=f"event {n}", detail="") for n in range(50)))
        fill_registry(paths, report)
        (paths.root / ".env").write_text("TELEGRAM_TOKEN=1:secret\nTELEGRAM_CHAT_ID=1\n")
        (paths.candles / "BTC-USD").mkdir()
        (paths.candles / "BTC-USD" / "2025.parquet").write_bytes(b"candles")
    return paths


@pytest.fixture
def backup(home, tmp_path):
    file = tmp_path / "backup.tar.gz"
    create_backup(home, database(home), file, CLOCK)
    return file


def database(paths: HomePaths) -> Path:
    return paths.root / "tradingai.db"


def content(root: Path) -> dict[str, bytes]:
    """Every file that matters: not locks, not scratch."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in {"locks", "home.json"}
    }


def whats(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT json_extract(payload, '$.what') FROM events ORDER BY seq")
        return [what for (what,) in rows]


# -- the ordinary course


def test_a_backup_holds_what_cannot_be_made_again_and_no_secrets(home, backup):
    with tarfile.open(backup) as tar:
        names = tar.getnames()
    folder = f"models/versions/{MODEL}"
    assert names[:3] == ["manifest.json", "database.db", "models/registry.json"]
    assert sorted({name.split("/")[3] for name in names if name.startswith(folder)}) == ["v1.0.0", "v1.1.0"]
    assert not any(word in name for name in names for word in ("env", "candles", "checkpoints"))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert list(home.backups.iterdir()) == []


def test_everything_comes_back(home, backup, tmp_path):
    target = new_home(tmp_path / "new")
    summary = restore_backup(target, database(target), backup, CLOCK)
    assert summary.database
    assert (summary.ledger_entries, summary.problems) == (5, ())
    assert summary.versions == (f"{MODEL} v1.0.0", f"{MODEL} v1.1.0")
    assert target.ledger.read_bytes() == home.ledger.read_bytes()
    assert whats(database(target)) == [f"event {n}" for n in range(50)]
    states = {item.version: item.state for item in verify(target)}
    assert states == {"v1.0.0": "intact", "v1.1.0": "intact", "v1.2.0": "absent"}
    assert (target.promoted / MODEL).resolve() == target.versions / MODEL / "v1.1.0"
    for version in ("v1.0.0", "v1.1.0"):
        old, new = home.versions / MODEL / version, target.versions / MODEL / version
        assert content(old) == content(new)
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in new.iterdir())
    assert stat.S_IMODE(database(target).stat().st_mode) == 0o600


async def test_a_restored_home_goes_on(backup, tmp_path):
    summary = await restore_home(tmp_path / "new", backup)
    assert len(summary.versions) == 2
    async with open_engine(tmp_path / "new") as engine:
        assert engine.problems == ()
        await engine.execute(Rollback(**engine.issue(), model=MODEL, why="drill"))
        events = [event.type for event in await engine.events(50)]
        assert events == ["HomeRestored", "ModelRolledBack"]
        assert engine.store.path.with_name("tradingai.db-wal").exists(), "write-ahead log again"
    assert (tmp_path / "new/models/promoted" / MODEL).resolve().name == "v1.0.0"


async def test_a_backup_is_a_command_like_any_other(home, tmp_path):
    async with open_engine(home.root) as engine:
        file = tmp_path / "mine.tar.gz"
        result = await engine.execute(BackUp(**engine.issue(), file=str(file)))
        assert (result["file"], result["ledger_entries"]) == (str(file), 5)
        assert (await engine.store.commands.latest(1))[0].state == "done"
        assert (await engine.store.events.latest(1))[0].payload["size_bytes"] == file.stat().st_size


async def test_a_backup_beside_a_writer_is_one_moment(home, tmp_path):
    async with open_store(home.root) as (store, paths):
        stop = asyncio.Event()

        async def write():
            number = 50
            while not stop.is_set():
                await store.events.append(StateRepaired(what=f"event {number}", detail="x" * 2000))
                number += 1

        writer = asyncio.create_task(write())
        for number in range(3):
            await asyncio.to_thread(create_backup, paths, store.path, tmp_path / f"{number}.tar.gz", CLOCK)
        stop.set()
        await writer
    seen = []
    for number in range(3):
        target = new_home(tmp_path / f"home {number}")
        restore_backup(target, database(target), tmp_path / f"{number}.tar.gz", CLOCK)
        names = whats(database(target))
        assert names == [f"event {n}" for n in range(len(names))]
        seen.append(len(names))
    assert 50 <= seen[0] <= seen[1] <= seen[2]


async def test_a_home_without_models_or_without_database_can_be_saved_too(tmp_path, report):
    async with open_store(tmp_path / "only database") as (store, paths):
        create_backup(paths, store.path, tmp_path / "1.tar.gz", CLOCK)
    target = new_home(tmp_path / "1")
    assert restore_backup(target, database(target), tmp_path / "1.tar.gz", CLOCK).versions == ()
    assert not target.ledger.exists()
    paths = new_home(tmp_path / "only registry")
    fill_registry(paths, report)
    assert not create_backup(paths, database(paths), tmp_path / "2.tar.gz", CLOCK).database
    target = new_home(tmp_path / "2")
    restore_backup(target, database(target), tmp_path / "2.tar.gz", CLOCK)
    assert len(read_ledger(target.ledger)) == 5
    assert not database(target).exists()


# -- refused


def test_there_has_to_be_something_to_save(tmp_path):
    paths = new_home(tmp_path / "empty")
    with pytest.raises(MissingError, match="nothing to back up") as caught:
        create_backup(paths, database(paths), tmp_path / "b.tar.gz", CLOCK)
    assert caught.value.exit_status == 4


def test_an_older_backup_is_never_overwritten(home, backup):
    before = backup.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        create_backup(home, database(home), backup, CLOCK)
    assert backup.read_bytes() == before


def test_a_damaged_database_is_not_saved_as_if_it_were_one(home, tmp_path):
    data = bytearray(database(home).read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    database(home).write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        create_backup(home, database(home), tmp_path / "b.tar.gz", CLOCK)
    assert not (tmp_path / "b.tar.gz").exists()
    assert list(home.backups.iterdir()) == []


def test_a_damaged_version_is_saved_and_named(home, tmp_path):
    (home.versions / MODEL / "v1.0.0" / "model.pt").write_bytes(b"scribble")
    summary = create_backup(home, database(home), tmp_path / "b.tar.gz", CLOCK)
    assert len(summary.problems) == 1
    assert summary.problems[0].startswith(f"{MODEL} v1.0.0: model.pt has hash")


@pytest.mark.parametrize("what", ["database", "ledger", "version"])
def test_what_is_there_is_not_overwritten(backup, tmp_path, what):
    target = new_home(tmp_path / "new")
    place = {
        "database": database(target),
        "ledger": target.ledger,
        "version": target.versions / MODEL / "v1.0.0" / "model.pt",
    }[what]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"something of value")
    before = content(target.root)
    with pytest.raises(UsageError) as caught:
        restore_backup(target, database(target), backup, CLOCK)
    assert f"{place} would be overwritten" in caught.value.message
    assert "`tradingai --home NEW restore FILE`" in caught.value.remedy
    assert caught.value.exit_status == 2
    assert content(target.root) == before


def test_not_while_an_engine_runs_there(backup, tmp_path):
    target = new_home(tmp_path / "new")
    with FileLock(target.locks / "engine", command="tradingai run", clock=CLOCK):
        with pytest.raises(LockHeldError) as caught:
            restore_backup(target, database(target), backup, CLOCK)
        assert "this home is locked by process" in caught.value.message
        assert "tradingai run" in caught.value.message
    assert content(target.root) == {}


@pytest.mark.parametrize("name", ["backup_schema", "home_schema"])
def test_a_backup_of_a_newer_version_is_refused(backup, tmp_path, name):
    newer = rewritten(backup, tmp_path / "newer.tar.gz", lambda header: {**header, name: 2, "version": "9.0"})
    target = new_home(tmp_path / "new")
    with pytest.raises(UsageError, match=r"made by a newer TradingAI \(9.0\)") as caught:
        restore_backup(target, database(target), newer, CLOCK)
    assert (caught.value.exit_status, content(target.root)) == (2, {})


def test_a_database_of_a_newer_schema_is_refused(home, tmp_path):
    with closing(sqlite3.connect(database(home))) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'future', '', '')")
    with pytest.raises(StoreError, match="schema 99"):
        create_backup(home, database(home), tmp_path / "b.tar.gz", CLOCK)
    header = {"backup_schema": 1, "home_schema": 1, "version": "9.0"}
    write_archive(tmp_path / "b.tar.gz", header, {"database.db": database(home)})
    target = new_home(tmp_path / "new")
    with pytest.raises(StoreError, match="schema 99"):
        restore_backup(target, database(target), tmp_path / "b.tar.gz", CLOCK)
    assert content(target.root) == {}


async def test_a_file_that_is_not_there_makes_no_home(tmp_path):
    with pytest.raises(MissingError, match="there is no file"):
        await restore_home(tmp_path / "new", tmp_path / "none.tar.gz")
    assert not (tmp_path / "new").exists()


async def test_a_home_that_cannot_be_made(backup, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError):
        await restore_home(tmp_path / "file", backup)


# -- damaged and hostile archives


def rewritten(source: Path, target: Path, change) -> Path:
    """The archive with another manifest."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        for item in old:
            data = old.extractfile(item).read()
            if item.name == "manifest.json":
                data = json.dumps(change(json.loads(data))).encode()
                item.size = len(data)
            new.addfile(item, io.BytesIO(data))
    return target


def test_no_damage_gets_in_and_none_does_harm(backup, tmp_path):
    whole = backup.read_bytes()
    target = new_home(tmp_path / "whole")
    restore_backup(target, database(target), backup, CLOCK)
    expected = content(target.root)
    rng = random.Random(7)
    damaged = [whole[: int(len(whole) * share)] for share in (0, 0.001, 0.1, 0.5, 0.9, 0.999)]
    for _ in range(30):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    refused = 0
    for number, data in enumerate(damaged):
        file = tmp_path / f"{number}.tar.gz"
        file.write_bytes(data)
        target = new_home(tmp_path / f"home {number}")
        try:
            restore_backup(target, database(target), file, CLOCK)
        except TradingAIError:
            refused += 1
            assert content(target.root) == {}
        else:
            assert content(target.root) == expected, "a bit that means nothing"
    assert refused >= 30


@pytest.mark.parametrize("data", [b"", b"not a tar", b"\x1f\x8b" + b"\0" * 100])
def test_something_else_is_no_backup(tmp_path, data):
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(ArtifactError):
        unpack_archive(tmp_path / "b", tmp_path / "out")


def hostile(path: Path, files, *, links=(), listed=None) -> Path:
    """An archive that claims what it likes."""
    listed = files if listed is None else listed
    manifest = {
        "backup_schema": 1, "home_schema": 1, "version": "0",
        "files": [{"name": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in listed],
    }  # fmt: skip
    with tarfile.open(path, "w:gz") as tar:
        for name, data in [("manifest.json", json.dumps(manifest).encode()), *files]:
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
        for name, kind, target in links:
            item = tarfile.TarInfo(name)
            item.type, item.linkname = kind, target
            tar.addfile(item)
    return path


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "models/../../evil", "models/./x", "a//b", "", ".", "models/x\0y"]
)
def test_a_path_cannot_lead_out(tmp_path, name):
    file = hostile(tmp_path / "h.tar.gz", [(name, b"evil")])
    out = tmp_path / "deep" / "out"
    with pytest.raises(ArtifactError):
        unpack_archive(file, out)
    assert not list(tmp_path.rglob("*evil*"))


def test_links_devices_and_unlisted_files_are_refused(tmp_path):
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)):
        file = hostile(
            tmp_path / f"{number}.tar.gz",
            [],
            links=[("models/x", kind, "/etc/passwd")],
            listed=[("models/x", b"")],
        )
        with pytest.raises(ArtifactError, match="does not list"):
            unpack_archive(file, tmp_path / f"out{number}")
    for number, (files, listed) in enumerate(
        [
            ([("a", b"1"), ("b", b"2")], [("a", b"1")]),
            ([("a", b"1"), ("a", b"1")], [("a", b"1")]),
            ([("a", b"1")], [("a", b"1"), ("b", b"2")]),
            ([("a", b"2")], [("a", b"1")]),
            ([("a", b"12")], [("a", b"1")]),
        ]
    ):
        file = hostile(tmp_path / f"f{number}.tar.gz", files, listed=listed)
        with pytest.raises(ArtifactError):
            unpack_archive(file, tmp_path / f"fout{number}")


# -- killed in the middle

KILLED = """
import os, sys
from pathlib import Path
from tradingai.engine import backup
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
steps, real = int(sys.argv[3]), backup.atomic_path
def counted(place):
    global steps
    steps -= 1
    if steps < 0:
        os.kill(os.getpid(), 9)
    return real(place)
backup.atomic_path = counted
paths = HomePaths(Path(sys.argv[1]))
backup.restore_backup(paths, paths.root / "tradingai.db", Path(sys.argv[2]), RealClock())
"""


def test_a_restore_killed_at_any_step_is_completed_by_the_next(backup, tmp_path):
    whole = new_home(tmp_path / "whole")
    restore_backup(whole, database(whole), backup, CLOCK)
    steps = 0
    while True:
        target = new_home(tmp_path / f"home {steps}")
        child = subprocess.run([sys.executable, "-c", KILLED, target.root, backup, str(steps)], check=False)
        if child.returncode == 0:
            break
        assert child.returncode == -9
        assert target.ledger.exists() <= (target.versions / MODEL / "v1.1.0" / "model.pt").exists()
        restore_backup(target, database(target), backup, CLOCK)
        assert content(target.root) == content(whole.root)
        steps += 1
    assert steps == 2 * 3 + 2, "two versions of three files, ledger, database"
