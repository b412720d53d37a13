"""Does the agent help? The ensemble with it beside the one without, through the decision function.

It joins when, on the second half of validation, the mean daily net R with it is at least 1.02 times that
without, the latter is positive, and the lower bound of the paired difference of days lies above zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import Interval
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.symbols import ENSEMBLE, MINUTE_US
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.decision.scanning import scan_desk
from tradingai.engine.decision.state import open_desk
from tradingai.engine.evaluation.aside import Aside, result_of
from tradingai.engine.evaluation.backtest import BacktestPlan, TradedRange, moments
from tradingai.engine.evaluation.intervals import DAY_US, ratio_interval
from tradingai.engine.evaluation.stored import StoredCoin

REQUIRED_GAIN: Final = 1.02
ALPHA: Final = 0.05
_SCANS_BETWEEN_STOPS: Final = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """One coin with both probabilities, float64 [n], of the second half of validation."""

    data: Dataset
    with_agent: Floats
    without: Floats


@dataclass(frozen=True, slots=True)
class AgentComparison:
    """Mean daily net R over all coins with and without the agent, and what follows."""

    days: int
    with_agent: float
    without: float
    difference: Interval
    """Of the mean daily difference, paired by UTC day."""

    @property
    def joins(self) -> bool:
        """Whether all three conditions hold."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why it does not join; empty when it does."""
        if self.without <= 0:
            return f"without it the ensemble earns {self.without:+.2f} R a day: there is nothing to improve"
        if self.with_agent < REQUIRED_GAIN * self.without:
            return (
                f"{self.with_agent:+.2f} R a day with it, {self.without:+.2f} without: "
                f"{REQUIRED_GAIN} times as much is needed"
            )
        if self.difference.lo is None:
            return self.difference.reason
        if self.difference.lo <= 0:
            return f"the difference of days may be {self.difference.lo:+.2f} R: it has to be above zero"
        return ""

    def as_json(self) -> dict[str, Any]:
        """For the training record."""
        document: dict[str, Any] = plain(
            {
                "joins": self.joins, "reason": self.reason, "days": self.days,
                "daily_r_with": self.with_agent, "daily_r_without": self.without,
                "difference_ci": self.difference.bounds, "alpha": self.difference.alpha,
                "required_gain": REQUIRED_GAIN,
            }
        )  # fmt: skip
        return document


def compare_agent(
    paths: HomePaths, coins: Sequence[Weighed], plan: BacktestPlan, reporter: Reporter
) -> AgentComparison:
    """Trade every coin twice over the second half of validation, each from a fresh account.

    With the agent in a process beside this one, without it meanwhile here.
    """
    rows = coins[0].data.split.calibration
    first_us = coins[0].data.ts0 + rows.lo * MINUTE_US
    last_us = coins[0].data.ts0 + (rows.hi - 1) * MINUTE_US
    first_day, days = first_us // DAY_US, last_us // DAY_US - first_us // DAY_US + 1
    daily = np.zeros((2, days))
    with Aside(apart=plan.worth_a_process(2 * rows.size * len(coins))) as aside:
        beside = []
        for coin in coins:
            stored = StoredCoin.read(paths, coin.data)
            with_agent, without = (
                stored.traded(ENSEMBLE, rows, probability).cropped(plan.minutes)
                for probability in (coin.with_agent, coin.without)
            )
            beside.append(aside.submit(_daily_r, with_agent, plan, first_day, days))
            daily[1] += _daily_r(without, plan, first_day, days, reporter)
        for future in beside:
            daily[0] += result_of(future, reporter)
    difference = ratio_interval(daily[0] - daily[1], np.ones(days), ALPHA)
    return AgentComparison(days, float(daily[0].mean()), float(daily[1].mean()), difference)


def _daily_r(
    traded: TradedRange, plan: BacktestPlan, first_day: int, days: int, reporter: Reporter
) -> npt.NDArray[np.float64]:
    """Net R of the trades decided on each day, float64 [days]."""
    found, desk = np.zeros(days), None
    for number, moment in enumerate(moments(plan, traded)):
        desk = desk or open_desk(plan.config, moment.scan.at_us)
        scanned = scan_desk(desk, plan.config, moment.minutes, moment.scan)
        desk = scanned.state
        for trade in scanned.trades:
            found[trade.decided_us // DAY_US - first_day] += trade.r
        if number % _SCANS_BETWEEN_STOPS == 0:
            reporter.safe_point()
    return found
