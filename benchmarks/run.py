"""All benchmarks in one table: what was measured, what is required, and a baseline from the same run.

    python benchmarks/run.py [--only candles,features] [--days 120] [--out FILE]

Every benchmark runs in a process of its own, over one home that they share, on the full workload's range
unless ``--days`` says less (the requirements are for the full range: with less the verdict is left out).
Without ``--only`` all run, in the order of BENCHMARKS. To add one: a function that takes a :class:`Bench` and
returns rows, and its name in BENCHMARKS.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

ROOT: Final = Path(__file__).resolve().parents[1]
FULL_ROWS: Final = 3_081_668
END: Final = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
PACKAGES: Final = ("numpy", "polars", "torch", "scipy", "stable-baselines3")


@dataclass(frozen=True)
class Bench:
    """Where and on how much a benchmark runs."""

    home: Path
    rows: int

    @property
    def start(self) -> datetime:
        """Open time of the first candle."""
        return END - timedelta(minutes=self.rows - 1)


@dataclass(frozen=True)
class Row:
    """One line of the table. ``better`` says how many times the measured value beats the baseline."""

    what: str
    measured: float
    unit: str
    required: float | None
    comparison: Literal["≤", "≥"]
    baseline: str
    baseline_value: float
    better: float
    cpu_s: float | None = None
    """What it cost all its processes together, where that was measured; on a busy machine it tells more."""

    def met(self, rows: int) -> bool | None:
        """Whether the requirement is met; None where there is none, and on less than the full range."""
        if self.required is None or rows != FULL_ROWS:
            return None
        return self.measured <= self.required if self.comparison == "≤" else self.measured >= self.required


def candles(bench: Bench) -> list[Row]:
    """Three coins generated, cleaned and stored by two workers."""
    import bench_candles

    wall, said = bench_candles.run_all(bench.home, bench.rows, "cycles")
    cpu = sum(item["cpu"] for item in said)
    with tempfile.TemporaryDirectory() as folder:
        plain, _ = bench_candles.run_all(Path(folder), bench.rows, "plain")
    what = f"generate and store 3 × {bench.rows:,} candles"
    baseline = "plain random walks, one file a coin, no cleaning, oracle or hash"
    return [Row(what, wall, "s", 15.0, "≤", baseline, plain, plain / wall, cpu)]


def features(bench: Bench) -> list[Row]:
    """Three coins' features written by two workers, and the memory of the two largest."""
    import bench_features

    symbols = _candles_of(bench)
    wall, said = bench_features.run_all(bench.home, symbols, "build", bench_features.WORKERS)
    naive, alone = bench_features.run_all(bench.home, symbols[:1], "one block", 1)
    (bench.home / "data" / "features" / "one_block.npy").unlink()
    peak = sum(sorted(item["peak_mb"] for item in said)[-bench_features.WORKERS :])
    block = "in one block, one coin after the other (one measured, times three)"
    rows = 3 * bench.rows
    return [
        Row(
            f"features of {rows:,} rows, written", wall, "s", 20.0, "≤", block, 3 * naive, 3 * naive / wall,
            sum(item["cpu"] for item in said),
        ),
        Row(
            "memory of that, both workers at their peak", peak, "MB", 4096.0, "≤",
            "one coin in one block", alone[0]["peak_mb"], alone[0]["peak_mb"] / peak,
        ),
    ]  # fmt: skip


def lstm(bench: Bench) -> list[Row]:
    """Bars per second against windows, then ten epochs of one coin with calibration."""
    from tradingai.engine.core.paths import HomePaths
    from tradingai.engine.core.reporting import SilentReporter
    from tradingai.engine.features.scaler import Scaler
    from tradingai.engine.training.config import LstmTraining
    from tradingai.engine.training.lstm import train_lstm

    import bench_lstm

    data = bench_lstm.prepare(bench.home, bench.start)
    once = LstmTraining(epochs=1)
    scaler = Scaler.fit(data.features.names, data.values, *data.split.train)
    rate = bench_lstm.streaming(data, scaler, once)
    windows = {size: bench_lstm.windowed(data, scaler, once, size) for size in bench_lstm.BATCHES}
    batch, fastest = max(windows.items(), key=lambda item: item[1])
    began = time.perf_counter()
    paths = HomePaths(bench.home)
    trained = train_lstm(paths, bench_lstm.SYMBOL, LstmTraining(fresh=True), SilentReporter())
    seconds = time.perf_counter() - began
    epochs = trained.record["epochs_run"]
    by_windows = epochs * data.split.train.size / fastest
    name = f"windows of {bench_lstm.WINDOW} from a DataLoader, batch {batch}"
    return [
        Row(
            "LSTM training, bars/s over the same by windows", rate / fastest, "×", 40.0, "≥",
            f"{name}, at {fastest:,.0f} bars/s", 1.0, rate / fastest,
        ),
        Row("LSTM training, one thread", rate, "bars/s", None, "≥", name, fastest, rate / fastest),
        Row(
            f"{epochs} epochs of one coin, {data.split.train.size:,} bars, calibrated", seconds, "s", None,
            "≤", f"{name}, extrapolated", by_windows, by_windows / seconds,
        ),
    ]  # fmt: skip


