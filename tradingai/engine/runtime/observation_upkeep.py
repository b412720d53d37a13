"""What a running observation asks of the loop between scans: its snapshots, and word of restarts.

Nothing of it can stop a scan: what cannot be written is told once and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.events import (
    Event,
    ObservationClockRestarted,
    ObservationSnapshotFailed,
    UpkeepFailed,
)
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.observation_days import parse_day
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_views import DaySnapshot, ObservationView
from tradingai.engine.runtime.observation_desk import ObservationDesk
from tradingai.engine.store.database import Store
from tradingai.engine.store.observation_rows import ObservationRow
from tradingai.engine.store.read_only import reading

LOOK_S: Final = 60.0
"""Seconds between two looks."""


class ObservationUpkeep:
    """Writes the snapshots of days that are over, and tells of restarts of the clock."""

    def __init__(self, store: Store, paths: HomePaths, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._paths = paths
        self._clock = clock
        self._desk = ObservationDesk(store, paths, settings, clock)
        self._reader = ObservationReader(paths, settings.alert_chat)
        self._next_look = 0.0
        self._told: tuple[str, str] = ("", "")
        """Day and reason of the failure that was told last."""

    async def __call__(self) -> Sequence[Event]:
        """At most once a minute; returns what there is to tell. Raises StoreError."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return ()
        self._next_look = now + LOOK_S
        row = await self._store.observations.newest()
        if row is None or row.ended_at is not None:
            return ()
        view = await asyncio.to_thread(self._read)
        await self._tell_restarts(row, view)
        return await self._write_days(row, view)

    def _read(self) -> ObservationView:
        with reading(self._store.path) as connection:
            return self._reader.read(connection, self._clock.now(), loop_running=True)

    async def _tell_restarts(self, row: ObservationRow, view: ObservationView) -> None:
        fresh = view.restarts[row.told_restarts :]
        if fresh:
            events = [
                ObservationClockRestarted(
                    observation=row.observation_id,
                    cause=one.cause,
                    detail=one.text,
                    hours_lost=one.hours_lost,
                    at=iso_z(one.at),
                )
                for one in fresh
            ]
            await self._store.observations.tell_restarts(row.observation_id, row.told_restarts, events)

    async def _write_days(self, row: ObservationRow, view: ObservationView) -> list[Event]:
        """The days that are over and not on disk, until one cannot be written."""
        for day in view.snapshots:
            if not _to_write(day, view, self._clock):
                continue
            try:
                await self._desk.write_day(row, parse_day(day.day))
            except TradingAIError as error:
                return self._failed(row, day, error)
            self._told = ("", "")
        return []

    def _failed(self, row: ObservationRow, day: DaySnapshot, error: TradingAIError) -> list[Event]:
        told = (day.day, error.message)
        if told == self._told:
            return []
        self._told = told
        failed = ObservationSnapshotFailed(
            observation=row.observation_id, day=day.day, reason=error.message, remedy=error.remedy
        )
        return [failed]


def _to_write(day: DaySnapshot, view: ObservationView, clock: Clock) -> bool:
    """Over, and not written whole; a file that somebody removed is made again."""
    return day.state != "written" and day.due_at <= clock.now() and view.state == "running"


Duty = Callable[[], Awaitable[Sequence[Event]]]


class Duties:
    """Several duties between scans, by name: one that fails keeps no other from its turn and is told once."""

    def __init__(self, duties: Mapping[str, Duty]) -> None:
        self._duties = duties
        self._troubles: dict[str, str] = {}

    async def __call__(self) -> Sequence[Event]:
        """All of them; returns what there is to tell, failures among it."""
        told: list[Event] = []
        for name, duty in self._duties.items():
            try:
                told += await duty()
            except Exception as error:  # noqa: BLE001 - the boundary between duties: what can wait must not end the loop
                reason = f"{type(error).__name__}: {error}"
                if self._troubles.get(name) != reason:
                    self._troubles[name] = reason
                    told.append(UpkeepFailed(what=name, reason=reason))
            else:
                self._troubles.pop(name, None)
        return told
