"""The terminal under the console: whether it is still there."""

from __future__ import annotations

import errno
import os
import termios


def terminal_is_gone() -> bool:
    """Whether standard input was a terminal that has been closed."""
    try:
        termios.tcgetattr(0)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def silence_terminal() -> None:
    """Let everything that still wants to write write into nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
