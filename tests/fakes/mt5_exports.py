"""Exports as MetaTrader 5 writes them: tick and bar files, history reports, from made-up quotes and orders.

Times are given in UTC and written in server time, so that a test knows what the importer has to find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

NEW_YORK = ZoneInfo("America/New_York")
TICK_HEADER = ("<DATE>", "<TIME>", "<BID>", "<ASK>", "<LAST>", "<VOLUME>", "<FLAGS>")
BAR_HEADER = ("<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<TICKVOL>", "<VOL>", "<SPREAD>")
FIRST = datetime(2026, 7, 1, tzinfo=UTC)


def ftmo_time(moment: datetime) -> datetime:
    """New York's wall time plus seven hours."""
    return moment.astimezone(NEW_YORK).replace(tzinfo=None) + timedelta(hours=7)


def utc_plus(hours: int):
    """A server that keeps one offset all year."""
    return lambda moment: moment.astimezone(UTC).replace(tzinfo=None) + timedelta(hours=hours)


def mt5_time(moment: datetime, server=ftmo_time) -> str:
    """``2026.07.01 11:00:00``, as reports have it."""
    return f"{server(moment):%Y.%m.%d %H:%M:%S}"


@dataclass(frozen=True)
class Quote:
    """A tick: None for a side that did not change."""

    at: datetime
    bid: float | None
    ask: float | None


def random_quotes(
    count: int, start: datetime = FIRST, *, every_ms: int = 60_000, spread: float = 12.0, seed: int = 1
) -> list[Quote]:
    """Quotes of a coin near 40,000 with a spread of about ``spread``; half of them change one side only."""
    rng = np.random.default_rng(seed)
    mid = 40_000.0
    last: tuple[float, float] | None = None
    quotes = []
    for number in range(count):
        mid += float(rng.normal(0, 5))
        half = max(round(spread * float(rng.uniform(0.6, 1.6)) / 2, 2), 0.01)
        bid, ask = round(mid - half, 2), round(mid + half, 2)
        which = "both" if last is None else rng.choice(["both", "bid", "ask"])
        if last is not None and which == "bid" and bid < last[1]:
            ask = last[1]
        elif last is not None and which == "ask" and ask > last[0]:
            bid = last[0]
        else:
            which = "both"
        moment = start + timedelta(milliseconds=number * every_ms)
        quotes.append(Quote(moment, None if which == "ask" else bid, None if which == "bid" else ask))
        last = bid, ask
    return quotes


def spreads_of(quotes: Sequence[Quote]) -> list[tuple[datetime, float]]:
    """What has to be found, computed row by row in the plainest way: time and spread in bps of the mid."""
    bid = ask = None
    found = []
    for quote in quotes:
        bid = quote.bid if quote.bid is not None else bid
        ask = quote.ask if quote.ask is not None else ask
        if bid is not None and ask is not None and ask > bid:
            found.append((quote.at, (ask - bid) / ((ask + bid) / 2) * 1e4))
    return found


def tick_file(
    quotes: Iterable[Quote],
    *,
    server=ftmo_time,
    separator: str = "\t",
    encoding: str = "utf-8",
    quoted: bool = False,
    zeros: bool = False,
    newline: str = "\r\n",
) -> bytes:
    """``View > Symbols > Ticks > Export``; ``zeros``: LAST and VOLUME are 0 instead of empty."""

    def line(cells: Sequence[str]) -> str:
        return separator.join(f'"{cell}"' if quoted else cell for cell in cells)

    rows = [line(TICK_HEADER)]
    none = ("0.00", "0") if zeros else ("", "")
    for quote in quotes:
        wall = server(quote.at)
        flags = (2 if quote.bid is not None else 0) | (4 if quote.ask is not None else 0)
        sides = ["" if side is None else f"{side:.2f}" for side in (quote.bid, quote.ask)]
        clock = f"{wall:%H:%M:%S}.{wall.microsecond // 1000:03d}"
        rows.append(line((f"{wall:%Y.%m.%d}", clock, *sides, *none, str(flags))))
    return (newline.join(rows) + newline).encode(encoding)


def bar_file(bars: Iterable[tuple[datetime, float, int]], server=ftmo_time, digits: int = 2) -> bytes:
    """(open time, close, spread in points) of each bar, as ``View > Symbols > Bars > Export`` writes them."""
    rows = ["\t".join(BAR_HEADER)]
    for at, close, points in bars:
        wall, price = server(at), f"{close:.{digits}f}"
        rows.append(f"{wall:%Y.%m.%d}\t{wall:%H:%M:%S}\t{price}\t{price}\t{price}\t{price}\t184\t0\t{points}")
    return ("\r\n".join(rows) + "\r\n").encode()


@dataclass(frozen=True)
class Placed:
    """An order and its fills: (lots, price) of each deal."""

    at: datetime
    symbol: str
    type: str
    """``buy stop``, ``sell limit``, ``buy`` …"""
    asked: float
    fills: tuple[tuple[float, float], ...]
    commission: float = -13.0


