"""Signs and status words: a state is always told by sign, word and colour together."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tradingai.widgets.line import Span

Glyphs = Literal["braille", "block", "ascii"]
_KNOWN: Final[tuple[Glyphs, ...]] = ("braille", "block", "ascii")


class Sign(NamedTuple):
    """How one state looks."""

    sign: str
    ink: str
    word: str


SIGNS: Final[Mapping[str, Sign]] = MappingProxyType(
    {
        "done": Sign("✓", "blue", "done"),
        "pass": Sign("✓", "blue", "PASS"),
        "fail": Sign("✗", "orange", "FAIL"),
        "refused": Sign("✗", "orange", "refused"),
        "failed": Sign("✗", "orange", "failed"),
        "running": Sign("●", "blue", "running"),
        "live": Sign("●", "blue", "live"),
        "waiting": Sign("○", "faint", "waiting"),
        "queued": Sign("○", "faint", "queued"),
        "next": Sign("○", "muted", "next"),
        "later": Sign("–", "faint", "later"),
        "interrupted": Sign("‖", "orange", "interrupted"),
        "cancelled": Sign("‖", "muted", "cancelled"),
        "skipped": Sign("–", "muted", "skipped"),
        "attention": Sign("!", "orange", "attention"),
        "up": Sign("▲", "blue", "up"),
        "down": Sign("▼", "orange", "down"),
    }
)

_ASCII: Final = str.maketrans(
    {
        "✓": "+", "✗": "x", "●": "*", "○": "o", "‖": "=", "▲": "^", "▼": "v", "–": "-", "▸": ">", "·": ".",
        "━": "=", "─": "-", "╸": "=", "┃": "|", "│": "|", "╽": "|", "╿": "|", "╻": ".", "╹": "'", "╷": ".",
        "╵": "'", "█": "#", "┈": ".", "╌": "-", "┊": ":", "■": "#", "▪": "*", "×": "x", "−": "-", "…": ".",
        "↵": "<", "→": ">", "←": "<", "≥": ">", "≤": "<", "±": "~", "α": "a", "Δ": "d", "▏": "|", "▌": "|",
        "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#", "’": "'",
    }
)  # fmt: skip

_QUADRANTS: Final = " ▘▖▌▝▀▞▛▗▚▄▙▐▜▟█"


def _braille_fallbacks() -> tuple[dict[int, str], dict[int, str]]:
    """Every braille cell as a quadrant block (2 × 2 of its 2 × 4 dots) and as ASCII."""
    block: dict[int, str] = {}
    plain: dict[int, str] = {}
    for bits in range(256):
        upper_left, lower_left = bits & 0b0000_0011, bits & 0b0100_0100
        upper_right, lower_right = bits & 0b0001_1000, bits & 0b1010_0000
        index = bool(upper_left) | bool(lower_left) << 1 | bool(upper_right) << 2 | bool(lower_right) << 3
        block[0x2800 + bits] = _QUADRANTS[index]
        top, bottom = bits & 0b0001_1011, bits & 0b1110_0100
        plain[0x2800 + bits] = " " if not bits else ":" if top and bottom else "'" if top else "."
    return block, plain


_BLOCK, _PLAIN = _braille_fallbacks()


def glyphs_for(encoding: str | None, term: str, wanted: str = "") -> Glyphs:
    """Which characters this terminal can show: no UTF-8 means ASCII, a Linux console has no braille.

    ``wanted`` is the operator's own word (TRADINGAI_GLYPHS) and wins when it is one of the three.
    """
    for known in _KNOWN:
        if wanted == known:
            return known
    try:
        utf8 = codecs.lookup(encoding or "ascii").name == "utf-8"
    except LookupError:
        utf8 = False
    if not utf8:
        return "ascii"
    return "block" if term == "linux" else "braille"


def render_glyphs(text: str, glyphs: Glyphs) -> str:
    """``text`` in the characters this terminal has; every replacement is one cell wide."""
    if glyphs == "braille" or text.isascii():
        return text
    if glyphs == "block":
        return text.translate(_BLOCK)
    return text.translate(_ASCII).translate(_PLAIN).encode("ascii", "replace").decode("ascii")


def sign(state: str) -> Span:
    """The sign of a state alone; blank for a state without one."""
    found = SIGNS.get(state)
    return Span(found.sign, found.ink) if found else Span(" ")


def status(state: str, word: str = "", *, bold: bool = False) -> Span:
    """The word of a state in its colour; the calm ones stay muted."""
    found = SIGNS[state]
    ink = found.ink if found.ink in {"blue", "orange"} and state != "done" else "muted"
    if state in {"waiting", "later"}:
        ink = "faint"
    if bold or ink == "orange":
        ink += "+b"
    return Span(word or found.word, ink)
