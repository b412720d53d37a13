"""What each stage of the pipeline costs, what bounds it, and how it grows with rows, coins and cores.

    python benchmarks/growth.py [--days 60,120,240,480] [--base 120] [--full] [--out FILE]
    python benchmarks/growth.py --tables FILE

Every number comes from a real ``Pipeline`` of the product in a home of its own, whose jobs run in the
product's worker with a meter beside it (growth_worker.py): one pipeline for each range, one each with one
and two coins, one on a single core. Processes are given their cores before they start. Two shares are taken
by torch's own profiler on the smallest home (growth_kernels.py). Tables go to standard output as Markdown,
everything that was measured to the JSON; ``--tables`` prints those of a JSON that is there.

On a busy machine wall seconds tell little; CPU seconds hold within some per cent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.pipeline.plan import LAST_CANDLE, WORKLOADS

from growth_tables import growth, report
from run import machine

ROOT: Final = Path(__file__).resolve().parents[1]
BENCHMARKS: Final = ROOT / "benchmarks"
DAYS: Final = (60, 120, 240, 480)
BASE_DAYS: Final = 120
MARKET: Final = "cycles"
PROFILED: Final = ("lstm", "transformer", "ppo")
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "HOME")
FULL_DAYS: Final = round(WORKLOADS["full"].minutes / 1440)


@dataclass(frozen=True)
class Wanted:
    """One pipeline to measure. ``part`` says which comparison it is for."""

    part: str
    days: int
    coins: int
    cores: tuple[int, ...]

    @property
    def start(self) -> datetime:
        """Open time of the first candle."""
        if self.days == FULL_DAYS:
            return WORKLOADS["full"].start
        return LAST_CANDLE - timedelta(days=self.days) + timedelta(minutes=1)

    def __str__(self) -> str:
        return f"{self.days:,} days, {self.coins} coin(s), {len(self.cores)} core(s)"


def planned(days: tuple[int, ...], base: int, cores: tuple[int, ...]) -> list[Wanted]:
    """Every range with all coins and cores; the base with fewer coins, then on one core."""
    coins = len(PIPELINE_SYMBOLS)
    rows = [Wanted("rows", number, coins, cores) for number in sorted(days)]
    fewer = [Wanted("coins", base, number, cores) for number in range(1, coins)]
    alone = [Wanted("cores", base, coins, cores[:1])] if len(cores) > 1 else []
    return [*rows, *fewer, *alone]


def environment(out: Path, symbols: tuple[str, ...]) -> dict[str, str]:
    """What a measured process gets: none of the shell's settings of TradingAI or of thread counts."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(BENCHMARKS))),
        "GROWTH_OUT": str(out),
        "SYMBOLS": ",".join(symbols),
        "SYNTHETIC_MARKET": MARKET,
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
    }


def _run(command: list[str], env: dict[str, str], cores: tuple[int, ...]) -> str:
    """Standard output of a child on these cores, given before it starts. Raises SystemExit when it fails."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        done = subprocess.run(
            [sys.executable, *command], env=env, stdout=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.sched_setaffinity(0, mine)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def measure(wanted: Wanted, folder: Path) -> dict[str, Any]:
    """Run one pipeline in ``folder``/home."""
    accounts, home, out = folder / "jobs", folder / "home", folder / "run.json"
    accounts.mkdir(parents=True)
    symbols = PIPELINE_SYMBOLS[: wanted.coins]
    command = [str(BENCHMARKS / "growth_pipeline.py"), str(home), str(out), wanted.start.isoformat()]
    _run(command, environment(accounts, symbols), wanted.cores)
    found: dict[str, Any] = json.loads(out.read_text())
    return {"part": wanted.part, "days": wanted.days, **found}


def kernels(folder: Path, cores: tuple[int, ...]) -> list[dict[str, Any]]:
    """Torch's operations in the training of each kind of model, on the home in ``folder``."""
    script, env = str(BENCHMARKS / "growth_kernels.py"), environment(folder, PIPELINE_SYMBOLS)
    return [json.loads(_run([script, str(folder / "home"), model], env, cores)) for model in PROFILED]


def measure_all(days: tuple[int, ...], base: int) -> dict[str, Any]:
    """Every pipeline and the profiles, and what they were measured on."""
    began, described = time.perf_counter(), machine()
    cores = tuple(sorted(os.sched_getaffinity(0)))
    runs: list[dict[str, Any]] = []
    profiles: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tradingai-growth-") as temporary:
        for number, wanted in enumerate(planned(days, base, cores)):
            folder = Path(temporary) / str(number)
            runs.append(measure(wanted, folder))
            print(f"… {wanted}: {runs[-1]['wall_s']:.1f} s", file=sys.stderr, flush=True)
            if not number:
                profiles = kernels(folder, cores[:1])
            rmtree(folder)
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": described,
        "market": MARKET,
        "base_days": base,
        "seconds": time.perf_counter() - began,
        "runs": runs,
        "kernels": profiles,
    }


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--days", default=",".join(map(str, DAYS)), help="ranges, comma-separated")
    parser.add_argument("--base", type=int, default=BASE_DAYS, help="the range for coins and cores")
    parser.add_argument("--full", action="store_true", help="the full range as well: half an hour more")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.json")
    parser.add_argument("--tables", type=Path, help="print the tables of this file; measure nothing")
    options = parser.parse_args()
    if options.tables:
        print(report(json.loads(options.tables.read_text())))
        return
    days = {int(number) for number in options.days.split(",")} | ({FULL_DAYS} if options.full else set())
    if options.base not in days or len(days) < 2:
        parser.error(f"--days {options.days} must be two ranges or more, --base {options.base} among them")
    document = measure_all(tuple(sorted(days)), options.base)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document["growth"] = growth(document)
    options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(report(document))
    print(f"\nWritten to {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
