"""Yahoo's chart on loopback for the real yfinance: what is not expected is kept and refused.

Faults are given for chart requests with a period, one after another.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US

from tests.fakes.serving import serving

HISTORY_DAYS = 30
REQUEST_DAYS = 8
UNPROCESSABLE = "Unprocessable Entity"
HOST = "X-Original-Host"
Rows = dict[str, list[Any]]
"""Parallel lists: ``timestamp`` and the five prices."""


@dataclass
class YahooApi:
    """What the server knows, what it was asked, and what it does next."""

    clock: Clock
    market: dict[str, Candles]
    """By Yahoo's symbol; opened after the clock's time they do not exist yet."""
    port: int = 0
    script: deque[str] = field(default_factory=deque)
    """Of chart requests: ``ok``, a status such as ``429`` or ``500``, ``html``, ``down``, ``drop``,
    ``hang:2``, ``cut``, ``{}``, ``null``, ``empty``, or what to do to the document: a name in DAMAGES."""
    always: str = "ok"
    """What it does once the script is empty."""
    zone_script: deque[str] = field(default_factory=deque)
    """The same for the request by which yfinance learns a symbol's time zone."""
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    """(symbol, period1, period2) of every chart request with a period."""
    requests: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Requests no client should make."""

    def answer(self, host: str, target: str) -> tuple[int, str]:
        """Status and body; status 0: close without an answer."""
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.requests.append(f"{host}{target}")
        if (host, url.path) == ("fc.yahoo.com", "/"):
            return 404, ""
        if host.startswith("query") and url.path == "/v1/test/getcrumb":
            return 200, "crumb"
        if (host, url.path) == ("guce.yahoo.com", "/consent"):
            return 200, "<html></html>"
        if url.path.startswith("/v10/finance/quoteSummary/"):
            return refusal(404, "Not Found", "Quote not found")
        path = url.path.removeprefix("/v8/finance/chart/")
        if host != "query2.finance.yahoo.com" or path == url.path:
            self.odd.append(f"{host}{target}")
            return 404, "not here"
        return self.chart(path, query)

    def chart(self, symbol: str, query: dict[str, str]) -> tuple[int, str]:
        if symbol not in self.market:
            return refusal(404, "Not Found", "No data found, symbol may be delisted")
        if "range" in query:
            if self.zone_script:
                return self.told(self.zone_script.popleft(), symbol, 0, 0)
            return 200, json.dumps(document(symbol, query["interval"], self.rows(symbol, 0, 0)))
        if query.get("interval") != "1m" or query.get("includePrePost", "").lower() != "true":
            self.odd.append(f"chart {query}")
        begin, end = int(query["period1"]), int(query["period2"])
        self.asked.append((symbol, begin, end))
        what = self.script.popleft() if self.script else self.always
        return self.told(what, symbol, begin, end)

    def told(self, what: str, symbol: str, begin: int, end: int) -> tuple[int, str]:
        now = datetime_to_us(self.clock.now()) // 1_000_000
        if what.isdigit():
            return int(what), "<html><body>no</body></html>"
        if what in TEXTS:
            return 200, TEXTS[what]
        if what == "drop":
            return 0, ""
        if what.startswith("hang"):
            threading.Event().wait(float(what.partition(":")[2]))
        if begin < now - HISTORY_DAYS * 86_400:
            words = f"1m data not available for startTime={begin} and endTime={end}. The requested range "
            return refusal(422, UNPROCESSABLE, f"{words}must be within the last {HISTORY_DAYS} days.")
        if end - begin > REQUEST_DAYS * 86_400:
            words = f"Only {REQUEST_DAYS} days worth of 1m granularity data are allowed to be fetched "
            return refusal(422, UNPROCESSABLE, f"{words}per request.")
        answer = document(symbol, "1m", self.rows(symbol, begin, end))
        if what in DAMAGES:
            DAMAGES[what](answer["chart"]["result"][0])
        return 200, json.dumps(answer)[: -40 if what == "cut" else None]

    def rows(self, symbol: str, begin: int, end: int) -> Rows:
        """Bars that opened in [begin, end) as Yahoo lists them; running minute and live price come last."""
        candles, now_us = self.market[symbol], datetime_to_us(self.clock.now())
        ts = candles.ts
        found = candles[(ts >= begin * 1_000_000) & (ts < end * 1_000_000) & (ts <= now_us)]
        rows: Rows = {"timestamp": (found.ts // 1_000_000).tolist()}
        rows |= {name: getattr(found, name).tolist() for name in PRICE_COLUMNS}
        rows["volume"] = [int(value) for value in rows["volume"]]
        if len(found) and end * 1_000_000 > now_us - MINUTE_US:
            live = (now_us // 1_000_000, *[rows["close"][-1] * 1.5] * 4, 0)
            for name, value in zip(("timestamp", *PRICE_COLUMNS), live, strict=True):
                rows[name].append(value)
        return rows


def refusal(status: int, code: str, words: str) -> tuple[int, str]:
    return status, json.dumps({"chart": {"result": None, "error": {"code": code, "description": words}}})


def document(symbol: str, interval: str, rows: Rows) -> dict[str, Any]:
    """A chart as Yahoo answers it."""
    day = DAY_MINUTES * 60
    start = rows["timestamp"][0] // day * day if rows["timestamp"] else 0
    meta = {
        "currency": symbol.rpartition("-")[2],
        "symbol": symbol,
        "instrumentType": "CRYPTOCURRENCY",
        "exchangeTimezoneName": "UTC",
        "gmtoffset": 0,
        "timezone": "UTC",
        "priceHint": 2,
        "dataGranularity": interval,
        "range": "",
        "tradingPeriods": [[{"timezone": "UTC", "start": start, "end": start + day - 60, "gmtoffset": 0}]],
        "validRanges": ["1d", "5d", "1mo", "max"],
    }
    quote = {name: rows[name] for name in PRICE_COLUMNS}
    result = {"meta": meta, "timestamp": rows["timestamp"], "indicators": {"quote": [quote]}}
    return {"chart": {"result": [result], "error": None}}


def _quote(result: dict[str, Any]) -> dict[str, list[Any]]:
    quote: dict[str, list[Any]] = result["indicators"]["quote"][0]
    return quote


def _nulls(result: dict[str, Any]) -> None:
    for name in PRICE_COLUMNS:
        _quote(result)[name][3] = None


def _strings(result: dict[str, Any]) -> None:
    _quote(result)["close"] = [str(value) for value in _quote(result)["close"]]


def _words(result: dict[str, Any]) -> None:
    _quote(result)["close"][3] = "n/a"


def _volume_words(result: dict[str, Any]) -> None:
    _quote(result)["volume"][3] = "many"


def _shuffled(result: dict[str, Any]) -> None:
    order = np.random.default_rng(1).permutation(len(result["timestamp"]))
    for rows in (result["timestamp"], *_quote(result).values()):
        rows[:] = [rows[index] for index in order]


def _repeated(result: dict[str, Any]) -> None:
    for rows in (result["timestamp"], *_quote(result).values()):
        rows[5:5] = rows[2:5]


def _other_symbol(result: dict[str, Any]) -> None:
    result["meta"]["symbol"] = "ETH-BTC"


def _other_interval(result: dict[str, Any]) -> None:
    result["meta"]["dataGranularity"] = "5m"


def _other_currency(result: dict[str, Any]) -> None:
    result["meta"]["currency"] = "EUR"


def _short(result: dict[str, Any]) -> None:
    _quote(result)["open"].pop()


def _no_close(result: dict[str, Any]) -> None:
    del _quote(result)["close"]


def _no_times(result: dict[str, Any]) -> None:
    del result["timestamp"]


def _no_meta(result: dict[str, Any]) -> None:
    result["meta"] = {}


def _all_null(result: dict[str, Any]) -> None:
    for rows in _quote(result).values():
        rows[:] = [None] * len(rows)


DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "nulls": _nulls,
    "strings": _strings,
    "words": _words,
    "volume words": _volume_words,
    "shuffled": _shuffled,
    "repeated": _repeated,
    "other symbol": _other_symbol,
    "other interval": _other_interval,
    "other currency": _other_currency,
    "short": _short,
    "no close": _no_close,
    "no times": _no_times,
    "no meta": _no_meta,
    "all null": _all_null,
}
TEXTS = {
    "html": "<html><body>Please wait</body></html>",
    "down": "<html>Will be right back</html>",
    "{}": "{}",
    "null": "null",
    "empty": '{"chart": {"result": [], "error": null}}',
}


class Loopback(HTTPAdapter):
    """Sends every request to the server, and names the host it was meant for."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def send(self, request: Any, **options: Any) -> Any:
        parts = urlsplit(request.url)
        request.headers[HOST] = parts.netloc
        query = f"?{parts.query}" if parts.query else ""
        request.url = f"http://127.0.0.1:{self._port}{parts.path or '/'}{query}"
        return super().send(request, **{**options, "proxies": {}})


