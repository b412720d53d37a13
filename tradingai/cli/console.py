"""The console: opened by ``tradingai`` in a terminal."""

from __future__ import annotations

import logging
from typing import Any

from tradingai.cli.context import Invocation


def run_console(call: Invocation) -> int:
    """Show the console until the operator leaves; returns the exit status.

    Raises what kept the home from being opened, once the terminal is its own again.
    """
    import gc

    from tradingai.app import ConsoleApp
    from tradingai.engine.core.clock import RealClock
    from tradingai.screens.live import LiveEngine
    from tradingai.screens.memory import recall

    leave_the_terminal_alone()
    clock = RealClock()

    def opener() -> Any:
        from tradingai.bootstrap import open_engine

        return open_engine(call.home, read_only=call.read_only, clock=clock, surface="console")

    # What is loaded stays for good; a full collection that looks at it costs a key press 0.3 s.
    engine = LiveEngine(opener, clock, read_only=call.read_only, warmed=gc.freeze)
    mouse = not call.no_mouse
    app = ConsoleApp(engine, clock, root=call.home, memory=recall(call.home), mouse=mouse)
    status = app.run(mouse=mouse)
    if app.failure is not None:
        raise app.failure
    return status or app.return_code or 0


def leave_the_terminal_alone() -> None:
    """No log on stderr while the console draws there; the process has its log file."""
    logger = logging.getLogger()
    for handler in [item for item in logger.handlers if isinstance(item, logging.StreamHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(logging.NullHandler())
