"""What runs of the scan loop leave behind: whole scans, each in one transaction with the account."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import aiosqlite

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.store.connection import Database
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.live_rows import LiveCandle
from tradingai.engine.store.live_table import insert_candles
from tradingai.engine.store.run_table import RunKind
from tradingai.engine.store.scan_rows import (
    TABLES,
    DecisionRow,
    DeskChangeRow,
    InputRow,
    ScanRecord,
    ScanRow,
    SignalRow,
    TradeRow,
    WarmStartRow,
    cells,
    columns,
    insert_statement,
    read_row,
)
from tradingai.engine.store.stamps import stamp

RunState = Literal["finished", "failed", "interrupted"]
Row = TypeVar("Row")


class ControlsChangedError(StoreError):
    """Kill switch or threshold changed after they were read: the scan has to decide again."""

    code = "controls_changed"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A run's account after its scan ``scan_seq`` (0: before the first)."""

    run_id: str
    scan_seq: int
    at: datetime
    desk: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunResultRow:
    """How a run ended."""

    run_id: str
    state: RunState
    request: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunSpan:
    """From a run's first scan to its newest, by its own clock."""

    run_id: str
    kind: RunKind
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class InputSpan:
    """Which coins' candles a run saw, from the first to the last (open times)."""

    coins: tuple[str, ...]
    first: datetime
    last: datetime


