"""A home: the one folder that holds everything of an operator, marked by ``home.json``."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC, EROFS
from pathlib import Path
from typing import Any, Final

import tradingai
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, HomeError, MissingError, TradingAIError
from tradingai.engine.core.files import make_directory, read_json, storage_error, write_json
from tradingai.engine.core.paths import HomePaths

HOME_SCHEMA: Final = 1
"""Version of the folder layout this code reads and writes."""
_ELSEWHERE: Final = "Give this user write permission there, or choose another folder with --home."


@dataclass(frozen=True, slots=True)
class Home:
    """An opened home."""

    paths: HomePaths
    created: bool
    """True when this call made it."""


def open_home(root: Path, clock: Clock, *, create: bool = False, read_only: bool = False) -> Home:
    """Open the home at ``root``; with ``create`` make it when it is not there yet.

    Any folder can become a home, also one that holds other things. ``read_only`` touches nothing and
    needs no write permission. Folders are made with mode 0700, files with 0600; modes of folders that
    were there are left alone (``doctor`` flags loose ones).

    Raises MissingError (exit 4) when there is none and it is not to be made, HomeError (exit 2) when it
    was made by a newer version, cannot be written, or is no folder.
    """
    try:
        root = root.expanduser().resolve()
        paths = HomePaths(root)
        exists = _check_marker(paths)
    except (OSError, RuntimeError) as error:
        raise _unusable(root, error) from error
    if not exists and (read_only or not create):
        raise MissingError(
            f"there is no TradingAI home at {root}",
            remedy=f"`tradingai --home {root} pipeline` makes one, or open the console with "
            f"`tradingai --home {root}`.",
        )
    if not read_only:
        _make_folders(paths)
        if not exists:
            _write_marker(paths, clock)
    return Home(paths, created=not exists)


def _check_marker(paths: HomePaths) -> bool:
    """True when ``home.json`` is there and readable by this version."""
    if paths.root.exists() and not paths.root.is_dir():
        raise HomeError(f"the home {paths.root} is not a folder", remedy="Choose a folder with --home.")
    try:
        document: Any = read_json(paths.marker)
    except FileNotFoundError:
        return False
    except ArtifactError as error:
        raise _damaged(paths) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _damaged(paths)
    if schema > HOME_SCHEMA:
        raise HomeError(
            f"the home {paths.root} has schema {schema}, made by a newer TradingAI "
            f"({document.get('version', 'unknown version')}); this is {tradingai.__version__}, "
            f"which knows schema {HOME_SCHEMA}",
            remedy="Update TradingAI, or choose another folder with --home. Nothing was changed.",
        )
    return True


def _damaged(paths: HomePaths) -> HomeError:
    return HomeError(
        f"{paths.marker} is damaged",
        remedy="Move it away and start again: it only marks the folder, and nothing else depends on it.",
    )


def _make_folders(paths: HomePaths) -> None:
    for folder in paths.all_folders():
        if folder in {paths.logs, paths.job_logs}:
            with suppress(OSError):  # no log is worth refusing a home for; what is lost is told
                make_directory(folder)
            continue
        try:
            make_directory(folder)
        except OSError as error:
            raise _unusable(paths.root, error) from error
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise HomeError(f"the home {paths.root} is not writable: {folder}", remedy=_ELSEWHERE)


def _write_marker(paths: HomePaths, clock: Clock) -> None:
    document = {"schema": HOME_SCHEMA, "created_at": clock.now(), "version": tradingai.__version__}
    try:
        write_json(paths.marker, document)
    except TradingAIError as error:
        raise HomeError(
            f"no home can be made at {paths.root}: {error.message}", remedy=error.remedy
        ) from error


def _unusable(root: Path, error: OSError | RuntimeError) -> HomeError:
    if not isinstance(error, OSError):
        return HomeError(f"the home {root} cannot be used: {error}", remedy=_ELSEWHERE)
    remedy = storage_error(error, root).remedy if error.errno in {ENOSPC, EROFS, EDQUOT} else _ELSEWHERE
    where = error.filename or root
    return HomeError(f"the home {root} cannot be used: {where}: {error.strerror or error}", remedy=remedy)
