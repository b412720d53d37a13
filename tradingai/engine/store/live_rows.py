"""Rows of the live loop's own tables, as plain values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.stamps import stamp, unstamp

EngineState = Literal["started", "scanning", "stopped"]


@dataclass(frozen=True, slots=True)
class LiveCandle:
    """A raw closed candle as the provider gave it; None where it gave no number."""

    scan_seq: int
    warm: bool
    """History that filled the windows after scan ``scan_seq``; otherwise that scan received it."""
    symbol: str
    ts_us: int
    """Open time, microseconds since 1970 UTC."""
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The engine was alive. ``engine`` names one start of the loop."""

    run_id: str
    engine: str
    boot_id: str
    pid: int
    at: datetime
    monotonic_s: float
    interval_s: float
    scans: int
    """Number of the run's newest stored scan."""
    next_due: datetime | None
    state: EngineState


@dataclass(frozen=True, slots=True)
class LiveRunRow:
    """What a live run reads, and how far its candles stand in the yearly files."""

    run_id: str
    feed: str
    compacted_until: datetime | None


CANDLE_FIELDS: Final = ("open", "high", "low", "close", "volume")
INSERT_CANDLE: Final = "INSERT INTO live_candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_HEARTBEAT: Final = (
    "INSERT INTO heartbeats"
    " (run_id, engine, boot_id, pid, at, monotonic_s, interval_s, scans, next_due, state)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def candle_cells(run_id: str, candles: Iterable[LiveCandle]) -> Iterator[tuple[Any, ...]]:
    """Each candle as the database's values; sqlite keeps a NaN as NULL."""
    for candle in candles:
        prices = (getattr(candle, name) for name in CANDLE_FIELDS)
        yield (
            run_id,
            candle.scan_seq,
            int(candle.warm),
            candle.symbol,
            candle.ts_us,
            *prices,
            stamp(candle.received_at),
        )


def candle_row(row: sqlite3.Row) -> LiveCandle:
    """A row of the table as a LiveCandle."""
    return LiveCandle(
        scan_seq=row["scan_seq"],
        warm=bool(row["warm"]),
        symbol=row["symbol"],
        ts_us=row["ts_us"],
        open=row["open"],
        high=row["high"],
        low=row["low"],
        close=row["close"],
        volume=row["volume"],
        received_at=parse_iso(row["received_at"]),
    )


def heartbeat_cells(beat: Heartbeat) -> tuple[Any, ...]:
    """A heartbeat as the database's values."""
    return (
        beat.run_id,
        beat.engine,
        beat.boot_id,
        beat.pid,
        stamp(beat.at),
        beat.monotonic_s,
        beat.interval_s,
        beat.scans,
        None if beat.next_due is None else stamp(beat.next_due),
        beat.state,
    )


def heartbeat_row(row: sqlite3.Row) -> Heartbeat:
    """A row of the table as a Heartbeat."""
    return Heartbeat(
        row["run_id"],
        row["engine"],
        row["boot_id"],
        row["pid"],
        parse_iso(row["at"]),
        row["monotonic_s"],
        row["interval_s"],
        row["scans"],
        unstamp(row["next_due"]),
        row["state"],
    )


def live_run_row(row: sqlite3.Row) -> LiveRunRow:
    """A row of the table as a LiveRunRow."""
    return LiveRunRow(row["run_id"], row["feed"], unstamp(row["compacted_until"]))
