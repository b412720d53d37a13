"""The terminal under the console: whether it is still there, and what to do instead of filling it."""

from __future__ import annotations

import errno
import os
import tempfile
import termios
import traceback
from pathlib import Path

from tradingai.engine.core.errors import TradingAIError


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


def keep_traceback(root: Path, error: BaseException) -> TradingAIError:
    """Write the details of a fault to a file, and say where it is."""
    folder = root / "logs" if (root / "logs").is_dir() and os.access(root / "logs", os.W_OK) else None
    descriptor, name = tempfile.mkstemp(prefix="console-error-", suffix=".log", dir=folder)
    with os.fdopen(descriptor, "w") as stream:
        stream.write("".join(traceback.format_exception(error)))
    return TradingAIError(
        f"the console met an unexpected {type(error).__name__}: {error}",
        remedy=f"This is a fault in TradingAI. The details are in {name}; jobs stopped at their checkpoints.",
    )
