"""The table of runs: what every decision, position and heartbeat belongs to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.store.connection import Database
from tradingai.engine.store.stamps import stamp, unstamp

RunKind = Literal["live", "replay", "backtest", "drill", "soak"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. At most one live run of a home is open at a time."""

    run_id: str
    kind: RunKind
    clock: Literal["real", "simulated"]
    started_at: datetime
    ended_at: datetime | None
    settings_hash: str
    code_version: str
    model_hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReplayPlanRow:
    """What a run over stored candles goes through: scans every ``interval_s`` seconds, both ends included."""

    first_at: datetime
    last_at: datetime
    interval_s: int
    speed: float | None
    """Simulated seconds in a real one; None: as fast as it goes."""

    @property
    def scans(self) -> int:
        """How many there are."""
        return round((self.last_at - self.first_at).total_seconds()) // self.interval_s + 1


class RunTable:
    """Runs, kept apart by their ids."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def start(
        self,
        run: RunRow,
        plan: ReplayPlanRow | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert a run with what it goes through, if that is planned, and the settings it decides by.

        Raises StoreError when a live one is open already.
        """
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.run_id,
                    run.kind,
                    run.clock,
                    stamp(run.started_at),
                    None if run.ended_at is None else stamp(run.ended_at),
                    run.settings_hash,
                    run.code_version,
                    dumps(run.model_hashes),
                ),
            )
            if settings is not None:
                await connection.execute(
                    "INSERT INTO run_settings VALUES (?, ?)", (run.run_id, dumps(settings))
                )
            if plan is not None:
                await connection.execute(
                    "INSERT INTO replay_runs VALUES (?, ?, ?, ?, ?)",
                    (run.run_id, stamp(plan.first_at), stamp(plan.last_at), plan.interval_s, plan.speed),
                )

    async def plan(self, run_id: str) -> ReplayPlanRow | None:
        """What a run over stored candles goes through; None for a run that is none."""
        rows = await self._database.rows(
            "SELECT first_at, last_at, interval_s, speed FROM replay_runs WHERE run_id = ?", (run_id,)
        )
        if not rows:
            return None
        first_at, last_at, interval_s, speed = rows[0]
        return ReplayPlanRow(parse_iso(first_at), parse_iso(last_at), interval_s, speed)

    async def end(self, run_id: str) -> None:
        """Close a run."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE runs SET ended_at = ? WHERE run_id = ?", (stamp(self._clock.now()), run_id)
            )

    async def open_runs(self, kind: RunKind) -> list[RunRow]:
        """The runs of a kind that were not closed."""
        rows = await self._database.rows(
            "SELECT * FROM runs WHERE kind = ? AND ended_at IS NULL ORDER BY started_at", (kind,)
        )
        return [run_row(row) for row in rows]

    async def with_scans(self) -> list[RunRow]:
        """The runs that have scanned, newest first."""
        rows = await self._database.rows(
            "SELECT * FROM runs WHERE run_id IN (SELECT run_id FROM scans) ORDER BY started_at DESC"
        )
        return [run_row(row) for row in rows]

    async def latest(self, limit: int = 20) -> list[RunRow]:
        """The newest ``limit`` runs, newest first."""
        rows = await self._database.rows("SELECT * FROM runs ORDER BY started_at DESC LIMIT ?", (limit,))
        return [run_row(row) for row in rows]


def run_row(row: sqlite3.Row) -> RunRow:
    """A row of the table as a RunRow."""
    return RunRow(
        row["run_id"],
        row["kind"],
        row["clock"],
        parse_iso(row["started_at"]),
        unstamp(row["ended_at"]),
        row["settings_hash"],
        row["code_version"],
        json.loads(row["model_hashes"]),
    )
