"""The store of one home: state and events, behind a small interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.store.alert_table import AlertTable
from tradingai.engine.store.bot_table import BotTable
from tradingai.engine.store.connection import Database
from tradingai.engine.store.control_table import CommandTable, ControlTable
from tradingai.engine.store.desk_override import DeskOverrides
from tradingai.engine.store.event_log import EventLog
from tradingai.engine.store.failures import is_database
from tradingai.engine.store.job_table import JobTable
from tradingai.engine.store.live_table import LiveTable
from tradingai.engine.store.meter_table import MeterTable
from tradingai.engine.store.migrate import migrate, pending
from tradingai.engine.store.observation_table import ObservationTable
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.run_table import RunTable
from tradingai.engine.store.scan_table import ScanTable

_MIGRATION_WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class StoreVersion:
    """Counters that move with every change; a screen that saw the same ones has nothing to redraw."""

    seq: int
    jobs: int
    controls: int


class Store:
    """Events, jobs, commands, controls, runs, scans, alerts and observations of one home.

    Close it, or use it as ``async with``.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.events = EventLog(database, clock)
        self.jobs = JobTable(database, clock)
        self.commands = CommandTable(database, clock)
        self.controls = ControlTable(database, clock)
        self.runs = RunTable(database, clock)
        self.scans = ScanTable(database, clock)
        self.live = LiveTable(database, clock)
        self.overrides = DeskOverrides(database, clock)
        self.alerts = AlertTable(database, clock)
        self.bot = BotTable(database, clock)
        self.meters = MeterTable(database)
        self.observations = ObservationTable(database, clock)

    @classmethod
    async def open(
        cls, path: Path, paths: HomePaths, clock: Clock, *, engine_lock_held: bool = False
    ) -> Self:
        """Open the database at ``path`` for reading and writing, making or migrating it first.

        A migration waits for another one, is refused while an engine of the old schema runs
        (``engine_lock_held`` says that the caller is that engine, just starting), and leaves a copy of the
        database in the home's ``backups``. Raises StoreError or LockHeldError.
        """
        await _migrate(path, paths, clock, engine_lock_held=engine_lock_held)
        return cls(await Database.open(path, read_only=False), clock)

    @classmethod
    async def open_existing(cls, path: Path, clock: Clock) -> Self | None:
        """Open the database query-only, or return None when there is none; migrates nothing, takes no lock.

        Raises StoreError when it is locked, damaged, of something else, or of another schema.
        """
        if not is_database(path):
            return None
        with reading(path):
            return cls(await Database.open(path, read_only=True), clock)

    @property
    def read_only(self) -> bool:
        """True when opened query-only."""
        return self._database.read_only

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    @property
    def refusal(self) -> StoreError | None:
        """Why the newest write of this process was not taken; None once one was."""
        return self._database.refusal

    async def version(self) -> StoreVersion:
        """The counters of the last committed state."""
        rows = await self._database.rows(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),"
            " (SELECT value FROM counters WHERE name = 'jobs'),"
            " (SELECT value FROM counters WHERE name = 'controls')"
        )
        return StoreVersion(*rows[0])

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _migrate(path: Path, paths: HomePaths, clock: Clock, *, engine_lock_held: bool) -> None:
    if not pending(path)[1]:
        return
    turn = FileLock(paths.locks / "migrate", command="database migration", clock=clock)
    await turn.wait(_MIGRATION_WAIT_S)
    try:
        version, steps = pending(path)
        if not steps:
            return
        if version == 0 or engine_lock_held:
            migrate(path, paths.backups, clock.now())
            return
        engine = FileLock(
            paths.locks / "engine",
            command="database migration",
            clock=clock,
            remedy="Stop the running engine: it works with the database's older schema. Then run this again.",
        )
        with engine:
            migrate(path, paths.backups, clock.now())
    finally:
        turn.release()
