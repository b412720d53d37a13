"""Asking a live feed for what is new, all coins at once: time-outs, back-off, and what was not asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.events import CandlesRejected, Event, FeedFailed, FeedRecovered
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.live import NO_CANDLES, LiveFeed

FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0


class News(NamedTuple):
    """What one round brought."""

    candles: Mapping[str, Candles]
    """Raw closed candles newer than what was known; a coin without news is missing."""
    silent: Mapping[str, str]
    """Coins that could not be asked or did not answer, and why."""
    events: tuple[Event, ...] = ()


@dataclass(slots=True)
class _Outage:
    failures: int
    since: float
    """Monotonic seconds of the first failure."""
    retry_at: float
    reason: str


class FeedReader:
    """Keeps one outage a coin. Pauses double from FIRST_PAUSE_S to LONGEST_PAUSE_S and vary by half."""

    def __init__(self, feed: LiveFeed, clock: Clock, rng: np.random.Generator, timeout_s: float) -> None:
        """``rng`` draws the jitter of the pauses; ``timeout_s`` bounds the wait for one coin."""
        self._feed = feed
        self._clock = clock
        self._rng = rng
        self._timeout_s = timeout_s
        self._outages: dict[str, _Outage] = {}

    @property
    def feed(self) -> LiveFeed:
        """Where the candles come from."""
        return self._feed

    async def read(self, after_us: Mapping[str, int], until_us: int) -> News:
        """Candles of each coin that opened after the given time and were closed by ``until_us``.

        What goes wrong with one coin does not hold up the others, and nothing is raised.
        """
        asked = await asyncio.gather(
            *(self._one(symbol, after, until_us) for symbol, after in after_us.items())
        )
        candles = {symbol: found for symbol, (found, _, _) in zip(after_us, asked, strict=True) if len(found)}
        silent = {symbol: why for symbol, (_, why, _) in zip(after_us, asked, strict=True) if why}
        events = [event for _, _, found in asked for event in found]
        return News(candles, silent, (*events, *self._feed.told()))

    async def _one(self, symbol: str, after_us: int, until_us: int) -> tuple[Candles, str, list[Event]]:
        outage = self._outages.get(symbol)
        wait_s = 0.0 if outage is None else outage.retry_at - self._clock.monotonic()
        if outage is not None and wait_s > 0:
            return NO_CANDLES, f"{outage.reason}; asked again in {wait_s:.0f} s", []
        try:
            async with asyncio.timeout(self._timeout_s):
                delivered = await self._feed.closed(symbol, after_us, until_us)
            found, events = self._accepted(symbol, delivered, after_us, until_us)
        except TimeoutError:
            return self._failed(symbol, f"no answer within {self._timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - a provider may fail in any way; the loop outlives it
            return self._failed(symbol, f"{type(error).__name__}: {error}")
        if outage is not None:
            del self._outages[symbol]
            events.append(
                FeedRecovered(
                    symbol=symbol,
                    provider=self._feed.identity,
                    failures=outage.failures,
                    outage_s=self._clock.monotonic() - outage.since,
                    candles=len(found),
                )
            )
        return found, "", events

    def _failed(self, symbol: str, reason: str) -> tuple[Candles, str, list[Event]]:
        now = self._clock.monotonic()
        before = self._outages.get(symbol)
        failures = 1 if before is None else before.failures + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
        pause *= 0.5 + self._rng.random()
        since = now if before is None else before.since
        self._outages[symbol] = _Outage(failures, since, now + pause, reason)
        event = FeedFailed(
            symbol=symbol,
            provider=self._feed.identity,
            reason=reason,
            failures=failures,
            retry_in_s=pause,
        )
        return NO_CANDLES, reason, [event]

    def _accepted(
        self, symbol: str, delivered: Candles, after_us: int, until_us: int
    ) -> tuple[Candles, list[Event]]:
        """The candles that were asked for, and an event for each kind that was not."""
        ts = delivered.ts
        wrong = {
            "opened within a minute": ts % MINUTE_US != 0,
            "known already": ts <= after_us,
            "not closed yet": ts + MINUTE_US > until_us,
        }
        events: list[Event] = []
        kept = np.ones(len(ts), dtype=bool)
        for reason, where in wrong.items():
            count = int((where & kept).sum())
            kept &= ~where
            if count:
                events.append(
                    CandlesRejected(symbol=symbol, provider=self._feed.identity, count=count, reason=reason)
                )
        return delivered[kept], events
