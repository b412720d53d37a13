"""NO_COLOR (https://no-color.org): not one colour is written, not even a grey.

Signs and words carry every meaning. What colour adds is left to the attributes that every terminal has: blue
and orange are bold, what is decoration or belongs to an earlier run is dim, and a filled chip, or an input's
cursor, is reversed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter, Monochrome

from tradingai.widgets.palette import PALETTES

_TOKEN_OF: Final = {colour: token for palette in PALETTES.values() for token, colour in palette.items()}
_DIM: Final = frozenset({"rule", "faint", "blue-dim", "orange-dim"})
_BOLD: Final = frozenset({"blue", "orange"})
_FILLED: Final = frozenset({"blue", "orange", "blue-dim"})


class Uncoloured(LineFilter):
    """Takes the colours off every cell, in place of Textual's shades of grey."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's hook
        """The segments without colours; ``background`` is none of them."""
        return [
            Segment(text, None if style is None else without_colour(style), control)
            for text, style, control in segments
        ]


def uncoloured(filters: Iterable[LineFilter]) -> list[LineFilter]:
    """An app's filters, with no colour where Textual would have greys."""
    return [Uncoloured() if isinstance(item, Monochrome) else item for item in filters]


@lru_cache(maxsize=1024)
def without_colour(style: Style) -> Style:
    """The style's own attributes, and those that stand for its colours."""
    filled = _token(style.bgcolor) in _FILLED
    token = "" if filled else _token(style.color)
    instead = Style(bold=token in _BOLD or None, dim=token in _DIM or None, reverse=filled or None)
    return style.without_color + instead


def _token(colour: RichColor | None) -> str:
    if colour is None or colour.triplet is None:
        return ""
    return _TOKEN_OF.get(colour.triplet.hex, "")
