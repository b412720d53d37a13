"""The decision code over a long range: scans a second of a backtest, which live loop and replay share.

    python benchmarks/bench_backtest.py [--days 60] [--repeats 3]

One coin on a random walk, once with a model that never reaches the threshold and once with one that knows
where the next quarter hour goes, so that there is hardly a minute without a position and the account is never
halted. In CPU time, the fastest of the repeats.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import DAY_MINUTES, HORIZON_MINUTES, MINUTE_US
from tradingai.engine.evaluation.backtest import BacktestPlan, TradedRange, backtest

START: Final = datetime(2025, 8, 1, tzinfo=UTC)
ATR_RATIO: Final = 0.001


def walk(minutes: int) -> Candles:
    """Closes of a random walk, each opening at the close before."""
    draws = np.random.default_rng(1)
    closes = 40_000 * np.exp(np.cumsum(draws.normal(0, 5e-4, minutes)))
    opens = np.concatenate([[40_000.0], closes[:-1]])
    around = 1 + np.abs(draws.normal(0, 2e-4, minutes))
    ts = datetime_to_us(START) + MINUTE_US * np.arange(minutes, dtype=np.int64)
    high, low = np.maximum(opens, closes) * around, np.minimum(opens, closes) / around
    return Candles(ts, opens, high, low, closes, np.ones(minutes))


def knowing(candles: Candles) -> npt.NDArray[np.float64]:
    """P(up) 0.9 where the close a horizon later is higher, else 0.1; 0.5 where the walk ends before."""
    known = np.full(len(candles), 0.5)
    known[:-HORIZON_MINUTES] = np.where(
        candles.close[HORIZON_MINUTES:] > candles.close[:-HORIZON_MINUTES], 0.9, 0.1
    )
    return known


def once(candles: Candles, p_up: npt.NDArray[np.float64]) -> tuple[float, int, int]:
    """CPU seconds, scans and trades of one backtest of a model that says ``p_up``."""
    rows = len(candles)
    ratio = np.full(rows, ATR_RATIO, dtype=np.float32)
    real = np.ones(rows, dtype=bool)
    test = TradedRange("made up", "BTC-USD", candles, real, (), 0, rows, p_up, ratio)
    began = time.process_time()
    found = backtest(BacktestPlan(), test, SilentReporter())
    seconds = time.process_time() - began
    if found.halted is not None:
        raise ValueError(f"the account was halted ({found.halted['detail']}): this measures something else")
    return seconds, found.scans, found.trades


def measure(days: int, repeats: int) -> dict[str, float]:
    """Scans a CPU second without a position and with one, and the trades of the latter a day."""
    candles = walk(days * DAY_MINUTES)
    unsure, sure = np.full(len(candles), 0.5), knowing(candles)
    flat_s, scans, _ = min(once(candles, unsure) for _ in range(repeats))
    held_s, _, trades = min(once(candles, sure) for _ in range(repeats))
    return {
        "flat_scans_per_s": scans / flat_s,
        "held_scans_per_s": scans / held_s,
        "trades_a_day": trades / days,
    }


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.days, options.repeats)
    for name, what in (("flat", "no position"), ("held", f"{found['trades_a_day']:.0f} trades a day")):
        rate = found[f"{name}_scans_per_s"]
        print(f"{what:16s} {rate:9,.0f} scans/s   {1e6 / rate:6.1f} µs a scan")


if __name__ == "__main__":
    main()
