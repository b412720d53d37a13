"""Pictures of every screen in four states at two sizes; accepted by a person who looked at each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tradingai.widgets.palette import DARK_THEME, LIGHT_THEME

from tests.fakes import console_odds
from tests.fakes.console_family import family, learning, unmade
from tests.fakes.console_observation import decided
from tests.fakes.console_story import STATES, full
from tests.screens.conftest import SCREENS, MakeConsole

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("screen", SCREENS)
def test_screen(snap_compare, console: MakeConsole, screen: str, state: str, size: str):
    made = console(state, screen=screen)
    assert snap_compare(made.app, terminal_size=SIZES[size])


@pytest.mark.parametrize(
    "screen",
    ["overview", "data", "features", "training", "gates", "monitor", "risk", "observation", "models", "log"],
)
def test_wide_and_light(snap_compare, console: MakeConsole, screen: str):
    made = console("full", screen=screen, theme=LIGHT_THEME)
    assert snap_compare(made.app, terminal_size=(160, 48))


OVERLAYS = {
    "help": ("overview", ["question_mark"]),
    "palette": ("overview", ["ctrl+p", "t", "r", "a"]),
    "filter": ("features", ["slash", "r", "s", "i"]),
    "create": ("data", ["c"]),
    "fetch": ("data", ["f"]),
    "cancel": ("training", ["x"]),
    "train": ("training", ["right_square_bracket", "t"]),
    "evaluate": ("gates", ["v"]),
    "promote": ("gates", ["right_square_bracket", "right_square_bracket", "p", *"lstm_ETH"]),
    "quit": ("overview", ["q"]),
    "evidence": ("gates", ["enter"]),
    "certificate": ("gates", ["right_square_bracket", "right_square_bracket", "c"]),
    "run": ("training", ["j", "enter"]),
    "fields": ("log", ["enter"]),
    "threshold": ("monitor", ["t"]),
    "replay": ("monitor", ["r"]),
    "decision": ("monitor", ["enter"]),
    "paused": ("monitor", ["space"]),
    "drill": ("risk", ["d"]),
    "trade": ("risk", ["tab", "enter"]),
    "odds": ("risk", ["o"]),
    "observe_anew": ("observation", ["o"]),
    "summary": ("observation", ["m"]),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay(snap_compare, console: MakeConsole, name: str):
    screen, keys = OVERLAYS[name]
    made = console("full", screen=screen)
    assert snap_compare(made.app, press=keys, terminal_size=(80, 24))


FAMILY = {
    "training_ppo": ("training", family, "ppo"),
    "training_ppo_running": ("training", learning, "ppo"),
    "training_transformer": ("training", family, "transformer"),
    "gates_transformer": ("gates", family, "transformer ETH-USD"),
    "gates_ensemble": ("gates", family, "ensemble BTC-USD"),
    "gates_ensemble_unmade": ("gates", unmade, "ensemble"),
    "models": ("models", family, ""),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FAMILY)
def test_family(snap_compare, console: MakeConsole, name: str, size: str):
    """Models of several coins and the ensemble."""
    screen, story, model = FAMILY[name]
    made = console(story(), screen=screen)
    made.app.model = model
    assert snap_compare(made.app, terminal_size=SIZES[size])


@pytest.mark.parametrize("screen", ["overview", "training", "gates", "models"])
def test_family_wide(snap_compare, console: MakeConsole, screen: str):
    made = console(learning(), screen=screen)
    made.app.model = "ppo" if screen == "training" else "ensemble ETH-USD"
    assert snap_compare(made.app, terminal_size=(160, 48))


ODDS = {
    "empty": lambda: console_odds.without_odds(full()),
    "working": lambda: console_odds.with_job(console_odds.without_odds(full()), console_odds.playing()),
    "full": lambda: console_odds.with_odds(full(), warnings=[console_odds.FEW_DAYS]),
    "failed": lambda: console_odds.with_job(console_odds.without_odds(full()), console_odds.refused()),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ODDS)
def test_odds(snap_compare, console: MakeConsole, state: str, size: str):
    """The odds of the challenge as a page."""
    made = console(ODDS[state](), screen="risk")
    assert snap_compare(made.app, press=["o"], terminal_size=SIZES[size])


@pytest.mark.parametrize("state", ["working", "full", "failed"])
def test_odds_beside_the_account(snap_compare, console: MakeConsole, state: str):
    made = console(ODDS[state](), screen="risk", theme=LIGHT_THEME if state == "full" else DARK_THEME)
    assert snap_compare(made.app, terminal_size=(160, 48))


def test_odds_wide(snap_compare, console: MakeConsole):
    made = console("full", screen="risk")
    assert snap_compare(made.app, press=["o"], terminal_size=(160, 48))


@pytest.mark.parametrize("word", ["GO", "NO-GO"])
def test_verdict(snap_compare, console: MakeConsole, word: str):
    made = console(replace(full(), observation=decided(word)), screen="observation")
    assert snap_compare(made.app, terminal_size=(80, 24))


def test_leave_halted(snap_compare, console: MakeConsole):
    made = console("failed", screen="risk")
    assert snap_compare(made.app, press=["u", *"the_feed"], terminal_size=(80, 24))


@pytest.mark.parametrize("screen", ["overview", "data", "training", "gates", "monitor", "risk"])
def test_without_colour(snap_compare, console: MakeConsole, monkeypatch: pytest.MonkeyPatch, screen: str):
    monkeypatch.setenv("NO_COLOR", "1")
    made = console("full", screen=screen)
    assert snap_compare(made.app, terminal_size=(80, 24))


@pytest.mark.parametrize("glyphs", ["block", "ascii"])
def test_other_characters(snap_compare, console: MakeConsole, monkeypatch: pytest.MonkeyPatch, glyphs: str):
    monkeypatch.setenv("TRADINGAI_GLYPHS", glyphs)
    made = console("full", screen="training")
    assert snap_compare(made.app, terminal_size=(80, 24))


def test_too_small(snap_compare, console: MakeConsole):
    made = console("full")
    assert snap_compare(made.app, terminal_size=(60, 15))
