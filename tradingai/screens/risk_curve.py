"""The equity curve over its floors: a line, dashed steps below it, a mark at each Prague midnight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tradingai.engine.queries.run_snapshot import EquityPoint, RiskView
from tradingai.widgets import numbers
from tradingai.widgets.plot import Frame, LinePlot, Picture, Scale, Series, paint_lines, scale

TALL_ROWS: Final = 10
"""From so many rows on the total stop has room below the daily one."""
LABEL_COLUMNS: Final = 90
"""From so many columns on the floors are named at their right end."""
Axis = tuple[tuple[float, str], ...]


def axis_label(value: float, step: float) -> str:
    """Money on the axis, with the digits that tell two labels apart: ``204 k``, ``203.5 k``, ``203,950``."""
    if step >= 100:
        digits = 0 if step % 1_000 == 0 else 1
        return f"{numbers.decimal(value / 1_000, digits)} k"
    return numbers.decimal(value, 0 if step >= 1 else 2)


def time_label(moment: datetime, *, day: bool, narrow: bool) -> str:
    """``Mon 06Z``, ``23Z``; with minutes where there is room or a full hour would be wrong."""
    clock = f"{moment:%HZ}" if narrow and moment.minute == 0 else f"{moment:%H:%MZ}"
    return f"{moment:%a} {clock}" if day else clock


def time_ticks(view: RiskView, low: float, high: float, width: int, *, end: str) -> Axis:
    """The first time, the resets between and the end, where their labels do not meet."""
    first, narrow = view.curve[0].at, width < LABEL_COLUMNS
    span = max(high - low, 1e-9)
    ticks = [(low, time_label(first, day=True, narrow=narrow))]
    taken = len(ticks[0][1]) + 1.0
    for reset in view.resets:
        label = time_label(reset, day=not narrow or len(view.resets) > 1, narrow=narrow)
        label = label if narrow else f"{label} reset"
        middle = (reset.timestamp() - low) / span * width
        left, right = middle - len(label) / 2, middle + len(label) / 2
        if left > taken and right < width - len(end) - 1:
            ticks.append((reset.timestamp(), label))
            taken = right + 1
    return (*ticks, (high, end))


def equity_range(curve: Sequence[EquityPoint], rows: int) -> Scale:
    """Equity and the floors that matter: the daily stop, and the total one where it is near or has room."""
    values = [point.equity for point in curve]
    values += [point.daily_stop for point in curve if point.daily_stop is not None]
    for point in curve:
        near = point.daily_stop is None or (point.total_stop or 0.0) >= point.daily_stop
        if point.total_stop is not None and (near or rows >= TALL_ROWS):
            values.append(point.total_stop)
    return scale(min(values), max(values), rows)


def equity_picture(view: RiskView, width: int, height: int, *, end: str) -> Picture:
    """Equity, floors and resets on ``width`` × ``height`` cells; the last row is the axis of time."""
    curve = view.curve
    if not curve:
        return paint_lines(
            LinePlot((), ((0.0, ""), (1.0, "")), (0.0, 1.0), (), 0, 1, message="no scan yet"), width, height
        )
    rows = height - 1
    axis = equity_range(curve, rows)
    labels = tuple((tick, axis_label(tick, axis.step)) for tick in axis.ticks)
    low, high = curve[0].at.timestamp(), curve[-1].at.timestamp()
    if high <= low:
        high = low + 60.0
    gutter = max((len(label) for _, label in labels), default=0) + 1
    points = [(point.at.timestamp(), point.equity) for point in curve]
    plot = LinePlot(
        (Series(points, "blue", "●", "blue"),),
        labels,
        (axis.low, axis.high),
        time_ticks(view, low, high, width - gutter, end=end),
        low,
        high,
    )
    picture = paint_lines(plot, width, height)
    frame = Frame(gutter, 0, width - gutter, rows, low, high, axis.low, axis.high)
    for reset in view.resets:
        _mark(picture, frame, reset.timestamp())
    for name in ("daily_stop", "total_stop"):
        _steps(picture, frame, curve, name)
        if frame.width >= LABEL_COLUMNS:
            _name(picture, frame, getattr(curve[-1], name), name.replace("_", " "))
    return picture


def _free(picture: Picture, x: int, y: int) -> bool:
    """Whether nothing but the grid stands there: neither the curve nor text."""
    return picture.cells[y][x][0] in " ┈┊"


def _mark(picture: Picture, frame: Frame, at: float) -> None:
    x = frame.dot_x(at) // 2
    for y in range(frame.height):
        if frame.left <= x < frame.left + frame.width and _free(picture, x, y):
            picture.put(x, y, "┊", "rule")


def _steps(picture: Picture, frame: Frame, curve: Sequence[EquityPoint], name: str) -> None:
    """The floor of each column: the newest point's in it, or before it."""
    held: float | None = None
    index = 0
    for column in range(frame.width):
        until = frame.x_low + (column + 1) / frame.width * (frame.x_high - frame.x_low)
        while index < len(curve) and curve[index].at.timestamp() <= until:
            held = getattr(curve[index], name)
            index += 1
        x, y = frame.left + column, _row_of(frame, held)
        if y is not None and _free(picture, x, y):
            picture.put(x, y, "╌", "orange-dim")


def _row_of(frame: Frame, value: float | None) -> int | None:
    """The row of a floor; None where there is none, or none within half a row of the frame."""
    if value is None or not math.isfinite(value):
        return None
    half = (frame.y_high - frame.y_low) / frame.height / 2
    if not frame.y_low - half <= value <= frame.y_high + half:
        return None
    return min(frame.height - 1, max(0, frame.row(value)))


def _name(picture: Picture, frame: Frame, value: float | None, name: str) -> None:
    row = _row_of(frame, value)
    if row is None:
        return
    text = f" {name} {numbers.decimal(value, 2)}"
    row = row - 1 if row > 0 else row + 1
    left = frame.left + frame.width - len(text)
    if all(_free(picture, left + index, row) for index in range(len(text))):
        picture.text(left, row, text, "muted")
