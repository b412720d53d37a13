"""One market's history as pages, whatever the exchange's way of giving it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.client import DAY_US, ExchangeClient, ServerTime
from tradingai.engine.providers.exchange.market import Market
from tradingai.engine.providers.exchange.rows import page_of
from tradingai.engine.providers.fetch import FetchedPage

WORTH_SAYING_S: Final = 60.0
"""A machine whose clock is further off than this is told so."""


class ExchangeHistory:
    """A :class:`HistorySource`."""

    def __init__(self, client: ExchangeClient, market: Market, clock: Clock) -> None:
        self._client = client
        self._market = market
        self._clock = clock
        self._time: ServerTime | None = None
        self._newest_us = 0
        self._days: tuple[int, tuple[int, ...]] | None = None
        """From which time on the days with candles are known, and those days."""

    @property
    def provider(self) -> str:
        """``ccxt``."""
        return "ccxt"

    @property
    def origin(self) -> Mapping[str, Any]:
        """Exchange and market: another market's candles are another history."""
        return {"exchange": self._client.exchange, "market_symbol": self._market.name}

    @property
    def details(self) -> Mapping[str, Any]:
        """The server that gave it."""
        return {"host": self._client.host}

    @property
    def clock_warning(self) -> str:
        """How far this machine's clock is off, where it matters; else nothing."""
        skew = 0.0 if self._time is None else self._time.skew_s
        if abs(skew) < WORTH_SAYING_S:
            return ""
        way = "ahead of" if skew > 0 else "behind"
        return f"this machine's clock is {abs(skew):,.0f} s {way} {self._client.exchange}'s"

    async def newest_us(self) -> int:
        """Closed by the exchange's clock and by this machine's: an open candle is not taken by mistake."""
        self._time = await self._client.time()
        now_us = min(self._time.at_us, datetime_to_us(self._clock.now()))
        self._newest_us = now_us - now_us % MINUTE_US
        return self._newest_us

    async def page(self, since_us: int, until_us: int) -> FetchedPage:
        """As :meth:`HistorySource.page`."""
        self._refuse_too_early(since_us)
        forward = self._client.traits.forward
        page = await self._client.candles(self._market, since_us, until_us, expected=forward)
        candles = page.candles
        if forward:
            return FetchedPage(candles, until_us if page.beyond else int(candles.ts.max()) + MINUTE_US)
        window = min(until_us, since_us + self._client.traits.page * MINUTE_US)
        if len(candles):
            return FetchedPage(candles, window)
        return await self._empty(since_us, window, until_us)

    def _refuse_too_early(self, since_us: int) -> None:
        limit = self._client.traits.history_minutes
        oldest_us = None if limit is None else self._newest_us - (limit - 1) * MINUTE_US
        if oldest_us is not None and since_us < oldest_us:
            raise UsageError(
                f"{self._client.exchange} serves only its newest {limit} one-minute candles, from "
                f"{us_to_datetime(oldest_us):%Y-%m-%d %H:%M} on; {us_to_datetime(since_us):%Y-%m-%d %H:%M} "
                "is earlier",
                remedy="Fetch history from --exchange binance or coinbase, or import a file.",
            )

    async def _empty(self, since_us: int, window_us: int, until_us: int) -> FetchedPage:
        """A window without a candle: before the listing, without trades, or an answer that was wrong.

        The days that have candles tell: where one lies in the window it is asked for once more, else all
        minutes up to the next such day are known to be empty.
        """
        day = await self._next_day(since_us)
        if day is not None and day < window_us:
            page = await self._client.candles(self._market, since_us, window_us, expected=False)
            return FetchedPage(page.candles, window_us)
        nothing = page_of((), since_us, window_us).candles
        return FetchedPage(nothing, until_us if day is None else max(window_us, min(day, until_us)))

    async def _next_day(self, since_us: int) -> int | None:
        """The first day with candles that ends after ``since_us``; None when there is none up to now."""
        at = since_us - since_us % DAY_US - DAY_US
        while at < self._newest_us:
            known = self._days
            if known is None or not known[0] <= at <= known[1][-1]:
                known = (at, await self._client.trading_days(self._market, at))
            later = [day for day in known[1] if day + DAY_US > since_us]
            if known[1]:
                self._days = known
            if later:
                return later[0]
            at += self._client.traits.page * DAY_US
        return None
