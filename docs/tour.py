"""Draw the README's tour, an SVG that moves, from the recording of the whole-way test.

    python docs/tour.py --cast build/tour.cast [--out docs/console/tour.svg]

`make tour` records and draws. The recording is an asciicast (version 2) of the real console; here long waits
are shortened, and nothing else is changed. A line that several frames share is drawn once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyte
from rich.segment import Segment
from rich.style import Style
from tradingai.screens.svg import CELL_HEIGHT, CELL_WIDTH, FONT_SIZE, FONTS, MARGIN, row_svg
from tradingai.widgets.palette import DARK_THEME, PALETTES

PALETTE: Final = PALETTES[DARK_THEME]
GROUND: Final = PALETTE["bg"]
FRAME_S: Final = 1.0
"""Every frame stands for so long."""
CHAPTER_FRAMES: Final = 9
"""As many frames at most between two marks of the recording."""
CAPTION_ROWS: Final = 2
Row = tuple[Segment, ...]


class Frame(NamedTuple):
    """The screen at one moment, and the chapter it belongs to."""

    rows: tuple[Row, ...]
    chapter: str


def colour(value: str, default: str) -> str:
    """pyte's name of a colour as rich reads it."""
    if value == "default":
        return default
    return f"#{value}" if len(value) == 6 and value.isalnum() and not value.isalpha() else value


def row_of(line: Any, columns: int) -> Row:
    """A row of the emulator's buffer as segments of one style each."""
    found: list[tuple[str, Style]] = []
    for x in range(columns):
        cell = line[x]
        front, back = colour(cell.fg, "#cdd3da"), colour(cell.bg, GROUND)
        if cell.reverse:
            front, back = back, front
        style = Style.parse(f"{'bold ' * cell.bold}{'underline ' * cell.underscore}{front} on {back}")
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + cell.data, style)
        else:
            found.append((cell.data, style))
    return tuple(Segment(text, style) for text, style in found)


def frames(events: Sequence[Sequence[Any]], columns: int, rows: int) -> Iterator[Frame]:
    """What stood on the screen at evenly spread moments of every chapter."""
    marks = [(at, text) for at, kind, text in events if kind == "m"]
    ends = [*(at for at, _ in marks[1:]), events[-1][0]]
    screen = pyte.Screen(columns, rows)
    stream = pyte.Stream(screen)
    waiting = [(at, text) for at, kind, text in events if kind == "o"]
    for (begin, chapter), end in zip(marks, ends, strict=True):
        count = max(1, min(CHAPTER_FRAMES, round((end - begin) / FRAME_S)))
        for number in range(1, count + 1):
            until = begin + (end - begin) * number / count
            while waiting and waiting[0][0] < until:
                stream.feed(waiting.pop(0)[1])
            yield Frame(tuple(row_of(screen.buffer[y], columns) for y in range(rows)), chapter)


def style_sheet(count: int) -> str:
    """One frame after the other; where nothing is animated the last one stands."""
    rules = [f".f{{visibility:hidden;animation:{count * FRAME_S:.1f}s step-end infinite}}"]
    for index in range(count):
        begin, end = 100 * index / count, 100 * (index + 1) / count
        first = "visible" if index == 0 else "hidden"
        rules.append(
            f"@keyframes k{index}{{0%{{visibility:{first}}}{begin:.3f}%{{visibility:visible}}"
            f"{end:.3f}%{{visibility:hidden}}}}#f{index}{{animation-name:k{index}}}"
        )
    rules.append(f"#f{count - 1}{{visibility:visible}}")
    return "".join(rules)


def svg(shown: Sequence[Frame], columns: int, rows: int) -> str:
    """All frames as one document that plays for ever."""
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = (rows + CAPTION_ROWS) * CELL_HEIGHT + 2 * MARGIN
    caption = f'x="{MARGIN + CELL_WIDTH:.1f}" y="{MARGIN + (rows + 1.3) * CELL_HEIGHT:.1f}" fill="#98a1ac"'
    names: dict[Row, str] = {}
    uses: list[str] = []
    for index, frame in enumerate(shown):
        uses.append(f'<g class="f" id="f{index}">')
        for y, row in enumerate(frame.rows):
            name = names.setdefault(row, f"r{len(names)}")
            uses.append(f'<use href="#{name}" y="{y * CELL_HEIGHT:.0f}"/>')
        uses.append(f"<text {caption}>{escape(frame.chapter)}</text></g>")
    drawn = (
        f'<g id="{name}">{"".join(row_svg(list(row), MARGIN, PALETTE))}</g>' for row, name in names.items()
    )
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>TradingAI: from an empty home to signals on the Monitor</title>",
        f"<style>{style_sheet(len(shown))}</style>",
        f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>',
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve">',
        *("<defs>", *drawn, "</defs>"),
        *uses,
        "</g></svg>",
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    """Read the recording and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cast", type=Path, default=Path("build/tour.cast"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "console" / "tour.svg")
    chosen = parser.parse_args()
    header, *events = (json.loads(line) for line in chosen.cast.read_text(encoding="utf-8").splitlines())
    shown = list(frames(events, header["width"], header["height"]))
    chosen.out.write_text(svg(shown, header["width"], header["height"]), encoding="utf-8")
    size_mb = chosen.out.stat().st_size / 1e6
    sys.stdout.write(f"{chosen.out}: {len(shown)} frames of {FRAME_S:g} s, {size_mb:.1f} MB\n")


if __name__ == "__main__":
    main()
