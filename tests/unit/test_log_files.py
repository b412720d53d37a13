"""The file of a process's log: rotation, what is lost when it cannot be written, whose it is."""

import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import LogsLost, LogsResumed
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.logs import process_log as module
from tradingai.engine.core.logs.process_log import process_log, prune
from tradingai.engine.core.logs.rotating import CALM_S, LineFile, Losses, RotatingLines
from tradingai.engine.jobs.recovery import prune_logs

from tests.fakes.command_line import environment
from tests.fakes.emf import parsed
from tests.fakes.full_disk import fill
from tests.fakes.homes import new_home, plain_settings

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)


class Bench:
    """A file that rotates at 1,000 bytes and keeps two more, and what was lost of it."""

    def __init__(self, folder, *, largest=1000, kept=2):
        self.clock = SimulatedClock(NOW)
        self.file = folder / "run.jsonl"
        self.losses = Losses("logs/run.jsonl", self.clock)
        self.handler = RotatingLines(
            self.file,
            largest=largest,
            kept=kept,
            losses=self.losses,
            note=lambda text: json.dumps({"note": text}),
        )
        self.count = 0

    def write(self, lines=1, size=90):
        """Lines of ``size`` bytes, numbered from 0."""
        for _ in range(lines):
            text = json.dumps({"n": self.count, "x": ""})
            text = text[:-2] + "x" * (size - 1 - len(text)) + '"}'
            self.count += 1
            self.handler.emit(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))

    def numbers(self):
        """The numbers in all files, oldest first; every line is one JSON object."""
        files = [self.file.with_name(f"run.jsonl.{n}") for n in range(9, 0, -1)] + [self.file]
        read = [parsed(line) for file in files if file.is_file() for line in file.read_text().splitlines()]
        return [document["n"] for document in read if "n" in document]

    def notes(self):
        return [
            line["note"] for line in map(json.loads, self.file.read_text().splitlines()) if "note" in line
        ]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "logs")
    yield made
    made.handler.close()


