"""Transformer training: streaming lanes against a windowed DataLoader of one network; then ten epochs.

    python benchmarks/bench_transformer.py [--days 120 | --full] [--market cycles] [--seed 1] [--threads 1]
        [--repeats 3] [--home DIR] [--only speed | accuracy | lead]

``speed``: minutes a second of training, on one thread in CPU seconds, by turns with a windowed DataLoader
(window 60, batches of 32, 256 and 1,024, no worker processes) that has its features scaled and in memory.
``accuracy``: ten epochs as the product trains, each coin's test accuracy beside the oracle's, seconds on the
wall and peak memory. ``lead``: the same fit without BTC's part of the token and without the lead-lag
features, beside the whole one: how much of ETH and BNB is read from BTC, with the 95 % interval of the paired
difference over day blocks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US, PIPELINE_SYMBOLS
from tradingai.engine.datasets.market import MarketDataset, load_market
from tradingai.engine.evaluation.intervals import ACCURACY_ALPHA, day_blocks, ratio_interval
from tradingai.engine.features.build import build_features, peak_memory_mb
from tradingai.engine.models.artifact import load_artifact
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.predict import Predictor, predict_rows
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.store.oracle_files import read_oracle
from tradingai.engine.training.config import TransformerTraining
from tradingai.engine.training.job import fit_scalers, fit_task
from tradingai.engine.training.learning import Said, losses, new_network
from tradingai.engine.training.stream import FitTask, StreamFit
from tradingai.engine.training.transformer import TRANSFORMER, train_transformer

from bench_lstm import BASELINE_SECONDS, BATCHES, END, FULL_START, ProcessClock, Windows

SAMPLE_ROWS = 100_000
LEADER = PIPELINE_SYMBOLS[0]
WITHOUT_LEADER = (f"{LEADER} *", "* lead_*")
"""What is taken away for the comparison: the leader's features, and the others' features of their peers."""


def prepare(home: Path, start: datetime, market: str, seed: int) -> MarketDataset:
    """Candles and features of all coins, each with the others as its peers."""
    paths, silent = HomePaths(home), SilentReporter()
    for symbol in PIPELINE_SYMBOLS:
        generate_dataset(paths, symbol, market, seed, start, END, None, silent)
    for symbol in PIPELINE_SYMBOLS:
        build_features(paths, symbol, PIPELINE_SYMBOLS, silent)
    return load_market(paths, PIPELINE_SYMBOLS)


def streaming(task: FitTask, training: TransformerTraining) -> float:
    """Minutes a second of one epoch over the training range, reading and scaling included."""
    compute, silent = choose_compute("cpu"), SilentReporter()
    return (
        StreamFit(task, training, compute=compute, reporter=silent, clock=ProcessClock()).run().bars_per_s[0]
    )


def windowed(task: FitTask, training: TransformerTraining, batch: int) -> float:
    """Minutes a second of a training loop over shuffled windows; a minute is an example of every coin."""
    rows = task.train[0]
    sample = slice(rows.lo, min(rows.hi, rows.lo + SAMPLE_ROWS))
    scaled = torch.from_numpy(task.scaler.transform(np.array(task.values[sample])))
    labels = torch.from_numpy(np.ascontiguousarray(task.labels[sample]))
    loader = DataLoader(Windows(scaled, labels), batch_size=batch, shuffle=True, drop_last=True)
    with reproducible(choose_compute("cpu"), training.threads):
        network = new_network(training, task.values)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        done, began = 0, 0.0
        for number, (windows, targets) in enumerate(loader):
            if number == 2:
                began = time.process_time()
            logits, state = network(windows.transpose(0, 1))
            found = losses(training, Said(logits[-1:], None, state), targets[None], None)
            optimizer.zero_grad()
            torch.autograd.backward(found.minimised / batch)
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.gradient_limit)
            optimizer.step()
            if number >= 2:
                done += batch
                if time.process_time() - began >= BASELINE_SECONDS:
                    break
        return done / (time.process_time() - began)


def speed(market: MarketDataset, repeats: int, threads: int) -> None:
    """Print minutes a second of both ways, and what ten epochs of this range take at that rate."""
    training = TransformerTraining(epochs=1, threads=threads)
    task = fit_task("bench", market, fit_scalers(market))
    ways: dict[str, Callable[[], float]] = {"streaming lanes": lambda: streaming(task, training)}
    for batch in BATCHES:
        ways[f"windowed, batch {batch}"] = lambda batch=batch: windowed(task, training, batch)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            rates[name].append(measure())
    middle = {name: median(found) for name, found in rates.items()}
    fastest = max(rate for name, rate in middle.items() if name.startswith("windowed"))
    title = f"{threads} thread{'s' if threads > 1 else ''}, CPU seconds"
    print(f"\n{title:<24}{'minutes/s':>12}{'lowest':>12}{'highest':>12}{'× windowed':>12}")
    for name, rate in middle.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:<24}{rate:>12,.0f}{low:>12,.0f}{high:>12,.0f}{rate / fastest:>12.1f}")
    total = 10 * market.split.train.size
    print(f"ten epochs, {total:,} minutes: {total / middle['streaming lanes']:,.0f} CPU seconds at that rate")


def accuracy(home: Path, market: MarketDataset, seed: int, threads: int) -> None:
    """Train as the product does, and score each coin on the test range."""
    began = time.perf_counter()
    training = TransformerTraining(fresh=True, seed=seed, threads=threads)
    result = train_transformer(HomePaths(home), market.symbols, training, SilentReporter())
    seconds = time.perf_counter() - began
    artifact, test = load_artifact(result.path), market.split.test
    logits = predict_rows(artifact, market.values, test.lo, test.hi, market.first_valid)
    minutes, epochs = market.split.train.size, result.record["epochs_run"]
    print(
        f"\n{TRANSFORMER}, {minutes:,} training minutes, {epochs} epochs "
        f"with calibration: {seconds:.1f} s on the wall,\n{result.bars_per_s:,.0f} minutes/s on {threads} "
        f"thread(s), warm-up {artifact.warmup.bars} bars (measured {artifact.warmup.measured}), peak memory "
        f"{peak_memory_mb():,.0f} MB"
    )
    print(f"{'test accuracy':<16}{'model':>8}{'oracle':>8}")
    for number, coin in enumerate(market.coins):
        up, known = coin.labels[test.slice] == 1, coin.labels[test.slice] >= 0
        _, expected = read_oracle(HomePaths(home), coin.symbol)
        shares = [
            np.mean((said > 0)[known] == up[known]) for said in (logits[:, number], expected[test.slice])
        ]
        print(f"{coin.symbol:<16}{shares[0]:>8.2%}{shares[1]:>8.2%}")


def lead(market: MarketDataset, seed: int, threads: int) -> None:
    """Print each coin's test accuracy with and without the leader, and the paired difference."""
    right = [_right(market, leave_out, seed, threads) for leave_out in ((), WITHOUT_LEADER)]
    test = market.split.test
    print(f"\nwithout {', '.join(WITHOUT_LEADER)}:")
    print(f"{'test accuracy':<16}{'whole':>8}{'without':>9}{'difference, 95 %':>22}")
    for number, coin in enumerate(market.coins):
        known = coin.labels[test.slice] >= 0
        whole, without = (said[known, number].astype(np.float64) for said in right)
        blocks = day_blocks(coin.ts0 + test.indices()[known] * MINUTE_US)
        span = ratio_interval(blocks.sums(whole - without), blocks.bars, ACCURACY_ALPHA)
        between = span.reason if span.lo is None else f"{span.lo:+.2%} … {span.hi:+.2%}"
        print(f"{coin.symbol:<16}{whole.mean():>8.2%}{without.mean():>9.2%}  {between:>20}")


