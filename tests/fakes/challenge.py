"""Histories of made-up trades, and the numbers that attempts are played by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tradingai.engine.challenge.history import ChallengeConfig, History, PastDay, PastTrade
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.risk.ftmo import ONE_STEP, TWO_STEP, FtmoRules
from tradingai.engine.risk.guard import BackOff, RiskConfig
from tradingai.engine.risk.limits import RateLimits
from tradingai.engine.risk.prague import midnight_us

FIRST_DAY = 20_000
HOUR_US = 60 * MINUTE_US
WALK = FtmoRules(
    daily_loss=1.0, max_loss=0.10, targets=(0.10, None), min_trading_days=0, internal_fraction=1.0
)
"""A walk between two barriers: no daily limit, no days to wait for."""


def trade(day: int, after_us: int, r: float, **changes: Any) -> PastTrade:
    """A trade that ``day`` opens so long after its midnight and that lasts 15 minutes."""
    entry = midnight_us(day) + after_us
    made = PastTrade(
        entry, entry + 15 * MINUTE_US, entry + 18 * MINUTE_US, False, r, min(r, -0.5), 1.0, 100.0
    )
    return made._replace(**changes)


def one_a_day(results: Sequence[float], *, mae: float | None = None) -> History:
    """A day for each result, with one trade at noon; ``mae``: at its worst, else its result where it lost."""
    days = []
    for number, r in enumerate(results):
        day = FIRST_DAY + number
        worst = min(r, 0.0) if mae is None else mae
        days.append(PastDay(day, (trade(day, 12 * HOUR_US, r, mae_r=worst),)))
    return History(tuple(days))


def config(
    rules: FtmoRules = TWO_STEP, risk_fraction: float = 0.0025, *, max_days: int = 365, **risk: Any
) -> ChallengeConfig:
    """Numbers of the product with other rules and risk."""
    return ChallengeConfig(RiskConfig(rules=rules, **risk), RateLimits(), risk_fraction, max_days)


def random_history(rng: np.random.Generator) -> History:
    """Few days; trades cluster, overlap, cross midnights, win and lose round multiples of R or anything."""
    first = 20_000 + int(rng.integers(700))
    numbers = first + rng.choice(400, size=int(rng.integers(1, 6)), replace=False)
    return History(tuple(PastDay(int(day), _random_trades(rng, int(day))) for day in numbers))


def _random_trades(rng: np.random.Generator, day: int) -> tuple[PastTrade, ...]:
    start, end = midnight_us(day), midnight_us(day + 1)
    trades = []
    for _ in range(int(rng.integers(9)) if rng.random() < 0.8 else 0):
        anywhere = start + int(rng.integers((end - start) // MINUTE_US)) * MINUTE_US
        late = end - int(rng.integers(1, 30)) * MINUTE_US
        together = start + int(rng.integers(600, 700)) * MINUTE_US
        entry = int(rng.choice([anywhere, anywhere, late, together]))
        r = float(rng.choice([-1.1, -1.0, -0.3, 0.0, 0.5, 1.0, 1.9, 2.0, rng.normal(0.2, 1.0)]))
        trades.append(
            PastTrade(
                entry_us=entry,
                exit_us=entry + max(1, int(rng.integers(40)) * MINUTE_US),
                held_until_us=entry + 18 * MINUTE_US,
                high=bool(rng.random() < 0.4),
                r=r,
                mae_r=min(r, -1.4 * float(rng.random())),
                stop_r=float(rng.choice([1.0, 1.1, 1.3])),
                notional_r=float(rng.uniform(50, 400)),
            )
        )
    return tuple(sorted(trades))


RULES = (
    TWO_STEP,
    ONE_STEP,
    replace(TWO_STEP, max_loss_mode="trailing"),
    replace(ONE_STEP, best_day_share=0.3),
    replace(ONE_STEP, best_day_share=1.0),
    replace(TWO_STEP, internal_fraction=1.0),
    replace(ONE_STEP, daily_loss=0.10, max_loss=0.06),
)


def random_config(rng: np.random.Generator) -> ChallengeConfig:
    """Rules of every kind at every size of risk, with small and large limits."""
    back_off = BackOff(int(rng.integers(1, 4)), int(rng.choice([10, 60, 60])), float(rng.choice([0.5, 0.25])))
    return ChallengeConfig(
        risk=RiskConfig(
            rules=RULES[int(rng.integers(len(RULES)))],
            back_off=back_off,
            max_leverage=float(rng.choice([3.3, 30.0, 30.0])),
        ),
        rates=RateLimits(int(rng.integers(2, 8)), int(rng.integers(1, 6)), int(rng.choice([60, 60, 300]))),
        risk_fraction=float(rng.choice([0.0025, 0.005, 0.01, 0.02, 0.03, 0.03, 0.04])),
        max_days=int(rng.choice([1, 2, 10, 120, 120])),
    )
