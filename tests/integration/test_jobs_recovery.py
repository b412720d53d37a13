"""What is left when the process that runs jobs is killed, and how the next one picks it up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.locks import FileLock, lock_is_free
from tradingai.engine.jobs.context import ORPHAN_GRACE_S
from tradingai.engine.jobs.spec import new_job

from tests.fakes.homes import open_runner

CLOCK = RealClock()
PARENT = """
import asyncio, sys
from pathlib import Path
from tests.fakes.homes import open_runner
from tradingai.engine.core.clock import RealClock
from tradingai.engine.jobs.spec import new_job
async def main():
    async with open_runner(Path(sys.argv[1]), job_workers=1) as home:
        jobs = [new_job(kind, "BTC-USD", clock=RealClock()) for kind in sys.argv[2:]]
        def tell(update):
            if update.progress:
                print("working", flush=True)
        await home.runner.run_all(jobs, tell)
asyncio.run(main())
"""


async def until(condition, seconds=60.0):
    deadline = CLOCK.monotonic() + seconds
    while not (found := condition()):
        assert CLOCK.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def kill_parent_of(root: Path, *kinds: str) -> tuple[int, str]:
    """Start a process that runs jobs, kill it in the middle; return its worker's pid and its runner's id."""
    arguments = (sys.executable, "-c", PARENT, str(root), *kinds)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as parent:  # noqa: ASYNC220 - only a moment
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"working\n"
        async with open_runner(root) as home:
            row = next(row for row in await home.store.jobs.list() if row.state == "running")
            assert row.pid is not None
            assert await home.runner.recover() == [], "its process is alive"
        parent.send_signal(signal.SIGKILL)
    return row.pid, row.runner


async def test_a_worker_whose_parent_is_killed_ends_at_its_next_safe_point(tmp_path):
    pid, _ = await kill_parent_of(tmp_path, "patient")
    await until(lambda: not is_alive(pid), seconds=ORPHAN_GRACE_S)
    (log,) = (tmp_path / "logs" / "jobs").iterdir()
    assert "stopped: the parent process is gone" in log.read_text()


async def test_and_without_a_safe_point_it_ends_within_seconds(tmp_path):
    pid, _ = await kill_parent_of(tmp_path, "stubborn")
    await until(lambda: not is_alive(pid), seconds=ORPHAN_GRACE_S + 10)


async def test_the_next_process_finds_the_jobs_interrupted_and_can_go_on(tmp_path):
    _, runner = await kill_parent_of(tmp_path, "patient", "skip")
    async with open_runner(tmp_path) as home:
        recovered = await home.runner.recover()
        assert {row.kind: row.state for row in recovered} == {"patient": "interrupted", "skip": "interrupted"}
        assert await home.runner.recover() == []
        events = [event for event in await home.store.events.after(0) if event.type == "JobInterrupted"]
        assert len(events) == 2
        assert all((e.level, e.payload["reason"]) == ("warning", "its process died") for e in events)
        assert not home.paths.runner_lock(runner).exists()
        (tmp_path / "finish").touch()
        for row in recovered:
            assert (await home.runner.resume(row.job_id, automatic=True)).resumes == 1


async def test_recovery_waits_for_a_worker_that_is_just_ending(tmp_path):
    pid, _ = await kill_parent_of(tmp_path, "stubborn")
    async with open_runner(tmp_path) as home:
        (row,) = await home.runner.recover()
        assert row.state == "interrupted"
        assert not is_alive(pid)
        assert lock_is_free(home.paths.locks / "stubborn-BTC-USD")


async def test_the_same_job_again_waits_for_a_worker_that_is_just_ending(tmp_path):
    pid, runner = await kill_parent_of(tmp_path, "stubborn")
    async with open_runner(tmp_path, stop_grace_s=0.1) as home:
        await until(lambda: lock_is_free(home.paths.runner_lock(runner)))
        spec = new_job("stubborn", "BTC-USD", clock=CLOCK)
        started = asyncio.Event()
        running = asyncio.create_task(home.runner.run(spec, lambda _: started.set()))
        await started.wait()
        assert not is_alive(pid)
        home.runner.cancel(spec.id, "the test ends")
        await asyncio.gather(running, return_exceptions=True)


async def test_a_dead_job_whose_target_another_one_has_taken_over_is_still_recovered(tmp_path):
    pid, _ = await kill_parent_of(tmp_path, "patient")
    await until(lambda: not is_alive(pid))
    lock = FileLock(tmp_path / "locks" / "patient-BTC-USD", command="patient", clock=CLOCK, runner="another")
    with lock:
        async with open_runner(tmp_path) as home:
            (row,) = await home.runner.recover()
            assert row.state == "interrupted"


async def test_a_killed_parent_leaves_no_half_message(tmp_path):
    await kill_parent_of(tmp_path, "patient")
    async with open_runner(tmp_path) as home:
        events = await home.store.events.after(0)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
