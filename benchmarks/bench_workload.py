"""`tradingai pipeline` as a process on a home of its own: time, memory and verdicts, and each job's seconds.

    python benchmarks/bench_workload.py [--workload quick | full | --days 60] [--home DIR]

Requirements (product.md section 15): the full workload in 20 minutes and 6 GB, the quick one in 3 minutes, on
two cores. The baseline is the same work one job after another: the seconds of all jobs, added. A pipeline in
which a gate refused a model has not done the workload's work, whatever its time.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.model_report import ModelReport

from bench_rows import END, FULL_ROWS, Row
from process_tree import Ended, run_watched

REFUSED: Final = 3
FULL_S: Final = 1200.0
QUICK_S: Final = 180.0
QUICK_ROWS: Final = 172_800
PEAK_MB: Final = 6144.0
TABLES_MB: Final = 70 * 4 / 2**20
"""Features of a candle, as they are stored."""


@dataclass(frozen=True)
class Job:
    """One job of a pipeline, from the moment a worker took it."""

    kind: str
    target: str
    began: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True)
class Pipelined:
    """A pipeline that ran to its end."""

    document: dict[str, Any]
    jobs: list[Job]
    process: Ended

    @property
    def fault(self) -> str:
        """Which models did not go live and why; empty when all did."""
        models = self.document["models"]
        others = [item for item in models if item["promotion"] != "promoted"]
        if not others:
            return ""
        live = len(models) - len(others)
        why = "; ".join(f"{item['model']}: {item['promotion_detail']}" for item in others)
        return f"{live} of {len(models)} models promoted; {why}"


def run_pipeline(home: Path, *arguments: str) -> Pipelined:
    """The command an operator types, on a home that is not there yet. Raises SystemExit when it fails."""
    command = (sys.executable, "-m", "tradingai", "--home", str(home), "pipeline", *arguments, "--json")
    ended = run_watched(command)
    if ended.status not in {0, REFUSED}:
        said = (ended.out + ended.err).strip()[-2000:]
        raise SystemExit(f"pipeline {' '.join(arguments)} ended with {ended.status}: {said}")
    document, jobs = json.loads(ended.out), jobs_of(home)
    if document["skipped"] or document["steps"] != len(jobs):
        raise SystemExit(
            f"{document['skipped']} of {document['steps']} steps were skipped and {len(jobs)} jobs are in "
            f"{home}: a workload is measured on a home that is not there yet"
        )
    return Pipelined(document, jobs, ended)


def range_of(rows: int) -> tuple[str, ...]:
    """The arguments for the full workload, or for as many candles as are asked for up to its end."""
    if rows == FULL_ROWS:
        return ("--workload", "full")
    start = END - timedelta(minutes=rows - 1)
    return ("--workload", "full", "--start", f"{start:%Y-%m-%dT%H:%MZ}", "--end", f"{END:%Y-%m-%dT%H:%MZ}")


def jobs_of(home: Path) -> list[Job]:
    """Finished jobs of a home, in the order in which they began."""
    with closing(sqlite3.connect(f"file:{home / 'tradingai.db'}?mode=ro", uri=True)) as database:
        found = database.execute(
            "SELECT kind, target, started_at, ended_at FROM jobs WHERE state = 'finished' ORDER BY started_at"
        ).fetchall()
    return [
        Job(kind, target, datetime.fromisoformat(began), datetime.fromisoformat(ended))
        for kind, target, began, ended in found
    ]


def full_rows(found: Pipelined, rows: int) -> list[Row]:
    """The full workload, the training in it, and the worst of its models."""
    process, fault = found.process, found.fault
    training = [job for job in found.jobs if job.kind == "train"]
    since, until = min(job.began for job in training), max(job.ended for job in training)
    seconds, alone = (until - since).total_seconds(), sum(job.seconds for job in training)
    matrices, peak, peak_training = 3 * rows * TABLES_MB, process.peak_mb(), process.peak_mb(since, until)
    in_memory, one_by_one = "three feature matrices in memory", "the same jobs one after another"
    return [
        time_row(found, f"full workload, {found.document['steps']} jobs, 3 × {rows:,} candles", FULL_S),
        Row(
            "memory of that, all processes at their peak", peak, "MB", PEAK_MB, "≤", in_memory, matrices,
            matrices / peak, fault=fault, note=f"{len(process.memory):,} samples",
        ),
        Row(
            f"training of its {len(training)} models", seconds, "s", None, "≤", one_by_one, alone,
            alone / seconds,
        ),
        Row(
            "memory while it trains", peak_training, "MB", None, "≤", in_memory, matrices,
            matrices / peak_training,
        ),
        accuracy_row(found),
    ]  # fmt: skip


def quick_rows(found: Pipelined) -> list[Row]:
    """The quick workload, whose size is always the same."""
    peak, matrices = found.process.peak_mb(), 3 * QUICK_ROWS * TABLES_MB
    what = f"quick workload, {found.document['steps']} jobs, 3 × {QUICK_ROWS:,} candles"
    return [
        time_row(found, what, QUICK_S, sized=False),
        Row(
            "memory of the quick workload at its peak", peak, "MB", None, "≤",
            "three feature matrices in memory", matrices, matrices / peak, sized=False,
        ),
    ]  # fmt: skip


def time_row(found: Pipelined, what: str, limit_s: float, *, sized: bool = True) -> Row:
    """Wall time beside the jobs' own, added."""
    wall, alone = found.process.wall_s, sum(job.seconds for job in found.jobs)
    slowest = max(found.jobs, key=lambda job: job.seconds)
    return Row(
        what, wall, "s", limit_s, "≤", "the same jobs one after another", alone, alone / wall,
        found.process.cpu_s, sized=sized, fault=found.fault,
        note=f"longest: {slowest.kind} {slowest.target}, {slowest.seconds:.0f} s",
    )  # fmt: skip


