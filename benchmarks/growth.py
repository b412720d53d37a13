"""What each stage of the pipeline costs, what bounds it, and how it grows with rows, coins and cores.

    python benchmarks/growth.py [--days 60,120,240,480] [--base 120] [--full] [--out FILE]
    python benchmarks/growth.py --tables FILE

Every number comes from a real ``Pipeline`` of the product in a home of its own, whose jobs run in the
product's worker with a meter beside it (growth_worker.py). A pipeline for each range and one each with one
and two coins have a single core each, as many side by side as there are cores: a job never waits for another
there. Then the base range runs once more with all cores, alone. Processes are given their cores before they
start. Torch's own profiler looks at training on the smallest home (growth_kernels.py). Tables go to standard
output as Markdown, everything that was measured to the JSON; ``--tables`` prints the tables of a JSON.

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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.pipeline.plan import LAST_CANDLE, WORKLOADS

from bench_rows import machine
from growth_tables import growth, report

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

    @property
    def start(self) -> datetime:
        """Open time of the first candle."""
        if self.days == FULL_DAYS:
            return WORKLOADS["full"].start
        return LAST_CANDLE - timedelta(days=self.days) + timedelta(minutes=1)

    def __str__(self) -> str:
        cores = "all cores" if self.part == "cores" else "one core"
        return f"{self.days:,} days, {self.coins} coin{'s' if self.coins > 1 else ''}, {cores}"


def planned(days: Iterable[int], base: int) -> list[Wanted]:
    """What has one core each, the longest first: every range with all coins, the base with fewer."""
    coins = len(PIPELINE_SYMBOLS)
    rows = [Wanted("rows", number, coins) for number in days]
    fewer = [Wanted("coins", base, number) for number in range(1, coins)]
    return sorted([*rows, *fewer], key=lambda wanted: -wanted.days * wanted.coins)


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


def _run(command: list[str], env: dict[str, str]) -> str:
    """Standard output of a child, which has the cores of this thread. Raises RuntimeError when it fails."""
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stderr}{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def measure(wanted: Wanted, folder: Path) -> dict[str, Any]:
    """Run one pipeline in ``folder``/home, on the cores of this thread."""
    accounts, home, out = folder / "jobs", folder / "home", folder / "run.json"
    accounts.mkdir(parents=True)
    symbols = PIPELINE_SYMBOLS[: wanted.coins]
    command = [str(BENCHMARKS / "growth_pipeline.py"), str(home), str(out), wanted.start.isoformat()]
    _run(command, environment(accounts, symbols))
    found: dict[str, Any] = json.loads(out.read_text())
    cpu_s = found["engine_cpu_s"] + sum(job["cpu_s"] for job in found["jobs"])
    print(f"… {wanted}: {found['wall_s']:.0f} s, {cpu_s:.0f} s CPU", file=sys.stderr, flush=True)
    return {"part": wanted.part, "days": wanted.days, **found}


def kernels(folder: Path) -> list[dict[str, Any]]:
    """Torch's operations in the training of each kind of model, on the home in ``folder``."""
    script, env = str(BENCHMARKS / "growth_kernels.py"), environment(folder, PIPELINE_SYMBOLS)
    return [json.loads(_run([script, str(folder / "home"), model], env)) for model in PROFILED]


class Lanes:
    """Measures pipelines side by side, each on a core of its own."""

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        self._folder, self._free = folder, list(cores)
        self.kernels: list[dict[str, Any]] = []

    def run(self, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
        """All of them, as many at a time as there are cores; the smallest range is profiled as well."""
        smallest = min((one for one in wanted if one.part == "rows"), key=lambda one: one.days)
        with ThreadPoolExecutor(len(self._free)) as pool:
            return list(pool.map(lambda one: self._alone(one, profile=one is smallest), wanted))

    def _alone(self, wanted: Wanted, *, profile: bool) -> dict[str, Any]:
        """One pipeline on the next free core; only this thread, and what it starts, is bound to it."""
        core = self._free.pop()
        folder = self._folder / str(wanted)
        os.sched_setaffinity(0, {core})
        try:
            found = measure(wanted, folder)
            if profile:
                self.kernels = kernels(folder)
        finally:
            self._free.append(core)
            rmtree(folder, ignore_errors=True)
        return found


def measure_all(days: Iterable[int], base: int) -> dict[str, Any]:
    """Every pipeline and the profiles, and what they were measured on."""
    began, described = time.perf_counter(), machine()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="tradingai-growth-") as temporary:
        folder = Path(temporary)
        lanes = Lanes(folder, cores)
        runs = lanes.run(planned(days, base))
        if len(cores) > 1:
            runs.append(measure(Wanted("cores", base, len(PIPELINE_SYMBOLS)), folder / "all cores"))
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": described,
        "market": MARKET,
        "base_days": base,
        "seconds": time.perf_counter() - began,
        "runs": runs,
        "kernels": lanes.kernels,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


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
    document = measure_all(days, options.base)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    _write(options.out, document)
    _write(options.out, document | {"growth": growth(document)})
    print(report(document))
    print(f"\nWritten to {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
