"""The side of systemd that listens: a datagram socket, and what came through it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

END = b"end of the test"


class ServiceManager:
    """Reads all the time, as systemd does: a queue holds only ten messages."""

    def __init__(self, listener: socket.socket, address: str) -> None:
        self.address = address
        """What NOTIFY_SOCKET says."""
        self._listener = listener
        self._heard: list[list[str]] = []
        self._changed = threading.Condition()
        self._markers = 0

    def listen(self) -> None:
        """Until END is heard."""
        while (message := self._listener.recv(65_536)) != END:
            with self._changed:
                if message == b"marker":
                    self._markers += 1
                else:
                    self._heard.append(message.decode().split("\n"))
                self._changed.notify_all()

    def messages(self) -> list[list[str]]:
        """Everything that was sent before now, oldest first, each message a list of its lines."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, self._changed:
            seen = self._markers
            self._changed.release()
            try:
                sender.sendto(b"marker", self._listener.getsockname())
            finally:
                self._changed.acquire()
            assert self._changed.wait_for(lambda: self._markers > seen, timeout=60)
            return [list(message) for message in self._heard]

    def lines(self) -> list[str]:
        """All lines so far."""
        return [line for message in self.messages() for line in message]

    def wait_for(self, start: str, count: int = 1) -> list[list[str]]:
        """Everything so far, once ``count`` lines begin so."""

        def arrived() -> bool:
            return sum(line.startswith(start) for message in self._heard for line in message) >= count

        with self._changed:
            assert self._changed.wait_for(arrived, timeout=120), self._heard
            return list(self._heard)

    def forget(self) -> None:
        """Begin anew."""
        self.messages()
        self._heard.clear()


@contextmanager
def service_manager(folder: Path, *, abstract: bool = False) -> Iterator[ServiceManager]:
    """A listener in ``folder``, or one without a file whose name begins with it."""
    path = f"{folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{path}" if abstract else path)
        manager = ServiceManager(listener, f"@{path}" if abstract else path)
        thread = threading.Thread(target=manager.listen)
        thread.start()
        try:
            yield manager
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(END, listener.getsockname())
            thread.join()
