"""A guard: whoever resolves the name of another machine, or connects to one, fails loudly."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import TCPConnector


class LeftTheMachineError(BaseException):
    """No retry and no broad except of the code under test may swallow it."""


def _check(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        fine = name in {None, "localhost"} or ipaddress.ip_address(name).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise LeftTheMachineError(f"{name} is another machine")


@contextmanager
def loopback_only() -> Iterator[None]:
    """Within it nothing but this machine can be reached."""
    plain_connect, plain_resolve = socket.socket.connect, socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            _check(address[0])
        return plain_connect(self, address)

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check(host)
        return plain_resolve(host, *args, **kwargs)

    plain_lookup = TCPConnector._resolve_host

    async def lookup(self: TCPConnector, host: str, *args: Any, **kwargs: Any) -> Any:
        """aiohttp asks name servers by itself where aiodns is installed."""
        _check(host)
        return await plain_lookup(self, host, *args, **kwargs)

    socket.socket.connect, socket.getaddrinfo = connect, resolve  # type: ignore[method-assign,assignment]
    TCPConnector._resolve_host = lookup  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = plain_connect, plain_resolve  # type: ignore[method-assign]
        TCPConnector._resolve_host = plain_lookup  # type: ignore[method-assign]
