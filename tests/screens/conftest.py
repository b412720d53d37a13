"""A console over frozen pictures: a fake engine, a clock that stands still, no threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tradingai.app import ConsoleApp
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.memory import Memory
from tradingai.widgets.palette import DARK_THEME

from tests.fakes.console import FakeConsoleEngine, fixed_clock
from tests.fakes.console_story import STATES

SCREENS = (
    "overview", "data", "features", "training", "gates", "monitor", "risk", "observation", "models", "log",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same terminal for every test, whatever the one the tests run in."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("TRADINGAI_GLYPHS", "braille")
    monkeypatch.setenv("TERM", "xterm-256color")


class Console:
    """An app and the engine behind it."""

    def __init__(self, app: ConsoleApp, engine: FakeConsoleEngine) -> None:
        self.app = app
        self.engine = engine


MakeConsole = Callable[..., Console]


@pytest.fixture
def console(tmp_path: Path) -> MakeConsole:
    """Make a console: ``console("full", screen="gates", read_only=True)``; a state or a snapshot."""

    def make(
        state: str | ConsoleSnapshot = "full",
        *,
        screen: str = "overview",
        theme: str = DARK_THEME,
        read_only: bool = False,
    ) -> Console:
        snapshot = STATES[state]() if isinstance(state, str) else state
        engine = FakeConsoleEngine(snapshot, read_only=read_only)
        app = ConsoleApp(engine, fixed_clock(snapshot), root=tmp_path, memory=Memory(screen, theme))
        return Console(app, engine)

    return make


@pytest.fixture(scope="session")
def always_sure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without candles whose models are always sure; nobody changes it."""
    from tests.fakes.live import sure_home

    return sure_home(tmp_path_factory.mktemp("sure") / "home").root


@pytest.fixture
def sure_paths(always_sure: Path, tmp_path: Path) -> HomePaths:
    """A copy of it."""
    target = tmp_path / "home"
    shutil.copytree(always_sure, target, symlinks=True)
    return HomePaths(target)
