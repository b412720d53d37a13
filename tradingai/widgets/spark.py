"""Sparklines in braille, two points a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)


def sparkline(values: Sequence[float], width: int) -> str:
    """``values`` (oldest first) as ``width`` braille cells; a value that is not finite leaves a gap.

    The series is reduced to two points a cell by taking the last value of each part, so that a step stays
    a step.
    """
    if not values:
        return " " * width
    points = 2 * width
    if len(values) > points:
        values = [values[(index + 1) * len(values) // points - 1] for index in range(points)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return " " * width
    low, high = min(finite), max(finite)
    span = high - low

    def level(value: float) -> int:
        return 1 if span <= 0 else min(3, int((value - low) / span * 4))

    bits = [0] * width
    offset = points - len(values)
    for index, value in enumerate(values):
        if math.isfinite(value):
            cell, half = divmod(index + offset, 2)
            bits[cell] |= (_RIGHT if half else _LEFT)[level(value)]
    return "".join(chr(0x2800 + item) if item else " " for item in bits)
