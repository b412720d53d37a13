"""The live loop's own tables: what a run reads, the raw candles it received, heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.store.connection import Database
from tradingai.engine.store.live_rows import (
    INSERT_CANDLE,
    INSERT_HEARTBEAT,
    Heartbeat,
    LiveCandle,
    LiveRunRow,
    candle_cells,
    candle_row,
    heartbeat_cells,
    heartbeat_row,
    live_run_row,
)
from tradingai.engine.store.run_table import RunRow, run_row
from tradingai.engine.store.stamps import stamp


class LiveTable:
    """Live runs with their candles and heartbeats."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # -- runs

    async def newest_run(self) -> tuple[RunRow, LiveRunRow] | None:
        """The newest live run that was begun completely, open or ended, and what it reads."""
        rows = await self._database.rows(
            "SELECT * FROM runs JOIN live_runs USING (run_id) JOIN run_accounts USING (run_id)"
            " WHERE kind = 'live' ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT 1"
        )
        return (run_row(rows[0]), live_run_row(rows[0])) if rows else None

    async def end_runs(self) -> None:
        """Close whatever live run is open, among it one that was killed while it began."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE runs SET ended_at = ? WHERE kind = 'live' AND ended_at IS NULL",
                (stamp(self._clock.now()),),
            )

    async def describe_run(self, run_id: str, feed: str, history: Sequence[LiveCandle] = ()) -> None:
        """Write down what a live run reads, and the candles it begins with: from then on it can go on."""
        async with self._database.transaction() as connection:
            await connection.execute("INSERT INTO live_runs VALUES (?, ?, NULL)", (run_id, feed))
            await insert_candles(connection, run_id, history)

    async def compacted(self, run_id: str, until: datetime) -> None:
        """Write down that all candles before ``until`` stand in the yearly files."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE live_runs SET compacted_until = ? WHERE run_id = ?", (stamp(until), run_id)
            )

    # -- candles

    async def add_candles(self, run_id: str, candles: Sequence[LiveCandle]) -> None:
        """Keep candles of a run, in a transaction of their own."""
        async with self._database.transaction() as connection:
            await insert_candles(connection, run_id, candles)

    async def candles(
        self,
        run_id: str,
        symbol: str | None = None,
        *,
        after_us: int = -1,
        scans: tuple[int, int] | None = None,
    ) -> list[LiveCandle]:
        """Candles of a run in the order they were received, oldest first within one delivery.

        ``after_us`` leaves out those that opened by then; ``scans`` keeps those of the scans first … last,
        both included, and the warm-ups that came after these.
        """
        first, last = (0, 2**62) if scans is None else scans
        rows = await self._database.rows(
            "SELECT * FROM live_candles WHERE run_id = ? AND (? IS NULL OR symbol = ?) AND ts_us > ?"
            " AND scan_seq BETWEEN ? AND ? ORDER BY scan_seq, warm, symbol, ts_us",
            (run_id, symbol, symbol, after_us, first, last),
        )
        return [candle_row(row) for row in rows]

    async def prune_candles(self, run_id: str, before: datetime) -> int:
        """Delete candles of a run that were received before a time; return how many."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "DELETE FROM live_candles WHERE run_id = ? AND received_at < ?", (run_id, stamp(before))
            )
            return cursor.rowcount

    # -- heartbeats

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Append a heartbeat."""
        async with self._database.transaction() as connection:
            await connection.execute(INSERT_HEARTBEAT, heartbeat_cells(heartbeat))

    async def heartbeats(self, run_id: str, *, after: int = 0) -> list[Heartbeat]:
        """A run's heartbeats in the order they were written, from number ``after`` + 1 on."""
        rows = await self._database.rows(
            "SELECT * FROM heartbeats WHERE run_id = ? AND seq > ? ORDER BY seq", (run_id, after)
        )
        return [heartbeat_row(row) for row in rows]

    async def last_heartbeat(self, run_id: str) -> Heartbeat | None:
        """A run's newest heartbeat."""
        rows = await self._database.rows(
            "SELECT * FROM heartbeats WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (run_id,)
        )
        return heartbeat_row(rows[0]) if rows else None

    async def prune_heartbeats(self, days: int) -> int:
        """Delete heartbeats older than ``days`` that no observation counts by; return how many."""
        horizon = stamp(self._clock.now() - timedelta(days=days))
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "DELETE FROM heartbeats WHERE at < ? AND NOT EXISTS (SELECT 1 FROM observations"
                " WHERE seq > after_beat AND seq <= coalesce(ended_beat, seq))",
                (horizon,),
            )
            return cursor.rowcount


async def insert_candles(
    connection: aiosqlite.Connection, run_id: str, candles: Sequence[LiveCandle]
) -> None:
    """Keep candles of a run within an open transaction."""
    await connection.executemany(INSERT_CANDLE, list(candle_cells(run_id, candles)))
