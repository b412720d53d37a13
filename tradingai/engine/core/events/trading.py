"""Decisions that became signals, the paper positions opened on them, the guard of the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class SignalEmitted(Event):
    """A decision passed every rule. ``key`` names the signal for ever: coin and candle."""

    key: str
    symbol: str
    side: str
    tier: str
    confidence: float
    entry: float
    take_profit: float
    stop_loss: float
    mode: str


@dataclass(frozen=True, kw_only=True)
class RuleFailed(Event):
    """A rule could not be evaluated; the decision was blocked by it."""

    level: ClassVar[str] = "error"
    symbol: str
    rule: str
    error: str
    at: str


@dataclass(frozen=True, kw_only=True)
class PositionOpened(Event):
    """A paper order was filled."""

    key: str
    symbol: str
    side: str
    quantity: float
    price: float
    at: str


@dataclass(frozen=True, kw_only=True)
class PositionClosed(Event):
    """A paper position ended. ``net`` is after all costs, ``r`` its multiple of the initial risk."""

    key: str
    symbol: str
    side: str
    price: float
    exit: str
    net: float
    r: float
    at: str


@dataclass(frozen=True, kw_only=True)
class EntryCancelled(Event):
    """A paper order was given up before it was filled."""

    level: ClassVar[str] = "warning"
    key: str
    symbol: str
    reason: str
    at: str


@dataclass(frozen=True, kw_only=True)
class PriceRejected(Event):
    """A candle that cannot be a price reached the paper account and was not used."""

    level: ClassVar[str] = "error"
    symbol: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class FtmoDayStarted(Event):
    """Prague's midnight passed and the floors were set from the balance it found."""

    at: str
    day: str
    balance: float
    daily_limit: float
    total_limit: float


@dataclass(frozen=True, kw_only=True)
class FtmoLimitBreached(Event):
    """Equity fell below a limit of the account."""

    level: ClassVar[str] = "error"
    limit: str
    equity: float
    floor: float
    at: str


@dataclass(frozen=True, kw_only=True)
class GuardStateChanged(Event):
    """The guard went from one of ACTIVE, REDUCING, HALTED to another."""

    level: ClassVar[str] = "warning"
    previous: str
    status: str
    cause: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class AccountReset(Event):
    """An operator let the account out of HALTED, or opened a fresh one."""

    level: ClassVar[str] = "warning"
    run_id: str
    fresh: bool
    who: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DrillFinished(Event):
    """The guard was tried with a simulated loss on an account of its own."""

    run_id: str
    held: bool
    """It halted, closed what was open, and nothing was emitted that a twin without the loss did emit."""
    emitted_after: int
    twin_emitted: int
    positions_closed: int
    seconds: float
