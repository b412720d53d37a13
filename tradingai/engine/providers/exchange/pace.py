"""The rate limit: requests of all processes of a home that speak to one exchange take turns."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.files import FILE_MODE, make_directory, storage_error

LONGEST_HOLD_S: Final = 900.0
"""No request is put off for longer; an exchange that asks for more is reported instead."""


class Pace(Protocol):
    """Hands out the moments at which requests may start."""

    def reserve(self, seconds: float) -> float:
        """Take the next free moment and the ``seconds`` after it; return the wait for it, in seconds."""
        ...

    def hold(self, seconds: float) -> None:
        """Let nobody start a request for ``seconds`` from now: the exchange has asked for it."""
        ...


class OwnPace:
    """The turns of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = 0.0
        """Monotonic time from which on the next request may start."""

    def reserve(self, seconds: float) -> float:
        """As :meth:`Pace.reserve`."""
        now = self._clock.monotonic()
        start = max(now, self._free)
        self._free = start + seconds
        return start - now

    def hold(self, seconds: float) -> None:
        """As :meth:`Pace.hold`."""
        self._free = max(self._free, self._clock.monotonic() + seconds)


class SharedPace:
    """The turns of all processes that name the same file; it holds the monotonic time of the next free one.

    A time further ahead than anyone can have reserved is of an earlier boot and counts as past.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def reserve(self, seconds: float) -> float:
        """As :meth:`Pace.reserve`. Raises TradingAIError when the file cannot be written."""
        return self._turn(seconds, 0.0)

    def hold(self, seconds: float) -> None:
        """As :meth:`Pace.hold`."""
        self._turn(0.0, seconds)

    def _turn(self, seconds: float, hold_s: float) -> float:
        try:
            make_directory(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                return self._turn_in(descriptor, seconds, hold_s)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, self._path) from error

    def _turn_in(self, descriptor: int, seconds: float, hold_s: float) -> float:
        """Read the next free moment, write the one after it; the lock ends when the file is closed."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        now = self._clock.monotonic()
        start = max(now, _moment(os.pread(descriptor, 64, 0), now))
        free = max(start + seconds, now + hold_s)
        os.pwrite(descriptor, f"{free:032.6f}\n".encode(), 0)
        return start - now


def _moment(text: bytes, now: float) -> float:
    """The stored time, or ``now`` where there is none that can be true."""
    try:
        free = float(text)
    except ValueError:
        return now
    return free if free <= now + 2 * LONGEST_HOLD_S else now
