"""The file of a process's log: whole lines or none, rotation, and a count of what was lost."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Lock, RLock
from typing import Final, cast

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.events import Event, LogsLost, LogsResumed
from tradingai.engine.core.files import DIRECTORY_MODE, FILE_MODE

CALM_S: Final = 30.0
"""So long nothing must be lost before a trouble is over: a full disk takes a short line now and then."""
_TAIL: Final = 1 << 16
_OPEN: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK


class Losses:
    """Lines that were not written: counted, and told once when a trouble begins and once at its end."""

    def __init__(self, file: str, clock: Clock) -> None:
        """``file`` is how the events name the log."""
        self._file = file
        self._clock = clock
        self._guard = Lock()
        self._told: deque[Event] = deque()
        self._since: float | None = None
        self._last = 0.0
        self._before = 0
        self.lost = 0
        """Lines lost since the process began."""
        self.written = 0
        """Lines written since the newest loss."""

    def lose(self, reason: str, lines: int = 1) -> None:
        """``lines`` could not be written; 0: they were, but something else does not work."""
        with self._guard:
            self._last = self._clock.monotonic()
            if self._since is None:
                self._since, self._before = self._last, self.lost
                self._told.append(LogsLost(file=self._file, reason=reason))
            self.lost += lines
            self.written = 0

    def wrote(self) -> None:
        """A line was written."""
        self.written += 1

    def news(self) -> list[Event]:
        """What there is to tell; it stays until :meth:`told`."""
        with self._guard:
            now = self._clock.monotonic()
            if self._since is not None and self.written and now - self._last >= CALM_S:
                lost, seconds = self.lost - self._before, self._last - self._since
                self._told.append(LogsResumed(file=self._file, lost=lost, seconds=seconds))
                self._since = None
            return list(self._told)

    def told(self, count: int) -> None:
        """The oldest ``count`` events of :meth:`news` are on record."""
        with self._guard:
            for _ in range(count):
                self._told.popleft()


class LineFile:
    """An open log file. A line that does not fit on the disk leaves no part of it behind."""

    def __init__(self, path: Path) -> None:
        """Open or make it, and its folder, whose own parent has to exist. Raises OSError."""
        if not path.parent.is_dir():
            path.parent.resolve().mkdir(mode=DIRECTORY_MODE)
        self._descriptor = os.open(path, _OPEN, FILE_MODE)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a file")
        self._identity = (found.st_dev, found.st_ino)
        self.size = found.st_size
        self._drop_torn_line(path)

    def write(self, line: bytes) -> None:
        """Append one line, its end included. Raises OSError."""
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            if written:
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` still names this file: it may have been deleted or moved."""
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def close(self) -> None:
        """Close it; without effect a second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def flush(self) -> None:
        """Nothing is kept back."""

    def _drop_torn_line(self, path: Path) -> None:
        """Cut off the end of a line that a killed process left: every line is one JSON object."""
        with path.open("rb") as stream:
            whole = self.size
            while whole:
                start = max(0, whole - _TAIL)
                stream.seek(start)
                end = stream.read(whole - start).rfind(b"\n") + 1
                if end:
                    whole = start + end
                    break
                whole = start
        if whole < self.size:
            self.size = whole
            os.ftruncate(self._descriptor, whole)


class _NoLock:
    """Never held."""

    def acquire(self) -> bool:
        """At once."""
        return True

    def release(self) -> None:
        """Without effect."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass


class RotatingLines(RotatingFileHandler):
    """The standard library's rotation over a :class:`LineFile`; what goes wrong is a loss, never an error.

    Records arrive as finished texts. One that cannot be written is lost; the next one tries again, from the
    folder on. Where only the rotation fails lines go on into the same file, up to twice its size.
    """

    def __init__(
        self, file: Path, *, largest: int, kept: int, losses: Losses, note: Callable[[str], str]
    ) -> None:
        """``largest`` is in bytes, ``kept`` counts the files beside it, ``note`` forms a line of its own."""
        super().__init__(file, maxBytes=largest, backupCount=kept, delay=True)
        self._path = file
        self._losses = losses
        self._note = note
        self._lines: LineFile | None = None
        self._missing = 0
        """Lines lost since the newest one that was written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's text."""
        try:
            if self._missing:
                missing = self._missing
                self._write(self._note(f"the log goes on; {missing} lines before this one were lost"))
                self._missing = 0
            self._write(record.msg)
        except Exception as error:  # noqa: BLE001 - the log's boundary: no loss may reach what is logged
            self._missing += 1
            self._drop_file()
            self._losses.lose(_words(error))
        else:
            self._losses.wrote()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Count it, where the base class would write to stderr."""
        del record
        self._losses.lose("a line could not be written")

    def createLock(self) -> None:  # noqa: N802 - the base class's name
        """None is needed, since one thread writes: and the end of a process must not wait for a dead disk."""
        self.lock = cast("RLock", _NoLock())

    def close(self) -> None:
        """Close the file."""
        self._drop_file()
        super().close()

    def _open(self) -> TextIOWrapper:
        self._lines = LineFile(self._path)
        return cast("TextIOWrapper", self._lines)

    def _write(self, text: str) -> None:
        line = text.encode("utf-8", "replace") + b"\n"
        lines = self._current()
        if lines.size and lines.size + len(line) > self.maxBytes:
            lines = self._rotated(lines.size + len(line))
        lines.write(line)

    def _current(self) -> LineFile:
        """The open file, opened again when it is not where it was."""
        if self._lines is not None and not self._lines.is_at(self._path):
            self._drop_file()
        if self._lines is None:
            self.stream = self._open()
        return cast("LineFile", self._lines)

    def _rotated(self, wanted: int) -> LineFile:
        try:
            self.doRollover()
        except OSError as error:
            if wanted > 2 * self.maxBytes:
                raise
            self._losses.lose(f"rotation: {_words(error)}", lines=0)
            self._drop_file()
        return self._current()

    def _drop_file(self) -> None:
        lines, self._lines = self._lines, None
        self.stream = cast("TextIOWrapper", None)
        if lines is not None:
            with suppress(OSError):
                lines.close()


def _words(error: Exception) -> str:
    """Why a line was lost, in short."""
    return (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
