"""``models/promoted/<model>``: links derived from the ledger, replaced in one step, repaired at start."""

from __future__ import annotations

import os
from pathlib import Path

from tradingai.engine.core.errors import RegistryError
from tradingai.engine.core.files import make_directory, storage_error, sync_directory
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.paths import HomePaths


def link_target(model: str, version: str) -> Path:
    """What a model's link holds: a path relative to ``models/promoted``, so that a home can be moved."""
    return Path("..") / "versions" / model / version


def set_link(paths: HomePaths, model: str, version: str) -> None:
    """Point the model's link at a version in one step. Raises TradingAIError when it cannot be written."""
    link = paths.promoted / model
    temporary = paths.promoted / f".{model}.{os.getpid()}.tmp"
    try:
        make_directory(paths.promoted)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(link_target(model, version))
        temporary.replace(link)
        sync_directory(paths.promoted)
    except OSError as error:
        raise storage_error(error, link) from error


def linked_version(paths: HomePaths, model: str) -> str | None:
    """The version a model's link names, or None when there is no such link."""
    link = paths.promoted / model
    return link.readlink().name if link.is_symlink() else None


def links(paths: HomePaths) -> tuple[str, ...]:
    """Names of everything in ``models/promoted`` that is no leftover."""
    if not paths.promoted.is_dir():
        return ()
    return tuple(sorted(item.name for item in paths.promoted.iterdir() if not item.name.startswith(".")))


def link_problems(paths: HomePaths, ledger: Ledger) -> list[str]:
    """Where links and ledger differ."""
    live = {model: entry.version for model, entry in ledger.live().items()}
    problems = [
        f"the link of {model} names {linked_version(paths, model) or 'nothing'}, the ledger says {version}"
        for model, version in live.items()
        if not _right(paths, model, version)
    ]
    problems += [
        f"{name} is linked but the ledger never promoted it" for name in links(paths) if name not in live
    ]
    return problems


def refuse_lost_ledger(paths: HomePaths) -> None:
    """Raise RegistryError when there is no ledger although links say that something was promoted.

    Such a ledger was lost; starting a new one would overwrite the versions it named.
    """
    present = links(paths)
    if present and not paths.ledger.exists():
        raise RegistryError(
            f"{paths.ledger} is missing, but {', '.join(present)} was promoted",
            remedy="Restore the registry from a backup (`tradingai restore FILE`).",
        )


def repair_links(paths: HomePaths, ledger: Ledger) -> list[str]:
    """Make the links what the ledger says; the caller holds the registry's lock. Returns what was done."""
    repaired = []
    for leftover in sorted(paths.promoted.glob(".*.tmp")):
        leftover.unlink(missing_ok=True)
        repaired.append(f"removed {leftover.relative_to(paths.models)}, left by a process that was killed")
    live = {model: entry.version for model, entry in ledger.live().items()}
    for model, version in live.items():
        if not _right(paths, model, version):
            was = linked_version(paths, model) or "nothing"
            set_link(paths, model, version)
            repaired.append(f"the link of {model} named {was} and now names {version}, as the ledger says")
    for name in links(paths):
        link = paths.promoted / name
        if name not in live and link.is_symlink():
            link.unlink()
            repaired.append(f"removed the link {name}, which the ledger never promoted")
    return repaired


def _right(paths: HomePaths, model: str, version: str) -> bool:
    link = paths.promoted / model
    return link.is_symlink() and link.readlink() == link_target(model, version)