def ppo(bench: Bench) -> list[Row]:
    """The agent's environment steps a second beside Stable-Baselines3's, collected and learnt from."""
    import bench_ppo

    found = bench_ppo.measure(bench_ppo.prepare(bench.home, bench.start), repeats=1)
    rates = {name: rate for name, (rate,) in found.items()}
    ours, (name, rate) = rates[bench_ppo.PRODUCT], bench_ppo.fastest_baseline(rates)
    many = rates[bench_ppo.MANY]
    what = "PPO environment steps/s over the same by Stable-Baselines3"
    return [
        Row(what, ours / rate, "×", 20.0, "≥", f"{name}, at {rate:,.0f} steps/s", 1.0, ours / rate),
        Row(
            f"the same with {bench_ppo.MANY_ENVIRONMENTS} environments there", ours / many, "×", None, "≥",
            f"at {many:,.0f} steps/s", 1.0, ours / many,
        ),
        Row("PPO training, one thread", ours, "steps/s", None, "≥", name, rate, ours / rate),
    ]  # fmt: skip


def training(bench: Bench) -> list[Row]:
    """Every model of the workload side by side: three LSTMs, Transformer and agent."""
    import bench_training

    bench_training.prepare(bench.home, bench.start)
    found = bench_training.train_all(bench.home)
    alone = sum(item["job_seconds"] for item in found.models)
    return [
        Row(
            f"training of {len(found.models)} models, 3 × {bench.rows:,} candles", found.wall_s, "s", 720.0,
            "≤", "the same jobs one after another", alone, alone / found.wall_s, found.cpu_s,
        ),
        Row(
            "memory of that, all processes at their peak", found.peak_mb, "MB", 6144.0, "≤",
            "three feature matrices in memory", 3 * bench.rows * 70 * 4 / 2**20,
            3 * bench.rows * 70 * 4 / 2**20 / found.peak_mb,
        ),
    ]  # fmt: skip


def scan(bench: Bench) -> list[Row]:
    """One scan's latency, 72 replayed hours, memory and time over 30 replayed days."""
    from tradingai.engine.core.paths import HomePaths

    import bench_scan

    _candles_of(bench)
    paths = HomePaths(bench.home)
    models = bench_scan.promoted_models(paths)
    warm = bench_scan.live_latency(paths, models, 1000)
    again = bench_scan.stateless_latency(paths, models, 100)
    found, _ = bench_scan.replayed(paths, models, 72)
    tails, _ = bench_scan.replayed(paths, models, 6, in_blocks=False)
    by_tails = 12 * tails["wall_s"]
    days = min(30.0, bench.rows / 1440 - 5)
    _, watch = bench_scan.replayed(paths, models, 24 * days)
    stateless = "nothing carried: all kept minutes again every scan"
    return [
        Row(
            "one scan of 3 coins, p50", warm.at(0.5), "ms", 25.0, "≤", stateless, again.at(0.5),
            again.at(0.5) / warm.at(0.5),
        ),
        Row(
            "one scan of 3 coins, p99", warm.at(0.99), "ms", 150.0, "≤", stateless, again.at(0.99),
            again.at(0.99) / warm.at(0.99),
        ),
        Row(
            "72 h replay of 3 coins, stored", found["wall_s"], "s", 60.0, "≤",
            "features tail by tail (6 h, times twelve)", by_tails, by_tails / found["wall_s"],
        ),
        Row(
            f"memory growth over {days:g} replayed days", watch.growth_mb, "MB", 16.0, "≤",
            "its size at the end", watch.resident_mb[-1], watch.resident_mb[-1] / max(watch.growth_mb, 1.0),
        ),
        Row(
            f"{days:g} days replayed, second half over the first", watch.slowing, "×", 1.25, "≤",
            "linear", 1.0, 1.0 / watch.slowing,
        ),
    ]  # fmt: skip


