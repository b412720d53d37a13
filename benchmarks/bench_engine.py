"""Rows of the engine's parts, each measured by its own module: candles to decisions, costs and challenges."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench_rows import END, Bench, Row


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


def scan(bench: Bench) -> list[Row]:
    """One scan's latency, 72 replayed hours, memory and time over 30 replayed days."""
    from tradingai.engine.core.paths import HomePaths

    import bench_scan

    _candles_of(bench)
    paths = HomePaths(bench.home)
    models = bench_scan.promoted_models(paths)
    days = min(30.0, bench.rows / 1440 - 5)
    # First of all: into memory that other measurements have given back a growth could hide.
    _, watch = bench_scan.replayed(paths, models, 24 * days)
    warm = bench_scan.live_latency(paths, models, 1000)
    again = bench_scan.stateless_latency(paths, models, 100)
    found, _ = bench_scan.replayed(paths, models, 72)
    tails, _ = bench_scan.replayed(paths, models, 6, in_blocks=False)
    by_tails = 12 * tails["wall_s"]
    stateless = "nothing carried: all kept minutes again every scan"
    return [
        Row(
            "one scan of 3 coins, p50", warm.at(0.5), "ms", 25.0, "≤", stateless, again.at(0.5),
            again.at(0.5) / warm.at(0.5), samples=warm.rounded,
        ),
        Row(
            "one scan of 3 coins, p99", warm.at(0.99), "ms", 150.0, "≤", stateless, again.at(0.99),
            again.at(0.99) / warm.at(0.99), samples=warm.rounded,
        ),
        Row(
            "72 h replay of 3 coins, stored", found["wall_s"], "s", 60.0, "≤",
            "features tail by tail (6 h, times twelve)", by_tails, by_tails / found["wall_s"],
        ),
        Row(
            f"memory growth over {days:g} replayed days", watch.growth_mb, "MB", 4.0, "≤",
            "its size at the end", watch.resident_mb[-1], watch.resident_mb[-1] / max(watch.growth_mb, 1.0),
            grain=4.0,
        ),
        Row(
            f"{days:g} days replayed, second half over the first", watch.slowing, "×", 1.25, "≤",
            "linear", 1.0, 1.0 / watch.slowing, grain=0.1,
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
        Row("ticks imported", rate, "rows/s", None, "≥", name, base, rate / base, sized=False),
        Row("memory of the import", ours["peak_mb"], "MB", None, "≤", name, whole["peak_mb"],
            whole["peak_mb"] / ours["peak_mb"], sized=False),
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
                sized=False,
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
