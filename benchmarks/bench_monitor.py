"""The Monitor's part of a picture over a long live run: the first look, and a refresh after each scan.

    python benchmarks/bench_monitor.py [--scans 50000]

Only rows that came into the last 24 hours or left them are read; a refresh should take less than 5 ms in the
median. The baseline reads the whole window again. The run is made up: three coins, a scan every 2 s, a candle
and decisions on it every minute, a signal every six, in a database of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.home import open_home
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.queries.monitor_views import MonitorReader
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.runtime.desk_facts import HomeDesks
from tradingai.engine.store.database import Store
from tradingai.engine.store.live_rows import LiveCandle
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.run_table import RunRow
from tradingai.engine.store.scan_rows import DecisionRow, ScanRecord, ScanRow, SignalRow, TradeRow

RUN = "live-benchmark"
COINS = ("BTC-USD", "ETH-USD", "BNB-USD")
START = datetime(2025, 11, 7, 1, 10, tzinfo=UTC)
EVERY = timedelta(seconds=2)
MINUTE = 30
"""Scans in a minute."""
REFRESHES = 300
AT_ONCE = 2_000
NOISE = random.Random(1)


def decision(seq: int, place: int, at: datetime) -> DecisionRow:
    """One coin at one scan: something is decided once a minute."""
    coin, fresh = COINS[place], seq % MINUTE == 0
    reason = "no_new_candle" if not fresh else "emitted" if emits(seq, place) else "below_threshold"
    score = {"p_up": 0.6, "confidence": 0.6, "side": "long", "tier": "low"}
    return DecisionRow(
        scan_seq=seq, place=place, symbol=coin, at=at, candle=at, reason=reason, detail="",
        **(score if fresh else dict.fromkeys(score)), threshold=0.75, size_factor=1.0,
        outputs={f"lstm_{coin}": 0.6}, versions={f"lstm_{coin}": "v1.0.0"}, input_sha256="a" * 64,
        failed=False, signal_key=f"{coin}@{seq}" if reason == "emitted" else None,
    )  # fmt: skip


def emits(seq: int, place: int = 0) -> bool:
    """The first coin has a signal every six minutes."""
    return place == 0 and seq % (6 * MINUTE) == 0


def record(seq: int) -> ScanRecord:
    """One scan; a signal becomes a trade at once."""
    at, coin = START + seq * EVERY, COINS[0]
    key = f"{coin}@{seq}"
    scan = ScanRow(
        seq=seq, due=at, at=at, state="done", detail="", latency_ms=NOISE.uniform(5, 60), took_ms=5.0,
        threshold=None, killed=False, kill_source="", balance=2e5, equity=2e5, drawdown=0.0, guard="ACTIVE",
    )  # fmt: skip
    signal = SignalRow(key, seq, coin, at, "long", "high", 0.8, 100, 101, 99, 2, 1, 500, 12, 3, 19, "dry-run")
    trade = TradeRow(
        key, seq, coin, "long", "high", 0.8, 1, at, 100, at, 100, 99, 101, at, 100.5, "time", 12, 3, 1, 0,
        500, 100, 0.2, -0.1, 0.3,
    )  # fmt: skip
    decisions = tuple(decision(seq, place, at) for place in range(len(COINS)))
    told = emits(seq)
    return ScanRecord(scan, decisions, (signal,) if told else (), (trade,) if told else ())


def candles(seq: int) -> list[LiveCandle]:
    """What a scan received."""
    at = START + seq * EVERY
    opened = datetime_to_us(at - timedelta(minutes=1))
    fresh = seq % MINUTE == 0
    prices = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 1.0}
    return [
        LiveCandle(scan_seq=seq, warm=False, symbol=coin, ts_us=opened, **prices, received_at=at)
        for coin in COINS
        if fresh
    ]


def milliseconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


async def measure(root: Path, scans: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    clock, settings = RealClock(), Settings()
    paths = open_home(root, clock, create=True).paths
    desk = open_desk(DeskConfig(), datetime_to_us(START)).as_json()
    database = settings.database_path(paths.root)
    async with await Store.open(database, paths, clock) as store:
        await store.runs.start(RunRow(RUN, "live", "real", START, None, "", "", {}))
        await store.live.describe_run(RUN, "made up")
        for first in range(1, scans + 1, AT_ONCE):
            numbers = range(first, min(scans, first + AT_ONCE - 1) + 1)
            received = [candle for seq in numbers for candle in candles(seq)]
            await store.scans.append(RUN, [record(seq) for seq in numbers], desk, candles=received)
        reader = MonitorReader(paths, HomeDesks(settings), settings.latency_budget_ms)

        def look(chosen: MonitorReader, seq: int) -> Callable[[], object]:
            return lambda: chosen.read(connection, choose_run(connection), START + seq * EVERY)

        with reading(database) as connection:
            first_look = milliseconds(look(reader, scans))
            refreshes = []
            for seq in range(scans + 1, scans + REFRESHES + 1):
                await store.scans.append(RUN, [record(seq)], desk, candles=candles(seq))
                refreshes.append(milliseconds(look(reader, seq)))
            fresh = MonitorReader(paths, HomeDesks(settings), settings.latency_budget_ms)
            again = milliseconds(look(fresh, scans + REFRESHES))
    return {
        "scans": scans,
        "first_look_ms": first_look,
        "refresh_ms_p50": statistics.median(refreshes),
        "refresh_ms_p99": sorted(refreshes)[int(0.99 * len(refreshes))],
        "everything_again_ms": again,
    }


def main() -> None:
    """Print the figures as one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=50_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(Path(folder) / "home", chosen.scans)), indent=1))


if __name__ == "__main__":
    main()