def execution(bench: Bench) -> list[Row]:
    """Reading a tick export, beside polars reading the file whole."""
    import bench_execution

    path = bench.home / "BTCUSD_bench.csv"
    bench_execution.write_ticks(path, bench_execution.ROWS)
    ours, whole = (bench_execution.measure(path, how) for how in ("stream", "whole"))
    path.unlink()
    rate, base = (found["rows"] / found["seconds"] for found in (ours, whole))
    name = "polars, the file whole"
    return [
        Row("ticks imported", rate, "rows/s", None, "≥", name, base, rate / base),
        Row("memory of the import", ours["peak_mb"], "MB", None, "≤", name, whole["peak_mb"],
            whole["peak_mb"] / ours["peak_mb"]),
    ]  # fmt: skip


def challenge(bench: Bench) -> list[Row]:
    """10,000 attempts at a challenge, of either account, on one core."""
    import bench_challenge

    del bench
    rows = []
    for account in ("2-step", "1-step"):
        found = bench_challenge.measure(account, 10_000, 321, 20.0)
        seconds, alone = found["seconds"], found["one_by_one_s"]
        rows.append(
            Row(
                f"challenge simulation, 10,000 attempts, {account}", seconds, "s", 1.0, "≤",
                "one by one through the risk code, extrapolated", alone, alone / seconds, found["cpu_s"],
            )
        )  # fmt: skip
    return rows


def _candles_of(bench: Bench) -> list[str]:
    """The coins, generated where the candles benchmark has not done it before."""
    from tradingai.engine.core.paths import HomePaths
    from tradingai.engine.core.reporting import SilentReporter
    from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
    from tradingai.engine.providers.generate import generate_dataset

    for symbol in PIPELINE_SYMBOLS:
        paths, reporter = HomePaths(bench.home), SilentReporter()
        generate_dataset(paths, symbol, "cycles", 1, bench.start, END, None, reporter)
    return list(PIPELINE_SYMBOLS)


BENCHMARKS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "candles": candles,
    "features": features,
    "lstm": lstm,
    "ppo": ppo,
    "training": training,
    "scan": scan,
    "execution": execution,
    "challenge": challenge,
}


def machine() -> dict[str, Any]:
    """What these numbers were measured on, and how busy it was."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def run_apart(name: str, bench: Bench) -> list[Row]:
    """One benchmark in a process of its own; raises SystemExit when it fails."""
    answer = bench.home / f"{name}.json"
    command = [
        sys.executable, __file__, "--one", name, "--home", str(bench.home), "--rows", str(bench.rows),
        "--out", str(answer),
    ]  # fmt: skip
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark {name} failed with {done.returncode}")
    return [Row(**row) for row in json.loads(answer.read_text())]


def number(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 or unit == "bars/s" else 1
    return f"{value:,.{digits}f} {unit}"


def table(rows: list[Row], size: int) -> str:
    """What, measured, required, verdict, baseline, how many times better."""
    words = {True: "met", False: "NOT MET", None: "–"}
    cells = [("what", "measured", "CPU", "required", "", "baseline", "better by", "which is")]
    for row in rows:
        cpu = "–" if row.cpu_s is None else number(row.cpu_s, "s")
        limit = "–" if row.required is None else f"{row.comparison} {number(row.required, row.unit)}"
        cells.append(
            (row.what, number(row.measured, row.unit), cpu, limit, words[row.met(size)],
             number(row.baseline_value, row.unit), f"{row.better:,.1f} ×", row.baseline)
        )  # fmt: skip
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = ["  ".join(row).rstrip() for row in padded]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def run_all(options: argparse.Namespace, rows: int) -> None:
    """Every chosen benchmark, then the table and the JSON."""
    described = machine()
    print(f"{described['cpu']}, {described['cores']} cores, {described['memory_gb']} GB, "
          f"load {described['load'][0]} before it began")  # fmt: skip
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="tradingai-bench-") as folder:
        bench = Bench(options.home or Path(folder), rows)
        bench.home.mkdir(parents=True, exist_ok=True)
        for name in options.only.split(","):
            print(f"… {name}", file=sys.stderr, flush=True)
            found += run_apart(name, bench)
    print(table(found, rows))
    document = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": described,
        "rows_a_coin": rows,
        "benchmarks": [{**asdict(row), "met": row.met(rows)} for row in found],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(f"Written to {options.out}")
    if any(row.met(rows) is False for row in found):
        sys.exit(1)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="names, comma-separated")
    parser.add_argument("--days", type=int, help="fewer days than the full workload's")
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help="a folder to work in; default: a temporary one")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--one", choices=BENCHMARKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = options.rows if options.days is None else options.days * 1440
    if options.one:
        made = BENCHMARKS[options.one](Bench(options.home, rows))
        options.out.write_text(json.dumps([asdict(row) for row in made]))
        return
    unknown = set(options.only.split(",")) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    run_all(options, rows)


if __name__ == "__main__":
    main()
