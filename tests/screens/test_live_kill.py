"""The kill switch while a console watches: from the console, from a second terminal, from the environment."""

from __future__ import annotations

import pytest
from tradingai.engine.core.commands import SetKillSwitch

from tests.fakes.command_line import tradingai
from tests.fakes.homes import new_home
from tests.fakes.reader import Reader
from tests.screens.test_live import live, until

QUIET = r"DRY-RUN +engine here \d+s +kill off"


def test_from_the_console_and_off_only_when_it_was_typed(tmp_path):
    with Reader(tmp_path / "home") as reader:
        reader.wait(QUIET)
        reader.type("K")
        reader.wait("KILL ON console")
        reader.type("K")
        reader.wait("Type kill off to confirm")
        reader.type("kill of\r")
        reader.look(0.5)
        reader.wait("KILL ON console")
        reader.type("f\r")
        reader.wait(QUIET)


def test_from_a_second_terminal(tmp_path):
    home = tmp_path / "home"
    with Reader(home) as reader:
        reader.wait(QUIET)
        assert tradingai(home, "kill", "on", "--reason", "from a second terminal").status == 0
        reader.wait("KILL ON cli")
        assert tradingai(home, "kill", "off").status == 0
        reader.wait(QUIET)


@pytest.mark.parametrize("place", ["environment", "file"])
async def test_from_the_environment_it_stays_on(tmp_path, monkeypatch, place):
    paths = new_home(tmp_path / "home")
    if place == "environment":
        monkeypatch.setenv("KILL_SWITCH", "true")
    else:
        (paths.root / ".env").write_text("KILL_SWITCH=true\n")
    engine = live(paths.root)
    await engine.start()
    try:
        seen = await until(engine, lambda now: now.header.kill_on)
        assert seen.header.kill_source == "KILL_SWITCH"
        refused = await engine.send(SetKillSwitch(**engine.issue(), on=False, reason="test"))
        assert not refused.accepted
        assert "KILL_SWITCH=true" in refused.message
        assert engine.snapshot().header.kill_on
    finally:
        await engine.close()
