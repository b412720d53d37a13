"""One exchange's public endpoints: its time, candles, quotes and books, with retries and the rate limit."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeGuard, TypeVar
from urllib.parse import urlsplit

import numpy as np

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ProviderError
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.providers.exchange.connect import connect, host_of
from tradingai.engine.providers.exchange.faults import (
    LATER,
    ODD_ANSWERS,
    Answer,
    Fault,
    MalformedAnswerError,
    fault_of,
)
from tradingai.engine.providers.exchange.market import Market, market_of
from tradingai.engine.providers.exchange.pace import Pace
from tradingai.engine.providers.exchange.retry import backoff_s, wait
from tradingai.engine.providers.exchange.rows import Page, opening_times, page_of
from tradingai.engine.providers.exchange.traits import traits_of

T = TypeVar("T")
HEADROOM: Final = 0.9
"""The share of the published rate limit that is used: requests that left in time may arrive in a bunch."""
A_LONG_TURN_S: Final = 5.0
"""Whoever waits longer for its turn waits because the exchange has asked for it."""
MOST_UNREAD_SHARE: Final = 0.05
"""A page is refused when more of its rows have a value that cannot be read."""
DAY_US: Final = DAY_MINUTES * MINUTE_US
_answer: ContextVar[Answer] = ContextVar("answer")
"""What the request that runs in this task got."""
_rows_read: ContextVar[list[Any]] = ContextVar("rows_read")
"""Where the rows of the answer go that this task waits for."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quote:
    """The best prices at which one could sell and buy."""

    bid: float
    ask: float
    at_us: int
    """When it was received, by this machine's clock, microseconds since 1970 UTC."""

    @property
    def spread_bps(self) -> float:
        """Ask over bid, in basis points of their middle."""
        return 2e4 * (self.ask - self.bid) / (self.ask + self.bid)


@dataclass(frozen=True, slots=True)
class Book:
    """Resting orders: (price, amount of the base coin), the best first."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    at_us: int
    """When it was received, by this machine's clock, microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class ServerTime:
    """What time it is at the exchange."""

    at_us: int
    """Microseconds since 1970 UTC, to the exchange's precision."""
    skew_s: float
    """This machine's clock minus the exchange's, in seconds; above zero when this one is ahead."""
    uncertain_s: float
    """How far the skew may be wrong: half the round trip and half the precision."""


