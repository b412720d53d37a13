"""Spread and slippage sampled over time from an exchange's order book."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import InterruptedRunError, ProviderError, TradingAIError
from tradingai.engine.core.jsonio import digest, iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import DAY_MINUTES
from tradingai.engine.features.window import Window
from tradingai.engine.jobs.execution import Measured, publish
from tradingai.engine.providers.exchange.client import ExchangeClient
from tradingai.engine.providers.exchange.market import Market
from tradingai.engine.providers.exchange.pace import SharedPace
from tradingai.engine.providers.exchange.retry import wait
from tradingai.engine.risk.book_walk import book_costs
from tradingai.engine.risk.measured_costs import Measurement, by_session
from tradingai.engine.store.candle_files import read_candles

DEPTH: Final = 100
"""Levels of each side that are asked for."""
MOST_THIN_SHARE: Final = 0.01
"""Slippage is not measured where more of the books are too thin for the size: leaving those out would make it
look smaller than it is."""
_ATR_MINUTES: Final = 14


@dataclass(slots=True)
class Samples:
    """What was seen of one pair."""

    market: Market
    notional: float | None
    """Worth of the order whose slippage is measured, in the quote currency; None: not measured."""
    ts_us: list[int] = field(default_factory=list)
    spread_bps: list[float] = field(default_factory=list)
    slippage_bps: list[float | None] = field(default_factory=list)
    zero: int = 0
    failed: int = 0
    missed: int = 0
    """Looks that could not be made in time."""

    def add(self, at_us: int, spread: float, slippage: float | None) -> None:
        """One look; a book without a spread is counted and not used."""
        if spread <= 0:
            self.zero += 1
            return
        self.ts_us.append(at_us)
        self.spread_bps.append(spread)
        self.slippage_bps.append(slippage)

    @property
    def thin(self) -> int:
        """Books with less in them than the order takes."""
        return 0 if self.notional is None else sum(value is None for value in self.slippage_bps)

    def measurements(self) -> list[Measurement]:
        """The spread, and the slippage where the books were deep enough."""
        ts, symbol = np.array(self.ts_us, dtype=np.int64), self.market.symbol
        found = [by_session(symbol, "spread_bps", ts, np.array(self.spread_bps))]
        if self.notional is not None and self.thin <= MOST_THIN_SHARE * len(ts):
            kept = np.array([value is not None for value in self.slippage_bps])
            values = np.array([value for value in self.slippage_bps if value is not None], dtype=np.float64)
            found.append(by_session(symbol, "slippage_bps", ts[kept], values))
        return found

    def words(self) -> str:
        """What was assumed of it."""
        named = f"{self.market.symbol} is {self.market.name}"
        if self.notional is None:
            return f"{named}: no candles tell the paper account's size, so slippage was not measured"
        sized = f"{named}: slippage of a market order worth {self.notional:,.0f}"
        if self.thin > MOST_THIN_SHARE * len(self.ts_us):
            books = f"{self.thin:,} of {len(self.ts_us):,} books of {DEPTH} levels"
            return f"{sized} not measured: {books} are thinner"
        thin = f", {self.thin:,} books were thinner" if self.thin else ""
        return f"{sized} from {DEPTH} levels of the book, mean of buying and selling{thin}"


def measure_execution(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for a ``MeasureExecution`` command.

    Stopped early it keeps what was sampled and says so. Raises ProviderError when nothing could be sampled.
    """
    return asyncio.run(_measure(paths, settings, params, reporter, RealClock()))


async def _measure(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter, clock: Clock
) -> dict[str, Any]:
    name = params["exchange"] or settings.exchange
    rng, pace = np.random.default_rng(), SharedPace(paths.locks / f"pace-{name}", clock)
    client = ExchangeClient(
        settings, clock=clock, rng=rng, pace=pace, exchange=name, safe_point=reporter.safe_point
    )
    stopped = ""
    async with client:
        samples = [
            Samples(
                await client.market(symbol), params["notional"] or paper_notional(paths, settings, symbol)
            )
            for symbol in params["symbols"] or settings.symbols
        ]
        try:
            await _sample(client, samples, params, reporter, clock)
        except InterruptedRunError as error:
            stopped = error.message
    seen = [one for one in samples if one.ts_us]
    if not seen:
        raise (
            InterruptedRunError(
                f"{stopped}, before anything was sampled", remedy="Nothing was changed; call it again."
            )
            if stopped
            else ProviderError(
                f"{name} gave no order book with a spread", remedy="Look at its status, then measure again."
            )
        )
    measured = _measured(client, seen, params, stopped)
    calm = _Finishing(reporter) if stopped else reporter
    result = publish(
        paths, settings, measured, {**params, "effect": params["effect"] and not stopped}, calm, clock
    )
    return {**result, "stopped": stopped}


