"""Reading a tick export: rows a second and peak memory, beside polars reading the file whole.

    python benchmarks/bench_execution.py [--rows 5000000]

Each way has a process of its own. The file is made up: 30 days of a coin, a fifth of the rows one-sided.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

ROWS: Final = 5_000_000
_DAY_MS: Final = 86_400_000


def write_ticks(path: Path, rows: int) -> None:
    """A tick export of ``rows`` rows over 30 days, a fifth of them with one side only."""
    rng = np.random.default_rng(5)
    at = np.sort(rng.integers(0, 30 * _DAY_MS, rows))
    mid = 40_000 + np.cumsum(rng.normal(0, 0.4, rows))
    half = rng.uniform(1, 12, rows)
    days = [f"2026.07.{day:02d}" for day in range(1, 31)]
    with path.open("w", newline="") as stream:
        stream.write("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n")
        for lo in range(0, rows, 200_000):
            lines = []
            for number in range(lo, min(lo + 200_000, rows)):
                day, ms = divmod(int(at[number]), _DAY_MS)
                seconds, ms = divmod(ms, 1000)
                clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"
                ask = "" if number % 5 == 4 else f"{mid[number] + half[number]:.2f}"
                lines.append(f"{days[day]}\t{clock}\t{mid[number] - half[number]:.2f}\t{ask}\t\t\t6\r\n")
            stream.write("".join(lines))


_READ: Final = """
import json, sys, time
from pathlib import Path
path = Path(sys.argv[2])
if sys.argv[1] == "stream":
    from tradingai.engine.providers.mt5.export_file import recognise
    from tradingai.engine.providers.mt5.quotes import QuoteReader
    from tradingai.engine.providers.mt5.server_time import ServerClock, ServerTime
    from tradingai.engine.risk.measured_costs import CostSketch
    begun = time.perf_counter()
    reader, sketch = QuoteReader(recognise(path), ServerClock(ServerTime.named("ftmo"))), CostSketch()
    for spreads in reader:
        sketch.add(spreads.ts_us, spreads.bps)
    sketch.measurement("BTC-USD", "spread_bps")
    rows = reader.counts.rows
else:
    import polars as pl
    begun = time.perf_counter()
    frame = pl.read_csv(path, separator="\\t")
    stamps = (pl.col("<DATE>") + " " + pl.col("<TIME>")).str.to_datetime("%Y.%m.%d %H:%M:%S%.3f")
    frame = frame.select(
        stamps.dt.offset_by("-7h").dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC"),
        pl.col("<BID>").forward_fill(), pl.col("<ASK>").forward_fill(),
    )
    bps = frame.select((pl.col("<ASK>") - pl.col("<BID>")) / (pl.col("<ASK>") + pl.col("<BID>")) * 2e4)
    [bps.quantile(share) for share in (0.5, 0.9)]
    rows = len(frame)
seconds = time.perf_counter() - begun
# ru_maxrss would count the parent's memory too; VmHWM begins anew with each program.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak_mb = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak_mb}))
"""


def measure(path: Path, how: str) -> dict[str, float]:
    """``rows``, ``seconds`` and ``peak_mb`` of reading ``path``: ``stream`` is the product's way."""
    done = subprocess.run([sys.executable, "-c", _READ, how, str(path)], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "BTCUSD_bench.csv"
        write_ticks(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
        for how in ("stream", "whole"):
            found = measure(path, how)
            rate = found["rows"] / found["seconds"]
            print(f"{how:8}{found['seconds']:7.2f} s {rate:12,.0f} rows/s, peak {found['peak_mb']:,.0f} MB")


if __name__ == "__main__":
    main()