class ExchangeClient:
    """Use it as ``async with``, within one event loop. Its requests may run at the same time."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        rng: np.random.Generator,
        pace: Pace,
        exchange: str | None = None,
        safe_point: Callable[[], None] = lambda: None,
        patience_s: float = math.inf,
        on_pause: Callable[[str, float], None] = lambda _reason, _seconds: None,
    ) -> None:
        """``exchange`` is EXCHANGE unless given. ``safe_point`` is called before and while waiting, and may
        raise what ends the work. A failure after which one would have to wait longer than ``patience_s`` is
        raised at once; ``on_pause`` hears why and how many seconds it waits otherwise. Raises UsageError for
        an exchange ccxt does not know, and for a proxy it cannot use.
        """
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._retries = settings.provider_retries
        self._timeout_s = settings.provider_timeout_s
        self._safe_point = safe_point
        self._patience_s = patience_s
        self._on_pause = on_pause
        self._ccxt = connect(settings, exchange or settings.exchange)
        self.exchange: str = self._ccxt.id
        self.traits = traits_of(self.exchange, self._ccxt.features)
        self.host = host_of(self._ccxt)
        self._listen()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give connections back."""
        if urlsplit(self.host).scheme == "http":
            self._ccxt.timeout_on_exit = 0
        await self._ccxt.close()

    async def market(self, symbol: str) -> Market:
        """The exchange's market of ``BTC-USD``. Raises UsageError when it has none that trades now."""
        if not self._ccxt.markets:
            await self._ask("its list of markets", self._ccxt.load_markets)
        return market_of(self._ccxt.markets or {}, symbol, self.exchange)

    async def time(self) -> ServerTime:
        """The exchange's time, and how far this machine's clock is off."""

        async def ask() -> ServerTime:
            found = await self._ccxt.fetch_time()
            if isinstance(found, bool) or not isinstance(found, int | float) or found <= 0:
                raise MalformedAnswerError(f"no time: {_answer.get().quoted}")
            return self._server_time(int(found * 1000), _answer.get())

        return await self._ask("its time", ask)

    def _server_time(self, at_us: int, answer: Answer) -> ServerTime:
        round_trip = max(0.0, self._clock.monotonic() - answer.sent_at)
        step = 1.0 if at_us % 1_000_000 == 0 else 0.001
        here = self._clock.now().timestamp() - round_trip / 2
        return ServerTime(at_us, here - (at_us / 1e6 + step / 2), (round_trip + step) / 2)

    async def candles(self, market: Market, since_us: int, until_us: int, *, expected: bool) -> Page:
        """One-minute candles that open from ``since_us`` on and before ``until_us``, at most a page.

        Where the traits say ``forward`` the page has all there are up to its last one, else all there are
        in the window of a page's length. ``expected`` says that there is one at or after the first minute:
        an answer without any is asked for again. Raises ProviderError for one that cannot be read.
        """
        window = min(until_us, since_us + self.traits.page * MINUTE_US)
        what = f"candles of {market.name} from {us_to_datetime(since_us):%Y-%m-%d %H:%M}"

        async def ask() -> Page:
            rows = await self._rows(market, "1m", since_us, window)
            page = page_of(rows, since_us, until_us if self.traits.forward else window)
            if expected and not (len(page.candles) or page.beyond):
                raise MalformedAnswerError("none")
            return page

        page = await self._ask(what, ask)
        if page.unread:
            await wait(backoff_s(0, self._rng), self._clock, self._safe_point)
            page = await self._ask(what, ask)
        if len(page.unread) > MOST_UNREAD_SHARE * len(page.candles):
            raise ProviderError(
                f"{self.exchange} answered {what} with {len(page.unread)} values that are no numbers, "
                f"the first for {page.unread[0]}",
                remedy=LATER,
            )
        return page

    def answered_us(self) -> int | None:
        """The exchange's clock in the newest answer that this task got, microseconds to the full second.

        It was not earlier when the answer was made. None when the answer did not say.
        """
        return _answer.get(Answer()).dated_us

    async def trading_days(self, market: Market, since_us: int) -> tuple[int, ...]:
        """Opening times of the days from ``since_us`` on that have a candle, microseconds, at most a page."""

        async def ask() -> tuple[int, ...]:
            rows = await self._rows(market, "1d", since_us, since_us + self.traits.page * DAY_US)
            return tuple(sorted(opening_times(rows).tolist()))

        return await self._ask(f"days of {market.name}", ask)

    async def _rows(self, market: Market, timeframe: str, since_us: int, until_us: int) -> list[Any]:
        """The rows of one answer as ccxt reads them, neither sorted nor filtered."""
        read: list[Any] = []
        _rows_read.set(read)
        length = DAY_US if timeframe == "1d" else MINUTE_US
        count = max(1, (until_us - since_us) // length)
        await self._ccxt.fetch_ohlcv(market.name, timeframe, since_us // 1000, min(count, self.traits.page))
        envelope, answer = self.traits.envelope, _answer.get()
        if envelope is not None and f'"{envelope}"' not in answer.body:
            raise MalformedAnswerError(f"no {envelope}: {answer.quoted}")
        return read

    async def quote(self, market: Market) -> Quote:
        """The best bid and ask now."""

        async def ask() -> Quote:
            if self.traits.quote_call == "fetch_bids_asks":
                found = (await self._ccxt.fetch_bids_asks([market.name])).get(market.name)
            else:
                found = await self._ccxt.fetch_ticker(market.name)
            prices: dict[str, Any] = found or {}
            bid, offer = prices.get("bid"), prices.get("ask")
            if not (_is_price(bid) and _is_price(offer) and bid <= offer):
                raise MalformedAnswerError(f"bid {bid!r} and ask {offer!r}")
            return Quote(float(bid), float(offer), self._now_us())

        return await self._ask(f"a quote of {market.name}", ask)

    async def book(self, market: Market, depth: int) -> Book:
        """The best ``depth`` resting orders of both sides."""

        async def ask() -> Book:
            found = await self._ccxt.fetch_order_book(market.name, depth)
            bids, asks = (_levels(found.get(side), depth) for side in ("bids", "asks"))
            if not bids or not asks or bids[0][0] > asks[0][0]:
                raise MalformedAnswerError("a book without two sides")
            return Book(bids, asks, self._now_us())

        return await self._ask(f"the order book of {market.name}", ask)

    def _now_us(self) -> int:
        return datetime_to_us(self._clock.now())

    async def _ask(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """``call`` until it succeeds. Raises what the operator is to be told when it does not."""
        failures = _failures()
        for attempt in range(self._retries + 1):
            self._safe_point()
            try:
                return await call()
            except failures as error:
                fault = self._fault(error, what)
            if fault.wait_s is not None:
                self._pace.hold(fault.wait_s)
            if not fault.again or attempt == self._retries:
                raise fault.error
            pause = max(fault.wait_s or 0.0, backoff_s(attempt, self._rng))
            if pause > self._patience_s:
                raise fault.error
            _log.warning("%s; try %d of %d in %.1f s", fault.error, attempt + 2, self._retries + 1, pause)
            self._on_pause(fault.error.message, pause)
            await wait(pause, self._clock, self._safe_point)
        raise AssertionError("unreachable")

    def _fault(self, error: Exception, what: str) -> Fault:
        answer = getattr(error, "answer", None) or _answer.get(Answer())
        return fault_of(error, answer, self.exchange, what, self._timeout_s)

    def _listen(self) -> None:
        """See every answer as it came, keep the rate limit, and take rows before ccxt drops some.

        ccxt gives a page of HTML, an empty body and ``{}`` as "no candles", and leaves out rows without a
        time: none of that may pass for a market without trades.
        """
        exchange = self._ccxt
        plain_fetch = exchange.fetch

        async def fetch(*args: Any, **kwargs: Any) -> Any:
            answer = Answer(sent_at=self._clock.monotonic())
            _answer.set(answer)
            try:
                return await plain_fetch(*args, **kwargs)
            except Exception as error:
                error.answer = answer  # type: ignore[attr-defined]
                raise

        def on_rest_response(
            code: int, _reason: str, _url: str, _method: str, headers: Mapping[str, str], body: str, *_: Any
        ) -> str:
            answer = _answer.get()
            answer.status, answer.headers, answer.body = code, headers, body.strip()
            if code == 200 and answer.body[:1] not in {"{", "["}:
                raise MalformedAnswerError(f"no JSON: {answer.quoted or 'an empty body'}")
            return answer.body

        def parse_ohlcvs(rows: Any, market: Any = None, *_args: Any, **_kwargs: Any) -> list[Any]:
            if not isinstance(rows, list):
                raise MalformedAnswerError(f"no list of candles: {_answer.get().quoted}")
            _rows_read.get().extend(exchange.parse_ohlcv(row, market) for row in rows)
            return []

        async def throttle(cost: float | None = None) -> None:
            seconds = float(exchange.rateLimit) / 1000 * (1.0 if cost is None else cost) / HEADROOM
            pause = self._pace.reserve(seconds)
            if pause > self._patience_s:
                raise ProviderError(
                    f"{self.exchange} has asked to be left alone: the next request may go in {pause:,.0f} s",
                    remedy=LATER,
                )
            if pause >= A_LONG_TURN_S:
                self._on_pause(f"{exchange.id} has asked to be left alone", pause)
            await wait(pause, self._clock, self._safe_point)

        exchange.fetch = fetch
        exchange.on_rest_response = on_rest_response
        exchange.parse_ohlcvs = parse_ohlcvs
        exchange.throttle = throttle


def _failures() -> tuple[type[Exception], ...]:
    """What a request may raise that says something about the exchange or the way to it."""
    import aiohttp
    import ccxt

    return (ccxt.BaseError, aiohttp.ClientError, OSError, MalformedAnswerError, *ODD_ANSWERS)


def _is_price(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _levels(side: Any, depth: int) -> tuple[tuple[float, float], ...]:
    """Price and amount of each order. Raises MalformedAnswerError for what is none."""
    levels = []
    for row in (side or [])[:depth]:
        price, amount = row[0], row[1]
        if not (_is_price(price) and _is_price(amount)):
            raise MalformedAnswerError(f"an order of {amount!r} at {price!r}")
        levels.append((float(price), float(amount)))
    return tuple(levels)
