"""The whole way in one test: from an empty home to signals on the Monitor, by keys read on the screen."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.fakes.command_line import tradingai
from tests.fakes.reader import Reader

TOUR = Path(os.environ.get("TRADINGAI_TOUR", "build/tour.cast"))
"""Where the recording goes: `make tour` draws the README's tour from it."""
SIGNAL = r"\d\d:\d\d:\d\d +[A-Z]{3}-USD +[▲▼] (LONG|SHORT)"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_an_empty_home_to_signals_on_the_monitor(tmp_path):
    home = tmp_path / "home"
    with Reader(home) as reader:
        reader.mark("An empty home")
        reader.wait("Nothing has run in this home yet")
        reader.press("runs the quick pipeline")
        reader.mark("The quick pipeline")
        reader.wait("● Training", 240)
        reader.press("Train")
        reader.wait("is learning", 60)
        reader.mark("Training")
        reader.look(4)
        reader.press("Over")
        reader.mark("The pipeline's end leads to the Monitor")
        reader.wait(r"REPLAY[\s\S]*× 600", 400)
        reader.mark("A replay, 600 times as fast")
        reader.wait(SIGNAL, 120)
        for _ in range(12):
            reader.look(1)
        reader.press("Gates")
        reader.wait("passes all 5 gates", 20)
        reader.mark("Why the models may be live")
        reader.look(2)
        reader.press("Mon")
        reader.press("start loop")
        reader.wait("seconds between scans")
        for _ in range(6):
            reader.type("\x7f")
        reader.type("2")
        reader.press("begin scanning")
        reader.mark("The scan loop, live")
        reader.wait(r"DRY-RUN[\s\S]*next scan", 60)
        reader.look(10)
        reader.press("quit")
        reader.press("stop and quit")
        assert reader.terminal.ended() == 0
    reader.recording.write(TOUR)
    status = tradingai(home, "status", "--json").document
    assert not status["engine"]["running"]
    assert status["engine"]["last_scan"]["seq"] >= 2
    assert re.fullmatch(r"live-.*", status["engine"]["run"])
