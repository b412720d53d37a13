"""What a scrape and a health check are answered with, read from the store when somebody asks.

Nothing here is measured: the loop stored it. The store is read at most once in FRESH_S, however often
somebody asks.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from math import inf
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import StoreError, TradingAIError
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.queries.risk_views import StoredAccount
from tradingai.engine.queries.status import kill_switch, threshold
from tradingai.engine.queries.system import resident_bytes
from tradingai.engine.runtime.account_facts import HomeAccounts
from tradingai.engine.store.database import Store
from tradingai.engine.store.live_rows import Heartbeat
from tradingai.engine.store.meter_table import Marks, MeteredScan
from tradingai.engine.store.read_only import reading
from tradingai.engine.telemetry.exposition import exposition
from tradingai.engine.telemetry.health import Health, Vitals, judge
from tradingai.engine.telemetry.meters import Build, Controls, Meters, Process

FRESH_S: Final = 1.0
OBSERVATION_S: Final = 15.0
"""Between two looks at the observation, which are dearer."""
READ_TIMEOUT_S: Final = 5.0
"""A store that takes longer to be read counts as one that cannot be read."""


class Telemetry:
    """Follows one live run for as long as this engine scans it."""

    def __init__(
        self,
        store: Store,
        paths: HomePaths,
        settings: Settings,
        clock: Clock,
        *,
        run_id: str,
        mode: str,
        channels: Sequence[str],
    ) -> None:
        """``channels`` are those alerts go to."""
        self._store = store
        self._settings = settings
        self._clock = clock
        self._run_id = run_id
        self._accounts = HomeAccounts(settings, paths)
        self._observations = ObservationReader(paths, settings.alert_chat)
        self._observe_at = -inf
        self._observation_fault = ""
        self._identity = {
            "home": str(paths.root), "pid": os.getpid(), "run": run_id, "mode": mode,
            "version": version("tradingai"),
        }  # fmt: skip
        build = Build(version("tradingai"), code_sha256()[:12], platform.python_version(), run_id, mode)
        self._meters = Meters(
            build, settings.symbols, channels, budget_ms=settings.latency_budget_ms, started=clock.now()
        )
        self._marks: Marks | None = None
        self._beat: Heartbeat | None = None
        self._scan: MeteredScan | None = None
        self._decided_at: datetime | None = None
        self._kill: Mapping[str, Any] = {"on": True, "source": "nothing was read yet"}
        self._guard: str | None = None
        self._account_fault = ""
        self._fault = "nothing was read yet"
        self._turn = asyncio.Lock()
        self._read_at: float | None = None

    async def open(self) -> None:
        """Begin to count from here; when the store cannot be read, from the first time it can."""
        with suppress(StoreError):
            self._marks = await self._store.meters.marks(self._run_id)

    async def metrics(self) -> str:
        """The exposition as it is now."""
        await self._refresh()
        return exposition(self._meters.families())

    async def health(self) -> tuple[Health, dict[str, Any]]:
        """The judgement, and the document that says it."""
        await self._refresh()
        vitals = self._vitals()
        found = judge(vitals)
        document = {
            "status": "ok" if found.ok else "failing",
            "reasons": found.reasons,
            **self._identity,
            "last_scan": None if vitals.scan is None else {**vitals.scan, "decided_age_s": vitals.scan_age_s},
            "heartbeat_age_s": vitals.beat_age_s,
            "interval_s": vitals.interval_s,
            "kill_switch": self._kill,
            "guard": self._guard,
            "account_fault": self._account_fault,
            "observation_fault": self._observation_fault,
        }
        return found, plain(document)

    # -- reading

    async def _refresh(self) -> None:
        """Read the store unless that was done just now; a store that cannot be read is noted."""
        async with self._turn:
            now = self._clock.monotonic()
            if self._read_at is not None and now - self._read_at < FRESH_S:
                return
            try:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    await self._read()
                self._fault = ""
            except StoreError as error:
                self._fault = error.message
            except TimeoutError:
                self._fault = f"it did not answer within {READ_TIMEOUT_S:g} s"
            if self._fault:
                self._kill = kill_switch(self._settings, None)
                self._meters.account.show(None, None)
            self._read_at = self._clock.monotonic()
            self._show()

    async def _read(self) -> None:
        """Raises StoreError."""
        table = self._store.meters
        if self._marks is None:
            self._marks = await table.marks(self._run_id)
        news = await table.since(self._run_id, self._marks)
        self._meters.follow(news)
        self._marks = news.marks
        for scan in news.scans:
            self._scan = scan
            if scan.state != "failed":
                self._decided_at = scan.at
        if news.beats:
            self._beat = news.beats[-1]
        rows = await self._store.controls.all()
        self._kill = kill_switch(self._settings, rows)
        needed = float(threshold(self._settings, rows)["value"])
        account = await self._account()
        self._guard = None if account is None else str(account["status"])
        self._meters.account.show(Controls(bool(self._kill["on"]), needed), account)
        self._meters.alerts.show(await table.alerts())
        await self._observe()

    async def _observe(self) -> None:
        """Follow the open observation; one that cannot be read is no illness of the loop."""
        now = self._clock.monotonic()
        if now < self._observe_at:
            return
        self._observe_at = now + OBSERVATION_S
        try:
            row = await self._store.observations.newest()
            open_now = row is not None and row.ended_at is None
            self._meters.observation.show(await asyncio.to_thread(self._observation) if open_now else None)
            self._observation_fault = ""
        except Exception as error:  # noqa: BLE001 - what stands in it may be of another version; the rest is shown
            self._meters.observation.show(None)
            self._observation_fault = f"{type(error).__name__}: {error}"

    def _observation(self) -> ObservationView:
        with reading(self._store.path) as connection:
            return self._observations.read(connection, self._clock.now(), loop_running=True)

    async def _account(self) -> dict[str, Any] | None:
        """The document of ``ftmo status --json`` with the largest drawdown.

        None without an account, and for one that cannot be shown, which is no illness of the loop: it goes by
        the account it holds.
        """
        row = await self._store.scans.account(self._run_id)
        if row is None:
            return None
        stored = StoredAccount(self._run_id, row.at, row.desk)
        self._account_fault = ""
        try:
            facts = self._accounts.facts(stored, self._clock.now(), live=True)
        except TradingAIError as error:
            self._account_fault = f"{error.message} {error.remedy}".strip()
            return None
        return {**facts.document, "max_drawdown": row.desk["paper"]["max_drawdown"]}

    def _show(self) -> None:
        vitals = self._vitals()
        self._meters.scans.show(self._clock.now())
        times = os.times()
        self._meters.engine.show(
            Process(resident_bytes(os.getpid()), times.user + times.system),
            vitals.beat_age_s,
            healthy=judge(vitals).ok,
            readable=not self._fault,
        )

    def _vitals(self) -> Vitals:
        now, beat, scan = self._clock.now(), self._beat, self._scan
        return Vitals(
            interval_s=None if beat is None else beat.interval_s,
            heartbeat_s=self._settings.heartbeat_s,
            beat_age_s=None if beat is None else self._clock.monotonic() - beat.monotonic_s,
            scan_age_s=None if self._decided_at is None else (now - self._decided_at).total_seconds(),
            scan=None
            if scan is None
            else {"seq": scan.seq, "state": scan.state, "at": scan.at, "detail": scan.detail},
            next_due=None if beat is None else beat.next_due,
            store_fault=self._fault,
        )
