"""Which of torch's operations a training spends its time in, by torch's own profiler.

    python benchmarks/growth_kernels.py HOME MODEL

HOME has features of the pipeline's coins; MODEL is lstm, transformer or ppo. The product's training runs as
it is, for one or two epochs (the agent for 300,000 steps), under torch.profiler; printed is a JSON document
with each operation's own share of the time and what is left outside of torch's operations.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.config import LstmTraining, TransformerTraining
from tradingai.engine.training.lstm import train_lstm
from tradingai.engine.training.ppo import train_ppo
from tradingai.engine.training.ppo_config import PpoTraining
from tradingai.engine.training.transformer import train_transformer

SHOWN: Final = 10
AGENT_STEPS: Final = 300_000


def _lstm(paths: HomePaths) -> None:
    train_lstm(paths, PIPELINE_SYMBOLS[0], LstmTraining(epochs=2, fresh=True), SilentReporter())


def _transformer(paths: HomePaths) -> None:
    train_transformer(paths, PIPELINE_SYMBOLS, TransformerTraining(epochs=1, fresh=True), SilentReporter())


def _ppo(paths: HomePaths) -> None:
    training = PpoTraining(steps=AGENT_STEPS, stages=1, fresh=True)
    train_ppo(paths, PIPELINE_SYMBOLS, training, SilentReporter(), costs=ExecutionCosts())


TRAININGS: Final[dict[str, Callable[[HomePaths], None]]] = {
    "lstm": _lstm, "transformer": _transformer, "ppo": _ppo,
}  # fmt: skip


def profiled(home: Path, model: str) -> dict[str, Any]:
    """Shares of the training's time under the profiler, which measures on the wall."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        began, cpu = time.perf_counter(), time.process_time()
        TRAININGS[model](HomePaths(home))
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    found = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    inside = sum(event.self_cpu_time_total for event in found) / 1e6
    return {
        "model": model,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "outside_torch": max(0.0, 1.0 - inside / wall_s),
        "operations": [
            {
                "name": event.key,
                "share": event.self_cpu_time_total / 1e6 / wall_s,
                "calls": event.count,
                "us_a_call": event.self_cpu_time_total / event.count,
            }
            for event in found[:SHOWN]
        ],
    }


if __name__ == "__main__":
    print(json.dumps(profiled(Path(sys.argv[1]), sys.argv[2])))