class ScanTable:
    """Scans, decisions, signals, trades, inputs and accounts, kept apart by run."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # -- writing

    async def append(
        self,
        run_id: str,
        records: Sequence[ScanRecord],
        desk: Mapping[str, Any] | None,
        *,
        controls: int | None = None,
        candles: Sequence[LiveCandle] = (),
    ) -> None:
        """Write scans, oldest first, and the account after the last of them, in one transaction.

        ``desk`` None leaves the account as it is; ``candles`` are what a live run received for these scans.
        ``controls`` is the store's controls counter as it was when kill switch and threshold were read: when
        it has moved since, nothing is written. Raises ControlsChangedError for that, StoreError for whatever
        the database says, among it a scan or signal that is there already.
        """
        if not records:
            return
        now, last = self._clock.now(), records[-1].scan
        async with self._database.transaction() as connection:
            await _expect_controls(connection, controls)
            await insert_rows(connection, run_id, [record.scan for record in records])
            for parts in ("signals", "decisions", "trades", "inputs", "warm_starts"):
                rows = [row for record in records for row in getattr(record, parts)]
                await insert_rows(connection, run_id, rows)
            await insert_candles(connection, run_id, candles)
            events = [dict(event) for record in records for event in record.events]
            await insert_events(connection, now, events, run_id=run_id)
            if desk is not None:
                await put_account(connection, run_id, last.seq, last.at, desk)

    async def change_desk(
        self, run_id: str, change: DeskChangeRow, events: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write an account that something other than a scan made, with the events that tell of it."""
        async with self._database.transaction() as connection:
            await insert_rows(connection, run_id, [change])
            await insert_events(
                connection, self._clock.now(), [dict(event) for event in events], run_id=run_id
            )
            await put_account(connection, run_id, change.after_scan, change.at, change.desk)

    async def finish(self, result: RunResultRow) -> None:
        """Write down how a run ended, and close it."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO run_results VALUES (?, ?, ?, ?)",
                (result.run_id, result.state, dumps(result.request), dumps(result.result)),
            )
            await connection.execute(
                "UPDATE runs SET ended_at = coalesce(ended_at, ?) WHERE run_id = ?",
                (stamp(self._clock.now()), result.run_id),
            )

    # -- reading

    async def account(self, run_id: str) -> AccountRow | None:
        """A run's newest account; None for a run that has none."""
        rows = await self._database.rows("SELECT * FROM run_accounts WHERE run_id = ?", (run_id,))
        return _account(rows[0]) if rows else None

    async def result(self, run_id: str) -> RunResultRow | None:
        """How a run ended; None while it goes on, or when its process died."""
        rows = await self._database.rows("SELECT * FROM run_results WHERE run_id = ?", (run_id,))
        return _result(rows[0]) if rows else None

    async def finished(self, kind: RunKind, key: str) -> RunResultRow | None:
        """The newest finished run of this kind whose request has this ``key``."""
        rows = await self._database.rows(
            "SELECT run_results.* FROM run_results JOIN runs USING (run_id)"
            " WHERE kind = ? AND state = 'finished' AND json_extract(request, '$.key') = ?"
            " ORDER BY started_at DESC LIMIT 1",
            (kind, key),
        )
        return _result(rows[0]) if rows else None

    async def newest_finished(self, kind: RunKind) -> RunResultRow | None:
        """How the newest finished run of this kind went; None before the first."""
        rows = await self._database.rows(
            "SELECT run_results.* FROM run_results JOIN runs USING (run_id)"
            " WHERE kind = ? AND state = 'finished' ORDER BY started_at DESC, runs.rowid DESC LIMIT 1",
            (kind,),
        )
        return _result(rows[0]) if rows else None

    async def newest_scan(self, run_id: str) -> int:
        """The number of a run's newest scan, 0 before the first."""
        rows = await self._database.rows(
            "SELECT coalesce(max(seq), 0) FROM scans WHERE run_id = ?", (run_id,)
        )
        return int(rows[0][0])

    async def scans(self, run_id: str, *, after: int = 0, limit: int = -1) -> list[ScanRow]:
        """A run's scans in order, from number ``after`` + 1 on."""
        return await self._select(ScanRow, "run_id = ? AND seq > ? ORDER BY seq", (run_id, after), limit)

    async def decisions(self, run_id: str, *, after: int = 0, until: int | None = None) -> list[DecisionRow]:
        """A run's decisions of the scans ``after`` + 1 … ``until``, in the order they were made."""
        return await self._of_scans(DecisionRow, run_id, after, until, "scan_seq, place")

    async def inputs(self, run_id: str, *, after: int = 0, until: int | None = None) -> list[InputRow]:
        """What a run's scans ``after`` + 1 … ``until`` saw."""
        return await self._of_scans(InputRow, run_id, after, until, "scan_seq, symbol")

    async def signals(self, run_id: str, *, since: datetime | None = None) -> list[SignalRow]:
        """A run's signals from ``since`` on, oldest first."""
        start = "" if since is None else stamp(since)
        return await self._select(SignalRow, "run_id = ? AND at >= ? ORDER BY at, key", (run_id, start))

    async def trades(self, run_id: str) -> list[TradeRow]:
        """A run's closed trades in the order they ended."""
        return await self._select(TradeRow, "run_id = ? ORDER BY exit_at, symbol, key", (run_id,))

    async def spans(self) -> list[RunSpan]:
        """The runs that have scanned, the oldest first."""
        rows = await self._database.rows(
            "SELECT run_id, kind, (SELECT min(at) FROM scans WHERE scans.run_id = runs.run_id) AS first,"
            " (SELECT max(at) FROM scans WHERE scans.run_id = runs.run_id) AS last"
            " FROM runs WHERE first IS NOT NULL ORDER BY started_at"
        )
        return [
            RunSpan(row["run_id"], row["kind"], parse_iso(row["first"]), parse_iso(row["last"]))
            for row in rows
        ]

    async def halted_hours(self, run_id: str) -> list[datetime]:
        """The hours (UTC, as their beginnings) in which a scan of the run found the guard HALTED."""
        rows = await self._database.rows(
            "SELECT DISTINCT substr(at, 1, 13) AS hour FROM scans WHERE run_id = ? AND guard = 'HALTED'",
            (run_id,),
        )
        return [parse_iso(f"{row['hour']}:00:00Z") for row in rows]

    async def decided_symbols(self, run_id: str) -> tuple[str, ...]:
        """The coins a run decides on, in the order of its first decisions."""
        rows = await self._database.rows(
            "SELECT symbol FROM decisions WHERE run_id = ? AND scan_seq ="
            " (SELECT min(scan_seq) FROM decisions WHERE run_id = ?) ORDER BY place",
            (run_id, run_id),
        )
        return tuple(row[0] for row in rows)

    async def models(self, run_id: str) -> dict[str, str]:
        """The models that a run's decisions were made with, with their versions; of two the newer one."""
        rows = await self._database.rows(
            "SELECT versions, max(scan_seq) AS last FROM decisions WHERE run_id = ? GROUP BY versions"
            " ORDER BY last",
            (run_id,),
        )
        return {model: version for row in rows for model, version in json.loads(row[0]).items()}

    async def input_span(self, run_id: str) -> InputSpan | None:
        """The coins whose candles a run saw, and the range of these; None when it saw none."""
        rows = await self._database.rows(
            "SELECT group_concat(DISTINCT symbol) AS coins, min(first_candle) AS first,"
            " max(last_candle) AS last FROM scan_inputs WHERE run_id = ? AND candles > 0",
            (run_id,),
        )
        row = rows[0]
        if row["coins"] is None:
            return None
        return InputSpan(tuple(row["coins"].split(",")), parse_iso(row["first"]), parse_iso(row["last"]))

    async def warm_starts(
        self, run_id: str, *, after: int = 0, until: int | None = None
    ) -> list[WarmStartRow]:
        """Which models started cold or were refused at which scan, in order."""
        return await self._of_scans(WarmStartRow, run_id, after, until, "scan_seq, model")

    async def desk_changes(self, run_id: str) -> list[DeskChangeRow]:
        """A run's accounts that no scan made, in order; the first is the one it began with."""
        return await self._select(DeskChangeRow, "run_id = ? ORDER BY number", (run_id,))

    async def by_reason(self, run_id: str) -> dict[str, int]:
        """How many decisions each reason has."""
        return await self._counts("reason", run_id)

    async def by_tier(self, run_id: str) -> dict[str, int]:
        """How many scored decisions each tier has; those below the lowest tier are under ``none``."""
        return await self._counts("coalesce(tier, 'none')", run_id, "AND confidence IS NOT NULL")

    async def controls_counter(self) -> int:
        """Moves with every change of kill switch or threshold; see :meth:`append`."""
        rows = await self._database.rows("SELECT value FROM counters WHERE name = 'controls'")
        return int(rows[0][0])

    async def _counts(self, column: str, run_id: str, condition: str = "") -> dict[str, int]:
        sql = f"SELECT {column}, count(*) FROM decisions WHERE run_id = ? {condition} GROUP BY 1 ORDER BY 1"  # noqa: S608 - fixed texts
        return dict(await self._database.rows(sql, (run_id,)))  # type: ignore[arg-type]

    async def _of_scans(
        self, kind: type[Row], run_id: str, after: int, until: int | None, order: str
    ) -> list[Row]:
        last = 2**62 if until is None else until
        condition = f"run_id = ? AND scan_seq > ? AND scan_seq <= ? ORDER BY {order}"
        return await self._select(kind, condition, (run_id, after, last))

    async def _select(
        self, kind: type[Row], condition: str, parameters: Sequence[Any], limit: int = -1
    ) -> list[Row]:
        names = ", ".join(columns(kind))
        sql = f"SELECT {names} FROM {TABLES[kind]} WHERE {condition} LIMIT ?"  # noqa: S608 - fixed texts
        rows = await self._database.rows(sql, (*parameters, limit))
        return [read_row(kind, row) for row in rows]