def accuracy_row(found: Pipelined) -> Row:
    """The lowest test accuracy of any model on any coin, beside the best naive forecast of the same bars."""
    models = [ModelReport.from_json(item) for item in found.document["models"]]
    worst = min((coin for model in models for coin in model.coins), key=lambda coin: coin.accuracy)
    limit = next(gate.threshold for gate in worst.gates if gate.id == "accuracy")
    naive = max(worst.baselines, key=lambda baseline: baseline.accuracy)
    measured, base = 100 * worst.accuracy, 100 * naive.accuracy
    return Row(
        f"lowest test accuracy of its {len(models)} models", measured, "%", 100 * limit, "≥",
        f"{naive.name} on the same bars", base, measured / base, fault=found.fault, noise=0.01,
        note=f"{worst.model} on {worst.symbol}",
    )  # fmt: skip


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--workload", choices=("quick", "full"), default="quick")
    size.add_argument("--days", type=int)
    parser.add_argument("--home", type=Path, help="not there yet; default: a temporary one")
    options = parser.parse_args()
    chosen = range_of(1440 * options.days) if options.days else ("--workload", options.workload)
    with tempfile.TemporaryDirectory(prefix="tradingai-bench-") as folder:
        found = run_pipeline(options.home or Path(folder) / "home", *chosen)
    for job in found.jobs:
        print(f"{job.kind:<10}{job.target:<14}{job.seconds:>8.1f} s")
    ended = found.process
    cost = f"{ended.cpu_s:.1f} s CPU, {ended.peak_mb():,.0f} MB at the peak"
    print(f"{'all':<24}{ended.wall_s:>8.1f} s  {cost}; one after another "
          f"{sum(job.seconds for job in found.jobs):.1f} s")  # fmt: skip
    print(found.fault or f"{len(found.document['models'])} models promoted")


if __name__ == "__main__":
    main()
