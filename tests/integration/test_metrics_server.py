"""/metrics and /healthz on a real socket, and clients that do what clients do."""

import asyncio
import socket
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.telemetry.server import HOST, Limits, MetricsServer, Reply

from tests.fakes.homes import open_store

TEXT = "text/plain"
QUICK = Limits(request_s=0.2, answer_s=0.2, look_s=0.02, first_pause_s=0.02, longest_pause_s=0.02)


async def fine():
    return Reply(HTTPStatus.OK, TEXT, "all well – ü\n")


async def broken():
    raise ValueError("nothing there")


async def hanging():
    await asyncio.Event().wait()


PAGES = {"/metrics": fine, "/healthz": broken, "/hanging": hanging}


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another task or process
        await asyncio.sleep(0.005)


async def told(store, count):
    """The first ``count`` events of the server, once there are so many."""
    while len(found := await events(store)) < count:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    return found


@asynccontextmanager
async def serving(root, *, limits=None, port=0, wait=True):
    """The server with its store, cancelled at the end."""
    async with open_store(root / "home") as (store, _paths):
        server = MetricsServer(PAGES, port, store, RealClock(), limits)
        task = asyncio.create_task(server.run())
        try:
            if wait:
                await until(lambda: server.address)
            yield server, store
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def ask(server, request):
    """Status line, headers and body of the answer; empty when the connection was closed without one."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(request)
    try:
        answer = await reader.read()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in headers), body.decode()


def get(path, method="GET", version="1.1"):
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode()


async def events(store):
    return [(one.type, one.payload) for one in await store.events.after(0) if one.type.startswith("Metrics")]


async def test_what_is_asked_for_is_answered(tmp_path):
    async with serving(tmp_path) as (server, _):
        assert server.address[0] == HOST
        for request in (get("/metrics"), get("/metrics?name=x", version="1.0")):
            status, headers, body = await ask(server, request)
            assert (status, body) == ("HTTP/1.1 200 OK", "all well – ü\n")
            assert headers["Content-Type"] == TEXT
            assert int(headers["Content-Length"]) == len(body.encode())
            assert headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/"), "404 Not Found"),
        (get("/metrics/"), "404 Not Found"),
        (get("//metrics"), "404 Not Found"),
        (get("/METRICS"), "404 Not Found"),
        (get("/../metrics"), "404 Not Found"),
        (get("/metrics", "POST"), "405 Method Not Allowed"),
        (get("/metrics", "HEAD"), "405 Method Not Allowed"),
        (get("/metrics", "DELETE"), "405 Method Not Allowed"),
        (get("/healthz"), "500 Internal Server Error"),
        (get("/metrics", "get"), "400 Bad Request"),
        (get("/metrics", version="2"), "400 Bad Request"),
        (get("http://127.0.0.1/metrics"), "400 Bad Request"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "400 Bad Request"),
        (b"GET /metrics\r\n\r\n", "400 Bad Request"),
        (b"\r\n\r\n", "400 Bad Request"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", "431 Request Header Fields Too Large"),
        (b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n", "431 Request Header Fields Too Large"),
    ],
)  # fmt: skip
async def test_what_is_not_a_request_for_a_page(tmp_path, request_bytes, status):
    async with serving(tmp_path) as (server, _):
        try:
            line, headers, body = await ask(server, request_bytes)
        except ConnectionResetError:  # bytes of an oversized request that nobody read
            assert status.startswith("431")
        else:
            assert line == f"HTTP/1.1 {status}"
            assert bool(body) == (not request_bytes.startswith(b"HEAD"))
            assert headers.get("Allow") == ("GET" if status.startswith("405") else None)
        assert (await ask(server, get("/metrics")))[0] == "HTTP/1.1 200 OK"


async def test_a_page_that_fails_says_so_and_one_that_hangs_is_given_up(tmp_path):
    async with serving(tmp_path, limits=QUICK) as (server, _):
        assert (await ask(server, get("/healthz")))[2] == "ValueError: nothing there\n"
        assert (await ask(server, get("/hanging")))[0] == "HTTP/1.1 500 Internal Server Error"


async def test_a_client_that_sends_nothing_is_sent_away(tmp_path):
    async with serving(tmp_path, limits=QUICK) as (server, _):
        assert (await ask(server, b"GET /metr"))[0] == "HTTP/1.1 408 Request Timeout"
        _, writer = await asyncio.open_connection(*server.address)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await until(lambda: not server._answering)


async def test_a_client_that_reads_nothing_is_dropped(tmp_path, monkeypatch):
    async def endless():
        return Reply(HTTPStatus.OK, TEXT, "x" * 50_000_000)

    monkeypatch.setitem(PAGES, "/metrics", endless)
    async with serving(tmp_path, limits=QUICK) as (server, _):
        deaf = socket.create_connection(server.address)
        with deaf:
            deaf.sendall(get("/metrics"))
            await until(lambda: server._answering)
            await until(lambda: not server._answering)
        assert (await ask(server, get("/healthz")))[0] == "HTTP/1.1 500 Internal Server Error"


async def test_connections_are_counted(tmp_path):
    limits = Limits(connections=2, look_s=3600)
    async with serving(tmp_path, limits=limits) as (server, _):
        await until(lambda: not server._answering)
        held = [await asyncio.open_connection(*server.address) for _ in range(2)]
        await until(lambda: len(server._answering) == 2)
        assert (await ask(server, b""))[0] == "HTTP/1.1 503 Service Unavailable"
        for _, writer in held:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await until(lambda: not server._answering)
        assert (await ask(server, get("/metrics")))[0] == "HTTP/1.1 200 OK"


async def test_a_taken_port_is_told_once_and_had_when_it_is_free(tmp_path):
    holder = socket.create_server((HOST, 0))
    port = holder.getsockname()[1]
    async with serving(tmp_path, limits=QUICK, port=port, wait=False) as (server, store):
        await told(store, 1)
        await asyncio.sleep(0.2)
        ((kind, failed),) = await events(store)
        assert (kind, failed["port"]) == ("MetricsFailed", port)
        assert "address already in use" in failed["reason"]
        assert "METRICS_PORT" in failed["remedy"]
        holder.close()
        await until(lambda: server.address)
        assert (await ask(server, get("/metrics")))[0] == "HTTP/1.1 200 OK"
        assert (await told(store, 2))[1] == ("MetricsServed", {"port": port})


@pytest.mark.parametrize("how", ["closed", "shut"])
async def test_a_lost_socket_is_told_and_made_again(tmp_path, how, monkeypatch):
    made = []
    real = asyncio.start_server

    async def remembering(*arguments, **options):
        made.append(await real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(asyncio, "start_server", remembering)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    async with serving(tmp_path, limits=QUICK) as (server, store):
        if how == "closed":
            made[0].close()
        else:
            listening = socket.socket(fileno=socket.dup(made[0].sockets[0].fileno()))
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        await until(lambda: len(made) == 2 and server.address)
        assert (await ask(server, get("/metrics")))[0] == "HTTP/1.1 200 OK"
        assert [kind for kind, _ in await told(store, 2)] == ["MetricsFailed", "MetricsServed"]


async def test_a_store_that_takes_no_event_does_not_end_the_server(tmp_path, monkeypatch):
    refused = []

    async def full(event):
        refused.append(event)
        raise StoreError("the disk is full", remedy="Free space.")

    holder = socket.create_server((HOST, 0))
    async with serving(tmp_path, limits=QUICK, port=holder.getsockname()[1], wait=False) as (server, store):
        monkeypatch.setattr(store.events, "append", full)
        await until(lambda: refused)
        holder.close()
        await until(lambda: server.address)
