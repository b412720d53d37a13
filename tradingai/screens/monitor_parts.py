"""Tables of the Monitor: coins with their newest decision, signals with what became of them, the funnel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from tradingai.engine.queries.rolling import REASONS
from tradingai.engine.queries.run_snapshot import CoinNow, MonitorView, SignalView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.monitor_words import reason_word, result_r, standing_word
from tradingai.screens.view import Extent, filtered
from tradingai.widgets import numbers
from tradingai.widgets.bars import threshold_bar
from tradingai.widgets.line import Line, Span, fit, pad
from tradingai.widgets.section import Column, Row, Table, rule

COIN_HEADS: Final = (
    "pair", "price", "change_15m", "side", "confidence", "tier", "reason", "detail", "p_up", "threshold",
    "at", "candle", "input_sha256",
)  # fmt: skip
SIGNAL_HEADS: Final = (
    "at", "pair", "side", "tier", "confidence", "entry", "take_profit", "stop_loss", "reward_risk",
    "spread_bps", "slip_bps", "latency_ms", "state", "r", "key",
)  # fmt: skip
EXIT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": ("wait", "waiting"),
    "open": ("open", "open"),
    "cancelled": ("void", "cancelled"),
    "target": ("TP", "target"),
    "stop": ("stop", "stop"),
    "time": ("time", "time"),
    "halt": ("halt", "halt"),
}
"""What became of a signal, for narrow and for wide terminals."""
OLD_S: Final = 180.0
"""A price this old is said to be, where the feed's own limit is not known."""
_DAY: Final = timedelta(hours=20)


def price(value: float | None, *, digits: int | None = None) -> str:
    """``41,873.2``, ``312.07``, ``0.0812``: about seven digits."""
    if value is None or not math.isfinite(value):
        return numbers.NOTHING
    if digits is None:
        digits = 1 if abs(value) >= 10_000 else 2
    if 0 < abs(value) < 1:
        digits = min(8, 3 - math.floor(math.log10(abs(value))))
    return numbers.decimal(value, digits)


# -- coins


ROOMY: Final = 102
"""Columns below which the bars of confidence give way."""


def coins_table(snapshot: ConsoleSnapshot, view: MonitorView, extent: Extent, wanted: str) -> Table:
    """One row a coin: price, confidence against the threshold, tier, and what was decided."""
    prices = [price(coin.price, digits=2) for coin in view.coins]
    pair = max([7, *(len(coin.symbol) for coin in view.coins)])
    figure = max([9, *(len(text) for text in prices)])
    bar = 10 if extent.narrow else 27 - max(0, ROOMY - extent.width)
    marks = _scale(view, bar)
    columns = (
        Column("pair", pair),
        Column("price", figure, "right", gap=1),
        Column("15 m", 9, "right", gap=1),
        Column("ensemble", 8 if not extent.narrow else 6, gap=2),
        Column("", 4, "right", gap=1 if extent.narrow else 0),
        Column(marks, bar, gap=1),
        Column("tier", 6 if extent.narrow else 8, gap=2 if extent.narrow else 1),
        Column(f"decision at {numbers.time_z(view.last_scan_at)}", 0, gap=1),
    )
    rows = [
        _coin_row(snapshot, view, coin, text, bar, extent)
        for coin, text in zip(view.coins, prices, strict=True)
    ]
    return Table(
        "coins", "Coins", _coins_note(snapshot, view, extent), columns, filtered(rows, wanted), COIN_HEADS,
        signed=False,
    )  # fmt: skip


def threshold_of(view: MonitorView) -> float | None:
    """What the newest decisions were held to."""
    return next((coin.threshold for coin in view.coins if coin.threshold is not None), None)


def _coins_note(snapshot: ConsoleSnapshot, view: MonitorView, extent: Extent) -> str:
    header = snapshot.header
    value, source = header.threshold, header.threshold_source
    if view.run.replay:
        value, source = threshold_of(view), "of the run"
    text = "" if value is None else f"threshold {value:.2f} {source}".strip()
    if view.hysteresis is not None and text and not extent.narrow:
        text += f", hysteresis {view.hysteresis:.2f}"
    told = snapshot.synthetic and (extent.narrow or view.run.replay)
    return f"SYNTHETIC, {text}".strip(", ") if told else text


def _scale(view: MonitorView, width: int) -> str:
    """``0.50       0.75      1.00`` over the bars."""
    value = threshold_of(view) or 0.75
    at = _mark(value, width)
    text = f"{'0.50':<{width - 4}}1.00"
    start = min(max(5, at - 2), width - 9)
    return text[:start] + f"{value:.2f}" + text[start + 4 :]


