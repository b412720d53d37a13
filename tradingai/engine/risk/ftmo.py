"""FTMO's account rules: daily loss, maximum loss, trading days, best day. Pure arithmetic on a small state.

Sources: ftmo.com/en/trading-objectives, academy.ftmo.com (maximum daily loss, minimum trading days), FTMO FAQ
"Maximum Loss Limit" and "Best Day Rule" (1-Step). The 1-Step daily formula is taken to be the 2-Step's with
3 %, which no page states. Rules change, so every number is a setting and ``rules_as_of`` is shown with them.

Money is in the account's currency, times are microseconds since 1970 UTC, days are those of ``prague``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.events import Event, FtmoDayStarted
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.risk.prague import day_name, midnight_us, next_reset_us, prague_day

Limit = Literal["daily", "total"]
Phase = Literal["challenge", "verification", "funded"]
PHASES: Final[tuple[Phase, ...]] = ("challenge", "verification", "funded")
_ROUNDING: Final = 1e-9
"""Of the initial balance: a difference below this is a rounding error of the arithmetic, not money."""


@dataclass(frozen=True, slots=True)
class FtmoRules:
    """One kind of account. Fractions are of the initial balance; the defaults are the 2-Step's."""

    name: str = "2-Step"
    daily_loss: float = 0.05
    max_loss: float = 0.10
    max_loss_mode: Literal["static", "trailing"] = "static"
    """``trailing`` follows the highest balance at any past Prague midnight and never falls."""
    targets: tuple[float | None, ...] = (0.10, 0.05, None)
    """Profit target of each phase, None where there is none."""
    min_trading_days: int = 4
    """In each phase that has a target."""
    best_day_share: float | None = None
    """The best day's largest share of the total profit; exceeding it delays passing and is no breach."""
    internal_fraction: float = 0.9
    """The guard's own stops lie at this part of each limit."""
    rules_as_of: str = "2025-11"

    def __post_init__(self) -> None:
        fractions = (self.daily_loss, self.max_loss, self.internal_fraction)
        if not all(0 < fraction <= 1 for fraction in fractions):
            raise ValueError(f"loss limits are fractions between 0 and 1, not {fractions}")

    def phase_name(self, phase: int) -> Phase:
        """``challenge`` and so on; the last phase is the funded account."""
        return "funded" if phase >= len(self.targets) else PHASES[phase - 1]

    def target(self, phase: int) -> float | None:
        """Profit target of phase 1, 2, …; None when there is none."""
        return self.targets[min(phase, len(self.targets)) - 1]


TWO_STEP: Final = FtmoRules()
ONE_STEP: Final = FtmoRules(
    name="1-Step", daily_loss=0.03, max_loss_mode="trailing", targets=(0.10, None), min_trading_days=0,
    best_day_share=0.5,
)  # fmt: skip
RULES: Final = {"2-step": TWO_STEP, "1-step": ONE_STEP}


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit was violated. An account breaches once."""

    limit: Limit
    at_us: int
    equity: float
    floor: float


@dataclass(frozen=True, slots=True)
class FtmoState:
    """What the rules remember of an account."""

    initial_balance: float
    phase: int
    day: int
    next_reset_us: int
    day_start_balance: float
    """At the last Prague midnight; on the first day the initial balance."""
    highest_midnight_balance: float
    """Never below the initial balance."""
    best_day_profit: float = 0.0
    """Of the days that are over; 0 while none made money."""
    days_traded: int = 0
    last_traded_day: int | None = None
    breach: Breach | None = None


class Floors(NamedTuple):
    """Equities that must not be undercut: FTMO's limits and the guard's own stops above them."""

    daily_limit: float
    daily_stop: float
    total_limit: float
    total_stop: float

    @property
    def stop(self) -> float:
        """The higher of the two internal stops."""
        return max(self.daily_stop, self.total_stop)


def open_account(initial_balance: float, at_us: int, *, phase: int = 1) -> FtmoState:
    """A fresh account. Raises ValueError for a balance that is not positive."""
    if not 0 < initial_balance < float("inf"):
        raise ValueError(f"an account starts with money, not {initial_balance}")
    day = prague_day(at_us)
    return FtmoState(initial_balance, phase, day, midnight_us(day + 1), initial_balance, initial_balance)


def floors(state: FtmoState, rules: FtmoRules) -> Floors:
    """The four floors as they are now.

    Daily: balance at the last midnight − p · initial. Total: base − q · initial with base the initial balance
    (static) or the highest midnight balance (trailing). The internal stops take 90 % of p and q.
    """
    initial, day_start = state.initial_balance, state.day_start_balance
    return Floors(*floor_heights(rules, initial, day_start, state.highest_midnight_balance))


def floors_after_reset(state: FtmoState, rules: FtmoRules, balance: float) -> Floors:
    """The floors as they would be if Prague's midnight came now and found this balance."""
    highest = max(state.highest_midnight_balance, balance)
    return Floors(*floor_heights(rules, state.initial_balance, balance, highest))


