"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from tradingai.engine.core.errors import ArtifactError, TradingAIError
from tradingai.engine.core.jsonio import dumps

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
FREE_SPACE: Final = "Free space on that disk and run the same command again; what was finished is kept."
_NO_ROOM_BYTES: Final = 1_000_000


def make_directory(path: Path) -> Path:
    """Create ``path`` and its missing parents with mode 0700; return it."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            with suppress(FileExistsError):
                folder.mkdir(mode=DIRECTORY_MODE)
    return path


def sync_directory(path: Path) -> None:
    """Flush a directory entry, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_is_full(path: Path) -> bool:
    """Whether less than a megabyte is free where ``path`` lies: what a failed write there means then."""
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize < _NO_ROOM_BYTES


def storage_error(error: OSError, path: Path) -> TradingAIError:
    """An OSError from writing ``path`` as an error that names the file and the remedy.

    One without a number (numpy's, for a write that was cut short) is explained by a full disk.
    """
    number = error.errno or (errno.ENOSPC if disk_is_full(path) else 0)
    remedy = {
        errno.ENOSPC: FREE_SPACE,
        errno.EROFS: "The disk is read-only: choose another --home.",
        errno.EACCES: "Give this user write permission there, or choose another --home.",
        errno.ENOTDIR: "A part of that path is a file, not a folder: choose another path.",
        errno.ENOENT: "That folder is not there and cannot be made: choose another path.",
    }.get(number, "Check the disk and run the same command again; what was finished is kept.")
    reason = error.strerror or (os.strerror(number) if number else str(error))
    return TradingAIError(f"cannot write {path}: {reason}", remedy=remedy)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync and rename it over ``path``.

    The temporary file is removed on any failure. Raises TradingAIError for a full or read-only disk.
    """
    temporary: Path | None = None
    try:
        make_directory(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        os.close(descriptor)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(FILE_MODE)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call ``write`` with a binary stream and publish what it wrote under ``path`` in one step."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        write(stream)


def write_json(path: Path, document: Any) -> None:
    """Publish ``document`` as indented JSON."""
    write_atomic(path, lambda stream: stream.write((dumps(document, indent=2) + "\n").encode()))


def read_json(path: Path) -> Any:
    """Parse a JSON file this project wrote. Raises ArtifactError when it is damaged.

    A missing file raises FileNotFoundError: what that means is the caller's to say.
    """
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} is not readable JSON ({error})",
            remedy="Restore it from a backup (`tradingai restore FILE`) or delete it and make it again.",
        ) from error


def sweep_temporaries(folder: Path) -> int:
    """Remove temporary files that killed writers left in ``folder``; return how many.

    The caller holds the lock of whatever is written there.
    """
    count = 0
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
        count += 1
    return count
