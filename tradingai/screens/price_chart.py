"""A coin's prices with the levels of its position: candles where there is room, else the close as a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final, NamedTuple

from tradingai.engine.queries.run_snapshot import Bar
from tradingai.screens.monitor_parts import price
from tradingai.widgets.candlesticks import paint_candle
from tradingai.widgets.plot import Frame, Picture

CANDLE_ROWS: Final = 12
"""Fewest rows for candles."""
CANDLE_HALVES: Final = 2.0
"""Fewest half cells of a median candle."""
_TIME_STEPS: Final = (5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440)
_DASHES: Final = 9


@dataclass(frozen=True, slots=True)
class Mark:
    """A price that matters, labelled at the right."""

    value: float
    label: str
    ink: str
    line_ink: str = ""
    """Of the dashes that lead to the label; none when empty."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a position was opened."""

    at: datetime
    value: float
    side: str


class Shown(NamedTuple):
    """What a picture of prices holds."""

    candles: int
    kind: str
    """``1m candles``, or ``close 1m`` where they are drawn as a line."""


@dataclass(frozen=True, slots=True)
class Candle:
    """Some minutes in one."""

    at: datetime
    open: float
    high: float
    low: float
    close: float


def in_minutes(points: Sequence[Bar], minutes: int, most: int) -> list[Candle]:
    """The newest points in at most ``most`` candles of so many minutes, aligned to the hour.

    The newest candle may still be growing.
    """
    candles: list[Candle] = []
    for point in points[-minutes * (most + 1) :]:
        at = point.at - timedelta(minutes=point.at.minute % minutes)
        if candles and candles[-1].at == at:
            last = candles[-1]
            candles[-1] = Candle(
                at, last.open, max(last.high, point.high), min(last.low, point.low), point.close
            )
        else:
            candles.append(Candle(at, point.open, point.high, point.low, point.close))
    return candles[-most:]


def price_picture(
    candles: Sequence[Candle],
    marks: Sequence[Mark],
    entry: Entry | None,
    width: int,
    height: int,
    *,
    minutes: int,
    axis: bool,
    solid_down: bool = False,
) -> tuple[Picture, Shown]:
    """The newest candles that fit, and what is shown. ``axis`` gives the last row to times."""
    picture = Picture(width, height)
    rows = height - (1 if axis else 0)
    gutter = max((len(mark.label) for mark in marks), default=0) + 1
    columns = width - gutter
    if rows < 2 or columns < 8 or not candles:
        return picture, Shown(0, "")
    frame = _frame(candles[-columns:], marks, columns, rows)
    solid = _room_for_candles(candles[-columns:], frame)
    if not solid:
        frame = _frame(candles[-2 * columns :], marks, columns, rows)
    shown = list(candles[-columns if solid else -2 * columns :])
    dots = [2 * (columns - len(shown) + index) for index in range(len(shown))]
    if not solid:
        dots = [2 * columns - len(shown) + index for index in range(len(shown))]
    _paint_marks(picture, frame, marks)
    if solid:
        for x, candle in zip(dots, shown, strict=True):
            bar = (candle.open, candle.high, candle.low, candle.close)
            paint_candle(picture, frame, x // 2, bar, solid_down=solid_down)
    else:
        _paint_close(picture, frame, shown, dots)
    _paint_entry(picture, frame, shown, dots, entry)
    if axis:
        _paint_times(picture, shown, dots, rows, minutes)
    return picture, Shown(len(shown), f"{minutes}m candles" if solid else f"close {minutes}m")


def _frame(candles: Sequence[Candle], marks: Sequence[Mark], columns: int, rows: int) -> Frame:
    low = min([candle.low for candle in candles] + [mark.value for mark in marks])
    high = max([candle.high for candle in candles] + [mark.value for mark in marks])
    reach = (high - low) * 0.02 or abs(high) * 0.001
    return Frame(0, 0, columns, rows, 0, 1, low - reach, high + reach)


def _room_for_candles(candles: Sequence[Candle], frame: Frame) -> bool:
    half = (frame.y_high - frame.y_low) / (2 * frame.height)
    ranges = median(candle.high - candle.low for candle in candles)
    return frame.height >= CANDLE_ROWS and ranges >= CANDLE_HALVES * half


def _paint_close(picture: Picture, frame: Frame, candles: Sequence[Candle], dots: Sequence[int]) -> None:
    previous: tuple[int, int] | None = None
    for x, candle in zip(dots, candles, strict=True):
        if not math.isfinite(candle.close):
            previous = None
            continue
        here = (x, frame.dot_y(candle.close))
        picture.segment(previous or here, here, "text", frame.box)
        previous = here


def _paint_marks(picture: Picture, frame: Frame, marks: Sequence[Mark]) -> None:
    """Labels at the right; where two want one row, the later one of ``marks`` moves a row away."""
    taken: set[int] = set()
    for mark in marks:
        row = min(frame.height - 1, max(0, frame.row(mark.value)))
        place = next((item for item in _near(row, frame.height) if item not in taken), None)
        if place is None:
            continue
        taken.add(place)
        if mark.line_ink:
            dashes = min(_DASHES, frame.width // 8)
            picture.text(frame.width - dashes, row, "╌" * dashes, mark.line_ink)
        picture.text(picture.width - len(mark.label), place, mark.label, mark.ink)


def _near(row: int, rows: int) -> Iterator[int]:
    for step in range(rows):
        yield from (place for place in (row + step, row - step) if 0 <= place < rows)


def _paint_entry(
    picture: Picture, frame: Frame, candles: Sequence[Candle], dots: Sequence[int], entry: Entry | None
) -> None:
    if entry is None:
        return
    for index in reversed(range(len(candles))):
        if candles[index].at <= entry.at:
            row = min(frame.height - 1, max(0, frame.row(entry.value)))
            up = entry.side == "long"
            picture.put(dots[index] // 2, row, "▲" if up else "▼", "blue+b" if up else "orange+b")
            return


def _paint_times(
    picture: Picture, candles: Sequence[Candle], dots: Sequence[int], row: int, minutes: int
) -> None:
    span = len(candles) * minutes  # over the whole width
    every = next((step for step in _TIME_STEPS if span / step <= picture.width / 14), _TIME_STEPS[-1])
    free_from = 0
    for x, candle in zip(dots, candles, strict=True):
        if (60 * candle.at.hour + candle.at.minute) % every:
            continue
        label = f"{candle.at:%a %H:%M}" if every >= 1440 else f"{candle.at:%H:%M}"
        start = x // 2 - len(label) // 2
        if start >= free_from and start + len(label) <= picture.width - 4:
            picture.text(start, row, label, "muted")
            free_from = start + len(label) + 2
    picture.text(picture.width - 3, row, "UTC", "muted")


def label(prefix: str, value: float) -> str:
    """``TP 42,257``."""
    return f"{prefix} {price(value, digits=0 if value >= 10_000 else 2)}".strip()