def loopback_session(port: int) -> requests.Session:
    """A session for yfinance that reaches nothing but the server."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Loopback(port))
    session.mount("http://", Loopback(port))
    return session


def loopback_curl(port: int) -> Any:
    """The same with curl, the backend yfinance prefers."""
    from curl_cffi.requests import Session

    class Curl(Session):
        def request(self, method: str, url: str, **options: Any) -> Any:
            parts = urlsplit(url)
            headers = {**(options.pop("headers", None) or {}), HOST: parts.netloc}
            query = f"?{parts.query}" if parts.query else ""
            target = f"http://127.0.0.1:{port}{parts.path or '/'}{query}"
            return super().request(method, target, headers=headers, **options)

    return Curl(impersonate="chrome", trust_env=False)


def handler(api: YahooApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            status, text = api.answer(self.headers.get(HOST, ""), self.path)
            self.close_connection = status == 0
            if status == 0:
                return
            body = text.encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

    return Handler


@contextmanager
def yahoo_api(clock: Clock, market: dict[str, Candles]) -> Iterator[YahooApi]:
    """A running server."""
    api = YahooApi(clock, market)
    with serving(handler(api)) as port:
        api.port = port
        yield api


def fresh_yfinance() -> None:
    """Make yfinance forget what it learned of an earlier server."""
    from yfinance.data import SingletonMeta

    SingletonMeta._instances.clear()
