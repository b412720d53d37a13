"""The product's worker with a meter: what one job cost, and which of the product's functions it cost.

``open_engine(…, worker_module="growth_worker")`` starts it for every job. Nothing of the product is changed:
after every 10 ms of CPU time the main thread is interrupted, and what it used since the last interruption
goes to the step of growth_steps.py whose function is running; other threads of Python are looked at less
often, by clocks of their own. What the interruptions cost themselves is left out. The job's account is
written to ``$GROWTH_OUT/<pid>.json``.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.worker import KINDS, main

from growth_steps import BESIDE, LIBRARY_THREADS, REST, START, StepFinder, step_names

PERIOD_S: Final = 0.01
OTHERS_EVERY: Final = 4
"""Interruptions from one look at the other threads to the next."""
MEMORY_EVERY: Final = 10
"""Interruptions from one look at the memory to the next."""
HOTTEST: Final = 12
_MB: Final = 2.0**20


class Sampler:
    """CPU seconds by step, and by the product's function, from now on."""

    def __init__(self, kind: str) -> None:
        self._finder = StepFinder(step_names(kind))
        self._known: dict[Any, tuple[str | None, str | None]] = {}
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.hot_s: dict[str, float] = defaultdict(float)
        self.own_s = 0.0
        """CPU seconds of the interruptions themselves."""
        self.own_memory_mb = 0.0
        """The most memory that is no file's, MiB."""
        self._ticks = 0
        self._others: dict[int, float] = {}
        self._begun = time.process_time()
        self._main = time.thread_time()

    def start(self) -> None:
        """Interrupt the main thread from now on; the caller is the main thread."""
        signal.signal(signal.SIGPROF, self._tick)
        signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003 - it takes no keyword
        signal.setitimer(signal.ITIMER_PROF, PERIOD_S, PERIOD_S)

    def stop(self) -> None:
        """The last sample."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        self._ticks = -1
        self._tick(0, sys._getframe(1))  # noqa: SLF001 - the frame of the caller, as the signal would give it
        rest = time.process_time() - self._begun - self.own_s - sum(self.cpu_s.values())
        self.cpu_s[LIBRARY_THREADS] += max(0.0, rest)

    def _tick(self, _number: int, frame: FrameType | None) -> None:
        began = time.thread_time()
        self._account(frame, began - self._main)
        self._ticks += 1
        if self._ticks % OTHERS_EVERY == 0 and threading.active_count() > 1:
            self._other_threads()
        if self._ticks % MEMORY_EVERY == 0:
            self.own_memory_mb = max(self.own_memory_mb, _anonymous_mb())
        self._main = time.thread_time()
        self.own_s += self._main - began

    def _other_threads(self) -> None:
        frames = sys._current_frames()  # noqa: SLF001 - the only way to see where another thread is
        for thread in threading.enumerate():
            if thread is threading.main_thread() or thread.native_id is None:
                continue
            used = _thread_cpu_s(thread.native_id)
            self._account(frames.get(thread.ident or 0), used - self._others.get(thread.native_id, 0.0))
            self._others[thread.native_id] = used

    def _account(self, frame: FrameType | None, seconds: float) -> None:
        """Add the seconds to the innermost step and to the innermost function of the product."""
        step: str | None = None
        function: str | None = None
        while frame is not None and (step is None or function is None):
            code = frame.f_code
            known = self._known.get(code)
            if known is None:
                module = str(frame.f_globals.get("__name__", ""))
                ours = f"{module}:{code.co_qualname}" if module.startswith("tradingai.") else None
                known = self._known[code] = (self._finder.step(module, code.co_qualname), ours)
            step, function = step or known[0], function or known[1]
            frame = frame.f_back
        self.cpu_s[step or REST] += seconds
        self.hot_s[function or "outside the product"] += seconds


def _thread_cpu_s(native_id: int) -> float:
    """CPU seconds of a thread; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def _anonymous_mb() -> float:
    """Memory of this process that is no file's, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def _since_start_s() -> float:
    """Seconds since this process was started."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _disks_mb() -> tuple[float, float]:
    """MiB that went from and to the disks for this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    found = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
    return found["read_bytes"] / _MB, found["write_bytes"] / _MB


def account(sampler: Sampler, before_cpu_s: float) -> dict[str, Any]:
    """What this process and those it started cost: seconds, memory, disks, and CPU by step.

    Waiting and sleeping are those of the main thread; what it started are backtests.
    """
    on_cpu, waited = (
        int(value) / 1e9 for value in Path(f"/proc/self/task/{os.getpid()}/schedstat").read_text().split()[:2]
    )
    wall, own = _since_start_s(), time.process_time() - sampler.own_s
    read_mb, written_mb = _disks_mb()
    hottest = sorted(sampler.hot_s.items(), key=lambda item: -item[1])[:HOTTEST]
    torch, beside = sys.modules.get("torch"), resource.getrusage(resource.RUSAGE_CHILDREN)
    beside_s = beside.ru_utime + beside.ru_stime
    steps = {START: before_cpu_s, **sampler.cpu_s}
    if beside_s > 0:
        steps[BESIDE] = steps.get(BESIDE, 0.0) + beside_s
    return {
        "pid": os.getpid(),
        "process_s": wall,
        "cpu_s": own + beside_s,
        "waited_s": waited,
        "slept_s": max(0.0, wall - on_cpu - waited),
        "sampler_s": sampler.own_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "own_mb": max(sampler.own_memory_mb, _anonymous_mb()),
        "beside_s": beside_s,
        "beside_mb": beside.ru_maxrss / 1024,
        "read_mb": read_mb,
        "written_mb": written_mb,
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads() if torch is not None else None,
        "steps_cpu_s": steps,
        "hot_cpu_s": dict(hottest),
    }


Job = Callable[[HomePaths, Settings, Mapping[str, Any], Reporter], dict[str, Any]]


def measured(kind: str, job: Job) -> Job:
    """The same job with an account of it."""

    def run(
        paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
    ) -> dict[str, Any]:
        before = time.process_time()
        sampler = Sampler(kind)
        sampler.start()
        try:
            return job(paths, settings, params, reporter)
        finally:
            sampler.stop()
            target = Path(os.environ["GROWTH_OUT"]) / f"{os.getpid()}.json"
            target.write_text(json.dumps({"kind": kind, **account(sampler, before)}))

    return run


if __name__ == "__main__":
    sys.exit(main({kind: measured(kind, job) for kind, job in KINDS.items()}))
