"""A command group whose members are imported when they are called, so that ``--help`` stays fast."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives and the line ``--help`` shows for it without importing it."""

    name: str
    help: str

    @property
    def module(self) -> str:
        """A module with ``app``: a :class:`typer.Typer` with one command, or with a callback and several."""
        return f"tradingai.cli.{self.name}"


class LazyGroup(TyperGroup):
    """The root group. Its table of commands is :data:`entries`, set by a subclass."""

    entries: Sequence[LazyCommand] = ()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """The names, in the table's order."""
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the base class's signature
        """Import the command's module and build it; None when there is no such command."""
        if cmd_name not in self.commands:
            entry = self.entry(cmd_name)
            if entry is None:
                return None
            self.commands[cmd_name] = load(entry)
        return self.commands[cmd_name]

    def entry(self, name: str) -> LazyCommand | None:
        """The table's line for ``name``."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the base class's signature
        """The list of commands in ``--help``, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in self.entries])


def load(entry: LazyCommand) -> TyperCommand | TyperGroup:
    """Import and build one command."""
    app: typer.Typer = importlib.import_module(entry.module).app
    command = cast("TyperCommand | TyperGroup", typer.main.get_command(app))
    command.name = entry.name
    return command
