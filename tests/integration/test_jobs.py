"""Jobs in real child processes: results, failures, cancelling, crashes, locks."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import (
    GateRefusedError,
    InterruptedRunError,
    JobError,
    LockHeldError,
    MissingError,
    StoreError,
    TradingAIError,
    UsageError,
)
from tradingai.engine.core.events import JobFinished
from tradingai.engine.core.locks import FileLock, lock_is_free
from tradingai.engine.jobs.process import _message, worker_environment
from tradingai.engine.jobs.spec import JobSpec, lock_name, new_job

from tests.fakes.homes import open_runner

CLOCK = RealClock()


def job(kind, target="BTC-USD", threads=1, **params):
    return new_job(kind, target, params, clock=CLOCK, threads=threads)


async def until(condition, seconds=60.0):
    """Wait for something that another process does; the limit is only there so that a defect ends."""
    deadline = CLOCK.monotonic() + seconds
    while not (found := condition()):
        assert CLOCK.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)
    return found


def starts(root: Path) -> list[int]:
    path = root / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def types(home):
    return [event.type for event in await home.store.events.after(0)]


# -- the ordinary course


async def test_a_job_runs_in_a_process_of_its_own_and_the_store_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", "1:secret")
    async with open_runner(tmp_path, confidence_threshold=0.8, proxy_url="http://u:pw@proxy") as home:
        updates = []
        spec = job("echo", threads=2, epochs=3)
        result = await home.runner.run(spec, updates.append)
        assert result.result == {
            "params": {"epochs": 3, "threads": 2},
            "home": str(tmp_path),
            "threshold": 0.8,
            "token": "",
            "nice": 10,
            "session": True,
            "omp": ["2", "PASSIVE"],
        }
        assert (result.job_id, result.kind, result.target) == (spec.id, "echo", "BTC-USD")
        assert (result.resumes, result.skipped) == (0, False)
        row = await home.store.jobs.get(spec.id)
        assert (row.state, row.threads, row.params, row.pid) == ("finished", 2, {"epochs": 3}, None)
        assert row.result == result.result
        assert row.progress is not None
        assert (row.progress.done, row.progress.total, row.progress.unit) == (2, 2, "steps")
        assert await types(home) == ["JobStarted", "StateRepaired", "JobFinished"]
        assert all(event.job_id == spec.id for event in await home.store.events.after(0))
        assert [type(u.event).__name__ for u in updates if u.event] == await types(home)
        seen = [u.progress for u in updates if u.progress]
        assert (seen[0].rate, seen[0].eta_s, seen[0].detail) == (3.0, 0.5, {"epoch": 1})
        log = tmp_path / row.log
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        text = log.read_text()
        for stray in ("a stray print", "on standard error", "from a grandchild", '"forged"'):
            assert stray in text
        assert "secret" not in text
        assert "pw" not in text


async def test_work_that_is_done_already_says_so(tmp_path):
    async with open_runner(tmp_path) as home:
        result = await home.runner.run(job("skip"))
        assert result.skipped
        events = await home.store.events.after(0)
        assert [event.type for event in events] == ["JobStarted", "JobSkipped"]
        assert events[1].payload["reason"] == "inputs unchanged"


async def test_many_events_arrive_whole_and_in_order_and_progress_is_throttled(tmp_path):
    async with open_runner(tmp_path) as home:
        updates = []
        result = await home.runner.run(job("chatty"), updates.append)
        events = [e for e in await home.store.events.after(0) if e.type == "StateRepaired"]
        assert [event.payload["what"] for event in events] == [str(n) for n in range(300)]
        assert len(events[150].payload["detail"]) == 200_000
        row = await home.store.jobs.get(result.job_id)
        assert row.progress is not None
        assert row.progress.done == 20_000
        reports = [update for update in updates if update.progress]
        assert reports[-1].progress.done == 20_000
        assert len(reports) <= 2 + 5 * result.seconds


async def test_no_descriptor_is_left_behind(tmp_path):
    async with open_runner(tmp_path) as home:
        await home.runner.run(job("skip"))
        before = descriptors()
        for _ in range(3):
            await home.runner.run(job("skip"))
        assert descriptors() == before


# -- failures


async def test_an_error_of_the_tree_crosses_the_pipe_and_is_not_retried(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("refuses")
        with pytest.raises(GateRefusedError) as caught:
            await home.runner.run(spec)
        assert caught.value.exit_status == 3
        assert caught.value.message == "accuracy is 61.0 %, 68.0 % are needed"
        assert caught.value.remedy == "Train on more data."
        row = await home.store.jobs.get(spec.id)
        assert row.state == "failed"
        assert row.error == {
            "code": "gate_refused",
            "message": "accuracy is 61.0 %, 68.0 % are needed",
            "remedy": "Train on more data.",
        }
        assert await types(home) == ["JobStarted", "JobFailed"]


async def test_an_unforeseen_exception_names_the_log_and_stays_in_it(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("breaks")
        with pytest.raises(JobError) as caught:
            await home.runner.run(spec)
        log = home.paths.job_logs / spec.log_name
        assert caught.value.message == "breaks BTC-USD failed unexpectedly (ZeroDivisionError)"
        assert str(log) in caught.value.remedy
        assert "the secret detail" not in str(await home.store.events.after(0))
        assert "ZeroDivisionError: the secret detail" in log.read_text()
        assert await types(home) == ["JobStarted", "JobFailed"]


async def test_an_unknown_kind_is_refused(tmp_path):
    async with open_runner(tmp_path) as home:
        with pytest.raises(UsageError, match="unknown kind of job 'brew'"):
            await home.runner.run(job("brew"))


async def test_a_log_that_cannot_be_written_fails_the_job(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("echo")
        (home.paths.job_logs / spec.log_name).mkdir()
        with pytest.raises(TradingAIError, match="cannot write"):
            await home.runner.run(spec)
        assert (await home.store.jobs.get(spec.id)).state == "failed"


async def test_a_caller_that_fails_leaves_no_worker_behind(tmp_path):
    def fail(update):
        if update.progress:
            raise RuntimeError("a defect of the screen")

    async with open_runner(tmp_path) as home:
        spec = job("patient")
        with pytest.raises(RuntimeError, match="defect"):
            await home.runner.run(spec, fail)
        assert not is_alive(starts(tmp_path)[0])
        assert (await home.store.jobs.get(spec.id)).state == "interrupted"


async def test_a_caller_that_fails_at_the_end_does_not_undo_it(tmp_path):
    def fail(update):
        if update.event and type(update.event) is JobFinished:
            raise RuntimeError("a defect of the screen")

    async with open_runner(tmp_path) as home:
        spec = job("echo")
        with pytest.raises(RuntimeError, match="defect"):
            await home.runner.run(spec, fail)
        assert (await home.store.jobs.get(spec.id)).state == "finished"
        assert (await types(home))[-1] == "JobFinished"


async def test_a_store_that_fails_stops_the_worker(tmp_path, monkeypatch):
    async with open_runner(tmp_path) as home:

        async def refuse(*_):
            raise StoreError("the database is locked")

        monkeypatch.setattr(home.store.jobs, "record", refuse)
        with pytest.raises(StoreError):
            await home.runner.run(job("patient"))
        assert not is_alive(starts(tmp_path)[0])


def test_what_is_no_message_is_passed_over():
    assert _message(b"Warning: an interpreter that talks") is None
    assert _message(b"17") is None
    assert _message(b'{"result": {}}') == {"result": {}}


# -- workers that die


async def test_a_worker_that_dies_is_started_again(tmp_path):
    async with open_runner(tmp_path) as home:
        updates = []
        result = await home.runner.run(job("dies", times=1), updates.append)
        assert result.resumes == 1
        assert len(set(starts(tmp_path))) == 2
        assert await types(home) == ["JobStarted", "WorkerDied", "JobStarted", "JobFinished"]
        events = await home.store.events.after(0)
        assert (events[1].level, events[1].payload["how"]) == ("warning", "was killed by SIGKILL")
        assert events[2].payload["resume"] == 1
        assert [type(u.event).__name__ for u in updates] == await types(home)
        row = await home.store.jobs.get(result.job_id)
        assert (row.state, row.resumes) == ("finished", 1)
        assert (tmp_path / row.log).read_text().count("about to die") == 1


async def test_but_at_most_twice(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("dies", times=9)
        with pytest.raises(JobError) as caught:
            await home.runner.run(spec)
        assert "died 3 times, at last it was killed by SIGKILL" in caught.value.message
        assert str(home.paths.job_logs / spec.log_name) in caught.value.remedy
        assert "memory" in caught.value.remedy
        assert len(starts(tmp_path)) == 3
        row = await home.store.jobs.get(spec.id)
        assert (row.state, row.resumes) == ("failed", 2)
        with pytest.raises(JobError, match="resumed 2 times already"):
            await home.runner.resume(spec.id, automatic=True)
        (tmp_path / "starts").write_text("1 " * 9)
        assert (await home.runner.resume(spec.id)).resumes == 0


async def test_a_worker_killed_in_the_middle_goes_on(tmp_path):
    async with open_runner(tmp_path) as home:
        running = asyncio.create_task(home.runner.run(job("patient")))
        first = (await until(lambda: starts(tmp_path)))[0]
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(starts(tmp_path)) == 2)
        (tmp_path / "finish").touch()
        assert (await running).resumes == 1


# -- stopping


async def test_a_cancelled_job_stops_at_a_safe_point_and_can_go_on(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("patient")
        running = asyncio.create_task(home.runner.run(spec))
        await until(lambda: starts(tmp_path))
        home.runner.cancel(spec.id, "cancelled by alice")
        with pytest.raises(InterruptedRunError) as caught:
            await running
        assert caught.value.exit_status == 130
        assert caught.value.message == "patient BTC-USD: stopped: cancelled by alice"
        row = await home.store.jobs.get(spec.id)
        assert (row.state, row.error) == ("cancelled", None)
        assert await types(home) == ["JobStarted", "JobInterrupted"]
        assert lock_is_free(home.paths.locks / spec.lock_name)

        (tmp_path / "finish").touch()
        result = await home.runner.resume(spec.id)
        assert result.job_id == spec.id
        assert (await home.store.jobs.get(spec.id)).state == "finished"
        with pytest.raises(UsageError, match="is finished"):
            await home.runner.resume(spec.id)


async def test_a_job_that_still_waits_is_cancelled_at_once(tmp_path):
    async with open_runner(tmp_path, job_workers=1) as home:
        first, second = job("patient"), job("patient", "ETH-USD")
        tasks = [asyncio.create_task(home.runner.run(spec)) for spec in (first, second)]
        await until(lambda: starts(tmp_path))
        assert (await home.store.jobs.get(second.id)).state == "queued"
        home.runner.cancel(second.id, "not needed")
        with pytest.raises(InterruptedRunError):
            await tasks[1]
        assert (await home.store.jobs.get(second.id)).state == "cancelled"
        (tmp_path / "finish").touch()
        await tasks[0]
        assert len(starts(tmp_path)) == 1


async def test_a_worker_that_meets_no_safe_point_is_killed_and_not_resumed(tmp_path):
    async with open_runner(tmp_path, stop_grace_s=0.2) as home:
        spec = job("stubborn")
        seen = asyncio.Event()
        running = asyncio.create_task(home.runner.run(spec, lambda _: seen.set()))
        await seen.wait()
        home.runner.cancel(spec.id, "enough")
        with pytest.raises(InterruptedRunError, match="stopped: enough"):
            await running
        row = await home.store.jobs.get(spec.id)
        assert (row.state, row.resumes) == ("cancelled", 0)


async def test_a_cancelled_caller_stops_the_worker(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("patient")
        running = asyncio.create_task(home.runner.run(spec))
        pid = (await until(lambda: starts(tmp_path)))[0]
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not is_alive(pid)
        assert (await home.store.jobs.get(spec.id)).state == "interrupted"


async def test_closing_the_runner_stops_its_jobs(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("patient")
        running = asyncio.create_task(home.runner.run(spec))
        await until(lambda: starts(tmp_path))
        assert not lock_is_free(home.paths.runner_lock(home.runner.id))
        await home.runner.close("the terminal closed")
        with pytest.raises(InterruptedRunError, match="the terminal closed"):
            await running
        assert (await home.store.jobs.get(spec.id)).state == "interrupted"
        assert list((home.paths.locks / "runners").iterdir()) == []


async def test_a_signal_to_the_worker_is_a_request_to_stop(tmp_path):
    async with open_runner(tmp_path) as home:
        running = asyncio.create_task(home.runner.run(job("patient")))
        os.kill((await until(lambda: starts(tmp_path)))[0], signal.SIGTERM)
        with pytest.raises(InterruptedRunError, match="SIGTERM"):
            await running


async def test_only_jobs_of_this_process_can_be_cancelled(tmp_path):
    async with open_runner(tmp_path) as home:
        with pytest.raises(MissingError, match="no job x is running in this process"):
            home.runner.cancel("x", "why not")
        with pytest.raises(MissingError, match="there is no job x"):
            await home.runner.resume("x")


# -- one at a time on one target


async def test_a_second_job_on_the_same_target_is_refused_and_told_by_whom(tmp_path):
    async with open_runner(tmp_path) as home, open_runner(tmp_path) as other:
        first = asyncio.create_task(home.runner.run(job("patient")))
        pid = (await until(lambda: starts(tmp_path)))[0]
        spec = job("patient")
        with pytest.raises(LockHeldError) as caught:
            await other.runner.run(spec)
        assert f"patient BTC-USD is locked by process {pid} (patient BTC-USD) since " in caught.value.message
        assert "cancel it" in caught.value.remedy
        assert (await other.store.jobs.get(spec.id)).state == "failed"
        second = asyncio.create_task(other.runner.run(job("patient", "ETH-USD")))
        await until(lambda: len(starts(tmp_path)) == 2)
        (tmp_path / "finish").touch()
        await asyncio.gather(first, second)


async def test_a_target_that_no_worker_holds_is_refused_as_well(tmp_path):
    async with open_runner(tmp_path) as home:
        spec = job("skip")
        lock = FileLock(home.paths.locks / spec.lock_name, command="an operator", clock=CLOCK)
        lock.acquire()
        with pytest.raises(LockHeldError, match="an operator"):
            await home.runner.run(spec)
        lock.release()


def test_kinds_that_write_the_same_files_share_a_lock():
    assert lock_name("generate", "BTC-USD") == lock_name("import", "BTC-USD") == "candles-BTC-USD"
    assert lock_name("train", "lstm_BTC-USD") == "train-lstm_BTC-USD"


def test_targets_that_are_paths_become_file_names_and_stay_apart():
    names = {
        lock_name("evaluate", text) for text in ("/a/b.pt", "/a_b.pt", "../../a/b.pt", ".", "..", "x" * 300)
    }
    assert len(names) == 6
    for name in names:
        assert "/" not in name
        assert len(name) < 120


async def test_a_job_left_by_an_ended_process_keeps_nobody_out(tmp_path):
    async with open_runner(tmp_path) as home:
        (home.paths.locks / "skip-BTC-USD").write_text(
            '{"pid": 1, "command": "x", "since": "", "runner": ""}'
        )
        await home.runner.run(job("skip"))


# -- several at once


async def test_as_many_run_at_once_as_there_are_workers(tmp_path):
    coins = [f"C{n}-USD" for n in range(4)]
    async with open_runner(tmp_path, job_workers=2) as home:
        specs = [job("patient", coin) for coin in coins]
        running = asyncio.create_task(home.runner.run_all(specs))
        await until(lambda: len(starts(tmp_path)) == 2)
        expected = {"C0-USD": "running", "C1-USD": "running", "C2-USD": "queued", "C3-USD": "queued"}
        deadline = CLOCK.monotonic() + 60.0
        while {row.target: row.state for row in await home.store.jobs.list()} != expected:
            assert CLOCK.monotonic() < deadline, "it never happened"
            await asyncio.sleep(0.02)
        (tmp_path / "finish").touch()
        assert [result.target for result in await running] == coins


async def test_fewer_workers_can_be_asked_for(tmp_path):
    (tmp_path / "finish").touch()
    async with open_runner(tmp_path, job_workers=4) as home:
        await home.runner.run_all([job("patient", f"C{n}-USD") for n in range(3)], workers=1)
        rows = sorted(await home.store.jobs.list(), key=lambda row: row.started_at)
        assert all(before.ended_at <= after.started_at for before, after in pairwise(rows))


async def test_a_failure_does_not_stop_the_others(tmp_path):
    async with open_runner(tmp_path) as home:
        with pytest.raises(GateRefusedError):
            await home.runner.run_all([job("skip"), job("refuses", "ETH-USD"), job("breaks"), job("echo")])
        states = {row.kind: row.state for row in await home.store.jobs.list()}
        assert states == {"skip": "finished", "refuses": "failed", "breaks": "failed", "echo": "finished"}


# -- the job itself


def test_ids_sort_by_age_and_are_unique():
    specs = [job("train") for _ in range(50)]
    assert len({spec.id for spec in specs}) == 50
    assert all(spec.id[:8].isdigit() and "train-BTC-USD" in spec.id for spec in specs)


def test_a_job_needs_a_thread():
    with pytest.raises(UsageError, match="0 threads"):
        JobSpec("x", "train", "BTC-USD", {}, 0)


def test_the_workers_environment_has_fixed_threads_and_no_secrets():
    secrets = {"TELEGRAM_TOKEN": "t", "telegram_token": "t", "PROXY_URL": "p"}
    notify = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    base = {"PATH": "/bin", "OMP_NUM_THREADS": "64", **secrets, **notify}
    environment = worker_environment(base, 3)
    assert environment["PATH"] == "/bin"
    assert {environment[f"{lib}_NUM_THREADS"] for lib in ("OMP", "MKL", "OPENBLAS")} == {"3"}
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert not {"TELEGRAM_TOKEN", "telegram_token", "PROXY_URL", *notify} & set(environment)
