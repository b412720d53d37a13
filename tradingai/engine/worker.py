"""A worker process: ``python -m tradingai.engine.worker`` carries out one job for its parent.

In: one line of JSON on standard input describes the job; the pipe then stays open, a line with ``stop``
asks to stop, and its end means that the parent is gone. Out: one JSON document a line on what was standard
output at the start. From then on descriptors 1 and 2 are the job's log, so that a stray print corrupts
nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import (
    InterruptedRunError,
    JobError,
    LockHeldError,
    TradingAIError,
    UsageError,
)
from tradingai.engine.core.locks import FileLock, lock_is_free, read_owner
from tradingai.engine.core.logs.process_log import process_log
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, settings_from_worker
from tradingai.engine.jobs.context import (
    ORPHAN_GRACE_S,
    ParentChannel,
    StopRequest,
    WorkerReporter,
    watch_parent,
)
from tradingai.engine.jobs.kinds import KINDS as JOB_KINDS
from tradingai.engine.jobs.spec import JobFunction, JobSpec
from tradingai.engine.runtime.kinds import KINDS as RUNTIME_KINDS

KINDS: Final[Mapping[str, JobFunction]] = {**JOB_KINDS, **RUNTIME_KINDS}
NICE: Final = 10
CLOSED: Final = 0o077
"""Umask: what a library writes into the home (yfinance's caches) is closed to other users like all else."""
_ORPHAN_WAIT_S: Final = ORPHAN_GRACE_S + 5
"""How long a target's lock may still be held by a worker whose parent died."""
_RACE_WAIT_S: Final = 0.5
"""How long it may be held by somebody who only looks whether it is free."""
_log = logging.getLogger("tradingai.worker")


@dataclass(frozen=True, slots=True)
class _Description:
    """What the parent wrote on standard input."""

    spec: JobSpec
    paths: HomePaths
    settings: Settings
    runner: str

    @classmethod
    def parse(cls, line: bytes) -> _Description:
        document: dict[str, Any] = json.loads(line)
        return cls(
            JobSpec(**document["spec"]),
            HomePaths(Path(document["home"])),
            settings_from_worker(document["settings"]),
            document["runner"],
        )


def main(kinds: Mapping[str, JobFunction] = KINDS) -> int:
    """Carry out the job described on standard input; return the process's exit status."""
    channel = ParentChannel(_take_over_output())
    os.nice(NICE)
    os.umask(CLOSED)
    parent = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - read until the process ends
    line = parent.readline()
    if not line:
        return 1
    description = _Description.parse(line)
    stop = StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stop.set(signal.Signals(received).name))
    watch_parent(parent, stop)
    _log_into_the_job_log()
    with process_log(description.paths, description.settings, RealClock(), "worker"):
        channel.send(_answer(description, kinds, channel, stop))
    return 0


def _log_into_the_job_log() -> None:
    """Descriptor 2 is the log of the job, for people; the process's own log has the same as JSON."""
    job_log = logging.StreamHandler()
    job_log.setLevel(logging.INFO)
    job_log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(job_log)
    logging.getLogger().setLevel(logging.INFO)


def _take_over_output() -> int:
    """Keep the pipe to the parent for ourselves and let descriptor 1 be the log, as 2 is already."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return pipe


def _answer(
    description: _Description, kinds: Mapping[str, JobFunction], channel: ParentChannel, stop: StopRequest
) -> dict[str, Any]:
    """The job's last word: a result, an error, or that it was interrupted."""
    spec, clock = description.spec, RealClock()
    try:
        with_lock = _take_target(description, clock)
        try:
            channel.send({"started": {"pid": os.getpid()}})
            _log.info("%s starts as process %d: %s", spec.title, os.getpid(), dict(spec.params))
            result = _run(description, kinds, WorkerReporter(channel, stop, clock))
        finally:
            with_lock.release()
    except InterruptedRunError as error:
        _log.info("%s", error.message)
        return {"interrupted": error.as_json()["error"]}
    except TradingAIError as error:
        _log.error("%s: %s %s", error.code, error.message, error.remedy)
        return error.as_json()
    except Exception as error:  # noqa: BLE001 - the job's boundary: the parent records it
        _log.exception("%s failed unexpectedly", spec.title)
        log = description.paths.job_logs / spec.log_name
        failure = JobError(
            f"{spec.title} failed unexpectedly ({type(error).__name__})",
            remedy=f"The traceback is in {log}. This is a defect: report it with that file.",
        )
        return failure.as_json()
    _log.info("%s ended", spec.title)
    return {"result": result}


def _run(
    description: _Description, kinds: Mapping[str, JobFunction], reporter: WorkerReporter
) -> dict[str, Any]:
    spec = description.spec
    function = kinds.get(spec.kind)
    if function is None:
        raise UsageError(
            f"unknown kind of job {spec.kind!r}", remedy=f"Known are {', '.join(sorted(kinds))}."
        )
    params = {**spec.params, "threads": spec.threads}
    try:
        reporter.safe_point()
        return function(description.paths, description.settings, params, reporter)
    finally:
        reporter.flush()


def _take_target(description: _Description, clock: Clock) -> FileLock:
    """Take the target's lock for the rest of this process.

    A holder whose parent died ends within seconds and is waited for; any other is named.
    """
    spec = description.spec
    lock = FileLock(
        description.paths.locks / spec.lock_name,
        command=spec.title,
        clock=clock,
        runner=description.runner,
        subject=spec.title,
        remedy="Wait until it has finished, or cancel it; two at once would write the same files.",
    )
    try:
        asyncio.run(lock.wait(_RACE_WAIT_S))
    except LockHeldError:
        owner = read_owner(lock.path)
        if owner is None or not owner.runner or not lock_is_free(description.paths.runner_lock(owner.runner)):
            raise
        asyncio.run(lock.wait(_ORPHAN_WAIT_S))
    return lock


if __name__ == "__main__":
    sys.exit(main())
