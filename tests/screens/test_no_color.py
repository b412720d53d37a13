"""NO_COLOR: not one colour reaches the terminal, and every state is still told by a sign and a word."""

from __future__ import annotations

import re
import shutil

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from tradingai.screens.svg import screen_svg
from tradingai.widgets.header import MODES
from tradingai.widgets.ink import style_of
from tradingai.widgets.palette import DARK, DARK_THEME, LIGHT, LIGHT_THEME
from tradingai.widgets.uncoloured import Uncoloured, without_colour

from tests.fakes.console_story import STATES
from tests.fakes.reader import Reader
from tests.screens.conftest import SCREENS, MakeConsole

COLOURS = {*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108)}
"""SGR parameters that choose a colour; 39 and 49 go back to the terminal's own."""
WORDS = {
    "overview": r"✗ Gates +refused",
    "data": r"! 1 outlier\b",
    "features": r"! 0\.\d\d",
    "training": r"✓ .* kept",
    "gates": r"✗ FAIL  significance",
    "monitor": r"It takes a model that is live",
    "risk": r"No paper account yet",
    "observation": r"No model is live yet",
    "models": r"✗ refused",
    "log": r"✗ EvaluationFinished .*refused",
}
"""What each screen says of a home whose only model was refused."""


def colours(sent: str) -> set[int]:
    """The SGR parameters of what was sent that choose a colour."""
    given = re.findall(r"\x1b\[([\d;:]*)m", sent)
    assert given, "nothing was styled at all"
    return {int(number) for item in given for number in re.split("[;:]", item) if number} & COLOURS


def test_colours_are_found_where_there_are_some():
    assert colours("\x1b[1m\x1b[0;38;2;1;2;3m\x1b[97m") == {38, 97}
    assert colours("\x1b[0m\x1b[1;4;7m\x1b[39;49m") == set()


def test_ten_screens_in_a_terminal_send_no_colour(small_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(small_home, home, symlinks=True)
    with Reader(home, NO_COLOR="1") as reader:
        reader.wait(WORDS["overview"])
        reader.type("K")
        reader.wait("KILL ON console")
        for mode in MODES:
            reader.type(mode.key)
            reader.wait(WORDS[mode.id], 30)
        reader.type("?")
        reader.wait("Keys of Log")
        reader.type("q")
        assert reader.terminal.ended() == 0
        assert colours(reader.sent) == set()
        assert re.search(r"\x1b\[[\d;]*\b7m KILL ON", reader.sent), "the chip is not filled"


@pytest.mark.parametrize("theme", [DARK_THEME, LIGHT_THEME])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.slow
async def test_no_cell_of_any_state_has_a_colour(
    console: MakeConsole, monkeypatch: pytest.MonkeyPatch, state: str, theme: str
):
    monkeypatch.setenv("NO_COLOR", "")
    made = console(state, theme=theme)
    async with made.app.run_test(size=(160, 48)) as pilot:
        for screen in SCREENS:
            await made.app.go(screen)
            await pilot.press("slash")
            await pilot.pause()
            strips = made.app.screen._compositor.render_strips()
            styles = [segment.style for strip in strips for segment in strip if segment.style]
            assert styles
            assert {(style.color, style.bgcolor) for style in styles} == {(None, None)}
            await pilot.press("escape")


def test_what_colour_told_is_told_by_attributes():
    def seen(ink: str) -> Style:
        return without_colour(style_of(ink, DARK_THEME, "surface"))

    assert seen("text") == seen("muted") == Style(bold=False, underline=False)
    assert seen("strong+bu") == Style(bold=True, underline=True)
    assert seen("orange") == seen("blue") == Style(bold=True, underline=False)
    assert seen("rule") == seen("faint") == Style(bold=False, underline=False, dim=True)
    assert seen("bg@orange+b") == Style(bold=True, underline=False, reverse=True)
    assert without_colour(style_of("text", DARK_THEME, "bg", dimmed=True)).dim


def test_a_cell_without_a_style_stays_one():
    (cell,) = Uncoloured().apply([Segment(" ")], Color.parse("#000000"))
    assert cell == Segment(" ")


@pytest.mark.parametrize(("theme", "palette"), [(DARK_THEME, DARK), (LIGHT_THEME, LIGHT)])
async def test_a_picture_of_it_is_readable(
    console: MakeConsole, monkeypatch: pytest.MonkeyPatch, theme: str, palette: dict[str, str]
):
    monkeypatch.setenv("NO_COLOR", "1")
    made = console("failed", theme=theme)
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        svg = screen_svg(made.app, "without colour")
    assert set(re.findall(r'fill="(#\w+)"', svg)) == {palette[name] for name in ("bg", "text", "faint")}
    chip = re.search(r'<text [^>]*fill="(#\w+)"[^>]*>KILL</text>', svg)
    assert chip
    assert chip[1] == palette["bg"], "the chip's letters are not the page's colour on its filled ground"
