"""Connections to the database: one for writing, one for reading, every write a short BEGIN IMMEDIATE."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

import aiosqlite

from tradingai.engine.core.errors import StoreError
from tradingai.engine.store.failures import BUSY_TIMEOUT_S, hold, store_failures
from tradingai.engine.store.read_only import read_only_uri

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)


_AFTER: ContextVar[list[Callable[[], None]] | None] = ContextVar("after the commit", default=None)


def after_commit(what: Callable[[], None]) -> None:
    """Do it once the transaction that this task is in was committed, and never when it is rolled back.

    Outside of a transaction it is done at once. It must not raise.
    """
    waiting = _AFTER.get()
    if waiting is None:
        what()
    else:
        waiting.append(what)


class Database:
    """The open database of one home.

    Reads have a connection of their own, so that nothing on a screen waits for a write that waits for
    another process. Writes of this process queue in order; each is one transaction.
    """

    def __init__(
        self,
        path: Path,
        reader: aiosqlite.Connection,
        writer: aiosqlite.Connection | None,
        let_go: Callable[[], None],
    ) -> None:
        """``let_go`` is called once both are closed."""
        self.path = path
        self._let_go = let_go
        self._reader = reader
        self._writer = writer
        self._write_turn = asyncio.Lock()
        self._read_turn = asyncio.Lock()
        self.refusal: StoreError | None = None
        """Why the newest write was not taken; None once one was."""
        self._frozen = writer is None and "immutable" in read_only_uri(path)

    @property
    def read_only(self) -> bool:
        """True when opened query-only."""
        return self._writer is None

    @classmethod
    async def open(cls, path: Path, *, read_only: bool) -> Self:
        """Open an existing, migrated database. Raises StoreError."""
        let_go = hold(path)
        try:
            reader, writer = await _both(path, read_only=read_only)
        except BaseException:
            let_go()
            raise
        return cls(path, reader, writer, let_go)

    async def close(self) -> None:
        """Close both connections; the last one of all processes folds the write-ahead log in."""
        try:
            await self._reader.close()
            if self._writer is not None:
                await self._writer.close()
        finally:
            let_go, self._let_go = self._let_go, _nothing
            let_go()

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query, from the last committed state."""
        with store_failures(self.path):
            async with self._read_turn:
                await self._thaw()
                return list(await self._reader.execute_fetchall(sql, parameters))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """One short BEGIN IMMEDIATE: committed at the end, rolled back on any exception."""
        writer = self._writer
        if writer is None:
            raise StoreError(
                f"{self.path} was opened read-only",
                remedy="Run this without --read-only.",
            )
        waiting: list[Callable[[], None]] = []
        async with self._write_turn:
            with self._noting_refusal(), store_failures(self.path):
                before = _AFTER.set(waiting)
                try:
                    await writer.execute("BEGIN IMMEDIATE")
                    yield writer
                    await writer.commit()
                except BaseException:
                    await asyncio.shield(writer.rollback())
                    raise
                finally:
                    _AFTER.reset(before)
            self.refusal = None
        for what in waiting:
            what()

    @contextmanager
    def _noting_refusal(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.refusal = error
            raise

    async def _thaw(self) -> None:
        """Reopen a reader that was opened while nobody had the database, now that somebody has.

        Such a reader (see :func:`read_only_uri`) sees none of the writes that come after it.
        """
        if self._frozen and "immutable" not in read_only_uri(self.path):
            connection = await _connect(read_only_uri(self.path), self.path)
            await self._reader.close()
            self._reader = connection
            self._frozen = False


def _nothing() -> None:
    """A database that is closed already has nothing to let go."""


async def _both(path: Path, *, read_only: bool) -> tuple[aiosqlite.Connection, aiosqlite.Connection | None]:
    """The reader and, unless ``read_only``, the writer."""
    if read_only:
        return await _connect(read_only_uri(path), path), None
    reader = await _connect(f"{path.as_uri()}?mode=rw", path, query_only=True)
    try:
        writer = await _connect(f"{path.as_uri()}?mode=rw", path)
        with store_failures(path):
            await writer.execute_fetchall("PRAGMA journal_mode = WAL")
    except BaseException:
        await reader.close()
        raise
    return reader, writer


async def _connect(uri: str, path: Path, *, query_only: bool = False) -> aiosqlite.Connection:
    with store_failures(path):
        connection = await aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            connection.row_factory = sqlite3.Row
            for pragma in (*_PRAGMAS, *(("PRAGMA query_only = ON",) if query_only else ())):
                await connection.execute(pragma)
            await connection.execute_fetchall("SELECT count(*) FROM sqlite_master")
        except BaseException:
            await connection.close()
            raise
    return connection
