"""The root command and the one place where a failure becomes a message and an exit status."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

from tradingai.cli.commands import RootGroup
from tradingai.cli.context import Invocation, parse_log_level
from tradingai.cli.output import write_error
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError, UsageError
from tradingai.engine.core.logs.redact import RedactingFormatter, Redactor

app = typer.Typer(cls=RootGroup, rich_markup_mode=None, add_completion=False)


HomeOption = Annotated[
    str,
    typer.Option("--home", envvar="TRADINGAI_HOME", metavar="DIR", help="Root of data, models and database."),
]
LogLevelOption = Annotated[
    str,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="debug, info, warning or error: logs on stderr. The log files go by LOG_LEVEL.",
    ),
]
ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Refuse whatever would change the home.")]
NoMouseOption = Annotated[bool, typer.Option("--no-mouse", help="The console leaves the mouse alone.")]
VersionOption = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    home: HomeOption = ".",
    log_level: LogLevelOption = "warning",
    read_only: ReadOnlyOption = False,
    no_mouse: NoMouseOption = False,
    version: VersionOption = False,
) -> int:
    """Candles to features, training, evaluation, promotion gates and a dry-run observation.

    Without a command: opens the console, or prints `status` when there is no terminal.
    """
    if version:
        return print_version()
    level = parse_log_level(log_level)
    log_to_stderr(level)
    call = Invocation(Path(home).expanduser().resolve(), level, read_only, no_mouse)
    ctx.obj = call
    if ctx.invoked_subcommand is None:
        return open_default(call)
    return 0


def log_to_stderr(level: str) -> None:
    """Logs of this process from ``level`` on go to stderr, without secrets.

    What the project itself logs is there from ``info`` down only: a command says its warnings and errors in
    its own words.
    """
    root_logger = logging.getLogger()
    if not root_logger.handlers:
        stderr = logging.StreamHandler(sys.stderr)
        stderr.setLevel(level.upper())
        stderr.setFormatter(
            RedactingFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"), Redactor())
        )
        if level not in {"debug", "info"}:
            stderr.addFilter(lambda record: not record.name.startswith("tradingai."))
        root_logger.addHandler(stderr)
        root_logger.setLevel(level.upper())


def print_version() -> int:
    """One line on stdout."""
    from importlib.metadata import version

    sys.stdout.write(f"tradingai {version('tradingai')}\n")
    return 0


def open_default(call: Invocation) -> int:
    """The console when there is a terminal, `status` when there is none."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tradingai.cli.console import run_console

        return run_console(call)
    from tradingai.cli.status import show_status

    return show_status(call, as_json=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status and never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        status = run(arguments)
        sys.stdout.flush()
    except TradingAIError as error:
        write_error(error, as_json=as_json)
        return error.exit_status
    except (KeyboardInterrupt, Abort):
        write_error(interrupted(), as_json=as_json)
        return InterruptedRunError.exit_status
    except BrokenPipeError:
        close_stdout()
        return 1
    except Exception as error:  # noqa: BLE001 - the outermost boundary: no traceback reaches the operator
        write_error(unexpected(error, arguments), as_json=as_json)
        return 1
    return status


def run(arguments: list[str]) -> int:
    """Parse and call; typer's own complaints become UsageError."""
    command: Any = typer.main.get_command(app)
    try:
        status = int(command.main(args=arguments, prog_name="tradingai", standalone_mode=False) or 0)
    except TyperException as error:
        raise usage_error(error) from error
    if status == InterruptedRunError.exit_status:
        raise interrupted()
    return status


def usage_error(error: TyperException) -> UsageError:
    """Typer's complaint in this project's form; the remedy names the help page it was about."""
    context = getattr(error, "ctx", None)
    page = context.command_path if context is not None else "tradingai"
    message = error.format_message().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], remedy=f"`{page} --help` lists what it takes.")


def interrupted() -> InterruptedRunError:
    """Ctrl-C outside of any job: there was nothing to keep."""
    return InterruptedRunError("interrupted", remedy="Nothing was left half done; call it again.")


def unexpected(error: Exception, arguments: Sequence[str]) -> TradingAIError:
    """Keep the traceback in a file and say where."""
    text = "".join(traceback.format_exception(error))
    descriptor, name = tempfile.mkstemp(prefix="tradingai-error-", suffix=".log")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"tradingai {' '.join(arguments)}\n\n{text}")
    summary = str(error).partition("\n")[0] or type(error).__name__
    return TradingAIError(
        f"unexpected {type(error).__name__}: {summary}",
        remedy=f"This is a fault in TradingAI. The details are in {name}.",
    )


def close_stdout() -> None:
    """Whoever read stdout is gone: keep the interpreter from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
