"""The scan loop inside a process that does other things too: begun and ended at an operator's word.

``tradingai run`` has nothing else to do and drives its session itself; a console begins and ends one here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError, TradingAIError, UsageError
from tradingai.engine.core.events import ScanLoopFailed
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.database import Store

if TYPE_CHECKING:
    from tradingai.engine.providers.live import LiveFeed
    from tradingai.engine.runtime.session import Beside

ScannerState = Literal["off", "opening", "scanning", "stopping"]
OpenFeed = Callable[[], Awaitable["LiveFeed"]]
"""Makes the feed that continues the stored candles. Raises UsageError when there is none."""
SESSION: Final = "tradingai.engine.runtime.session"
"""Imported in a thread when the loop is first begun: it brings torch."""


def engine_lock(paths: HomePaths, clock: Clock, command: str) -> FileLock:
    """The lock of a home's one engine that scans."""
    return FileLock(
        paths.locks / "engine",
        command=command,
        clock=clock,
        subject=f"the engine of {paths.root}",
        remedy="Only one engine scans a home: stop that one (SIGTERM or Ctrl-C), then run this again.",
    )


def scan_loop_failed(error: Exception) -> ScanLoopFailed:
    """What there is to tell of an error that ended the loop."""
    if isinstance(error, TradingAIError):
        return ScanLoopFailed(reason=error.message, remedy=error.remedy)
    reason = f"unexpected {type(error).__name__}: {error}"
    return ScanLoopFailed(reason=reason, remedy="Start it again with L.")


class Scanner:
    """At most one live session in this process, holding the engine's lock while it lasts."""

    def __init__(
        self,
        store: Store,
        paths: HomePaths,
        settings: Settings,
        clock: Clock,
        open_feed: OpenFeed,
        beside: Beside | None = None,
    ) -> None:
        """``beside`` runs as long as the loop does: alerts and the bot."""
        self._store = store
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._open_feed = open_feed
        self._beside = beside
        self._session_told = False
        self._stop = asyncio.Event()
        self._why = ""
        self._task: asyncio.Task[None] | None = None
        self.state: ScannerState = "off"
        self.detail = ""
        """What it is busy with before its first scan."""
        self.failure = ""
        """Why it ended without being asked to; empty while it runs and after it was stopped."""
        self.interval_s = 0.0
        self.changed: Callable[[], None] = lambda: None
        """Called whenever state or detail are others than before."""

    async def start(self, interval_s: float | None = None) -> None:
        """Take the engine's lock and begin; models are loaded in the background.

        ``interval_s`` None takes SCAN_INTERVAL_S. Raises LockHeldError naming the engine that scans, and
        UsageError when it runs already or no feed continues the stored candles.
        """
        if self._task is not None:
            raise UsageError(
                f"the scan loop runs here already, every {self.interval_s:g} s",
                remedy="Stop it first to have it scan at another interval.",
            )
        lock = engine_lock(self._paths, self._clock, "console")
        lock.acquire()
        try:
            feed = await self._open_feed()
        except BaseException:
            lock.release()
            raise
        self.interval_s = interval_s or self._settings.scan_interval_s
        self.failure = ""
        self._session_told = False
        self._stop = asyncio.Event()
        self._become("opening", "loading models")
        self._task = asyncio.create_task(self._scan(lock, feed), name="scan loop")

    async def stop(self, why: str) -> None:
        """End after the scan under way, and wait until it has. Without effect while nothing scans."""
        task = self._task
        if task is None:
            return
        self._why = why
        self._stop.set()
        self._become("stopping", why)
        await asyncio.gather(task, return_exceptions=True)

    async def _scan(self, lock: FileLock, feed: LiveFeed) -> None:
        try:
            await self._session(feed)
        except Exception as error:  # noqa: BLE001 - the task's boundary: nobody awaits it, and the operator must hear
            await self._failed(error)
        finally:
            with suppress(Exception):
                await feed.close()
            lock.release()
            self._task = None
            self._become("off", "")

    async def _session(self, feed: LiveFeed) -> None:
        await asyncio.to_thread(import_module, SESSION)
        from tradingai.engine.runtime.session import LiveSession

        session = LiveSession(
            self._store,
            self._paths,
            self._settings,
            self._clock,
            feed,
            interval_s=self.interval_s,
            beside=self._beside,
        )
        await session.begin()
        if self._stop.is_set():
            return
        self._become("scanning", "")
        try:
            await session.run(self._stop, None, lambda: self._why)
        finally:
            self._session_told = session.failure_told

    async def _failed(self, error: Exception) -> None:
        event = scan_loop_failed(error)
        self.failure = event.reason
        if not self._session_told:
            with suppress(StoreError):  # a store that takes nothing is what the header says anyway
                await self._store.events.append(event)

    def _become(self, state: ScannerState, detail: str) -> None:
        self.state, self.detail = state, detail
        self.changed()
