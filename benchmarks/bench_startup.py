"""How long `tradingai --help` and `tradingai status` take, beside the help of an empty Typer application.

    python benchmarks/bench_startup.py --home HOME [--runs 15]

Requirements (product.md section 15), of the median: help 0.3 s, status 0.5 s. Each round runs all three, so
that a busy moment hits all; the first round, in which byte code may be compiled, is not counted. HOME is only
read.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from process_tree import ROOT, plain_environment

EMPTY: Final = """
import typer
app = typer.Typer(rich_markup_mode=None, add_completion=False)
@app.command()
def empty() -> None: ...
app()
"""


def measure(home: Path, runs: int) -> dict[str, list[float]]:
    """Seconds of every run of ``help``, ``status`` and ``empty``. Raises SystemExit when one fails."""
    product = (sys.executable, "-m", "tradingai")
    commands = {
        "empty": (sys.executable, "-c", EMPTY, "--help"),
        "help": (*product, "--help"),
        "status": (*product, "--home", str(home), "status"),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            found[name].append(_seconds(command))
    return {name: seconds[1:] for name, seconds in found.items()}


def _seconds(command: tuple[str, ...]) -> float:
    environment = plain_environment()
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} ended with {done.returncode}: {done.stderr.strip()}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    for name, seconds in measure(options.home, options.runs).items():
        middle, slowest = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
        print(f"{name:<8}median {middle:6.0f} ms  slowest {slowest:6.0f} ms")


if __name__ == "__main__":
    main()
