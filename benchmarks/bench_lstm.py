"""LSTM training: streaming lanes against a windowed DataLoader of one network; then ten epochs of a coin.

    python benchmarks/bench_lstm.py [--days 365 | --full] [--repeats 3] [--home DIR]

Requirement (product.md section 15): at least 40 times the bars per second of a windowed DataLoader (window
60, the fastest of batch 32, 256 and 1,024, no worker processes), in the same run. The baseline is given its
features scaled and in memory; streaming reads and scales the stored matrix. Both run on one thread, by turns;
seconds are those of the process, so that neighbours on the machine disturb the ratio less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.datasets.dataset import Dataset, load_dataset
from tradingai.engine.features.build import build_features, peak_memory_mb
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import load_artifact
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.models.predict import predict_rows
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.lstm import train_lstm
from tradingai.engine.training.stream import FitTask, StreamFit

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
FULL_START = datetime(2020, 1, 1, tzinfo=UTC)
SYMBOL = PIPELINE_SYMBOLS[0]
WINDOW = 60
BATCHES = (32, 256, 1024)
BASELINE_SECONDS = 3.0
REQUIRED_RATIO = 40


class Windows(TorchDataset[tuple[torch.Tensor, torch.Tensor]]):
    """One example a bar: the last 60 bars' scaled features float32 [60, F] and the label."""

    def __init__(self, scaled: torch.Tensor, labels: torch.Tensor) -> None:
        self.scaled, self.labels = scaled, labels

    def __len__(self) -> int:
        return len(self.scaled) - WINDOW + 1

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.scaled[index : index + WINDOW], self.labels[index + WINDOW - 1]


class ProcessClock(RealClock):
    """Counts the seconds this process has computed."""

    def monotonic(self) -> float:
        return time.process_time()


def windowed(data: Dataset, scaler: Scaler, training: LstmTraining, batch: int) -> float:
    """Bars a second of a training loop over shuffled windows; a bar is an example."""
    rows = data.split.train
    sample = slice(rows.lo, min(rows.hi, rows.lo + 200_000))
    scaled = torch.from_numpy(scaler.transform(np.array(data.values[sample])))
    labels = torch.from_numpy(np.maximum(data.labels[sample], 0).astype(np.float32))
    loader = DataLoader(Windows(scaled, labels), batch_size=batch, shuffle=True, drop_last=True)
    with reproducible(choose_compute("cpu"), training.threads):
        network = LstmNetwork(LstmConfig(scaled.shape[1], training.projection, training.hidden))
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        done, began = 0, 0.0
        for number, (windows, targets) in enumerate(loader):
            if number == 2:
                began = time.process_time()
            logits, _ = network(windows.transpose(0, 1))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[-1, :, 0], targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.gradient_limit)
            optimizer.step()
            if number >= 2:
                done += batch
                if time.process_time() - began >= BASELINE_SECONDS:
                    break
        return done / (time.process_time() - began)


def streaming(data: Dataset, scaler: Scaler, training: LstmTraining) -> float:
    """Bars a second of one epoch over the training range, reading and scaling included."""
    task = FitTask(
        "bench", data.values, data.labels, scaler, (data.split.train,), data.split.early_stop,
        data.features.first_valid,
    )  # fmt: skip
    compute = choose_compute("cpu")
    fit = StreamFit(task, training, compute=compute, reporter=SilentReporter(), clock=ProcessClock())
    return fit.run().bars_per_s[0]


def prepare(home: Path, start: datetime) -> Dataset:
    """Candles of all coins, features and data set of the first."""
    paths = HomePaths(home)
    for symbol in PIPELINE_SYMBOLS:
        generate_dataset(paths, symbol, "cycles", 1, start, END, None, SilentReporter())
    build_features(paths, SYMBOL, None, SilentReporter())
    return load_dataset(paths, SYMBOL)


def compare(data: Dataset, repeats: int) -> float:
    """Print the table; returns how many times faster streaming is than the best baseline."""
    training = LstmTraining(epochs=1)
    scaler = Scaler.fit(data.features.names, data.values, *data.split.train)
    ways: dict[str, Callable[[], float]] = {"streaming lanes": lambda: streaming(data, scaler, training)}
    for batch in BATCHES:
        ways[f"windowed, batch {batch}"] = lambda batch=batch: windowed(data, scaler, training, batch)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            rates[name].append(measure())
    middle = {name: median(found) for name, found in rates.items()}
    fastest = max(rate for name, rate in middle.items() if name.startswith("windowed"))
    print(f"\n{'one thread, CPU seconds':<24}{'bars/s':>12}{'lowest':>12}{'highest':>12}{'× windowed':>12}")
    for name, rate in middle.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:<24}{rate:>12,.0f}{low:>12,.0f}{high:>12,.0f}{rate / fastest:>12.1f}")
    return middle["streaming lanes"] / fastest


def ten_epochs(home: Path, data: Dataset) -> None:
    """Train a coin as the product does, and score it on the test range."""
    paths = HomePaths(home)
    began = time.perf_counter()
    result = train_lstm(paths, SYMBOL, LstmTraining(fresh=True), SilentReporter())
    seconds = time.perf_counter() - began
    artifact, test = load_artifact(result.path), data.split.test
    probability = artifact.coins[0].calibrator.probability(
        predict_rows(artifact, data.values, test.lo, test.hi)[:, 0]
    )
    labels = data.labels[test.slice]
    known = labels >= 0
    accuracy = np.mean((probability[known] > 0.5) == (labels[known] == 1))
    print(
        f"\n{SYMBOL}, {data.split.train.size:,} training bars, {result.record['epochs_run']} epochs with "
        f"calibration: {seconds:.1f} s on the wall,\n{result.bars_per_s:,.0f} bars/s, "
        f"test accuracy {accuracy:.2%}, warm-up {artifact.warmup.bars} bars "
        f"(measured {artifact.warmup.measured}), peak memory {peak_memory_mb():,.0f} MB"
    )


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--full", action="store_true", help="from 2020 on: 3,081,668 candles")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--home", type=Path, help="kept; by default a temporary folder")
    options = parser.parse_args()
    start = FULL_START if options.full else END - timedelta(days=options.days)
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        data = prepare(home, start)
        print(f"{SYMBOL}: {data.rows:,} candles, {len(data.features.names)} features")
        ratio = compare(data, options.repeats)
        print(f"streaming is {ratio:.0f} times the fastest windowed loop (required: {REQUIRED_RATIO})")
        ten_epochs(home, data)
    if ratio < REQUIRED_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
