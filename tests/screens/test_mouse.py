"""The mouse in a real terminal: what its reports do; ``--no-mouse`` neither asks for them nor obeys them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.fakes.reader import Reader

ASKED = re.compile(r"\x1b\[\?(?:1000|1002|1003|1006|1015)h")
"""The modes that make a terminal report its mouse."""
HARM = (
    "\x1b[<0;0;0M", "\x1b[<65;900;700M", "\x1b[<0;500;1M\x1b[<0;500;1m", "\x1b[<35;-3;-9M", "\x1b[M !!",
    "\x1b[<999;1;1M", "\x1b[32;10;10M", "\x1b[<0;9999999999;3M",
)  # fmt: skip
"""Reports that no terminal should send: outside the screen, of another protocol, cut off."""


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """A home with a page of events."""
    target = tmp_path / "home"
    shutil.copytree(small_home, target, symlinks=True)
    return target


def marked(reader: Reader) -> str:
    """The row with the cursor."""
    return reader.wait(r"(?m)^ ▸ .*$")[0]


def test_reports_change_the_screen_select_a_row_and_scroll(home: Path):
    with Reader(home) as reader:
        reader.wait("Gates refuse")
        assert ASKED.search(reader.sent)
        reader.click(*reader.place("9 Mod"))
        reader.wait("Ledger ━")
        reader.click(*reader.place("0 Log"))
        reader.wait("following")
        assert "JobFinished" in marked(reader)
        reader.click(*reader.place("✗ EvaluationFinished"))
        reader.wait(r"▸ \S+ +✗ EvaluationFinished")
        reader.wheel(20, 12, up=True)
        reader.wait(r"▸ \S+ +✓ GateDecided .* leakage")
        reader.wheel(20, 12)
        reader.wait(r"▸ \S+ +✗ EvaluationFinished")
        reader.click(*reader.place("q quit"))
        assert reader.terminal.ended() == 0


def test_without_a_mouse_none_is_asked_for_and_reports_do_nothing(home: Path):
    with Reader(home, "--no-mouse") as reader:
        reader.wait("Gates refuse")
        reader.click(*reader.place("9 Mod"))
        reader.type("0")
        reader.wait("following")
        before = marked(reader)
        reader.click(*reader.place("✗ EvaluationFinished"))
        reader.wheel(20, 12, up=True)
        reader.click(*reader.place("q quit"))
        reader.type("?")
        reader.wait("Keys of Log")
        assert marked(reader)[:40] == before[:40]
        reader.type("?")
        reader.type("q")
        assert reader.terminal.ended() == 0
        assert "Ledger" not in reader.sent
        assert not ASKED.search(reader.sent)


@pytest.mark.parametrize("arguments", [(), ("--no-mouse",)])
@pytest.mark.slow
def test_reports_that_make_no_sense_leave_the_console_alive(home: Path, arguments: tuple[str, ...]):
    with Reader(home, *arguments) as reader:
        reader.wait("Gates refuse")
        for report in HARM:
            reader.type(report)
            reader.look()
        reader.type("0")
        reader.wait("Events ━")
        reader.type("q")
        assert reader.terminal.ended() == 0
        assert "Traceback" not in reader.sent
