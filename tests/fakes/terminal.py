"""A pseudo-terminal with the console in it, for what only a real terminal shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from pathlib import Path
from typing import Self

from tests.fakes.command_line import ROOT, command, environment


class Terminal:
    """A process in a terminal of its own. Use it as ``with``: what is left is killed."""

    def __init__(self, home: Path, *arguments: str, size: tuple[int, int] = (100, 30), **extra: str) -> None:
        columns, rows = size
        program = command(home, *arguments)
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execve(program[0], program, environment(TERM="xterm-256color", LANG="C.UTF-8", **extra))
        self.resize(columns, rows)
        self.output = b""
        self.status: int | None = None

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float) -> None:
        """Take what the process writes for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.descriptor], [], [], left)[0]:
                return
            try:
                data = os.read(self.descriptor, 65_536)
            except OSError:
                return
            if not data:
                return
            self.output += data

    def wait_for(self, text: str, seconds: float = 60) -> bool:
        """Read until ``text`` was written; what came before is forgotten."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            at = self.output.find(text.encode())
            if at >= 0:
                self.output = self.output[at:]
                return True
            self.read(0.05)
        return False

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self.descriptor, keys.encode())

    def ended(self, seconds: float = 60) -> int | None:
        """The exit status (as ``waitpid`` gives it) once the process is gone, None when it stays."""
        end = time.monotonic() + seconds
        while self.status is None and time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = status
                break
            self.read(0.05)
            time.sleep(0.02)
        return self.status

    def close(self) -> None:
        """The terminal goes away."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        self.close()