async def insert_rows(connection: aiosqlite.Connection, run_id: str, rows: Sequence[Any]) -> None:
    """Write rows of one class within an open transaction."""
    if rows:
        await connection.executemany(insert_statement(type(rows[0])), list(cells(run_id, rows)))


async def _expect_controls(connection: aiosqlite.Connection, counter: int | None) -> None:
    if counter is None:
        return
    rows = list(await connection.execute_fetchall("SELECT value FROM counters WHERE name = 'controls'"))
    if int(rows[0][0]) != counter:
        raise ControlsChangedError(
            "kill switch or threshold changed while the scan decided", remedy="Decide again."
        )


async def put_account(
    connection: aiosqlite.Connection, run_id: str, scan_seq: int, at: datetime, desk: Mapping[str, Any]
) -> None:
    """Make ``desk`` the run's account within an open transaction."""
    await connection.execute(
        "INSERT INTO run_accounts VALUES (?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE"
        " SET scan_seq = excluded.scan_seq, at = excluded.at, desk = excluded.desk",
        (run_id, scan_seq, stamp(at), dumps(desk)),
    )


def _account(row: sqlite3.Row) -> AccountRow:
    return AccountRow(row["run_id"], row["scan_seq"], parse_iso(row["at"]), json.loads(row["desk"]))


def _result(row: sqlite3.Row) -> RunResultRow:
    return RunResultRow(row["run_id"], row["state"], json.loads(row["request"]), json.loads(row["result"]))
