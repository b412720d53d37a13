"""A live exchange on loopback: candles go by on the test's clock, the newest is open and still moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.symbols import MINUTE_US

from tests.fakes.exchange_api import IDS, ExchangeApi, exchange_api
from tests.fakes.exchange_formats import Listed


@dataclass
class LiveListed(Listed):
    """A market whose running minute is not what it will be once it has closed."""

    now_us: Callable[[], int] = lambda: 0
    revisions: dict[int, tuple[int, float]] = field(default_factory=dict)
    """By open time: from when on the candle is another one, and the factor of its close."""
    hidden: dict[int, int] = field(default_factory=dict)
    """By open time: until when the candle is not there."""

    def rows(self, first_us: int, last_us: int, most: int) -> Candles:
        now = self.now_us()
        found = super().rows(first_us, last_us, most)
        found = found[np.array([self.hidden.get(int(ts), 0) <= now for ts in found.ts], dtype=bool)]
        columns = {name: column.copy() for name, column in found.columns().items()}
        running = found.ts + MINUTE_US > now
        for name in ("high", "close"):
            columns[name][running] *= 1.25
        for ts, (since_us, factor) in self.revisions.items():
            if now >= since_us:
                columns["close"][found.ts == ts] *= factor
        return Candles(**columns)


@dataclass
class ShiftedTime:
    """An exchange's clock: the test's, and how far it is off."""

    clock: Clock
    seconds: float = 0.0

    def __call__(self) -> int:
        return datetime_to_us(self.clock.now()) + round(1e6 * self.seconds)


@contextmanager
def live_exchange(
    market: Mapping[str, Candles], clock: Clock, exchange: str = "binance", *, dated: bool = True
) -> Iterator[tuple[ExchangeApi, ShiftedTime]]:
    """A server of ``exchange`` that trades these coins (``BTC-USD``), and its clock."""
    now_us = ShiftedTime(clock)
    with exchange_api(exchange, now_us) as api:
        api.dated = dated
        for symbol, candles in market.items():
            base = symbol.partition("-")[0]
            quote = "USDT" if exchange == "binance" else "USD"
            api.format.markets[IDS[exchange](base, quote)] = LiveListed(base, quote, candles, now_us=now_us)
        yield api, now_us


def listed(api: ExchangeApi, symbol: str) -> LiveListed:
    """The market of ``BTC-USD`` on this server."""
    base = symbol.partition("-")[0]
    (found,) = [one for one in api.format.markets.values() if one.base == base]
    assert isinstance(found, LiveListed)
    return found


def moved(candles: Candles, minutes: int, factor: float = 1.0) -> Candles:
    """The same candles at another time and price."""
    prices = {name: getattr(candles, name) * factor for name in PRICE_COLUMNS if name != "volume"}
    return replace(candles, ts=candles.ts + minutes * MINUTE_US, **prices)
