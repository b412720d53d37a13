"""A heavy-tailed diffusion with stochastic volatility, known at every midnight without its minutes.

Given the volatilities, the returns of a day are independent normals. Their sum is drawn first, from a
stream of days; the minutes are then drawn and bridged to it. That is exact (independent normals
conditioned on their sum), so the returns remain a martingale difference, and the price at any minute costs
one day of minutes and no history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import DAY_MINUTES
from tradingai.engine.providers.synthetic.coins import END_DAY, ORIGIN_DAY
from tradingai.engine.providers.synthetic.profiles import by_day, volatility_week
from tradingai.engine.providers.synthetic.streams import Stream

Floats = npt.NDArray[np.float64]

YEAR_DAYS: Final = 365.0
DAILY_PERSISTENCE: Final = 0.6
"""Autocorrelation of the slow part of log volatility from one midnight to the next."""
DAILY_SD: Final = 0.08
DAILY_LIMIT: Final = 0.24
NODES: Final = 48
"""Half-hours of a day: the fast part of log volatility lives on this grid, linearly between its nodes."""
NODE_PERSISTENCE: Final = 0.9
"""Autocorrelation of the fast part from one half-hour to the next; it is forgotten after a day."""
NODE_SD: Final = 0.55
TAIL_SD: Final = 0.6
"""Standard deviation of a minute's own log variance; given the slow volatility the kurtosis is 3
exp(TAIL_SD²).
"""
JUMP_PROBABILITY: Final = 0.12
"""Share of days with a jump."""
JUMP_SD: Final = 0.85
"""Standard deviation of a jump in units of its day's standard deviation."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes of consecutive days, every array [days, 1440]."""

    returns: Floats
    """Log returns without jumps."""
    jumps: Floats
    """Log returns of jumps, zero for nearly all minutes."""
    volatility: Floats
    """Standard deviation of each minute's return, given everything but the returns."""
    slow: Floats
    """The volatility without the minute's own tail factor."""


class Diffusion:
    """One source of returns: the factor that all coins share, or a coin's own component."""

    def __init__(self, family: str, seed: int, owner: str, annual_volatility: float) -> None:
        """``annual_volatility`` is a fraction of the price per square-root year of 365 days."""
        self._minutes = Stream(family, seed, owner, "minutes")
        self._nodes = Stream(family, seed, owner, "volatility nodes")
        days = END_DAY - ORIGIN_DAY
        draws = Stream(family, seed, owner, "days").daily(days + 1, 3)
        self._log_volatility = np.clip(_ornstein_uhlenbeck(draws[:, 0]), -DAILY_LIMIT, DAILY_LIMIT)
        level = np.exp(self._log_volatility[:-1] + self._log_volatility[1:] - 2.0 * DAILY_SD**2)
        calendar = np.mean(volatility_week() ** 2, axis=1)[(np.arange(ORIGIN_DAY, END_DAY) + 3) % 7]
        self._variance = annual_volatility**2 / YEAR_DAYS * level * calendar
        self._totals = np.sqrt(self._variance) * draws[:-1, 1]
        chance = Stream(family, seed, owner, "jumps").daily_uniform(days, 2)
        self._jump_minute = np.where(
            chance[:, 0] < JUMP_PROBABILITY, chance[:, 1] * DAY_MINUTES, -1.0
        ).astype(np.int64)
        self._jump = np.where(self._jump_minute >= 0, JUMP_SD * np.sqrt(self._variance) * draws[:-1, 2], 0.0)
        self._anchors = np.concatenate([[0.0], np.cumsum(self._totals + self._jump)])

    def anchors(self, first_day: int, days: int) -> Floats:
        """Log price, 0 at the origin, at the midnights that begin and end ``days`` days: [days + 1]."""
        first = first_day - ORIGIN_DAY
        return self._anchors[first : first + days + 1]

    def minutes(self, first_day: int, days: int) -> Minutes:
        """The minutes of consecutive days."""
        rows = slice(first_day - ORIGIN_DAY, first_day - ORIGIN_DAY + days)
        normal, tail = self._minutes.minutes(first_day, days, normals=2)
        slow = self._slow(first_day, days)
        np.multiply(tail, TAIL_SD, out=tail)
        share = slow**2 * np.exp(tail, out=tail)
        scale = self._variance[rows, None] / share.sum(axis=1, keepdims=True)
        variance = share * scale
        volatility = np.sqrt(variance)
        returns = volatility * normal
        surplus = returns.sum(axis=1) - self._totals[rows]
        returns -= variance * (surplus / self._variance[rows])[:, None]
        jumps = np.zeros_like(returns)
        struck = np.flatnonzero(self._jump_minute[rows] >= 0)
        jumps[struck, self._jump_minute[rows][struck]] = self._jump[rows][struck]
        mean_tail = np.exp(0.5 * TAIL_SD**2)
        return Minutes(returns, jumps, volatility, slow * np.sqrt(scale * mean_tail))

    def _slow(self, first_day: int, days: int) -> Floats:
        """Relative volatility of each minute before its own tail factor and the day's level, [days, 1440]."""
        first = first_day - ORIGIN_DAY
        ends = self._log_volatility[first : first + days + 1]
        fraction = np.arange(NODES + 1) / NODES
        nodes = ends[:-1, None] + fraction * (ends[1:] - ends[:-1])[:, None]
        fast = _fast_nodes(self._nodes.nodes(first_day - 1, days + 1, NODES))
        nodes[:, 0] += fast[:-1:NODES]
        nodes[:, 1:] += fast[1:].reshape(days, NODES)
        within = np.arange(DAY_MINUTES // NODES) / (DAY_MINUTES // NODES)
        left, right = nodes[:, :-1, None], nodes[:, 1:, None]
        log_relative = (left + (right - left) * within).reshape(days, DAY_MINUTES)
        relative: Floats = np.exp(log_relative, out=log_relative)
        relative *= by_day(volatility_week(), first_day, days)
        return relative


def _ornstein_uhlenbeck(draws: Floats) -> Floats:
    """Stationary first-order autoregression driven by standard normals [n], from its stationary law on."""
    innovation = DAILY_SD * np.sqrt(1.0 - DAILY_PERSISTENCE**2)
    values = np.empty(len(draws))
    value = DAILY_SD * float(draws[0])
    for index, draw in enumerate(draws.tolist()):
        if index:
            value = DAILY_PERSISTENCE * value + innovation * draw
        values[index] = value
    return values


def _fast_nodes(draws: Floats) -> Floats:
    """The fast part of log volatility from draws [days + 1, NODES]: [days * NODES + 1], from the first
    midnight on.

    An exponentially weighted sum of one day of draws, with variance NODE_SD².
    """
    weights = NODE_PERSISTENCE ** np.arange(NODES)
    weights *= NODE_SD / np.sqrt(np.sum(weights**2))
    flat = draws.reshape(-1)
    total = np.zeros(len(flat) - NODES + 1)
    for age, weight in enumerate(weights.tolist()):
        total += weight * flat[NODES - 1 - age : len(flat) - age]
    return total
