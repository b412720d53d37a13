"""10,000 attempts at a challenge on one core, beside the same attempts one by one through the risk code.

    OMP_NUM_THREADS=1 python benchmarks/bench_challenge.py [--attempts 10000] [--days 321] [--trades 20]

The history is made up: so many Prague days, a Poisson number of trades on each, net R of mean 0.02 and
deviation 0.75. Measured is everything from the history in memory to the outcomes: its tables, the draws, the
play. The baseline plays 20 of the attempts event by event by the functions of ``engine.risk`` and is
extrapolated; both have to end the same.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
from tradingai.engine.challenge.attempt import ENDINGS, play
from tradingai.engine.challenge.history import ChallengeConfig, History, PastDay, PastTrade
from tradingai.engine.challenge.many import play_many
from tradingai.engine.challenge.table import DayTable
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.risk.ftmo import RULES
from tradingai.engine.risk.guard import RiskConfig
from tradingai.engine.risk.limits import RateLimits
from tradingai.engine.risk.prague import midnight_us

FIRST_DAY = 20_000
BASELINE_ATTEMPTS = 20


def history(days: int, trades: float, seed: int = 1) -> History:
    """So many days with so many trades a day in the mean, some of them over midnight."""
    rng = np.random.default_rng(seed)
    return History(tuple(_day(FIRST_DAY + number, rng, trades) for number in range(days)))


def _day(day: int, rng: np.random.Generator, trades: float) -> PastDay:
    start, minutes = midnight_us(day), (midnight_us(day + 1) - midnight_us(day)) // MINUTE_US
    made = []
    for _ in range(rng.poisson(trades)):
        entry = start + int(rng.integers(minutes)) * MINUTE_US
        r = float(rng.normal(0.02, 0.75))
        worst = min(r, -abs(float(rng.normal(0.0, 0.6))))
        high = bool(rng.random() < 0.3)
        until = entry + 18 * MINUTE_US
        made.append(PastTrade(entry, entry + 15 * MINUTE_US, until, high, r, worst, 1.25, 250.0))
    return PastDay(day, tuple(sorted(made)))


def measure(account: str, attempts: int, days: int, trades: float, risk: float = 0.0025) -> dict[str, Any]:
    """Seconds of both ways, and how the attempts ended. Raises SystemExit when they end differently."""
    past = history(days, trades)
    config = ChallengeConfig(replace(RiskConfig(), rules=RULES[account]), RateLimits(), risk)
    began, cpu = time.perf_counter(), time.process_time()
    draws = np.random.default_rng(1).integers(0, days, (attempts, config.max_days), dtype=np.uint16)
    outcomes = play_many(DayTable.of(past), draws, config)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    alone = [play(past, draws[row].tolist(), config) for row in range(BASELINE_ATTEMPTS)]
    one_by_one = (time.perf_counter() - began) * attempts / BASELINE_ATTEMPTS
    for row, outcome in enumerate(alone):
        if (outcome.ending, outcome.day) != (ENDINGS[outcomes.ending[row]], outcomes.day[row]):
            raise SystemExit(f"attempt {row} ends otherwise by the risk code: {outcome}")
    return {
        "account": account,
        "attempts": attempts,
        "days": days,
        "trades": past.trades,
        "seconds": seconds,
        "cpu_s": cpu_s,
        "one_by_one_s": one_by_one,
        "attempt_days": int(outcomes.day.sum()),
        "endings": {ending: outcomes.share(ending) for ending in ENDINGS},
    }


def main() -> None:
    """Print the figures of both accounts as one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attempts", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=321)
    parser.add_argument("--trades", type=float, default=20.0, help="a day, in the mean")
    chosen = parser.parse_args()
    print(
        json.dumps(
            [measure(account, chosen.attempts, chosen.days, chosen.trades) for account in RULES], indent=1
        )
    )


if __name__ == "__main__":
    main()