class _Finishing:
    """A reporter for what is still done after a stop: it does not ask again."""

    def __init__(self, reporter: Reporter) -> None:
        self.emit = reporter.emit
        self.progress = reporter.progress

    def safe_point(self) -> None:
        """Goes on to the end."""


async def _sample(
    client: ExchangeClient,
    samples: Sequence[Samples],
    params: Mapping[str, Any],
    reporter: Reporter,
    clock: Clock,
) -> None:
    """Look at every book each ``every_s`` seconds for ``duration_s``; a look that fails is counted.

    Raises the failure when the first look at every pair fails, and what a safe point raises.
    """
    every_s, duration_s = float(params["every_s"]), float(params["duration_s"])
    looks = max(1, int(duration_s / every_s))
    begun, number, made = clock.monotonic(), 0, 0
    while number < looks:
        await wait(begun + number * every_s - clock.monotonic(), clock, reporter.safe_point)
        errors = await asyncio.gather(*(_look(client, one) for one in samples))
        if number == 0 and all(errors):
            raise next(error for error in errors if error is not None)
        made += 1
        left = max(0.0, begun + duration_s - clock.monotonic())
        detail = {"samples": sum(len(one.ts_us) for one in samples)}
        reporter.progress(Progress(number + 1, looks, "looks", eta_s=left, detail=detail))
        reporter.safe_point()
        # Looks that an outage swallowed are not made up for: they would count its end many times.
        number = max(number + 1, math.ceil((clock.monotonic() - begun) / every_s))
    for one in samples:
        one.missed = looks - made


async def _look(client: ExchangeClient, one: Samples) -> TradingAIError | None:
    """One book of one pair; the error when there was none."""
    try:
        book = await client.book(one.market, DEPTH)
    except ProviderError as error:
        one.failed += 1
        return error
    costs = book_costs(book.bids, book.asks, one.notional)
    one.add(book.at_us, costs.spread_bps, costs.slippage_bps)
    return None


def paper_notional(paths: HomePaths, settings: Settings, symbol: str) -> float | None:
    """Worth of the paper account's order: risk over the stop's distance as a share of the price.

    The ATR is the median of the newest stored day; None without stored candles.
    """
    try:
        candles = read_candles(paths, symbol)[-DAY_MINUTES:]
    except TradingAIError:
        return None
    ratio = float(np.median(Window(candles, {}).wilder("true_range", _ATR_MINUTES) / candles.close))
    if not ratio > 0:
        return None
    risk = settings.paper_balance * settings.paper_risk_pct / 100
    return risk / (settings.paper_stop_atr * ratio)


def _measured(
    client: ExchangeClient, seen: Sequence[Samples], params: Mapping[str, Any], stopped: str
) -> Measured:
    times = [ts for one in seen for ts in one.ts_us]
    looked = {
        one.market.symbol: {"ts_us": one.ts_us, "spread": one.spread_bps, "slippage": one.slippage_bps}
        for one in seen
    }
    counts = {name: sum(getattr(one, name) for one in seen) for name in ("zero", "failed", "missed", "thin")}
    assumed = [one.words() for one in seen]
    assumed.append("spread is best ask over best bid; fees are the settings' commission, not the exchange's")
    if stopped:
        assumed.append(f"{stopped} before the time was over: what was sampled until then")
    origin = {
        "kind": "order book",
        "name": f"{client.exchange} ({client.host})",
        "sha256": digest(looked),
        "start": iso_z(us_to_datetime(min(times))),
        "end": iso_z(us_to_datetime(max(times))),
        "every_s": params["every_s"],
        "counts": {"samples": len(times), **counts},
        "assumptions": assumed,
    }
    measurements = tuple(item for one in seen for item in one.measurements())
    return Measured(measurements, origin, f"order book of {client.exchange}")
