"""Rows of what an operator waits for: both workloads, the commands typed all day, the console."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Final

import bench_startup
from bench_rows import Bench, Row
from bench_workload import full_rows, quick_rows, range_of, run_pipeline
from console import first_paint, key_to_paint, opened, quantile, train_two

STARTS: Final = 15
PAINTS: Final = 9
KEYS: Final = 300
QUICK_HOME: Final = "quick"


def full(bench: Bench) -> list[Row]:
    """Everything from candles to promoted models and a replay, on a home of its own."""
    with tempfile.TemporaryDirectory(prefix="full-", dir=bench.home) as folder:
        return full_rows(run_pipeline(Path(folder) / "home", *range_of(bench.rows)), bench.rows)


def quick(bench: Bench) -> list[Row]:
    """The quick workload on a home of its own, which `startup` and `console` then look at."""
    home = bench.home / QUICK_HOME
    if home.exists():
        shutil.rmtree(home)
    return quick_rows(run_pipeline(home, "--workload", "quick"))


def startup(bench: Bench) -> list[Row]:
    """The two commands that are typed all day."""
    found = {
        name: [1e3 * seconds for seconds in values]
        for name, values in bench_startup.measure(_quick_home(bench), STARTS).items()
    }
    empty = statistics.median(found["empty"])
    rows = []
    for name, what, limit_ms in (("help", "--help", 300.0), ("status", "status", 500.0)):
        values = found[name]
        middle = statistics.median(values)
        rows.append(
            Row(
                f"tradingai {what}, median of {len(values)}", middle, "ms", limit_ms, "≤",
                "help of an empty Typer application", empty, empty / middle, sized=False,
                note=f"slowest {max(values):.0f} ms", samples=values,
            )
        )  # fmt: skip
    return rows


def console(bench: Bench) -> list[Row]:
    """The console's first paint, and key to paint while two trainings run."""
    with tempfile.TemporaryDirectory(prefix="console-", dir=bench.home) as folder:
        home = Path(folder) / "home"
        shutil.copytree(_quick_home(bench), home, symlinks=True)
        ours, empty = ([1e3 * seconds for seconds in values] for values in first_paint(home, PAINTS))
        terminal = opened(home)
        first, later = key_to_paint(terminal, KEYS)
        train_two(terminal)
        busy = [1e3 * seconds for part in key_to_paint(terminal, KEYS) for seconds in part]
        terminal.kill()
    paint, nothing = statistics.median(ours), statistics.median(empty)
    slow, idle = quantile(busy, 0.99), 1e3 * quantile(later, 0.99)
    visit = 1e3 * max(first)
    seen = f"p50 {quantile(busy, 0.5):.0f}, slowest {max(busy):.0f}, first visits up to {visit:.0f} ms"
    return [
        Row(
            f"console, first paint, median of {PAINTS}", paint, "ms", 1000.0, "≤", "an empty Textual app",
            nothing, nothing / paint, sized=False, note=f"slowest {max(ours):.0f} ms", samples=ours,
        ),
        Row(
            f"key to paint while two models train, p99 of {KEYS}", slow, "ms", 100.0, "≤",
            "the same keys without training", idle, idle / slow, sized=False, note=seen, samples=busy,
        ),
    ]  # fmt: skip


def _quick_home(bench: Bench) -> Path:
    """The home that the quick workload leaves, made where `quick` has not run before."""
    home = bench.home / QUICK_HOME
    if not home.exists():
        quick(bench)
    return home
