"""The two palettes: neutral greys and two hues, blue for good and active, orange for what needs attention.

Blue and orange have almost the same luminance, so that a sign or a word always carries the meaning.
Contrast ratios are held by ``tests/screens/test_palette.py``: text 4.5, signs and bars 3.0 on every ground
they stand on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from textual.theme import Theme

DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bg": "#111316",
        "surface": "#1b1e22",
        "raised": "#2b3037",
        "rule": "#3d434b",
        "faint": "#79828d",
        "muted": "#98a1ac",
        "text": "#cdd3da",
        "strong": "#f5f7fa",
        "blue": "#69b1fa",
        "orange": "#ff9f43",
        "blue-dim": "#2c5f93",
        "orange-dim": "#8f5a20",
    }
)
LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bg": "#fbfbf9",
        "surface": "#eeeff0",
        "raised": "#dfe2e6",
        "rule": "#c4c8cd",
        "faint": "#6b7279",
        "muted": "#535b64",
        "text": "#272c32",
        "strong": "#0a0c0f",
        "blue": "#0757a8",
        "orange": "#a34700",
        "blue-dim": "#5a96d6",
        "orange-dim": "#d08a3c",
    }
)

DARK_THEME: Final = "tradingai-dark"
LIGHT_THEME: Final = "tradingai-light"
PALETTES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({DARK_THEME: DARK, LIGHT_THEME: LIGHT})


def css_variables(palette: Mapping[str, str]) -> dict[str, str]:
    """The palette as ``$tai-…`` variables for style sheets; they have to exist when a sheet is parsed."""
    return {f"tai-{token}": colour for token, colour in palette.items()}


def theme(name: str) -> Theme:
    """The Textual theme of a palette."""
    palette = PALETTES[name]
    return Theme(
        name=name,
        dark=name == DARK_THEME,
        primary=palette["blue"],
        secondary=palette["muted"],
        success=palette["blue"],
        warning=palette["orange"],
        error=palette["orange"],
        accent=palette["orange"],
        foreground=palette["text"],
        background=palette["bg"],
        surface=palette["surface"],
        panel=palette["surface"],
        variables=css_variables(palette)
        | {
            "input-cursor-background": palette["blue"],
            "input-cursor-foreground": palette["bg"],
            "input-selection-background": palette["blue-dim"],
        },
    )
