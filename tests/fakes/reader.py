"""Somebody who reads the console's screen and presses only keys that stand on it."""

from __future__ import annotations

import codecs
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pyte

from tests.fakes.terminal import Terminal

COLUMNS: Final = 100
ROWS: Final = 30
_KEY: Final = r"(?<![^\s│▌])(?P<key>[A-Za-z0-9?↵/]|esc|space) {1,2}"
"""A key as screens write it: a sign of its own, then its words."""
_BYTES: Final = {"↵": "\r", "esc": "\x1b", "space": " "}


class NotOnScreenError(AssertionError):
    """What was looked for is not on the screen."""


@dataclass
class Recording:
    """What the terminal was sent, with its times: an asciicast (version 2)."""

    begun: float = field(default_factory=time.monotonic)
    events: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """``o`` for output, ``i`` for a key, ``m`` for a marker."""
        self.events.append((time.monotonic() - self.begun, kind, text))

    def write(self, file: Path) -> None:
        """One JSON document a line."""
        file.parent.mkdir(parents=True, exist_ok=True)
        header: dict[str, Any] = {
            "version": 2,
            "width": COLUMNS,
            "height": ROWS,
            "env": {"TERM": "xterm-256color"},
        }
        lines = [header, *([round(at, 3), kind, text] for at, kind, text in self.events)]
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


class Reader:
    """The console in a terminal, and its screen as text."""

    def __init__(self, home: Path, *arguments: str, **extra: str) -> None:
        self.terminal = Terminal(home, *arguments, size=(COLUMNS, ROWS), COLORTERM="truecolor", **extra)
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.recording = Recording()
        self.pressed: list[str] = []

    def look(self, seconds: float = 0.2) -> str:
        """The screen as it is after a moment."""
        before = len(self.terminal.output)
        self.terminal.read(seconds)
        fresh = self.terminal.output[before:]
        if fresh:
            self._stream.feed(fresh)
            self.recording.add("o", self._decoder.decode(fresh))
            self.terminal.output = b""
        return "\n".join(self._screen.display)

    def wait(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Read until the screen shows ``pattern``. Raises NotOnScreenError when it never does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.look())
            if found:
                return found
        raise NotOnScreenError(f"{pattern!r} is not on the screen:\n" + "\n".join(self._screen.display))

    def press(self, words: str, seconds: float = 60) -> str:
        """Press the key that stands before ``words`` on the screen, and return it."""
        key = self.wait(_KEY + words, seconds)["key"]
        self.type(_BYTES.get(key, key))
        self.pressed.append(key)
        self.recording.add("i", key)
        return key

    def type(self, text: str) -> None:
        """Type what is no command: a number, a name that a dialog asks for."""
        self.terminal.send(text)

    def click(self, column: int, row: int) -> None:
        """Press and let go the left button on a cell, counted from 0, as a terminal reports it (SGR)."""
        where = f"{column + 1};{row + 1}"
        self.terminal.send(f"\x1b[<0;{where}M\x1b[<0;{where}m")

    def wheel(self, column: int, row: int, *, up: bool = False) -> None:
        """Turn the wheel by one notch over a cell, counted from 0."""
        self.terminal.send(f"\x1b[<{64 if up else 65};{column + 1};{row + 1}M")

    def place(self, pattern: str, seconds: float = 60) -> tuple[int, int]:
        """Column and row of the first match on the screen, waited for. Every character is one cell wide."""
        text = self.wait(pattern, seconds)
        before = text.string[: text.start()]
        return len(before) - (before.rfind("\n") + 1), before.count("\n")

    @property
    def sent(self) -> str:
        """Everything the console wrote to its terminal so far, escape sequences and all."""
        return "".join(text for _, kind, text in self.recording.events if kind == "o")

    def mark(self, label: str) -> None:
        """Name this moment of the recording."""
        self.recording.add("m", label)

    def __enter__(self) -> Self:
        self.terminal.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.terminal.__exit__(*error)
