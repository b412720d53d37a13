"""Reading the database without leaving a trace: for ``status``, onlookers and the bot's answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tradingai.engine.core.errors import StoreError
from tradingai.engine.store.failures import BUSY_TIMEOUT_S, store_failures
from tradingai.engine.store.migrate import migrations, schema_version


def read_only_uri(path: Path) -> str:
    """The address that opens ``path`` for reading and makes no file beside it.

    While a process has the database open its write-ahead log exists, and ``mode=ro`` shares it. When there
    is none, ``mode=ro`` would create one: then the file itself is complete, and is read as immutable.
    """
    log = path.with_name(path.name + "-wal")
    return f"{path.as_uri()}?mode=ro" + ("" if log.exists() else "&immutable=1")


@contextmanager
def reading(path: Path, *, timeout_s: float = BUSY_TIMEOUT_S) -> Iterator[sqlite3.Connection]:
    """A query-only connection for a moment, without asyncio; waits ``timeout_s`` for a lock.

    Raises StoreError when the database is locked, damaged, of something else, or of another schema.
    """
    with store_failures(path):
        uri = read_only_uri(path)
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout_s)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only = ON")
            refuse_old_schema(connection, path)
            yield connection


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read within is of one moment, whatever is written meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def refuse_old_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError for a schema this version would have to migrate before it can read it."""
    version, newest = schema_version(connection, path), len(migrations())
    if version < newest:
        raise StoreError(
            f"the database {path} has schema {version}; this version reads schema {newest}",
            remedy="Run a command that writes, for example `tradingai pipeline`: it migrates the database.",
        )
