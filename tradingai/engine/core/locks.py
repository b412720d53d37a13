"""Exclusion between processes by ``flock``, which the kernel releases when its holder dies.

A lock file is never deleted (deleting one would let two processes lock two files of the same name);
what stands in it only names the last owner and means nothing while nobody holds the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import LockHeldError
from tradingai.engine.core.files import FILE_MODE, make_directory, storage_error
from tradingai.engine.core.jsonio import iso_z

_POLL_S: Final = 0.05
_KERNEL_LOCKS: Final = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds a lock, as it wrote itself down."""

    pid: int
    command: str
    since: str
    """ISO-8601, UTC."""
    runner: str = ""
    """The job runner this process works for, when it is a worker."""

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) since {self.since}"


class FileLock:
    """An exclusive lock on one file, taken with ``with`` or :meth:`acquire`.

    Two locks on the same file exclude each other within one process as well.
    """

    def __init__(
        self,
        path: Path,
        *,
        command: str,
        clock: Clock,
        runner: str = "",
        subject: str = "",
        remedy: str = "",
    ) -> None:
        """``command`` names the owner to others; ``subject`` is what is locked; ``remedy`` what to do."""
        self.path = path
        self._subject = subject or path.name
        self._command = command
        self._clock = clock
        self._runner = runner
        self._remedy = remedy
        self._stream: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._stream is not None

    def acquire(self, *, block: bool = False) -> None:
        """Take the lock at once. Raises LockHeldError naming the owner when it is taken.

        With ``block`` it waits instead, without a limit: for locks that are only held for milliseconds.
        Raises TradingAIError when the lock's file cannot be written.
        """
        if self._stream is not None:
            raise ValueError(f"{self.path} is already held by this object")
        stream = _open_for_locking(self.path)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError as error:
            stream.close()
            owner = read_owner(self.path)
            raise LockHeldError(
                f"{self._subject} is locked by {owner or 'another process'}",
                remedy=self._remedy or "Wait until it has finished, or stop it, then run this again.",
            ) from error
        try:
            self._write_owner(stream)
        except OSError as error:
            stream.close()
            raise storage_error(error, self.path) from error
        self._stream = stream

    async def wait(self, seconds: float) -> None:
        """Take the lock, waiting up to ``seconds``. Raises LockHeldError after that."""
        deadline = self._clock.monotonic() + seconds
        while True:
            try:
                self.acquire()
            except LockHeldError:
                if self._clock.monotonic() >= deadline:
                    raise
                await self._clock.sleep(_POLL_S)
            else:
                return

    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write_owner(self, stream: IO[bytes]) -> None:
        since = iso_z(self._clock.now().replace(microsecond=0))
        owner = LockOwner(os.getpid(), self._command, since, self._runner)
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(asdict(owner)).encode())

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_owner(path: Path) -> LockOwner | None:
    """Who wrote itself into the lock file last; None when nobody did or it is being written just now."""
    try:
        document: Any = json.loads(path.read_bytes())
        return LockOwner(
            int(document["pid"]), str(document["command"]), str(document["since"]), str(document["runner"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def lock_is_free(path: Path) -> bool:
    """True when nobody holds the lock. It takes the lock for a moment: for recovery, not for display."""
    if not path.exists():
        return True
    with _open_for_locking(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def seen_held(path: Path) -> bool:
    """Whether somebody holds the lock, judged without touching it: for display.

    The kernel's list of locks decides; where there is none, whether the owner's process lives.
    """
    owner = read_owner(path)
    if owner is None:
        return False
    try:
        inode = path.stat().st_ino
        lines = _KERNEL_LOCKS.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return _is_alive(owner.pid)
    return any(_names(line, owner.pid, inode) for line in lines)


def _names(line: str, pid: int, inode: int) -> bool:
    """Whether a line like ``3: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF`` is this process's lock."""
    fields = line.split()
    return fields[1] == "FLOCK" and fields[4] == str(pid) and fields[5].endswith(f":{inode}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _open_for_locking(path: Path) -> IO[bytes]:
    make_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise storage_error(error, path) from error
    return os.fdopen(descriptor, "r+b", buffering=0)
