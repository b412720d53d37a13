"""A live session: one start of the engine over one home, from recovery to the last heartbeat."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import EngineStarted, EngineStopped
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.inference.promoted import PromotedModels, PromotionWatch
from tradingai.engine.providers.live import LiveFeed
from tradingai.engine.runtime.compaction import Upkeep
from tradingai.engine.runtime.heart import Heart
from tradingai.engine.runtime.live_run import MODE, Begun, begin_live
from tradingai.engine.runtime.loop import LoopParts, ScanLoop
from tradingai.engine.runtime.observation_upkeep import Duties, ObservationUpkeep
from tradingai.engine.runtime.reader import FeedReader
from tradingai.engine.runtime.scan_lines import log_scan
from tradingai.engine.runtime.scanned import Scanned
from tradingai.engine.runtime.scanner import scan_loop_failed
from tradingai.engine.runtime.supervision import Supervisor
from tradingai.engine.store.database import Store

Beside = Callable[[str, str], AbstractAsyncContextManager[None]]
"""What runs beside the loop, given the run's id and the mode: alerts and the bot."""


def _nothing(_run_id: str, _mode: str) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _in_words(scanned: Scanned) -> str:
    """One line a scan."""
    due = us_to_datetime(scanned.due_us)
    reasons = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in scanned.reasons.items())
    words = ": ".join(part for part in (reasons, scanned.detail) if part)
    return f"scan {scanned.seq} of {due:%H:%M:%S}Z {scanned.state}: {words}"


@dataclass(slots=True)
class _Totals:
    """What one session did."""

    scans: int = 0
    failed: int = 0
    late: int = 0
    signals: int = 0

    def add(self, scanned: Scanned) -> None:
        self.scans += 1
        self.failed += scanned.state == "failed"
        self.late += scanned.state == "late"
        self.signals += len(scanned.signals)


class LiveSession:
    """The engine's scan loop. The caller holds the engine's lock as long as it is used."""

    def __init__(
        self,
        store: Store,
        paths: HomePaths,
        settings: Settings,
        clock: Clock,
        feed: LiveFeed,
        *,
        interval_s: float,
        on_scan: Callable[[Scanned], None] = lambda _scanned: None,
        beside: Beside | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """``on_scan`` hears of each scan once it is stored, or has failed; ``beside`` runs as long as it;
        ``supervisor`` is told when the loop can scan, lives and ends.
        """
        self._store = store
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._feed = feed
        self._interval_s = interval_s
        self._on_scan = on_scan
        self._beside = beside or _nothing
        self._supervisor = supervisor or Supervisor(clock)
        self.failure_told = False
        """What ended the loop is in the event log."""
        self._watch = PromotionWatch(paths, settings.symbols)
        self._begun: Begun | None = None
        self._totals = _Totals()

    @property
    def promoted(self) -> PromotedModels:
        """What is live, once :meth:`begin` has loaded it."""
        return self._watch.current

    async def begin(self) -> Begun:
        """Load models and go on with the home's live run, or begin one.

        Raises StoreError, RegistryError for a ledger that cannot be read, and ArtifactError for damaged
        execution metrics.
        """
        await asyncio.to_thread(self._watch.look)
        self._begun = await begin_live(
            self._store,
            self._paths,
            self._settings,
            self._clock,
            self._feed.identity,
            self._settings.symbols,
            self._watch.current,
        )
        return self._begun

    async def run(self, stop: asyncio.Event, scans: int | None, why: Callable[[], str]) -> dict[str, Any]:
        """Scan until ``stop`` is set or ``scans`` were made, and say what was done.

        ``why`` is asked for the reason when the loop has ended. Raises StoreError when the start or the end
        cannot be written down.
        """
        begun = self._begun or await self.begin()
        engine = secrets.token_hex(4)
        loop = await self._loop(begun)
        heart = Heart(
            self._store,
            begun.run,
            self._clock,
            engine=engine,
            interval_s=self._interval_s,
            every_s=self._settings.heartbeat_s,
        )
        async with self._beside(begun.run.run_id, MODE):
            await self._store.events.append(self._started(begun, engine), run_id=begun.run.run_id)
            try:
                async with heart.beating(lambda: us_to_datetime(loop.next_due_us)):
                    first = us_to_datetime(loop.next_due_us)
                    self._supervisor.ready(f"{begun.run.run_id}: first scan at {first:%H:%M:%S}Z")
                    await loop.run(stop, scans)
                    self._supervisor.stopping()
                    ended = EngineStopped(
                        run_id=begun.run.run_id, engine=engine, reason=why(), scans=self._totals.scans
                    )
                    await self._store.events.append(ended, run_id=begun.run.run_id)
            except Exception as error:
                self._supervisor.stopping()
                await self._tell_failure(error)
                raise
        return await self._summary(begun)

    async def _tell_failure(self, error: Exception) -> None:
        """While alerts still go out."""
        with suppress(StoreError):
            await self._store.events.append(scan_loop_failed(error), run_id=self.run_id)
            self.failure_told = True

    @property
    def run_id(self) -> str | None:
        """The live run, once :meth:`begin` has opened it."""
        return None if self._begun is None else self._begun.run.run_id

    async def _loop(self, begun: Begun) -> ScanLoop:
        upkeep = Upkeep(
            self._store,
            begun.run,
            self._paths,
            self._clock,
            feed=self._feed,
            keep_days=self._settings.event_days,
        )
        await upkeep.resume()
        seed = int.from_bytes(sha256(begun.run.run_id.encode()).digest()[:8])
        reader = FeedReader(
            self._feed, self._clock, np.random.default_rng(seed), self._settings.provider_timeout_s
        )
        parts = LoopParts(
            store=self._store,
            run=begun.run,
            step=begun.step,
            reader=reader,
            watch=self._watch,
            settings=self._settings,
            clock=self._clock,
            interval_s=self._interval_s,
            upkeep=Duties({"upkeep": upkeep, "observation": self._observation()}),
            supervisor=self._supervisor,
        )
        return ScanLoop(parts, self._heard)

    def _observation(self) -> ObservationUpkeep:
        return ObservationUpkeep(self._store, self._paths, self._settings, self._clock)

    def _heard(self, scanned: Scanned) -> None:
        self._totals.add(scanned)
        log_scan(scanned)
        self._supervisor.status(_in_words(scanned))
        self._on_scan(scanned)

    def _started(self, begun: Begun, engine: str) -> EngineStarted:
        return EngineStarted(
            run_id=begun.run.run_id,
            engine=engine,
            pid=os.getpid(),
            feed=self._feed.identity,
            interval_s=self._interval_s,
            resumed=begun.resumed,
            previous=begun.previous,
        )

    async def _summary(self, begun: Begun) -> dict[str, Any]:
        run_id, totals = begun.run.run_id, self._totals
        reasons = await self._store.scans.by_reason(run_id)
        return {
            "run": run_id,
            "resumed": begun.resumed,
            "scans": totals.scans,
            "late": totals.late,
            "failed": totals.failed,
            "signals": totals.signals,
            "run_scans": begun.run.scans,
            "run_decisions": sum(reasons.values()),
            "run_by_reason": reasons,
        }
