"""Exclusion by flock."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from tradingai.engine.core import locks
from tradingai.engine.core.clock import RealClock, SimulatedClock
from tradingai.engine.core.errors import LockHeldError, TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.locks import FileLock, lock_is_free, read_owner

HOLDER = """
import sys
from pathlib import Path
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.locks import FileLock
with FileLock(Path(sys.argv[1]), command="train_lstm BTC-USD", clock=RealClock()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock, and the lock's path."""
    path = tmp_path / "locks" / "train_lstm-BTC-USD"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process, path
        process.kill()


def lock(path, **words):
    return FileLock(path, command="tradingai train", clock=RealClock(), **words)


def test_a_held_lock_names_its_owner_and_the_remedy(holder):
    process, path = holder
    with pytest.raises(LockHeldError) as caught:
        lock(path, subject="training BTC-USD", remedy="Wait for it.").acquire()
    assert caught.value.message.startswith(
        f"training BTC-USD is locked by process {process.pid} (train_lstm BTC-USD) since 2"
    )
    assert (caught.value.remedy, caught.value.exit_status) == ("Wait for it.", 1)
    assert not lock_is_free(path)


def test_the_kernel_releases_it_when_its_owner_is_killed(holder):
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert lock_is_free(path)
    with lock(path) as mine:
        assert mine.held


async def test_waiting_for_it_ends_when_the_owner_lets_go(holder):
    process, path = holder
    mine = lock(path)
    process.stdin.close()
    await mine.wait(60)
    assert mine.held
    mine.release()


async def test_waiting_ends_with_the_owners_name_after_the_time(holder):
    process, path = holder
    clock = SimulatedClock(parse_iso("2025-11-10T00:00:00Z"))

    async def jump(seconds):
        clock.advance(seconds)

    clock.sleep = jump
    with pytest.raises(LockHeldError, match=str(process.pid)):
        await FileLock(path, command="tradingai", clock=clock).wait(5)
    assert clock.monotonic() == pytest.approx(5, abs=0.06)


def test_a_blocking_acquire_waits_for_the_owner(holder):
    process, path = holder
    process.stdin.close()
    mine = lock(path)
    mine.acquire(block=True)
    assert mine.held
    mine.release()


def test_two_locks_of_one_process_exclude_each_other(tmp_path):
    path = tmp_path / "engine"
    with lock(path), pytest.raises(LockHeldError, match=f"process {os.getpid()}"):
        lock(path).acquire()
    with lock(path) as again, pytest.raises(ValueError, match="already held"):
        again.acquire()


def test_owner_and_modes(tmp_path):
    path = tmp_path / "locks" / "engine"
    clock = SimulatedClock(parse_iso("2025-11-10T01:07:00.5Z"))
    with FileLock(path, command="tradingai run", clock=clock, runner="7-abc"):
        owner = read_owner(path)
    assert owner is not None
    assert (owner.pid, owner.command, owner.runner) == (os.getpid(), "tradingai run", "7-abc")
    assert owner.since == "2025-11-10T01:07:00Z"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_shorter_owner_replaces_a_longer_one_whole(tmp_path):
    path = tmp_path / "engine"
    with FileLock(path, command="a very long command line " * 10, clock=RealClock()):
        pass
    with FileLock(path, command="short", clock=RealClock()):
        assert json.loads(path.read_text())["command"] == "short"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_an_unreadable_owner_is_another_process(tmp_path, content):
    path = tmp_path / "engine"
    held = lock(path)
    held.acquire()
    path.write_text(content)
    assert read_owner(path) is None
    with pytest.raises(LockHeldError, match="engine is locked by another process"):
        lock(path).acquire()
    held.release()


def test_a_lock_nobody_ever_took_is_free_and_asking_makes_no_file(tmp_path):
    assert lock_is_free(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_holder_is_seen_without_touching_the_lock(holder, monkeypatch, tmp_path):
    process, path = holder
    before = path.stat()
    assert locks.seen_held(path)
    assert not locks.seen_held(tmp_path / "none")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not locks.seen_held(path), "its name is still in the file"
    assert path.stat() == before
    mine = lock(path)
    mine.acquire()
    monkeypatch.setattr(locks, "_KERNEL_LOCKS", tmp_path / "no such list")
    assert locks.seen_held(path), "its owner lives"
    mine.release()


def test_a_list_of_locks_without_ours(monkeypatch, tmp_path):
    path = tmp_path / "engine"
    with lock(path):
        inode = path.stat().st_ino
        for line, held in (
            (f"1: FLOCK  ADVISORY  WRITE {os.getpid()} fd:00:{inode} 0 EOF", True),
            (f"1: FLOCK  ADVISORY  WRITE {os.getpid() + 1} fd:00:{inode} 0 EOF", False),
            (f"1: FLOCK  ADVISORY  WRITE {os.getpid()} fd:00:{inode}1 0 EOF", False),
            (f"1: POSIX  ADVISORY  WRITE {os.getpid()} fd:00:{inode} 0 EOF", False),
            (f"1: -> FLOCK  ADVISORY  WRITE {os.getpid()} fd:00:{inode} 0 EOF", False),
        ):
            (tmp_path / "locks").write_text(line + "\n")
            monkeypatch.setattr(locks, "_KERNEL_LOCKS", tmp_path / "locks")
            assert locks.seen_held(path) is held, line


def test_a_full_disk_is_named_and_keeps_no_lock(tmp_path, monkeypatch):
    path = tmp_path / "engine"

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "_write_owner", refuse)
        with pytest.raises(TradingAIError, match="No space left") as caught:
            lock(path).acquire()
        assert "Free space" in caught.value.remedy
    assert lock_is_free(path)


def test_releasing_twice_is_harmless(tmp_path):
    mine = lock(tmp_path / "engine")
    mine.acquire()
    mine.release()
    mine.release()
    assert not mine.held


def test_a_child_does_not_inherit_the_lock(tmp_path):
    path = tmp_path / "engine"
    mine = lock(path)
    mine.acquire()
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        mine.release()
        assert lock_is_free(path)
        child.kill()
