"""The fetch job: from a provider's name to its history."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import FetchDelayed
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.providers.exchange.client import ExchangeClient
from tradingai.engine.providers.exchange.history import ExchangeHistory
from tradingai.engine.providers.exchange.pace import SharedPace
from tradingai.engine.providers.fetch import Fetched, fetch_dataset
from tradingai.engine.providers.yahoo import VOLUME_WARNING, YahooHistory

WORTH_TELLING_S: Final = 5.0
"""Shorter pauses stand in the job's log alone."""


@dataclass(frozen=True, slots=True)
class FetchedCandles:
    """What a fetch job came to."""

    fetched: Fetched
    warning: str = ""
    """What the operator should look at although it went well; else nothing."""


def fetch_candles(
    paths: HomePaths,
    settings: Settings,
    symbol: str,
    provider: str,
    exchange: str | None,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    *,
    clock: Clock,
    replace: bool = False,
) -> FetchedCandles:
    """Download candles of one symbol into its dataset, see :func:`fetch_dataset`. Runs an event loop."""
    if provider == "yfinance":
        return asyncio.run(
            _from_yahoo(paths, settings, symbol, start, end, reporter, clock=clock, replace=replace)
        )
    if provider != "ccxt":
        raise UsageError(
            f"nothing can be fetched from provider {provider!r}",
            remedy="Use --provider ccxt or --provider yfinance.",
        )
    return asyncio.run(
        _from_exchange(paths, settings, symbol, exchange, start, end, reporter, clock=clock, replace=replace)
    )


async def _from_exchange(
    paths: HomePaths,
    settings: Settings,
    symbol: str,
    exchange: str | None,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    *,
    clock: Clock,
    replace: bool,
) -> FetchedCandles:
    name = exchange or settings.exchange
    client = ExchangeClient(
        settings,
        clock=clock,
        rng=np.random.default_rng(zlib.crc32(symbol.encode())),
        pace=SharedPace(paths.locks / f"pace-{name}", clock),
        exchange=name,
        safe_point=reporter.safe_point,
        on_pause=_teller(symbol, reporter),
    )
    async with client:
        history = ExchangeHistory(client, await client.market(symbol), clock)
        fetched = await fetch_dataset(
            paths, symbol, history, start, end, reporter, clock=clock, replace=replace
        )
        return FetchedCandles(fetched, history.clock_warning)


async def _from_yahoo(
    paths: HomePaths,
    settings: Settings,
    symbol: str,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    *,
    clock: Clock,
    replace: bool,
) -> FetchedCandles:
    history = YahooHistory(
        symbol,
        settings,
        clock=clock,
        rng=np.random.default_rng(zlib.crc32(symbol.encode())),
        cache=paths.yfinance_cache(symbol),
        safe_point=reporter.safe_point,
    )
    fetched = await fetch_dataset(paths, symbol, history, start, end, reporter, clock=clock, replace=replace)
    return FetchedCandles(fetched, VOLUME_WARNING)


def _teller(symbol: str, reporter: Reporter) -> Callable[[str, float], None]:
    """Tells of pauses that an operator would notice."""

    def tell(reason: str, seconds: float) -> None:
        if seconds >= WORTH_TELLING_S:
            reporter.emit(FetchDelayed(symbol=symbol, reason=reason, retry_in_s=seconds))

    return tell
