"""Lines: what a page is made of. Pure values, written in inks, measured in cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from rich.cells import cell_len, set_cell_size

Target = tuple[str, str]
"""What a click on a span or line means: (kind, value), for example ``("row", "ledger:14")``."""
Align = Literal["left", "right", "centre"]

_CONTROL: Final = dict.fromkeys((*range(32), 127, *range(128, 160)), "·")


class Span(NamedTuple):
    """A piece of text in one ink."""

    text: str
    ink: str = "text"
    target: Target | None = None

    @property
    def width(self) -> int:
        """Cells it takes."""
        return cell_len(self.text)


Piece = str | Span


@dataclass(frozen=True, slots=True)
class Line:
    """One row of cells. ``ground`` overrides the background, for the cursor row."""

    spans: tuple[Span, ...] = ()
    ground: str = ""
    target: Target | None = None

    @property
    def text(self) -> str:
        """The characters alone."""
        return "".join(span.text for span in self.spans)

    @property
    def width(self) -> int:
        """Cells taken."""
        return sum(span.width for span in self.spans)

    def __add__(self, other: Line) -> Line:
        return Line((*self.spans, *other.spans), self.ground or other.ground, self.target or other.target)


BLANK: Final = Line()


def tidy(text: object) -> str:
    """``str(text)`` with control characters made visible, so that data cannot move the cursor."""
    return str(text).translate(_CONTROL)


def span(text: object, ink: str = "text", target: Target | None = None) -> Span:
    """A span of any value."""
    return Span(tidy(text), ink, target)


def line(*pieces: Piece, ink: str = "text", ground: str = "", target: Target | None = None) -> Line:
    """A line from spans and plain strings; the strings are written in ``ink``."""
    spans = tuple(
        piece if isinstance(piece, Span) else Span(tidy(piece), ink) for piece in pieces if piece != ""
    )
    return Line(spans, ground, target)


def pad(width: int) -> Span:
    """``width`` blank cells."""
    return Span(" " * max(0, width))


def crop(spans: tuple[Span, ...], width: int) -> tuple[Span, ...]:
    """The spans cut to ``width`` cells; a cut is marked with ``…``."""
    if sum(item.width for item in spans) <= width:
        return spans
    kept: list[Span] = []
    left = width - 1
    for item in spans:
        if item.width <= left:
            kept.append(item)
            left -= item.width
            continue
        if left > 0:
            kept.append(item._replace(text=set_cell_size(item.text, left)))
        break
    if width > 0:
        kept.append(Span("…", kept[-1].ink if kept else "text"))
    return tuple(kept)


def fit(
    content: Piece | tuple[Piece, ...], width: int, align: Align = "left", ink: str = "text"
) -> tuple[Span, ...]:
    """Spans of exactly ``width`` cells."""
    pieces = content if isinstance(content, tuple) and not isinstance(content, Span) else (content,)
    spans = tuple(item if isinstance(item, Span) else Span(tidy(item), ink) for item in pieces)
    spans = crop(spans, width)
    free = width - sum(item.width for item in spans)
    if free <= 0:
        return spans
    if align == "right":
        return (pad(free), *spans)
    if align == "centre":
        return (pad(free // 2), *spans, pad(free - free // 2))
    return (*spans, pad(free))


def spread(left: Line, right: Line, width: int, *, gap: int = 2) -> Line:
    """``left`` at the left, ``right`` at the right end of ``width`` cells; the right gives way, then the
    left.
    """
    room = width - right.width - gap
    if room < min(left.width, width):
        if right.width and left.width <= width:
            cut = crop(right.spans, max(0, width - left.width - gap))
            right = Line(cut) if len(cut) and width - left.width - gap >= 4 else BLANK
        else:
            right = BLANK
        room = width - (right.width + gap if right.width else 0)
    spans = crop(left.spans, room)
    middle = width - sum(item.width for item in spans) - right.width
    return Line((*spans, pad(middle), *right.spans), left.ground, left.target)


def beside(lefts: list[Line], rights: list[Line], left_width: int, gap: int) -> list[Line]:
    """Two columns of lines next to each other: the left one ``left_width`` cells, then ``gap`` blanks."""
    rows = max(len(lefts), len(rights))
    result = []
    for index in range(rows):
        left = lefts[index] if index < len(lefts) else BLANK
        right = rights[index] if index < len(rights) else BLANK
        result.append(
            Line((*fit(left.spans, left_width), pad(gap), *right.spans), "", left.target or right.target)
        )
    return result


def wrap(text: str, width: int) -> list[str]:
    """Words of ``text`` in rows of at most ``width`` cells; a longer word is cut into pieces.

    A percent sign stays with its number.
    """
    rows: list[str] = []
    current = ""
    for word in tidy(text).replace(" %", "\N{NO-BREAK SPACE}%").split(" "):
        rest = word.replace("\N{NO-BREAK SPACE}", " ")
        while cell_len(rest) > width:
            if current:
                rows.append(current)
                current = ""
            rows.append(rest[:width])
            rest = rest[width:]
        candidate = f"{current} {rest}".strip()
        if cell_len(candidate) > width:
            rows.append(current)
            candidate = rest
        current = candidate
    return [*rows, current] if current else rows
