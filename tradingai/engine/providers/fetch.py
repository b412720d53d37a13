"""History from a source that gives it in pages: each page is kept as it comes, a dataset is made at the end.

Interrupted in any way the next run asks only for minutes that neither the dataset nor a kept page covers,
and ends with the same dataset as a run that nothing interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError, ProviderError, UsageError
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.jsonio import iso_z, parse_iso
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import CLEANING_VERSION, Cleaned, clean
from tradingai.engine.providers.extend import clean_with_stored
from tradingai.engine.providers.quality import QualityReport
from tradingai.engine.providers.staging import Span, Staging, minutes, without
from tradingai.engine.providers.storing import refuse_to_lose, store_cleaned
from tradingai.engine.store.candle_files import DatasetIdentity, read_candles, read_flags, verify_dataset
from tradingai.engine.store.manifests import DatasetManifest
from tradingai.engine.store.oracle_files import delete_oracle

ASKED_FROM: Final = "asked_from"
"""Parameter of a fetched dataset: the earliest start that was asked for, where the source begins later."""


class FetchedPage(NamedTuple):
    """One answer of a source."""

    candles: Candles
    """Raw: any order, NaN for what could not be read."""
    until_us: int
    """Every candle the source has before this time is among them."""


class HistorySource(Protocol):
    """One symbol's history somewhere else."""

    @property
    def provider(self) -> str:
        """``ccxt`` or ``yfinance``."""
        ...

    @property
    def origin(self) -> Mapping[str, Any]:
        """What tells this history from another of the same provider, for example exchange and market."""
        ...

    @property
    def details(self) -> Mapping[str, Any]:
        """What else the manifest says of it, for example the host."""
        ...

    async def newest_us(self) -> int:
        """Candles that open before this time are closed (microseconds, a whole minute)."""
        ...

    async def page(self, since_us: int, until_us: int) -> FetchedPage:
        """The candles that open from ``since_us`` on and before ``until_us``, as many as come at once.

        Raises UsageError for a range the source does not serve, ProviderError when it does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch came to."""

    manifest: DatasetManifest
    new: int
    """Minutes that this run asked for or took from kept pages; 0 when there was nothing to do."""


async def fetch_dataset(
    paths: HomePaths,
    symbol: str,
    source: HistorySource,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    *,
    clock: Clock,
    replace: bool = False,
) -> Fetched:
    """Fetch, clean and store the candles of ``symbol`` from ``start`` to ``end`` (aware, both included).

    Without ``start`` it goes on where the stored candles end, without ``end`` to the newest closed one.
    Stored candles of the same source are kept and never fetched again; a hole between them and the range is
    closed. Raises UsageError for a range that cannot be, and when candles of another source would be lost
    and ``replace`` is not given; ProviderError when the source fails, with what is kept.
    """
    return await _Fetch(paths, symbol, source, reporter, clock).run(start, end, replace=replace)


