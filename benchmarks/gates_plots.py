"""Two small kinds of plot as SVG: curves with error bars, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

WIDTH: Final = 640
HEIGHT: Final = 340
LEFT: Final = 62
RIGHT: Final = 20
TOP: Final = 40
BOTTOM: Final = 52
COLOURS: Final = ("#0b6e99", "#c25e00", "#4d7c0f")
_INK: Final = "#57606a"
_NAMESPACE: Final = "http://www.w3.org/2000/svg"


class Point(NamedTuple):
    """One measured value with its interval."""

    x: float
    y: float
    lo: float
    hi: float


def curves(path: Path, title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[Point]]) -> None:
    """Write curves over x from 0 to their largest, y from 0 to 1; each point with its interval."""
    most = max((point.x for points in series.values() for point in points), default=1.0)
    parts = _axes(title, x_label, y_label, [(most * k / 5, f"{most * k / 5:g}") for k in range(6)], most)
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(_x(point.x, most), _y(point.y)) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point, (x, y) in zip(points, places, strict=True):
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(point.lo):.1f}" y2="{_y(point.hi):.1f}" '
                f'stroke="{colour}" opacity="0.5"/>'
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
            )
        parts.append(_text(LEFT + 14, TOP + 16 + 17 * number, name, colour, "start"))
    _write(path, parts)


def bars(
    path: Path, title: str, x_label: str, y_label: str, edges: tuple[float, float], counts: Sequence[int]
) -> None:
    """Write a histogram: ``counts`` in equal steps from ``edges[0]`` to ``edges[1]``, y as a share of all."""
    lo, hi = edges
    total, most = max(1, sum(counts)), max([1, *counts])
    top = most / total
    marks = [((hi - lo) * k / 4, f"{lo + (hi - lo) * k / 4:g}") for k in range(5)]
    parts = _axes(title, x_label, y_label, marks, hi - lo, top)
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    for number, count in enumerate(counts):
        height = (HEIGHT - TOP - BOTTOM) * count / most
        parts.append(
            f'<rect x="{LEFT + number * step + 1:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}" fill="{COLOURS[0]}"/>'
        )
    _write(path, parts)


def _x(value: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / most


def _y(value: float, top: float = 1.0) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _axes(
    title: str, x_label: str, y_label: str, marks: Sequence[tuple[float, str]], most: float, top: float = 1.0
) -> list[str]:
    """Background, title, axes and their marks."""
    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    middle = (TOP + floor) / 2
    parts = [
        f'<svg xmlns="{_NAMESPACE}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(WIDTH / 2, 22, title, "#1f2328", "middle"),
        _text((LEFT + end) / 2, HEIGHT - 12, x_label, _INK, "middle"),
        f'<g transform="rotate(-90 16 {middle:.0f})">{_text(16, middle, y_label, _INK, "middle")}</g>',
    ]
    for k in range(5):
        y = _y(top * k / 4, top)
        parts.append(f'<line x1="{LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{100 * top * k / 4:.0f} %", _INK, "end"))
    parts += [_text(_x(value, most), floor + 18, label, _INK, "middle") for value, label in marks]
    return parts


def _text(x: float, y: float, words: str, colour: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def _write(path: Path, parts: Sequence[str]) -> None:
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")
