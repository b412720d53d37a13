"""Past trades by the Prague day they were opened on: what attempts are drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.fills import stopped_order_result
from tradingai.engine.decision.orders import Order, PaperConfig, Trade
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.risk.guard import BackOff, RiskConfig
from tradingai.engine.risk.limits import RateLimits
from tradingai.engine.risk.prague import midnight_us, prague_day

MAX_DAYS = 365
"""An attempt that is neither passed nor lost by then is undecided."""


class PastTrade(NamedTuple):
    """A closed trade in multiples of its initial risk, so that it can be played at any size."""

    entry_us: int
    exit_us: int
    """After ``entry_us``."""
    held_until_us: int
    """The latest end that its order planned for: what the guard asks when a midnight is near."""
    high: bool
    """Of the high tier."""
    r: float
    """Net result."""
    mae_r: float
    """Lowest floating result on the way, costs included; never above ``r``."""
    stop_r: float
    """What the balance loses when it is stopped, with stressed costs; positive."""
    notional_r: float
    """Quantity × price over the initial risk."""


class Event(NamedTuple):
    """A trade of a day opens or closes."""

    at_us: int
    opens: bool
    place: int
    """Of the trade within its day."""


@dataclass(frozen=True, slots=True)
class PastDay:
    """The trades that one Prague day opened, and when they opened and closed.

    A trade may close after the midnight that ends the day: those closes are the ``tail``.
    """

    day: int
    """Prague day number."""
    trades: tuple[PastTrade, ...]
    main: tuple[Event, ...] = field(init=False)
    """Until midnight, in the order they happen; what closes at a moment does so before anything opens."""
    tail: tuple[Event, ...] = field(init=False)
    """At midnight and later: closes only."""

    def __post_init__(self) -> None:
        end = midnight_us(self.day + 1)
        for trade in self.trades:
            if not midnight_us(self.day) <= trade.entry_us < end:
                raise ValueError(f"a trade of {trade.entry_us} does not belong to day {self.day}")
        opened = [Event(trade.entry_us, opens=True, place=place) for place, trade in enumerate(self.trades)]
        closed = [Event(trade.exit_us, opens=False, place=place) for place, trade in enumerate(self.trades)]
        events = sorted(opened + closed)
        object.__setattr__(self, "main", tuple(event for event in events if event.at_us < end))
        object.__setattr__(self, "tail", tuple(event for event in events if event.at_us >= end))


@dataclass(frozen=True, slots=True)
class History:
    """Whole Prague days in their order, days without a trade included."""

    days: tuple[PastDay, ...]

    @property
    def trades(self) -> int:
        """How many there are."""
        return sum(len(day.trades) for day in self.days)

    @property
    def traded_days(self) -> int:
        """Days that opened a position."""
        return sum(bool(day.trades) for day in self.days)

    @property
    def sha256(self) -> str:
        """Hash of all days and trades, times to the microsecond and numbers to the last bit."""
        hasher = hashlib.sha256()
        for day in self.days:
            hasher.update(repr((day.day, *map(tuple, day.trades))).encode())
        return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class ChallengeConfig:
    """What an attempt is played by."""

    risk: RiskConfig
    rates: RateLimits
    risk_fraction: float
    """Of the initial balance, a trade."""
    max_days: int = MAX_DAYS

    @property
    def back_off(self) -> BackOff:
        """The guard's answer to losses in a row."""
        return self.risk.back_off


def past_trade(trade: Trade, paper: PaperConfig, costs: ExecutionCosts) -> PastTrade:
    """A trade of the paper account in multiples of its risk.

    Raises DataError for one that has no risk or a number that is none.
    """
    risk = trade.risk_money
    if not (risk > 0 and trade.mae_r <= trade.r < float("inf") and trade.quantity > 0):
        raise DataError(f"trade {trade.key} has risk {risk:g}, result {trade.r:g} R, worst {trade.mae_r:g} R")
    earliest = trade.decided_us + costs.latency_us
    order = Order(
        key=trade.key,
        symbol=trade.symbol,
        side=trade.side,
        tier=trade.tier,
        confidence=trade.confidence,
        decided_us=trade.decided_us,
        earliest_us=earliest,
        expires_us=earliest + paper.entry_expires_minutes * MINUTE_US,
        reference=trade.reference,
        quantity=trade.quantity,
        stop_distance=risk / trade.quantity,
        target_distance=abs(trade.target - trade.entry),
    )
    return PastTrade(
        entry_us=trade.entry_us,
        exit_us=max(trade.exit_us, trade.entry_us + 1),
        held_until_us=order.expires_us + paper.time_exit_minutes * MINUTE_US,
        high=trade.tier is Tier.HIGH,
        r=trade.r,
        mae_r=trade.mae_r,
        stop_r=-stopped_order_result(order, costs, trade.decided_us) / risk,
        notional_r=trade.quantity * trade.reference / risk,
    )


def of_days(trades: Iterable[PastTrade], days: Iterable[int]) -> History:
    """So many Prague days, ascending, with the trades that they opened; other trades are left out."""
    found: dict[int, list[PastTrade]] = {day: [] for day in days}
    for trade in trades:
        own = found.get(prague_day(trade.entry_us))
        if own is not None:
            own.append(trade)
    return History(tuple(PastDay(day, tuple(sorted(own))) for day, own in found.items()))


def whole_days(first_us: int, last_us: int) -> range:
    """The Prague days of which both midnights lie between two times."""
    first = prague_day(first_us)
    return range(first + (midnight_us(first) < first_us), prague_day(last_us))
