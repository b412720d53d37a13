"""Runs: each scan, account and model start of one, stored under its own id."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final, Literal, NamedTuple, Self

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock, SimulatedClock
from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import InterruptedRunError, StoreError
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import digest
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.state import DeskConfig, DeskState, desk_from_json
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.inference.stream import SeenCoin
from tradingai.engine.runtime.received import received_candles
from tradingai.engine.runtime.records import failed_record, scan_record
from tradingai.engine.runtime.step import Outcome
from tradingai.engine.store.database import Store
from tradingai.engine.store.live_rows import LiveCandle
from tradingai.engine.store.run_table import ReplayPlanRow, RunKind, RunRow
from tradingai.engine.store.scan_rows import DeskChangeRow
from tradingai.engine.store.scan_table import RunResultRow, RunState

_REAL: Final = frozenset({"live", "soak"})
"""Kinds of run on the machine's own clock."""
_LOGGED: Final = frozenset({"live", "soak"})
"""Kinds whose events go into the log; what happened in the others is in their rows and results, so that
nobody takes a drill's breach for one of the account."""
_LOST: Final = "Restore the database from a backup, or open a fresh account with `tradingai ftmo reset`."


def code_version() -> str:
    """The installed version and the hash of its sources: what a change of code is recognised by."""
    return f"{version('tradingai')}+{code_sha256()[:12]}"


def deciding_hash(settings: Settings, config: DeskConfig) -> str:
    """Hash of the settings that influence a decision, and of the execution costs where some were measured.

    Costs are numbers that fills and the guard go by: another measurement is a change of settings.
    """
    costs = config.costs.as_document()["pairs"]
    return digest([settings.settings_hash(), costs]) if costs else settings.settings_hash()


class Finished(NamedTuple):
    """A decided scan that is to be stored."""

    outcome: Outcome
    took_ms: float | None = None
    state: Literal["done", "late"] = "done"
    detail: str = ""
    """Why it was late."""


