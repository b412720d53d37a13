"""Synthetic candles and their oracle as stored datasets."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import MINUTE_US, Market
from tradingai.engine.providers.cleaning import CLEANING_VERSION, clean
from tradingai.engine.providers.storing import refuse_to_lose, store_cleaned, stored_already
from tradingai.engine.providers.synthetic.coins import GENERATOR_VERSION
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.manifests import DatasetManifest
from tradingai.engine.store.oracle_files import read_oracle, write_oracle

DRIFT_SHARE: Final = 0.85
"""Unless told otherwise the cycles of ``drift`` end at this share of the requested range."""


def generate_dataset(
    paths: HomePaths,
    symbol: str,
    market: Market,
    seed: int,
    start: datetime,
    end: datetime,
    drift_at: datetime | None,
    reporter: Reporter,
    *,
    replace: bool = False,
    clock: Clock | None = None,
) -> DatasetManifest:
    """Generate, clean and store the candles of ``symbol`` from ``start`` to ``end`` (aware, both included).

    Nothing is done when the stored dataset has the same identity and its values hold; damaged files are
    made again. ``drift_at`` is for market ``drift`` and defaults to the 85 % point of the range. Raises
    UsageError for a symbol, range or ``drift_at`` that the market does not have, and when candles of
    another provider would be lost and ``replace`` is not given.
    """
    clock = clock or RealClock()
    started = clock.monotonic()
    first, last = _minute(start, "start"), _minute(end, "end")
    drift_minute = _drift_minute(market, first, last, drift_at)
    source = SyntheticMarket(market, seed, drift_minute)
    parameters = {
        "generator_version": GENERATOR_VERSION,
        "cleaning_version": CLEANING_VERSION,
        "drift_at": None if drift_minute is None else iso_z(us_to_datetime(drift_minute * MINUTE_US)),
    }
    identity = DatasetIdentity("synthetic", market, seed, parameters)
    refuse_to_lose(paths, symbol, identity.provider, replace=replace)

    def same_range(there: DatasetManifest) -> bool:
        read_oracle(paths, symbol)
        return (datetime_to_us(there.start), datetime_to_us(there.end)) == (
            first * MINUTE_US,
            last * MINUTE_US,
        )

    stored = stored_already(paths, symbol, identity, reporter, same_range)
    if stored is not None:
        return stored
    reporter.progress(Progress(0, last - first + 1, "rows", detail={"symbol": symbol}))
    cleaned = clean(source.candles(symbol, first, last))
    reporter.safe_point()
    write_oracle(paths, symbol, source.oracle(symbol, first, last), identity)
    return store_cleaned(paths, symbol, cleaned, identity, reporter, clock, started)


def _minute(moment: datetime, name: str) -> int:
    """Minutes since 1970. Raises UsageError for a naive time or one within a minute."""
    if moment.tzinfo is None:
        raise UsageError(f"{name} {moment.isoformat()} has no time zone", remedy="Write it with Z, for UTC.")
    us = datetime_to_us(moment)
    if us % MINUTE_US:
        raise UsageError(f"{name} {iso_z(moment)} is not a whole minute", remedy="Leave out the seconds.")
    return us // MINUTE_US


def _drift_minute(market: Market, first: int, last: int, drift_at: datetime | None) -> int | None:
    if market != "drift":
        if drift_at is not None:
            raise UsageError(
                f"market {market} has no drift_at", remedy="Use it with --market drift, or leave it out."
            )
        return None
    return (
        first + round(DRIFT_SHARE * (last - first + 1)) if drift_at is None else _minute(drift_at, "drift_at")
    )
