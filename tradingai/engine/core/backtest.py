"""What a backtest found, as plain types that every surface can read without numpy or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from tradingai.engine.core.jsonio import parse_iso, plain


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """One model's test range through the decision code of the live loop, from a fresh account.

    Money in the account's currency, ``r`` in multiples of a trade's initial risk. Fractions are of 1.
    """

    start: datetime
    """The first scan."""
    end: datetime
    """The last one."""
    interval_s: int
    scans: int
    decisions: int
    signals: int
    by_reason: Mapping[str, int]
    by_tier: Mapping[str, int]
    """Every scored decision."""
    signals_by_tier: Mapping[str, int]
    trades: int
    wins: int
    win_rate: float | None
    """Closed trades with net R > 0."""
    net: float
    net_r: float
    mean_r: float | None
    profit_factor: float | None
    right: int
    """Trades whose price moved their way, before costs."""
    accuracy: float | None
    break_even_accuracy: float | None
    """The share of right trades at which costs and losses would have eaten the gains."""
    balance: float
    equity: float
    max_drawdown: float
    sharpe: float | None
    """Of daily results (UTC days), annualised."""
    days: int
    open_positions: int
    halted: Mapping[str, Any] | None
    """Since when and why the account is halted, which it stays to the end; None while it is not."""
    costs: str
    """Where spread and slippage are from: ``defaults``, or the measurement."""

    def as_json(self) -> dict[str, Any]:
        """Every field with JSON leaves."""
        document: dict[str, Any] = plain({item.name: getattr(self, item.name) for item in fields(self)})
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BacktestResult:
        """The inverse of :meth:`as_json`. Raises KeyError for another document."""
        values = {item.name: document[item.name] for item in fields(cls)}
        return cls(**{**values, "start": parse_iso(values["start"]), "end": parse_iso(values["end"])})
