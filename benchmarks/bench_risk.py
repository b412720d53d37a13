"""The Risk screen's part of a picture over a long live run: the first look, and a refresh after each scan.

    python benchmarks/bench_risk.py [--scans 50000]

A refresh reads what is new, and the account; it should take less than 5 ms in the median. The baseline reads
every scan again. The run is made up: an account on a random walk, a scan every 2 s, in a database of its own.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.queries.risk_views import RiskReader
from tradingai.engine.queries.run_snapshot import WatchedRun
from tradingai.engine.runtime.account_facts import HomeAccounts
from tradingai.engine.store.migrate import migrations
from tradingai.engine.store.stamps import stamp

RUN = "live-benchmark"
START = datetime(2025, 11, 7, 1, 10, tzinfo=UTC)
EVERY = timedelta(seconds=2)
REFRESHES = 300
SCAN = "INSERT INTO scans VALUES (?, ?, ?, ?, 'done', '', 1, 1, NULL, 0, '', 200000, ?, 0, 'ACTIVE')"


def make(database: Path, scans: int) -> sqlite3.Connection:
    """A database with one live run of ``scans`` scans."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.row_factory = sqlite3.Row
    for migration in migrations():
        connection.executescript(migration.sql)
    config = DeskConfig()
    desk = dumps(open_desk(config, datetime_to_us(START)).as_json())
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO runs (run_id, kind, clock, started_at, settings_hash, code_version, model_hashes)"
        " VALUES (?, 'live', 'real', ?, '', '', '{}')",
        (RUN, stamp(START)),
    )
    connection.execute("INSERT INTO live_runs VALUES (?, 'made up', NULL)", (RUN,))
    connection.execute(
        "INSERT INTO desk_changes VALUES (?, 1, 0, ?, 'started', '', ?, ?)",
        (RUN, stamp(START), desk, dumps(config.as_json())),
    )
    connection.execute("INSERT INTO run_accounts VALUES (?, ?, ?, ?)", (RUN, scans, stamp(START), desk))
    equity = 200_000 + np.random.default_rng(1).normal(0, 2, scans).cumsum()
    connection.executemany(SCAN, [scan(number, float(value)) for number, value in enumerate(equity, 1)])
    connection.execute("COMMIT")
    return connection


def scan(number: int, equity: float) -> tuple[str, int, str, str, float]:
    """One row of the table of scans."""
    at = stamp(START + number * EVERY)
    return RUN, number, at, at, equity


def milliseconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def measure(folder: Path, scans: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    connection = make(folder / "tradingai.db", scans)
    code = HomeAccounts(Settings(), HomePaths(folder))
    run, now = WatchedRun(RUN, "live", "open", START), START + scans * EVERY
    reader = RiskReader(code)
    first = milliseconds(lambda: reader.read(connection, run, now))
    refreshes = []
    for number in range(scans + 1, scans + REFRESHES + 1):
        connection.execute(SCAN, scan(number, 200_000.0))
        refreshes.append(milliseconds(lambda: reader.read(connection, run, now)))
    again = milliseconds(lambda: RiskReader(code).read(connection, run, now))
    connection.close()
    return {
        "scans": scans,
        "first_look_ms": first,
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
        print(json.dumps(measure(Path(folder), chosen.scans), indent=1))


if __name__ == "__main__":
    main()
