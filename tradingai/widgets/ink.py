"""Inks: the names text is written with, and what they look like in a palette.

An ink is ``token``, ``token+flags`` or ``token@ground+flags``: ``strong+b`` is bold, ``strong+bu`` bold
and underlined, ``bg@orange+b`` a filled chip. Pages are written in inks, so that they are the same in
every theme.
"""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style

from tradingai.widgets.palette import PALETTES


@lru_cache(maxsize=1024)
def style_of(ink: str, theme_name: str, ground: str, *, dimmed: bool = False) -> Style:
    """The rich style of ``ink`` on ``ground``.

    ``dimmed`` paints every foreground in rule colour and drops chips: a page behind a dialog.
    Raises KeyError for an unknown theme or token.
    """
    palette = PALETTES[theme_name]
    tokens, _, flags = ink.partition("+")
    foreground, _, own_ground = tokens.partition("@")
    if dimmed:
        foreground, own_ground = "rule", ""
    return Style(
        color=palette[foreground or "text"],
        bgcolor=palette[own_ground or ground],
        bold="b" in flags,
        underline="u" in flags and not dimmed,
    )
