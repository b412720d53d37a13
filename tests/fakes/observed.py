"""A home under observation, whose live loop runs on a clock that moves from one sleeper to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import ReportObservation
from tradingai.engine.core.ledger import Candidate
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.models.artifact import ModelArtifact, save_artifact
from tradingai.engine.providers.live import SyntheticFeed
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.registry.registry import Registry
from tradingai.engine.runtime.baseline import start_observation
from tradingai.engine.runtime.drill import drill, read_drill
from tradingai.engine.runtime.observation_desk import ObservationDesk
from tradingai.engine.runtime.scanner import engine_lock
from tradingai.engine.runtime.session import LiveSession
from tradingai.engine.store.database import Store
from tradingai.engine.store.observation_rows import ObservationRow
from tradingai.engine.store.read_only import reading

from tests.fakes.evaluations import numbered
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.live import BTC, passing_report, sure_artifact
from tests.fakes.stored_market import END, store_candles

NOW = datetime(2026, 3, 9, 6, 0, 10, tzinfo=UTC)
"""A Monday, ten seconds after a scan was due."""
WHO = {"sender": "tester", "surface": "cli"}
_SLEEPERS = 2
"""The heart, and the loop between two scans."""


class SteppedClock(SimulatedClock):
    """Moves to the next wake-up, once everybody who lives by it sleeps."""

    @property
    def sleeping(self) -> int:
        """How many wait for it."""
        return sum(not sleeper[2].done() for sleeper in self._sleepers)

    def step(self, until: float) -> None:
        """To the next wake-up, no further than monotonic ``until``."""
        waiting = [at for at, _, future in self._sleepers if not future.done()]
        self.advance(max(0.0, min([until, *waiting]) - self.monotonic()))


def promote_tested(paths: HomePaths, clock: SimulatedClock, artifact: ModelArtifact, hours: float) -> str:
    """Make an artifact live whose certificate names the last ``hours`` of candles as its test range."""
    file = paths.checkpoints / f"{artifact.model}_best.pt"
    digest = save_artifact(file, artifact)
    end = END - timedelta(minutes=15)
    report = replace(
        passing_report(), model=artifact.model, symbol=artifact.symbols[0],
        start=end - timedelta(hours=hours), end=end,
    )  # fmt: skip
    registry = Registry(paths, clock, who="test")
    tests = {artifact.symbols[0]: "t" * 64}
    candidate = Candidate(artifact.model, tests, digest, file, file.with_suffix(".json"), digest)
    recorded = registry.record(candidate, numbered(report))
    registry.promote(artifact.model, recorded.version, why="test")
    return recorded.version


@dataclass
class Observed:
    """The home, its store, and the loop while it runs."""

    paths: HomePaths
    store: Store
    settings: Settings
    clock: SteppedClock
    interval_s: float = 120.0
    _task: asyncio.Task[Any] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _lock: FileLock | None = None

    async def begin(self, **params: Any) -> ObservationRow:
        """Start an observation, as the command does."""
        given = {"anew": False, **WHO, "command_id": "abcdef0123", "issued_at": self.clock.now().isoformat()}
        return await start_observation(
            self.store, self.paths, self.settings, {**given, **params}, SilentReporter(), self.clock
        )

    async def start_loop(self) -> None:
        """Let the loop begin, and wait for its first heartbeat."""
        session = LiveSession(
            self.store, self.paths, self.settings, self.clock, SyntheticFeed(SyntheticMarket("cycles", 7)),
            interval_s=self.interval_s,
        )  # fmt: skip
        self._lock = engine_lock(self.paths, self.clock, "test")
        self._lock.acquire()
        self._stop = asyncio.Event()
        await session.begin()
        self._task = asyncio.create_task(session.run(self._stop, None, lambda: "test"))
        await self._settle()

    async def run(self, seconds: float) -> None:
        """Let time pass, from sleeper to sleeper."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            await self._settle()
            self.clock.step(until)
        await self._settle()

    async def outage(self, seconds: float) -> None:
        """The machine stands still: everybody wakes up so much later."""
        await self._settle()
        self.clock.advance(seconds)
        await self._settle()

    async def crash(self) -> None:
        """The loop ends without a word."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._release()

    async def stop_loop(self) -> None:
        """The loop ends as it is asked to."""
        if self._task is None:
            return
        self._stop.set()
        await self._task
        self._release()

    def _release(self) -> None:
        self._task = None
        if self._lock is not None:
            self._lock.release()

    async def _settle(self) -> None:
        """Until everybody sleeps; raises what ended the loop."""
        while self._task is not None and self.clock.sleeping < _SLEEPERS:
            if self._task.done():
                await self._task
                raise AssertionError("the loop ended by itself")
            await asyncio.sleep(0.0005)

    async def drill(self) -> dict[str, Any]:
        """Hold a guard drill."""
        inputs = read_drill(self.paths, self.settings)
        return await drill(self.store, self.settings, inputs, SilentReporter(), self.clock)

    def view(self, chat: int | None = None) -> ObservationView:
        """The observation now."""
        with reading(self.store.path) as connection:
            return ObservationReader(self.paths, chat).read(connection, self.clock.now())

    @property
    def desk(self) -> ObservationDesk:
        return ObservationDesk(self.store, self.paths, self.settings, self.clock)

    async def report(self, run: str | None = None) -> dict[str, Any]:
        """The document of the summary."""
        command = ReportObservation(**WHO, issued_at=self.clock.now(), run=run)
        return await self.desk.report(command)

    async def events(self, *types: str) -> list[dict[str, Any]]:
        found = await self.store.events.after(0, limit=1_000_000)
        return [item.payload for item in found if item.type in types]


def state_of(view: ObservationView) -> dict[str, str]:
    """Criterion to its state."""
    return {one.id: one.state for one in view.criteria}


@asynccontextmanager
async def observed(
    root: Path, *, days: float = 3.0, tested_hours: float = 6.0, **changes: Any
) -> AsyncIterator[Observed]:
    """The home at ``root``: a model of BTC that is always sure, tested on the last hours of its candles."""
    clock = SteppedClock(NOW)
    settings = plain_settings(**{"symbols": (BTC,), "heartbeat_s": 60, **changes})
    paths = new_home(root, clock)
    store_candles(paths, days, (BTC,))
    promote_tested(paths, clock, sure_artifact(), tested_hours)
    async with await Store.open(root / "tradingai.db", paths, clock) as store:
        home = Observed(paths, store, settings, clock)
        try:
            yield home
        finally:
            await home.stop_loop()
