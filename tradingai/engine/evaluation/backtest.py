"""A model's test range through the decision code of the live loop: one coin, a fresh account, scan by scan.

Probabilities and ATR are those of the batch; a stream that carries its state says the same within 1e-5, so a
replay of the range decides the same but for decisions that close to a threshold. Minutes that cleaning filled
are no prices: the desk does not live through them, and a scan within a gap has no new candle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.orders import Bar
from tradingai.engine.decision.performance import Tally
from tradingai.engine.decision.records import CoinInput, Decision, Scan
from tradingai.engine.decision.scanning import Minute, scan_desk
from tradingai.engine.decision.state import DeskConfig, config_from_json, open_desk

BACKTEST_VERSION: Final = 1
"""Part of every evaluation's identity: a change of what is below raises it."""
MODE: Final = "backtest"
_SECOND_US: Final = 1_000_000
_SCANS_BETWEEN_STOPS: Final = 1024
_WORTH_A_PROCESS: Final = 30_000
"""Scans that take several times as long as starting a process."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """The numbers that decisions, fills and the guard go by, and how often they are asked."""

    config: DeskConfig = field(default_factory=DeskConfig)
    interval_s: int = 120

    @property
    def minutes(self) -> int:
        """Whole minutes between two scans: how far one looks back."""
        return self.interval_s * _SECOND_US // MINUTE_US

    def worth_a_process(self, minutes: int) -> bool:
        """Whether trading so many minutes, of all coins together, is worth a process of its own."""
        return 60 * minutes >= _WORTH_A_PROCESS * self.interval_s

    def as_json(self) -> dict[str, Any]:
        """For the certificate: everything a backtest depends on beside model and data."""
        return {"version": BACKTEST_VERSION, "interval_s": self.interval_s, "config": self.config.as_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BacktestPlan:
        """The inverse of :meth:`as_json`. Raises StoreError for numbers that cannot be read."""
        return cls(config_from_json(document["config"]), int(document["interval_s"]))


@dataclass(frozen=True, slots=True, eq=False)
class TradedRange:
    """Rows ``lo`` … ``hi`` - 1 of one coin's candles with what its model says at their closes."""

    model: str
    symbol: str
    candles: Candles
    """All stored minutes; row i of every array is the same minute."""
    real: Bools
    """Which of them are candles and not fillings."""
    peers_real: tuple[Bools, ...]
    """The same of every peer whose closes the features look at."""
    lo: int
    hi: int
    probability: Floats
    """P(up) of rows ``lo`` … ``hi`` - 1."""
    atr_ratio: npt.NDArray[np.float32]
    """ATR(14) as a share of the close, of the same rows."""

    def cropped(self, before: int) -> TradedRange:
        """The same range with no more than ``before`` minutes before it and none after it.

        A backtest of it is the same when a scan looks back no further; it is small to hand over.
        """
        first = max(self.lo - before, 0)
        kept = slice(first, self.hi)
        return replace(
            self,
            candles=self.candles[kept],
            real=self.real[kept],
            peers_real=tuple(peer[kept] for peer in self.peers_real),
            lo=self.lo - first,
            hi=self.hi - first,
        )


class Moment(NamedTuple):
    """One scan: what passed before it, and what it is asked."""

    minutes: tuple[Minute, ...]
    scan: Scan


def backtest(plan: BacktestPlan, test: TradedRange, reporter: Reporter) -> BacktestResult:
    """Scan the range from a fresh account. Raises DataError for one without a scan, InterruptedRunError."""
    tally = Tally(plan.config.costs, hashing=False)
    first_us = last_us = 0
    desk = None
    for number, moment in enumerate(moments(plan, test)):
        if desk is None:
            first_us = moment.scan.at_us
            desk = open_desk(plan.config, first_us)
        last_us = moment.scan.at_us
        scanned = scan_desk(desk, plan.config, moment.minutes, moment.scan)
        desk = scanned.state
        tally.add(scanned.decisions, scanned.trades, scanned.events)
        if number % _SCANS_BETWEEN_STOPS == 0:
            reporter.safe_point()
    if desk is None:
        raise DataError(
            f"{test.hi - test.lo} minutes of {test.symbol} hold no scan every {plan.interval_s} s"
        )
    account = tally.performance(desk, first_us, last_us).as_json()
    return BacktestResult(
        start=us_to_datetime(first_us),
        end=us_to_datetime(last_us),
        interval_s=plan.interval_s,
        scans=tally.scans,
        decisions=tally.decisions,
        signals=tally.signals,
        by_reason=tally.by_reason,
        by_tier=tally.by_tier,
        signals_by_tier=tally.signals_by_tier,
        costs=plan.config.costs.source,
        **account,
    )


def decisions(plan: BacktestPlan, test: TradedRange) -> Iterator[Decision]:
    """Every decision of the backtest, for comparing it with a replay."""
    desk = None
    for moment in moments(plan, test):
        desk = desk or open_desk(plan.config, moment.scan.at_us)
        scanned = scan_desk(desk, plan.config, moment.minutes, moment.scan)
        desk = scanned.state
        yield from scanned.decisions


def moments(plan: BacktestPlan, test: TradedRange) -> Iterator[Moment]:
    """The scans at whole multiples of the interval whose newest closed minute lies in the range."""
    first_row_us, step_us = int(test.candles.ts[0]), plan.interval_s * _SECOND_US
    first_us = -(-(first_row_us + (test.lo + 1) * MINUTE_US) // step_us) * step_us
    rows = plan.minutes
    newest = _newest(test.real)
    newest_peers = np.minimum.reduce([newest, *(_newest(peer) for peer in test.peers_real)])
    bars = _Bars(test)
    for number in range((first_row_us + test.hi * MINUTE_US - first_us) // step_us + 1):
        at_us = first_us + number * step_us
        row = (at_us - first_row_us) // MINUTE_US - 1
        minutes = tuple(bars.minute(at) for at in range(max(row - rows + 1, 0), row + 1) if test.real[at])
        coin = _coin(test, int(newest[row]), int(newest_peers[row]))
        yield Moment(minutes, Scan(at_us, (coin,), mode=MODE))


class _Bars:
    """Rows as bars, with Python's own floats."""

    def __init__(self, test: TradedRange) -> None:
        self._test = test

    def minute(self, row: int) -> Minute:
        """One row as the desk takes it."""
        candles = self._test.candles
        ts_us = int(candles.ts[row])
        prices = (candles.open[row], candles.high[row], candles.low[row], candles.close[row])
        return ts_us, {self._test.symbol: Bar(ts_us, *(float(price) for price in prices))}


def _newest(real: Bools) -> npt.NDArray[np.int64]:
    """For each row the newest one up to it that is real, -1 before the first."""
    return np.maximum.accumulate(np.where(real, np.arange(len(real)), -1))


def _coin(test: TradedRange, newest: int, newest_peers: int) -> CoinInput:
    """The coin as a stream would show it whose newest candle is row ``newest``."""
    if newest < test.lo:
        return CoinInput(test.symbol, None, float("nan"), float("nan"), None, "no candle in the range")
    close, place = float(test.candles.close[newest]), newest - test.lo
    known = newest_peers >= newest
    p_up = float(test.probability[place]) if known else None
    return CoinInput(
        symbol=test.symbol,
        candle_us=int(test.candles.ts[newest]),
        close=close,
        atr=float(test.atr_ratio[place]) * close,
        p_up=p_up,
        note="" if known else "features end before the newest candle",
        outputs={} if p_up is None else {test.model: p_up},
    )
