"""What a console sees: one frozen picture per refresh.

Every screen is a pure function of ``(ConsoleSnapshot, selection)``. The parts are plain types, so that
building one needs no polars, numpy or torch, and two equal pictures compare equal. Fractions are 0..1,
durations seconds, sizes bytes, times aware UTC; ``None`` means "not known", and a screen shows it as a
dash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from tradingai.engine.queries.model_snapshot import (
    EMPTY_LEDGER,
    EMPTY_MAP,
    EvaluationView,
    JobState,
    LedgerView,
    Problem,
    RunView,
)
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.queries.run_snapshot import NO_LOOP, Bar, LoopView, MonitorView, RiskView

PhaseState = Literal["waiting", "next", "running", "done", "refused", "failed", "interrupted", "later"]
EnginePlace = Literal["here", "attached", "none", "opening"]


@dataclass(frozen=True, slots=True)
class Interest:
    """What the visible screen needs beyond what every refresh carries. Reading it costs time, so nobody
    else asks.
    """

    candles: bool = False
    feature_values: bool = False
    monitor: bool = False
    risk: bool = False
    coin: str | None = None
    run: str = ""
    """The run Monitor and Risk are about: an id, or NEWEST_REPLAY.

    Empty: the live one, or the newest replay where none ever was.
    """
    signal: str = ""
    """Key of the signal whose decision the Monitor shows in full."""


@dataclass(frozen=True, slots=True)
class HeaderView:
    """The status row: always about the live engine of this home."""

    engine: EnginePlace = "opening"
    heartbeat_age_s: float | None = None
    """Age of the engine's last heartbeat by this console's own monotonic clock."""
    heartbeat_limit_s: float = 10.0
    """From this age on a heartbeat is late: two of them are missing."""
    read_only: bool = False
    kill_on: bool | None = None
    kill_source: str = ""
    kill_since: datetime | None = None
    kill_reason: str = ""
    risk: str | None = None
    feed_age_s: float | None = None
    feed_limit_s: float | None = None
    threshold: float | None = None
    threshold_source: str = ""


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One step of the pipeline."""

    id: str
    title: str
    state: PhaseState
    result: str = ""
    took_s: float | None = None
    next_action: str = ""
    key: str = ""
    screen: str = ""
    """The screen that shows this phase in full."""
    fraction: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """One job: running, waiting, or ended today."""

    id: str
    kind: str
    target: str
    state: JobState
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    rate: float | None = None
    eta_s: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    took_s: float | None = None
    memory_bytes: int | None = None
    threads: int | None = None
    pid: int | None = None
    log: str = ""
    summary: str = ""
    message: str = ""
    remedy: str = ""
    resumable: bool = False
    detail: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)

    @property
    def fraction(self) -> float | None:
        """Share done, 0..1, or None before the first progress."""
        return min(1.0, self.done / self.total) if self.total > 0 else None

    @property
    def title(self) -> str:
        """For example ``train lstm_ETH-USD``."""
        return job_title(self.kind, self.target)


def job_title(kind: str, target: str) -> str:
    """What a job is called on every screen and in every message."""
    return f"{KIND_WORDS.get(kind, kind)} {target}".strip()


KIND_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "generate": "candles",
        "fetch": "fetch",
        "import": "import",
        "features": "features",
        "features_check": "check features",
        "train": "train",
        "evaluate": "evaluate",
        "execution_import": "import",
        "execution_measure": "measure",
    }
)


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One coin's candles, as their manifest describes them."""

    symbol: str
    provider: str
    rows: int
    start: datetime
    end: datetime
    sha256: str
    market: str | None = None
    seed: int | None = None
    generator: str = ""
    size_bytes: int | None = None
    files: int = 0
    created_at: datetime | None = None
    synthetic: bool = False
    quality: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)
    """The quality report as it stands in the manifest, counters by name."""
    exchange: str = ""
    """ccxt's name of where they were fetched; empty for any other provider."""
    market_symbol: str = ""
    """What the pair is called there, for example ``BTC/USDT``."""


@dataclass(frozen=True, slots=True)
class CandleTail:
    """The newest candles of a coin, oldest first."""

    symbol: str
    interval_minutes: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class FeatureBuildView:
    """One coin's feature matrix, as its manifest describes it."""

    symbol: str
    rows: int
    features: int
    created_at: datetime | None = None
    took_s: float | None = None
    rows_per_s: float | None = None
    peak_memory_bytes: int | None = None
    sha256: str = ""
    definitions_sha256: str = ""
    current: bool = True
    """Whether candles and definitions are still the ones it was built from."""


