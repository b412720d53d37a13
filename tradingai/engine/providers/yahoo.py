"""One-minute candles of Yahoo's chart, through yfinance.

Yahoo serves one-minute bars of the last HISTORY_DAYS days only, at most a week a request; what it would
answer with less is refused here. yfinance is synchronous and keeps its state in the process: it is called
in a thread, one request after another.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import DataError, MissingError, ProviderError, TradingAIError, UsageError
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.providers.exchange.retry import backoff_s, wait
from tradingai.engine.providers.fetch import FetchedPage

HISTORY_DAYS: Final = 30
"""Yahoo: "The requested range must be within the last 30 days" for one-minute bars."""
HISTORY_MARGIN: Final = timedelta(minutes=10)
"""The oldest minutes fall out of Yahoo's history while they are being asked for."""
PAGE_DAYS: Final = 7
"""Yahoo: "Only 8 days worth of 1m granularity data are allowed to be fetched per request"; once 7."""
LIVE_EDGE: Final = timedelta(minutes=30)
"""Bars nearer to now may still change, or hold the live price instead of their own."""
RATE_PAUSE_S: Final = 15.0
"""Pause after "Too Many Requests", beyond the usual one: Yahoo does not say how long to wait."""
HOST: Final = "query2.finance.yahoo.com"
VOLUME: Final = "turnover in the quote currency, whole units, 0 in many minutes"
"""Yahoo's volume is not an exchange's: it is kept as it is given, and the manifest says so."""
VOLUME_WARNING: Final = "Yahoo's volume is turnover, not the coins of an exchange: volume features differ"
_PAGE_US: Final = PAGE_DAYS * DAY_MINUTES * MINUTE_US
_COLUMNS: Final = ("Open", "High", "Low", "Close", "Volume")
_MALFORMED: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What yfinance raises when an answer is not of Yahoo's form; JSON errors are ValueErrors."""

NewSession = Callable[[str | None], Any]
"""Makes the session yfinance asks with, given a proxy's address."""
_log = logging.getLogger("tradingai.yahoo")


class _Answer(NamedTuple):
    """What one request brought: the bars as yfinance gives them, and Yahoo's description of them."""

    frame: Any
    meta: dict[str, Any]


class _Failure(NamedTuple):
    """Why there is no answer, and how much longer than usual to wait before it may be asked for again."""

    error: TradingAIError
    pause_s: float | None = 0.0
    """None: asking again does not help."""


def browser_session(proxy: str | None) -> Any:
    """yfinance's own kind of session, through ``proxy`` where there is one."""
    from curl_cffi import requests

    session: Any = requests.Session(impersonate="chrome")
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    return session


