"""Prices of a run: what a live one received, or the stored candles that a replay goes through."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.run_snapshot import Bar, WatchedRun
from tradingai.engine.store.manifests import MANIFEST_NAME, DatasetManifest, read_dataset_manifest

if TYPE_CHECKING:
    from tradingai.engine.core.candles import Candles

POINTS_KEPT: Final = 3_000
"""Minutes of a coin for its chart: 15-minute candles over the widest terminal."""
CHANGE: Final = timedelta(minutes=15)
MINUTE: Final = timedelta(minutes=1)
HISTORY: Final = timedelta(days=2)
"""Candles before a replay's first scan that are shown with it."""
AHEAD: Final = timedelta(days=30)
"""How far a replay whose end is not known is read at once."""
_NEWER: Final = (
    "SELECT ts_us, open, high, low, close FROM live_candles WHERE run_id = ? AND symbol = ?"
    " AND ts_us > ? AND ts_us <= ?"
    " AND open IS NOT NULL AND high IS NOT NULL AND low IS NOT NULL AND close IS NOT NULL"
    " ORDER BY ts_us, scan_seq, warm"
)
_CLOSE: Final = (
    "SELECT ts_us, close FROM live_candles WHERE run_id = ? AND symbol = ? AND close IS NOT NULL"
    " AND ts_us <= ? ORDER BY ts_us DESC, scan_seq DESC LIMIT 1"
)


class Price(NamedTuple):
    """A coin's newest price."""

    value: float
    closed_at: datetime
    change: float | None
    """Against the close 15 minutes before, as a fraction of it."""


class Prices(Protocol):
    """Prices of one run."""

    def price(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> Price | None:
        """The newest close known at ``now``."""
        ...

    def points(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> tuple[Bar, ...]:
        """The newest candles closed by ``now``, oldest first."""
        ...


def prices_of(run: WatchedRun, paths: HomePaths) -> Prices:
    """Where this run's prices are."""
    return LivePrices(run.run) if run.kind == "live" else StoredPrices(paths, run)


class LivePrices:
    """What the live loop received; only newer candles are read again."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._points: dict[str, tuple[Bar, ...]] = {}

    def price(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> Price | None:
        """See :class:`Prices`."""
        newest = self._newest(connection, symbol, now)
        if newest is None:
            return None
        earlier_us = newest["ts_us"] - 15 * MINUTE_US
        earlier = connection.execute(_CLOSE, (self._run, symbol, earlier_us)).fetchone()
        change = None
        if earlier is not None and earlier["ts_us"] == earlier_us and earlier["close"] > 0:
            change = newest["close"] / earlier["close"] - 1
        return Price(newest["close"], _moment(newest["ts_us"]) + MINUTE, change)

    def points(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> tuple[Bar, ...]:
        """See :class:`Prices`."""
        known = self._points.get(symbol, ())
        if known:
            after_us = _us(known[-1].at)
        else:
            newest = self._newest(connection, symbol, now)
            after_us = -1 if newest is None else newest["ts_us"] - POINTS_KEPT * MINUTE_US
        until_us = _us(now) - MINUTE_US
        rows = connection.execute(_NEWER, (self._run, symbol, after_us, until_us)).fetchall()
        if rows:
            fresh = {row["ts_us"]: Bar(_moment(row["ts_us"]), *row[1:]) for row in rows}
            known = (*known, *fresh.values())[-POINTS_KEPT:]
            self._points[symbol] = known
        return known

    def _newest(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> sqlite3.Row | None:
        row: sqlite3.Row | None = connection.execute(
            _CLOSE, (self._run, symbol, _us(now) - MINUTE_US)
        ).fetchone()
        return row


@dataclass(slots=True)
class _Block:
    """Stored candles of one coin as they were read."""

    sha256: str
    until: datetime
    """Nothing after it was asked for."""
    points: tuple[Bar, ...]
    times: list[datetime] = field(default_factory=list)


class StoredPrices:
    """The dataset's candles around a replay, read once; polars is imported when they first are."""

    def __init__(self, paths: HomePaths, run: WatchedRun) -> None:
        self._paths = paths
        self._run = run
        self._cache = FileCache()
        self._blocks: dict[str, _Block] = {}

    def price(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> Price | None:  # noqa: ARG002 - the protocol's
        """See :class:`Prices`. Raises ArtifactError or MissingError for candles that cannot be read."""
        block, count = self._known(symbol, now)
        if not count:
            return None
        newest = block.points[count - 1]
        before = bisect_right(block.times, newest.at - CHANGE)
        change = None
        if before and block.times[before - 1] == newest.at - CHANGE and block.points[before - 1].close > 0:
            change = newest.close / block.points[before - 1].close - 1
        return Price(newest.close, newest.at + MINUTE, change)

    def points(self, connection: sqlite3.Connection, symbol: str, now: datetime) -> tuple[Bar, ...]:  # noqa: ARG002 - the protocol's
        """See :class:`Prices`. Raises ArtifactError or MissingError for candles that cannot be read."""
        block, count = self._known(symbol, now)
        return block.points[max(0, count - POINTS_KEPT) : count]

    def _known(self, symbol: str, now: datetime) -> tuple[_Block, int]:
        manifest = self._manifest(symbol)
        seen = self._run.candles.get(symbol, manifest.sha256)
        if seen != manifest.sha256:
            raise ArtifactError(
                f"the candles of {symbol} are others now than those this run went through",
                remedy="Replay again to see prices beside decisions; the decisions are what they were.",
            )
        block = self._blocks.get(symbol)
        if block is None or block.sha256 != manifest.sha256 or now > block.until:
            block = self._blocks[symbol] = self._read(manifest, now)
        return block, bisect_right(block.times, now - MINUTE)

    def _manifest(self, symbol: str) -> DatasetManifest:
        path = self._paths.candles / symbol / MANIFEST_NAME
        found = self._cache.get(path, lambda _: read_dataset_manifest(self._paths, symbol))
        return found if found is not None else read_dataset_manifest(self._paths, symbol)

    def _read(self, manifest: DatasetManifest, now: datetime) -> _Block:
        from tradingai.engine.store.candle_files import read_candles

        first = (self._run.first_at or now) - HISTORY
        until = self._run.last_at or now + AHEAD
        start, end = max(first, manifest.start), min(until, manifest.end)
        candles = read_candles(self._paths, manifest.symbol, start, end, verify=False)
        points = _points(candles)
        return _Block(manifest.sha256, max(until, now), points, [point.at for point in points])


def _points(candles: Candles) -> tuple[Bar, ...]:
    columns = (candles.open, candles.high, candles.low, candles.close)
    rows = zip(candles.ts.tolist(), *(column.tolist() for column in columns), strict=True)
    return tuple(Bar(_moment(ts), *prices) for ts, *prices in rows)


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
