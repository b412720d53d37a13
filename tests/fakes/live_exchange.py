"""A live exchange on loopback: candles go by on the test's clock, the newest is open and still moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, datetime_to_us
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import Decision
from tradingai.engine.models.artifact import ModelArtifact
from tradingai.engine.providers.exchange.client import ExchangeClient
from tradingai.engine.providers.exchange.feed import ExchangeFeed, Stored
from tradingai.engine.providers.exchange.pace import OwnPace
from tradingai.engine.providers.live import NO_CANDLES
from tradingai.engine.runtime.records import stored_decision
from tradingai.engine.runtime.verify import Verification, verify_run
from tradingai.engine.store.candle_files import DatasetIdentity

from tests.fakes.exchange_api import IDS, ExchangeApi, exchange_api
from tests.fakes.exchange_formats import Listed
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.live import Bench, RunningClock, open_bench
from tests.fakes.real_candles import real_candles
from tests.fakes.stored_market import opinionated_on


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


async def nothing_stored(_symbol: str, _after_us: int, _until_us: int) -> Candles:
    return NO_CANDLES


@asynccontextmanager
async def feed_of(
    api: ExchangeApi, clock: Clock, stored: Stored = nothing_stored, **settings: Any
) -> AsyncIterator[ExchangeFeed]:
    """A feed from this server; what its client waits costs no time."""
    waits = LeapingClock()
    client = ExchangeClient(
        api.settings(**settings), clock=waits, rng=np.random.default_rng(1), pace=OwnPace(waits)
    )
    origin = DatasetIdentity("ccxt", None, None, {"exchange": api.exchange})
    feed = ExchangeFeed(client, clock, stored, origin, budget_s=10)
    try:
        yield feed
    finally:
        await feed.close()
    assert not api.odd


class Followed:
    """Coins of an exchange that a loop scans every two minutes, with a model of each that wanders."""

    origin = DatasetIdentity("ccxt", None, None, {"exchange": "binance"})

    def __init__(self, candles: Mapping[str, Candles]) -> None:
        """``candles`` of all coins are of the same minutes."""
        self.candles = candles
        self.coins = tuple(candles)

    @cached_property
    def models(self) -> tuple[ModelArtifact, ...]:
        return tuple(opinionated_on(self.candles, coin, market=None, synthetic=False) for coin in self.coins)

    @asynccontextmanager
    async def scanning(
        self, root: Path, clock: RunningClock, api: ExchangeApi, **changes: Any
    ) -> AsyncIterator[Bench]:
        """A loop over a fresh home at ``root``."""
        how = {"interval_s": 120, "artifacts": self.models, "symbols": self.coins, **changes}
        async with feed_of(api, clock) as feed, open_bench(root, clock=clock, feed=feed, **how) as bench:
            yield bench

    async def decided(self, bench: Bench, run: str | None = None) -> list[Decision]:
        """The decisions of a run, rebuilt from what is stored of them."""
        run = run or bench.run_id
        signals = {signal.key: signal for signal in await bench.store.scans.signals(run)}
        rows = await bench.store.scans.decisions(run)
        return [stored_decision(row, signals.get(row.signal_key)) for row in rows]

    async def verified(self, bench: Bench) -> Verification:
        """Every decision of the run, computed again, is the same."""
        found = await verify_run(bench.store, bench.paths, bench.run_id, SilentReporter(), RealClock())
        assert (found.identical, found.first) == (found.decisions, None)
        return found

    async def assert_only_closed_candles(self, bench: Bench, api: ExchangeApi) -> None:
        """Every candle was stored once, after it had closed, and as it was then or as the exchange revised it
        before it was first asked for; none is missing in between.
        """
        rows = await bench.store.live.candles(bench.run_id)
        for symbol in self.coins:
            held = {row.ts_us: row for row in rows if row.symbol == symbol}
            assert len(held) == sum(row.symbol == symbol for row in rows)
            assert (np.diff(sorted(held)) == MINUTE_US).all()
            revisions = listed(api, symbol).revisions
            candles = self.candles[symbol]
            closes = dict(zip(candles.ts.tolist(), candles.close.tolist(), strict=True))
            for ts, row in held.items():
                received = datetime_to_us(row.received_at)
                since_us, factor = revisions.get(ts, (received + 1, 1.0))
                late = received + LATEST_CLOCK_US >= since_us
                assert row.close == closes[ts] or (late and row.close == closes[ts] * factor)
                assert ts + MINUTE_US <= received


LATEST_CLOCK_US = 90_000_000
"""An exchange's clock is at most this far ahead in these tests."""


REAL = real_candles()
BTC, ETH = COINS = "BTC-USD", "ETH-USD"
NOW = datetime(2023, 3, 12, 6, 0, 0, tzinfo=UTC)
NOW_US = datetime_to_us(NOW)


@cache
def market() -> dict[str, Candles]:
    """BTC as it was; another coin with the same hours seven hours later, and at another price."""
    later = moved(REAL, 420, 0.07)
    return {BTC: REAL[REAL.ts >= later.ts[0]], ETH: later[later.ts <= REAL.ts[-1]]}


def expected(symbol: str, after_us: int, until_us: int) -> Candles:
    """The candles of this market that open after one time and have closed by another."""
    candles = market()[symbol]
    return candles[(candles.ts > after_us) & (candles.ts + MINUTE_US <= until_us)]


def assert_same(found: Candles, wanted: Candles) -> None:
    for name, column in wanted.columns().items():
        np.testing.assert_array_equal(found.columns()[name], column, err_msg=name)
