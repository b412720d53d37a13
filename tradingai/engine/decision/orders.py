"""Orders, positions and trades of the paper account."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.tiers import Tier


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """How the paper account trades."""

    risk_fraction: float = 0.0025
    """Of the initial balance, a trade."""
    stop_atr: float = 4.0
    target_atr: float = 8.0
    time_exit_minutes: int = HORIZON_MINUTES
    entry_expires_minutes: int = 3
    """An order that found no price within this time of when it could have been filled is given up."""

    def __post_init__(self) -> None:
        if min(self.risk_fraction, self.stop_atr, self.target_atr, self.time_exit_minutes) <= 0:
            raise ValueError(f"the paper account's numbers are positive: {self}")


class Bar(NamedTuple):
    """One closed one-minute candle; ``ts_us`` is its open time."""

    ts_us: int
    open: float
    high: float
    low: float
    close: float

    @property
    def end_us(self) -> int:
        """When it closed."""
        return self.ts_us + MINUTE_US

    def fault(self) -> str | None:
        """Why this cannot be a candle, or None."""
        prices = (self.open, self.high, self.low, self.close)
        if not all(map(math.isfinite, prices)):
            return "a price that is not a number"
        if min(prices) <= 0:
            return "a price that is not positive"
        if self.low > min(self.open, self.close) or self.high < max(self.open, self.close):
            return "a high or low inside the candle's body"
        return None


@dataclass(frozen=True, slots=True)
class Order:
    """A signal that waits for its first price. Distances are in the price's unit, R is ``risk_money``."""

    key: str
    symbol: str
    side: Side
    tier: Tier | None
    confidence: float
    decided_us: int
    earliest_us: int
    """Decision plus latency: the first candle that opens at or after it fills the order."""
    expires_us: int
    reference: float
    """The close that was decided on."""
    quantity: float
    stop_distance: float
    target_distance: float

    @property
    def risk_money(self) -> float:
        """Initial risk, 1 R: what the way to the stop costs, before costs."""
        return self.quantity * self.stop_distance


@dataclass(frozen=True, slots=True)
class Position:
    """A filled order. Its entry commission has left the balance; swap has not."""

    order: Order
    entry_us: int
    entry: float
    """Filled price, with half the spread and slippage."""
    stop: float
    target: float
    due_us: int
    spread_bps: float
    slippage_bps: float
    entry_commission: float
    swap: float
    """Accrued so far, negative when it is paid."""
    mark: float
    """Newest close of the coin."""
    mark_us: int
    """When that candle closed."""
    lowest: float
    """Lowest floating result so far, after entry commission and swap, in money."""
    highest: float


class Exit(StrEnum):
    """How a position ended."""

    STOP = "stop"
    TARGET = "target"
    TIME = "time"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed position. ``net`` is after spread, slippage, commission and swap; ``r`` is net over 1 R."""

    key: str
    symbol: str
    side: Side
    tier: Tier | None
    confidence: float
    quantity: float
    decided_us: int
    reference: float
    entry_us: int
    entry: float
    stop: float
    target: float
    exit_us: int
    exit: float
    exit_reason: Exit
    spread_bps: float
    slippage_bps: float
    commission: float
    swap: float
    risk_money: float
    net: float
    r: float
    mae_r: float
    """Lowest floating result on the way, in R, costs so far included; never above ``r``."""
    mfe_r: float

    @property
    def won(self) -> bool:
        """A win is net R > 0."""
        return self.r > 0

    def as_json(self) -> dict[str, Any]:
        """Every field with JSON leaves, times as ISO-8601 Z."""
        document = asdict(self)
        for name in ("decided", "entry", "exit"):
            document[f"{name}_at"] = us_to_datetime(document.pop(f"{name}_us"))
        result: dict[str, Any] = plain(document)
        return result
