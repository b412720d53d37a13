"""Building one frozen picture of a home: manifests, ledger, curves and the store, each read only when it
changed.

Everything here is synchronous and short; the console calls it in a thread. Nothing is written and no lock
is taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import ENSEMBLE, lstm_name, trainable_models
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.data_views import (
    build_view,
    dataset_view,
    read_candle_tail,
    read_feature_columns,
    synthetic_words,
)
from tradingai.engine.queries.ensemble_views import in_order
from tradingai.engine.queries.event_words import event_view
from tradingai.engine.queries.job_views import job_view
from tradingai.engine.queries.live_views import live_view
from tradingai.engine.queries.model_snapshot import LedgerView, Problem
from tradingai.engine.queries.model_views import ModelReader
from tradingai.engine.queries.monitor_views import DeskCode, MonitorReader
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_views import NO_OBSERVATION, ObservationView
from tradingai.engine.queries.phase_views import PhaseFacts, phase_views
from tradingai.engine.queries.phases import Facts, phases
from tradingai.engine.queries.risk_views import AccountCode, RiskReader
from tradingai.engine.queries.run_snapshot import LoopView, MonitorView, RiskView
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.queries.snapshot import (
    CandleTail,
    CheckView,
    ConsoleSnapshot,
    DatasetView,
    EventsView,
    FeaturesView,
    FeatureView,
    HeaderView,
    Interest,
    LiveView,
)
from tradingai.engine.queries.status import kill_switch, scan_loop, threshold
from tradingai.engine.queries.system import SystemReader, resident_bytes
from tradingai.engine.store.control_rows import ControlRow, control_row
from tradingai.engine.store.job_rows import SELECT_JOBS, JobRow, job_row
from tradingai.engine.store.manifests import (
    MANIFEST_NAME,
    DatasetManifest,
    FeatureManifest,
    read_dataset_manifest,
    read_feature_manifest,
)
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.stamps import stamp, unstamp

JOBS_SHOWN: Final = 60
EVENTS_SHOWN: Final = 1000
STORE_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies in layers above the queries and is handed down."""

    rollback: Callable[[Ledger, str], str | None]
    """The version a model would go back to."""
    feature_texts: Callable[[], Mapping[str, str]]
    """Meaning and source of every declared feature; called when values are first shown."""
    workloads: Mapping[str, tuple[datetime, datetime]]
    """Name to first and last candle."""
    accounts: Callable[[Settings, HomePaths], AccountCode]
    """What the risk code says of this home's accounts; called when Risk is first shown."""
    desks: Callable[[Settings], DeskCode]
    """What the decision code says of a run's account; called when the Monitor is first shown."""


@dataclass(frozen=True, slots=True)
class _Rows:
    jobs: list[JobRow]
    controls: dict[str, ControlRow] | None
    events: EventsView
    live: LiveView | None = None
    monitor: MonitorView | None = None
    risk: RiskView | None = None
    observation: ObservationView = NO_OBSERVATION
    problem: Problem | None = None


