"""Plots as pure pictures: cells of (character, ink), with a dot buffer so that curves share cells instead
of erasing.

A cell holds 2 × 4 braille dots. Dots of several series in one cell are or-ed together and take the ink of
the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tradingai.widgets.bars import merge
from tradingai.widgets.line import Line

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
Marker = Literal["●", "✗", "▲", "▼"]


class Picture:
    """A grid of cells to paint on. ``put`` and ``text`` paint cells, ``dot`` and ``polyline`` braille
    dots.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = max(0, width)
        self.height = max(0, height)
        self.cells: list[list[tuple[str, str]]] = [[(" ", "text")] * self.width for _ in range(self.height)]
        self._bits: dict[tuple[int, int], int] = {}
        self._inks: dict[tuple[int, int], str] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self.cells == other.cells

    __hash__ = None  # type: ignore[assignment]  # a picture is painted on, so it cannot be a key

    def put(self, x: int, y: int, character: str, ink: str) -> None:
        """Paint one cell; outside the picture nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            self.cells[y][x] = (character, ink)

    def text(self, x: int, y: int, text: str, ink: str) -> None:
        """Paint characters from (x, y) to the right."""
        for offset, character in enumerate(text):
            self.put(x + offset, y, character, ink)

    def dot(self, x: int, y: int, ink: str) -> None:
        """Set the dot at (x, y), counted in dots: two a cell across, four a cell down."""
        cell = (x // 2, y // 4)
        if 0 <= cell[0] < self.width and 0 <= cell[1] < self.height:
            self._bits[cell] = self._bits.get(cell, 0) | _DOTS[y % 4][x % 2]
            self._inks[cell] = ink
            self.cells[cell[1]][cell[0]] = (chr(0x2800 + self._bits[cell]), ink)

    def segment(
        self, start: tuple[int, int], end: tuple[int, int], ink: str, box: tuple[int, int, int, int]
    ) -> None:
        """A straight line of dots, both ends included, clipped to ``box`` (left, top, right, bottom in
        dots).
        """
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x = start[0] + round((end[0] - start[0]) * step / steps)
            y = start[1] + round((end[1] - start[1]) * step / steps)
            if box[0] <= x <= box[2] and box[1] <= y <= box[3]:
                self.dot(x, y, ink)

    def lines(self) -> list[Line]:
        """The picture as lines."""
        return [Line(merge(row)) for row in self.cells]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where data stands in a picture: cells ``left..left+width-1`` × ``top..top+height-1`` and the data's
    range.

    ``y_high`` is drawn on the first row, ``y_low`` on the last.
    """

    left: int
    top: int
    width: int
    height: int
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def dot_x(self, x: float) -> int:
        """Dot column of a value."""
        span = self.x_high - self.x_low
        share = (x - self.x_low) / span if span > 0 else 0.0
        return 2 * self.left + round(share * (2 * self.width - 1))

    def dot_y(self, y: float) -> int:
        """Dot row of a value, clipped to one row beyond either edge so that what leaves stays finite."""
        span = self.y_high - self.y_low
        share = (self.y_high - y) / span if span > 0 else 0.5
        return 4 * self.top + round(min(1.25, max(-0.25, share)) * (4 * self.height - 1))

    def row(self, y: float) -> int:
        """Cell row of a value."""
        return self.dot_y(y) // 4

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The frame in dots: left, top, right, bottom."""
        return (
            2 * self.left,
            4 * self.top,
            2 * (self.left + self.width) - 1,
            4 * (self.top + self.height) - 1,
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y) from left to right; a value that is not finite splits the line."""

    points: Sequence[tuple[float, float]]
    ink: str
    marker: Marker | None = None
    """Drawn at the last point."""
    marker_ink: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A dashed horizontal line with its label at the right end."""

    value: float
    label: str
    ink: str
    label_ink: str = ""
    dash: str = "╌"


@dataclass(frozen=True, slots=True)
class LinePlot:
    """A chart of lines: labels at the left, a dotted grid on exactly those rows, levels labelled at the
    right.
    """

    series: tuple[Series, ...]
    y_ticks: tuple[tuple[float, str], ...]
    y_range: tuple[float, float]
    x_ticks: tuple[tuple[float, str], ...]
    x_low: float
    x_high: float
    levels: tuple[Level, ...] = ()
    message: str = ""
    """Stands in the middle while there is nothing to draw."""
    legend: tuple[tuple[str, str], ...] = field(default=())
    """(ink, name) below the axis."""
    legend_row: bool = False
    """Whether the row of the legend is kept free although this plot has none."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Tick values, and the values of the lowest and the highest dot."""

    ticks: tuple[float, ...]
    low: float
    high: float

    @property
    def step(self) -> float:
        """Distance of two ticks."""
        return self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else self.high - self.low


