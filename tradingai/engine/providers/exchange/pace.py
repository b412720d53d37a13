"""The rate limit: requests of all processes of a home that speak to one exchange take turns."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
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
    """The turns of all processes that name the same file.

    It holds the monotonic time of the next free one, and the boot that time belongs to: after another one it
    counts as past, as does a time further ahead than anyone can have reserved.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._boot = _boot()

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
        start = max(now, self._free(os.pread(descriptor, 128, 0).decode(errors="replace"), now))
        free = max(start + seconds, now + hold_s)
        os.pwrite(descriptor, f"{free:032.6f} {self._boot}\n".encode(), 0)
        return start - now

    def _free(self, text: str, now: float) -> float:
        """The stored time, or ``now`` where there is none that can be true."""
        stored, _, boot = text.strip().partition(" ")
        try:
            free = float(stored)
        except ValueError:
            return now
        return free if boot == self._boot and free <= now + 2 * LONGEST_HOLD_S else now


def _boot() -> str:
    """What the kernel calls this boot; empty where it does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
