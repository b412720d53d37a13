"""The scan loop: one scan's latency as it is live, 72 replayed hours, memory and time over 30 replayed days.

    python benchmarks/bench_scan.py [--days 40] [--home DIR] [--memory-days 30]

Requirements (product.md section 15): a scan of three coins with all models p50 <= 25 ms and p99 <= 150 ms,
72 replayed hours <= 60 s, no growth of memory over 30 replayed days. The models have the size of trained ones
and random weights: what a network says costs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.home import open_home
from tradingai.engine.core.logs.process_log import process_log
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, SilentReporter
from tradingai.engine.core.settings import Settings, settings_from_worker
from tradingai.engine.core.symbols import MINUTE_US, PIPELINE_SYMBOLS, lstm_name, model_kind
from tradingai.engine.decision.ensemble import MODEL_KINDS
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.features.compute import compute, live_tail
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.carried import CarriedNetwork, one_thread
from tradingai.engine.inference.promoted import LiveEnsemble, LiveModel, PromotedModels
from tradingai.engine.inference.stream import KEPT_MINUTES, MarketStream
from tradingai.engine.models.artifact import CoinPart, ModelArtifact, Warmup
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.ensemble import (
    ENSEMBLE,
    Component,
    EnsembleRule,
    ensemble_document,
    subset_name,
    subsets,
)
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.models.policy import PolicyConfig, PolicyNetwork
from tradingai.engine.models.transformer import TransformerConfig, TransformerNetwork
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.runtime.replay import plan_replay, read_inputs, replay
from tradingai.engine.runtime.runs import Finished, Run
from tradingai.engine.runtime.scan_lines import log_scan
from tradingai.engine.runtime.scanned import decided_scan
from tradingai.engine.runtime.step import Controls, ScanStep
from tradingai.engine.store.candle_files import read_candles
from tradingai.engine.store.database import Store

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
WARMUP = 240
INTERVAL = 2
"""Minutes between two scans."""


def settings() -> Settings:
    """The defaults, whatever the environment says."""
    return settings_from_worker({name: item.default for name, item in Settings.model_fields.items()})


def make_candles(home: Path, days: float) -> HomePaths:
    """A home with candles of the pipeline's coins."""
    paths = open_home(home, RealClock(), create=True).paths
    start = END - timedelta(days=days) + timedelta(minutes=1)
    for symbol in PIPELINE_SYMBOLS:
        generate_dataset(paths, symbol, "cycles", 7, start, END, None, SilentReporter())
    return paths


def coin_parts(paths: HomePaths) -> dict[str, CoinPart]:
    """What a model carries of each coin, its scaler fitted on the newest days."""
    tail = {name: read_candles(paths, name, verify=False)[-6000:] for name in PIPELINE_SYMBOLS}
    parts = {}
    for symbol in PIPELINE_SYMBOLS:
        features = feature_set(symbol, tuple(set(PIPELINE_SYMBOLS) - {symbol}))
        values = compute(features, tail[symbol], {name: tail[name].close for name in features.peers})
        parts[symbol] = CoinPart(
            symbol=symbol,
            scaler=Scaler.fit(features.names, values, features.lookback, len(values)),
            calibrator=Calibrator("platt", 20.0, 0.0),
            feature_names=features.names,
            feature_sha256=tuple(feature.sha256 for feature in features.features),
            definitions_sha256=features.sha256,
        )
    return parts


