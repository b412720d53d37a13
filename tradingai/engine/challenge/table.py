"""A history as arrays: the events of each drawn day side by side, and the accounts that play them.

Shapes: N attempts, D days, M events of a day until midnight, K after it, T trades of a day. Money in the
account's currency, times in microseconds since the midnight that began the day (float64 holds them exactly).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from tradingai.engine.challenge.attempt import ENDINGS
from tradingai.engine.challenge.history import ChallengeConfig, Event, History, PastDay
from tradingai.engine.risk.prague import midnight_us

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Draws = npt.NDArray[np.integer]
"""[N, days]: places of days in the history."""

NOTHING: Final = 0
OPENS: Final = 1
CLOSES: Final = 2
RUNNING: Final = -1
"""In ``Accounts.ending``; otherwise the place of the ending in ``ENDINGS``."""
PASSED: Final = ENDINGS.index("passed")
UNDECIDED: Final = ENDINGS.index("undecided")


@dataclass(frozen=True, slots=True, eq=False)
class EventTable:
    """The k-th event of every day: [M or K, D] each."""

    kind: npt.NDArray[np.int8]
    place: Ints
    at: Floats
    r: Floats
    mae: Floats
    stop: Floats
    notional: Floats
    high: Bools
    held: Bools
    """The trade is planned to be held over the midnight that ends the day."""

    @classmethod
    def of(cls, days: Sequence[PastDay], events: Sequence[Sequence[Event]]) -> Self:
        """The table of one part of every day."""
        shape = max((len(own) for own in events), default=0), len(days)
        table = cls(
            kind=np.zeros(shape, np.int8), place=np.zeros(shape, np.int64), at=np.zeros(shape),
            r=np.zeros(shape), mae=np.zeros(shape), stop=np.zeros(shape), notional=np.zeros(shape),
            high=np.zeros(shape, bool), held=np.zeros(shape, bool),
        )  # fmt: skip
        for column, (day, own) in enumerate(zip(days, events, strict=True)):
            table._fill(column, day, own)
        return table

    def _fill(self, column: int, day: PastDay, events: Sequence[Event]) -> None:
        start, end = midnight_us(day.day), midnight_us(day.day + 1)
        for row, event in enumerate(events):
            trade = day.trades[event.place]
            self.kind[row, column] = OPENS if event.opens else CLOSES
            self.place[row, column] = event.place
            self.at[row, column] = event.at_us - start
            self.r[row, column] = trade.r
            self.mae[row, column] = trade.mae_r
            self.stop[row, column] = trade.stop_r
            self.notional[row, column] = trade.notional_r
            self.high[row, column] = trade.high
            self.held[row, column] = trade.held_until_us >= end


@dataclass(frozen=True, slots=True, eq=False)
class DayTable:
    """Every day of a history."""

    main: EventTable
    tail: EventTable
    trades: int
    """T: the most trades of a day."""
    least_stop: Floats
    """[D]: the smallest loss at the stop of a day's trades, in R; infinite on a day without a trade."""

    @classmethod
    def of(cls, history: History) -> Self:
        """The arrays of a history."""
        days = history.days
        return cls(
            main=EventTable.of(days, [day.main for day in days]),
            tail=EventTable.of(days, [day.tail for day in days]),
            trades=max((len(day.trades) for day in days), default=0),
            least_stop=np.array(
                [min((trade.stop_r for trade in day.trades), default=np.inf) for day in days]
            ),
        )


@dataclass(slots=True, eq=False)
class Accounts:
    """Many attempts, flat between two drawn days: [N] each."""

    balance: Floats
    day_start: Floats
    highest: Floats
    """Midnight balance, never below the initial balance."""
    best_day: Floats
    days_traded: Ints
    halted: Bools
    reducing: Bools
    phase: Ints
    day: Ints
    """The day of the attempt that has begun, from 1."""
    ending: Ints
    met_on: Ints
    """The first day of the phase on which only the best-day rule stood in the way; 0: none."""
    delay: Ints

    @classmethod
    def fresh(cls, count: int, config: ChallengeConfig) -> Self:
        """So many attempts at the beginning of their first day."""
        initial = config.risk.initial_balance
        return cls(
            balance=np.full(count, initial), day_start=np.full(count, initial),
            highest=np.full(count, initial), best_day=np.zeros(count),
            days_traded=np.zeros(count, np.int64), halted=np.zeros(count, bool),
            reducing=np.zeros(count, bool), phase=np.ones(count, np.int64), day=np.ones(count, np.int64),
            ending=np.full(count, RUNNING), met_on=np.zeros(count, np.int64), delay=np.zeros(count, np.int64),
        )  # fmt: skip

    def take(self, rows: Ints) -> Self:
        """A copy of some of them."""
        return type(self)(*(getattr(self, item.name)[rows] for item in fields(self)))

    def put(self, rows: Ints, others: Accounts) -> None:
        """The inverse of :meth:`take`."""
        for item in fields(self):
            getattr(self, item.name)[rows] = getattr(others, item.name)

    def pass_phase(self, rows: Ints, config: ChallengeConfig) -> None:
        """``rows`` passed their phase today: the next one begins tomorrow, or the attempt is passed."""
        met = self.met_on[rows] > 0
        self.delay[rows] += np.where(met, self.day[rows] - self.met_on[rows], 0)
        rules = config.risk.rules
        targets = [rules.target(phase) is not None for phase in range(len(rules.targets) + 2)]
        further = np.array(targets)[self.phase[rows] + 1]
        self.ending[rows[~further]] = PASSED
        self._begin_phase(rows[further], config)

    def _begin_phase(self, rows: Ints, config: ChallengeConfig) -> None:
        initial = config.risk.initial_balance
        for money in (self.balance, self.day_start, self.highest):
            money[rows] = initial
        for counted in (self.best_day, self.days_traded, self.met_on):
            counted[rows] = 0
        self.halted[rows] = self.reducing[rows] = False
        self.phase[rows] += 1
        self.ending[rows[self.day[rows] == config.max_days]] = UNDECIDED
        going_on = rows[self.day[rows] < config.max_days]
        self.day[going_on] += 1