@dataclass
class HistoryReport:
    """A report of the History tab with its three sections."""

    orders: Sequence[Placed]
    server: object = ftmo_time
    deposit: bool = True
    labels: dict[str, str] = field(default_factory=dict)

    def html(self, encoding: str = "utf-16") -> bytes:
        """UTF-16LE with its byte order mark, CRLF, hidden cells, thousands in groups."""
        body = [
            '<tr align="center"><th colspan="13"><div><b>Trade History Report</b></div></th></tr>',
            _ACCOUNT,
            *self._section("Positions", _POSITIONS, self._positions()),
            *self._section("Orders", _ORDERS, self._orders()),
            *self._section("Deals", _DEALS, self._deals(), totals='<td colspan="8"></td><td>- 26.00</td>'),
            '<tr><td colspan="3">Balance:</td><td colspan="2"><b>100 012.34</b></td></tr>',
            '<tr><td colspan="13"><b>Results</b></td></tr>',
        ]
        text = (
            '<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\r\n'
            "<html>\r\n<head>\r\n<title>12345678: Jane Doe - Trade History Report</title>\r\n"
            "<style>.hidden {display: none;}</style>\r\n</head>\r\n<body>\r\n"
            '<div align="center"><table cellspacing="1" cellpadding="3" border="0">\r\n'
            + "\r\n".join(body)
            + "\r\n</table></div></body></html>\r\n"
        )
        return self._translated(text).encode(encoding)

    def csv(self, separator: str = ",") -> bytes:
        """The same saved again from a spreadsheet: no markup, hidden cells gone with their columns."""
        rows: list[Sequence[str]] = [["Trade History Report"], ["Account:", "", "", "12345678"], []]
        for title, columns, lines in (
            ("Positions", _POSITIONS, self._positions()),
            ("Orders", _ORDERS, self._orders()),
            ("Deals", _DEALS, self._deals()),
        ):
            shown = [name for name, hidden in columns if not hidden]
            rows += [[title], shown]
            rows += [[cell for cell, hidden in line if not hidden] for line in lines]
            rows.append(["", "", "- 26.00"])
        width = max(map(len, rows))
        lines = [separator.join([*row, *[""] * (width - len(row))]) for row in rows]
        return self._translated("\r\n".join(lines) + "\r\n").encode("utf-8-sig")

    def _translated(self, text: str) -> str:
        for english, other in self.labels.items():
            text = text.replace(english, other)
        return text

    def _section(self, title: str, columns: Sequence[tuple[str, bool]], lines, totals: str = "") -> list[str]:
        head = "".join(
            f"<td nowrap{' class=' + chr(34) + 'hidden' + chr(34) if hidden else ''}><b>{name}</b></td>"
            for name, hidden in columns
        )
        rows = [
            f'<tr align="center"><th colspan="13"><div><b>{title}</b></div></th></tr>',
            f'<tr align="center" bgcolor="#E5F0FC">{head}</tr>',
        ]
        for number, line in enumerate(lines):
            cells = "".join(
                f'<td class="hidden" colspan="8">{cell}</td>' if hidden else f"<td>{cell}</td>"
                for cell, hidden in line
            )
            rows.append(f'<tr bgcolor="{"#FFFFFF" if number % 2 else "#F7F7F7"}" align="right">{cells}</tr>')
        return [*rows, f'<tr align="right">{totals or "<td colspan=13></td>"}</tr>']

    def _positions(self):
        for number, order in enumerate(self.orders):
            lots, price = order.fills[0]
            time = mt5_time(order.at, self.server)
            yield [
                (time, False), (str(900 + number), False), (order.symbol, False),
                (order.type.split()[0], False), ("a comment", True), (f"{lots:g}", False),
                (grouped(price), False), ("", False), ("", False), (time, False), (grouped(price), False),
                ("- 13.00", False), ("0.00", False), ("- 70.25", False),
            ]  # fmt: skip

    def _orders(self):
        for number, order in enumerate(self.orders):
            time, lots = mt5_time(order.at, self.server), sum(part for part, _ in order.fills)
            asked = grouped(order.asked) if order.asked else "market"
            yield [
                (time, False), (str(5000 + number), False), (order.symbol, False), (order.type, False),
                (f"{lots:g} / {lots:g}", False), (asked, False), ("", False), ("", False), (time, False),
                ("filled", False), ("", False), ("", False),
            ]  # fmt: skip

    def _deals(self):
        if self.deposit:
            time = mt5_time(self.orders[0].at - timedelta(hours=1), self.server)
            yield [
                (time, False), ("1", False), ("", False), ("balance", False), ("", False), ("", False),
                ("", False), ("", False), ("0.00", True), ("0.00", False), ("0.00", False), ("0.00", False),
                ("100 000.00", False), ("100 000.00", False), ("Initial", False),
            ]  # fmt: skip
        deal = 7000
        for number, order in enumerate(self.orders):
            for lots, price in order.fills:
                deal += 1
                yield [
                    (mt5_time(order.at, self.server), False), (str(deal), False), (order.symbol, False),
                    (order.type.split()[0], False), ("in", False), (f"{lots:g}", False),
                    (grouped(price), False), (str(5000 + number), False), ("0.00", True),
                    (f"{order.commission:.2f}".replace("-", "- "), False), ("0.00", False), ("0.00", False),
                    ("0.00", False), ("100 000.00", False), ("", False),
                ]  # fmt: skip


def grouped(value: float) -> str:
    """``40 000.12``."""
    return f"{value:,.2f}".replace(",", " ")


_ACCOUNT = (
    '<tr align="left"><th colspan="3">Account:</th>'
    '<th colspan="10"><b>12345678&nbsp;(USD, FTMO-Server, real, Hedge)</b></th></tr>'
)
_POSITIONS = tuple(
    (name, False)
    for name in ("Time", "Position", "Symbol", "Type", "Volume", "Price", "S / L", "T / P", "Time", "Price",
                 "Commission", "Swap", "Profit")
)  # fmt: skip
_ORDERS = tuple(
    (name, False)
    for name in ("Open Time", "Order", "Symbol", "Type", "Volume", "Price", "S / L", "T / P", "Time", "State",
                 "", "Comment")
)  # fmt: skip
_DEALS = tuple(
    (name, name == "Cost")
    for name in ("Time", "Deal", "Symbol", "Type", "Direction", "Volume", "Price", "Order", "Cost",
                 "Commission", "Fee", "Swap", "Profit", "Balance", "Comment")
)  # fmt: skip
