"""The composition root: the only place that builds concrete things."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tradingai.engine.archive import refuse_missing
from tradingai.engine.backup import BackupSummary, restore_backup
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.commands import ControlCommand, Surface
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.events import (
    HomeCreated,
    HomeRestored,
    MetricsFailed,
    StateRepaired,
    TelegramFailed,
)
from tradingai.engine.core.home import Home, open_home
from tradingai.engine.core.logs.process_log import ProcessName, process_log
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, load_settings
from tradingai.engine.facade import Engine, Issuer, operator
from tradingai.engine.jobs.recovery import prune_logs
from tradingai.engine.jobs.runner import JobRunner
from tradingai.engine.registry.registry import Registry
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.log_watch import telling_losses
from tradingai.engine.runtime.scanner import Scanner, engine_lock
from tradingai.engine.store.database import Store

if TYPE_CHECKING:
    from tradingai.engine.providers.live import LiveFeed
    from tradingai.engine.runtime.scanned import Scanned
    from tradingai.engine.runtime.session import Beside, LiveSession
    from tradingai.engine.store.manifests import DatasetManifest
    from tradingai.engine.telemetry.server import MetricsServer
    from tradingai.telegram.service import Telegram


@asynccontextmanager
async def open_engine(
    root: Path,
    *,
    read_only: bool = False,
    clock: Clock | None = None,
    surface: Surface = "cli",
    worker_module: str = "tradingai.engine.worker",
    process: ProcessName | None = None,
) -> AsyncIterator[Engine]:
    """An engine over the home at ``root``, closed at the end; start-up is recovery.

    Unless ``read_only`` the home is made when there is none, the database migrated, jobs whose process
    died are marked as interrupted, and links derived from the ledger repaired. A registry that cannot be
    read does not keep the engine from starting: it is among ``engine.problems``. What happens is logged in a
    file of ``process``; None takes the one of ``surface``.

    Raises SettingsError, HomeError, MissingError (read-only and no home), StoreError, LockHeldError.
    """
    clock = clock or RealClock()
    settings = load_settings(root)
    home = open_home(root, clock, create=not read_only, read_only=read_only)
    if read_only:
        async with _open_read_only(home, settings, clock, surface) as engine:
            yield engine
        return
    name = process or ("console" if surface == "console" else "cli")
    with process_log(home.paths, settings, clock, name) as log:
        async with (
            _open_writable(home, settings, clock, surface, worker_module) as engine,
            telling_losses(engine.store, clock, log.losses),
        ):
            yield engine


class Live(NamedTuple):
    """An engine that scans: nobody else's in this home until it is closed."""

    engine: Engine
    session: LiveSession


@asynccontextmanager
async def open_live(
    root: Path,
    *,
    interval_s: float | None = None,
    clock: Clock | None = None,
    surface: Surface = "cli",
    command: str = "tradingai run",
    feed: LiveFeed | None = None,
    on_scan: Callable[[Scanned], None] = lambda _scanned: None,
) -> AsyncIterator[Live]:
    """An engine with a scan loop over an existing home; it holds ``locks/engine`` until it is closed.

    ``interval_s`` None takes SCAN_INTERVAL_S; ``feed`` None continues the stored candles with DATA_PROVIDER.
    Raises what :func:`open_engine` raises, LockHeldError naming the engine that runs, and UsageError when no
    feed continues the candles.
    """
    from tradingai.engine.runtime.session import LiveSession
    from tradingai.engine.runtime.supervision import Supervisor

    clock = clock or RealClock()
    settings = load_settings(root)
    paths = open_home(root, clock).paths
    with engine_lock(paths, clock, command):
        store = await Store.open(settings.database_path(paths.root), paths, clock, engine_lock_held=True)
        await store.close()
        source = feed or _feed(paths, settings, clock)
        try:
            async with open_engine(root, clock=clock, surface=surface, process="run") as engine:
                session = LiveSession(
                    engine.store,
                    paths,
                    settings,
                    clock,
                    source,
                    interval_s=interval_s or settings.scan_interval_s,
                    on_scan=on_scan,
                    beside=alerting_beside(engine.store, paths, settings, clock),
                    supervisor=Supervisor.of_environment(os.environ, clock),
                )
                yield Live(engine, session)
        finally:
            await source.close()


