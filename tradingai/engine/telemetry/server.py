"""``/metrics`` and ``/healthz`` on 127.0.0.1: a few lines of HTTP that no client can hold up the loop with.

One request a connection, GET only, everything bounded: the size of a request, the time of each step, the
number of connections. A port that is taken or lost is told once, with what to do, and tried again.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import Event, MetricsFailed, MetricsServed
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.store.database import Store
from tradingai.engine.telemetry.exposition import CONTENT_TYPE
from tradingai.engine.telemetry.watch import Telemetry

HOST: Final = "127.0.0.1"
JSON_TYPE: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_REQUEST: Final = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.[01]\r\n")
_END: Final = b"\r\n\r\n"
_REMEDY: Final = (
    "Free the port, or set another METRICS_PORT (0: off) and start the engine again. Scans go on without it."
)


class Reply(NamedTuple):
    """What a path is answered with."""

    status: HTTPStatus
    content_type: str
    body: str


Page = Callable[[], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take."""

    connections: int = 8
    request_bytes: int = 8192
    """Request line and headers."""
    request_s: float = 5.0
    answer_s: float = 10.0
    look_s: float = 5.0
    """Between two looks whether the port still answers."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    """Pauses between attempts to get the port double from the first to the longest."""


def pages(telemetry: Telemetry) -> dict[str, Page]:
    """The two paths."""

    async def metrics() -> Reply:
        return Reply(HTTPStatus.OK, CONTENT_TYPE, await telemetry.metrics())

    async def health() -> Reply:
        found, document = await telemetry.health()
        status = HTTPStatus.OK if found.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Reply(status, JSON_TYPE, dumps(document) + "\n")

    return {"/metrics": metrics, "/healthz": health}


class MetricsServer:
    """Serves pages until it is cancelled. A companion of the scan loop: see ``alerts.beside``."""

    name = "metrics"

    def __init__(
        self, pages: Mapping[str, Page], port: int, store: Store, clock: Clock, limits: Limits | None = None
    ) -> None:
        """``port`` 0 takes one that is free: for tests."""
        self._pages = dict(pages)
        self._port = port
        self._store = store
        self._clock = clock
        self._limits = limits or Limits()
        self._answering: set[asyncio.Task[None]] = set()
        self.address: tuple[str, int] | None = None
        """Where it serves; None while it does not."""

    async def run(self) -> None:
        """Serve; get the port again whenever it is lost. Never raises."""
        told, pause_s = "", self._limits.first_pause_s
        while True:
            try:
                reason = await self._serve(told)
                told, pause_s = "", self._limits.first_pause_s
            except OSError as error:
                reason = os.strerror(error.errno).lower() if error.errno else str(error)
            except Exception as error:  # noqa: BLE001 - the companion's boundary: the scan loop goes on without it
                reason = f"unexpected {type(error).__name__}: {error}"
            if reason != told:
                await self._tell(
                    MetricsFailed(port=self._port, reason=reason, remedy=_REMEDY, retry_in_s=pause_s)
                )
                told = reason
            await self._clock.sleep(pause_s)
            pause_s = min(self._limits.longest_pause_s, pause_s * 2)

    async def _serve(self, told: str) -> str:
        """Serve until the port answers no more; why. Raises OSError when it cannot be had."""
        server = await asyncio.start_server(
            self._accept, HOST, self._port, limit=self._limits.request_bytes, backlog=16
        )
        try:
            self.address = server.sockets[0].getsockname()
            if told:
                await self._tell(MetricsServed(port=self.address[1]))
            while await self._answers(server):
                await self._clock.sleep(self._limits.look_s)
            return "the port answers no more"
        finally:
            self.address = None
            server.close()
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)

    async def _answers(self, server: asyncio.Server) -> bool:
        """Whether a connection can be made to where it listens."""
        if not server.is_serving() or self.address is None:
            return False
        try:
            async with asyncio.timeout(self._limits.request_s):
                _, writer = await asyncio.open_connection(*self.address)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True

    async def _tell(self, event: Event) -> None:
        with suppress(StoreError):  # a store that takes nothing is what /healthz says
            await self._store.events.append(event)

    # -- one connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it, close. Whatever the client does ends here."""
        try:
            if len(self._answering) > self._limits.connections:
                await self._send(writer, _plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"))
                return
            try:
                async with asyncio.timeout(self._limits.request_s):
                    head = await reader.readuntil(_END)
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await self._send(writer, _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too large"))
                return
            except TimeoutError:
                await self._send(writer, _plain(HTTPStatus.REQUEST_TIMEOUT, "too slow"))
                return
            await self._send(writer, *await self._reply(head))
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _reply(self, head: bytes) -> tuple[Reply, str, bool]:
        """The answer, the methods a 405 names, and whether its body is sent."""
        match = _REQUEST.match(head)
        if match is None:
            return _plain(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request"), "", True
        method, target = match[1].decode("ascii"), match[2].decode("ascii")
        page = self._pages.get(target.split("?", 1)[0])
        if page is None:
            return _plain(HTTPStatus.NOT_FOUND, f"here are {' and '.join(self._pages)}"), "", method != "HEAD"
        if method != "GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "GET only"), "GET", method != "HEAD"
        try:
            async with asyncio.timeout(self._limits.answer_s):
                return await page(), "", True
        except Exception as error:  # noqa: BLE001 - the request's boundary: it fails alone, and says so
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}"), "", True

    async def _send(
        self, writer: asyncio.StreamWriter, reply: Reply, allow: str = "", with_body: bool = True
    ) -> None:
        body = reply.body.encode()
        head = [
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            *([f"Allow: {allow}"] if allow else []),
            "Connection: close",
        ]
        writer.write("\r\n".join(head).encode() + _END + (body if with_body else b""))
        async with asyncio.timeout(self._limits.answer_s):
            await writer.drain()
            writer.close()
            await writer.wait_closed()


def _plain(status: HTTPStatus, text: str) -> Reply:
    return Reply(status, _TEXT, f"{text}\n")
