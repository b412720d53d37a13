"""What sqlite says, as a StoreError an operator can act on."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.files import FREE_SPACE, disk_is_full

BUSY_TIMEOUT_S: Final = 5
_DAMAGED: Final = (
    "Move it away: candles, models and the registry do not depend on it, and the next command makes a new "
    "one. Or bring it back from a backup into an empty home: `tradingai --home NEW restore FILE`."
)

_PERMISSION: Final = "Give this user permission for the file and its folder, or choose another --home."
_MAGIC: Final = b"SQLite format 3\0"
_TURN: Final = threading.Lock()
_HELD: Final[Counter[tuple[int, int]]] = Counter()
"""Device and inode of the databases this process has open, under _TURN."""


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """The StoreError for what sqlite raised while working with ``path``."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(
            f"the database {path} is locked: another process keeps it busy",
            remedy="Find who holds it (`fuser FILE`), let it finish or stop it, and run this again.",
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreError(f"the database {path} is damaged ({error})", remedy=_DAMAGED)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and disk_is_full(path)):
        return StoreError(f"the disk is full: {path} has no space to grow", remedy=FREE_SPACE)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreError(
            f"the database {path} cannot be opened for this: {error}",
            remedy=_PERMISSION,
        )
    return StoreError(f"the database {path} failed: {error}", remedy="Run `tradingai doctor`.")


def is_database(path: Path) -> bool:
    """True when the file begins as a database does; a missing or empty one is a home where nothing ran.

    Raises StoreError for a file that is something else: sqlite itself would overwrite a very short one. What
    this process holds (:func:`hold`) is one, and is not opened here.
    """
    try:
        with _TURN:
            if _HELD[_identity(path)]:
                return True
            with path.open("rb") as stream:
                beginning = stream.read(len(_MAGIC))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be read: {error.strerror}", remedy=_PERMISSION
        ) from error
    if beginning not in {b"", _MAGIC}:
        raise StoreError(f"the database {path} is damaged (it begins as something else)", remedy=_DAMAGED)
    return bool(beginning)


def hold(path: Path) -> Callable[[], None]:
    """Note that this process is about to open the database; what is returned takes it back, once.

    POSIX drops all locks of a process on a file as soon as it closes any descriptor of it. Without sqlite's
    locks the next process that closes the database takes itself for the last one and removes the write-ahead
    log, and what is written here from then on is lost. Raises StoreError.
    """
    with _TURN:
        try:
            identity = _identity(path)
        except OSError as error:
            raise StoreError(
                f"the database {path} cannot be opened: {error.strerror}", remedy=_PERMISSION
            ) from error
        _HELD[identity] += 1
    return partial(_let_go, identity)


def _let_go(identity: tuple[int, int]) -> None:
    with _TURN:
        _HELD[identity] -= 1
        if _HELD[identity] <= 0:
            del _HELD[identity]


def _identity(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


@contextmanager
def store_failures(path: Path) -> Iterator[None]:
    """Turn every sqlite error inside into a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path) from error
