"""Draw the README's and docs' pictures of the console from a real home.

    python docs/pictures.py --home HOME [--out docs/console]

Every picture is the console itself over that home, without a terminal, as SVG cell by cell.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from tradingai.app import ConsoleApp
from tradingai.bootstrap import open_engine
from tradingai.engine.core.clock import RealClock
from tradingai.screens.live import LiveEngine
from tradingai.screens.memory import Memory
from tradingai.screens.svg import screen_svg
from tradingai.widgets.palette import DARK_THEME, LIGHT_THEME

WIDE, NARROW = (160, 48), (80, 24)
PICTURES = (
    ("overview", "overview", WIDE, DARK_THEME),
    ("data", "data", WIDE, DARK_THEME),
    ("features", "features", WIDE, LIGHT_THEME),
    ("training", "training", WIDE, DARK_THEME),
    ("gates", "gates", WIDE, LIGHT_THEME),
    ("monitor", "monitor", WIDE, DARK_THEME),
    ("models", "models", WIDE, DARK_THEME),
    ("overview-80", "overview", NARROW, DARK_THEME),
    ("gates-80", "gates", NARROW, DARK_THEME),
)
"""File name, screen, size, theme."""


async def draw(home: Path, screen: str, size: tuple[int, int], theme: str) -> str:
    """One screen of the console over ``home``."""
    clock = RealClock()

    def opener():  # noqa: ANN202 - what bootstrap returns
        return open_engine(home, clock=clock, surface="console")

    engine = LiveEngine(opener, clock, read_only=False)
    app = ConsoleApp(engine, clock, root=home, memory=Memory(screen, theme))
    async with app.run_test(size=size) as pilot:
        while not app.snapshot.settled:
            await pilot.pause(0.1)
        await pilot.pause(2.0)
        return screen_svg(app, f"TradingAI: {screen}")


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "console")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, screen, size, theme in PICTURES:
        text = asyncio.run(draw(chosen.home, screen, size, theme))
        (chosen.out / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
