"""One-minute candles of Yahoo's chart, through yfinance.

Yahoo serves one-minute bars of the last HISTORY_DAYS days only, at most a week a request; what it would
answer with less is refused here. yfinance is synchronous and keeps its state in the process: it is called
in a thread, one request after another.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
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

HISTORY_DAYS: Final = 30
"""Yahoo: "The requested range must be within the last 30 days" for one-minute bars."""
HISTORY_MARGIN: Final = timedelta(minutes=10)
"""The oldest minutes fall out of Yahoo's history while they are being asked for."""
PAGE_DAYS: Final = 7
"""Yahoo: "Only 8 days worth of 1m granularity data are allowed to be fetched per request"; once 7."""
LIVE_EDGE: Final = timedelta(minutes=30)
"""The newest bar of an answer that reaches this near to now may hold the live price instead of its own."""
FIRST_PAUSE_S: Final = 1.0
RATE_PAUSE_S: Final = 15.0
"""First pause after "Too Many Requests": Yahoo does not say how long to wait."""
LONGEST_PAUSE_S: Final = 120.0
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
    """Why there is no answer, and how long to wait before it may be asked for again."""

    error: TradingAIError
    pause_s: float | None
    """None: asking again does not help."""


def browser_session(proxy: str | None) -> Any:
    """yfinance's own kind of session, through ``proxy`` where there is one."""
    from curl_cffi import requests

    session: Any = requests.Session(impersonate="chrome")
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    return session


class YahooHistory:
    """Raw one-minute candles of the last weeks. One instance a process: yfinance keeps one session."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        rng: np.random.Generator,
        *,
        cache: Path,
        new_session: NewSession = browser_session,
    ) -> None:
        """``rng`` draws the jitter of pauses; ``cache`` is a folder for yfinance's time zones and cookies."""
        self._clock = clock
        self._rng = rng
        self._timeout_s = settings.provider_timeout_s
        self._retries = settings.provider_retries
        proxy = None if settings.proxy_url is None else settings.proxy_url.get_secret_value()
        self._secret = proxy
        self._session = new_session(proxy)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _configure(cache)

    def earliest_us(self) -> int:
        """Open time of the oldest minute Yahoo still gives, up to the full hour (microseconds, UTC)."""
        oldest = self._clock.now() - timedelta(days=HISTORY_DAYS) + HISTORY_MARGIN
        hour = 60 * MINUTE_US
        return -(-datetime_to_us(oldest) // hour) * hour

    def refuse_too_early(self, first_us: int) -> None:
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

    async def page(self, symbol: str, first_us: int, until_us: int) -> Candles:
        """Raw candles of one request: closed ones that open from ``first_us`` on and end by ``until_us``.

        At most PAGE_DAYS from ``first_us`` on; minutes without a bar are missing. After a temporary failure
        it is asked again, PROVIDER_RETRIES times. Raises UsageError for a start before Yahoo's history,
        MissingError for a symbol that Yahoo does not have, DataError for an answer that cannot be trusted,
        and ProviderError when Yahoo does not answer.
        """
        self.refuse_too_early(first_us)
        now_us = datetime_to_us(self._clock.now())
        stop_us = min(until_us, first_us + _PAGE_US, now_us // MINUTE_US * MINUTE_US)
        if stop_us <= first_us:
            return _candles_of(None)
        attempt = 0
        while True:
            found = await asyncio.to_thread(self._ask, symbol, first_us, stop_us)
            if isinstance(found, Candles):
                at_edge = stop_us > now_us - LIVE_EDGE // timedelta(microseconds=1)
                return found[: len(found) - 1] if at_edge and len(found) else found
            if found.pause_s is None or attempt >= self._retries:
                raise found.error
            pause = min(LONGEST_PAUSE_S, found.pause_s * 2.0**attempt) * (0.5 + self._rng.random())
            _log.warning("%s; asked again in %.0f s", found.error.message, pause)
            attempt += 1
            await self._clock.sleep(pause)

    def _ask(self, symbol: str, first_us: int, stop_us: int) -> Candles | _Failure:
        """One request and what came of it. Runs in a thread."""
        span = f"{us_to_datetime(first_us):%Y-%m-%d %H:%M} to {us_to_datetime(stop_us):%Y-%m-%d %H:%M} UTC"
        try:
            return _checked(symbol, span, self._history(symbol, first_us, stop_us), first_us, stop_us)
        except TradingAIError as error:
            return _Failure(error, FIRST_PAUSE_S)
        except Exception as error:  # noqa: BLE001 - the library's boundary: whatever its HTTP client raises
            return _failure_of(error, self._said(error), symbol, span)

    def _history(self, symbol: str, first_us: int, stop_us: int) -> _Answer:
        """The bars that open in [first, stop); pre- and post-market included, or 23:59 would be left out."""
        import yfinance
        from yfinance.data import YfData

        YfData.cache_get.cache_clear()  # a failed answer would be given again for ever
        ticker = yfinance.Ticker(symbol, session=self._session)
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
    """A frame of yfinance as raw candles, in its order; None: none. Raises ValueError for text as numbers."""
    if frame is None:
        return Candles(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in _COLUMNS))
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
        return _Failure(_malformed(symbol, span, named), FIRST_PAUSE_S)
    return _Failure(_unavailable(f"Yahoo does not answer ({named})"), FIRST_PAUSE_S)


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
    return _Failure(_malformed(symbol, span, said), FIRST_PAUSE_S)


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
