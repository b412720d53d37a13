"""Attempts that go on by plain days: a comparison and a sum where ``Block`` has every event."""

from __future__ import annotations

from typing import Final

import numpy as np

from tradingai.engine.challenge.attempt import ENDINGS
from tradingai.engine.challenge.block import phase_targets
from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.plain import DOUBT, PlainDays
from tradingai.engine.challenge.table import RUNNING, UNDECIDED, Accounts, Bools, Draws, Floats, Ints
from tradingai.engine.risk.ftmo import floor_heights, reaches

_TOTAL_STOP: Final = ENDINGS.index("total_stop")
_LEAST_GOING_ON: Final = 0.75
"""Of the attempts: with fewer, it is worth leaving the others behind."""


class PlainRun:
    """n attempts, each going on until it ends or comes to a day that is not plain for it."""

    def __init__(self, plain: PlainDays, config: ChallengeConfig, accounts: Accounts) -> None:
        """``accounts`` are changed in place."""
        self.plain, self.config, self.accounts = plain, config, accounts
        self.rules, self.initial = config.risk.rules, config.risk.initial_balance
        self.trailing = self.rules.max_loss_mode == "trailing"
        self.targets = phase_targets(config)
        self.doubt = DOUBT * self.initial
        self.waits = np.zeros(len(accounts.day), bool)
        """[n]: who came to such a day."""

    def go(self, draws: Draws, rows: Ints) -> None:
        """Go on while most do; ``rows`` [n]: the attempts' rows of ``draws``."""
        accounts = self.accounts
        going = accounts.ending == RUNNING
        while going.mean() >= _LEAST_GOING_ON if len(rows) > 1 else going.any():
            day = np.minimum(accounts.day, self.config.max_days) - 1
            self._day(2 * draws[rows, day].astype(np.int64) + accounts.reducing, going)
            going = (accounts.ending == RUNNING) & ~self.waits

    def _day(self, key: Ints, going: Bools) -> None:
        """One drawn day of all that ``going`` [n] selects; ``key`` [n]: rows of ``PlainDays``."""
        accounts, plain = self.accounts, self.plain
        _, daily_stop, _, total_stop = floor_heights(
            self.rules, self.initial, accounts.day_start, accounts.highest
        )
        stop = np.maximum(daily_stop, total_stop)
        idle = going & (accounts.halted | (accounts.balance - plain.least_need[key] < stop - self.doubt))
        safe = going & ~idle & ~plain.special[key] & (accounts.balance + plain.lowest[key] >= stop)
        if self.trailing:
            highest = np.maximum(accounts.highest, accounts.balance + plain.at_midnight[key])
            _, _, _, total_stop = floor_heights(self.rules, self.initial, accounts.day_start, highest)
        safe &= accounts.balance + plain.lowest_after[key] >= total_stop
        near = safe & self._near(key)
        self.waits |= going & ~idle & ~safe
        self._go_on(key, safe & ~near)
        self._idle(np.flatnonzero(idle))
        rows = np.flatnonzero(near)
        if len(rows):
            self._decide(rows, key[rows])

    def _near(self, key: Ints) -> Bools:
        """Whether the balance comes near to the target at a flat moment of the day."""
        accounts = self.accounts
        best = accounts.balance + self.plain.best_flat[key] - self.initial
        return np.asarray(best >= self.targets[accounts.phase] - self.doubt)

    def _go_on(self, key: Ints, who: Bools) -> None:
        """The day goes by; at its end the next one has begun, or the attempt is over its time."""
        accounts, plain = self.accounts, self.plain
        middle = accounts.balance + plain.at_midnight[key]
        if self.rules.best_day_share is not None:
            today = np.maximum(accounts.best_day, middle - accounts.day_start)
            np.copyto(accounts.best_day, today, where=who)
        if self.trailing:
            np.copyto(accounts.highest, np.maximum(accounts.highest, middle), where=who)
        np.copyto(accounts.day_start, middle, where=who)
        accounts.days_traded += plain.traded[key] & who
        over = who & (accounts.day == self.config.max_days)
        if over.any():
            accounts.ending[over] = UNDECIDED
            accounts.balance[over] = middle[over]
            who = who & ~over
        np.copyto(accounts.balance, accounts.balance + plain.end[key], where=who)
        np.copyto(accounts.reducing, plain.reducing[key], where=who)
        accounts.day += who

    def _idle(self, rows: Ints) -> None:
        """Days without an entry; who will never have one again is at the end at once."""
        if len(rows) == 0:
            return
        accounts = self.accounts
        balance = accounts.balance[rows]
        accounts.best_day[rows] = np.maximum(accounts.best_day[rows], balance - accounts.day_start[rows])
        accounts.day_start[rows] = balance
        accounts.highest[rows] = np.maximum(accounts.highest[rows], balance)
        accounts.reducing[rows] = False
        _, _, _, total_stop = floor_heights(self.rules, self.initial, balance, accounts.highest[rows])
        lost = accounts.halted[rows] & ~reaches(balance, total_stop, self.initial)
        accounts.ending[rows[lost]] = _TOTAL_STOP
        accounts.ending[rows[accounts.day[rows] == self.config.max_days]] = UNDECIDED
        going_on = rows[accounts.ending[rows] == RUNNING]
        accounts.halted[going_on] = False
        accounts.day[going_on] += 1
        now = accounts.take(going_on)
        stuck = going_on[self.plain.stuck(now, self.config)]
        accounts.ending[stuck] = UNDECIDED
        accounts.day[stuck] = self.config.max_days

    def _decide(self, rows: Ints, key: Ints) -> None:
        """Days on which the target comes near; where it is too near to call, the day is not plain."""
        accounts = self.accounts
        passed, even_not, doubtful = self._before_midnight(rows, key)
        passed_after, even_not_after, doubtful_after = self._after_midnight(rows, key)
        doubtful |= doubtful_after & ~passed
        self.waits[rows[doubtful]] = True
        passed &= ~doubtful
        self._only_best_day(rows[even_not & ~doubtful])
        accounts.pass_phase(rows[passed], self.config)
        going_on = ~passed & ~doubtful
        who = np.zeros(len(accounts.day), bool)
        who[rows[going_on]] = True
        every_key = np.zeros(len(accounts.day), np.int64)
        every_key[rows] = key
        self._go_on(every_key, who)
        going_on &= accounts.ending[rows] == RUNNING
        self._only_best_day(rows[even_not_after & going_on])
        accounts.pass_phase(rows[passed_after & going_on], self.config)

    def _only_best_day(self, rows: Ints) -> None:
        """Nothing but the best-day rule stands in the way on the day that has begun."""
        accounts = self.accounts
        rows = rows[accounts.met_on[rows] == 0]
        accounts.met_on[rows] = accounts.day[rows]

    def _before_midnight(self, rows: Ints, key: Ints) -> tuple[Bools, Bools, Bools]:
        """Of the flat moments until midnight: whether one passes the phase, whether one would but for the
        best day, whether one is too near to call. [rows] each.
        """
        accounts, plain, doubt = self.accounts, self.plain, self.doubt
        profit = accounts.balance[rows] - self.initial
        low = self.targets[accounts.phase[rows]] - profit
        ready = accounts.days_traded[rows] + plain.traded[key] >= self.rules.min_trading_days
        nobody, no_bound = np.zeros(len(rows), bool), np.full(len(rows), np.inf)
        met = ready & plain.has_flat(key, low + doubt, no_bound)
        doubtful = ready & plain.has_flat(key, low - doubt, low + doubt)
        share = self.rules.best_day_share
        if share is None:
            return met, nobody, doubtful
        if share >= 1:
            return nobody, nobody, met | doubtful
        today = accounts.balance[rows] - accounts.day_start[rows]
        least = np.maximum(low, accounts.best_day[rows] / share - profit)
        most = (share * profit - today) / (1 - share)
        sure = ready & plain.has_flat(key, least + doubt, most - doubt)
        near = ready & plain.has_flat(key, least - doubt, most + doubt)
        return sure, met & ~sure, doubtful | (near & ~sure)

    def _after_midnight(self, rows: Ints, key: Ints) -> tuple[Bools, Bools, Bools]:
        """The same of the flat moment in the first minutes of the next day."""
        accounts, plain, doubt = self.accounts, self.plain, self.doubt
        before = accounts.balance[rows]
        middle, end = before + plain.at_midnight[key], before + plain.end[key]
        profit = end - self.initial
        ready = accounts.days_traded[rows] + plain.traded[key] >= self.rules.min_trading_days
        ready &= plain.flat_after[key] & (accounts.day[rows] < self.config.max_days)
        above = profit - self.targets[accounts.phase[rows]]
        met, doubtful = ready & (above > doubt), ready & (np.abs(above) <= doubt)
        share = self.rules.best_day_share
        if share is None:
            return met, np.zeros(len(rows), bool), doubtful
        days = [accounts.best_day[rows], middle - accounts.day_start[rows], end - middle]
        best: Floats = np.maximum.reduce(days)
        spare = share * profit - best
        sure = met & (spare > doubt)
        return sure, met & ~sure, doubtful | (met & (np.abs(spare) <= doubt))
