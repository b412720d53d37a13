"""Fetches of one coin from an exchange on loopback, in this process or in one that can be killed.

As a program: ``python -m tests.fakes.fetching HOME SYMBOL START END SCALE SETTINGS``, on a clock that runs
SCALE times as fast as the machine's. At its end it says how many MB it needed at the most.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter, SilentReporter
from tradingai.engine.core.settings import settings_from_worker
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import Cleaned, clean
from tradingai.engine.providers.fetching import FetchedCandles, fetch_candles
from tradingai.engine.store.candle_files import read_candles, read_flags
from tradingai.engine.store.manifests import read_dataset_manifest

from tests.fakes.exchange_api import ExchangeApi
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.loopback_only import loopback_only

SCALE = 1000.0


class FastClock:
    """The machine's monotonic clock, sped up; the same in every process."""

    def __init__(self, scale: float = SCALE) -> None:
        self._scale = scale
        self._start = datetime(2025, 11, 10, 1, 0, tzinfo=UTC)
        self._begun = self.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic() - self._begun)

    def monotonic(self) -> float:
        return time.monotonic() * self._scale

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self._scale)


def fetch(
    paths: HomePaths,
    api: ExchangeApi,
    start_us: int | None,
    end_us: int | None = None,
    *,
    symbol: str = "BTC-USD",
    exchange: str | None = None,
    replace: bool = False,
    reporter: Reporter | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> FetchedCandles:
    """Fetch here; ``end_us`` is the last candle."""
    return fetch_candles(
        paths,
        api.settings(**settings),
        symbol,
        "ccxt",
        exchange,
        None if start_us is None else us_to_datetime(start_us),
        None if end_us is None else us_to_datetime(end_us),
        reporter or SilentReporter(),
        clock=clock or LeapingClock(),
        replace=replace,
    )


def check_stored(paths: HomePaths, raw: Candles, symbol: str = "BTC-USD") -> None:
    """Values, flags and report are those of cleaning ``raw`` in one piece."""
    check_equal(paths, clean(raw), symbol)


def check_equal(paths: HomePaths, wanted: Cleaned, symbol: str) -> None:
    stored, manifest = read_candles(paths, symbol), read_dataset_manifest(paths, symbol)
    for name, column in wanted.candles.columns().items():
        np.testing.assert_array_equal(stored.columns()[name], column, err_msg=name)
    flagged = np.flatnonzero(wanted.flags)
    flags = read_flags(paths, symbol)
    np.testing.assert_array_equal(flags.ts, wanted.candles.ts[flagged])
    np.testing.assert_array_equal(flags.mask, wanted.flags[flagged])
    assert manifest.quality == wanted.report.as_json()
    assert wanted.report.accounted


def worst_minute(api: ExchangeApi, span_s: float = 60.0) -> float:
    """The largest weight of requests that arrived within ``span_s`` seconds of the server's ticker."""
    times = np.array([request.at for request in api.requests])
    weights = np.cumsum([0.0, *(request.weight for request in api.requests)])
    ends = np.searchsorted(times, times + span_s, side="left")
    return float((weights[ends] - weights[:-1]).max())


def main(home: str, symbol: str, start: str, end: str, scale: str, settings: str) -> int:
    with loopback_only():
        fetch_candles(
            HomePaths(Path(home)),
            settings_from_worker(json.loads(settings)),
            symbol,
            "ccxt",
            None,
            us_to_datetime(int(start)),
            us_to_datetime(int(end)),
            SilentReporter(),
            clock=FastClock(float(scale)),
        )
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    sys.stdout.write(f"{int(peak) // 1024}\n")
    return 0


def arguments(
    paths: HomePaths, api: ExchangeApi, start_us: int, end_us: int, symbol: str = "BTC-USD"
) -> list[str]:
    """The program that does it in a process of its own."""
    settings = json.dumps(api.settings().for_worker(), default=str)
    values = (str(paths.root), symbol, str(start_us), str(end_us), str(SCALE), settings)
    return [sys.executable, "-m", "tests.fakes.fetching", *values]


def minutes_later(us: int, minutes: int) -> int:
    return us + minutes * MINUTE_US


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