class SnapshotReader:
    """Reads pictures of one home, one after another."""

    def __init__(self, paths: HomePaths, settings: Settings, clock: Clock, around: Surroundings) -> None:
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._around = around
        self._database = settings.database_path(paths.root)
        self._cache = FileCache()
        self._models = ModelReader(paths, around.rollback)
        self._system = SystemReader(paths.root, self._database)
        self._started = clock.monotonic()
        self._tails: dict[str, tuple[str, CandleTail]] = {}
        self._columns: dict[str, tuple[str, tuple[FeatureView, ...]]] = {}
        self._texts: Mapping[str, str] | None = None
        self._last_events = EventsView()
        self._desk_code: DeskCode | None = None
        self._monitor: MonitorReader | None = None
        self._risk: RiskReader | None = None
        self._observation = ObservationReader(paths, settings.alert_chat)
        self._last_observation = NO_OBSERVATION
        self.check: CheckView | None = None
        """What the last check of features found, told by whoever ran it."""
        self.verified_at: datetime | None = None
        """When all artifacts were last compared with the ledger."""

    def read(self, interest: Interest) -> ConsoleSnapshot:
        """The home as it is now. A part that cannot be read is reported, and the rest is shown."""
        problems: list[Problem] = []
        candles = self._manifests(self._paths.candles, self._candle_manifest, problems)
        matrices = self._manifests(self._paths.features, self._feature_manifest, problems)
        rows = self._store(interest)
        if rows.problem is not None:
            problems.insert(0, rows.problem)
        now = self._clock.now()
        jobs = tuple(job_view(row, now, resident_bytes) for row in rows.jobs)
        ledger = self._models.ledger()
        cards = self._models.cards()
        coins = self._coins(candles)
        facts = Facts(
            coins=coins,
            provider=self._settings.data_provider,
            datasets=candles,
            features=matrices,
            artifacts={model: str(card["sha256"]) for model, card in cards.items()},
            ledger=ledger,
            jobs=rows.jobs,
            observation=rows.observation,
        )
        models = in_order({*facts.models, *ledger.models()}, tuple(lstm_name(coin) for coin in coins))
        shown = models if candles or ledger.entries or cards else ()
        evaluations = self._models.evaluations(ledger, shown, cards, self._desks)
        trainable = in_order({*models, *trainable_models(coins)} - {ENSEMBLE}, models[: len(coins)])
        datasets = tuple(dataset_view(self._paths, candles[name]) for name in _in_order(candles, coins))
        hashes = {name: manifest.sha256 for name, manifest in candles.items()}
        builds = tuple(build_view(matrices[name], hashes, jobs) for name in _in_order(matrices, coins))
        begun = {
            event.job_id: str(event.fields["run"])
            for event in rows.events.rows
            if event.type == "TrainingStarted" and event.job_id
        }
        runs = self._models.runs(trainable, jobs, ledger, begun)
        states = phases(facts)
        name = self._workload(datasets)
        seeds = [data.seed for data in datasets if data.seed is not None]
        markets = [data.market for data in datasets if data.market is not None]
        return ConsoleSnapshot(
            now=now,
            home=str(self._paths.root),
            problem=problems[0] if problems else None,
            header=self._header(rows.controls),
            workload=self._workload_text(datasets, name),
            workload_id=name or "quick",
            market=markets[0] if markets else self._settings.synthetic_market,
            seed=seeds[0] if seeds else self._settings.synthetic_seed,
            provider=self._settings.data_provider,
            exchange=self._settings.exchange,
            synthetic=synthetic_words(datasets),
            phases=phase_views(
                states, PhaseFacts(datasets, builds, evaluations, runs, jobs, rows.observation)
            ),
            jobs=jobs,
            datasets=datasets,
            candles=self._candle_tails(candles, interest),
            features=self._features(builds, matrices, interest),
            models=trainable,
            runs=runs,
            evaluations=evaluations,
            ledger=self._ledger_view(ledger),
            events=rows.events,
            live=rows.live,
            loop=_loop(rows.controls),
            monitor=rows.monitor,
            risk=rows.risk,
            observation=replace(rows.observation, promoted=bool(ledger.live())),
            paper_balance=self._settings.paper_balance,
            system=self._system.read(self._clock.monotonic() - self._started),
        )

    # -- manifests

    def _manifests(
        self, folder: Path, read: Callable[[Path], Any], problems: list[Problem]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted(folder.glob(f"*/{MANIFEST_NAME}")):
            try:
                manifest = self._cache.get(path, read)
            except TradingAIError as error:
                problems.append(Problem(error.message, error.remedy))
                continue
            if manifest is not None:
                found[path.parent.name] = manifest
        return found

    def _candle_manifest(self, path: Path) -> DatasetManifest:
        return read_dataset_manifest(self._paths, path.parent.name)

    def _feature_manifest(self, path: Path) -> FeatureManifest:
        return read_feature_manifest(self._paths, path.parent.name)

    def _coins(self, candles: Mapping[str, DatasetManifest]) -> tuple[str, ...]:
        """The coins the phases are about, as ``status`` has them."""
        configured = self._settings.symbols
        if candles and not set(candles) & set(configured):
            return tuple(sorted(candles))
        return (*configured, *sorted(set(candles) - set(configured)))

    def _workload(self, datasets: Sequence[DatasetView]) -> str:
        ranges = {(data.start, data.end) for data in datasets}
        return next((name for name, span in self._around.workloads.items() if ranges == {span}), "")

    def _workload_text(self, datasets: Sequence[DatasetView], name: str) -> str:
        if not datasets:
            return ""
        days = max((data.end - data.start).days + 1 for data in datasets)
        text = f"{name} workload" if name else f"{days:,} days"
        seeds = {data.seed for data in datasets if data.seed is not None}
        return f"{text}, seed {seeds.pop()}" if len(seeds) == 1 else text

    # -- the store

    def _store(self, interest: Interest) -> _Rows:
        try:
            if not self._has_database():
                return _Rows([], {}, EventsView())
            with reading(self._database, timeout_s=STORE_PATIENCE_S) as connection:
                jobs = connection.execute(
                    f"{SELECT_JOBS} ORDER BY created_at DESC, job_id DESC LIMIT {JOBS_SHOWN}"
                ).fetchall()
                controls = connection.execute("SELECT * FROM controls").fetchall()
                self._last_events = self._events(connection)
                live = live_view(connection, self._clock.now(), self._settings.alert_chat)
                found = {row["name"]: control_row(row) for row in controls}
                monitor = self._monitor_view(connection, interest, found) if interest.monitor else None
                risk = self._risk_view(connection, interest) if interest.risk else None
                self._last_observation = self._observation.read(connection, self._clock.now())
        except TradingAIError as error:
            problem = Problem(error.message, error.remedy)
            lost = replace(self._last_observation, problem=problem)
            return _Rows([], None, self._last_events, observation=lost, problem=problem)
        return _Rows(
            [job_row(row) for row in jobs], found, self._last_events, live, monitor, risk,
            self._last_observation,
        )  # fmt: skip

    def _monitor_view(
        self, connection: sqlite3.Connection, interest: Interest, controls: dict[str, ControlRow]
    ) -> MonitorView | None:
        run = choose_run(connection, interest.run)
        if run is None:
            return None
        if self._monitor is None:
            self._monitor = MonitorReader(self._paths, self._desks(), self._settings.latency_budget_ms)
        since = self._header(controls).kill_since
        return self._monitor.read(
            connection, run, self._clock.now(), coin=interest.coin, signal=interest.signal, kill_since=since
        )

    def _risk_view(self, connection: sqlite3.Connection, interest: Interest) -> RiskView | None:
        run = choose_run(connection, interest.run)
        if run is None:
            return None
        if self._risk is None:
            self._risk = RiskReader(self._around.accounts(self._settings, self._paths))
        return self._risk.read(connection, run, self._clock.now())

    def _desks(self) -> DeskCode:
        if self._desk_code is None:
            self._desk_code = self._around.desks(self._settings)
        return self._desk_code

    def live(self) -> LiveView | None:
        """The live run alone: what is asked for every second while an engine scans elsewhere."""
        try:
            if not self._has_database():
                return None
            with reading(self._database, timeout_s=STORE_PATIENCE_S) as connection:
                return live_view(connection, self._clock.now(), self._settings.alert_chat)
        except TradingAIError:
            return None

    def _has_database(self) -> bool:
        """Whether there is something to read. Only asked of the file system: this process has the database
        open, and opening and closing the file beside SQLite would drop its locks (POSIX locks belong to
        the process).
        """
        try:
            return self._database.stat().st_size > 0
        except OSError:
            return False

    def _events(self, connection: sqlite3.Connection) -> EventsView:
        """The newest page, and how many there were since midnight UTC; only new rows are parsed."""
        last = self._last_events.rows[-1].seq if self._last_events.rows else 0
        fresh = connection.execute(
            "SELECT seq, ts, type, level, job_id, payload FROM events WHERE seq > ?"
            " ORDER BY seq DESC LIMIT ?",
            (last, EVENTS_SHOWN),
        ).fetchall()
        midnight = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        counts = dict(
            connection.execute(
                "SELECT level, count(*) FROM events WHERE ts >= ? GROUP BY level", (stamp(midnight),)
            ).fetchall()
        )
        rows = (*self._last_events.rows, *(_event(row) for row in reversed(fresh)))[-EVENTS_SHOWN:]
        return EventsView(rows, sum(counts.values()), counts.get("warning", 0), counts.get("error", 0))

    def _header(self, controls: dict[str, ControlRow] | None) -> HeaderView:
        kill = kill_switch(self._settings, controls)
        limit = threshold(self._settings, controls)
        source = {"CONFIDENCE_THRESHOLD": "env"}.get(str(limit["source"]), str(limit["source"]))
        return HeaderView(
            kill_on=bool(kill["on"]),
            kill_source=str(kill["source"]),
            kill_since=_time(kill.get("since")),
            kill_reason=str(kill.get("reason", "")),
            threshold=float(limit["value"]),
            threshold_source=source,
        )

    # -- what only some screens need

    def _candle_tails(
        self, candles: Mapping[str, DatasetManifest], interest: Interest
    ) -> Mapping[str, CandleTail]:
        for name in [name for name, (digest, _) in self._tails.items() if _digest(candles, name) != digest]:
            del self._tails[name]
        wanted = interest.coin if interest.coin in candles else next(iter(candles), None)
        if interest.candles and wanted is not None and wanted not in self._tails:
            try:
                self._tails[wanted] = (candles[wanted].sha256, read_candle_tail(self._paths, candles[wanted]))
            except TradingAIError:
                self._tails[wanted] = (candles[wanted].sha256, CandleTail(wanted, 15, ()))
        return MappingProxyType({name: tail for name, (_, tail) in self._tails.items()})

    def _features(
        self, builds: tuple[Any, ...], matrices: Mapping[str, FeatureManifest], interest: Interest
    ) -> FeaturesView:
        for name in [
            name for name, (digest, _) in self._columns.items() if _digest(matrices, name) != digest
        ]:
            del self._columns[name]
        coin = interest.coin if interest.coin in matrices else next((build.symbol for build in builds), "")
        if interest.feature_values and coin and coin not in self._columns:
            if self._texts is None:
                self._texts = self._around.feature_texts()
            try:
                columns = read_feature_columns(self._paths, matrices[coin], self._texts)
            except TradingAIError:
                columns = ()
            self._columns[coin] = (matrices[coin].sha256, columns)
        kept = self._columns.get(coin or "")
        return FeaturesView(builds=builds, columns=kept[1] if kept else (), coin=coin or "", check=self.check)

    def _ledger_view(self, ledger: Ledger) -> LedgerView:
        view = self._models.view(ledger)
        return LedgerView(view.entries, view.problem, self.verified_at)


def _loop(controls: dict[str, ControlRow] | None) -> LoopView:
    """What the operator chose; whether it runs is not the store's to say."""
    choice = scan_loop(controls)
    return LoopView(chosen=choice["chosen"], interval_s=choice["interval_s"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_iso(text)


def _event(row: sqlite3.Row) -> Any:
    import json

    at = unstamp(row["ts"])
    if at is None:
        raise ValueError(f"event {row['seq']} has no time")
    return event_view(
        row["seq"], at, row["type"], row["level"], json.loads(row["payload"]), row["job_id"] or ""
    )


def _digest(manifests: Mapping[str, Any], name: str) -> str:
    manifest = manifests.get(name)
    return str(manifest.sha256) if manifest is not None else ""


def _in_order(found: Mapping[str, Any], coins: Sequence[str]) -> list[str]:
    return [coin for coin in coins if coin in found] + [name for name in found if name not in coins]
