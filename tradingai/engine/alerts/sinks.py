"""Sinks that need no network: a log file, and one that only remembers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from tradingai.engine.alerts.protocols import Message, Outcome
from tradingai.engine.core.jsonio import dumps

_LARGEST: Final = 5_000_000
"""Bytes of the file before it is put aside under ``.1``."""


class LogFileSink:
    """One JSON document a line in the home's ``logs/alerts.jsonl``."""

    channel = "log"
    counts = False

    def __init__(self, file: Path) -> None:
        self._file = file

    async def deliver(self, message: Message) -> Outcome:
        """Append it; a file that takes nothing keeps it waiting."""
        try:
            await asyncio.to_thread(self._append, dumps(message.document) + "\n")
        except OSError as error:
            return Outcome("waiting", f"{self._file}: {error.strerror}")
        return Outcome("delivered")

    def _append(self, line: str) -> None:
        if self._file.exists() and self._file.stat().st_size > _LARGEST:
            self._file.replace(self._file.with_name(self._file.name + ".1"))
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _write_whole(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _write_whole(descriptor: int, line: bytes) -> None:
    """All of it or nothing: what a full disk took would stand before the next attempt, on the same line."""
    before = os.fstat(descriptor).st_size
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError:
        os.ftruncate(descriptor, before)
        raise


class RecordingSink:
    """Remembers messages and sends nothing."""

    counts = True

    def __init__(self, channel: str = "recording") -> None:
        self.channel = channel
        self.messages: list[Message] = []

    async def deliver(self, message: Message) -> Outcome:
        """Remember it."""
        self.messages.append(message)
        return Outcome("delivered")
