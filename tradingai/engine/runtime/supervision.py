"""What the service manager is told: sd_notify(3) in a few lines, without a library.

The watchdog is fed by the scan loop itself, between its naps, and by nothing else: a loop that hangs misses
its beat even while heartbeats and alerts go on beside it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Final

from tradingai.engine.core.clock import Clock

_BEATS: Final = 4
"""Beats within one watchdog interval; systemd asks for two."""
_LONGEST_STATUS: Final = 200


class Supervisor:
    """Tells the service manager, if there is one. Nothing here raises for a listener that is not there."""

    def __init__(self, clock: Clock, address: str = "", watchdog_s: float = inf) -> None:
        """``address``: an AF_UNIX datagram socket, with ``@`` in the abstract name space; empty: nobody."""
        self._clock = clock
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.every_s = watchdog_s / _BEATS if self._address else inf
        """Seconds between two beats; infinite without a watchdog."""
        self._beat_at = -inf

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], clock: Clock) -> Supervisor:
        """The one systemd names; a watchdog that is meant for another process is none of ours."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in {"/", "@"}:
            return cls(clock)
        return cls(clock, address, _watchdog_s(environment))

    def ready(self, status: str) -> None:
        """Start-up has finished."""
        self._beat_at = self._clock.monotonic()
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(_status(text))

    def alive(self) -> None:
        """The loop has come by; tells so once every :attr:`every_s`."""
        now = self._clock.monotonic()
        if now - self._beat_at >= self.every_s:
            self._beat_at = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return inf
    text = environment.get("WATCHDOG_USEC", "")
    microseconds = int(text) if text.isascii() and text.isdigit() else 0
    return microseconds / 1e6 if microseconds else inf


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"
