"""A drawn day of many attempts at once: the k-th event of each attempt's day, for all attempts together.

It says the same as ``attempt`` for each of them, by the formulas of ``engine.risk.ftmo``;
tests/properties/test_challenge.py holds both beside each other.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradingai.engine.challenge.attempt import ENDINGS
from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.table import (
    CLOSES,
    NOTHING,
    OPENS,
    RUNNING,
    UNDECIDED,
    Accounts,
    Bools,
    DayTable,
    EventTable,
    Floats,
    Ints,
)
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.risk.ftmo import floor_heights, is_even, reaches

_DAILY: Final = ENDINGS.index("daily")
_TOTAL: Final = ENDINGS.index("total")
_TOTAL_STOP: Final = ENDINGS.index("total_stop")


def phase_targets(config: ChallengeConfig) -> Floats:
    """[phases + 2]: the profit target of each phase in money, infinite where there is none."""
    rules, initial = config.risk.rules, config.risk.initial_balance
    found = [rules.target(max(phase, 1)) for phase in range(len(rules.targets) + 2)]
    return np.array([np.inf if one is None else one * initial for one in found])


class Block:
    """One drawn day for N attempts. Money and times as in ``table``."""

    def __init__(self, table: DayTable, config: ChallengeConfig, accounts: Accounts, days: Ints) -> None:
        """``days`` [N]: the place in the history of each attempt's day. ``accounts`` are changed in place."""
        count = len(days)
        self.table, self.config, self.accounts, self.days = table, config, accounts, days
        self.initial = config.risk.initial_balance
        self.targets = phase_targets(config)
        self.mae, self.stop, self.notional = np.zeros(count), np.zeros(count), np.zeros(count)
        self.opened, self.traded = np.zeros(count, np.int64), np.zeros(count, bool)
        self.size = np.zeros((count, table.trades))
        """[N, T]: risk in money of each open trade, 0 for all others."""
        self.emitted, self.emitted_high = np.zeros((2, count), np.int64)
        self.times, self.times_high = np.full((2, count, table.trades), -np.inf)
        """[N, T]: when the entries so far were made, and those of the high tier."""
        self.losses = np.full((count, config.back_off.losses), -np.inf)
        self.left = np.zeros(count, bool)
        """Who passed a phase today and takes no part in the rest of the day."""
        self.set_floors()

    def set_floors(self) -> None:
        """The floors of the day that has begun."""
        daily_limit, daily_stop, total_limit, total_stop = floor_heights(
            self.config.risk.rules, self.initial, self.accounts.day_start, self.accounts.highest
        )
        self.limits = daily_limit, np.broadcast_to(total_limit, self.days.shape)
        self.stops = np.maximum(daily_stop, total_stop)
        """[N]: the higher of the two internal stops; a limit lies below its stop."""

    def play(self) -> None:
        """The day, its midnight, and what closes after it."""
        for row in range(len(self.table.main.kind)):
            self._event(self.table.main, row)
        self.midnight()
        for row in range(len(self.table.tail.kind)):
            self._event(self.table.tail, row)

    def _event(self, events: EventTable, row: int) -> None:
        kinds = np.where(self._playing(), events.kind[row, self.days], NOTHING)
        for kind, happens in ((OPENS, self._open), (CLOSES, self._close)):
            rows = np.flatnonzero(kinds == kind)
            if len(rows):
                happens(events, row, rows)

    def _playing(self) -> Bools:
        return np.asarray((self.accounts.ending == RUNNING) & ~self.left)

    def _open(self, events: EventTable, row: int, rows: Ints) -> None:
        accounts = self.accounts
        rows = rows[~accounts.halted[rows]]
        days = self.days[rows]
        at, high = events.at[row, days], events.high[row, days]
        size = self.sizes(accounts.reducing[rows])
        stop = self.stop[rows] + events.stop[row, days] * size
        notional = self.notional[rows] + events.notional[row, days] * size
        allowed = self._within_rates(rows, at, high)
        allowed &= self._above_stops(rows, accounts.balance[rows] - stop, events.held[row, days])
        allowed &= notional <= self.config.risk.max_leverage * self.initial
        chosen = np.flatnonzero(allowed)
        rows, days = rows[chosen], days[chosen]
        self.stop[rows], self.notional[rows] = stop[chosen], notional[chosen]
        self.mae[rows] += events.mae[row, days] * size[chosen]
        self.opened[rows] += 1
        self.size[rows, events.place[row, days]] = size[chosen]
        self._count_emission(rows, at[chosen], high[chosen])
        accounts.days_traded[rows] += ~self.traded[rows]
        self.traded[rows] = True
        self.watch(rows)

    def sizes(self, reducing: Bools) -> Floats:
        """Risk in money of a trade that opens now."""
        factor = np.where(reducing, self.config.back_off.factor, 1.0)
        return np.asarray(self.config.risk_fraction * factor * self.initial)

    def _within_rates(self, rows: Ints, at: Floats, high: Bools) -> Bools:
        rates = self.config.rates
        free = _has_room(self.emitted[rows], self.times, rows, rates.total, at - rates.window_us)
        free_high = _has_room(
            self.emitted_high[rows], self.times_high, rows, rates.high, at - rates.window_us
        )
        return free & (free_high | ~high)

    def _count_emission(self, rows: Ints, at: Floats, high: Bools) -> None:
        self.times[rows, self.emitted[rows]] = at
        self.emitted[rows] += 1
        rows, at = rows[high], at[high]
        self.times_high[rows, self.emitted_high[rows]] = at
        self.emitted_high[rows] += 1

    def _above_stops(self, rows: Ints, if_stopped: Floats, held: Bools) -> Bools:
        above = np.asarray(reaches(if_stopped, self.stops[rows], self.initial))
        late = np.flatnonzero(held)
        if len(late):
            balance = self.accounts.balance[rows[late]]
            _, daily, _, total = self.later_floors(rows[late], balance)
            above[late] &= reaches(if_stopped[late], np.maximum(daily, total), self.initial)
        return above

    def later_floors(self, rows: Ints, balance: Floats) -> tuple[Floats, ...]:
        """The floors if the next midnight found this balance."""
        highest = np.maximum(self.accounts.highest[rows], balance)
        return floor_heights(self.config.risk.rules, self.initial, balance, highest)

    def watch(self, rows: Ints) -> None:
        """The guard looks at the lowest equity until the next event."""
        accounts = self.accounts
        lowest = accounts.balance[rows] + self.mae[rows]
        crossed = np.flatnonzero(~reaches(lowest, self.stops[rows], self.initial))
        if len(crossed) == 0:
            return
        rows, lowest = rows[crossed], lowest[crossed]
        daily, total = (~reaches(lowest, limit[rows], self.initial) for limit in self.limits)
        accounts.ending[rows[total]] = _TOTAL
        accounts.ending[rows[daily]] = _DAILY
        accounts.halted[rows] = True
        self.liquidate(rows)

    def liquidate(self, rows: Ints) -> None:
        """Open trades of a halted account end at their worst."""
        self.accounts.balance[rows] += self.mae[rows]
        self.size[rows] = 0.0
        self._none_open(rows)
        self.look(rows[self.accounts.ending[rows] == RUNNING])

    def _none_open(self, rows: Ints) -> None:
        self.mae[rows] = self.stop[rows] = self.notional[rows] = 0.0
        self.opened[rows] = 0

    def _close(self, events: EventTable, row: int, rows: Ints) -> None:
        places = events.place[row, self.days[rows]]
        rows = rows[self.size[rows, places] > 0]
        days, places = self.days[rows], events.place[row, self.days[rows]]
        size, r = self.size[rows, places], events.r[row, days]
        self.size[rows, places] = 0.0
        self.accounts.balance[rows] += r * size
        self.mae[rows] -= events.mae[row, days] * size
        self.stop[rows] -= events.stop[row, days] * size
        self.notional[rows] -= events.notional[row, days] * size
        self.opened[rows] -= 1
        lost = r <= 0
        self._count_losses(rows[lost], events.at[row, days[lost]])
        flat = rows[self.opened[rows] == 0]
        self._none_open(flat)
        self.look(flat)

    def _count_losses(self, rows: Ints, at: Floats) -> None:
        losses, window_us = self.losses, self.config.back_off.window_minutes * MINUTE_US
        losses[rows, :-1] = losses[rows, 1:]
        losses[rows, -1] = at
        self.accounts.reducing[rows] |= at - losses[rows, 0] <= window_us

    def look(self, rows: Ints) -> None:
        """Whether flat accounts have met the objective."""
        accounts, rules = self.accounts, self.config.risk.rules
        if len(rows) == 0:
            return
        profit = accounts.balance[rows] - self.initial
        met = reaches(profit, self.targets[accounts.phase[rows]], self.initial)
        met &= accounts.days_traded[rows] >= rules.min_trading_days
        if not met.any():
            return
        rows, profit = rows[met], profit[met]
        if rules.best_day_share is not None:
            today = accounts.balance[rows] - accounts.day_start[rows]
            best = np.maximum(accounts.best_day[rows], today)
            even = (profit > 0) & is_even(best / np.where(profit > 0, profit, 1.0), rules.best_day_share)
            waiting = rows[~even & (accounts.met_on[rows] == 0)]
            accounts.met_on[waiting] = accounts.day[waiting]
            rows = rows[even]
        accounts.pass_phase(rows, self.config)
        self.left[rows] = True

    def midnight(self) -> None:
        """The floors move with the balance; HALTED is left where the guard allows it."""
        accounts = self.accounts
        running = np.flatnonzero(self._playing())
        last = accounts.day[running] == self.config.max_days
        accounts.ending[running[last]] = UNDECIDED
        rows = running[~last]
        balance = accounts.balance[rows]
        accounts.best_day[rows] = np.maximum(accounts.best_day[rows], balance - accounts.day_start[rows])
        accounts.day_start[rows] = balance
        accounts.highest[rows] = np.maximum(accounts.highest[rows], balance)
        accounts.reducing[rows] = False
        self.set_floors()
        lost = ~reaches(balance, self.stops[rows], self.initial)
        accounts.ending[rows[accounts.halted[rows] & lost]] = _TOTAL_STOP
        rows = rows[accounts.ending[rows] == RUNNING]
        accounts.halted[rows] = False
        accounts.day[rows] += 1
        self.watch(rows)


def _has_room(used: Ints, times: Floats, rows: Ints, limit: int, after: Floats) -> Bools:
    """Whether fewer than ``limit`` of the ``used`` times of each row lie after ``after`` [rows]."""
    full = used >= limit
    if not full.any():
        return ~full
    return np.asarray(~full | (times[rows, np.where(full, used - limit, 0)] <= after))
