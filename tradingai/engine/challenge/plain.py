"""What each drawn day does to an account that is far from its floors: most days of most attempts.

A day is *plain* for an account when no floor comes near: then balance, lowest equity and flat moments are
those of the same day played once without floors, shifted by the balance. ``Block`` plays every day of a
history that way once, at full and at reduced risk; an account then needs a comparison instead of every event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from tradingai.engine.challenge.block import Block
from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.table import Accounts, Bools, DayTable, Floats, Ints
from tradingai.engine.risk.ftmo import floor_heights

DOUBT: Final = 4e-9
"""Of the initial balance: what lies this near to a bound is not decided by sums made in another order."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainDays:
    """[2 D] each: row 2 d of day d begun at full risk, row 2 d + 1 at reduced risk. Money as it changes."""

    lowest: Floats
    """Until midnight: the lowest equity, and what would be left if all stops hit, at every entry."""
    at_midnight: Floats
    lowest_after: Floats
    """At midnight with every carried trade at its worst."""
    end: Floats
    traded: Bools
    reducing: Bools
    """Whether the next drawn day begins at reduced risk."""
    flat_after: Bools
    """Whether a carried trade closed after midnight and left the account flat."""
    special: Bools
    """Never to be taken as plain."""
    least_need: Floats
    """The smallest loss at a stop: an account with less room has every entry refused."""
    best_flat: Floats
    """The highest balance at a flat moment of the day and of the minutes after it; minus infinity: none."""
    span: float
    """Rows of ``keyed`` lie this far apart."""
    keyed: Floats
    """[F]: the change of balance at every flat moment until midnight, that of row k shifted by k · ``span``:
    ascending as a whole."""

    @classmethod
    def of(cls, table: DayTable, config: ChallengeConfig) -> Self:
        """Play every day once, at full and at reduced risk."""
        count = 2 * len(table.least_stop)
        config = replace(config, max_days=3)
        accounts = Accounts.fresh(count, config)
        accounts.reducing[1::2] = True
        block = _Unbounded(table, config, accounts, np.arange(count) // 2)
        need = np.repeat(table.least_stop, 2) * block.sizes(accounts.reducing.copy())
        block.play()
        rules = config.risk.rules
        narrow = rules.max_loss_mode == "trailing" and rules.max_loss < rules.daily_loss
        rows, changes = block.flat_moments()
        best = np.where(block.flat_after, accounts.balance - block.initial, -np.inf)
        np.maximum.at(best, rows, changes)
        span = 4.0 * float(np.abs(changes).max(initial=config.risk.initial_balance))
        return cls(
            lowest=block.lowest,
            at_midnight=block.at_midnight,
            lowest_after=block.lowest_after,
            end=accounts.balance - block.initial,
            traded=block.traded,
            reducing=accounts.reducing,
            flat_after=block.flat_after,
            special=accounts.halted | narrow,
            least_need=need,
            best_flat=best,
            span=span,
            keyed=changes + rows * span,
        )

    def stuck(self, accounts: Accounts, config: ChallengeConfig) -> Bools:
        """Whether flat accounts at full risk have no room above the total stop for any trade: [N].

        Without a trade neither balance nor floor moves again.
        """
        initial = config.risk.initial_balance
        highest = np.maximum(accounts.highest, accounts.balance)
        _, _, _, stop = floor_heights(config.risk.rules, initial, accounts.balance, highest)
        least = self.least_need[::2].min(initial=np.inf)
        return np.asarray(accounts.balance - least < stop - DOUBT * initial)

    def has_flat(self, keys: Ints, low: Floats, high: Floats) -> Bools:
        """Whether row ``keys`` has a flat moment with a change of ``low`` … ``high``: [n] each."""
        bound = 0.499 * self.span
        first = np.searchsorted(self.keyed, keys * self.span + np.clip(low, -bound, bound), side="left")
        last = np.searchsorted(self.keyed, keys * self.span + np.clip(high, -bound, bound), side="right")
        return np.asarray((last > first) & (low <= bound) & (high >= -bound))


class _Unbounded(Block):
    """A block without floors until midnight, and with the daily ones alone after it."""

    def __init__(self, table: DayTable, config: ChallengeConfig, accounts: Accounts, days: Ints) -> None:
        self.after = False
        super().__init__(table, config, accounts, days)
        self.lowest, self.at_midnight, self.lowest_after = np.zeros((3, len(days)))
        self.flat_after = np.zeros(len(days), bool)
        self._flats: list[tuple[Ints, Floats]] = []

    def set_floors(self) -> None:
        """None until midnight."""
        nowhere = np.full(len(self.days), -np.inf)
        daily_limit, daily_stop, _, _ = super().later_floors(
            np.arange(len(self.days)), self.accounts.day_start
        )
        self.limits = (daily_limit if self.after else nowhere), nowhere
        self.stops = daily_stop if self.after else nowhere

    def later_floors(self, rows: Ints, balance: Floats) -> tuple[Floats, ...]:
        """The next day's daily floors; the total ones are those of today, or lower than these."""
        daily_limit, daily_stop, _, _ = super().later_floors(rows, balance)
        nowhere = np.full(len(rows), -np.inf)
        return daily_limit, daily_stop, nowhere, nowhere

    def watch(self, rows: Ints) -> None:
        """Take down how low it gets."""
        change = self.accounts.balance[rows] - self.initial
        worst = change + self.mae[rows]
        if self.after:
            self.lowest_after[rows] = worst
        else:
            self.lowest[rows] = np.minimum.reduce([self.lowest[rows], worst, change - self.stop[rows]])
        super().watch(rows)

    def midnight(self) -> None:
        """Take down the balance."""
        self.at_midnight = self.accounts.balance - self.initial
        self.after = True
        super().midnight()

    def look(self, rows: Ints) -> None:
        """Take down the flat moment."""
        if self.after:
            self.flat_after[rows] = True
        elif len(rows):
            self._flats.append((rows, self.accounts.balance[rows] - self.initial))

    def flat_moments(self) -> tuple[Ints, Floats]:
        """Row and change of balance of every flat moment until midnight, ascending by both."""
        if not self._flats:
            return np.zeros(0, np.int64), np.zeros(0)
        rows = np.concatenate([rows for rows, _ in self._flats])
        changes = np.concatenate([changes for _, changes in self._flats])
        order = np.lexsort((changes, rows))
        return rows[order], changes[order]
