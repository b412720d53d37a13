"""The guard over an FTMO account: ACTIVE, REDUCING (half risk until Prague midnight), HALTED.

It fails closed: whatever it cannot compute is a halt. HALTED lets nothing be emitted and has every position
closed; only :func:`leave_halted` with a reason ends it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import Event, FtmoLimitBreached, GuardStateChanged
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.risk.ftmo import (
    TWO_STEP,
    Breach,
    FtmoRules,
    FtmoState,
    floors,
    floors_after_reset,
    is_below,
    record_breach,
    roll_to,
    stop_crossed,
)
from tradingai.engine.risk.prague import next_reset_us

SHORTEST_REASON: Final = 10
"""Characters that a reason for leaving HALTED has at least."""
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class BackOff:
    """So many losses within the window lower the risk until the next Prague midnight, not compounding."""

    losses: int = 2
    window_minutes: int = 60
    factor: float = 0.5


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """What the guard goes by."""

    rules: FtmoRules = TWO_STEP
    initial_balance: float = 200_000.0
    phase: int = 1
    back_off: BackOff = field(default_factory=BackOff)
    equity_max_age_s: float = 300.0
    max_leverage: float = 3.3
    """Largest notional of all positions over the initial balance: a vanishing ATR cannot size a giant."""
    reset_warning_minutes: int = 60

    @property
    def equity_max_age_us(self) -> int:
        """An equity older than this is stale."""
        return round(self.equity_max_age_s * _SECOND_US)


class GuardStatus(StrEnum):
    """In the order of severity."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True)
class GuardState:
    """What the guard remembers; persisted with the account."""

    status: GuardStatus = GuardStatus.ACTIVE
    since_us: int = 0
    cause: str = ""
    """HALTED: not_a_number, stale, future, exception, daily_limit, total_limit, daily_stop, total_stop.
    REDUCING: losses. Afterwards what ended it: midnight, operator."""
    detail: str = ""
    losses_us: tuple[int, ...] = ()
    """When the newest losing trades closed, ascending; as many as the back-off counts."""
    reduce_until_us: int | None = None


class Reading(NamedTuple):
    """The account at one moment."""

    at_us: int
    balance: float
    equity: float
    """Balance plus floating profit, commission and swap."""
    lowest_equity: float
    """Since the reading before; equal to ``equity`` when nothing is known between."""
    priced_at_us: int | None
    """The oldest price that ``equity`` rests on; None without open positions."""


Guarded = tuple[GuardState, FtmoState, tuple[Event, ...]]


def size_factor(guard: GuardState, config: RiskConfig) -> float:
    """What the risk of a trade is multiplied with: 1, the back-off's factor, or 0 when HALTED."""
    if guard.status is GuardStatus.HALTED:
        return 0.0
    return config.back_off.factor if guard.status is GuardStatus.REDUCING else 1.0


def observe(guard: GuardState, account: FtmoState, config: RiskConfig, reading: Reading) -> Guarded:
    """Look at the account: record a breach, halt where something is wrong, end a back-off that is over."""
    unsound = _unsound(reading, config)
    if unsound is not None:
        guard, events = halt(guard, reading.at_us, *unsound)
        return guard, account, events
    wrong = _loss(account, config.rules, reading.lowest_equity)
    if wrong is None:  # No limit lies above its stop, so none is violated either.
        guard, events = tick(guard, reading.at_us)
        return guard, account, events
    breached = record_breach(account, config.rules, reading.lowest_equity, reading.at_us)
    notes: tuple[Event, ...] = ()
    if breached.breach is not None and account.breach is None:
        breach = breached.breach
        notes = (
            FtmoLimitBreached(
                limit=breach.limit, equity=breach.equity, floor=breach.floor, at=_iso(reading.at_us)
            ),
        )
        wrong = _lost(breach)
    guard, events = halt(guard, reading.at_us, *wrong)
    return guard, breached, notes + events


def _unsound(reading: Reading, config: RiskConfig) -> tuple[str, str] | None:
    if not all(map(math.isfinite, (reading.balance, reading.equity, reading.lowest_equity))):
        return "not_a_number", "equity not a number"
    if reading.priced_at_us is None:
        return None
    age_us = reading.at_us - reading.priced_at_us
    if age_us > config.equity_max_age_us:
        return "stale", f"equity {age_us // _SECOND_US} s old, {config.equity_max_age_s:g} s allowed"
    if age_us < 0:
        return "future", f"equity from {-age_us / _SECOND_US:g} s in the future: the clock went back"
    return None


def _loss(account: FtmoState, rules: FtmoRules, equity: float) -> tuple[str, str] | None:
    if account.breach is not None:
        return _lost(account.breach)
    crossed = stop_crossed(account, rules, equity)
    if crossed is None:
        return None
    limit, floor = crossed
    return f"{limit}_stop", f"equity {equity:,.2f} fell below the {limit} stop at {floor:,.2f}"


def _lost(breach: Breach) -> tuple[str, str]:
    return f"{breach.limit}_limit", (
        f"equity {breach.equity:,.2f} fell below the {breach.limit} limit at {breach.floor:,.2f}"
    )


def pass_midnights(
    guard: GuardState, account: FtmoState, config: RiskConfig, at_us: int, balance: float
) -> Guarded:
    """Set the floors from ``balance`` if Prague's midnight passed by ``at_us``; a back-off ends with it."""
    account, days = roll_to(account, config.rules, at_us, balance)
    guard, events = tick(guard, at_us)
    return guard, account, days + events


