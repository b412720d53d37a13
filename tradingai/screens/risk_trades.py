"""Open positions and closed trades of the paper account: tables, and one of them in full."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.run_snapshot import PositionView, RiskView, TradeView
from tradingai.screens.risk_words import money, price, quantity, r_text, run_clock
from tradingai.screens.view import Extent
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, Span
from tradingai.widgets.section import NO_SIGN, Cell, Column, Row, Table, pair, rule

SIDES: Final = {"long": Span("▲ LONG", "blue"), "short": Span("▼ SHORT", "orange")}
POSITION_HEADS: Final = (
    "pair", "side", "quantity", "entry_at", "entry", "price", "take_profit", "stop_loss", "time_exit_at",
    "floating", "risk_money", "r",
)  # fmt: skip
TRADE_HEADS: Final = ("exit_at", "pair", "side", "entry", "exit", "exit_reason", "net", "r")


def positions_table(view: RiskView, now: datetime, extent: Extent) -> Table:
    """Open positions by coin, with what each floats at."""
    columns: tuple[Column, ...]
    if extent.narrow:
        columns = (
            Column("pair", 7), Column("side", 7), Column("size", 0, least=16),
            Column("TP", 12, "right", gap=1, spare=1),
            Column("SL", 12, "right", gap=1), Column("exit", 5, "right", gap=1),
            Column("R", 8, "right", gap=1),
        )  # fmt: skip
    else:
        columns = (
            Column("pair", 8), Column("side", 7), Column("size", 6, "right", spare=1),
            Column("entry", 10, "right"),
            Column("price", 10, "right", spare=2), Column("TP", 10, "right"), Column("SL", 10, "right"),
            Column("time exit", 9, "right"), Column("floating", 0, "right", least=10),
            Column("R", 9, "right"),
        )  # fmt: skip
    rows = tuple(_position_row(item, run_clock(view, now), extent) for item in view.facts.positions)
    facts = view.facts
    count = f"{len(rows)} open" if rows else "none"
    note = f"{count}, 1 R = {money(facts.risk_per_trade)}"
    if extent.narrow:
        note += f", costs: {facts.costs}"
    return Table("positions", "Open positions", note, columns, rows, POSITION_HEADS, signed=False)


def _position_row(item: PositionView, now: datetime, extent: Extent) -> Row:
    left = numbers.stopwatch((item.time_exit_at - now).total_seconds())
    side = SIDES[item.side]
    r_cell = Span(r_text(item.r), "strong")
    if extent.narrow:
        size = f"{quantity(item.quantity)} @ {price(item.entry)}"
        cells: tuple[Cell, ...] = (
            Span(item.symbol), side, Span(size),
            (Span("TP ", "muted"), Span(price(item.target))), (Span("SL ", "muted"), Span(price(item.stop))),
            Span(left, "muted"), r_cell,
        )  # fmt: skip
    else:
        cells = (
            Span(item.symbol), side, Span(quantity(item.quantity)), Span(price(item.entry)),
            Span(price(item.price)), Span(price(item.target)), Span(price(item.stop)), Span(left, "muted"),
            Span(money(item.floating, sign=True)), r_cell,
        )  # fmt: skip
    plain = (
        item.symbol, item.side, repr(item.quantity), item.entry_at.isoformat(), repr(item.entry),
        repr(item.price), repr(item.target), repr(item.stop), item.time_exit_at.isoformat(),
        repr(item.floating), repr(item.risk_money), repr(item.r),
    )  # fmt: skip
    return Row(item.key, cells, NO_SIGN, plain)


def trades_table(view: RiskView, extent: Extent) -> Table:
    """What was closed since Prague's midnight, newest first."""
    columns = (
        Column("closed", 8),
        Column("pair", 8),
        Column("side", 7),
        Column("entry", 10, "right"),
        Column("exit", 10, "right"),
        Column("by", 6, spare=2),
        Column("" if extent.narrow else "net", 0, "right"),
        Column("R", 8, "right"),
    )
    rows = tuple(_trade_row(trade, extent) for trade in view.trades)
    note = f"{numbers.plural(view.day.trades, 'trade')}, {r_text(view.day.net_r)}"
    return Table("closed", "Closed today", note, columns, rows, TRADE_HEADS, signed=False)