class _Fetch:
    """One fetch from beginning to end."""

    def __init__(
        self, paths: HomePaths, symbol: str, source: HistorySource, reporter: Reporter, clock: Clock
    ) -> None:
        self._paths = paths
        self._symbol = symbol
        self._source = source
        self._reporter = reporter
        self._clock = clock
        self._begun = clock.monotonic()
        name = "-".join(str(value).replace("/", "") for value in source.origin.values())
        self._staging = Staging(paths.fetched(symbol, f"{source.provider}-{name}"))

    async def run(self, start: datetime | None, end: datetime | None, *, replace: bool) -> Fetched:
        refuse_to_lose(self._paths, self._symbol, self._source.provider, replace=replace)
        stored = self._stored(replace=replace)
        newest = await self._source.newest_us() // MINUTE_US
        wanted = _wanted(self._symbol, stored, start, end, newest)
        staged = self._staging.spans()
        missing = without([*([] if stored is None else [_covered(stored)]), *staged], wanted)
        if not missing and stored is not None and not without([_covered(stored)], wanted):
            self._staging.clear()
            return Fetched(stored, 0)
        await self._download(missing, minutes(staged))
        manifest = self._publish(stored, self._staging.spans(), wanted)
        self._staging.clear()
        return Fetched(manifest, minutes(missing) + minutes(staged))

    def _stored(self, *, replace: bool) -> DatasetManifest | None:
        """The dataset that is there, if it is of this source and whole."""
        try:
            there = verify_dataset(self._paths, self._symbol)
        except MissingError:
            return None
        except ArtifactError as error:
            self._reporter.emit(
                StateRepaired(what=f"candles of {self._symbol}", detail=f"fetched again: {error}")
            )
            return None
        origin = dict(self._source.origin)
        if there.provider == self._source.provider and _origin(there, origin) == origin:
            return there
        if there.provider == self._source.provider and not replace:
            other = " ".join(str(value) for value in _origin(there, origin).values())
            raise UsageError(
                f"{self._symbol} holds {there.rows:,} candles of {other} ({there.start:%Y-%m-%d} to "
                f"{there.end:%Y-%m-%d}); those of {' '.join(map(str, origin.values()))} would overwrite them",
                remedy="Use another symbol or another --home, or give --replace to overwrite them.",
            )
        return None

    async def _download(self, missing: list[Span], kept: int) -> None:
        """Ask for what is missing, page by page."""
        total, done = minutes(missing), 0
        self._tell(0, total)
        for first, stop in missing:
            at = first
            while at < stop:
                self._reporter.safe_point()
                try:
                    page = await self._source.page(at * MINUTE_US, stop * MINUTE_US)
                except ProviderError as error:
                    raise self._stopped(error, at, kept + done) from error
                until = page.until_us // MINUTE_US
                if not at < until <= stop:
                    raise ValueError(f"a page from minute {at} covers up to {until}, asked for {stop}")
                self._staging.add((at, until), page.candles)
                done += until - at
                at = until
                self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        elapsed = self._clock.monotonic() - self._begun
        rate = done / elapsed if done and elapsed > 0 else None
        eta_s = (total - done) / rate if rate else None
        self._reporter.progress(
            Progress(done, total, "candles", rate=rate, eta_s=eta_s, detail={"symbol": self._symbol})
        )

    def _stopped(self, error: ProviderError, minute: int, kept: int) -> ProviderError:
        at = us_to_datetime(minute * MINUTE_US)
        return ProviderError(
            f"fetch of {self._symbol} stopped at {at:%Y-%m-%d %H:%M}: {error.message}. "
            f"{kept:,} fetched minutes are kept",
            remedy=error.remedy,
        )

    def _publish(self, stored: DatasetManifest | None, spans: list[Span], wanted: Span) -> DatasetManifest:
        """Clean everything there is and make it the dataset."""
        self._reporter.safe_point()
        outside = [] if stored is None else [_covered(stored)]
        needed = [span for span in spans if without(outside, span)]
        new = _joined(list(self._staging.candles(needed)))
        cleaned = self._cleaned(stored, new, wanted)
        asked = us_to_datetime(wanted[0] * MINUTE_US)
        parameters = {
            **self._source.origin,
            **self._source.details,
            "cleaning_version": CLEANING_VERSION,
            ASKED_FROM: iso_z(asked),
        }
        identity = DatasetIdentity(self._source.provider, None, None, parameters)
        manifest = store_cleaned(
            self._paths, self._symbol, cleaned, identity, self._reporter, self._clock, self._begun
        )
        delete_oracle(self._paths, self._symbol)
        return manifest

    def _cleaned(self, stored: DatasetManifest | None, new: Candles, wanted: Span) -> Cleaned:
        if stored is None:
            if not len(new):
                first, last = (us_to_datetime(minute * MINUTE_US) for minute in (wanted[0], wanted[1] - 1))
                raise UsageError(
                    f"there are no candles of {self._symbol} from {first:%Y-%m-%d %H:%M} to "
                    f"{last:%Y-%m-%d %H:%M}",
                    remedy="Ask for a later range: the coin was not traded there yet.",
                )
            return clean(new)
        old = read_candles(self._paths, self._symbol)
        inside = (new.ts >= old.ts[0]) & (new.ts <= old.ts[-1])
        flags = read_flags(self._paths, self._symbol)
        return clean_with_stored(old, flags, QualityReport.from_json(stored.quality), new[~inside])


def _wanted(
    symbol: str, stored: DatasetManifest | None, start: datetime | None, end: datetime | None, newest: int
) -> Span:
    """The minutes the dataset is to cover: what was asked for and what is there, without a hole between."""
    there = None if stored is None else _covered(stored)
    if start is None and there is None:
        raise UsageError(f"there are no candles of {symbol} to go on from", remedy="Give --start.")
    first = there[0] if start is None and there is not None else _minute(start, "start")
    stop = newest if end is None else min(newest, _minute(end, "end") + 1)
    if first >= newest:
        at = us_to_datetime(newest * MINUTE_US)
        raise UsageError(
            f"start {us_to_datetime(first * MINUTE_US):%Y-%m-%d %H:%M} is not over yet: the newest closed "
            f"candles open before {at:%Y-%m-%d %H:%M}",
            remedy="Ask for an earlier start.",
        )
    if there is not None:
        first, stop = min(first, there[0]), max(stop, there[1])
    if first >= stop:
        raise UsageError("end is before start", remedy="Ask for a range that has minutes.")
    return first, stop


def _minute(moment: datetime | None, name: str) -> int:
    """Minutes since 1970. Raises UsageError for a naive time or one within a minute."""
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{name} {moment} has no time zone", remedy="Write it with Z, for UTC.")
    us = datetime_to_us(moment)
    if us % MINUTE_US:
        raise UsageError(f"{name} {iso_z(moment)} is not a whole minute", remedy="Leave out the seconds.")
    return us // MINUTE_US


def _covered(stored: DatasetManifest) -> Span:
    """The minutes of which the dataset holds all the source has."""
    asked = stored.parameters.get(ASKED_FROM)
    first = datetime_to_us(min(stored.start, parse_iso(asked) if isinstance(asked, str) else stored.start))
    return first // MINUTE_US, datetime_to_us(stored.end) // MINUTE_US + 1


def _origin(stored: DatasetManifest, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stored.parameters.get(name) for name in names}


def _joined(parts: list[Candles]) -> Candles:
    empty = Candles(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(5)))
    return Candles.concatenate([empty, *parts])
