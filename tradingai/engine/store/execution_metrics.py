"""The measured execution costs: dated files that are never changed, and a link to the one that holds.

``data/execution_metrics.json`` → ``execution_metrics_2025-11-10.json``; a second file of the same day is
``execution_metrics_2025-11-10_2.json``. Without a link nothing was measured and the defaults hold.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.files import FILE_MODE, make_directory, read_json, storage_error, sync_directory
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths

NAME: Final = "execution_metrics.json"
DEFAULTS: Final = "defaults"
"""Where a rollback ends that goes back before the first file."""
_DATED: Final = re.compile(r"execution_metrics_(\d{4}-\d{2}-\d{2})(?:_(\d+))?\.json")
_AGAIN: Final = "`tradingai execution rollback` goes back to the file before, or measure again."


def read_execution_metrics(paths: HomePaths) -> dict[str, Any] | None:
    """The document that holds, or None when nothing was measured yet.

    Raises ArtifactError when it is damaged, or the link leads nowhere.
    """
    return read_metrics_file(paths.data / NAME)


def read_metrics_file(path: Path) -> dict[str, Any] | None:
    """One file's document; None when there is neither a file nor a link. Raises ArtifactError for damage."""
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ArtifactError(f"{path} leads to {path.readlink()}, which is gone", remedy=_AGAIN) from error
        return None
    except ArtifactError as error:
        raise ArtifactError(error.message, remedy=_AGAIN) from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} holds no execution metrics", remedy=_AGAIN)
    return document


def linked_file(paths: HomePaths) -> str | None:
    """The name of the file that holds; that of the link itself where a plain file stands in its place."""
    link = paths.data / NAME
    if link.is_symlink():
        return link.readlink().name
    return NAME if link.exists() else None


def metrics_files(paths: HomePaths) -> tuple[str, ...]:
    """Every dated file, oldest first."""
    found = [match for item in paths.data.glob("*.json") if (match := _DATED.fullmatch(item.name))]
    return tuple(match[0] for match in sorted(found, key=lambda match: (match[1], int(match[2] or 1))))


def publish_metrics(
    paths: HomePaths, clock: Clock, make: Callable[[dict[str, Any] | None, str | None], dict[str, Any]]
) -> str:
    """Write ``make(document before, its file)`` as a new dated file, then move the link to it; its name.

    A process killed in between leaves the link where it was. Raises ArtifactError when the document before is
    damaged, TradingAIError for a disk that cannot be written.
    """
    make_directory(paths.data)
    with _changing(paths, clock):
        _keep_plain_file(paths, clock)
        before = read_execution_metrics(paths)
        text = dumps(make(before, linked_file(paths)), indent=2) + "\n"
        try:
            name = _write_new(paths.data, f"{clock.now():%Y-%m-%d}", text)
            _set_link(paths.data, name)
        except OSError as error:
            raise storage_error(error, paths.data / NAME) from error
    return name


def roll_back(
    paths: HomePaths, clock: Clock, to: str | None, check: Callable[[dict[str, Any]], object]
) -> tuple[str, str]:
    """Move the link back in one step; returns the names of the file before and of the one that holds now.

    ``to`` is a day (its newest file), a file's name or ``defaults``; None is what held before the file that
    holds now. ``check`` raises for a document that cannot be used. Raises MissingError when there is nothing
    to go back to, UsageError for a day without a file, ArtifactError for a damaged target.
    """
    with _changing(paths, clock):
        now = linked_file(paths)
        if now is None and to is None:
            raise MissingError("nothing was measured: the defaults hold already", remedy=_files_words(paths))
        link = paths.data / NAME
        _keep_plain_file(paths, clock)
        now = linked_file(paths)
        target = _before(paths, now or DEFAULTS) if to is None else _named(paths, to)
        try:
            if target == DEFAULTS:
                link.unlink(missing_ok=True)
                sync_directory(paths.data)
            else:
                document = read_metrics_file(paths.data / target)
                if document is not None:
                    check(document)
                _set_link(paths.data, target)
        except OSError as error:
            raise storage_error(error, link) from error
    return now or DEFAULTS, target


def _before(paths: HomePaths, now: str) -> str:
    """What held before ``now``: as it says itself, or where it cannot be read, the file before it by date."""
    files = metrics_files(paths)
    with suppress(ArtifactError):
        document = read_metrics_file(paths.data / now)
        previous = None if document is None else document.get("previous", DEFAULTS)
        if previous == DEFAULTS or previous in files:
            return str(previous)
    earlier = files[: files.index(now)] if now in files else files
    return earlier[-1] if earlier else DEFAULTS


def _named(paths: HomePaths, to: str) -> str:
    if to == DEFAULTS:
        return DEFAULTS
    files = metrics_files(paths)
    stem = to.removesuffix(".json").removeprefix("execution_metrics_")
    exact = f"execution_metrics_{stem}.json"
    of_day = [name for name in files if name.startswith(f"execution_metrics_{stem}")]
    if exact in files and "_" in stem:
        return exact
    if not of_day or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", stem):
        raise UsageError(f"there are no execution metrics of {to!r}", remedy=_files_words(paths))
    return of_day[-1]


def _files_words(paths: HomePaths) -> str:
    names = [name.removeprefix("execution_metrics_").removesuffix(".json") for name in metrics_files(paths)]
    return f"There are: {', '.join((*names, DEFAULTS))}."


def _changing(paths: HomePaths, clock: Clock) -> FileLock:
    """Nobody else writes or moves the link meanwhile."""
    return FileLock(
        paths.locks / "execution-metrics", command="execution metrics", clock=clock,
        subject="the execution metrics",
    )  # fmt: skip


def _keep_plain_file(paths: HomePaths, clock: Clock) -> None:
    """A plain file in the place of the link becomes a dated one, so that no link ever overwrites it."""
    link = paths.data / NAME
    if link.exists() and not link.is_symlink():
        name = _free_name(paths.data, f"{clock.now():%Y-%m-%d}")
        os.link(link, paths.data / name)
        _set_link(paths.data, name)


def _write_new(folder: Path, day: str, text: str) -> str:
    """A new file of that day, complete or not there at all."""
    for leftover in folder.glob(f".{NAME}.*.tmp"):
        leftover.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{NAME}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(FILE_MODE)
        name = _free_name(folder, day)
        os.link(temporary, folder / name)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return name


def _free_name(folder: Path, day: str) -> str:
    stem, number = f"execution_metrics_{day}", 1
    while (folder / (name := f"{stem}.json" if number == 1 else f"{stem}_{number}.json")).exists():
        number += 1
    return name


def _set_link(folder: Path, name: str) -> None:
    temporary = folder / f".{NAME}.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(folder / NAME)
    sync_directory(folder)
