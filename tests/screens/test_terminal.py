"""The console in a real terminal: opening, leaving, losing the terminal, being killed, and what is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.fakes.reader import Reader
from tests.fakes.terminal import Terminal

EMPTY = "Nothing has run in this home yet"
LONG = ("\x1b[B", "\x7f\x7f\x7f", "2141", "\r")
"""In the dialog, one after the other as a hand types them: 2,141 days, long enough to be interrupted."""


def jobs(home: Path) -> list[sqlite3.Row]:
    """What the store says of the jobs."""
    connection = sqlite3.connect(home / "tradingai.db")
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT * FROM jobs ORDER BY created_at").fetchall()
    connection.close()
    return rows


def start_long_job(terminal: Terminal, home: Path) -> list[int]:
    """Begin work and wait until a worker runs; the workers' process ids."""
    assert terminal.wait_for(EMPTY)
    terminal.send("c")
    assert terminal.wait_for("leave it")
    for keys in LONG:
        terminal.read(1)
        terminal.send(keys)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        terminal.read(0.2)
        pids = [row["pid"] for row in jobs(home) if row["state"] == "running" and row["pid"]]
        if pids:
            assert terminal.wait_for("JobStarted"), "the console does not show the job"
            return pids
    raise AssertionError([dict(row) for row in jobs(home)])


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids: list[int], seconds: float = 40) -> bool:
    """Whether all of them end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def test_opens_an_empty_home_and_leaves(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        assert terminal.wait_for("DRY-RUN")
        assert terminal.wait_for(EMPTY)
        terminal.send("q")
        assert terminal.ended() == 0
    assert (home / "console.json").exists()


@pytest.mark.slow
def test_quitting_with_a_job_stops_it_at_its_checkpoint(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        pids = start_long_job(terminal, home)
        terminal.send("q")
        assert terminal.wait_for("Still running here")
        terminal.send("\r")
        assert terminal.ended() == 0
        assert gone(pids)
    assert {row["state"] for row in jobs(home)} <= {"interrupted", "finished"}
    with Terminal(home) as terminal:
        assert terminal.wait_for("interrupted")
        terminal.send("q")
        assert terminal.ended() == 0


def test_a_closed_terminal_stops_jobs_without_a_question(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        pids = start_long_job(terminal, home)
        terminal.close()
        deadline = time.monotonic() + 60
        done = 0
        while not done and time.monotonic() < deadline:
            done, terminal.status = os.waitpid(terminal.pid, os.WNOHANG)
            time.sleep(0.1)
        assert done, "the console did not end"
        assert gone(pids)
    assert {row["state"] for row in jobs(home)} <= {"interrupted", "finished"}


def test_a_killed_console_leaves_no_orphan_and_a_job_to_resume(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        pids = start_long_job(terminal, home)
        os.kill(terminal.pid, signal.SIGKILL)
        assert gone(pids)
    with Terminal(home) as terminal:
        assert terminal.wait_for("interrupted")
        terminal.send("q")
        assert terminal.ended() == 0
    states = {row["state"] for row in jobs(home)}
    assert states <= {"interrupted", "finished"}
    assert "interrupted" in states


@pytest.mark.slow
def test_resizing_while_a_job_runs(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        pids = start_long_job(terminal, home)
        for size in ((160, 48), (60, 12), (80, 24), (200, 60), (72, 18), (120, 40)):
            terminal.resize(*size)
            terminal.send("2")
            terminal.read(0.2)
            terminal.send("1")
            terminal.read(0.2)
        assert b"Traceback" not in terminal.output
        terminal.send("q")
        assert terminal.wait_for("Still running here")
        terminal.send("\r")
        assert terminal.ended() == 0
        assert gone(pids)


def test_a_home_that_is_a_file_is_told_with_exit_status_2(tmp_path):
    home = tmp_path / "file"
    home.write_text("")
    with Terminal(home) as terminal:
        status = terminal.ended()
        assert os.waitstatus_to_exitcode(status) == 2
        terminal.read(0.5)
        assert b"is not a folder" in terminal.output
        assert b"Traceback" not in terminal.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a user without permission")
def test_a_home_nobody_may_write_is_told_with_exit_status_2(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    (home / "home.json").write_text('{"schema": 99, "version": "9.9"}')
    with Terminal(home) as terminal:
        assert os.waitstatus_to_exitcode(terminal.ended()) == 2
        terminal.read(0.5)
        assert b"Update TradingAI" in terminal.output


def test_a_locked_database_is_told_with_its_remedy(tmp_path):
    home = tmp_path / "home"
    with Terminal(home) as terminal:
        assert terminal.wait_for(EMPTY)
        connection = sqlite3.connect(home / "tradingai.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        terminal.send("K")
        assert terminal.wait_for("is locked", 40)
        connection.rollback()
        connection.close()
        assert b"Traceback" not in terminal.output
        terminal.send("q")
        assert terminal.ended() == 0


def test_read_only_without_a_home_says_so(tmp_path):
    with Terminal(tmp_path / "nowhere", "--read-only") as terminal:
        assert os.waitstatus_to_exitcode(terminal.ended()) == 4
        terminal.read(0.5)
        assert b"there is no TradingAI home" in terminal.output
    assert not (tmp_path / "nowhere").exists()


def test_the_screen_and_the_theme_are_there_again_after_a_restart(small_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(small_home, home, symlinks=True)

    def grounds(reader: Reader) -> set[str]:
        return set(re.findall(r"48;2;(\d+;\d+;\d+)m", reader.sent))

    with Reader(home) as reader:
        reader.wait("Gates refuse")
        assert "17;19;22" in grounds(reader)
        assert "251;251;249" not in grounds(reader)
        reader.type("5")
        reader.wait("Gates ━")
        reader.type("\x14")
        reader.look(1)
        assert "251;251;249" in grounds(reader)
        reader.type("q")
        assert reader.terminal.ended() == 0
    with Reader(home) as reader:
        reader.wait("Gates ━")
        assert "251;251;249" in grounds(reader)
        assert "17;19;22" not in grounds(reader)
        reader.type("q")
        assert reader.terminal.ended() == 0
