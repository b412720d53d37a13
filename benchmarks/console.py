"""How fast the console is: first paint, key to paint while two workers train, idle CPU, growth of memory.

    python benchmarks/console.py [--home HOME] [--keys 300] [--idle 60] [--minutes 5 | --hour]

Measures in a pseudo-terminal of 120 × 40. HOME is copied; without one the quick candles and features are made
first (a minute). First paint is compared with that of an empty Textual app in the same run.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from process_tree import ROOT, plain_environment, tree

EMPTY_APP = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("DRY-RUN")
Empty().run()
"""
KEYS = (
    ("2", "Datasets"),
    ("9", "Models"),
    ("4", "Loss by epoch"),
    ("3", "look-back"),
    ("5", "Gates"),
    ("0", "newest last"),
    ("k", "▸"),
    ("j", "▸"),
    ("1", "Pipeline"),
    ("?", "Everywhere"),
    ("?", "Pipeline"),
)
"""Keys, and a text that only their paint writes."""
MISSED_S = 5.0


class Terminal:
    """A process in a pseudo-terminal."""

    def __init__(self, *program: str) -> None:
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        environment = {**plain_environment(), **colours}
        environment.pop("NO_COLOR", None)
        self.begun = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execve(program[0], program, environment)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read_until(self, text: str, seconds: float = 60) -> float | None:
        """Seconds until ``text`` was written, or None."""
        begun, seen, needle = time.perf_counter(), b"", text.encode()
        while (left := begun + seconds - time.perf_counter()) > 0:
            if select.select([self.descriptor], [], [], left)[0]:
                seen += self._written()
                if needle in seen:
                    return time.perf_counter() - begun
        return None

    def drain(self, seconds: float) -> None:
        """Take what is written for a while."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.descriptor], [], [], left)[0]:
                self._written()

    def _written(self) -> bytes:
        """What it wrote since it was last asked. Raises SystemExit when it has ended."""
        try:
            return os.read(self.descriptor, 1 << 16)
        except OSError:
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
            raise SystemExit(f"the program in the terminal (process {self.pid}) ended {how}") from None

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.descriptor, keys.encode())

    def processor_seconds(self) -> float:
        """Processor time of the process itself, not of its workers."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Memory in use."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self, wait_s: float = 30.0) -> None:
        """End it at once, and wait for its workers, which end when they notice.

        Raises SystemExit when one of them runs on: it would weigh on what is measured next.
        """
        workers = [pid for pid in tree(self.pid) if pid != self.pid]
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        until = time.perf_counter() + wait_s
        while left := [pid for pid in workers if _runs(pid)]:
            if time.perf_counter() > until:
                raise SystemExit(f"processes {left} of the console run on {wait_s:g} s after its end")
            time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:  # it has ended
        return False


def console(home: Path) -> Terminal:
    """The console over a home."""
    return Terminal(sys.executable, "-m", "tradingai", "--home", str(home))


def tradingai(home: Path, *arguments: str) -> None:
    """Run a command to its end."""
    subprocess.run([sys.executable, "-m", "tradingai", "--home", str(home), *arguments], cwd=ROOT, check=True)


def prepare(home: Path, source: Path | None) -> None:
    """A home with candles and features of two coins."""
    if source is not None:
        shutil.copytree(source, home, symlinks=True)
        return
    tradingai(home, "data", "generate", "--symbols", "BTC,ETH")
    tradingai(home, "features", "build", "--symbols", "BTC,ETH")


def opened(home: Path) -> Terminal:
    """The console over a home, painted and at rest."""
    terminal = console(home)
    if terminal.read_until("here") is None:
        raise SystemExit("the console did not open within a minute")
    terminal.drain(5)
    return terminal


def first_paint(home: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds to the first row of every round, of the console and of an empty Textual app."""
    ours: list[float] = []
    empty: list[float] = []
    for _ in range(rounds):
        for found, start in (
            (ours, lambda: console(home)),
            (empty, lambda: Terminal(sys.executable, "-c", EMPTY_APP)),
        ):
            terminal = start()
            if terminal.read_until("DRY-RUN") is None:
                raise SystemExit("nothing was painted within a minute")
            found.append(time.perf_counter() - terminal.begun)
            terminal.drain(0.5)
            terminal.kill()
    return ours, empty


def key_to_paint(terminal: Terminal, count: int) -> tuple[list[float], list[float]]:
    """Seconds from key to paint: first visits of screens, and all later keys.

    A key whose paint is not recognised within MISSED_S counts with MISSED_S.
    """
    first: list[float] = []
    later: list[float] = []
    for index in range(count):
        key, text = KEYS[index % len(KEYS)]
        terminal.drain(0.12)
        terminal.press(key)
        seconds = terminal.read_until(text, MISSED_S)
        (first if index < len(KEYS) else later).append(MISSED_S if seconds is None else seconds)
    return first, later


def train_two(terminal: Terminal) -> None:
    """Start two trainings that outlast the measurement."""
    terminal.press("4")
    terminal.drain(3)
    terminal.press("t")
    if terminal.read_until("start over") is None:
        raise SystemExit("the training dialog did not open")
    terminal.drain(2)
    for keys in (
        "\x7f" * 40,
        "BTC,ETH",
        "\x1b[B",
        "\x7f" * 6,
        "1000",
        "\x1b[B\x1b[B",
        "\x7f" * 4,
        "yes",
        "\r",
    ):
        terminal.press(keys)
        terminal.drain(0.5)
    terminal.press("1")
    if terminal.read_until("2 jobs", 120) is None:
        raise SystemExit("the trainings did not start")


def quantile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(what: str, value: str, note: str) -> None:
    """One row of the table, as soon as it is known."""
    print(f"{what:<24}{value:>10}   {note}", flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--hour", action="store_true")
    chosen = parser.parse_args()
    minutes = 60.0 if chosen.hour else chosen.minutes
    with tempfile.TemporaryDirectory(prefix="console-bench-") as folder:
        home = Path(folder) / "home"
        prepare(home, chosen.home)
        ours, empty = (statistics.median(seconds) for seconds in first_paint(home, 5))
        show("first paint", f"{ours * 1000:.0f} ms", f"an empty Textual app {empty * 1000:.0f}; limit 1000")
        terminal = opened(home)
        before, begun = terminal.processor_seconds(), time.perf_counter()
        terminal.drain(chosen.idle)
        idle = (terminal.processor_seconds() - before) / (time.perf_counter() - begun)
        show("idle CPU", f"{idle * 100:.2f} %", f"of one core over {chosen.idle:.0f} s; limit 1")
        first, quiet = key_to_paint(terminal, max(len(KEYS) * 3, chosen.keys // 4))
        show("first visit of a screen", f"{max(first) * 1000:.0f} ms", "the slowest")
        show(
            "key to paint, idle",
            f"{quantile(quiet, 0.5) * 1000:.0f} ms",
            f"p99 {quantile(quiet, 0.99) * 1000:.0f}",
        )
        train_two(terminal)
        busy = [seconds for part in key_to_paint(terminal, chosen.keys) for seconds in part]
        note = f"p99 {quantile(busy, 0.99) * 1000:.0f}; {len(busy)} keys, two workers; limit 100"
        show("key to paint, training", f"{quantile(busy, 0.5) * 1000:.0f} ms", note)
        start = terminal.resident_mb()
        terminal.drain(minutes * 60)
        end = terminal.resident_mb()
        show("memory", f"{end:.1f} MB", f"{end - start:+.1f} in {minutes:g} min of training")
        terminal.kill()


if __name__ == "__main__":
    main()
