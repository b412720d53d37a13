"""The command line as a process of its own over an isolated home; it ends with whoever started it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.rehearsals.stage import Stage

CHILD: Final = "tradingai.cli.child"
"""Runs the command line and ends when its stdin does."""
_LOOK_S: Final = 0.05
_TOLD: Final = re.compile(rb" scan (\d+) (?:done|late|failed)\b")


class Called(NamedTuple):
    """What a process left."""

    status: int
    out: str
    err: str


async def call(stage: Stage, *arguments: str, extra: Mapping[str, str] | None = None) -> Called:
    """Run ``tradingai --home COPY arguments`` to its end."""
    process = await _start(stage, arguments, extra or {})
    try:
        out, err = await asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
        status = await process.wait()
    finally:
        _end(process)
    return Called(status, out.decode(errors="replace"), err.decode(errors="replace"))


@dataclass
class Scanner:
    """A ``tradingai run`` that goes on until it is killed."""

    process: asyncio.subprocess.Process
    clock: Clock
    told: list[int] = field(default_factory=list)
    """Numbers of the scans it said it had stored."""
    words: list[str] = field(default_factory=list)
    """Everything it said."""
    _reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, stage: Stage, interval_s: int, scans: int) -> Scanner:
        """Begin to scan; ``scans`` bounds it whatever happens."""
        arguments = ("run", "--interval", str(interval_s), "--scans", str(scans))
        scanner = cls(await _start(stage, arguments, {}), stage.clock)
        scanner._reading = asyncio.create_task(scanner._read())
        return scanner

    async def until_told(self, count: int, seconds: float) -> None:
        """Wait until it told of ``count`` scans. Raises TradingAIError when it ends or takes too long."""
        deadline = self.clock.monotonic() + seconds
        while (
            len(self.told) < count and self.process.returncode is None and self.clock.monotonic() < deadline
        ):
            await self.clock.sleep(_LOOK_S)
        if len(self.told) < count:
            last = self.words[-1] if self.words else "it said nothing"
            raise TradingAIError(
                f"the scanning process told of {len(self.told)} scans instead of {count}: {last}",
                remedy="`tradingai run` shows what keeps it from scanning.",
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, and for everything it said."""
        status = await self.process.wait()
        if self._reading is not None:
            await self._reading
        return status

    def drop(self) -> None:
        """Kill it if it still runs."""
        _end(self.process)

    async def _read(self) -> None:
        stream = self.process.stderr
        while stream is not None and (line := await stream.readline()):
            self.words.append(line.decode(errors="replace").rstrip())
            found = _TOLD.search(line)
            if found:
                self.told.append(int(found[1]))


async def _start(
    stage: Stage, arguments: tuple[str, ...], extra: Mapping[str, str]
) -> asyncio.subprocess.Process:
    proxy = stage.settings.proxy_url
    environment = {**stage.environment, **extra}
    if proxy is not None:
        environment["PROXY_URL"] = proxy.get_secret_value()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        CHILD,
        "--home",
        str(stage.home),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