class Run:
    """An open run: numbers its scans and stores each with everything it did and the account it left."""

    def __init__(
        self, store: Store, clock: Clock, row: RunRow, config: DeskConfig, *, scans: int = 0, changes: int = 0
    ) -> None:
        """``scans`` and ``changes`` count what is stored already."""
        self.row = row
        self._store = store
        self._clock = clock
        self._config = config
        self._scans = scans
        self._changes = changes

    @classmethod
    async def begin(
        cls,
        store: Store,
        clock: Clock,
        settings: Settings,
        config: DeskConfig,
        desk: DeskState,
        *,
        kind: RunKind,
        at_us: int,
        promoted: PromotedModels,
        opening: str = "a fresh account",
        plan: ReplayPlanRow | None = None,
    ) -> Self:
        """Open a new run with the account ``desk`` at the run's own time ``at_us``.

        ``opening`` says where the account is from, ``plan`` what a run over stored candles goes through.

        Raises StoreError, for example when a live run is open already.
        """
        now = clock.now()
        row = RunRow(
            run_id=f"{kind}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            kind=kind,
            clock="simulated" if kind not in _REAL or isinstance(clock, SimulatedClock) else "real",
            started_at=now,
            ended_at=None,
            settings_hash=deciding_hash(settings, config),
            code_version=code_version(),
            model_hashes=promoted.hashes,
        )
        await store.runs.start(row, plan, settings.deciding())
        run = cls(store, clock, row, config)
        await run.change_desk(desk, at_us, "started", opening)
        return run

    @classmethod
    async def resume(
        cls, store: Store, clock: Clock, row: RunRow, config: DeskConfig
    ) -> tuple[Self, DeskState]:
        """Go on with an open run from the account its last stored scan left, by the numbers of ``config``.

        Raises StoreError when there is none, or one that cannot be read.
        """
        account = await store.scans.account(row.run_id)
        if account is None:
            raise StoreError(f"run {row.run_id} has no account", remedy=_LOST)
        changes = await store.scans.desk_changes(row.run_id)
        scans = await store.scans.newest_scan(row.run_id)
        run = cls(store, clock, row, config, scans=scans, changes=len(changes))
        desk = desk_from_json(account.desk)
        configs = [change.config for change in changes if change.config]
        if not configs or configs[-1] != config.as_json():
            words = "the numbers it goes by are others than before"
            await run.change_desk(desk, datetime_to_us(account.at), "resumed", words)
        return run, desk

    @property
    def run_id(self) -> str:
        """Names the run for ever."""
        return self.row.run_id

    @property
    def scans(self) -> int:
        """How many scans are stored, failed ones included."""
        return self._scans

    async def store(self, finished: Sequence[Finished], *, controls: int | None = None) -> None:
        """Store decided scans, oldest first, and the account after the last of them, in one transaction.

        ``controls`` is ``store.scans.controls_counter()`` from before kill switch and threshold were read.
        Raises ControlsChangedError when they changed since, StoreError for whatever else the database says:
        nothing is stored then, and the same scans may be decided and stored again.
        """
        if not finished:
            return
        records = [
            scan_record(
                self._scans + number, item.outcome, self._config,
                took_ms=item.took_ms, state=item.state, detail=item.detail,
            )
            for number, item in enumerate(finished, start=1)
        ]  # fmt: skip
        if self.row.kind not in _LOGGED:
            records = [replace(record, events=()) for record in records]
        desk = finished[-1].outcome.desk.as_json()
        candles = [
            row
            for number, item in enumerate(finished, start=1)
            for row in self._received(self._scans + number, item.outcome.seen, item.outcome.at_us)
        ]
        await self._store.scans.append(self.run_id, records, desk, controls=controls, candles=candles)
        self._scans += len(records)

    async def store_failed(
        self,
        due_us: int,
        at_us: int,
        detail: str,
        events: Sequence[Event] = (),
        seen: Sequence[SeenCoin] = (),
    ) -> None:
        """Store a scan that could not decide anything, and why; the account stays as it is.

        ``seen`` is what it had taken in by then.
        """
        seq = self._scans + 1
        record = failed_record(seq, due_us, at_us, detail, events, seen)
        candles = self._received(seq, seen, at_us)
        await self._store.scans.append(self.run_id, [record], None, candles=candles)
        self._scans += 1

    def _received(self, seq: int, seen: Sequence[SeenCoin], at_us: int) -> tuple[LiveCandle, ...]:
        """The raw candles to keep: a run on stored candles finds them where they are."""
        return received_candles(seq, seen, at_us) if self.row.kind in _REAL else ()

    @property
    def desk_changes(self) -> int:
        """How many accounts of it no scan made."""
        return self._changes

    async def reload_desk(self, changes: int) -> DeskState:
        """The stored account, once an operator changed it: it is change number ``changes``."""
        account = await self._store.scans.account(self.run_id)
        if account is None:
            raise StoreError(f"run {self.run_id} has no account", remedy=_LOST)
        self._changes = changes
        return desk_from_json(account.desk)

    async def change_desk(
        self, desk: DeskState, at_us: int, cause: str, detail: str, events: Sequence[Event] = ()
    ) -> None:
        """Store an account that something other than a scan made: a restart, an operator."""
        change = DeskChangeRow(
            number=self._changes + 1,
            after_scan=self._scans,
            at=us_to_datetime(at_us),
            cause=cause,
            detail=detail,
            desk=desk.as_json(),
            config=self._config.as_json(),
        )
        await self._store.scans.change_desk(self.run_id, change, [event.as_json() for event in events])
        self._changes += 1

    async def end(self, state: RunState, request: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Close the run with what it was asked for and what came of it."""
        await self._store.scans.finish(RunResultRow(self.run_id, state, request, result))

    @asynccontextmanager
    async def closing(self, request: Mapping[str, Any]) -> AsyncIterator[None]:
        """Close the run as what it is when the body raises: interrupted at a stop, else failed."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, InterruptedRunError) or not isinstance(error, Exception)
            state: RunState = "interrupted" if stopped else "failed"
            with suppress(StoreError):
                await self.end(state, request, {"error": f"{type(error).__name__}: {error}"})
            raise


async def close_dead_runs(store: Store, kind: RunKind) -> None:
    """Mark runs whose process died. The caller holds the lock of this kind, so none of them is alive."""
    for row in await store.runs.open_runs(kind):
        await store.scans.finish(RunResultRow(row.run_id, "interrupted", {}, {"error": "its process died"}))
