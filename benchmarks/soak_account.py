"""Balance and equity at every scan, added up again from fills, trades and candles."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from soak_evidence import Evidence, Told, Verdict

HALF_A_CENT: Final = 0.005
COMMISSION: Final = 0.000325
"""Of the notional, a side. Of the specification and not of the account's code, as the next."""
HALF_SPREAD: Final = 0.0006
"""Half of 12 basis points, which hold where nobody measured costs: away from the mid price of a mark."""


@dataclass
class _Open:
    """A position: what its entry cost, and what it is worth at a price."""

    symbol: str
    sign: int
    quantity: float
    entry: float
    commission: float


@dataclass
class _Book:
    """The account as it has to be. Each position's swap is 0: the soak's costs have none."""

    balance: float
    positions: dict[str, _Open] = field(default_factory=dict)

    def opened(self, payload: dict[str, Any]) -> None:
        one = _Open(
            payload["symbol"],
            1 if payload["side"] == "long" else -1,
            payload["quantity"],
            payload["price"],
            COMMISSION * payload["quantity"] * payload["price"],
        )
        self.positions[payload["key"]] = one
        self.balance -= one.commission

    def closed(self, payload: dict[str, Any]) -> float:
        """The trade's net result by its fills: price difference less both commissions."""
        one = self.positions.pop(payload["key"])
        gross = one.sign * (payload["price"] - one.entry) * one.quantity
        paid = COMMISSION * one.quantity * payload["price"]
        self.balance += gross - paid
        return gross - paid - one.commission

    def equity(self, marks: dict[str, float]) -> float:
        """With each position closed at the newest close, half the spread away."""
        floating = 0.0
        for one in self.positions.values():
            price = marks[one.symbol] * (1 - one.sign * HALF_SPREAD)
            floating += one.sign * (price - one.entry) * one.quantity
        return self.balance + floating


def equity(evidence: Evidence) -> Verdict:
    """Initial balance + trades − commissions of open positions, and their floating result, at every scan.

    What a trade brought is worked out from the prices and the quantity its fills were told with, and what the
    account booked for it has to be that. Nothing of the account's own arithmetic is used.
    """
    found: list[str] = []
    checked = 0
    for row in evidence.rows("SELECT run_id FROM runs WHERE kind = 'live' ORDER BY started_at"):
        count, wrong = _run(evidence, row["run_id"])
        checked += count
        found += wrong
    trades = evidence.rows("SELECT count(*), coalesce(sum(net), 0) FROM trades")[0]
    fresh = sum(one.payload["fresh"] for one in evidence.told("AccountReset"))
    words = f"{trades[0]:,} trades sum to {trades[1]:+,.2f}, {fresh + 1} accounts"
    return Verdict.of("equity is the trades", checked, found, words)


def _run(evidence: Evidence, run_id: str) -> tuple[int, list[str]]:
    changes = evidence.rows("SELECT * FROM desk_changes WHERE run_id = ? ORDER BY number", run_id)
    happened: dict[int, list[Told]] = defaultdict(list)
    for one in evidence.told("PositionOpened", "PositionClosed"):
        if one.run == run_id:
            happened[one.scan].append(one)
    trades: dict[str, sqlite3.Row] = {}
    by_scan: dict[int, set[str]] = defaultdict(set)
    for row in evidence.rows("SELECT * FROM trades WHERE run_id = ?", run_id):
        trades[row["key"]] = row
        by_scan[row["scan_seq"]].add(row["key"])
    book = _begin(changes[0])
    waiting = list(changes[1:])
    found: list[str] = []
    rows = evidence.rows(
        "SELECT seq, at, state, balance, equity FROM scans WHERE run_id = ? ORDER BY seq", run_id
    )
    for row, marks in zip(rows, _marks(evidence, run_id, len(rows)), strict=True):
        while waiting and waiting[0]["after_scan"] < row["seq"]:
            found += _change(book, waiting.pop(0))
        closed, wrong = _live(book, happened[row["seq"]], trades)
        found += wrong
        if closed != by_scan[row["seq"]]:
            found.append(f"scan {row['seq']}: trades {sorted(by_scan[row['seq']])}, told {sorted(closed)}")
        if row["state"] != "failed":
            found += _compare(book, row, marks)
    return len(rows), found