def random_model(model: str, network: Any, parts: tuple[CoinPart, ...], warmup: int) -> LiveModel:
    """A network of a trained one's size whose probability wanders between 0 and 1."""
    artifact = ModelArtifact(
        model=model,
        kind=model_kind(model),
        coins=parts,
        config=network.config.as_dict(),
        tensors={name: value.clone() for name, value in network.state_dict().items()},
        warmup=Warmup(warmup, warmup // 2, agrees=True, difference=0.0, tolerance=1e-6, starts=1),
        record={},
        market="cycles",
        synthetic=True,
    )
    return LiveModel(model, "v1.0.0", artifact)


def promoted_models(paths: HomePaths) -> PromotedModels:
    """An LSTM of every coin, a Transformer and an agent, and the ensemble of them all."""
    parts = coin_parts(paths)
    together = tuple(parts.values())
    widths = tuple(len(part.feature_names) for part in together)
    torch.manual_seed(0)
    models = [
        random_model(lstm_name(part.symbol), LstmNetwork(LstmConfig(width)), (part,), WARMUP)
        for part, width in zip(together, widths, strict=True)
    ]
    transformer = TransformerNetwork(TransformerConfig(widths))
    models.append(random_model("transformer", transformer, together, 2 * transformer.config.reach))
    models.append(random_model("ppo", PolicyNetwork(PolicyConfig(len(together), widths[0])), together, 0))
    made_of = [Component(live.model, live.kind, live.version, live.sha256) for live in models]
    calibrated = {
        symbol: {subset_name(kinds): Calibrator("platt", 1.2, 0.0) for kinds in subsets(MODEL_KINDS)}
        for symbol in parts
    }
    rule = EnsembleRule(DeskConfig().decision.ensemble, calibrated, agent_joins=True)
    ensemble = replace(
        models[-1].artifact, model=ENSEMBLE, kind=ENSEMBLE, tensors={},
        config=ensemble_document(rule, made_of),
    )  # fmt: skip
    return PromotedModels(tuple(models), (), LiveEnsemble("v1.0.0", ensemble))


@dataclass
class Latencies:
    """Milliseconds of each scan."""

    values: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        return float(np.quantile(self.values, share))

    @property
    def rounded(self) -> list[float]:
        """All of them, to a microsecond."""
        return [round(value, 3) for value in self.values]


def live_latency(paths: HomePaths, models: PromotedModels, scans: int) -> Latencies:
    """Candles to decisions as the live loop does it, features from live tails."""
    return live_latencies(paths, models, scans)[0]


def live_latencies(paths: HomePaths, models: PromotedModels, scans: int) -> tuple[Latencies, Latencies]:
    """Candles to decisions as the live loop does it, and what logging them takes of the loop's thread."""
    market = {name: read_candles(paths, name, verify=False) for name in PIPELINE_SYMBOLS}
    rows = len(next(iter(market.values())))
    config, first = DeskConfig(), rows - INTERVAL * scans
    stream = MarketStream(PIPELINE_SYMBOLS, models, config.decision.ensemble)
    stream.warm({name: series[first - KEPT_MINUTES : first] for name, series in market.items()})
    step = ScanStep(stream, config, open_desk(config, int(market["BTC-USD"].ts[first])), mode="dry-run")
    found, logged = Latencies(), Latencies()
    run = cast("Run", SimpleNamespace(run_id="live-20251110T010700-bench0", scans=1))
    for lo in range(first, rows, INTERVAL):
        at = int(market["BTC-USD"].ts[lo + INTERVAL - 1]) + MINUTE_US
        news = {name: series[lo : lo + INTERVAL] for name, series in market.items()}
        began = time.perf_counter()
        outcome = step.decide(step.prepare(at, at, news), Controls())
        found.values.append(1e3 * (time.perf_counter() - began))
        step.adopt(outcome)
        began = time.perf_counter()
        log_scan(decided_scan(run, step, Finished(outcome, found.values[-1])))
        logged.values.append(1e3 * (time.perf_counter() - began))
    found.values, logged.values = found.values[1:], logged.values[1:]  # the first starts the networks
    return found, logged


def log_latency(paths: HomePaths, models: PromotedModels, scans: int) -> Latencies:
    """What the log lines of a scan take of the loop's thread, metrics included, while they are written."""
    chosen = settings().model_copy(update={"cloudwatch_emf": True})
    with process_log(paths, chosen, RealClock(), "run"):
        return live_latencies(paths, models, scans)[1]


def stateless_latency(paths: HomePaths, models: PromotedModels, scans: int) -> Latencies:
    """The baseline: nothing is carried, so each scan computes and feeds all minutes that are kept again."""
    market = {name: read_candles(paths, name, verify=False) for name in PIPELINE_SYMBOLS}
    networks = [CarriedNetwork(live) for live in models.models]
    rows, found = len(market["BTC-USD"]), Latencies()
    for stop in range(rows - INTERVAL * scans, rows, INTERVAL):
        kept: dict[str, Candles] = {
            name: series[stop - KEPT_MINUTES : stop] for name, series in market.items()
        }
        began = time.perf_counter()
        with one_thread():
            for network in networks:
                tails = []
                for symbol, features in network.live.features.items():
                    closes = {name: kept[name].close for name in features.peers}
                    tails.append(compute(features, kept[symbol], closes)[features.lookback :])
                network.start(np.concatenate(tails, axis=1))
                network.probability(network.live.symbols[0])
        found.values.append(1e3 * (time.perf_counter() - began))
    return found


class Watch(SilentReporter):
    """Notes how large the process is and what CPU time it took, at every report of progress."""

    def __init__(self) -> None:
        super().__init__()
        self.resident_mb: list[float] = []
        self.times: list[float] = []

    def progress(self, progress: Progress) -> None:
        super().progress(progress)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident_mb.append(pages * resource.getpagesize() / 2**20)
        self.times.append(time.process_time())

    @property
    def growth_mb(self) -> float:
        """Largest size in the last tenth over the largest in the second tenth."""
        tenth = max(1, len(self.resident_mb) // 10)
        return max(self.resident_mb[-tenth:]) - max(self.resident_mb[tenth : 2 * tenth])

    @property
    def slowing(self) -> float:
        """CPU time of the second half over that of the first."""
        half = len(self.times) // 2
        return (self.times[-1] - self.times[half]) / (self.times[half] - self.times[0])


def replayed(
    paths: HomePaths, models: PromotedModels, hours: float, *, in_blocks: bool = True
) -> tuple[dict[str, Any], Watch]:
    """One replay: its document, and how large the process was meanwhile."""

    async def run() -> dict[str, Any]:
        clock, chosen = RealClock(), settings()
        plan = plan_replay(paths, PIPELINE_SYMBOLS, hours, None, chosen.scan_interval_s)
        inputs = read_inputs(paths, chosen, plan, models)
        async with await Store.open(paths.root / "bench.db", paths, clock) as store:
            source = None if in_blocks else live_tail
            return await replay(store, chosen, inputs, watch, clock, source=source)

    watch = Watch()
    return asyncio.run(run()), watch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=36, help="days of candles")
    parser.add_argument(
        "--memory-days", type=float, default=30, help="days replayed for memory; 0: not at all"
    )
    parser.add_argument("--home", type=Path, help="a folder to work in; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_candles(options.home or Path(folder) / "home", options.days)
        models = promoted_models(paths)
        warm, again = live_latency(paths, models, 500), stateless_latency(paths, models, 60)
        print(
            f"one scan, carried state   p50 {warm.at(0.5):6.1f} ms  p99 {warm.at(0.99):6.1f} ms   (25, 150)"
        )
        print(f"one scan, nothing carried p50 {again.at(0.5):6.1f} ms  p99 {again.at(0.99):6.1f} ms")
        lines = log_latency(paths, models, 500)
        print(f"its log lines, metrics in p50 {lines.at(0.5):6.2f} ms  p99 {lines.at(0.99):6.2f} ms")
        found, _ = replayed(paths, models, 72)
        tails, _ = replayed(paths, models, 6, in_blocks=False)
        by_tails = 12 * tails["wall_s"]
        print(f"72 h replay               {found['wall_s']:6.1f} s    (60)   tail by tail {by_tails:.1f} s")
        if options.memory_days:
            began = time.process_time()
            found, watch = replayed(paths, models, 24 * options.memory_days)
            cpu = time.process_time() - began
            print(
                f"{options.memory_days:g} days replayed          {found['wall_s']:6.1f} s, {cpu:.0f} s CPU, "
                f"memory grew {watch.growth_mb:+.1f} MB, second half {watch.slowing:.2f} × the first"
            )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
