"""Live candles: what every provider gives the scan loop, and the synthetic markets as such a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import iso_z, parse_iso
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MINUTE_US, parse_market
from tradingai.engine.providers.synthetic.coins import GENERATOR_VERSION, coin_of
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.manifests import DatasetManifest

NO_CANDLES = Candles(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(5)))
"""What a provider without news gives."""


class LiveFeed(Protocol):
    """One-minute candles as they close. A coin is asked for by one caller at a time."""

    @property
    def identity(self) -> str:
        """What the values depend on: two feeds of the same identity give the same candles."""
        ...

    @property
    def origin(self) -> DatasetIdentity:
        """Where the candles come from, as a dataset's manifest says it."""
        ...

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        """Raw candles that opened after ``after_us`` and were closed by ``until_us`` (microseconds, UTC).

        The oldest come first when there are more than the provider gives at once; none is no error. Raises
        whatever keeps the provider from answering.
        """
        ...

    def told(self) -> Sequence[Event]:
        """What there is to tell since it was last asked, of the candles themselves or of the provider."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class SyntheticFeed:
    """A synthetic market that goes on: the minutes that are asked for are made, and no others."""

    def __init__(self, market: SyntheticMarket) -> None:
        self._market = market
        self._turn = asyncio.Lock()

    @property
    def identity(self) -> str:
        """Preset, seed, where a drift begins, and the generator's version."""
        market = self._market
        drift = "" if market.drift_at is None else f" drift at minute {market.drift_at}"
        return f"synthetic {market.market} seed {market.seed}{drift} generator {GENERATOR_VERSION}"

    @property
    def origin(self) -> DatasetIdentity:
        """As for stored candles of this market."""
        drift_at = self._market.drift_at
        parameters = {
            "generator_version": GENERATOR_VERSION,
            "drift_at": None if drift_at is None else iso_z(us_to_datetime(drift_at * MINUTE_US)),
        }
        return DatasetIdentity("synthetic", self._market.market, self._market.seed, parameters)

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        """As :meth:`LiveFeed.closed`. Raises UsageError for a coin or a time the market does not have."""
        first, last = after_us // MINUTE_US + 1, until_us // MINUTE_US - 1
        if last < first:
            return NO_CANDLES
        async with self._turn:
            return await asyncio.to_thread(self._market.candles, symbol, first, last)

    def told(self) -> Sequence[Event]:
        """Nothing ever happens to a generator."""
        return ()

    async def close(self) -> None:
        """Nothing is open."""


NO_LIVE: Final = {
    "yfinance": "Yahoo's minute bars come late and change, and the newest holds the live price",
    "file": "a file does not go on",
}
"""Providers without a live feed, and why."""


def refuse_without_live(provider: str) -> None:
    """Raise UsageError for a provider whose candles cannot be followed live."""
    if provider in NO_LIVE:
        raise UsageError(
            f"provider {provider} has no live candles: {NO_LIVE[provider]}",
            remedy="Set DATA_PROVIDER=ccxt to follow an exchange, or DATA_PROVIDER=synthetic.",
        )


def synthetic_feed(settings: Settings, history: Sequence[DatasetManifest]) -> LiveFeed:
    """The generator that continues the stored candles of the coins that are scanned.

    Raises UsageError when none does: candles of another provider, of several markets, or of another
    generator.
    """
    market, seed, drift_at = _one_market(settings, history)
    return SyntheticFeed(SyntheticMarket(parse_market(market), seed, drift_at))


def _one_market(settings: Settings, history: Sequence[DatasetManifest]) -> tuple[str, int, int | None]:
    """(preset, seed, drift_at in minutes) that all stored candles share; the settings' without any."""
    for symbol in settings.symbols:
        coin_of(symbol)
    for item in history:
        if not item.synthetic:
            raise UsageError(
                f"the candles of {item.symbol} are of provider {item.provider}, live ones would be synthetic",
                remedy="Set DATA_PROVIDER=ccxt to follow their exchange, SYMBOLS to coins with synthetic "
                "candles, or use another --home.",
            )
        if item.parameters.get("generator_version") != GENERATOR_VERSION:
            raise UsageError(
                f"the candles of {item.symbol} were made by another version of the generator",
                remedy=f"Make them again: `tradingai data generate --symbols {item.symbol}`.",
            )
    markets = {(item.market, item.seed, item.parameters.get("drift_at")) for item in history}
    if not markets:
        if settings.synthetic_market == "drift":
            raise UsageError(
                "market drift needs stored candles: they say when it drifts",
                remedy="`tradingai pipeline --market drift` makes them.",
            )
        return settings.synthetic_market, settings.synthetic_seed, None
    if len(markets) > 1:
        listed = ", ".join(f"{item.symbol} {item.market} seed {item.seed}" for item in history)
        raise UsageError(
            f"the stored candles are of different markets: {listed}",
            remedy="Generate them with one market and seed, or set SYMBOLS.",
        )
    market, seed, drift_at = markets.pop()
    return str(market), int(seed or 0), None if drift_at is None else _minute(parse_iso(drift_at))


def _minute(moment: datetime) -> int:
    return datetime_to_us(moment) // MINUTE_US
