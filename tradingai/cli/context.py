"""What every command knows about how it was called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.paths import HomePaths

LOG_LEVELS = ("debug", "info", "warning", "error")

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options."""

    home: Path
    log_level: str = "warning"
    read_only: bool = False
    no_mouse: bool = False

    @property
    def paths(self) -> HomePaths:
        """The home's files."""
        return HomePaths(self.home)


def invocation(ctx: Any) -> Invocation:
    """The global options of the running command."""
    found = ctx.find_object(Invocation)
    if not isinstance(found, Invocation):
        raise TypeError("a command was called outside the tradingai group")
    return found


def writing(ctx: Any) -> Invocation:
    """The global options, for a command that changes the home. Raises UsageError under ``--read-only``."""
    call = invocation(ctx)
    if call.read_only:
        raise UsageError(
            f"--read-only was given, and `{ctx.command_path}` writes", remedy="Call it without --read-only."
        )
    return call


def parse_log_level(text: str) -> str:
    """One of :data:`LOG_LEVELS`. Raises UsageError naming them."""
    if text.lower() not in LOG_LEVELS:
        raise UsageError(f"unknown log level {text!r}", remedy=f"Choose one of {', '.join(LOG_LEVELS)}.")
    return text.lower()