def _right(market: MarketDataset, leave_out: tuple[str, ...], seed: int, threads: int) -> np.ndarray:
    """Which test bars a fit without these features has right, bool [rows, coins]."""
    task = fit_task("bench", market, fit_scalers(market), leave_out)
    training, compute = TransformerTraining(seed=seed, threads=threads), choose_compute("cpu")
    fit = StreamFit(task, training, compute=compute, reporter=SilentReporter(), clock=RealClock()).run()
    test = market.split.test
    with reproducible(compute, threads):
        predictor = Predictor(fit.network, task.scaler, compute)
        logits = predictor.stream_all(market.values, test.lo, test.hi, 1440)
    return (logits > 0) == (market.labels[test.slice] == 1)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--full", action="store_true", help="from 2020 on: 3,081,668 minutes")
    parser.add_argument("--market", default="cycles")
    parser.add_argument("--seed", type=int, default=1, help="of the market and of the training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--home", type=Path, help="kept; by default a temporary folder")
    parser.add_argument("--only", choices=("speed", "accuracy", "lead"))
    options = parser.parse_args()
    start = FULL_START if options.full else END - timedelta(days=options.days)
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        market = prepare(home, start, options.market, options.seed)
        widths = [len(coin.features.names) for coin in market.coins]
        print(f"{options.market} seed {options.seed}: {market.coins[0].rows:,} minutes, features {widths}")
        if options.only in {None, "speed"}:
            speed(market, options.repeats, options.threads)
        if options.only in {None, "accuracy"}:
            accuracy(home, market, options.seed, options.threads)
        if options.only in {None, "lead"}:
            lead(market, options.seed, options.threads)


if __name__ == "__main__":
    main()
