"""The worker's side of a job: reports to the parent, and requests to stop from it."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import asdict
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import InterruptedRunError
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.reporting import Progress

PROGRESS_INTERVAL_S: Final = 0.2
"""Progress goes out at most five times a second."""
ORPHAN_GRACE_S: Final = 3.0
"""A worker whose parent is gone and that meets no safe point ends itself after this time."""
ORPHAN_EXIT_STATUS: Final = 75


class ParentChannel:
    """Writes one JSON document a line to the parent, each in one piece, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()
        self.broken = False
        """True when nobody reads any more."""

    def send(self, document: dict[str, Any]) -> None:
        """Send one document; without effect when the parent is gone."""
        data = memoryview((dumps(document) + "\n").encode())
        with self._turn:
            while data and not self.broken:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except (BrokenPipeError, ConnectionResetError):
                    self.broken = True


class StopRequest:
    """Set once, by whatever asks the job to stop; the first reason counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask the job to stop at its next safe point."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    @property
    def requested(self) -> bool:
        """True once somebody asked."""
        return self._event.is_set()


class WorkerReporter:
    """The Reporter a job function gets."""

    def __init__(self, channel: ParentChannel, stop: StopRequest, clock: Clock) -> None:
        self._channel = channel
        self._stop = stop
        self._clock = clock
        self._pending: Progress | None = None
        self._next_progress = clock.monotonic()

    def emit(self, event: Event) -> None:
        """Send the event at once, after the progress that came before it."""
        self.flush()
        self._channel.send({"event": event.as_json()})

    def progress(self, progress: Progress) -> None:
        """Send the newest progress, at most every PROGRESS_INTERVAL_S."""
        self._pending = progress
        if self._clock.monotonic() >= self._next_progress:
            self.flush()

    def flush(self) -> None:
        """Send progress that was held back."""
        if self._pending is not None:
            self._channel.send({"progress": asdict(self._pending)})
            self._pending = None
            self._next_progress = self._clock.monotonic() + PROGRESS_INTERVAL_S

    def safe_point(self) -> None:
        """Raise InterruptedRunError when a stop was asked for or nobody listens any more."""
        if self._channel.broken:
            self._stop.set("the parent process is gone")
        if self._stop.requested:
            raise InterruptedRunError(
                f"stopped: {self._stop.reason}",
                remedy="What was finished is kept; the same command goes on from there.",
            )


def watch_parent(stream: io.RawIOBase, stop: StopRequest) -> None:
    """Start a thread that obeys the parent: a line with ``stop`` is a request, end of file its death.

    After its death the process ends at the next safe point, and in any case after ORPHAN_GRACE_S: nobody
    is left to hear of it, and all it writes is safe against being killed. ``stream`` is unbuffered: a
    thread that waits inside a buffered one cannot be left behind when the interpreter ends.
    """

    def obey() -> None:
        for line in stream:
            stop.set(str(json.loads(line)["stop"]))
        stop.set("the parent process is gone")
        threading.Event().wait(ORPHAN_GRACE_S)
        os._exit(ORPHAN_EXIT_STATUS)

    threading.Thread(target=obey, name="watch-parent", daemon=True).start()
