"""Binance's, Coinbase's and Kraken's public REST formats: what a strict server answers to one request.

Each format takes path and query and returns status, document and whether candles were asked for. Only what
the real API documents is accepted; anything else is a 404 that the server keeps as odd.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US

Query = dict[str, str]


class UnexpectedError(Exception):
    """A request no client should make."""


@dataclass
class Reply:
    status: int
    document: Any
    candles: bool = False
    """Whether it is an answer to a request for one-minute candles."""
    weight: float = 1.0


@dataclass
class Listed:
    """One market of the exchange."""

    base: str
    quote: str
    candles: Candles
    """Of its whole history; consecutive minutes or with holes."""
    trading: bool = True
    bid: float = 99.0
    ask: float = 101.0

    def rows(self, first_us: int, last_us: int, most: int) -> Candles:
        """The oldest ``most`` candles that open from ``first_us`` to ``last_us``, both included."""
        start = int(np.searchsorted(self.candles.ts, first_us))
        stop = int(np.searchsorted(self.candles.ts, last_us, side="right"))
        return self.candles[start : min(stop, start + most)]

    def days(self, first_us: int, last_us: int) -> list[tuple[int, float, float, float, float, float]]:
        """Daily candles of the days that begin in the range and have a minute."""
        day_us = DAY_MINUTES * MINUTE_US
        found = []
        for day in range(-(-first_us // day_us) * day_us, last_us + 1, day_us):
            part = self.rows(day, day + day_us - MINUTE_US, DAY_MINUTES)
            if len(part):
                values = (part.open[0], part.high.max(), part.low.min(), part.close[-1], part.volume.sum())
                found.append((day, *(float(value) for value in values)))
        return found


@dataclass
class Format:
    """What the formats share."""

    markets: dict[str, Listed] = field(default_factory=dict)
    """By the exchange's own id."""
    page: ClassVar[int] = 0

    def reply(self, path: str, query: Query, now_us: int) -> Reply:
        raise NotImplementedError

    @staticmethod
    def only(query: Query, *allowed: str) -> None:
        if set(query) - set(allowed):
            raise UnexpectedError(f"parameters {sorted(set(query) - set(allowed))}")