def _begin(change: sqlite3.Row) -> _Book:
    """The account a run begins with; positions that an earlier run left are in it."""
    paper = json.loads(change["desk"])["paper"]
    book = _Book(paper["balance"])
    for one in paper["positions"]:
        order = one["order"]
        sign = 1 if order["side"] == "long" else -1
        book.positions[order["key"]] = _Open(
            order["symbol"], sign, order["quantity"], one["entry"], one["entry_commission"]
        )
    return book


def _change(book: _Book, change: sqlite3.Row) -> Iterator[str]:
    """An account that no scan made: the one before, or a fresh one."""
    paper = json.loads(change["desk"])["paper"]
    if paper["trades"] == 0 and paper["balance"] == paper["initial_balance"] and change["cause"] == "reset":
        book.balance, book.positions = paper["balance"], {}
    elif abs(paper["balance"] - book.balance) > HALF_A_CENT:
        yield (
            f"{change['cause']} after scan {change['after_scan']}: balance {paper['balance']:,.2f},"
            f" {book.balance:,.2f} added up"
        )


def _live(book: _Book, happened: list[Told], trades: dict[str, sqlite3.Row]) -> tuple[set[str], list[str]]:
    """What was closed, and what is wrong with it."""
    closed: set[str] = set()
    found: list[str] = []
    for one in happened:
        key = one.payload["key"]
        if one.type == "PositionOpened":
            book.opened(one.payload)
        elif key not in book.positions:
            found.append(f"{key} was closed and never opened")
        else:
            closed.add(key)
            entry, net = book.positions[key].entry, book.closed(one.payload)
            if key in trades:
                found += _otherwise(trades[key], entry, one.payload, net)
    return closed, found


def _otherwise(trade: sqlite3.Row, entry: float, told: dict[str, Any], net: float) -> Iterator[str]:
    """Where a trade says something else than its fills."""
    for name, stored, filled in (("entry", trade["entry"], entry), ("exit", trade["exit"], told["price"])):
        if stored != filled:
            yield f"trade {trade['key']}: {name} {stored} and its fill was {filled}"
    for name, booked in (("net", trade["net"]), ("net as told", told["net"])):
        if abs(booked - net) > HALF_A_CENT:
            yield f"trade {trade['key']}: {name} {booked:,.2f}, {net:,.2f} by its fills"


def _compare(book: _Book, row: sqlite3.Row, marks: dict[str, float]) -> Iterator[str]:
    if abs(row["balance"] - book.balance) > HALF_A_CENT:
        yield f"scan {row['seq']}: balance {row['balance']:,.2f}, {book.balance:,.2f} added up"
        book.balance = row["balance"]
    expected = book.equity(marks)
    if abs(row["equity"] - expected) > HALF_A_CENT:
        yield f"scan {row['seq']}: equity {row['equity']:,.2f}, {expected:,.2f} added up"


def _marks(evidence: Evidence, run_id: str, scans: int) -> Iterator[dict[str, float]]:
    """After each scan, the newest close received of each coin."""
    cursor = evidence.connection.execute(
        "SELECT scan_seq, symbol, ts_us, close FROM live_candles WHERE run_id = ? AND close IS NOT NULL"
        " ORDER BY scan_seq, symbol, ts_us",
        (run_id,),
    )
    marks: dict[str, float] = {}
    row = cursor.fetchone()
    for seq in range(1, scans + 1):
        while row is not None and row["scan_seq"] <= seq:
            marks[row["symbol"]] = row["close"]
            row = cursor.fetchone()
        yield marks