def scale(low: float, high: float, rows: int) -> Scale:
    """Round tick values and a range for ``rows`` rows that holds low..high with as little waste as
    possible.

    Ticks stand a whole number of rows apart, each in the middle of its row. Of the possible distances the
    one is taken that stretches the data most; there are two to five labels.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        reach = abs(low) * 0.005 or 0.5
        low, high = low - reach, high + reach
    best: tuple[float, Scale] | None = None
    for apart in range(2, max(3, rows)):
        step = _round_up((high - low) * apart / max(0.5, rows - 1))
        candidate = _scale_at(low, high, rows, step, apart)
        shown = len(candidate.ticks)
        waste = rows * step / apart / (high - low) + (
            9.0 if shown < 2 else 0.4 if shown < 3 else 0.2 * max(0, shown - 5)
        )
        if best is None or waste < best[0] - 1e-9:
            best = (waste, candidate)
    return best[1] if best is not None else Scale((low, high), low, high)


def _scale_at(low: float, high: float, rows: int, step: float, apart: int) -> Scale:
    """Ticks of ``step``, ``apart`` rows from each other, with the data in the middle of the rows."""
    per_row = step / apart
    highest = math.floor(low / per_row + rows - 0.5 + 1e-9)
    lowest = math.ceil(high / per_row - 0.5 - 1e-9)
    top_row = max(lowest, (lowest + highest + 1) // 2)
    top = (top_row + 0.5) * per_row
    bottom = top - rows * per_row
    first, last = math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9)
    marks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Scale(marks, bottom + per_row / 8, top - per_row / 8)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    for base in (1.0, 2.0, 2.5, 5.0):
        if base * power >= value * (1 - 1e-9):
            return base * power
    return 10 * power


def reduce_points(points: Sequence[tuple[float, float]], columns: int) -> list[tuple[float, float]]:
    """At most two points a column, its minimum and maximum in the order they came, so that no spike is
    lost.
    """
    if len(points) <= 2 * columns or columns < 1:
        return list(points)
    result: list[tuple[float, float]] = []
    for column in range(columns):
        part = points[column * len(points) // columns : (column + 1) * len(points) // columns]
        finite = [point for point in part if math.isfinite(point[1])]
        if len(finite) < len(part):
            result.append((part[0][0], math.nan))
        if finite:
            lowest = min(finite, key=lambda point: point[1])
            highest = max(finite, key=lambda point: point[1])
            result.extend(sorted({lowest, highest}))
    return result


def paint_lines(plot: LinePlot, width: int, height: int) -> Picture:
    """The plot on ``width`` × ``height`` cells: the last row is the axis, the one below it the legend, if
    any.
    """
    picture = Picture(width, height)
    legend_rows = 1 if plot.legend or plot.legend_row else 0
    rows = height - 1 - legend_rows
    gutter = max((len(label) for _, label in plot.y_ticks), default=0) + 1
    if rows < 2 or width - gutter < 4 or len(plot.y_ticks) < 2:
        return picture
    low, high = plot.y_range
    frame = Frame(gutter, 0, width - gutter, rows, plot.x_low, plot.x_high, low, high)
    for value, label in plot.y_ticks:
        row = frame.row(value)
        picture.text(gutter - 1 - len(label), row, label, "muted")
        picture.text(gutter, row, "┈" * frame.width, "rule")
    taken: set[int] = set()
    for level in plot.levels:
        _paint_level(picture, frame, level, taken)
    for series in plot.series:
        _paint_series(picture, frame, series)
    if plot.message:
        middle = rows // 2
        start = gutter + max(0, (frame.width - len(plot.message)) // 2)
        picture.text(start - 1, middle, f" {plot.message} ", "muted")
    _paint_axis(picture, frame, plot.x_ticks)
    if plot.legend:
        x = gutter
        for ink, name in plot.legend:
            picture.text(x, height - 1, "━", ink)
            picture.text(x + 2, height - 1, name, "muted")
            x += len(name) + 4
    return picture


def _paint_level(picture: Picture, frame: Frame, level: Level, taken: set[int]) -> None:
    """A level keeps its row for the line; its label moves one row away where another label stands already."""
    if not frame.y_low <= level.value <= frame.y_high:
        return
    row = frame.row(level.value)
    label = f" {level.label}" if level.label else ""
    label_row = row
    if row in taken:
        label_row = row + 1 if row + 1 < frame.height and row + 1 not in taken else row - 1
    taken.add(label_row)
    dashes = frame.width - (len(label) if label_row == row else 0)
    picture.text(frame.left, row, level.dash * dashes, level.ink)
    picture.text(frame.left + frame.width - len(label), label_row, label, level.label_ink or level.ink)


def _paint_series(picture: Picture, frame: Frame, series: Series) -> None:
    previous: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    for x, y in reduce_points(series.points, frame.width):
        if not math.isfinite(y):
            previous = None
            continue
        here = (frame.dot_x(x), frame.dot_y(y))
        picture.segment(previous or here, here, series.ink, frame.box)
        previous = last = here
    if series.marker and last is not None:
        row = min(frame.top + frame.height - 1, max(frame.top, last[1] // 4))
        picture.put(last[0] // 2, row, series.marker, series.marker_ink or series.ink)


def _paint_axis(picture: Picture, frame: Frame, x_ticks: Iterable[tuple[float, str]]) -> None:
    row = frame.top + frame.height
    free_from = 0
    for value, label in x_ticks:
        start = frame.dot_x(value) // 2 - len(label) // 2
        start = max(0, min(start, picture.width - len(label)))
        if start >= free_from:
            picture.text(start, row, label, "muted")
            free_from = start + len(label) + 1
