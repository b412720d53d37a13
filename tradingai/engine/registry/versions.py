"""Immutable version folders: ``models/versions/<model>/<version>/``.

A folder is filled under a temporary name and renamed, before the ledger names it. Its files are known by
the SHA-256 of their bytes, which stands in the ledger: nothing in it is ever written again, except that a
further evaluation of the same artifact adds its own certificate.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradingai.engine.core.errors import ArtifactError, RegistryError, UsageError
from tradingai.engine.core.files import (
    DIRECTORY_MODE,
    FILE_MODE,
    atomic_path,
    make_directory,
    storage_error,
    sync_directory,
)
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.paths import MODEL_FILE, HomePaths

SIDECAR_FILE: Final = "model.json"
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VERSION_NAME: Final = re.compile(r"v\d+\.\d+\.\d+")
_BLOCK: Final = 1 << 20


def check_names(model: str, version: str | None = None) -> None:
    """Raise UsageError for a model or version that cannot be a folder's name."""
    if not _MODEL_NAME.fullmatch(model):
        raise UsageError(f"{model!r} is no model", remedy="`tradingai models list` shows what there is.")
    if version is not None and not _VERSION_NAME.fullmatch(version):
        raise UsageError(f"{version!r} is no version", remedy="Write it like v1.0.0.")


def version_folder(paths: HomePaths, model: str, version: str) -> Path:
    """Where a version lies."""
    return paths.versions / model / version


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def store_version(
    paths: HomePaths, ledger: Ledger, model: str, version: str, artifact: Path, sidecar: Path
) -> dict[str, str]:
    """Keep an artifact in a version folder of its own; the caller holds the registry's lock.

    A folder of that name which the ledger does not know was left by a killed process and is replaced. One
    that it does know is only repaired, when a file in it is damaged and the artifact still has the very
    bytes that were recorded. Returns file name to SHA-256. Raises RegistryError when a damaged version
    cannot be repaired.
    """
    folder = version_folder(paths, model, version)
    sources = {MODEL_FILE: artifact, SIDECAR_FILE: sidecar}
    recorded = ledger.evaluations(model, version)
    if not recorded:
        with _new_folder(folder) as temporary:
            for name, source in sources.items():
                _copy(source, temporary / name)
        return {name: file_sha256(folder / name) for name in sources}
    files: dict[str, str] = recorded[0].details["files"]
    for name, expected in files.items():
        if check_files(folder, {name: expected}):
            _restore(sources[name], folder / name, expected)
    return files


def _restore(source: Path, target: Path, expected: str) -> None:
    if not source.is_file() or file_sha256(source) != expected:
        raise RegistryError(
            f"{target} is damaged and {source} is not the file it was copied from",
            remedy="Restore the version from a backup (`tradingai restore FILE`), or train another model.",
        )
    with atomic_path(target) as temporary:
        _copy(source, temporary)


def sweep_versions(paths: HomePaths) -> list[str]:
    """Remove half-written folders and files of killed processes; the caller holds the registry's lock."""
    swept = []
    found = [path for pattern in ("*/.*.tmp", "*/*/.*.tmp") for path in paths.versions.glob(pattern)]
    for leftover in sorted([*found, *paths.models.glob(".*.tmp")]):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
        swept.append(f"removed {leftover.relative_to(paths.models)}, left by a process that was killed")
    return swept


def check_files(folder: Path, files: dict[str, str]) -> list[str]:
    """What is wrong with a version's files: missing ones and ones whose bytes differ."""
    problems = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif (found := file_sha256(path)) != expected:
            problems.append(f"{name} has hash {found[:8]} instead of {expected[:8]}")
    return problems


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        make_directory(folder.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=DIRECTORY_MODE)
        yield temporary
        sync_directory(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        sync_directory(folder.parent)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _BLOCK)
            writer.flush()
            os.fsync(writer.fileno())
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{source} is not there", remedy="Train the model again: `tradingai train lstm --coin …`."
        ) from error
    target.chmod(FILE_MODE)