def halt(guard: GuardState, at_us: int, cause: str, detail: str) -> tuple[GuardState, tuple[Event, ...]]:
    """HALTED with its cause. The first cause stays: halting a halted guard changes nothing."""
    if guard.status is GuardStatus.HALTED:
        return guard, ()
    return _change(guard, GuardStatus.HALTED, at_us, cause, detail)


def trade_closed(
    guard: GuardState, back_off: BackOff, closed_us: int, *, won: bool
) -> tuple[GuardState, tuple[Event, ...]]:
    """Count a closed trade: the n-th loss within the window reduces the risk until Prague's midnight.

    While the risk is reduced further losses neither halve it again nor prolong it.
    """
    if won:
        return guard, ()
    losses = tuple(sorted((*guard.losses_us, closed_us)))[-back_off.losses :]
    guard = replace(guard, losses_us=losses)
    recent = len(losses) == back_off.losses and losses[-1] - losses[0] <= back_off.window_minutes * MINUTE_US
    if not recent or (guard.reduce_until_us is not None and closed_us < guard.reduce_until_us):
        return guard, ()
    guard = replace(guard, reduce_until_us=next_reset_us(closed_us))
    if guard.status is GuardStatus.HALTED:
        return guard, ()
    detail = f"{back_off.losses} losses within {back_off.window_minutes} minutes: risk × {back_off.factor:g}"
    return _change(guard, GuardStatus.REDUCING, closed_us, "losses", detail)


def tick(guard: GuardState, at_us: int) -> tuple[GuardState, tuple[Event, ...]]:
    """End a back-off whose midnight has come."""
    if guard.reduce_until_us is None or at_us < guard.reduce_until_us:
        return guard, ()
    guard = replace(guard, reduce_until_us=None)
    if guard.status is not GuardStatus.REDUCING:
        return guard, ()
    return _change(guard, GuardStatus.ACTIVE, at_us, "midnight", "the back-off ended at Prague midnight")


def leave_halted(
    guard: GuardState, account: FtmoState, config: RiskConfig, reading: Reading, *, reason: str, who: str
) -> tuple[GuardState, tuple[Event, ...]]:
    """Leave HALTED because an operator says why.

    Raises UsageError when the guard is not HALTED, the reason is too short, the account is breached, or what
    halted it still holds: it would halt again at once.
    """
    if guard.status is not GuardStatus.HALTED:
        raise UsageError(f"the guard is {guard.status}, not HALTED", remedy="There is nothing to leave.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise UsageError(
            f"the reason {reason!r} is too short", remedy=f"Say in {SHORTEST_REASON} characters or more why."
        )
    if account.breach is not None:
        raise UsageError(
            f"the account is lost: equity {account.breach.equity:,.2f} fell below its {account.breach.limit} "
            f"limit of {account.breach.floor:,.2f}",
            remedy="Open a fresh paper account: `tradingai ftmo reset --reason …`.",
        )
    still = _unsound(reading, config) or _loss(account, config.rules, reading.equity)
    if still is not None:
        raise UsageError(
            f"what halted the account still holds: {still[1]}",
            remedy=_way_out(still[0], account),
        )
    until = guard.reduce_until_us
    reducing = until is not None and reading.at_us < until
    status = GuardStatus.REDUCING if reducing else GuardStatus.ACTIVE
    cleared = replace(guard, reduce_until_us=until if reducing else None)
    return _change(cleared, status, reading.at_us, "operator", f"{who}: {reason.strip()}")


def _way_out(cause: str, account: FtmoState) -> str:
    if cause == "daily_stop":
        return f"Wait for the reset at {_iso(account.next_reset_us)}."
    if cause == "total_stop":
        return "Open a fresh paper account: `tradingai ftmo reset --reason …`."
    return "Wait for a fresh price of every open position."


def entry_refusal(
    account: FtmoState,
    config: RiskConfig,
    *,
    balance: float,
    equity_if_stopped: float,
    notional: float,
    held_until_us: int,
) -> str | None:
    """Why an entry is refused, or None.

    ``equity_if_stopped`` is the equity when every open position, every waiting order and the new one hit
    their stops, with costs; ``notional`` is theirs together. What is held over the next Prague midnight must
    also keep to the stops which that midnight sets from the balance.
    """
    initial = account.initial_balance
    now = floors(account, config.rules)
    stops = [("daily", now.daily_stop), ("total", now.total_stop)]
    if held_until_us >= account.next_reset_us:
        later = floors_after_reset(account, config.rules, balance)
        stops += [("next day's", later.daily_stop), ("next day's total", later.total_stop)]
    for name, stop in stops:
        if is_below(equity_if_stopped, stop, initial):
            return f"all stops hit leave {equity_if_stopped:,.2f}, below the {name} stop at {stop:,.2f}"
    if not notional <= config.max_leverage * initial:
        return f"notional {notional:,.2f} is more than {config.max_leverage:g} × {initial:,.2f}"
    return None


def _change(
    guard: GuardState, status: GuardStatus, at_us: int, cause: str, detail: str
) -> tuple[GuardState, tuple[Event, ...]]:
    event = GuardStateChanged(
        previous=guard.status.value, status=status.value, cause=cause, detail=detail, at=_iso(at_us)
    )
    return replace(guard, status=status, since_us=at_us, cause=cause, detail=detail), (event,)


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
