"""Numbered migrations: each in one transaction together with its own record, after a copy of the database."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import tradingai
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.files import FILE_MODE, atomic_path, make_directory, storage_error
from tradingai.engine.store.failures import BUSY_TIMEOUT_S, is_database, store_failures
from tradingai.engine.store.stamps import stamp

_FOLDER: Final = Path(__file__).parent / "migrations"
_RECORDS: Final = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered ``.sql`` file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the file's text, kept with the record."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = _FOLDER) -> tuple[Migration, ...]:
    """All migrations in order. Raises StoreError when their numbers are not 1, 2, 3 …"""
    found = tuple(
        Migration(int(path.name[:4]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )
    if [item.version for item in found] != list(range(1, len(found) + 1)):
        raise StoreError(f"the migrations in {folder} have gaps", remedy="Install TradingAI again.")
    return found


def schema_version(connection: sqlite3.Connection, path: Path, folder: Path = _FOLDER) -> int:
    """Version of the schema, 0 for an empty database.

    Raises StoreError when the file belongs to something else or to a newer version.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "schema_migrations" not in tables:
        raise StoreError(
            f"{path} is a database of something else", remedy="Point DB_URL at a file of its own."
        )
    version = int(connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()[0])
    newest = len(migrations(folder))
    if version > newest:
        raise StoreError(
            f"the database {path} has schema {version}, made by a newer TradingAI; this is "
            f"{tradingai.__version__}, which knows schema {newest}",
            remedy="Update TradingAI, or choose another home with --home. Nothing was changed.",
        )
    return version


def pending(path: Path, folder: Path = _FOLDER) -> tuple[int, tuple[Migration, ...]]:
    """The database's version (0 when there is none) and the migrations it still needs; changes nothing."""
    if not is_database(path):
        return 0, migrations(folder)
    with store_failures(path):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)
        try:
            version = schema_version(connection, path, folder)
        finally:
            connection.close()
    return version, migrations(folder)[version:]


def migrate(path: Path, backups: Path, now: datetime, folder: Path = _FOLDER) -> Path | None:
    """Bring the database at ``path`` to the newest schema of ``folder``, making it when there is none.

    The caller holds the lock. Returns the copy made before, None when nothing was there to copy or nothing
    was pending. A migration that fails is rolled back as a whole and raises StoreError.
    """
    version, steps = pending(path, folder)
    if not steps:
        return None
    _create_file(path)
    with store_failures(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(
                    f"the disk of {path} allows no write-ahead log (journal mode {mode})",
                    remedy="Put the home, or the file DB_URL names, on a local disk.",
                )
            copy = _copy(connection, path, backups, version, now) if version else None
            for step in steps:
                _apply(connection, step, now)
        finally:
            connection.close()
    return copy


def _apply(connection: sqlite3.Connection, step: Migration, now: datetime) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_RECORDS)
        for statement in statements(step.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            (step.version, step.name, step.sha256, stamp(now)),
        )
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one (``executescript`` would commit the open transaction)."""
    buffer = ""
    for line in sql.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            yield buffer
            buffer = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in buffer.splitlines()):
        raise StoreError(
            f"a migration ends in the middle of a statement: {buffer.strip()[:60]!r}",
            remedy="Install TradingAI again.",
        )


def _copy(connection: sqlite3.Connection, path: Path, backups: Path, version: int, now: datetime) -> Path:
    """A consistent copy of the database from before a migration."""
    target = backups / f"{path.stem}-schema{version}-{now:%Y%m%dT%H%M%SZ}.db"
    with atomic_path(target) as temporary, closing(sqlite3.connect(temporary)) as copy:
        connection.backup(copy)
    return target


def _create_file(path: Path) -> None:
    """Make an empty file with mode 0600; sqlite gives its side files the same mode."""
    try:
        make_directory(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
    except OSError as error:
        raise storage_error(error, path) from error
