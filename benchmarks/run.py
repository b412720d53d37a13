"""All benchmarks in one table: what was measured, what is required, and a baseline from the same run.

    python benchmarks/run.py [--only candles,features] [--days 120] [--out FILE]

Every benchmark runs in a process of its own, over one folder that they share, on the full workload's range
unless ``--days`` says less (then only rows whose size is always the same are judged). Without ``--only`` all
run, in the order of BENCHMARKS. One that fails is named and the others run on; then, and when a requirement
is not met, the exit status is 1. To add one: a function that takes a Bench and returns rows, in BENCHMARKS.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import bench_engine
import bench_operator
from bench_rows import (
    FULL_ROWS,
    Bench,
    Document,
    Ran,
    Row,
    commit_of,
    load,
    machine,
    row_from,
    table,
    write_document,
)

ROOT: Final = Path(__file__).resolve().parents[1]

BENCHMARKS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "candles": bench_engine.candles,
    "features": bench_engine.features,
    "lstm": bench_engine.lstm,
    "ppo": bench_engine.ppo,
    "scan": bench_engine.scan,
    "execution": bench_engine.execution,
    "challenge": bench_engine.challenge,
    "quick": bench_operator.quick,
    "startup": bench_operator.startup,
    "console": bench_operator.console,
    "full": bench_operator.full,
}


def run_apart(name: str, bench: Bench) -> tuple[Ran, list[Row]]:
    """One benchmark in a process of its own."""
    answer = bench.home / f"{name}.json"
    answer.unlink(missing_ok=True)
    command = [
        sys.executable, __file__, "--one", name, "--home", str(bench.home), "--rows", str(bench.rows),
        "--out", str(answer),
    ]  # fmt: skip
    busy, began = load(), time.perf_counter()
    done = subprocess.run(command, check=False)
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        return Ran(name, busy, seconds, f"it ended with {done.returncode}"), []
    return Ran(name, busy, seconds), [row_from(row) for row in json.loads(answer.read_text())]


def run_all(names: list[str], bench: Bench) -> Document:
    """The benchmarks, one after the other."""
    described, git = machine(), commit_of(ROOT)
    print(f"{described['cpu']}, {described['cores']} cores, {described['memory_gb']} GB, "
          f"load {described['load'][0]} before it began")  # fmt: skip
    ran: list[Ran] = []
    rows: list[Row] = []
    for name in names:
        print(f"… {name}", file=sys.stderr, flush=True)
        one, made = run_apart(name, bench)
        ran.append(one)
        rows += made
    return Document(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", described, git, bench.rows, ran, rows)


def report(document: Document, out: Path) -> int:
    """Print and keep it; the exit status: 1 where a requirement is not met or a benchmark failed."""
    if document.rows:
        print(table(document.rows, document.rows_a_coin))
    failed = [one for one in document.ran if one.failed]
    for one in failed:
        print(f"benchmark {one.name} failed: {one.failed}", file=sys.stderr)
    write_document(out, document)
    print(f"Written to {out}")
    return int(bool(failed) or any(row.met(document.rows_a_coin) is False for row in document.rows))


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="names, comma-separated")
    parser.add_argument("--days", type=int, help="fewer days than the full workload's")
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help="a folder to work in; default: a temporary one")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--one", choices=BENCHMARKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.days is not None and options.days < 1:
        parser.error(f"--days {options.days}: at least 1")
    rows = options.rows if options.days is None else options.days * 1440
    if options.one:
        made = BENCHMARKS[options.one](Bench(options.home, rows))
        options.out.write_text(json.dumps([asdict(row) for row in made]))
        return 0
    names = options.only.split(",")
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    with tempfile.TemporaryDirectory(prefix="tradingai-bench-") as folder:
        bench = Bench((options.home or Path(folder)).resolve(), rows)
        bench.home.mkdir(parents=True, exist_ok=True)
        return report(run_all(names, bench), options.out)


if __name__ == "__main__":
    sys.exit(main())
