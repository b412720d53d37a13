"""One worker process as its parent sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import tradingai
from tradingai.engine.core.files import FILE_MODE, make_directory, storage_error
from tradingai.engine.core.jsonio import dumps

_CODE: Final = Path(tradingai.__file__).resolve().parent.parent
_SECRET_NAMES: Final = ("TELEGRAM_TOKEN", "PROXY_URL")
_NOT_FOR_CHILDREN: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""With these a worker would speak for its parent to systemd."""
_CHUNK: Final = 1 << 16


def worker_environment(base: Mapping[str, str], threads: int) -> dict[str, str]:
    """The child's environment: a fixed number of threads that wait without spinning, no secrets, and no way
    to the service manager.

    Oversubscribed OpenMP threads that spin slow each other down twenty-fold; sleeping ones do not.
    """
    left_out = (*_SECRET_NAMES, *_NOT_FOR_CHILDREN)
    environment = {name: value for name, value in base.items() if name.upper() not in left_out}
    count = str(threads)
    path = [str(_CODE), *filter(None, [base.get("PYTHONPATH")])]
    return {
        **environment,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "POLARS_MAX_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
    }


class WorkerProcess:
    """A started worker. Its standard input stays open until :meth:`reap`: its end would stop the worker."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process's number, also of its group."""
        return self._process.pid

    @classmethod
    async def start(cls, module: str, description: Mapping[str, Any], log: Path, threads: int) -> Self:
        """Start ``python -m module`` in a session of its own and hand it the job's description.

        Raises TradingAIError when the log cannot be written.
        """
        descriptor = _open_log(log)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-X",
                "faulthandler",
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
                env=worker_environment(os.environ, threads),
            )
        finally:
            os.close(descriptor)
        worker = cls(process)
        await worker._send(description)
        return worker

    async def messages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """What the worker says, in batches as they arrive, until it ends."""
        stream = self._process.stdout
        rest = b""
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                yield [message for line in lines if (message := _message(line)) is not None]

    async def ask_to_stop(self, reason: str) -> None:
        """Ask it to stop at its next safe point."""
        await self._send({"stop": reason})

    def kill(self) -> None:
        """Kill the worker and whatever it started."""
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def reap(self) -> int:
        """Wait for its end and close the pipes. Returns the exit status, or minus the signal's number."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
            with suppress(BrokenPipeError, ConnectionResetError):
                await stdin.wait_closed()
        return await self._process.wait()

    async def see_off(self) -> int:
        """Read what a stopping worker still says, so that it does not block, until it is gone."""
        async for _ in self.messages():
            pass
        return await self.reap()

    async def _send(self, document: Mapping[str, Any]) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                stdin.write((dumps(dict(document)) + "\n").encode())
                await stdin.drain()


def _message(line: bytes) -> dict[str, Any] | None:
    """A line as a message; None for what an interpreter's start-up may have printed before ours began."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _open_log(path: Path) -> int:
    try:
        make_directory(path.parent)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise storage_error(error, path) from error