def sizes(folder):
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_a_file_is_put_aside_before_it_is_too_large_and_the_oldest_goes(bench):
    bench.write(50)
    found = sizes(bench.file.parent)
    assert set(found) == {"run.jsonl", "run.jsonl.1", "run.jsonl.2"}
    assert max(found.values()) <= 1000
    assert bench.numbers() == list(range(50 - sum(found.values()) // 90, 50))
    assert (bench.losses.lost, bench.losses.news()) == (0, [])
    assert bench.file.stat().st_mode & 0o777 == 0o600


def test_a_line_longer_than_the_file_has_one_to_itself(bench):
    bench.write(3)
    bench.write(1, size=5000)
    bench.write(1)
    assert bench.numbers() == [0, 1, 2, 3, 4]


def test_a_killed_rotation_is_gone_on_with(tmp_path):
    for stage in range(3):
        bench = Bench(tmp_path / str(stage))
        bench.write(30)
        bench.handler.close()
        folder, before = bench.file.parent, bench.numbers()
        if stage == 1:
            (folder / "run.jsonl.2").unlink()
            (folder / "run.jsonl.1").rename(folder / "run.jsonl.2")
        if stage == 2:
            bench.file.rename(folder / "run.jsonl.1")
        again = Bench(folder)
        again.count = 30
        again.write(30)
        again.handler.close()
        assert again.numbers()[-30:] == list(range(30, 60))[-30:][-len(again.numbers()) :]
        assert before
        assert again.losses.lost == 0


def test_the_torn_line_of_a_killed_process_is_cut_off(tmp_path):
    file = tmp_path / "run.jsonl"
    for torn in (b'{"n": 1', b'{"n": 1' + b"x" * 200_000):
        file.write_bytes(b'{"n": 0}\n' + torn)
        lines = LineFile(file)
        lines.write(b'{"n": 2}\n')
        lines.close()
        assert file.read_bytes() == b'{"n": 0}\n{"n": 2}\n'
    file.write_bytes(b'{"n": 1')
    LineFile(file).close()
    assert file.read_bytes() == b""


def test_a_deleted_folder_comes_back_and_nothing_is_lost(bench):
    bench.write(2)
    shutil.rmtree(bench.file.parent)
    bench.write(2)
    assert bench.numbers() == [2, 3]
    assert bench.losses.lost == 0


def test_a_moved_file_is_followed_by_a_new_one(bench):
    bench.write(2)
    bench.file.rename(bench.file.with_name("elsewhere"))
    bench.write(1)
    assert bench.numbers() == [2]


def in_place_of_the_folder(bench):
    shutil.rmtree(bench.file.parent)
    bench.file.parent.write_text("in the way")
    return bench.file.parent.unlink


def in_place_of_the_file(bench):
    bench.file.unlink()
    bench.file.mkdir()
    return bench.file.rmdir


def a_pipe_that_nobody_reads(bench):
    bench.file.unlink()
    os.mkfifo(bench.file)
    return bench.file.unlink


def a_home_that_is_gone(bench):
    home = bench.file.parent.parent
    home.rename(home.with_name("moved"))
    return lambda: home.with_name("moved").rename(home)


@pytest.mark.parametrize(
    "trouble", [in_place_of_the_folder, in_place_of_the_file, a_pipe_that_nobody_reads, a_home_that_is_gone]
)
def test_what_stands_in_the_way_loses_lines_and_is_told_once(tmp_path, trouble):
    bench = Bench(tmp_path / "home" / "logs")
    (tmp_path / "home").mkdir()
    bench.write(2)
    over = trouble(bench)
    bench.write(5)
    assert bench.losses.lost == 5
    (told,) = bench.losses.news()
    assert isinstance(told, LogsLost)
    assert (told.file, bool(told.reason)) == ("logs/run.jsonl", True)
    bench.losses.told(1)
    bench.clock.advance(20)
    bench.write(1)
    assert bench.losses.news() == []
    over()
    bench.write(1)
    assert bench.losses.news() == []
    bench.clock.advance(CALM_S)
    bench.write(1)
    assert bench.losses.news() == [LogsResumed(file="logs/run.jsonl", lost=6, seconds=20.0)]
    assert bench.notes()[-1] == "the log goes on; 6 lines before this one were lost"
    assert bench.numbers()[-2:] == [8, 9]
    bench.handler.close()


def test_where_only_rotation_fails_lines_go_on_up_to_twice_the_size(bench):
    bench.write(1)
    for number in (1, 2):
        (bench.file.with_name(f"run.jsonl.{number}") / "x").mkdir(parents=True)
    bench.write(30)
    assert bench.file.stat().st_size <= 2000
    assert bench.numbers() == list(range(22))
    assert bench.losses.lost == 9
    (told,) = bench.losses.news()
    assert told.reason.startswith("rotation: ")
    for number in (1, 2):
        shutil.rmtree(bench.file.with_name(f"run.jsonl.{number}"))
    bench.write(1)
    assert bench.numbers()[-1] == 31


def test_a_full_disk_leaves_whole_lines_and_the_log_goes_on(small_disk):
    bench = Bench(small_disk / "logs", largest=1_000_000)
    bench.write(5)
    fill(small_disk / "filler")
    bench.write(200)
    assert bench.losses.lost > 100
    assert [type(event) for event in bench.losses.news()] == [LogsLost]
    assert bench.losses.news()[0].reason == "No space left on device"
    assert bench.numbers() == list(range(205 - bench.losses.lost))
    (small_disk / "filler").unlink()
    bench.write(3)
    assert bench.numbers()[-3:] == [205, 206, 207]
    bench.handler.close()


def test_a_disk_that_becomes_read_only_loses_lines_until_it_is_writable_again(small_disk):
    bench = Bench(small_disk / "logs")
    bench.write(2)
    bench.handler._drop_file()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    bench.write(2)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    bench.write(2)
    assert (bench.losses.lost, bench.numbers()) == (2, [0, 1, 4, 5])
    bench.handler.close()


KILLED = """
import logging, sys
from itertools import count
from pathlib import Path
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.logs.rotating import Losses, RotatingLines
losses = Losses("run", RealClock())
lines = RotatingLines(Path(sys.argv[1]) / "run.jsonl", largest=2_000, kept=3, losses=losses, note=str)
print("ready", flush=True)
for number in count():
    lines.emit(logging.LogRecord("x", 20, "", 0, '{"n": %d}' % number, (), None))
"""


def test_a_process_killed_while_it_rotates_leaves_whole_lines_in_order(tmp_path):
    folder = tmp_path / "logs"
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, env=environment()
        )
        child.stdout.readline()
        threading.Event().wait(0.05)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        bench = Bench(folder, largest=2_000, kept=3)
        bench.handler._current()
        numbers = bench.numbers()
        bench.handler.close()
        breaks = sum(after != before + 1 for before, after in itertools.pairwise(numbers))
        assert numbers
        assert breaks <= 1, numbers
        shutil.rmtree(folder)


# -- whose file it is


def settings(**changes):
    return plain_settings(**changes)


def read(file):
    return [parsed(line) for line in file.read_text().splitlines()]


def test_a_process_logs_what_anybody_logs_and_flushes_at_its_end(tmp_path):
    paths, root = new_home(tmp_path / "home"), logging.getLogger()
    before = (root.level, list(root.handlers))
    with process_log(paths, settings(), SimulatedClock(NOW), "run") as log:
        for number in range(500):
            logging.getLogger("ccxt.base").info("request %d", number)
        logging.getLogger("ccxt.base").debug("too much")
        logging.getLogger("aiosqlite").debug("too much")
    assert (root.level, list(root.handlers)) == before
    assert log.file == paths.logs / "run.jsonl"
    told = read(log.file)
    assert [line["msg"] for line in told] == [
        "run begins", *(f"request {number}" for number in range(500)), "run ends"
    ]  # fmt: skip
    assert {line["process"] for line in told} == {"run"}
    assert told[0]["event"] == "begin"


def test_two_processes_of_one_name_have_two_files_and_a_third_goes_on_in_the_first(tmp_path):
    paths, clock = new_home(tmp_path / "home"), SimulatedClock(NOW)
    with ExitStack() as stack:
        first = stack.enter_context(process_log(paths, settings(), clock, "worker"))
        second = stack.enter_context(process_log(paths, settings(), clock, "worker"))
        assert (first.file.name, second.file.name) == ("worker.jsonl", "worker-2.jsonl")
    with process_log(paths, settings(), clock, "worker") as third:
        assert third.file == first.file
    assert [line["msg"] for line in read(first.file)].count("worker begins") == 3


def test_what_ended_a_process_is_its_last_line(tmp_path):
    paths, clock = new_home(tmp_path / "home"), SimulatedClock(NOW)
    for error, level, words in (
        (StoreError("the disk is full", remedy="Free space."), "error", "cli ends: the disk is full"),
        (ValueError("what"), "error", "cli ends unexpectedly"),
        (KeyboardInterrupt(), "warning", "cli ends: KeyboardInterrupt"),
        (asyncio.CancelledError(), "warning", "cli ends: CancelledError"),
    ):
        with pytest.raises(type(error)), process_log(paths, settings(), clock, "cli") as log:
            raise error
        last = read(log.file)[-1]
        assert (last["level"], last["msg"]) == (level, words)
    assert "ValueError: what" in "".join(line.get("exc", "") for line in read(log.file))
    assert "Free space." in {line.get("remedy") for line in read(log.file)}


def test_the_level_is_the_settings_and_metrics_are_written_whatever_it_is(tmp_path):
    paths, clock = new_home(tmp_path / "home"), SimulatedClock(NOW)
    from tradingai.engine.core.logs.emf import Directive, Metric

    extra = {"fields": {"mode": "dry-run", "x": 1}, "metrics": (Directive((("mode",),), (Metric("x"),)),)}
    for emf, expected in ((True, {"metric", "loud"}), (False, {"loud"})):
        chosen = settings(log_level="error", cloudwatch_emf=emf)
        with process_log(paths, chosen, clock, "console" if emf else "run") as log:
            logging.getLogger("tradingai.scans").info("metric", extra=extra)
            logging.getLogger("tradingai.scans").info("quiet")
            logging.getLogger("x").error("loud")
            logging.getLogger("x").warning("quiet")
        told = read(log.file)
        assert {line["msg"] for line in told} == expected
        assert any("_aws" in line for line in told) is emf


def test_old_files_of_dead_processes_are_pruned_and_those_of_living_ones_stay(tmp_path):
    paths, clock = new_home(tmp_path / "home"), SimulatedClock(NOW)
    for age, name in enumerate(
        ["worker-2.jsonl", "worker-3.jsonl", "worker-4.jsonl", "worker-3.jsonl.1", "worker-5.jsonl",
         "worker.jsonl.1", "worker.jsonl.2", "worker.jsonl.7", "run.jsonl.9", "worker-x.jsonl",
         "alerts.jsonl"]
    ):  # fmt: skip
        file = paths.logs / name
        file.write_text("{}\n")
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    with FileLock(paths.log_lock("worker-5"), command="alive", clock=clock):
        count = prune(paths, clock, "worker", own=paths.logs / "worker.jsonl", kept=2)
    left = {file.name for file in paths.logs.iterdir()}
    assert left == {
        "worker-2.jsonl", "worker-3.jsonl", "worker-5.jsonl", "worker.jsonl.1", "worker.jsonl.2",
        "run.jsonl.9", "worker-x.jsonl", "alerts.jsonl", "jobs",
    }  # fmt: skip
    assert count == 3


def test_a_home_whose_locks_cannot_be_written_has_no_log_and_says_so(tmp_path):
    paths, clock = new_home(tmp_path / "home"), SimulatedClock(NOW)
    paths.locks.rmdir()
    paths.locks.write_text("in the way")
    with process_log(paths, settings(), clock, "run") as log:
        logging.getLogger("x").error("lost")
    (told,) = log.losses.news()
    assert told.reason.startswith("no lock: ")
    assert not log.file.exists()


def test_a_disk_that_hangs_delays_nobody_and_what_waits_beyond_the_queue_is_lost(tmp_path, monkeypatch):
    paths, clock, goes_on = new_home(tmp_path / "home"), SimulatedClock(NOW), threading.Event()
    monkeypatch.setattr(module, "MOST_WAITING", 50)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    write = LineFile.write

    def hangs(lines, line):
        goes_on.wait()
        write(lines, line)

    monkeypatch.setattr(LineFile, "write", hangs)
    with process_log(paths, settings(), clock, "run") as log:
        for number in range(200):
            logging.getLogger("x").info("line %d", number)
        # 201 lines with "run begins"; 50 wait, and one more is in the hand of the thread once it runs.
        assert 150 <= log.losses.lost <= 151
        assert "50 lines wait for the disk" in log.losses.news()[0].reason
        (thread,) = [one for one in threading.enumerate() if "_monitor" in one.name]
    goes_on.set()
    thread.join(5)
    assert not thread.is_alive()
    assert log.file.read_text().count("line ") >= 48


def test_old_job_logs_go_and_a_disk_that_takes_no_change_keeps_them(small_disk):
    paths, clock = new_home(small_disk / "home"), SimulatedClock(NOW)
    for name, days in (("old.log", 40), ("older.log", 50), ("new.log", 1)):
        (paths.job_logs / name).write_text("x")
        at = NOW.timestamp() - days * 86_400
        os.utime(paths.job_logs / name, (at, at))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert prune_logs(paths, clock, days=30) == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert prune_logs(paths, clock, days=30) == 2
    assert [file.name for file in paths.job_logs.iterdir()] == ["new.log"]
