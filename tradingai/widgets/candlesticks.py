"""Candles and reliability diagrams as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tradingai.widgets.plot import Frame, Picture, scale

_HALVES: Final = {
    (" ", " "): " ", ("w", "w"): "│", ("b", "b"): "┃", ("w", "b"): "╽", ("b", "w"): "╿",
    (" ", "b"): "╻", ("b", " "): "╹", (" ", "w"): "╷", ("w", " "): "╵",
}  # fmt: skip
_SOLID: Final = {"┃": "█", "╻": "▄", "╹": "▀"}

OHLC = tuple[float, float, float, float]


def price_label(value: float, step: float) -> str:
    """A price with as many decimals as the distance between labels needs."""
    digits = 0 if step >= 1 else min(8, math.ceil(-math.log10(step) - 1e-9))
    return f"{value:,.{digits}f}"


def paint_candles(
    bars: Sequence[OHLC],
    times: Sequence[tuple[int, str]],
    width: int,
    height: int,
    *,
    solid_down: bool = False,
) -> Picture:
    """One column a candle, the newest at the right, with half a cell of resolution.

    ``bars``: (open, high, low, close), oldest first. ``times``: (bars before the newest, label) for the axis.
    ``solid_down`` fills down bodies, for terminals without colour.
    """
    picture = Picture(width, height)
    rows = height - 1
    usable = [bar for bar in bars if all(math.isfinite(value) for value in bar)]
    if rows < 2 or not usable:
        return picture
    low = min(bar[2] for bar in usable)
    high = max(bar[1] for bar in usable)
    axis = scale(low, high, rows)
    marks = axis.ticks
    labels = [price_label(value, axis.step) for value in marks]
    gutter = max(len(label) for label in labels) + 1
    columns = width - gutter
    frame = Frame(gutter, 0, columns, rows, 0, 1, axis.low, axis.high)
    for value, label in zip(marks, labels, strict=True):
        row = frame.row(value)
        picture.text(gutter - 1 - len(label), row, label, "muted")
        picture.text(gutter, row, "┈" * columns, "rule")
    shown = bars[-columns:]
    for index, bar in enumerate(shown):
        paint_candle(picture, frame, width - len(shown) + index, bar, solid_down=solid_down)
    _paint_times(picture, times, gutter, rows)
    return picture


def paint_candle(picture: Picture, frame: Frame, x: int, bar: OHLC, *, solid_down: bool) -> None:
    """One candle in column ``x``, half a cell of resolution; nothing for prices that are none."""
    if not all(math.isfinite(value) for value in bar):
        return
    opened, high, low, close = bar
    down = close < opened

    def half(price: float) -> int:
        return frame.dot_y(price) // 2

    wick = range(half(high), half(low) + 1)
    body = range(half(max(opened, close)), half(min(opened, close)) + 1)
    last = frame.top + frame.height - 1
    for row in range(max(frame.top, half(high) // 2), min(last, half(low) // 2) + 1):
        parts = tuple(
            "b" if part in body else "w" if part in wick else " " for part in (2 * row, 2 * row + 1)
        )
        character = _HALVES[parts[0], parts[1]]
        if solid_down and down:
            character = _SOLID.get(character, character)
        if character != " ":
            picture.put(x, row, character, "orange" if down else "blue")


def _paint_times(picture: Picture, times: Sequence[tuple[int, str]], gutter: int, row: int) -> None:
    free_from = gutter
    for before, label in sorted(times, reverse=True):
        start = picture.width - 1 - before - len(label) // 2
        if start >= free_from and start + len(label) <= picture.width:
            picture.text(start, row, label, "muted")
            free_from = start + len(label) + 2


def paint_reliability(bins: Sequence[tuple[float, float]], width: int, height: int) -> Picture:
    """Hit rate over said confidence, both 0.5..1: points over a dotted diagonal, stems where they lie
    under it.

    ``bins``: (said, hit), those of empty bins left out.
    """
    picture = Picture(width, height)
    rows = height - 1
    gutter = 6
    columns = width - gutter
    if rows < 3 or columns < 10:
        return picture
    frame = Frame(gutter, 0, columns, rows, 0.5, 1.0, 0.5, 1.0)
    steps = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0) if rows >= 11 else (0.5, 0.75, 1.0)
    for value in steps:
        row = frame.row(value)
        picture.text(0, row, f"{value * 100:3.0f} %", "muted")
        picture.text(gutter, row, "┈" * columns, "rule")
    for index in range(0, 2 * columns, 3):
        value = 0.5 + 0.5 * index / (2 * columns - 1)
        picture.dot(frame.dot_x(value), frame.dot_y(value), "faint")
    for said, hit in bins:
        _paint_bin(picture, frame, said, hit)
    for value in steps:
        label = f"{value * 100:.0f}"
        start = min(frame.dot_x(value) // 2 - len(label) // 2, width - len(label))
        picture.text(max(gutter - 1, start), rows, label, "muted")
    return picture


def _paint_bin(picture: Picture, frame: Frame, said: float, hit: float) -> None:
    over = said - hit > 0.05
    x = frame.dot_x(min(1.0, max(0.5, said)))
    top, bottom = frame.dot_y(said), frame.dot_y(max(0.5, hit))
    if over:
        for y in range(top + 2, bottom - 1):
            picture.dot(x, y, "orange-dim")
    row = min(frame.top + frame.height - 1, bottom // 4)
    picture.put(x // 2, row, "●", "orange" if over else "blue")
