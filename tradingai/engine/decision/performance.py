"""What a run's decisions and trades add up to: the funnel, and how the paper account did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.decision.orders import Exit, Trade
from tradingai.engine.decision.paper import equity_of
from tradingai.engine.decision.records import REASONS, Decision
from tradingai.engine.decision.state import DeskState
from tradingai.engine.decision.tiers import TIERS
from tradingai.engine.risk.costs import BPS, ExecutionCosts
from tradingai.engine.risk.guard import GuardStatus

DAYS_A_YEAR: Final = 365
"""Crypto trades every day."""
NO_TIER: Final = "none"
NO_TIERS: Final = {**{tier.value: 0 for tier in reversed(TIERS)}, NO_TIER: 0}
"""A count for each tier, and for a confidence below the lowest."""
_DAY_US: Final = DAY_MINUTES * MINUTE_US


@dataclass(frozen=True, slots=True)
class Performance:
    """A paper account after a run. Money in its currency, ``r`` in multiples of a trade's initial risk."""

    trades: int
    wins: int
    win_rate: float | None
    """Trades with net R > 0 over closed trades."""
    net: float
    """Sum of the closed trades, after all costs."""
    net_r: float
    mean_r: float | None
    profit_factor: float | None
    """Gains over losses; None without a loss."""
    right: int
    """Trades whose price moved their way, before costs."""
    accuracy: float | None
    """``right`` over closed trades."""
    break_even_accuracy: float | None
    """The share of right trades at which the run would have made nothing; see :func:`break_even`."""
    balance: float
    equity: float
    max_drawdown: float
    """Largest fall of equity from its peak, as a fraction of the peak, intraminute lows included."""
    sharpe: float | None
    """Mean over deviation of the daily results (UTC days, by exit), times √365. Source: Sharpe (1994)."""
    days: int
    open_positions: int
    halted: dict[str, Any] | None
    """Since when and why the guard is HALTED; None while it is not."""

    def as_json(self) -> dict[str, Any]:
        """Every field with JSON leaves."""
        document: dict[str, Any] = plain({name: getattr(self, name) for name in self.__slots__})
        return document


@dataclass(slots=True)
class Tally:
    """Adds up scans as they are decided; keeps sums, so that a long run costs no memory."""

    costs: ExecutionCosts
    hashing: bool = True
    """Whether to build ``decisions_sha256``."""
    scans: int = 0
    decisions: int = 0
    by_reason: dict[str, int] = field(default_factory=lambda: {reason.value: 0 for reason in REASONS})
    by_tier: dict[str, int] = field(default_factory=NO_TIERS.copy)
    """Of every scored decision."""
    signals_by_tier: dict[str, int] = field(default_factory=NO_TIERS.copy)
    events: dict[str, int] = field(default_factory=dict)
    """How often each type of event happened."""
    _hash: Any = field(default_factory=sha256)
    _right: int = 0
    _right_r: float = 0.0
    _wrong_r: float = 0.0
    _net: float = 0.0
    _daily: dict[int, float] = field(default_factory=dict)

    @property
    def signals(self) -> int:
        """Emitted decisions."""
        return sum(self.signals_by_tier.values())

    @property
    def decisions_sha256(self) -> str:
        """The same as ``records.decisions_sha256`` over all decisions so far."""
        return str(self._hash.hexdigest())

    def add(
        self, decisions: Sequence[Decision], trades: Iterable[Trade], events: Iterable[Event] = ()
    ) -> None:
        """One more scan."""
        self.scans += 1
        self.decisions += len(decisions)
        for decision in decisions:
            self._count(decision)
        for trade in trades:
            self._book(trade)
        for event in events:
            name = type(event).__name__
            self.events[name] = self.events.get(name, 0) + 1

    def performance(self, desk: DeskState, first_us: int, last_us: int) -> Performance:
        """The account ``desk`` after scans from ``first_us`` to ``last_us``."""
        paper = desk.paper
        wrong = paper.trades - self._right
        return Performance(
            trades=paper.trades,
            wins=paper.wins,
            win_rate=paper.win_rate,
            net=self._net,
            net_r=paper.net_r,
            mean_r=paper.net_r / paper.trades if paper.trades else None,
            profit_factor=paper.gained / paper.lost if paper.lost > 0 else None,
            right=self._right,
            accuracy=self._right / paper.trades if paper.trades else None,
            break_even_accuracy=break_even(
                self._right_r / self._right if self._right else None, self._wrong_r / wrong if wrong else None
            ),
            balance=paper.balance,
            equity=equity_of(paper, self.costs),
            max_drawdown=paper.max_drawdown,
            sharpe=sharpe(self._results(first_us, last_us)),
            days=last_us // _DAY_US - first_us // _DAY_US + 1,
            open_positions=len(paper.positions),
            halted=_halted(desk),
        )

    def _count(self, decision: Decision) -> None:
        self.by_reason[decision.reason.value] += 1
        tier = NO_TIER if decision.tier is None else decision.tier.value
        if decision.confidence is not None:
            self.by_tier[tier] += 1
        if decision.emitted:
            self.signals_by_tier[tier] += 1
        if self.hashing:
            self._hash.update(decision.canonical() + b"\n")

    def _book(self, trade: Trade) -> None:
        if moved_its_way(trade, self.costs):
            self._right += 1
            self._right_r += trade.r
        else:
            self._wrong_r += trade.r
        self._net += trade.net
        day = trade.exit_us // _DAY_US
        self._daily[day] = self._daily.get(day, 0.0) + trade.net

    def _results(self, first_us: int, last_us: int) -> list[float]:
        return [self._daily.get(day, 0.0) for day in range(first_us // _DAY_US, last_us // _DAY_US + 1)]


def moved_its_way(trade: Trade, costs: ExecutionCosts) -> bool:
    """Whether the price without spread and slippage moved the trade's way between entry and exit."""
    sign = trade.side.sign
    entry = trade.entry / (1 + sign * (trade.spread_bps / 2 + trade.slippage_bps) * BPS)
    cost = costs.drawn(trade.symbol, trade.exit_us)
    away = cost.limit_bps if trade.exit_reason is Exit.TARGET else cost.market_bps
    return sign * (trade.exit / (1 - sign * away * BPS) - entry) > 0


def break_even(right_r: float | None, wrong_r: float | None) -> float | None:
    """The p with p · ``right_r`` + (1 − p) · ``wrong_r`` = 0, the mean net R of right and of wrong trades.

    None without trades of both kinds, and where being right loses or being wrong gains after costs.
    """
    if right_r is None or wrong_r is None or right_r <= 0 or wrong_r >= 0:
        return None
    return -wrong_r / (right_r - wrong_r)


def sharpe(results: Sequence[float]) -> float | None:
    """Mean over sample deviation of daily results, annualised; None for under two days or no variation."""
    if len(results) < 2:
        return None
    mean = math.fsum(results) / len(results)
    variance = math.fsum((value - mean) ** 2 for value in results) / (len(results) - 1)
    return mean / math.sqrt(variance) * math.sqrt(DAYS_A_YEAR) if variance > 0 else None


def _halted(desk: DeskState) -> dict[str, Any] | None:
    guard = desk.guard
    if guard.status is not GuardStatus.HALTED:
        return None
    return {"since": us_to_datetime(guard.since_us), "cause": guard.cause, "detail": guard.detail}
