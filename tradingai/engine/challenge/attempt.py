"""One attempt at a challenge through the functions of ``engine.risk`` themselves, event by event.

This is what an attempt *is*; ``many`` plays thousands at once and has to agree with it to the day and the
rule. The model, in the order in which things happen:

* A day of the attempt is a drawn Prague day. Its trades open and close at their own times, in multiples of
  the risk that the guard allows when they open. The hourly limits and the guard may refuse an entry.
* Between two events the lowest equity is the balance with every open trade at its own worst at once.
* When the guard halts, open trades end at their worst. The operator leaves HALTED at the first Prague
  midnight at which the guard lets him; where it does not, the attempt ends (``total_stop``).
* What is open at midnight is carried over it: the floors move with the balance, equity does not. It closes
  in the new day before the next drawn day begins. Hourly limits and the back-off's losses are not counted
  from one drawn day into the next, which was no neighbour of it; a back-off that a carried trade began is.
* A phase is passed at the first flat moment at which the objective is met; the next one begins on the next
  day from the initial balance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from tradingai.engine.challenge.history import ChallengeConfig, Event, History, PastDay
from tradingai.engine.core.errors import UsageError
from tradingai.engine.risk import guard as guards
from tradingai.engine.risk.ftmo import FtmoState, objective, open_account, position_opened
from tradingai.engine.risk.guard import GuardState, GuardStatus, Reading
from tradingai.engine.risk.limits import RateState, rate_emitted, rate_refusal
from tradingai.engine.risk.prague import midnight_us

Ending = Literal["passed", "daily", "total", "total_stop", "undecided"]
ENDINGS: tuple[Ending, ...] = ("passed", "daily", "total", "total_stop", "undecided")
_REASON = "simulated: the operator goes on at midnight"


class Outcome(NamedTuple):
    """How an attempt ended."""

    ending: Ending
    day: int
    """The day of the attempt, from 1."""
    phase: int
    """In which phase it ended."""
    balance: float
    """At that moment, of that phase."""
    delay_days: int
    """Days by which the best-day rule alone put off passing, all phases together."""


class _Ended(Exception):  # noqa: N818 - how an attempt ends is no error
    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending: Ending = ending


@dataclass(slots=True)
class _Attempt:
    """The account, its guard, and what is open."""

    config: ChallengeConfig
    account: FtmoState
    guard: GuardState
    balance: float
    day: int = 1
    rates: RateState = field(default_factory=RateState)
    open: dict[int, float] = field(default_factory=dict)
    """Risk in money of the trades that are open, by their place in the drawn day."""
    met_on: int | None = None
    """The first day on which only the best-day rule stood in the way of passing."""

    def begin(self, day: PastDay) -> None:
        """Take the drawn day's own calendar; floors, balance and guard stay as they are."""
        start, end = midnight_us(day.day), midnight_us(day.day + 1)
        reducing = self.guard.reduce_until_us is not None
        self.rates = RateState()
        self.guard = replace(
            self.guard, since_us=start, losses_us=(), reduce_until_us=end if reducing else None
        )
        self.account = replace(self.account, day=day.day, next_reset_us=end, last_traded_day=None)

    def happen(self, day: PastDay, event: Event) -> None:
        """One trade opens or closes. Raises _Ended."""
        if not event.opens:
            self._close(day, event)
        elif self._allowed(day, event):
            trade = day.trades[event.place]
            self.rates = rate_emitted(self.rates, self.config.rates, event.at_us, high=trade.high)
            self.open[event.place] = self._size()
            self.account = position_opened(self.account)
            self.watch(day, event.at_us)

    def _size(self) -> float:
        factor = guards.size_factor(self.guard, self.config.risk)
        return self.config.risk_fraction * factor * self.config.risk.initial_balance

    def _allowed(self, day: PastDay, event: Event) -> bool:
        trade = day.trades[event.place]
        if self.guard.status is GuardStatus.HALTED:
            return False
        if rate_refusal(self.rates, self.config.rates, event.at_us, high=trade.high) is not None:
            return False
        sizes = {**self.open, event.place: self._size()}
        refusal = guards.entry_refusal(
            self.account,
            self.config.risk,
            balance=self.balance,
            equity_if_stopped=self.balance
            - math.fsum(day.trades[place].stop_r * size for place, size in sizes.items()),
            notional=math.fsum(day.trades[place].notional_r * size for place, size in sizes.items()),
            held_until_us=trade.held_until_us,
        )
        return refusal is None

    def _close(self, day: PastDay, event: Event) -> None:
        size = self.open.pop(event.place, None)
        if size is None:
            return
        r = day.trades[event.place].r
        self.balance += r * size
        self.guard, _ = guards.trade_closed(self.guard, self.config.back_off, event.at_us, won=r > 0)
        self._look_at_objective()

    def watch(self, day: PastDay, at_us: int) -> None:
        """The guard looks at the lowest equity until the next event. Raises _Ended."""
        worst = math.fsum(day.trades[place].mae_r * size for place, size in self.open.items())
        lowest = self.balance + worst
        reading = Reading(at_us, self.balance, lowest, lowest, priced_at_us=None)
        self.guard, self.account, _ = guards.observe(self.guard, self.account, self.config.risk, reading)
        if self.guard.status is GuardStatus.HALTED and self.open:
            self.balance += worst
            self.open.clear()
        if self.account.breach is not None:
            raise _Ended(self.account.breach.limit)
        if self.guard.status is GuardStatus.HALTED:
            self._look_at_objective()

    def _look_at_objective(self) -> None:
        if self.open:
            return
        rules = self.config.risk.rules
        if objective(self.account, rules, self.balance, flat=True).passed:
            raise _Ended("passed")
        if self.met_on is None and rules.best_day_share is not None:
            without = replace(rules, best_day_share=None)
            if objective(self.account, without, self.balance, flat=True).passed:
                self.met_on = self.day

    def pass_midnight(self, day: PastDay) -> None:
        """The floors move with the balance; HALTED is left where the guard allows it. Raises _Ended."""
        if self.day == self.config.max_days:
            raise _Ended("undecided")
        at_us = midnight_us(day.day + 1)
        risk = self.config.risk
        self.guard, self.account, _ = guards.pass_midnights(
            self.guard, self.account, risk, at_us, self.balance
        )
        if self.guard.status is GuardStatus.HALTED:
            reading = Reading(at_us, self.balance, self.balance, self.balance, priced_at_us=None)
            try:
                self.guard, _ = guards.leave_halted(
                    self.guard, self.account, risk, reading, reason=_REASON, who="simulation"
                )
            except UsageError:
                raise _Ended("total_stop") from None
        self.day += 1
        self.watch(day, at_us)


