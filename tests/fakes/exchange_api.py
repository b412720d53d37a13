"""Strict exchanges on loopback for the real ccxt: every request is kept, what is not expected is refused.

Faults are given for requests of one-minute candles, one after another or by number:

    ok                nothing happens
    429:S 418:S       too many requests, Retry-After S seconds (429: none)
    451 403 500 502 503 504   such a status; 403 and 502 with HTML
    html empty {} null        200 with what is no answer
    cut               half of the body, then the connection is closed
    drop              the connection is closed without an answer
    slow:S            the answer comes after S real seconds
    short nulls words notime  the third row misses its values, has null or a word for the close, or no time
    all-nulls         every row has null for the close
    twice             every row is there twice
    early             rows from before the range come first
    off               the third row opens 15 seconds after the minute
    part              only the first half of the rows
    none              no rows
    busy              the exchange says that it is overloaded, in its own way
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.settings import Settings

from tests.fakes.exchange_formats import FORMATS, Format, Listed, Reply, UnexpectedError
from tests.fakes.homes import plain_settings
from tests.fakes.serving import serving

HTML = "<html><head><title>Sorry</title></head><body><h1>We will be back</h1></body></html>"
IDS = {
    "binance": lambda base, quote: f"{base}{quote}",
    "coinbase": lambda base, quote: f"{base}-{quote}",
    "coinbaseexchange": lambda base, quote: f"{base}-{quote}",
    "kraken": lambda base, quote: f"{base}{quote}",
}
BUSY = {
    "binance": (503, {"code": -1008, "msg": "Server is currently overloaded with other requests."}),
    "coinbase": (503, HTML),
    "coinbaseexchange": (503, {"message": "ServiceUnavailable"}),
    "kraken": (200, {"error": ["EService:Unavailable"]}),
}
"""What an exchange in maintenance, or with too much to do, answers."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    at: float
    """Monotonic seconds of the server's ticker."""
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    candles: bool
    weight: float
    fault: str = "ok"


@dataclass
class ExchangeApi:
    """What the server serves, what it was asked, and what goes wrong next."""

    exchange: str
    format: Format
    now_us: Callable[[], int]
    """The exchange's clock, microseconds."""
    port: int = 0
    dated: bool = True
    """Whether answers carry a Date."""
    script: deque[str] = field(default_factory=deque)
    """What happens to the next requests for candles."""
    on: dict[int, str] = field(default_factory=dict)
    """What happens to a request for candles by its number, from 0."""
    always: str = "ok"
    requests: list[Request] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Requests no client should make."""
    on_page: Callable[[int], None] = lambda _number: None
    """Called with the number of each request for candles before it is answered."""
    ticker: Callable[[], float] = time.monotonic
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"DATA_PROVIDER": "ccxt", "EXCHANGE": self.exchange, "EXCHANGE_API_URL": self.url}

    def settings(self, **changes: Any) -> Settings:
        """The defaults with this server."""
        given = {"data_provider": "ccxt", "exchange": self.exchange, "exchange_api_url": self.url}
        return plain_settings(**{**given, **changes})

    def list(self, base: str, quote: str, candles: Candles, **more: Any) -> Listed:
        """Add a market."""
        listed = Listed(base, quote, candles, **more)
        self.format.markets[IDS[self.exchange](base, quote)] = listed
        return listed

    @property
    def pages(self) -> list[Request]:
        """The requests for one-minute candles."""
        return [request for request in self.requests if request.candles]

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, Any, str, dict[str, str]]:
        """Status, document, what is done to it on the wire, and further headers."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            reply = self.format.reply(parts.path, query, self.now_us())
        except (UnexpectedError, KeyError, ValueError) as error:
            self.odd.append(f"GET {target} ({error!r})")
            return 404, {"message": "Not Found"}, "ok", {}
        fault = "ok"
        with self.turn:
            number = len(self.pages)
            if reply.candles:
                fault = self.on.get(number) or (self.script.popleft() if self.script else self.always)
            kept = Request(self.ticker(), parts.path, query, headers, reply.candles, reply.weight, fault)
            self.requests.append(kept)
        if reply.candles:
            self.on_page(number)
        return self.spoilt(reply, fault)

    def spoilt(self, reply: Reply, fault: str) -> tuple[int, Any, str, dict[str, str]]:
        what, _, value = fault.partition(":")
        if what in {"429", "418"}:
            more = {"Retry-After": value} if value else {}
            return int(what), {"code": -1003, "msg": "Way too much request weight used."}, "ok", more
        if what in {"403", "502"}:
            return int(what), HTML, "ok", {}
        if what == "451":
            text = "Service unavailable from a restricted location according to 'b. Eligibility'"
            return 451, {"code": 0, "msg": text}, "ok", {}
        if what.isdigit():
            return int(what), {"code": -1000, "msg": "An unknown error occurred."}, "ok", {}
        if what == "busy":
            return *BUSY[self.exchange], "ok", {}
        if what in {"html", "empty", "{}", "null"}:
            return 200, {"html": HTML, "empty": "", "{}": "{}", "null": "null"}[what], "ok", {}
        if what == "slow":
            time.sleep(float(value))
        if what in ROWS:
            reply.document = with_rows(reply.document, ROWS[what])
        return reply.status, reply.document, what if what in {"cut", "drop"} else "ok", {}