@dataclass(frozen=True, slots=True)
class FeatureView:
    """One declared feature of the selected coin."""

    name: str
    group: str
    lookback_minutes: int
    source: str = ""
    recent: tuple[float, ...] = ()
    """The last 60 values, oldest first."""
    value: float | None = None
    drift: float | None = None
    """Population stability index of the last 7 days against the training range."""
    histogram: tuple[float, ...] = ()
    """Shares of the training range in equal-width bins between its 1st and 99th percentile."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CheckView:
    """What the last ``features check`` found."""

    passed: bool
    summary: str
    at: datetime | None = None
    feature: str = ""


@dataclass(frozen=True, slots=True)
class FeaturesView:
    """All of the features screen."""

    builds: tuple[FeatureBuildView, ...] = ()
    columns: tuple[FeatureView, ...] = ()
    coin: str = ""
    memory_limit_bytes: int | None = None
    drift_limit: float = 0.10
    check: CheckView | None = None


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the store, or a message this console showed."""

    seq: int
    at: datetime
    type: str
    level: str
    text: str
    sign: str = ""
    """up, down, pass, fail, warn or nothing."""
    job_id: str = ""
    fields: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAP)


@dataclass(frozen=True, slots=True)
class EventsView:
    """The newest events, oldest first, and how many there were since midnight UTC."""

    rows: tuple[EventView, ...] = ()
    today: int = 0
    warnings: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class SystemView:
    """The machine under the engine."""

    cpu_used: float | None = None
    """Cores in use by this engine and its workers."""
    cpu_cores: int | None = None
    memory_used_bytes: int | None = None
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    database_bytes: int | None = None
    up_s: float | None = None


@dataclass(frozen=True, slots=True)
class TelegramView:
    """What became of the alerts to the chat; delivery in seconds since the event."""

    state: str
    """idle before the first alert, ok, or failing."""
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    not_delivered: int = 0
    """Signals that were missed or held back by the kill switch."""
    p50_s: float | None = None
    p95_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class LiveView:
    """What the newest live run of the scan loop left in the store."""

    run: str
    pid: int | None = None
    state: str = ""
    """started, scanning or stopped, by its last heartbeat."""
    beat_at: datetime | None = None
    scans: int = 0
    next_due: datetime | None = None
    scan_at: datetime | None = None
    scan_state: str = ""
    scan_detail: str = ""
    latency_ms: float | None = None
    balance: float | None = None
    equity: float | None = None
    drawdown: float | None = None
    guard: str = ""
    feed_at: datetime | None = None
    """Close of the newest candle it received."""
    telegram: TelegramView | None = None
    """None without a token."""


@dataclass(frozen=True, slots=True)
class ConsoleSnapshot:
    """Everything the console shows at one moment."""

    now: datetime
    home: str = ""
    settled: bool = True
    """False until the first picture of the home was read."""
    problem: Problem | None = None
    header: HeaderView = HeaderView()
    workload: str = ""
    """What the candles are, for a note: ``quick workload, seed 7``."""
    workload_id: str = "quick"
    market: str = "cycles"
    seed: int = 7
    provider: str = "synthetic"
    """Where a pipeline's candles come from: DATA_PROVIDER."""
    exchange: str = "binance"
    """Where candles are fetched unless somebody says otherwise: EXCHANGE."""
    synthetic: str = ""
    """``cycles, seed 7`` when what is shown rests on synthetic candles, else empty."""
    phases: tuple[PhaseView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    datasets: tuple[DatasetView, ...] = ()
    candles: Mapping[str, CandleTail] = field(default_factory=lambda: EMPTY_MAP)
    features: FeaturesView = FeaturesView()
    models: tuple[str, ...] = ()
    """Model ids this home can train, in pipeline order."""
    runs: tuple[RunView, ...] = ()
    """Newest first."""
    evaluations: tuple[EvaluationView, ...] = ()
    ledger: LedgerView = EMPTY_LEDGER
    events: EventsView = EventsView()
    live: LiveView | None = None
    loop: LoopView = NO_LOOP
    monitor: MonitorView | None = None
    """Only while a screen asks for it, and None where no run was ever begun."""
    risk: RiskView | None = None
    """As ``monitor``."""
    observation: ObservationView | None = None
    """The newest observation, or that there is none; None until the first picture of the home was read."""
    paper_balance: float | None = None
    """What a fresh paper account begins with."""
    system: SystemView = SystemView()

    @property
    def running_jobs(self) -> tuple[JobView, ...]:
        """Jobs that run now."""
        return tuple(job for job in self.jobs if job.state == "running")

    @property
    def open_jobs(self) -> tuple[JobView, ...]:
        """Jobs that run now or wait for their turn."""
        return tuple(job for job in self.jobs if job.state in {"running", "queued"})

    def evaluation(self, model: str) -> EvaluationView | None:
        """The newest evaluation of ``model``."""
        return next((item for item in self.evaluations if item.model == model), None)

    def runs_of(self, model: str) -> tuple[RunView, ...]:
        """Runs of ``model``, newest first."""
        return tuple(run for run in self.runs if run.model == model)

    def active_job(self, kind: str, target: str | None = None) -> JobView | None:
        """The running job of a kind, else the queued one, and of a target when one is given."""
        for state in ("running", "queued"):
            for job in self.jobs:
                if job.kind == kind and job.state == state and target in {None, job.target}:
                    return job
        return None

    def last_job(self, kind: str, target: str | None = None) -> JobView | None:
        """The newest job of a kind whatever its state."""
        return next((job for job in self.jobs if job.kind == kind and target in {None, job.target}), None)
