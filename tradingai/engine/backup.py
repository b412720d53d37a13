"""Backup and restore of what cannot be made again: database, registry and promoted versions.

Candles, features and checkpoints are made again by their commands and are not in a backup, nor is ``.env``
with its secrets.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import tradingai
from tradingai.engine.archive import unpack_archive, write_archive
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.files import atomic_path, make_directory
from tradingai.engine.core.home import HOME_SCHEMA
from tradingai.engine.core.ledger import Ledger, read_ledger
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.registry.registry import Registry
from tradingai.engine.registry.verify import verify
from tradingai.engine.store.copying import check_copy, copy_database
from tradingai.engine.store.failures import is_database

BACKUP_SCHEMA: Final = 1
_DATABASE: Final = "database.db"
_LEDGER: Final = "models/registry.json"


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What went into a backup, or came out of one."""

    file: Path
    database: bool
    ledger_entries: int
    versions: tuple[str, ...]
    """``model version`` of every promoted version."""
    size_bytes: int
    problems: tuple[str, ...] = ()
    """What is not as the ledger says it should be."""

    def as_json(self) -> dict[str, Any]:
        """For ``backup --json`` and ``restore --json``."""
        return {**asdict(self), "file": str(self.file)}


def create_backup(paths: HomePaths, database: Path, target: Path, clock: Clock) -> BackupSummary:
    """Write database, ledger and every version that was ever promoted to ``target`` (tar.gz, mode 0600).

    Safe beside a running engine. Raises UsageError when ``target`` exists, MissingError when there is
    nothing to back up, RegistryError or StoreError when the ledger or the database is damaged.
    """
    if not is_database(database) and not paths.ledger.exists():
        raise MissingError(
            f"there is nothing to back up in {paths.root}", remedy="`tradingai pipeline` starts."
        )
    make_directory(paths.backups)
    with ExitStack() as stack:
        registry = FileLock(paths.locks / "registry", command="backup", clock=clock)
        registry.acquire(block=True)
        stack.callback(registry.release)
        scratch = stack.enter_context(_scratch(paths, ".backup-"))
        files: dict[str, Path] = {}
        if is_database(database):
            copy_database(database, scratch / _DATABASE)
            files[_DATABASE] = scratch / _DATABASE
        ledger = read_ledger(paths.ledger)
        if len(ledger):
            files[_LEDGER] = paths.ledger
        versions = _promoted(ledger)
        for model, version in versions:
            folder = paths.versions / model / version
            for file in sorted(item for item in folder.glob("*") if item.is_file()):
                files[f"models/versions/{model}/{version}/{file.name}"] = file
        header = {
            "backup_schema": BACKUP_SCHEMA,
            "home_schema": HOME_SCHEMA,
            "version": tradingai.__version__,
            "created_at": clock.now(),
        }
        write_archive(target, header, files)
    return _summary(target, paths, _DATABASE in files, ledger)


def restore_backup(paths: HomePaths, database: Path, source: Path, clock: Clock) -> BackupSummary:
    """Bring a backup back into a home that has neither database nor registry of its own.

    Everything is unpacked and verified beside its place first. Then the versions go into place, the ledger
    after them and the database last, each in one step: killed at any moment, the same call again completes
    it, and files that already are what the backup holds are no obstacle.

    Raises MissingError for no such file, ArtifactError for a damaged one, UsageError for a newer one or
    when the home holds something else, LockHeldError while an engine or a job works there.
    """
    make_directory(paths.backups)
    with ExitStack() as stack:
        stack.enter_context(_quiet_home(paths, clock))
        scratch = stack.enter_context(_scratch(paths, ".restore-"))
        header = unpack_archive(source, scratch)
        _check_schemas(header, source)
        if (scratch / _DATABASE).exists():
            check_copy(scratch / _DATABASE)
        ledger = read_ledger(scratch / _LEDGER)
        places = _places(scratch, paths, database)
        _refuse_to_overwrite(places)
        for unpacked, place in places:
            if not place.exists():
                with atomic_path(place) as temporary:
                    shutil.copyfile(unpacked, temporary)
        restored = (scratch / _DATABASE).exists()
    Registry(paths, clock, who="restore").repair()
    return _summary(source, paths, restored, ledger)


@contextmanager
def _scratch(paths: HomePaths, prefix: str) -> Iterator[Path]:
    """A private folder in ``backups``; those that killed processes left are removed first.

    The caller holds the registry's lock, and with it is the only one who has such a folder.
    """
    for leftover in paths.backups.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=paths.backups) as name:
        yield Path(name)


def _promoted(ledger: Ledger) -> tuple[tuple[str, str], ...]:
    """Every model and version that was ever live: each of them can be rolled back to."""
    pairs = ((entry.model, entry.version) for model in ledger.models() for entry in ledger.promotions(model))
    return tuple(dict.fromkeys(pairs))


def _summary(file: Path, paths: HomePaths, database: bool, ledger: Ledger) -> BackupSummary:
    return BackupSummary(
        file=file,
        database=database,
        ledger_entries=len(ledger),
        versions=tuple(f"{model} {version}" for model, version in _promoted(ledger)),
        size_bytes=file.stat().st_size,
        problems=tuple(
            f"{item.model} {item.version}: {item.detail}" for item in verify(paths) if not item.ok
        ),
    )


def _check_schemas(header: dict[str, Any], source: Path) -> None:
    for name, known in (("backup_schema", BACKUP_SCHEMA), ("home_schema", HOME_SCHEMA)):
        found = header.get(name)
        if not isinstance(found, int):
            raise ArtifactError(f"{source} is no backup of TradingAI", remedy="Nothing was changed.")
        if found > known:
            raise UsageError(
                f"{source} was made by a newer TradingAI ({header.get('version')}): its {name} is {found}, "
                f"this is {tradingai.__version__}, which knows {known}",
                remedy="Update TradingAI. Nothing was changed.",
            )


def _places(scratch: Path, paths: HomePaths, database: Path) -> list[tuple[Path, Path]]:
    """Unpacked file and its place, in the order in which they are published."""
    versions = sorted(item for item in (scratch / "models" / "versions").rglob("*") if item.is_file())
    pairs = [(item, paths.versions / item.relative_to(scratch / "models" / "versions")) for item in versions]
    pairs += [(scratch / _LEDGER, paths.ledger), (scratch / _DATABASE, database)]
    return [(unpacked, place) for unpacked, place in pairs if unpacked.exists()]


def _refuse_to_overwrite(places: list[tuple[Path, Path]]) -> None:
    others = [place for unpacked, place in places if place.exists() and not _same(unpacked, place)]
    if others:
        raise UsageError(
            f"{', '.join(str(place) for place in others)} would be overwritten",
            remedy="Restore into an empty home (`tradingai --home NEW restore FILE`), or move that away "
            "first. Nothing was changed.",
        )


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@contextmanager
def _quiet_home(paths: HomePaths, clock: Clock) -> Iterator[None]:
    """Hold the locks of engine and registry, so that nothing changes meanwhile."""
    remedy = "Stop it first, then restore."
    with ExitStack() as stack:
        for name in ("engine", "registry"):
            lock = FileLock(
                paths.locks / name, command="restore", clock=clock, subject="this home", remedy=remedy
            )
            stack.enter_context(lock)
        yield
