"""What the console remembers between two sessions: the screen and the theme."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import read_json, write_json
from tradingai.widgets.header import MODE_BY_ID
from tradingai.widgets.palette import DARK_THEME, PALETTES

FILE_NAME: Final = "console.json"


@dataclass(frozen=True, slots=True)
class Memory:
    """Where the operator was."""

    screen: str = "overview"
    theme: str = DARK_THEME


def recall(root: Path) -> Memory:
    """What was remembered below a home; the defaults where nothing usable was."""
    try:
        document = read_json(root / FILE_NAME)
    except (OSError, TradingAIError):
        return Memory()
    if not isinstance(document, dict):
        return Memory()
    screen, theme = document.get("screen"), document.get("theme")
    return Memory(
        screen if isinstance(screen, str) and screen in MODE_BY_ID else "overview",
        theme if isinstance(theme, str) and theme in PALETTES else DARK_THEME,
    )


def remember(root: Path, memory: Memory) -> None:
    """Keep it for the next session. A home that cannot be written loses nothing but this."""
    with suppress(TradingAIError):
        write_json(root / FILE_NAME, asdict(memory))