def _mark(threshold: float, width: int) -> int:
    return min(width - 1, max(0, round((threshold - 0.5) / 0.5 * (width - 1))))


def _coin_row(
    snapshot: ConsoleSnapshot, view: MonitorView, coin: CoinNow, text: str, bar: int, extent: Extent
) -> Row:
    up = coin.side == "long"
    scored = coin.confidence is not None and bool(coin.side)
    sign, word, ink = ("▲", "up", "blue") if up else ("▼", "down", "orange")
    ensemble: tuple[Span, ...] = (
        (Span(f"{sign} {word}", ink),) if scored else (Span(numbers.NOTHING, "faint"),)
    )
    tier = (coin.tier or "none") if scored else numbers.NOTHING
    confidence = f"{coin.confidence:.2f}" if coin.confidence is not None else numbers.NOTHING
    cells = (
        Span(coin.symbol),
        Span(text),
        _change(coin.change_15m),
        ensemble,
        Span(confidence, "strong+b" if scored else "faint"),
        confidence_bar(coin, bar),
        Span(tier, "muted" if scored else "faint"),
        _decision_cell(snapshot, view, coin, extent),
    )
    plain = (
        coin.symbol, _number(coin.price), _number(coin.change_15m), coin.side, _number(coin.confidence),
        coin.tier, coin.reason, coin.detail, _number(coin.p_up), _number(coin.threshold), _iso(coin.at),
        _iso(coin.candle), coin.input_sha256,
    )  # fmt: skip
    return Row(coin.symbol, cells, plain=plain)


def _change(value: float | None) -> tuple[Span, ...]:
    if value is None:
        return (Span(numbers.NOTHING, "faint"),)
    sign = Span("▲ ", "blue") if value >= 0 else Span("▼ ", "orange")
    return (sign, Span(f"{abs(value) * 100:>5.2f} %"))


def confidence_bar(coin: CoinNow, width: int) -> tuple[Span, ...]:
    """From 0.50 to 1.00 with the threshold's mark: blue past it, grey before it."""
    threshold = coin.threshold if coin.threshold is not None else 0.75
    value = 0.5 if coin.confidence is None else coin.confidence
    return share_bar(value, threshold, width)


def share_bar(value: float, threshold: float, width: int) -> tuple[Span, ...]:
    """A bar over 0.5 … 1."""
    ink = "blue" if value >= threshold else "muted"
    return threshold_bar((value - 0.5) / 0.5, (threshold - 0.5) / 0.5, width, ink)


def age_of(snapshot: ConsoleSnapshot, view: MonitorView, coin: CoinNow) -> float | None:
    """Seconds since the coin's newest candle closed, where that is longer than it should be."""
    now = view.run.now if view.run.replay else snapshot.now
    if coin.price_at is None or now is None:
        return None
    age = (now - coin.price_at).total_seconds()
    return age if age >= (snapshot.header.feed_limit_s or OLD_S) else None


def _decision_cell(
    snapshot: ConsoleSnapshot, view: MonitorView, coin: CoinNow, extent: Extent
) -> tuple[Span, ...]:
    age = age_of(snapshot, view, coin)
    if age is not None:
        return (Span(f"! {numbers.age(age)} old", "orange+b"),)
    word = standing_word(coin)
    if coin.reason == "emitted":
        return (Span(word, "blue+b"),)
    if coin.failed:
        return (Span(f"! {word}" if extent.narrow else f"! {word}: {coin.detail}", "orange"),)
    tells = coin.detail and not (coin.reason == "below_threshold" and coin.confidence is not None)
    detail = f", {coin.detail.replace('one position', 'one')}" if tells and not extent.narrow else ""
    return (Span(f"{word}{detail}", "muted"),)


# -- signals


def signals_table(view: MonitorView, extent: Extent, wanted: str, note: str) -> Table:
    """Newest first, with the floating or final result in R."""
    columns: list[Column] = [
        Column("time", 8),
        Column("pair", max([7, *(len(signal.symbol) for signal in view.signals)])),
        Column("side", 7),
        Column("conf", 4, "right", gap=2 if extent.narrow else 5),
        Column("entry", 10, "right", gap=1),
        Column("TP", 9, "right", gap=1, spare=5 if extent.narrow else 0),
        Column("SL", 9, "right", gap=1),
    ]
    if not extent.narrow:
        columns += [
            Column("R:R", 4, "right", spare=1),
            Column("spread", 6, "right", gap=1, spare=2),
            Column("slip", 5, "right", gap=1, spare=3),
            Column("lat", 5, "right", gap=1, spare=4),
        ]
    columns += [
        Column("exit", 4 if extent.narrow else 9),
        Column("net", 0, "right", gap=1, least=6 if extent.narrow else 7),
    ]
    now = view.run.now
    rows = [_signal_row(signal, now, extent, replay=view.run.replay) for signal in view.signals]
    return Table(
        "signals", "Signals", note, tuple(columns), filtered(rows, wanted), SIGNAL_HEADS, signed=False
    )


