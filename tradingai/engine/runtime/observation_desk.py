"""What an operator does with an observation: snapshots, approval, report; each audited by the engine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import (
    ApproveObservation,
    ObservationCommand,
    ReportObservation,
    WriteSnapshot,
)
from tradingai.engine.core.errors import GateRefusedError, MissingError, UsageError
from tradingai.engine.core.events import (
    ObservationApproved,
    ObservationReported,
    ObservationSnapshotWritten,
)
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.observation_days import day_name, days_over, due_at, parse_day
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_replay import replay_view
from tradingai.engine.queries.observation_report import observation_document
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.runtime.observation_files import SUMMARY, Written, write_report
from tradingai.engine.store.database import Store
from tradingai.engine.store.observation_rows import ApprovalRow, ObservationRow, SnapshotRow, VerdictRow
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.stamps import stamp

TYPED: Final = "GO"
"""What an operator types to approve; the command line's ``--yes`` is kept beside it."""
NO_OBSERVATION: Final = "no observation has run"
START: Final = "`tradingai observe start` starts one."
_BEAT: Final = "SELECT max(seq) FROM heartbeats WHERE seq > ? AND at <= ?"


def audit_words(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit keeps of a result: documents stand in their files."""
    kept = {name: value for name, value in result.items() if not isinstance(value, dict | list)}
    verdict = result.get("verdict")
    return {**kept, "verdict": verdict["word"]} if isinstance(verdict, dict) else kept


class ObservationDesk:
    """Snapshots, approval and report of one home's observation."""

    def __init__(self, store: Store, paths: HomePaths, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._paths = paths
        self._settings = settings
        self._clock = clock

    async def carry_out(self, command: ObservationCommand) -> dict[str, Any]:
        """Carry out one command; raises what it raises."""
        match command:
            case WriteSnapshot():
                return await self.snapshot(command)
            case ApproveObservation():
                return await self.approve(command)
            case ReportObservation():
                return await self.report(command)
        raise UsageError(f"no observation carries out {type(command).__name__}", remedy="Update TradingAI.")

    # -- snapshots

    async def snapshot(self, command: WriteSnapshot) -> dict[str, Any]:
        """Write a day's snapshot: as it was when the day was over, or as it is now.

        Raises UsageError for a day that is none or has not begun, MissingError without an observation, and
        TradingAIError for files that cannot be written.
        """
        row = await self._row()
        now = row.ended_at or self._clock.now()
        newest = days_over(row, now) + (row.ended_at is None)
        day = newest if command.day is None else parse_day(command.day)
        if day > newest:
            raise UsageError(
                f"{day_name(day)} has not begun: the observation is in {day_name(newest)}",
                remedy=f"It is over at {due_at(row, day):%Y-%m-%d %H:%M} UTC; the loop writes it then.",
            )
        return await self.write_day(row, day)

    async def write_day(self, row: ObservationRow, day: int) -> dict[str, Any]:
        """Write the snapshot of one day of ``row``, which is the newest observation."""
        now = self._clock.now()
        whole = due_at(row, day) <= now
        document, written = await asyncio.to_thread(self._write_day, row, day, now, whole)
        event = ObservationSnapshotWritten(
            observation=row.observation_id, day=day_name(day), whole=whole, path=written.json_path
        )
        stored = SnapshotRow(row.observation_id, day, now, whole, *written)
        await self._store.observations.wrote(stored, event)
        return {"day": day_name(day), "whole": whole, **written._asdict(), "document": document}

    def _write_day(
        self, row: ObservationRow, day: int, now: datetime, whole: bool
    ) -> tuple[dict[str, Any], Written]:
        moment = due_at(row, day) if whole else now
        view = self._read(moment, as_of=row if whole else None)
        document = observation_document(view, moment, day=day_name(day))
        document["whole"] = whole
        return document, write_report(self._paths, self._clock, day_name(day), document)

    # -- approval

    async def approve(self, command: ApproveObservation) -> dict[str, Any]:
        """Record the operator's approval, bound to what the clock counts from.

        Raises UsageError for another word than GO or an observation that ended, GateRefusedError while
        another criterion does not hold, MissingError without an observation.
        """
        row = await self._row()
        if command.typed.strip().upper().removesuffix(" --YES") != TYPED:
            raise UsageError(
                f"an approval is the word {TYPED}, not {command.typed!r}", remedy=f"Type {TYPED}."
            )
        if row.ended_at is not None:
            raise UsageError(
                f"{row.observation_id} ended at {row.ended_at:%Y-%m-%d %H:%M} UTC: {row.ended_why}",
                remedy=START,
            )
        view, beat = await asyncio.to_thread(self._read_with_beat)
        open_ones = [one for one in view.criteria if one.state != "holds" and one.id != "approval"]
        if open_ones or beat is None:
            listed = "; ".join(f"{one.title}: {one.measured} ({one.evidence})" for one in open_ones)
            raise GateRefusedError(
                f"{len(open_ones)} of the other five criteria do not hold: {listed}",
                remedy="Approve once they do; `tradingai observe status` shows them.",
            )
        stored = ApprovalRow(
            observation_id=row.observation_id,
            number=0,
            at=self._clock.now(),
            clock_beat=beat,
            hours=view.continuous_hours,
            sender=command.sender,
            surface=command.surface,
            typed=command.typed,
        )
        event = ObservationApproved(
            observation=row.observation_id,
            hours=view.continuous_hours,
            who=command.sender,
            surface=command.surface,
        )
        await self._store.observations.approve(stored, event)
        return plain({"observation": row.observation_id, "at": stored.at, "hours": stored.hours})  # type: ignore[no-any-return]

    # -- report

    async def report(self, command: ReportObservation) -> dict[str, Any]:
        """Write the summary and return its document with ``path``; a GO ends the observation.

        Raises MissingError without an observation or the run, UsageError for a run that is no replay.
        """
        if command.run is not None:
            return await asyncio.to_thread(self._report_replay, command.run)
        row = await self._row()
        now = self._clock.now()
        document, path, beat = await asyncio.to_thread(self._report, now)
        verdict = document["verdict"]
        word = str(verdict["word"]).rpartition(" ")[2]
        if row.ended_at is None:
            stored = VerdictRow(
                row.observation_id, 0, now, word, verdict["decided_by"] or "", verdict["text"],
                command.sender, command.surface, path,
            )  # fmt: skip
            event = ObservationReported(
                observation=row.observation_id,
                verdict=str(verdict["word"]),
                decided_by=verdict["decided_by"] or "",
                detail=verdict["text"],
                path=path,
            )
            ends = beat if word == "GO" else None
            await self._store.observations.reported(stored, event, ends_at_beat=ends)
        return {**document, "path": path}

    def _report(self, now: datetime) -> tuple[dict[str, Any], str, int | None]:
        with reading(self._database) as connection:
            reader = ObservationReader(self._paths, self._settings.alert_chat)
            view = reader.read(connection, now)
        document = observation_document(view, view.ended_at or now)
        written = write_report(self._paths, self._clock, SUMMARY, document)
        last = reader.clock.last
        return document, written.markdown_path, None if last is None else last.seq

    def _report_replay(self, run_id: str) -> dict[str, Any]:
        now = self._clock.now()
        with reading(self._database) as connection:
            view = replay_view(connection, run_id, self._settings)
        document = observation_document(view, now)
        written = write_report(self._paths, self._clock, run_id, document)
        return {**document, "path": written.markdown_path}

    # -- reading

    @property
    def _database(self) -> Path:
        return self._store.path

    async def _row(self) -> ObservationRow:
        row = await self._store.observations.newest()
        if row is None:
            raise MissingError(NO_OBSERVATION, remedy=START)
        return row

    def _read(self, now: datetime, *, as_of: ObservationRow | None) -> ObservationView:
        """The observation now, or as it was at ``now``, by the last heartbeat before it."""
        with reading(self._database) as connection:
            until = None if as_of is None else _beat_before(connection, as_of, now)
            reader = ObservationReader(self._paths, self._settings.alert_chat, until_beat=until)
            return reader.read(connection, now)

    def _read_with_beat(self) -> tuple[ObservationView, int | None]:
        """The observation now, and the heartbeat its clock counts from."""
        with reading(self._database) as connection:
            reader = ObservationReader(self._paths, self._settings.alert_chat)
            view = reader.read(connection, self._clock.now())
        segment = reader.clock.segment
        return view, None if segment is None else segment.beat


def _beat_before(connection: sqlite3.Connection, row: ObservationRow, moment: datetime) -> int:
    found = connection.execute(_BEAT, (row.after_beat, stamp(moment))).fetchone()[0]
    return row.after_beat if found is None else int(found)
