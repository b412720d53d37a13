"""A command as an operator runs it, with what its processes took: time, processor time, memory.

Memory is what a process and all below it hold together, sampled while they run. Pages that several of them
map count once (Pss), so memory maps of features weigh once however many workers read them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLE_S: Final = 0.25
SAMPLING_SHARE: Final = 0.03
"""At most so much of one core goes into sampling: where it takes long it is done less often."""


@dataclass(frozen=True)
class Held:
    """What all processes together held at a moment."""

    at: datetime
    mb: float


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    """Of all its processes."""
    memory: list[Held]

    def peak_mb(self, since: datetime | None = None, until: datetime | None = None) -> float:
        """The most that was held between two moments (default: ever). Raises SystemExit without a sample."""
        found = [
            held.mb
            for held in self.memory
            if (since is None or held.at >= since) and (until is None or held.at <= until)
        ]
        if not found:
            raise SystemExit(f"no sample of memory between {since} and {until}")
        return max(found)


def plain_environment() -> dict[str, str]:
    """This process's environment with the code of this checkout, and without settings of TradingAI."""
    from tradingai.engine.core.settings import Settings

    settings = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in settings}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run_watched(command: Sequence[str]) -> Ended:
    """Run a command to its end, whatever its status."""
    samples: list[Held] = []
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        before, began = _children_cpu(), time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT, env=plain_environment()
        )
        watcher = threading.Thread(target=_watch, args=(process, samples))
        watcher.start()
        status = process.wait()
        wall = time.perf_counter() - began
        watcher.join()
        used = _children_cpu() - before
        out.seek(0)
        err.seek(0)
        return Ended(status, out.read(), err.read(), wall, used, samples)


def tree(root: int) -> list[int]:
    """A process and all below it."""
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                queue += [int(child) for child in (task / "children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
    return found


def held_mb(pid: int) -> float:
    """The share of memory of one process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _watch(process: subprocess.Popen[bytes], samples: list[Held]) -> None:
    while process.returncode is None:
        began = time.thread_time()
        at = datetime.now(UTC)
        samples.append(Held(at, sum(held_mb(pid) for pid in tree(process.pid))))
        time.sleep(max(SAMPLE_S, (time.thread_time() - began) / SAMPLING_SHARE))


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