def _signal_row(signal: SignalView, now: datetime | None, extent: Extent, *, replay: bool) -> Row:
    up = signal.side == "long"
    side = Span("▲ LONG", "blue") if up else Span("▼ SHORT", "orange")
    old = now is not None and now - signal.at > _DAY
    short, long = EXIT_WORDS.get(signal.state, (signal.state[:4], signal.state))
    cells: list[Span] = [
        Span(f"{signal.at:%d %H:%M}" if old else f"{signal.at:%H:%M:%S}", "muted"),
        Span(signal.symbol),
        side,
        Span(f"{signal.confidence:.2f}", "strong+b"),
        *(Span(price(value), "muted") for value in (signal.entry, signal.take_profit, signal.stop_loss)),
    ]
    if not extent.narrow:
        latency = numbers.NOTHING if replay else f"{signal.latency_ms:,.0f}"
        cells += [
            Span(f"{signal.reward_risk:.1f}", "muted"),
            Span(f"{signal.spread_bps:.1f}", "muted"),
            Span(f"{signal.slip_bps:.1f}", "muted"),
            Span(latency, "muted"),
        ]
    result = result_r(signal.r)
    ink = "faint" if signal.r is None else "blue" if signal.r > 0 else "orange"
    cells += [
        Span(short if extent.narrow else long, "muted"),
        Span(result.replace(" R", "R") if extent.narrow else result, ink),
    ]
    plain = (
        _iso(signal.at), signal.symbol, signal.side, signal.tier, _number(signal.confidence),
        _number(signal.entry), _number(signal.take_profit), _number(signal.stop_loss),
        _number(signal.reward_risk), _number(signal.spread_bps), _number(signal.slip_bps),
        _number(signal.latency_ms), signal.state, _number(signal.r), signal.key,
    )  # fmt: skip
    return Row(signal.key, tuple(cells), plain=plain)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


# -- funnel


def window_words(view: MonitorView) -> str:
    """``24 h``, ``72 h``: what the funnel spans."""
    run = view.run
    if view.funnel.hours is not None:
        return f"{view.funnel.hours:.0f} h"
    if run.now is None or run.first_at is None:
        return "whole run"
    return f"{(run.now - run.first_at).total_seconds() / 3600:.0f} h"


def funnel_lines(view: MonitorView, width: int) -> list[Line]:
    """Every decision by its reason, in the order the rules are asked; they add up to ``scanned``."""
    bars = width >= 36
    note = f"{window_words(view)}, adds up" if bars else window_words(view)
    funnel = view.funnel
    threshold = threshold_of(view)
    lines = [rule("Funnel", note, width), _funnel_row("scanned", funnel.scanned, funnel.scanned, width)]
    for reason in REASONS:
        number = funnel.by_reason.get(reason, 0)
        sign = "=" if reason == "emitted" else "−"
        lines.append(_funnel_row(f"{sign} {reason_word(reason, threshold)}", number, funnel.scanned, width))
    return lines


def _funnel_row(label: str, number: int, scanned: int, width: int) -> Line:
    total, emitted = label == "scanned", label.startswith("=")
    ink = "strong+b" if total or emitted else "text" if number else "faint"
    name = Span(label, "strong+b" if total or emitted else "muted")
    count = Span(numbers.count(number), ink)
    if width < 36:
        return Line((pad(1), *fit(name, width - 9), *fit(count, 8, "right")))
    share = number / scanned if scanned else 0.0
    halves = max(1, round(share * 20)) if number else 0
    bar_ink = "blue" if emitted else "muted"
    bar = Span("━" * (halves // 2) + ("╸" if halves % 2 else ""), bar_ink)
    text = "" if total else numbers.percent(share) if number else numbers.NOTHING
    return Line(
        (
            *fit(name, 15),
            *fit(count, 8, "right"),
            pad(1),
            *fit(bar, 10),
            *fit(Span(text, "muted" if number else "faint"), max(0, width - 34), "right"),
        )
    )