def alerting_beside(store: Store, paths: HomePaths, settings: Settings, clock: Clock) -> Beside:
    """What runs beside a scan loop: alerts into the log file, and with TELEGRAM_TOKEN to the chat, with the
    bot; ``/metrics`` and ``/healthz`` with METRICS_PORT.
    """

    @asynccontextmanager
    async def beside(run_id: str, mode: str) -> AsyncIterator[None]:
        from tradingai.engine.alerts.beside import Companion, alerting
        from tradingai.engine.alerts.outbox import Outbox
        from tradingai.engine.alerts.protocols import AlertSink
        from tradingai.engine.alerts.sinks import LogFileSink

        sinks: list[AlertSink] = [LogFileSink(paths.alert_log)]
        async with AsyncExitStack() as stack:
            telegram = await _telegram(store, paths, settings, clock, mode)
            if telegram is not None:
                stack.push_async_callback(telegram.close)
                sinks.append(telegram.sink)
            outboxes = [Outbox(store, clock, settings, sink, run_id=run_id, mode=mode) for sink in sinks]
            companions: list[Companion] = [] if telegram is None else [telegram.bot]
            channels = [sink.channel for sink in sinks]
            metrics = await _metrics(store, paths, settings, clock, run_id, mode, channels)
            if metrics is not None:
                companions.append(metrics)
            await stack.enter_async_context(
                alerting(
                    store, clock, settings, outboxes, companions, channel=sinks[-1].channel, run_id=run_id
                )
            )
            yield

    return beside


async def _metrics(
    store: Store,
    paths: HomePaths,
    settings: Settings,
    clock: Clock,
    run_id: str,
    mode: str,
    channels: list[str],
) -> MetricsServer | None:
    """The server of METRICS_PORT, which counts from here on; None where it is 0, and when it cannot be made,
    which is told as an event.
    """
    if not settings.metrics_port:
        return None
    try:
        from tradingai.engine.telemetry.server import MetricsServer, pages
        from tradingai.engine.telemetry.watch import Telemetry

        telemetry = Telemetry(store, paths, settings, clock, run_id=run_id, mode=mode, channels=channels)
        await telemetry.open()
        return MetricsServer(pages(telemetry), settings.metrics_port, store, clock)
    except Exception as error:  # noqa: BLE001 - the boundary: no fault of the metrics keeps the loop from scanning
        told = MetricsFailed(
            port=settings.metrics_port,
            reason=f"unexpected {type(error).__name__}: {error}",
            remedy="Start the engine again; scans go on without it.",
            retry_in_s=0,
        )
        await store.events.append(told)
        return None


async def _telegram(
    store: Store, paths: HomePaths, settings: Settings, clock: Clock, mode: str
) -> Telegram | None:
    """The bot and its sink; None without a token, and when it cannot be made, which is told as an event."""
    if settings.telegram_token is None:
        return None
    try:
        await asyncio.to_thread(import_module, "tradingai.telegram.service")
        from tradingai.telegram.service import open_telegram

        return open_telegram(store, paths, settings, clock, mode)
    except Exception as error:  # noqa: BLE001 - the boundary: no fault of Telegram keeps the loop from scanning
        await store.events.append(TelegramFailed(what="bot", reason=telegram_trouble(error), retry_in_s=0))
        return None


def telegram_trouble(error: Exception) -> str:
    """What keeps the bot from being made; the words of a library may hold the token or a proxy's password."""
    if isinstance(error, TradingAIError | ImportError):
        return str(error)
    return f"unexpected {type(error).__name__} while the bot was made (is PROXY_URL one that httpx can use?)"


def _feed(paths: HomePaths, settings: Settings, clock: Clock) -> LiveFeed:
    """What continues the stored candles of the scanned coins. Raises UsageError when nothing does."""
    from tradingai.engine.providers.live import refuse_without_live, synthetic_feed
    from tradingai.engine.store.manifests import list_dataset_manifests

    refuse_without_live(settings.data_provider)
    history = [item for item in list_dataset_manifests(paths) if item.symbol in settings.symbols]
    if settings.data_provider == "ccxt":
        return _exchange_feed(paths, settings, clock, history)
    return synthetic_feed(settings, history)


