"""Thousands of attempts at once, each as ``attempt.play`` plays it.

An attempt goes from drawn day to drawn day by ``PlainRun`` while no floor is near; where one is, its day is
played event by event in a ``Block`` together with the days of all attempts that wait for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from tradingai.engine.challenge.attempt import ENDINGS
from tradingai.engine.challenge.block import Block
from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.plain import PlainDays
from tradingai.engine.challenge.plain_run import PlainRun
from tradingai.engine.challenge.table import (
    PASSED,
    RUNNING,
    UNDECIDED,
    Accounts,
    Bools,
    DayTable,
    Draws,
    Floats,
    Ints,
)

_ROWS_A_BLOCK: Final = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """How N attempts ended: [N] each, as the fields of ``attempt.Outcome``."""

    ending: Ints
    """Place in ``ENDINGS``."""
    day: Ints
    phase: Ints
    balance: Floats
    """NaN where it passed: by how much more than the target is not followed."""
    delay_days: Ints
    stuck: Bools
    """Undecided, and the total stop has the guard refuse every trade of every day: it would stay so."""

    @classmethod
    def together(cls, parts: Sequence[Outcomes]) -> Self:
        """Several of them one after another."""
        names = [item.name for item in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def share(self, ending: str) -> float:
        """The part of the attempts that ended so."""
        return float(np.mean(self.ending == ENDINGS.index(ending)))


def play_many(
    table: DayTable,
    draws: Draws,
    config: ChallengeConfig,
    report: Callable[[int], None] = lambda _done: None,
) -> Outcomes:
    """Play N attempts; each row of ``draws`` [N, max_days] is one's days as ``attempt.play`` takes them.

    ``report`` hears how many are done.
    """
    return _Many(draws, config, table).play(report)


class _Many:
    """The attempts, and where each of them stands."""

    def __init__(self, draws: Draws, config: ChallengeConfig, table: DayTable) -> None:
        self.draws, self.config, self.table = draws, config, table
        self.accounts = Accounts.fresh(len(draws), config)
        self.plain = PlainDays.of(table, config)

    def play(self, report: Callable[[int], None]) -> Outcomes:
        """All of them to their ends."""
        rows = np.arange(len(self.draws))
        while len(rows):
            waiting = self._run_ahead(rows)
            for first in range(0, len(waiting), _ROWS_A_BLOCK):
                self._event_by_event(waiting[first : first + _ROWS_A_BLOCK])
            rows = waiting[self.accounts.ending[waiting] == RUNNING]
            report(len(self.draws) - len(rows))
        accounts = self.accounts
        balance = np.where(accounts.ending == PASSED, np.nan, accounts.balance)
        return Outcomes(
            accounts.ending, accounts.day, accounts.phase, balance, accounts.delay,
            (accounts.ending == UNDECIDED) & self.plain.stuck(accounts, self.config),
        )  # fmt: skip

    def _run_ahead(self, rows: Ints) -> Ints:
        """Go on by plain days; returns the attempts that came to a day which is none."""
        waiting = [rows[:0]]
        while len(rows):
            ahead = PlainRun(self.plain, self.config, self.accounts.take(rows))
            ahead.go(self.draws, rows)
            self.accounts.put(rows, ahead.accounts)
            waiting.append(rows[ahead.waits])
            rows = rows[~ahead.waits & (self.accounts.ending[rows] == RUNNING)]
        return np.sort(np.concatenate(waiting))

    def _event_by_event(self, rows: Ints) -> None:
        now = self.accounts.take(rows)
        days = self.draws[rows, now.day - 1].astype(np.int64)
        Block(self.table, self.config, now, days).play()
        self.accounts.put(rows, now)
