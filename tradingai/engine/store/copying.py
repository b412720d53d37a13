"""Consistent copies of a database, while others may be writing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tradingai.engine.core.errors import StoreError
from tradingai.engine.store.failures import is_database, store_failures
from tradingai.engine.store.migrate import schema_version
from tradingai.engine.store.read_only import read_only_uri


def copy_database(source: Path, target: Path) -> None:
    """Copy the last committed state of ``source`` into the new file ``target`` and check it.

    Raises StoreError when the source is damaged, of something else, or of a newer version.
    """
    with (
        store_failures(source),
        closing(sqlite3.connect(read_only_uri(source), uri=True)) as reader,
        closing(sqlite3.connect(target)) as copy,
    ):
        schema_version(reader, source)
        reader.backup(copy)
    check_copy(target)


def check_copy(path: Path) -> None:
    """Raise StoreError unless the closed database file ``path`` is sound and of a version known here."""
    if not is_database(path):
        raise StoreError(f"{path.name} is empty", remedy="Nothing was changed. Use another backup.")
    with (
        store_failures(path),
        closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection,
    ):
        schema_version(connection, path)
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreError(f"{path.name} is damaged ({verdict})", remedy="Use another backup.")
