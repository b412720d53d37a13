"""What the live controls share: reading them without a trace, writing them in one audited transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tradingai.cli.context import Invocation

if TYPE_CHECKING:
    from tradingai.engine.core.commands import ControlCommand


def current_controls(call: Invocation) -> dict[str, Any]:
    """``{"kill_switch": …, "threshold": …}`` as they hold now, with their sources.

    A store that cannot be read is a kill switch that is on. Raises MissingError without a home.
    """
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.queries.status import read_controls

    settings = load_settings(call.home)
    home = open_home(call.home, RealClock(), read_only=True)
    return read_controls(settings.database_path(home.paths.root), settings)


def carry_out(call: Invocation, command: Callable[[Any], ControlCommand]) -> dict[str, Any]:
    """Carry out the command that ``command`` makes of who, where and when; return what holds now."""

    async def write() -> dict[str, Any]:
        from tradingai.bootstrap import open_controls

        async with open_controls(call.home) as desk:
            return await desk.carry_out(command(desk.issue()))

    return asyncio.run(write())
