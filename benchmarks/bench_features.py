"""Features of three coins written by two worker processes at once, against the whole range in one piece.

    python benchmarks/bench_features.py [--rows 3081668] [--home DIR]

Requirement (product.md section 15): 9.2 M rows in at most 20 s, at most 4 GB at the peak.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.features import compute
from tradingai.engine.features.build import build_features, peak_memory_mb, read_inputs
from tradingai.engine.features.compute import live_tail
from tradingai.engine.features.registry import feature_set
from tradingai.engine.providers.generate import generate_dataset

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
WORKERS = 2


def worker(home: str, symbol: str, mode: str) -> None:
    """One process: build a coin's features, or compute them in one block that is as long as the range."""
    paths, began = HomePaths(Path(home)), time.perf_counter()
    if mode == "build":
        build_features(paths, symbol, None, SilentReporter(), force=True)
    else:
        features = feature_set(symbol, tuple(set(PIPELINE_SYMBOLS) - {symbol}))
        inputs = read_inputs(paths, features)
        out = np.empty((len(inputs.own), len(features)), dtype=np.float32)
        compute.compute_rows(features, inputs.own, inputs.peers, 0, len(inputs.own), out)
        np.save(paths.features / "one_block.npy", out)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "symbol": symbol,
                "seconds": time.perf_counter() - began,
                "cpu": usage.ru_utime + usage.ru_stime,
                "peak_mb": peak_memory_mb(),
            }
        )
    )


def start(home: Path, symbol: str, mode: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, __file__, "--worker", str(home), symbol, mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def run_all(home: Path, symbols: list[str], mode: str, workers: int) -> tuple[float, list[dict[str, float]]]:
    """Wall seconds from the first process' start to the last one's end, and what each said."""
    waiting, running, said = list(symbols), [], []
    began = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(start(home, waiting.pop(0), mode))
        finished = [process for process in running if process.poll() is not None]
        for process in finished:
            running.remove(process)
            text = process.communicate()[0]
            if process.returncode:
                raise SystemExit(f"worker failed with {process.returncode}")
            said.append(json.loads(text))
        time.sleep(0.01)
    return time.perf_counter() - began, said


def live_milliseconds(home: Path, symbol: str) -> float:
    """Median time of one live row with its peers, from the declared past."""
    features = feature_set(symbol, tuple(set(PIPELINE_SYMBOLS) - {symbol}))
    own, peers = read_inputs(HomePaths(home), features)
    own, peers = own[-4000:], {name: close[-4000:] for name, close in peers.items()}
    times = []
    for _ in range(50):
        began = time.perf_counter()
        live_tail(features, own, peers)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells))


def line(what: str, rows: int, seconds: float, usage: dict[str, float]) -> tuple[str, ...]:
    cpu = f"{usage['cpu']:.1f}" if "cpu" in usage else ""
    peak = f"{usage['peak_mb']:,.0f}" if "peak_mb" in usage else ""
    return what, f"{seconds:.1f}", f"{rows / seconds:,.0f}", cpu, peak


def measure(home: Path, rows: int) -> None:
    symbols = list(PIPELINE_SYMBOLS)
    for symbol in symbols:
        first = END - timedelta(minutes=rows - 1)
        generate_dataset(HomePaths(home), symbol, "cycles", 7, first, END, None, SilentReporter())
    wall, said = run_all(home, symbols, "build", WORKERS)
    naive_wall, naive = run_all(home, symbols[:1], "one block", 1)
    began = time.perf_counter()
    for symbol in symbols:
        build_features(HomePaths(home), symbol, None, SilentReporter())
    again = time.perf_counter() - began
    peak = sum(sorted(item["peak_mb"] for item in said)[-WORKERS:])
    table(
        [
            ("what", "seconds", "rows/s", "CPU s", "peak MB"),
            *(line(f"{item['symbol']}, {rows:,} x 70", rows, item["seconds"], item) for item in said),
            line(f"3 coins, {WORKERS} workers", 3 * rows, wall, {"peak_mb": peak}),
            line("baseline: 1 coin in one block", rows, naive_wall, naive[0]),
            line("3 coins again, unchanged", 3 * rows, again, {}),
        ]
    )
    print(f"one live row: {live_milliseconds(home, symbols[0]):.1f} ms")
    met = wall <= 20.0 and peak <= 4096
    print(f"requirement for 3 x 3,081,668 rows: 20 s and 4,096 MB: {'met' if met else 'NOT MET'}")


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_081_668)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    if options.home:
        measure(options.home, options.rows)
        return
    with tempfile.TemporaryDirectory(prefix="bench-features-") as folder:
        measure(Path(folder), options.rows)


if __name__ == "__main__":
    main()
