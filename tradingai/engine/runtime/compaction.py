"""Complete days of live candles, cleaned and written into yearly Parquet files of their own dataset.

They stand beside the history that models are trained on, ``data/live/<feed>/<SYMBOL>/``: what a model was
trained and evaluated on never changes because an engine ran.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import DataError, MissingError
from tradingai.engine.core.events import Event, LiveCandlesCompacted
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import CLEANING_VERSION, clean
from tradingai.engine.providers.live import LiveFeed
from tradingai.engine.runtime.received import history_of
from tradingai.engine.runtime.runs import Run
from tradingai.engine.store.candle_files import (
    DatasetIdentity,
    Flags,
    read_candles,
    read_flags,
    write_dataset,
)
from tradingai.engine.store.database import Store
from tradingai.engine.store.manifests import DatasetManifest, read_dataset_manifest


@dataclass(frozen=True, slots=True)
class LivePaths(HomePaths):
    """A home whose candles are those that live feeds of one identity gave."""

    feed: str

    @property
    def candles(self) -> Path:
        """One folder per symbol, as for history."""
        return self.data / "live" / re.sub(r"[^a-z0-9]+", "-", self.feed.lower()).strip("-")


class Upkeep:
    """What a live run does once a day, between two scans: compaction, pruning."""

    def __init__(
        self, store: Store, run: Run, paths: HomePaths, clock: Clock, *, feed: LiveFeed, keep_days: int
    ) -> None:
        """Candles and heartbeats older than ``keep_days`` leave the store; the candles stay in the files."""
        self._store = store
        self._run = run
        self._paths = LivePaths(paths.root, feed.identity)
        self._origin = feed.origin
        self._clock = clock
        self._keep_days = keep_days
        self._day = self._midnight()

    async def __call__(self) -> Sequence[Event]:
        """Nothing until midnight UTC has passed; then all complete days at once. Raises what goes wrong."""
        midnight = self._midnight()
        if midnight <= self._day:
            return ()
        events = await self.compact(midnight)
        await self._store.live.prune_candles(self._run.run_id, midnight - timedelta(days=self._keep_days))
        await self._store.live.prune_heartbeats(self._keep_days)
        await self._store.events.prune(self._keep_days)
        self._day = midnight
        return events

    async def resume(self) -> None:
        """Let the first call do what an engine that stopped before midnight left."""
        found = await self._store.live.newest_run()
        scans = await self._store.scans.scans(self._run.run_id, after=max(0, self._run.scans - 1))
        if found is not None and scans:
            self._day = min(self._day, scans[-1].at.replace(hour=0, minute=0, second=0, microsecond=0))

    async def compact(self, until: datetime) -> list[Event]:
        """Write all candles that opened before ``until`` and are not in the files yet.

        A coin whose feed was away at midnight gets the rest of its day the next time.
        """
        found = await self._store.live.newest_run()
        done = None if found is None else found[1].compacted_until
        after_us = -1 if done is None else datetime_to_us(done) - MINUTE_US
        rows = await self._store.live.candles(self._run.run_id, after_us=after_us)
        days = [row for row in rows if row.ts_us < datetime_to_us(until)]
        events: list[Event] = []
        for symbol, raw in history_of(days).items():
            manifest = _extend(self._paths, symbol, raw, self._origin, self._clock)
            if manifest is not None:
                events.append(
                    LiveCandlesCompacted(
                        symbol=symbol, rows=manifest.rows, until=iso_z(manifest.end), sha256=manifest.sha256
                    )
                )
        await self._store.live.compacted(self._run.run_id, min([until, *self._ends()]))
        return events

    def _ends(self) -> list[datetime]:
        """After the newest stored minute, of every coin."""
        folders = self._paths.candles.glob("*/manifest.json")
        ends = (read_dataset_manifest(self._paths, folder.parent.name).end for folder in folders)
        return [end + timedelta(minutes=1) for end in ends]

    def _midnight(self) -> datetime:
        return self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def _extend(
    paths: LivePaths, symbol: str, raw: Candles, origin: DatasetIdentity, clock: Clock
) -> DatasetManifest | None:
    """The dataset with the raw candles added that it does not have; None when there is nothing to add."""
    lock = FileLock(
        paths.locks / f"live-{symbol}", command="compaction of live candles", clock=clock, subject=symbol
    )
    with lock:
        before = _stored(paths, symbol)
        if before is not None:
            raw = raw[raw.ts > before.candles.ts[-1]]
        try:
            candles, flags, quality = _joined(before, raw)
        except DataError:
            return None
        parameters = {**origin.parameters, "cleaning_version": CLEANING_VERSION, "received": "live"}
        return write_dataset(
            paths,
            symbol,
            candles,
            identity=replace(origin, parameters=parameters),
            quality=quality,
            flags=flags,
            created_at=clock.now(),
            reporter=SilentReporter(),
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    candles: Candles
    flags: Flags
    quality: dict[str, Any]


def _stored(paths: LivePaths, symbol: str) -> _Stored | None:
    try:
        manifest = read_dataset_manifest(paths, symbol)
    except MissingError:
        return None
    return _Stored(read_candles(paths, symbol), read_flags(paths, symbol), manifest.quality)


def _joined(before: _Stored | None, raw: Candles) -> tuple[Candles, Flags, dict[str, Any]]:
    """Stored and new candles, cleaned against the last stored one. Raises DataError without a usable one."""
    if not len(raw):
        raise DataError("no candles to add")
    anchor = raw[0:0] if before is None else before.candles[-1:]
    cleaned = clean(Candles.concatenate([anchor, raw]))
    new = cleaned.candles[len(anchor) :]
    mask = cleaned.flags[len(anchor) :]
    flagged = np.flatnonzero(mask)
    flags = Flags(new.ts[flagged], mask[flagged])
    quality = cleaned.report.as_json()
    if before is None:
        return new, flags, quality
    joined = Flags(
        np.concatenate([before.flags.ts, flags.ts]), np.concatenate([before.flags.mask, flags.mask])
    )
    return Candles.concatenate([before.candles, new]), joined, _added(before.quality, quality)


def _added(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Counters add up; the longest gap and shares are those of the newest days."""
    counted = {
        name: before[name] + value
        for name, value in new.items()
        if isinstance(value, int) and isinstance(before.get(name), int) and not name.startswith("longest")
    }
    return {**new, **counted}
