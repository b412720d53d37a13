"""Three synthetic coins generated, cleaned and stored by two worker processes, against plain random walks.

    python benchmarks/bench_candles.py [--rows 3081668] [--market cycles]

Requirement (product.md section 15): 3 x 3,081,668 candles in at most 15 s. The baseline is the least that
could be done: one random walk a coin, in one piece, as one Parquet file, without cleaning, oracle or hash.
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
import polars as pl
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS, parse_market
from tradingai.engine.providers.generate import generate_dataset

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
WORKERS = 2


def plain(folder: Path, symbol: str, rows: int) -> None:
    """The baseline: closes of a random walk as all four prices."""
    close = np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 8e-4, rows)))
    ts = np.arange(rows, dtype=np.int64) * 60_000_000
    names = ("open", "high", "low", "close", "volume")
    frame = pl.DataFrame({"ts": pl.Series(ts), **{name: pl.Series(close) for name in names}})
    frame.write_parquet(folder / f"{symbol}.parquet", compression="zstd", compression_level=1)


def worker(folder: Path, symbol: str, rows: int, market: str) -> None:
    began = time.perf_counter()
    if market == "plain":
        plain(folder, symbol, rows)
    else:
        start = END - timedelta(minutes=rows - 1)
        preset = parse_market(market)
        generate_dataset(HomePaths(folder), symbol, preset, 1, start, END, None, SilentReporter())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    document = {
        "symbol": symbol,
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(document))


def run_all(folder: Path, rows: int, market: str) -> tuple[float, list[dict[str, float]]]:
    """Wall seconds over all coins, at most WORKERS at once, and what each worker said."""
    waiting, running, said = list(PIPELINE_SYMBOLS), [], []
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    began = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < WORKERS:
            command = [sys.executable, __file__, "--worker", str(folder), waiting.pop(0), str(rows), market]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        for process in [process for process in running if process.poll() is not None]:
            running.remove(process)
            if process.returncode:
                raise SystemExit(f"worker failed with {process.returncode}")
            said.append(json.loads(process.communicate()[0]))
        time.sleep(0.01)
    return time.perf_counter() - began, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_081_668)
    parser.add_argument("--market", default="cycles")
    parser.add_argument("--worker", nargs=4, metavar=("FOLDER", "SYMBOL", "ROWS", "MARKET"))
    options = parser.parse_args()
    if options.worker:
        folder, symbol, rows, market = options.worker
        worker(Path(folder), symbol, int(rows), market)
        return
    print(f"3 coins x {options.rows:,} candles, {WORKERS} workers; at full length at most 15 s")
    print(f"{'what':<28}{'wall s':>8}{'cpu s':>8}{'rows/s':>14}{'peak MB':>9}")
    for name, market in ((f"market {options.market}", options.market), ("plain random walks", "plain")):
        with tempfile.TemporaryDirectory() as folder:
            wall, said = run_all(Path(folder), options.rows, market)
        cpu, peak = sum(item["cpu"] for item in said), max(item["peak_mb"] for item in said)
        rate = len(PIPELINE_SYMBOLS) * options.rows / wall
        print(f"{name:<28}{wall:>8.1f}{cpu:>8.1f}{rate:>14,.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
