"""Slippage from a history report: what a stop order asked for beside what its deals were filled at.

A report shows fills, not the price a market order hoped for: only stop and limit orders name theirs. Stop
orders become market orders when they are touched, as every entry and exit of the paper account is, so theirs
is the slippage that is measured; a limit order cannot slip, and is counted only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import DataError
from tradingai.engine.providers.mt5.report import Report, number, volume
from tradingai.engine.providers.mt5.server_time import ServerClock, ServerTime
from tradingai.engine.providers.mt5.symbols import CONTRACT_SIZES, pair_of

STOPS: Final = {"buy stop": 1, "sell stop": -1}
LIMITS: Final = {"buy limit": 1, "sell limit": -1}
_BPS: Final = 1e4
_DEAL_COLUMNS: Final = ("Time", "Deal", "Symbol", "Type", "Volume", "Price", "Order")
_ORDER_COLUMNS: Final = ("Open Time", "Order", "Symbol", "Type", "Price", "State")
_COMMISSION: Final = "Commission"


@dataclass(frozen=True, slots=True)
class Slips:
    """Slippage of one pair's stop orders: positive is worse than asked for."""

    pair: str
    ts_us: npt.NDArray[np.int64]
    """When each order was filled, microseconds UTC, [N]."""
    bps: npt.NDArray[np.float64]
    """Of the price asked for, [N]."""


@dataclass(slots=True)
class DealCounts:
    """What became of the rows."""

    deals: int = 0
    other_symbols: dict[str, int] = field(default_factory=dict)
    """Deals of symbols that are no known coin."""
    stops: int = 0
    limits: int = 0
    markets: int = 0
    """Orders whose asked price nobody knows."""
    limits_bps: float = 0.0
    """Sum over limit orders; negative is better than asked for."""
    first_us: int | None = None
    last_us: int | None = None
    commissions: dict[str, list[float]] = field(default_factory=dict)
    """Pair to commissions as a share of the notional, where the contract size is known."""

    def as_json(self) -> dict[str, Any]:
        """The counts, and how commissions compare."""
        return {
            "deals": self.deals,
            "other_symbols": self.other_symbols,
            "stop_orders": self.stops,
            "limit_orders": self.limits,
            "limit_orders_mean_bps": self.limits_bps / self.limits if self.limits else None,
            "market_orders": self.markets,
            "commission_pct": {
                pair: float(np.median(shares)) * 100 for pair, shares in self.commissions.items()
            },
        }


class _Fill(NamedTuple):
    """All deals of one order: their volume, their mean price, and when the first was."""

    pair: str
    ts_us: int
    volume: float
    price: float


def read_slippage(
    report: Report, path: Path, server: ServerTime, only: str | None = None
) -> tuple[list[Slips], DealCounts, ServerClock]:
    """Slippage by pair, with the counts and the clock that times were read by.

    ``only`` leaves out every other pair. Raises DataError for cells that cannot be read and columns that
    are missing.
    """
    counts, clock = DealCounts(), ServerClock(server)
    fills = _fills(report, path, clock, counts, only)
    orders = {record["Order"]: record for record in _records(report, "Orders", _ORDER_COLUMNS, path)}
    found: dict[str, list[tuple[int, float]]] = {}
    for key, fill in fills.items():
        order = orders.get(key, {})
        kind = order.get("Type", "").lower()
        sign = STOPS.get(kind) or LIMITS.get(kind)
        if sign is None:
            counts.markets += 1
            continue
        asked = number(order["Price"], f"{path}: price of order {key}")
        if asked <= 0:
            raise DataError(f"{path}: order {key} asks for {asked:g}", remedy="Export the report again.")
        slip = sign * (fill.price - asked) / asked * _BPS
        if kind in LIMITS:
            counts.limits += 1
            counts.limits_bps += slip
        else:
            counts.stops += 1
            found.setdefault(fill.pair, []).append((fill.ts_us, slip))
    slips = [
        Slips(pair, np.array([ts for ts, _ in rows]), np.array([slip for _, slip in rows]))
        for pair, rows in found.items()
    ]
    return slips, counts, clock


def _fills(
    report: Report, path: Path, clock: ServerClock, counts: DealCounts, only: str | None
) -> dict[str, _Fill]:
    """Order number to what was filled of it, in the order of the deals."""
    fills: dict[str, _Fill] = {}
    for record in _records(report, "Deals", _DEAL_COLUMNS, path):
        if record["Type"].lower() not in {"buy", "sell"}:
            continue
        pair = pair_of(record["Symbol"])
        if pair is None or only not in {None, pair}:
            counts.other_symbols[record["Symbol"]] = counts.other_symbols.get(record["Symbol"], 0) + 1
            continue
        where = f"{path}: deal {record['Deal']}"
        lots, price = volume(record["Volume"], where), number(record["Price"], where)
        if lots <= 0 or price <= 0:
            raise DataError(f"{where}: {lots:g} lots at {price:g} is no fill", remedy="Export it again.")
        counts.deals += 1
        ts_us = _utc(record["Time"], where, clock)
        counts.first_us = ts_us if counts.first_us is None else min(counts.first_us, ts_us)
        counts.last_us = ts_us if counts.last_us is None else max(counts.last_us, ts_us)
        _note_commission(record, pair, lots, price, where, counts)
        known = fills.get(record["Order"], _Fill(pair, ts_us, 0.0, 0.0))
        total = known.volume + lots
        mean = (known.volume * known.price + lots * price) / total
        fills[record["Order"]] = _Fill(pair, known.ts_us, total, mean)
    return fills


def _records(
    report: Report, section: str, columns: tuple[str, ...], path: Path
) -> Iterator[Mapping[str, str]]:
    table = report.sections.get(section)
    if table is None:
        return
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: the section {section} has no column {missing[0]!r}: it has "
            f"{', '.join(filter(None, table.columns))}",
            remedy="Export the report again, from a terminal set to English.",
        )
    for record in table.records():
        if any(name not in record for name in columns):
            raise DataError(
                f"{path}: a row of {section} ends early: {' '.join(record.values())[:60]!r}",
                remedy="The file is damaged or was cut off: export it again.",
            )
        yield record


def _utc(text: str, where: str, clock: ServerClock) -> int:
    try:
        moment = datetime.strptime(text, "%Y.%m.%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise DataError(f"{where}: {text!r} is no time", remedy="Export the report again.") from error
    return int(clock.to_utc(np.array([datetime_to_us(moment)]))[0])


def _note_commission(
    record: Mapping[str, str], pair: str, lots: float, price: float, where: str, counts: DealCounts
) -> None:
    """A deal's commission as a share of its notional: 0.000325 at FTMO since 26 Jul 2025."""
    text, size = record.get(_COMMISSION, ""), CONTRACT_SIZES.get(pair)
    paid = number(text, where) if text else 0.0
    if size is not None and paid:
        counts.commissions.setdefault(pair, []).append(-paid / (lots * size * price))
