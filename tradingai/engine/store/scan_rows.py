"""Rows of the tables that runs of the scan loop write, as plain values in the order of their columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.store.stamps import stamp

ScanState = Literal["done", "late", "failed"]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One scan. ``threshold`` is the runtime's override, None where the settings' holds."""

    seq: int
    """From 1 within its run."""
    due: datetime
    at: datetime
    """The time it decided by."""
    state: ScanState
    detail: str
    """Why it was late or failed."""
    latency_ms: float | None
    """From its due time to its decisions, measured."""
    took_ms: float | None
    threshold: float | None
    killed: bool
    kill_source: str
    balance: float | None
    equity: float | None
    drawdown: float | None
    """Largest so far, as a fraction of the peak."""
    guard: str
    """ACTIVE, REDUCING or HALTED after the scan; empty for a scan that failed."""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One coin at one scan, with exactly one reason."""

    scan_seq: int
    place: int
    """Of the coin within the scan, from 0."""
    symbol: str
    at: datetime
    candle: datetime | None
    reason: str
    detail: str
    p_up: float | None
    confidence: float | None
    side: str | None
    tier: str | None
    threshold: float
    size_factor: float
    outputs: Mapping[str, float | None]
    versions: Mapping[str, str]
    input_sha256: str
    failed: bool
    signal_key: str | None


@dataclass(frozen=True, slots=True)
class SignalRow:
    """What an emitted decision told the world."""

    key: str
    scan_seq: int
    symbol: str
    at: datetime
    side: str
    tier: str | None
    confidence: float
    entry: float
    take_profit: float
    stop_loss: float
    reward_risk: float
    quantity: float
    risk_money: float
    spread_bps: float
    slip_bps: float
    latency_ms: float
    mode: str


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A closed position of the paper account."""

    key: str
    scan_seq: int
    """The scan that lived through its end."""
    symbol: str
    side: str
    tier: str | None
    confidence: float
    quantity: float
    decided_at: datetime
    reference: float
    entry_at: datetime
    entry: float
    stop: float
    target: float
    exit_at: datetime
    exit: float
    exit_reason: str
    spread_bps: float
    slippage_bps: float
    commission: float
    swap: float
    risk_money: float
    net: float
    r: float
    mae_r: float
    mfe_r: float


@dataclass(frozen=True, slots=True)
class InputRow:
    """What a scan saw of one coin: raw closed candles that were new to it, and features made of them.

    ``features`` holds float32 little-endian rows of the newest minutes, the last of them at
    ``features_until``; ``features_sha256`` covers every row computed in this scan, kept or not.
    """

    scan_seq: int
    symbol: str
    first_candle: datetime | None
    last_candle: datetime | None
    candles: int
    input_sha256: str
    features_sha256: str
    features_until: datetime | None
    features: bytes | None


@dataclass(frozen=True, slots=True)
class WarmStartRow:
    """A model that started cold within a scan, or was refused when it should have."""

    scan_seq: int
    model: str
    version: str
    kind: str
    symbol: str
    artifact_sha256: str
    first_candle: datetime | None
    """The first it was fed."""
    last_candle: datetime | None
    """The newest of its warm-up."""
    refused: str
    """Why it cannot be used; empty when it runs."""


@dataclass(frozen=True, slots=True)
class DeskChangeRow:
    """The account as something other than a scan left it: the run's start, a restart, an operator.

    ``config`` holds the numbers that decisions, fills and the guard go by from then on; empty: as before.
    """

    number: int
    after_scan: int
    at: datetime
    cause: str
    detail: str
    desk: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """Everything one scan leaves behind."""

    scan: ScanRow
    decisions: tuple[DecisionRow, ...] = ()
    signals: tuple[SignalRow, ...] = ()
    trades: tuple[TradeRow, ...] = ()
    inputs: tuple[InputRow, ...] = ()
    warm_starts: tuple[WarmStartRow, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    """As ``Event.as_json()``."""


TABLES: Final[Mapping[Callable[..., Any], str]] = {
    ScanRow: "scans",
    SignalRow: "signals",
    DecisionRow: "decisions",
    TradeRow: "trades",
    InputRow: "scan_inputs",
    WarmStartRow: "warm_starts",
    DeskChangeRow: "desk_changes",
}
"""Where the rows of each class stand; parents before children."""
_JSON: Final = frozenset({"outputs", "versions", "desk", "config"})
_FLAGS: Final = frozenset({"killed", "failed"})
_TIMES: Final = frozenset(
    {"due", "at", "candle", "decided_at", "entry_at", "exit_at"}
    | {"first_candle", "last_candle", "features_until"}
)


def columns(kind: Callable[..., Any]) -> tuple[str, ...]:
    """The columns of a row class, after ``run_id``."""
    return tuple(item.name for item in fields(kind))  # type: ignore[arg-type]


def insert_statement(kind: Callable[..., Any]) -> str:
    """``INSERT INTO … VALUES …`` for one row of the class."""
    names = ("run_id", *columns(kind))
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - fixed names


def cells(run_id: str, rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Each row as the database's values."""
    names = columns(type(rows[0])) if rows else ()
    for row in rows:
        yield (run_id, *(_written(name, getattr(row, name)) for name in names))


def read_row(kind: Callable[..., Row], row: sqlite3.Row) -> Row:
    """A row of the table as its class."""
    return kind(**{name: _read(name, row[name]) for name in columns(kind)})


def _written(name: str, value: Any) -> Any:
    if name in _JSON:
        return dumps(value)
    if isinstance(value, datetime):
        return stamp(value)
    return int(value) if name in _FLAGS else value


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _JSON:
        return json.loads(value)
    if name in _TIMES:
        return parse_iso(value)
    return bool(value) if name in _FLAGS else value
