"""One scan of the desk, in live loop, replay and backtest alike: what has passed, then the decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tradingai.engine.core.events import Event
from tradingai.engine.decision.desk import advance, decide
from tradingai.engine.decision.orders import Bar, Trade
from tradingai.engine.decision.records import Decision, Scan
from tradingai.engine.decision.state import DeskConfig, DeskState

Minute = tuple[int, Mapping[str, Bar]]
"""An open time in microseconds and the candles that opened then and are closed now, by coin."""


class Scanned(NamedTuple):
    """The desk after a scan, and everything that happened on the way."""

    state: DeskState
    decisions: tuple[Decision, ...]
    trades: tuple[Trade, ...]
    events: tuple[Event, ...]


def scan_desk(state: DeskState, config: DeskConfig, minutes: Iterable[Minute], scan: Scan) -> Scanned:
    """Live through ``minutes``, which ascend, then decide on ``scan``. Never raises: what fails is a halt."""
    trades: tuple[Trade, ...] = ()
    events: tuple[Event, ...] = ()
    for ts_us, bars in minutes:
        advanced = advance(state, config, bars, ts_us)
        state = advanced.state
        trades += advanced.trades
        events += advanced.events
    decided = decide(state, config, scan)
    return Scanned(decided.state, decided.decisions, trades, events + decided.events)