def _exchange_feed(
    paths: HomePaths, settings: Settings, clock: Clock, history: list[DatasetManifest]
) -> LiveFeed:
    """EXCHANGE after the stored candles. Raises UsageError when those are of another source."""
    import numpy as np

    from tradingai.engine.providers.exchange.client import ExchangeClient
    from tradingai.engine.providers.exchange.feed import ExchangeFeed, continues, refuse_other_history
    from tradingai.engine.providers.exchange.pace import SharedPace
    from tradingai.engine.runtime.stored_tail import StoredTail
    from tradingai.engine.store.candle_files import DatasetIdentity

    name, timeout_s = settings.exchange, settings.provider_timeout_s
    refuse_other_history(name, history)
    client = ExchangeClient(
        settings,
        clock=clock,
        rng=np.random.default_rng(),
        pace=SharedPace(paths.locks / f"pace-{name}", clock),
        patience_s=timeout_s / 4,
    )
    origin = DatasetIdentity("ccxt", None, None, {"exchange": name})
    markets = {
        item.symbol: str(item.parameters["market_symbol"]) for item in history if item.provider == "ccxt"
    }
    tail = StoredTail(paths, partial(continues, name))
    return ExchangeFeed(client, clock, tail.between, origin, timeout_s, markets)


class ControlDesk(NamedTuple):
    """What a control is carried out with: nothing that may be busy or broken for another reason."""

    store: Store
    settings: Settings
    paths: HomePaths
    clock: Clock

    async def carry_out(self, command: ControlCommand) -> dict[str, Any]:
        """Write the control; see :func:`tradingai.engine.runtime.controls.carry_out`."""
        return await carry_out(self.store, self.settings, self.paths, self.clock, command)

    def issue(self) -> Issuer:
        """Who, where and when, for a new command."""
        return Issuer(sender=operator(), surface="cli", issued_at=self.clock.now())


@asynccontextmanager
async def open_controls(root: Path, *, clock: Clock | None = None) -> AsyncIterator[ControlDesk]:
    """Kill switch, threshold and account of an existing home, engine or no engine.

    Raises SettingsError, HomeError, MissingError without a home, StoreError, LockHeldError.
    """
    clock = clock or RealClock()
    settings = load_settings(root)
    paths = open_home(root, clock).paths
    with process_log(paths, settings, clock, "cli"):
        async with await Store.open(settings.database_path(paths.root), paths, clock) as store:
            yield ControlDesk(store, settings, paths, clock)


async def restore_home(root: Path, file: Path, *, clock: Clock | None = None) -> BackupSummary:
    """Make the home at ``root`` when there is none and bring the backup in ``file`` back into it.

    Raises what :func:`tradingai.engine.backup.restore_backup` raises, SettingsError, HomeError, StoreError.
    """
    clock = clock or RealClock()
    settings = load_settings(root)
    refuse_missing(file)
    paths = open_home(root, clock, create=True).paths
    database = settings.database_path(paths.root)
    with process_log(paths, settings, clock, "cli"):
        summary = restore_backup(paths, database, file, clock)
        async with await Store.open(database, paths, clock) as store:
            await store.events.append(HomeRestored(file=str(file), versions=len(summary.versions)))
    return summary


@asynccontextmanager
async def _open_read_only(
    home: Home, settings: Settings, clock: Clock, surface: Surface
) -> AsyncIterator[Engine]:
    path = settings.database_path(home.paths.root)
    store = await Store.open_existing(path, clock)
    async with Engine(
        paths=home.paths, settings=settings, clock=clock, surface=surface, store=store, runner=None
    ) as engine:
        yield engine


@asynccontextmanager
async def _open_writable(
    home: Home, settings: Settings, clock: Clock, surface: Surface, worker_module: str
) -> AsyncIterator[Engine]:
    paths = home.paths
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.database_path(paths.root), paths, clock)
        stack.push_async_callback(store.close)
        if home.created:
            await store.events.append(HomeCreated(path=str(paths.root)))
        runner = JobRunner(store, paths, clock, settings, worker_module=worker_module)
        stack.push_async_callback(runner.close)
        recovered = await runner.recover()
        problems = await _repair_links(store, Registry(paths, clock, who="engine, start"))
        await store.events.prune(settings.event_days)
        prune_logs(paths, clock, days=settings.event_days)
        engine = Engine(
            paths=paths,
            settings=settings,
            clock=clock,
            surface=surface,
            store=store,
            runner=runner,
            scanner=Scanner(
                store,
                paths,
                settings,
                clock,
                lambda: asyncio.to_thread(_feed, paths, settings, clock),
                alerting_beside(store, paths, settings, clock),
            ),
            recovered=recovered,
            problems=problems,
        )
        stack.pop_all()
    async with engine:
        yield engine


async def _repair_links(store: Store, registry: Registry) -> list[TradingAIError]:
    """Bring what is derived from the ledger in line with it; return what stands in the way."""
    try:
        for line in registry.repair():
            await store.events.append(StateRepaired(what="registry", detail=line))
    except TradingAIError as error:
        return [error]
    return []