class YahooHistory:
    """A :class:`HistorySource` of one symbol. One instance a process: yfinance keeps one session."""

    def __init__(
        self,
        symbol: str,
        settings: Settings,
        *,
        clock: Clock,
        rng: np.random.Generator,
        cache: Path,
        safe_point: Callable[[], None] = lambda: None,
        new_session: NewSession | None = None,
    ) -> None:
        """``rng`` draws the jitter of pauses; ``cache`` is a folder for yfinance's time zones and cookies.

        ``safe_point`` is called while waiting, and may raise what ends the work. ``new_session`` None makes
        a :func:`browser_session`.
        """
        self._symbol = symbol
        self._clock = clock
        self._rng = rng
        self._safe_point = safe_point
        self._timeout_s = settings.provider_timeout_s
        self._retries = settings.provider_retries
        proxy = None if settings.proxy_url is None else settings.proxy_url.get_secret_value()
        self._secret = proxy
        self._session = (new_session or browser_session)(proxy)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _configure(cache)

    @property
    def provider(self) -> str:
        """``yfinance``."""
        return "yfinance"

    @property
    def origin(self) -> Mapping[str, Any]:
        """The symbol at Yahoo."""
        return {"market_symbol": self._symbol}

    @property
    def details(self) -> Mapping[str, Any]:
        """The server that gave it, and what its volume is."""
        return {"host": HOST, "volume": VOLUME}

    async def newest_us(self) -> int:
        """The newest minutes are left to Yahoo: in them the live price may stand in the place of a bar."""
        settled_us = datetime_to_us(self._clock.now() - LIVE_EDGE)
        return settled_us - settled_us % MINUTE_US

    def earliest_us(self) -> int:
        """Open time of the oldest minute Yahoo still gives, up to the full hour (microseconds, UTC)."""
        oldest = self._clock.now() - timedelta(days=HISTORY_DAYS) + HISTORY_MARGIN
        hour = 60 * MINUTE_US
        return -(-datetime_to_us(oldest) // hour) * hour

    async def page(self, since_us: int, until_us: int) -> FetchedPage:
        """The candles of one request, at most PAGE_DAYS of them; minutes without a bar are missing.

        After a temporary failure it is asked again, PROVIDER_RETRIES times. Raises UsageError for a start
        before Yahoo's history, MissingError for a symbol that Yahoo does not have, DataError for an answer
        that cannot be trusted, and ProviderError when Yahoo does not answer.
        """
        self._refuse_too_early(since_us)
        stop_us = min(until_us, since_us + _PAGE_US)
        for attempt in range(self._retries + 1):
            self._safe_point()
            found = await asyncio.to_thread(self._ask, since_us, stop_us)
            if isinstance(found, Candles):
                return FetchedPage(found, stop_us)
            if found.pause_s is None or attempt == self._retries:
                raise found.error
            pause = found.pause_s + backoff_s(attempt, self._rng)
            _log.warning("%s; asked again in %.0f s", found.error.message, pause)
            await wait(pause, self._clock, self._safe_point)
        raise AssertionError("unreachable")

    def _refuse_too_early(self, first_us: int) -> None:
        """Raise UsageError naming limit and earliest start when Yahoo has no minute bars of ``first_us``."""
        earliest_us = self.earliest_us()
        if first_us < earliest_us:
            earliest = us_to_datetime(earliest_us)
            raise UsageError(
                f"Yahoo gives one-minute candles of the last {HISTORY_DAYS} days only; "
                f"{us_to_datetime(first_us):%Y-%m-%dT%H:%MZ} is earlier",
                remedy=f"Begin at {earliest:%Y-%m-%dT%H:%MZ} or later, or take longer history from an "
                "exchange (--provider ccxt) or a file (`tradingai data import`).",
            )

    def _ask(self, first_us: int, stop_us: int) -> Candles | _Failure:
        """One request and what came of it. Runs in a thread."""
        symbol = self._symbol
        span = f"{us_to_datetime(first_us):%Y-%m-%d %H:%M} to {us_to_datetime(stop_us):%Y-%m-%d %H:%M} UTC"
        try:
            return _checked(symbol, span, self._history(first_us, stop_us), first_us, stop_us)
        except TradingAIError as error:
            return _Failure(error)
        except Exception as error:  # noqa: BLE001 - the library's boundary: whatever its HTTP client raises
            return _failure_of(error, self._said(error), symbol, span)

    def _history(self, first_us: int, stop_us: int) -> _Answer:
        """The bars that open in [first, stop); pre- and post-market included, or 23:59 would be left out."""
        import yfinance
        from yfinance.data import YfData

        YfData.cache_get.cache_clear()  # a failed answer would be given again for ever
        ticker = yfinance.Ticker(self._symbol, session=self._session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas' deprecations inside yfinance
            frame = ticker.history(
                start=us_to_datetime(first_us),
                end=us_to_datetime(stop_us),
                interval="1m",
                prepost=True,
                auto_adjust=False,
                actions=False,
                keepna=True,
                timeout=self._timeout_s,
            )
        return _Answer(frame, dict(ticker.history_metadata or {}))

    def _said(self, error: Exception) -> str:
        """An error's first line without the proxy's address, which may hold a password."""
        text = str(error).partition("\n")[0][:200]
        return text if self._secret is None else text.replace(self._secret, "PROXY_URL")


def _configure(cache: Path) -> None:
    """Make yfinance raise what goes wrong, and keep its files in the home."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # yfinance sets a filter of its own at import
        import yfinance
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(cache))


def _checked(symbol: str, span: str, answer: _Answer, first_us: int, stop_us: int) -> Candles:
    """The answer's candles within the span. Raises DataError for another symbol's, or another interval."""
    named, interval = answer.meta.get("symbol"), answer.meta.get("dataGranularity")
    if named != symbol or interval != "1m":
        raise _malformed(symbol, span, f"candles of {named} at {interval}, asked for {symbol} at 1m")
    quote, currency = symbol.rpartition("-")[2], answer.meta.get("currency")
    if currency != quote:
        raise _malformed(symbol, span, f"prices in {currency}, asked for {quote}")
    candles = _candles_of(answer.frame)
    wanted = (candles.ts % MINUTE_US == 0) & (candles.ts >= first_us) & (candles.ts < stop_us)
    candles = candles[wanted]
    if not np.isfinite(candles.close).any():
        raise _malformed(symbol, span, "no bar with a price")
    return candles


def _candles_of(frame: Any) -> Candles:
    """A frame of yfinance as raw candles, in its order. Raises ValueError for text as numbers."""
    ts = frame.index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return Candles(ts, *(frame[name].to_numpy(dtype=np.float64) for name in _COLUMNS))


def _failure_of(error: Exception, said: str, symbol: str, span: str) -> _Failure:
    """What an exception of yfinance or of its HTTP client means; ``said`` is its text."""
    from yfinance import exceptions as wrong

    named = f"{type(error).__name__}: {said}"
    if isinstance(error, wrong.YFRateLimitError):
        return _Failure(_unavailable("Yahoo: too many requests (429)"), RATE_PAUSE_S)
    if isinstance(error, wrong.YFTzMissingError) or _status(error) == HTTPStatus.NOT_FOUND:
        return _Failure(_unknown(symbol, "not found, it may be delisted"), None)
    if isinstance(error, wrong.YFPricesMissingError):
        return _without_prices(symbol, span, said.partition(": ")[2] or said)
    if isinstance(error, _MALFORMED):
        return _Failure(_malformed(symbol, span, named))
    return _Failure(_unavailable(f"Yahoo does not answer ({named})"))


def _status(error: Exception) -> int | None:
    """The HTTP status of an error of requests or curl_cffi that has one."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def _without_prices(symbol: str, span: str, said: str) -> _Failure:
    """What Yahoo's own words for "no prices" mean."""
    lower = said.lower()
    if "must be within the last" in lower or "days worth of" in lower:
        remedy = "Begin later; longer history comes from an exchange (--provider ccxt) or a file."
        return _Failure(UsageError(f"Yahoo refuses {span}: {said}", remedy=remedy), None)
    if "no data found" in lower:
        return _Failure(_unknown(symbol, said), None)
    return _Failure(_malformed(symbol, span, said))


def _unknown(symbol: str, why: str) -> MissingError:
    return MissingError(
        f"Yahoo has no candles of {symbol}: {why}",
        remedy="Look the symbol up at finance.yahoo.com: coins are BASE-USD there, for example BTC-USD.",
    )


def _malformed(symbol: str, span: str, what: str) -> DataError:
    return DataError(
        f"Yahoo's answer for {symbol} from {span} cannot be used: {what}",
        remedy="Nothing of it was stored. Try again later, or begin later; an exchange (--provider ccxt) is "
        "the better source.",
    )


def _unavailable(what: str) -> ProviderError:
    return ProviderError(
        what, remedy="Try again later; what was fetched is kept. Behind a firewall set PROXY_URL."
    )
