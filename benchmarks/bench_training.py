"""Training every model of the workload side by side, as ``tradingai train all`` does: time and memory.

    python benchmarks/bench_training.py [--home DIR] [--days 120 | --full]

Candles and features are made first where they are not there. Memory is what the command's process and its
workers hold together, sampled four times a second: shared pages count once (Pss), memory maps of features
that happen to be cached do not weigh on anybody else.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.features.build import build_features
from tradingai.engine.providers.generate import generate_dataset

ROOT: Final = Path(__file__).resolve().parents[1]
END: Final = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
FULL_START: Final = datetime(2020, 1, 1, tzinfo=UTC)
SAMPLE_S: Final = 0.25


@dataclass(frozen=True)
class Trained:
    """What it took."""

    wall_s: float
    cpu_s: float
    """Of all processes."""
    peak_mb: float
    """Of all processes at once."""
    models: list[dict[str, Any]]
    """As ``train all --json`` says, with each job's own seconds."""


def prepare(home: Path, start: datetime) -> None:
    """Candles and features of all coins; what is there is left."""
    paths, silent = HomePaths(home), SilentReporter()
    for symbol in PIPELINE_SYMBOLS:
        generate_dataset(paths, symbol, "cycles", 1, start, END, None, silent)
    for symbol in PIPELINE_SYMBOLS:
        build_features(paths, symbol, PIPELINE_SYMBOLS, silent)


def train_all(home: Path) -> Trained:
    """The command an operator types, started over whatever is there."""
    command = [sys.executable, "-m", "tradingai", "--home", str(home), "train", "all", "--fresh", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    began, before = time.perf_counter(), _children_cpu()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    peak = [0.0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], sum(_held_mb(pid) for pid in _tree(process.pid)))
            time.sleep(SAMPLE_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"train all ended with {process.returncode}: {out.decode()}")
    wall = time.perf_counter() - began
    return Trained(wall, _children_cpu() - before, peak[0], json.loads(out))


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(root: int) -> list[int]:
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


def _held_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--home", type=Path)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--days", type=int, default=120)
    size.add_argument("--full", action="store_true")
    options = parser.parse_args()
    start = FULL_START if options.full else END - timedelta(days=options.days) + timedelta(minutes=1)
    with tempfile.TemporaryDirectory(prefix="tradingai-bench-") as folder:
        home = options.home or Path(folder)
        prepare(home, start)
        trained = train_all(home)
    for item in trained.models:
        share = f"{item['validation_accuracy']:.1%} on validation"
        print(f"{item['model']:<14}{item['job_seconds']:>8.1f} s  {share}")
    cost = f"{trained.cpu_s:.1f} s CPU, {trained.peak_mb:,.0f} MB at the peak"
    print(f"{'all':<14}{trained.wall_s:>8.1f} s  {cost}")


if __name__ == "__main__":
    main()