def with_rows(document: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    """The document with its rows changed, wherever the exchange keeps them; oldest first for ``change``."""
    if isinstance(document, list):
        return change(document)
    if "candles" in document:
        return {"candles": change(document["candles"][::-1])[::-1]}
    result = document["result"]
    return {
        "error": [],
        "result": {name: change(rows) if name != "last" else rows for name, rows in result.items()},
    }


def _third(change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [change(row) if index == 2 else row for index, row in enumerate(rows)]


def _close(value: Any) -> Callable[[Any], Any]:
    """The fifth value is the close at Binance, Kraken and Coinbase Exchange alike."""
    return lambda row: {**row, "close": value} if isinstance(row, dict) else [*row[:4], value, *row[5:]]


def _later(row: Any) -> Any:
    if isinstance(row, dict):
        return {**row, "start": str(int(row["start"]) + 15)}
    return [row[0] + (15_000 if row[0] > 10**11 else 15), *row[1:]]


def _earlier(row: Any, minutes: int) -> Any:
    if isinstance(row, dict):
        return {**row, "start": str(int(row["start"]) - 60 * minutes)}
    return [row[0] - minutes * (60_000 if row[0] > 10**11 else 60), *row[1:]]


ROWS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "short": _third(lambda row: {"start": row["start"]} if isinstance(row, dict) else row[:1]),
    "nulls": _third(_close(None)),
    "words": _third(_close("n/a")),
    "notime": _third(lambda row: {**row, "start": None} if isinstance(row, dict) else [None, *row[1:]]),
    "all-nulls": lambda rows: [_close(None)(row) for row in rows],
    "twice": lambda rows: [row for row in rows for _ in range(2)],
    "early": lambda rows: [*(_earlier(row, 3) for row in rows[:3]), *rows],
    "off": _third(_later),
    "part": lambda rows: rows[: len(rows) // 2],
    "none": lambda _rows: [],
}


def handler(api: ExchangeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *_: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(api.now_us() / 1e6)

        def send_header(self, keyword: str, value: str) -> None:
            if api.dated or keyword != "Date":
                super().send_header(keyword, value)

        def do_GET(self) -> None:
            status, document, wire, more = api.answer(self.path, dict(self.headers))
            body = (document if isinstance(document, str) else json.dumps(document)).encode()
            if wire == "drop":
                self.close_connection = True
                return
            html = document == HTML
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if html else "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if wire == "cut" else body)
            self.close_connection = wire == "cut" or self.close_connection

        def do_POST(self) -> None:
            api.odd.append(f"POST {self.path}")
            self.send_error(405)

    return Handler


@contextmanager
def exchange_api(
    exchange: str, now_us: Callable[[], int] | int | Any, *, ticker: Callable[[], float] = time.monotonic
) -> Iterator[ExchangeApi]:
    """A running server of ``exchange`` whose clock shows ``now_us`` (a function, microseconds or a time)."""
    if not callable(now_us):
        fixed = now_us if isinstance(now_us, int) else datetime_to_us(now_us)
        api = ExchangeApi(exchange, FORMATS[exchange](), lambda: fixed, ticker=ticker)
    else:
        api = ExchangeApi(exchange, FORMATS[exchange](), now_us, ticker=ticker)
    with serving(handler(api)) as port:
        api.port = port
        yield api
