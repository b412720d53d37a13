"""A run's newest signals and what became of each."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.run_snapshot import DeskFacts, SignalView

SIGNALS_SHOWN: Final = 200
WAITING: Final = "waiting"
OPEN: Final = "open"
CANCELLED: Final = "cancelled"
_NEWER: Final = (
    "SELECT * FROM signals WHERE run_id = ? AND (at, key) > (?, ?) ORDER BY at DESC, key DESC LIMIT ?"
)
_TRADE: Final = "SELECT exit_reason, r FROM trades WHERE run_id = ? AND key = ?"


class RunSignals:
    """Only new signals are read, and only those that have not ended are looked after."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._newest = ("", "")
        self._signals: dict[str, SignalView] = {}
        """By key, newest first."""
        self._unsettled: set[str] = set()

    def follow(self, connection: sqlite3.Connection, desk: DeskFacts) -> tuple[SignalView, ...]:
        """The newest signals, newest first. ``desk`` is the run's account of the same moment."""
        rows = connection.execute(_NEWER, (self._run, *self._newest, SIGNALS_SHOWN)).fetchall()
        if rows:
            self._newest = (rows[0]["at"], rows[0]["key"])
            fresh = {row["key"]: _signal(row) for row in rows}
            self._unsettled |= set(fresh)
            merged = {**fresh, **self._signals}
            self._signals = dict(list(merged.items())[:SIGNALS_SHOWN])
            self._unsettled &= set(self._signals)
        floating = {position.key: position.r for position in desk.positions}
        for key in tuple(self._unsettled):
            self._look_after(connection, key, desk, floating.get(key))
        return tuple(self._signals.values())

    def _look_after(
        self, connection: sqlite3.Connection, key: str, desk: DeskFacts, floating: float | None
    ) -> None:
        if floating is not None:
            state, r = OPEN, floating
        elif key in desk.waiting:
            state, r = WAITING, None
        else:
            trade = connection.execute(_TRADE, (self._run, key)).fetchone()
            unknown = CANCELLED if desk.known else ""
            state, r = (unknown, None) if trade is None else (trade["exit_reason"], trade["r"])
            if state:
                self._unsettled.discard(key)
        self._signals[key] = replace(self._signals[key], state=state, r=r)


def _signal(row: sqlite3.Row) -> SignalView:
    return SignalView(
        key=row["key"],
        at=parse_iso(row["at"]),
        symbol=row["symbol"],
        side=row["side"],
        tier=row["tier"] or "",
        confidence=row["confidence"],
        entry=row["entry"],
        take_profit=row["take_profit"],
        stop_loss=row["stop_loss"],
        reward_risk=row["reward_risk"],
        spread_bps=row["spread_bps"],
        slip_bps=row["slip_bps"],
        latency_ms=row["latency_ms"],
    )