class BinanceFormat(Format):
    page = 1000

    def reply(self, path: str, query: Query, now_us: int) -> Reply:
        answers = {
            "/api/v3/time": self.time,
            "/api/v3/exchangeInfo": self.info,
            "/api/v3/klines": self.klines,
            "/api/v3/ticker/bookTicker": self.book_ticker,
            "/api/v3/depth": self.depth,
        }
        if path not in answers:
            raise UnexpectedError(path)
        return answers[path](query, now_us)

    def time(self, query: Query, now_us: int) -> Reply:
        self.only(query)
        return Reply(200, {"serverTime": now_us // 1000}, weight=1)

    def info(self, query: Query, now_us: int) -> Reply:
        self.only(query)
        symbols = [
            {
                "symbol": name, "status": "TRADING" if one.trading else "BREAK", "baseAsset": one.base,
                "quoteAsset": one.quote, "filters": [], "isSpotTradingAllowed": True, "permissions": ["SPOT"],
            }
            for name, one in self.markets.items()
        ]  # fmt: skip
        document = {"timezone": "UTC", "serverTime": now_us // 1000, "rateLimits": [], "symbols": symbols}
        return Reply(200, document, weight=20)

    def klines(self, query: Query, now_us: int) -> Reply:
        self.only(query, "symbol", "interval", "startTime", "endTime", "limit")
        if query.get("interval") not in {"1m", "1d"}:
            return Reply(400, {"code": -1120, "msg": "Invalid interval."})
        one = self.markets.get(query.get("symbol", ""))
        if one is None:
            return Reply(400, {"code": -1121, "msg": "Invalid symbol."})
        most = min(int(query.get("limit", 500)), self.page)
        start = int(query["startTime"]) * 1000 if "startTime" in query else 0
        end = min(int(query["endTime"]) * 1000 if "endTime" in query else now_us, now_us)
        if query["interval"] == "1d":
            rows = [self.row(*day, 86_400_000) for day in one.days(start, end)[:most]]
            return Reply(200, rows, weight=2)
        found = one.rows(start, end, most) if "startTime" in query else one.rows(0, end, 10**9)[-most:]
        columns = (found.ts, found.open, found.high, found.low, found.close, found.volume)
        rows = [self.row(*values, 60_000) for values in zip(*(c.tolist() for c in columns), strict=True)]
        return Reply(200, rows, candles=True, weight=2)

    @staticmethod
    def row(us: int, o: float, h: float, low: float, c: float, v: float, length: int) -> list[Any]:
        ms = us // 1000
        return [ms, repr(o), repr(h), repr(low), repr(c), repr(v), ms + length - 1, "0", 7, "0", "0", "0"]

    def book_ticker(self, query: Query, now_us: int) -> Reply:
        self.only(query, "symbols")
        names = query["symbols"].strip("[]").replace('"', "").split(",")
        rows = [
            {
                "symbol": name,
                "bidPrice": repr(one.bid),
                "bidQty": "1.0",
                "askPrice": repr(one.ask),
                "askQty": "2.0",
            }
            for name in names
            if (one := self.markets.get(name))
        ]
        return Reply(200, rows, weight=4)

    def depth(self, query: Query, now_us: int) -> Reply:
        self.only(query, "symbol", "limit")
        one, most = self.markets[query["symbol"]], int(query.get("limit", 100))
        bids = [[repr(one.bid - step), "1.5"] for step in range(most)]
        asks = [[repr(one.ask + step), "2.5"] for step in range(most)]
        return Reply(200, {"lastUpdateId": 1, "bids": bids, "asks": asks}, weight=5)


class CoinbaseFormat(Format):
    """Advanced Trade, public: newest first, no rows for minutes without trades."""

    page = 350
    products = "/api/v3/brokerage/market/products"

    def reply(self, path: str, query: Query, now_us: int) -> Reply:
        simple = {
            "/v2/currencies": {"data": [{"id": "USD", "name": "US Dollar", "min_size": "0.01"}]},
            "/v2/currencies/crypto": {
                "data": [{"asset_id": one.base, "code": one.base, "name": one.base, "exponent": 8}
                         for one in self.markets.values()]
            },
            "/v2/exchange-rates": {"data": {"currency": "USD", "rates": {"BTC": "0.00001"}}},
            "/v2/time": {"data": {"iso": "", "epoch": now_us // 1_000_000}},
        }  # fmt: skip
        if path in simple:
            self.only(query)
            return Reply(200, simple[path])
        if path == self.products:
            return self.listed(query)
        name, _, call = path.removeprefix(f"{self.products}/").partition("/")
        if path == "/api/v3/brokerage/market/product_book":
            return self.book(query)
        if name not in self.markets or call not in {"candles", "ticker"}:
            raise UnexpectedError(path)
        return self.candles(name, query, now_us) if call == "candles" else self.ticker(name, query)

    def listed(self, query: Query) -> Reply:
        self.only(query, "product_type")
        if query.get("product_type") == "FUTURE":
            return Reply(200, {"products": []})
        products = [
            {
                "product_id": name, "base_currency_id": one.base, "quote_currency_id": one.quote,
                "product_type": "SPOT", "trading_disabled": not one.trading, "base_increment": "0.00000001",
                "price_increment": "0.01", "alias_to": [],
            }
            for name, one in self.markets.items()
        ]  # fmt: skip
        return Reply(200, {"products": products, "num_products": len(products)})

    def candles(self, name: str, query: Query, now_us: int) -> Reply:
        self.only(query, "granularity", "start", "end")
        lengths = {"ONE_MINUTE": 60, "ONE_DAY": 86_400}
        length = lengths[query["granularity"]]
        start, end = int(query["start"]), int(query["end"])
        if (end - start) // length > self.page:
            text = "start and end argument is invalid - number of candles requested should be less than 350"
            return Reply(400, {"error": "INVALID_ARGUMENT", "error_details": text, "message": text})
        last_us = min(end * 1_000_000, now_us)
        if length == 60:
            found = self.markets[name].rows(start * 1_000_000, last_us, self.page)
            columns = (found.ts, found.open, found.high, found.low, found.close, found.volume)
            rows = list(zip(*(column.tolist() for column in columns), strict=True))
        else:
            rows = self.markets[name].days(start * 1_000_000, last_us)[: self.page]
        documents = [
            {"start": str(us // 1_000_000), "low": repr(low), "high": repr(h), "open": repr(o),
             "close": repr(c), "volume": repr(v)}
            for us, o, h, low, c, v in reversed(rows)
        ]  # fmt: skip
        return Reply(200, {"candles": documents}, candles=length == 60)

    def ticker(self, name: str, query: Query) -> Reply:
        self.only(query, "limit")
        one = self.markets[name]
        trade = {"trade_id": "1", "product_id": name, "price": "100", "size": "1", "side": "BUY",
                 "time": "2025-11-10T01:00:00Z", "bid": "", "ask": ""}  # fmt: skip
        return Reply(200, {"trades": [trade], "best_bid": repr(one.bid), "best_ask": repr(one.ask)})

    def book(self, query: Query) -> Reply:
        self.only(query, "product_id", "limit")
        one, most = self.markets[query["product_id"]], int(query["limit"])
        sides = {
            "bids": [{"price": repr(one.bid - step), "size": "1.5"} for step in range(most)],
            "asks": [{"price": repr(one.ask + step), "size": "2.5"} for step in range(most)],
        }
        return Reply(
            200, {"pricebook": {"product_id": query["product_id"], **sides, "time": "2025-11-10T01:00:00Z"}}
        )


class CoinbaseExchangeFormat(Format):
    """api.exchange.coinbase.com: newest first, both ends of a window included, 300 buckets at the most."""

    page = 301

    def reply(self, path: str, query: Query, now_us: int) -> Reply:
        simple = {
            "/time": {"iso": "", "epoch": now_us / 1e6},
            "/currencies": [{"id": one.base, "name": one.base} for one in self.markets.values()],
            "/products": [
                {"id": name, "base_currency": one.base, "quote_currency": one.quote,
                 "quote_increment": "0.01", "base_increment": "0.00000001",
                 "status": "online" if one.trading else "delisted", "trading_disabled": not one.trading}
                for name, one in self.markets.items()
            ],
        }  # fmt: skip
        if path in simple:
            self.only(query)
            return Reply(200, simple[path])
        name, _, call = path.removeprefix("/products/").partition("/")
        one = self.markets.get(name)
        if one is None or call not in {"candles", "ticker", "book"}:
            raise UnexpectedError(path)
        if call == "candles":
            return self.candles(one, query, now_us)
        if call == "ticker":
            self.only(query)
            values = {"price": "100", "bid": repr(one.bid), "ask": repr(one.ask), "volume": "5", "size": "1"}
            return Reply(200, {**values, "time": "2025-11-10T01:00:00Z", "trade_id": 1})
        self.only(query, "level")
        bids = [[repr(one.bid - step), "1.5", 1] for step in range(50)]
        asks = [[repr(one.ask + step), "2.5", 1] for step in range(50)]
        return Reply(200, {"sequence": 1, "bids": bids, "asks": asks})

    def candles(self, one: Listed, query: Query, now_us: int) -> Reply:
        self.only(query, "granularity", "start", "end")
        length = int(query["granularity"])
        start, end = (datetime_to_us(datetime.fromisoformat(query[name])) for name in ("start", "end"))
        if length not in {60, 86_400} or (end - start) // (length * 1_000_000) > 300:
            why = "granularity too small for the requested time range."
            return Reply(400, {"message": f"{why} Count of aggregations requested exceeds 300"})
        last_us = min(end, now_us)
        if length == 60:
            found = one.rows(start, last_us, self.page)
            rows = list(zip(*(column.tolist() for column in found.columns().values()), strict=True))
        else:
            rows = one.days(start, last_us)[: self.page]
        values = [[us // 1_000_000, low, high, o, c, v] for us, o, high, low, c, v in reversed(rows)]
        return Reply(200, values, candles=length == 60)


class KrakenFormat(Format):
    """The 720 newest minutes, whatever is asked for; HTTP 200 also for errors."""

    page = 720

    def reply(self, path: str, query: Query, now_us: int) -> Reply:
        answers = {"Time": self.time, "Assets": self.assets, "AssetPairs": self.pairs, "OHLC": self.ohlc,
                   "Ticker": self.ticker, "Depth": self.depth}  # fmt: skip
        call = path.removeprefix("/0/public/")
        if call not in answers:
            raise UnexpectedError(path)
        result, candles = answers[call](query, now_us), call == "OHLC"
        if isinstance(result, str):
            return Reply(200, {"error": [result]}, candles=candles)
        return Reply(200, {"error": [], "result": result}, candles=candles)

    def time(self, query: Query, now_us: int) -> Any:
        self.only(query)
        return {"unixtime": now_us // 1_000_000, "rfc1123": ""}

    def assets(self, query: Query, now_us: int) -> Any:
        self.only(query)
        names = {one.base for one in self.markets.values()} | {"USD"}
        return {
            name: {"aclass": "currency", "altname": "XBT" if name == "BTC" else name, "decimals": 10,
                   "display_decimals": 5, "status": "enabled"}
            for name in names
        }  # fmt: skip

    def pairs(self, query: Query, now_us: int) -> Any:
        self.only(query)
        return {
            name: {
                "altname": f"{one.base}{one.quote}", "wsname": f"{one.base}/{one.quote}", "base": one.base,
                "quote": one.quote, "pair_decimals": 1, "lot_decimals": 8, "fees": [[0, 0.4]],
                "fees_maker": [[0, 0.25]], "leverage_buy": [2], "ordermin": "0.00005", "costmin": "0.5",
                "tick_size": "0.1", "status": "online" if one.trading else "cancel_only",
            }
            for name, one in self.markets.items()
        }  # fmt: skip

    def ohlc(self, query: Query, now_us: int) -> Any:
        self.only(query, "pair", "interval", "since")
        if query["pair"] not in self.markets:
            return "EQuery:Unknown asset pair"
        newest = self.markets[query["pair"]].rows(0, now_us, 10**9)[-self.page :]
        newest = newest[newest.ts > int(query.get("since", 0)) * 1_000_000]
        rows = [
            [us // 1_000_000, repr(o), repr(h), repr(low), repr(c), repr(c), repr(v), 4]
            for us, o, h, low, c, v in zip(
                *(column.tolist() for column in newest.columns().values()), strict=True
            )
        ]
        return {query["pair"]: rows, "last": rows[-2][0] if len(rows) > 1 else 0}

    def ticker(self, query: Query, now_us: int) -> Any:
        self.only(query, "pair")
        one = self.markets[query["pair"]]
        # fmt: off
        pair = {"a": [repr(one.ask), "1", "1.000"], "b": [repr(one.bid), "1", "1.000"], "c": ["100", "0.1"],
                "v": ["1", "2"], "p": ["2", "2"], "t": [1, 2], "l": ["1", "1"], "h": ["3", "3"], "o": "2"}
        # fmt: on
        return {query["pair"]: pair}

    def depth(self, query: Query, now_us: int) -> Any:
        self.only(query, "pair", "count")
        one, most = self.markets[query["pair"]], int(query["count"])
        bids = [[repr(one.bid - step), "1.5", now_us // 1_000_000] for step in range(most)]
        asks = [[repr(one.ask + step), "2.5", now_us // 1_000_000] for step in range(most)]
        return {query["pair"]: {"asks": asks, "bids": bids}}


FORMATS = {
    "binance": BinanceFormat, "coinbase": CoinbaseFormat, "coinbaseexchange": CoinbaseExchangeFormat,
    "kraken": KrakenFormat,
}  # fmt: skip
"""By ccxt's name of the exchange."""
