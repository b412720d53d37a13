"""What the live loop under the console costs: CPU, memory, and bytes written to the terminal.

    python benchmarks/console_live.py [--home HOME] [--minutes 5 | --hour] [--interval 2] [--attached]

The console runs in a pseudo-terminal of 120 × 40 on the Monitor, with the scan loop in its own process, or
with --attached beside `tradingai run`. HOME is copied; without one the quick pipeline is run first (a minute
or two). The baseline of the bytes is a terminal painted anew with every scan and every second's tick.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console import ROOT, Terminal, console, show, tradingai

WARM_S = 30.0
"""The loop's first scans, in which caches fill, are not measured."""
SAMPLE_S = 10.0


def prepare(home: Path, source: Path | None) -> None:
    """A home with promoted models."""
    if source is not None:
        subprocess.run(["cp", "-a", str(source), str(home)], check=True)
    else:
        tradingai(home, "pipeline", "--workload", "quick")


def begin_loop(terminal: Terminal, interval_s: float) -> None:
    """Start the scan loop by its key."""
    terminal.press("L")
    if terminal.read_until("seconds between scans") is None:
        raise SystemExit("the dialog of the scan loop did not open")
    terminal.drain(1)
    terminal.press("\x7f" * 8)
    terminal.drain(0.5)
    terminal.press(f"{interval_s:g}")
    terminal.drain(0.5)
    terminal.press("\r")


@contextmanager
def engine_elsewhere(home: Path, interval_s: float) -> Iterator[None]:
    """`tradingai run` in a process of its own."""
    command = (sys.executable, "-m", "tradingai", "--home", str(home), "run", "--interval", f"{interval_s:g}")
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def count_bytes(terminal: Terminal, seconds: float) -> int:
    """Bytes written to the terminal in that time."""
    end, count = time.perf_counter() + seconds, 0
    while (left := end - time.perf_counter()) > 0:
        if select.select([terminal.descriptor], [], [], left)[0]:
            count += len(os.read(terminal.descriptor, 1 << 16))
    return count


def whole_page(terminal: Terminal) -> int:
    """Bytes of one complete painting: another screen and back."""
    terminal.press("0")
    terminal.drain(2)
    terminal.press("6")
    return count_bytes(terminal, 0.8)


def measure(terminal: Terminal, minutes: float, interval_s: float) -> None:
    """Print the table."""
    page = whole_page(terminal)
    terminal.drain(WARM_S)
    memory = [terminal.resident_mb()]
    rates: list[float] = []
    begun, before = time.perf_counter(), terminal.processor_seconds()
    while time.perf_counter() < begun + minutes * 60:
        rates.append(count_bytes(terminal, SAMPLE_S) / SAMPLE_S)
        memory.append(terminal.resident_mb())
    used = (terminal.processor_seconds() - before) / (time.perf_counter() - begun)
    rates.sort()
    show("CPU", f"{100 * used:.2f} %", f"of one core over {minutes:g} min; limit 3")
    growth = memory[-1] - memory[0]
    show("memory", f"{memory[-1]:.1f} MB", f"{growth:+.1f} in {minutes:g} min, at most {max(memory):.1f}")
    baseline = page * (1 + 1 / interval_s)
    note = f"busiest 10 s {rates[-1]:,.0f}; painted anew each time {baseline:,.0f}"
    show("bytes/s to the terminal", f"{sum(rates) / len(rates):,.0f}", note)


def main() -> None:
    """Prepare, begin, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--attached", action="store_true")
    chosen = parser.parse_args()
    minutes = 60.0 if chosen.hour else chosen.minutes
    with tempfile.TemporaryDirectory(prefix="console-live-") as folder:
        home = Path(folder) / "home"
        prepare(home, chosen.home)
        terminal = console(home)
        terminal.read_until("here")
        terminal.drain(3)
        terminal.press("6")
        terminal.drain(2)
        if chosen.attached:
            with engine_elsewhere(home, chosen.interval):
                if terminal.read_until("attached") is None:
                    raise SystemExit("the console did not attach")
                measure(terminal, minutes, chosen.interval)
        else:
            begin_loop(terminal, chosen.interval)
            measure(terminal, minutes, chosen.interval)
        terminal.kill()


if __name__ == "__main__":
    main()