def floor_heights(
    rules: FtmoRules, initial: float, day_start: Any, highest: Any
) -> tuple[Any, Any, Any, Any]:
    """The fields of :class:`Floors` in their order; of one account (floats) or of many (float64 [n] each).

    A static total floor is a float in either case.
    """
    base = highest if rules.max_loss_mode == "trailing" else initial
    daily, total = rules.daily_loss * initial, rules.max_loss * initial
    part = rules.internal_fraction
    return day_start - daily, day_start - part * daily, base - total, base - part * total


def reaches(equity: Any, floor: Any, initial_balance: float) -> Any:
    """Whether equity is at a floor or above, but for the arithmetic's rounding; NaN is not.

    Of one account (floats to bool) or of many (float64 [n] to bool [n]).
    """
    return equity >= floor - _ROUNDING * initial_balance


def is_below(equity: float, floor: float, initial_balance: float) -> bool:
    """Whether equity undercuts a floor by more than the arithmetic's rounding. Equal is not below; NaN is."""
    return not reaches(equity, floor, initial_balance)


def violated(state: FtmoState, rules: FtmoRules, equity: float) -> tuple[Limit, float] | None:
    """The limit that this equity violates, with its floor; the daily one first; None when neither."""
    now = floors(state, rules)
    return _undercut(equity, now.daily_limit, now.total_limit, state.initial_balance)


def stop_crossed(state: FtmoState, rules: FtmoRules, equity: float) -> tuple[Limit, float] | None:
    """The internal stop that this equity undercuts, with its height; None when neither."""
    now = floors(state, rules)
    return _undercut(equity, now.daily_stop, now.total_stop, state.initial_balance)


def _undercut(equity: float, daily: float, total: float, initial: float) -> tuple[Limit, float] | None:
    if not reaches(equity, daily, initial):
        return "daily", daily
    return None if reaches(equity, total, initial) else ("total", total)


def record_breach(state: FtmoState, rules: FtmoRules, equity: float, at_us: int) -> FtmoState:
    """The state with the first breach recorded; unchanged when there is none or one was recorded before."""
    found = violated(state, rules, equity)
    if found is None or state.breach is not None:
        return state
    return replace(state, breach=Breach(found[0], at_us, equity, found[1]))


def roll_to(
    state: FtmoState, rules: FtmoRules, at_us: int, balance: float
) -> tuple[FtmoState, tuple[Event, ...]]:
    """Pass every Prague midnight up to ``at_us``; ``balance`` is the one those midnights found.

    Call it before anything that happened at or after the midnight is booked. Several midnights at once (after
    an outage) found the same balance. A time before the last reset changes nothing.
    """
    if at_us < state.next_reset_us:
        return state, ()
    day = prague_day(at_us)
    rolled = replace(
        state,
        day=day,
        next_reset_us=next_reset_us(at_us),
        day_start_balance=balance,
        highest_midnight_balance=max(state.highest_midnight_balance, balance),
        best_day_profit=max(state.best_day_profit, balance - state.day_start_balance),
    )
    now = floors(rolled, rules)
    started = FtmoDayStarted(
        at=iso_z(us_to_datetime(midnight_us(day))),
        day=day_name(day),
        balance=balance,
        daily_limit=now.daily_limit,
        total_limit=now.total_limit,
    )
    return rolled, (started,)


def position_opened(state: FtmoState) -> FtmoState:
    """Count today as a trading day; a day counts once, however many positions it opens."""
    if state.last_traded_day == state.day:
        return state
    return replace(state, days_traded=state.days_traded + 1, last_traded_day=state.day)


def is_even(share: Any, limit: float) -> Any:
    """Whether the best day's share of the profit keeps to the limit; of one account or of many."""
    return share <= limit + _ROUNDING


class Objective(NamedTuple):
    """How far the phase is from being passed."""

    phase: Phase
    target: float | None
    """Profit in money."""
    profit: float
    to_go: float
    days_traded: int
    min_trading_days: int
    best_day: float
    best_day_share: float | None
    """The best day's profit over the total profit; None while there is no profit."""
    best_day_limit: float | None
    passed: bool


def objective(state: FtmoState, rules: FtmoRules, balance: float, *, flat: bool) -> Objective:
    """Progress of the phase. Only closed profit counts, and only an account without open positions passes.

    The best day's share is of the net profit, the strictest of the readings found.
    """
    profit = balance - state.initial_balance
    fraction = rules.target(state.phase)
    target = None if fraction is None else fraction * state.initial_balance
    days = rules.min_trading_days if target is not None else 0
    best = max(state.best_day_profit, balance - state.day_start_balance)
    share = best / profit if profit > 0 else None
    met = target is not None and not is_below(profit, target, state.initial_balance)
    even = rules.best_day_share is None or (share is not None and is_even(share, rules.best_day_share))
    return Objective(
        phase=rules.phase_name(state.phase),
        target=target,
        profit=profit,
        to_go=0.0 if target is None else max(0.0, target - profit),
        days_traded=state.days_traded,
        min_trading_days=days,
        best_day=best,
        best_day_share=share,
        best_day_limit=rules.best_day_share,
        passed=met and even and flat and state.days_traded >= days and state.breach is None,
    )