def _trade_row(trade: TradeView, extent: Extent) -> Row:
    cells = (
        Span(f"{trade.exit_at:%H:%M:%S}", "muted"), Span(trade.symbol), SIDES[trade.side],
        Span(price(trade.entry)), Span(price(trade.exit)), Span(trade.exit_reason),
        Span("" if extent.narrow else money(trade.net, sign=True), "muted"), Span(r_text(trade.r), "strong"),
    )  # fmt: skip
    plain = (
        trade.exit_at.isoformat(), trade.symbol, trade.side, repr(trade.entry), repr(trade.exit),
        trade.exit_reason, repr(trade.net), repr(trade.r),
    )  # fmt: skip
    return Row(trade.key, cells, NO_SIGN, plain)


def trade_lines(view: RiskView, key: str, width: int) -> list[Line]:
    """Everything known of one position or closed trade; nothing for a key that is neither."""
    position = next((item for item in view.facts.positions if item.key == key), None)
    trade = next((item for item in view.trades if item.key == key), None)
    if position is not None:
        return [rule(f"Position {key}", "esc closes", width), *_pairs(_position_facts(position), width)]
    if trade is not None:
        return [rule(f"Trade {key}", "esc closes", width), *_pairs(_trade_facts(trade.detail), width)]
    return []


def _pairs(facts: list[tuple[str, str]], width: int) -> list[Line]:
    """Facts in two columns where there is room for two."""
    column = min(width, 37)
    if width < 2 * 37 + 4:
        return [pair(label, text, column, indent=2) for label, text in facts]
    half = (len(facts) + 1) // 2
    lines = []
    for index in range(half):
        left = pair(*facts[index], column, indent=2)
        right = Line() if index + half >= len(facts) else pair(*facts[index + half], column, indent=2)
        lines.append(left + Line((Span("    "),)) + right)
    return lines


def _position_facts(item: PositionView) -> list[tuple[str, str]]:
    return [
        ("pair, side", f"{item.symbol} {item.side}"),
        ("opened", f"{item.entry_at:%Y-%m-%d %H:%M:%SZ}"),
        ("entry", price(item.entry)),
        ("price", price(item.price)),
        ("take profit", price(item.target)),
        ("stop loss", price(item.stop)),
        ("time exit", f"{item.time_exit_at:%Y-%m-%d %H:%M:%SZ}"),
        ("quantity", quantity(item.quantity)),
        ("risk, 1 R", money(item.risk_money)),
        ("floating", money(item.floating, sign=True)),
        ("", r_text(item.r)),
    ]


def _trade_facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    def time(name: str) -> str:
        return f"{parse_iso(row[name]):%Y-%m-%d %H:%M:%SZ}"

    return [
        ("pair, side", f"{row['symbol']} {row['side']}"),
        ("confidence, tier", f"{row['confidence']:.3f} {row['tier'] or numbers.NOTHING}"),
        ("decided", time("decided_at")),
        ("opened", time("entry_at")),
        ("closed", f"{time('exit_at')}"),
        ("entry", price(row["entry"])),
        ("exit", f"{price(row['exit'])} {row['exit_reason']}"),
        ("take profit", price(row["target"])),
        ("stop loss", price(row["stop"])),
        ("quantity", quantity(row["quantity"])),
        ("spread, slippage", f"{row['spread_bps']:.1f}, {row['slippage_bps']:.1f} bps"),
        ("commission", money(-row["commission"])),
        ("swap", money(row["swap"])),
        ("risk, 1 R", money(row["risk_money"])),
        ("net", money(row["net"], sign=True)),
        ("", r_text(row["r"])),
        ("worst on the way", r_text(row["mae_r"])),
        ("best on the way", r_text(row["mfe_r"])),
    ]
