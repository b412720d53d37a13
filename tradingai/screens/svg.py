"""The screen as SVG, cell by cell: every run of plain characters has its own place, every other character
its own.

Textual's export relies on ``textLength``, which some renderers ignore, and lets lines with braille drift
where the font lacks it. Here nothing can drift further than one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.strip import Strip

from tradingai.widgets.palette import PALETTES

CELL_WIDTH: Final = 9.6
CELL_HEIGHT: Final = 19.0
BASELINE: Final = 14.2
FONT_SIZE: Final = 16
MARGIN: Final = 8
FONTS: Final = "'DejaVu Sans Mono', 'JetBrains Mono', 'Cascadia Mono', Menlo, Consolas, monospace"


def _hex(colour: ColorTriplet | None, fallback: str) -> str:
    return colour.hex if colour is not None else fallback


def screen_strips(app: App[Any]) -> list[Strip]:
    """What the visible screen shows, one strip a row, dialogs over their page."""
    return app.screen._compositor.render_strips()  # noqa: SLF001 - Textual has no public way to read the cells


def screen_svg(app: App[Any], title: str) -> str:
    """The visible screen as an SVG document."""
    theme = app.theme if app.theme in PALETTES else next(iter(PALETTES))
    return cells_svg(screen_strips(app), app.size.width, title=title, palette=PALETTES[theme])


def cells_svg(strips: Iterable[Strip], columns: int, *, title: str, palette: Mapping[str, str]) -> str:
    """Strips as an SVG document; cells without a colour of their own (NO_COLOR) get the palette's text."""
    rows = list(strips)
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = len(rows) * CELL_HEIGHT + 2 * MARGIN
    box = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="6" fill="{palette["bg"]}"/>',
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve">',
    ]
    for y, strip in enumerate(rows):
        parts.extend(row_svg(list(strip), MARGIN + y * CELL_HEIGHT, palette))
    parts.append("</g></svg>")
    return "\n".join(parts) + "\n"


def _colours(style: Style, palette: Mapping[str, str]) -> tuple[str, str]:
    """What a cell's characters and its ground are painted with."""
    plain = palette["faint" if style.dim else "text"]
    ink = style.color.triplet if style.color else None
    ground = style.bgcolor.triplet if style.bgcolor else None
    pair = _hex(ink, plain), _hex(ground, palette["bg"])
    return (pair[1], pair[0]) if style.reverse else pair


def row_svg(segments: list[Segment], top: float, palette: Mapping[str, str]) -> Iterable[str]:
    """One row's elements, its upper edge at ``top``."""
    x = 0
    texts: list[str] = []
    for segment in segments:
        style = segment.style or Style.null()
        cells = segment.cell_length
        colour, back = _colours(style, palette)
        left = MARGIN + x * CELL_WIDTH
        if back != palette["bg"]:
            yield (
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{cells * CELL_WIDTH + 0.3:.1f}" '
                f'height="{CELL_HEIGHT + 0.3:.1f}" fill="{back}"/>'
            )
        bold = ' font-weight="bold"' if style.bold else ""
        if style.underline:
            texts.append(
                f'<rect x="{left:.1f}" y="{top + CELL_HEIGHT - 2:.1f}" width="{cells * CELL_WIDTH:.1f}" '
                f'height="1.2" fill="{colour}"/>'
            )
        texts.extend(_runs(segment.text, left, top, colour, bold))
        x += cells
    yield from texts


def _runs(text: str, left: float, top: float, colour: str, bold: str) -> Iterable[str]:
    """Words of ASCII together, everything else by itself; box-drawing rules as rectangles, so that they
    join.
    """
    index = 0
    while index < len(text):
        character = text[index]
        x = left + index * CELL_WIDTH
        if character == " ":
            index += 1
            continue
        if character in "━─":
            end = index
            while end < len(text) and text[end] == character:
                end += 1
            thick = 2.2 if character == "━" else 1.0
            yield (
                f'<rect x="{x:.1f}" y="{top + CELL_HEIGHT / 2 - thick / 2:.1f}" '
                f'width="{(end - index) * CELL_WIDTH:.1f}" height="{thick}" fill="{colour}"/>'
            )
            index = end
            continue
        end = index + 1
        if character.isascii():
            while end < len(text) and text[end].isascii() and text[end] != " ":
                end += 1
        run = escape(text[index:end])
        yield f'<text x="{x:.1f}" y="{top + BASELINE:.1f}" fill="{colour}"{bold}>{run}</text>'
        index = end
