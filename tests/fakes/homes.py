"""Homes, stores and runners for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.home import open_home
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, settings_from_worker
from tradingai.engine.jobs.runner import JobRunner
from tradingai.engine.store.database import Store

WORKER = "tests.fakes.worker"


def plain_settings(**changes: object) -> Settings:
    """The defaults with ``changes``, whatever the environment says."""
    return settings_from_worker({**{name: f.default for name, f in Settings.model_fields.items()}, **changes})


@dataclass
class OpenHome:
    """A home with its store and a runner whose workers know the test kinds."""

    paths: HomePaths
    clock: Clock
    settings: Settings
    store: Store
    runner: JobRunner


def new_home(root: Path, clock: Clock | None = None) -> HomePaths:
    """A fresh home at ``root``."""
    return open_home(root, clock or RealClock(), create=True).paths


@asynccontextmanager
async def open_store(root: Path, clock: Clock | None = None) -> AsyncIterator[tuple[Store, HomePaths]]:
    """The store of a home at ``root``, which is made when it is not there."""
    clock = clock or RealClock()
    paths = new_home(root, clock)
    async with await Store.open(paths.root / "tradingai.db", paths, clock) as store:
        yield store, paths


@asynccontextmanager
async def open_runner(
    root: Path, *, worker_module: str = WORKER, stop_grace_s: float = 20.0, **changes: object
) -> AsyncIterator[OpenHome]:
    """A runner over the home at ``root``, closed at the end."""
    clock, settings = RealClock(), plain_settings(**changes)
    async with (
        open_store(root, clock) as (store, paths),
        JobRunner(
            store, paths, clock, settings, worker_module=worker_module, stop_grace_s=stop_grace_s
        ) as runner,
    ):
        yield OpenHome(paths, clock, settings, store, runner)