def play(history: History, draws: Sequence[int], config: ChallengeConfig) -> Outcome:
    """Play one attempt; ``draws[k]`` is the place in ``history`` of the day that is drawn for day k + 1.

    A day that was begun by passing a phase in its first minutes is not traded; its draw is not used.
    """
    phase, day, delay = 1, 1, 0
    while True:
        attempt = _opened(history.days[draws[day - 1]].day, day, phase, config)
        ending = _phase(attempt, history, draws)
        if ending == "passed" and attempt.met_on is not None:
            delay += attempt.day - attempt.met_on
        further = config.risk.rules.target(phase + 1) is not None
        if ending != "passed" or not further:
            return Outcome(ending, attempt.day, phase, attempt.balance, delay)
        phase, day = phase + 1, attempt.day + 1
        if day > config.max_days:
            return Outcome("undecided", config.max_days, phase, config.risk.initial_balance, delay)


def _opened(first_day: int, day: int, phase: int, config: ChallengeConfig) -> _Attempt:
    start, initial = midnight_us(first_day), config.risk.initial_balance
    account = open_account(initial, start, phase=phase)
    return _Attempt(config, account, GuardState(since_us=start), initial, day)


def _phase(attempt: _Attempt, history: History, draws: Sequence[int]) -> Ending:
    try:
        while True:
            day = history.days[draws[attempt.day - 1]]
            attempt.begin(day)
            for event in day.main:
                attempt.happen(day, event)
            attempt.pass_midnight(day)
            for event in day.tail:
                attempt.happen(day, event)
    except _Ended as ended:
        return ended.ending
