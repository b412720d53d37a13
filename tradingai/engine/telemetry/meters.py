"""Every metric of the engine, and how they follow from what the loop stored.

Counters and histograms begin with zero when the engine starts; gauges that nobody knows yet are NaN. Amounts
are dollars of the paper account, durations seconds, shares fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import REASONS
from tradingai.engine.decision.tiers import TIERS
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.risk.guard import GuardStatus
from tradingai.engine.store.meter_table import LiveNews, MeteredDecision, MeteredScan
from tradingai.engine.telemetry.exposition import Family, Histogram, Metric

SCAN_STATES: Final = ("done", "late", "failed")
ALERT_STATES: Final = ("waiting", "sending", "delivered", "missed", "stopped", "dead")
FLOORS: Final = ("daily stop", "daily limit", "total stop", "total limit")
NO_TIER: Final = "none"
_SCAN_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DELIVERY_BOUNDS: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_CANDLE_S: Final = MINUTE_US / 1_000_000
_NAN: Final = math.nan


class Build(NamedTuple):
    """What runs: versions of the code and of Python, the home's live run and its mode."""

    version: str
    code: str
    python: str
    run: str
    mode: str


class Controls(NamedTuple):
    """Kill switch and threshold as they hold."""

    killed: bool
    threshold: float


class Process(NamedTuple):
    """What this process uses."""

    resident_bytes: int | None
    cpu_s: float


class ScanMeters:
    """Scans, decisions, signals, candles and the models behind them."""

    def __init__(self, coins: Sequence[str], budget_s: float) -> None:
        self._closed: dict[str, float] = {}
        self._versions: dict[str, Mapping[str, str]] = {}
        self.scans = counter("scans_total", "Scans by how they ended.", "state")
        self.scans.starting(0, *SCAN_STATES)
        self.missed = counter("scans_missed_total", "Scans that fell out because their time had passed.")
        self.latency = Histogram(
            "tradingai_scan_latency_seconds",
            "From when a scan was due to its decisions.",
            (*_SCAN_BOUNDS, budget_s),
        )
        self.duration = Histogram(
            "tradingai_scan_duration_seconds",
            "From the begin of a scan until it could be stored.",
            (*_SCAN_BOUNDS, budget_s),
        )
        self.budget = gauge("scan_latency_budget_seconds", "LATENCY_BUDGET_MS.", value=budget_s)
        self.last = gauge("last_scan_timestamp_seconds", "When the newest scan that decided did so.")
        self.decisions = counter("decisions_total", "Decisions by their one reason.", "reason")
        self.decisions.starting(0, *(reason.value for reason in REASONS))
        self.signals = counter("signals_total", "Emitted signals by tier.", "tier")
        self.signals.starting(0, *(tier.value for tier in TIERS), NO_TIER)
        self.confidence = gauge("confidence", "Calibrated, of the newest scored decision.", "pair")
        self.confidence.starting(_NAN, *coins)
        self.feed_age = gauge("feed_age_seconds", "Since the newest candle decided on closed.", "pair")
        self.feed_age.starting(_NAN, *coins)
        self.feed_failures = counter("feed_failures_total", "Questions the feed did not answer.", "pair")
        self.feed_failures.starting(0, *coins)
        self.models = gauge("model_info", "The models the newest decisions rest on.", "model", "version")

    def scanned(self, scan: MeteredScan) -> None:
        """One more scan."""
        self.scans.add(1, scan.state)
        if scan.latency_ms is not None:
            self.latency.observe(scan.latency_ms / 1000)
        if scan.took_ms is not None:
            self.duration.observe(scan.took_ms / 1000)
        if scan.state != "failed":
            self.last.set(scan.at.timestamp())

    def decided(self, decision: MeteredDecision) -> None:
        """One more decision."""
        self.decisions.add(1, decision.reason)
        if decision.reason == "emitted":
            self.signals.add(1, decision.tier or NO_TIER)
        if decision.confidence is not None:
            self.confidence.set(decision.confidence, decision.symbol)
        if decision.candle is not None:
            self._closed[decision.symbol] = decision.candle.timestamp() + _CANDLE_S
        if decision.versions:
            self._versions[decision.symbol] = decision.versions

    def show(self, now: datetime) -> None:
        """Ages and models as they are now."""
        for coin, closed in self._closed.items():
            self.feed_age.set(now.timestamp() - closed, coin)
        self.models.clear()
        for versions in self._versions.values():
            for model, version in versions.items():
                self.models.set(1, model, version)


class AccountMeters:
    """The paper account, its guard and the controls."""

    def __init__(self) -> None:
        self.threshold = gauge("confidence_threshold", "The confidence a signal needs.")
        self.kill = gauge(
            "kill_switch", "1 while nothing may be emitted, also when nobody can tell.", value=1
        )
        self.equity = gauge("equity_dollars", "Balance plus floating profit.")
        self.balance = gauge("balance_dollars", "Initial balance plus what closed trades brought.")
        self.drawdown = gauge("max_drawdown_ratio", "Largest fall of equity from its peak, of the peak.")
        self.floors = gauge("floor_distance_dollars", "Equity minus the floor: what may be lost.", "floor")
        self.floors.starting(_NAN, *FLOORS)
        self.guard = gauge("guard_state", "1 for the state of the account's guard, else 0.", "state")
        self.guard.starting(_NAN, *(status.value for status in GuardStatus))

    def show(self, controls: Controls | None, account: Mapping[str, Any] | None) -> None:
        """What holds now; what cannot be read (None) keeps its last value, but the kill switch is on then.

        ``account`` is the document of ``ftmo status --json`` with ``max_drawdown``.
        """
        self.kill.set(1 if controls is None else float(controls.killed))
        if controls is not None:
            self.threshold.set(controls.threshold)
        if account is None:
            return
        self.equity.set(account["equity"])
        self.balance.set(account["balance"])
        self.drawdown.set(account["max_drawdown"])
        for status in GuardStatus:
            self.guard.set(float(status.value == account["status"]), status.value)
        for floor in account["floors"]:
            self.floors.set(floor["left"], floor["name"])


class AlertMeters:
    """What became of alerts."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self.alerts = gauge("alerts", "Alerts of the home by what became of them.", "channel", "state")
        self.delivery = Histogram(
            "tradingai_alert_delivery_seconds",
            "From the event to its delivery to the chat.",
            _DELIVERY_BOUNDS,
        )
        self.dead = counter("alert_dead_letters_total", "Alerts that were refused for ever.", "channel")
        self.dead.starting(0, *channels)
        self.missed = counter(
            "alert_missed_signals_total", "Signals that outlived their horizon untold.", "channel"
        )
        self.missed.starting(0, *channels)
        self.show({})

    def show(self, counts: Mapping[tuple[str, str], int]) -> None:
        """How many there are by channel and state."""
        for channel in dict.fromkeys((*self._channels, *(channel for channel, _ in counts))):
            for state in ALERT_STATES:
                self.alerts.set(counts.get((channel, state), 0), channel, state)


class ObservationMeters:
    """The open observation's clock; NaN while there is none, or it cannot be read."""

    def __init__(self) -> None:
        self.counted = gauge("observation_continuous_seconds", "What the observation's clock has counted.")
        self.required = gauge("observation_required_seconds", "What it has to count.")
        self.counting = gauge("observation_counting", "1 while the observation's clock counts.")
        self.held = gauge("observation_criteria_held", "Exit criteria that hold.")

    def show(self, view: ObservationView | None) -> None:
        """As it is now; None: there is none."""
        if view is None or view.state != "running":
            numbers = (_NAN, _NAN, _NAN, _NAN)
        else:
            required_s = view.required_hours * 3600
            numbers = (view.continuous_s, required_s, float(view.counting), float(view.holding))
        for metric, number in zip(
            (self.counted, self.required, self.counting, self.held), numbers, strict=True
        ):
            metric.set(number)


class EngineMeters:
    """The engine itself."""

    def __init__(self, build: Build, started: datetime) -> None:
        self.beats = counter("heartbeats_total", "Heartbeats the engine wrote.")
        self.beat_age = gauge("heartbeat_age_seconds", "Since the newest heartbeat.")
        self.interval = gauge("scan_interval_seconds", "Between two scans.")
        self.healthy = gauge("healthy", "1 while /healthz answers 200.", value=0)
        self.readable = gauge(
            "store_readable", "0 while the database cannot be read and values are old.", value=0
        )
        self.started = gauge(
            "engine_start_time_seconds", "When this engine began.", value=started.timestamp()
        )
        self.build = gauge("build_info", "What runs.", *Build._fields)
        self.build.starting(1, tuple(build))
        self.memory = Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
        self.memory.starting(_NAN)
        self.cpu = Metric(
            "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."
        )
        self.cpu.starting(0)

    def show(self, process: Process, beat_age_s: float | None, *, healthy: bool, readable: bool) -> None:
        """What holds now."""
        self.beat_age.set(_NAN if beat_age_s is None else beat_age_s)
        self.healthy.set(float(healthy))
        self.readable.set(float(readable))
        self.memory.set(_NAN if process.resident_bytes is None else process.resident_bytes)
        self.cpu.set(process.cpu_s)


class Meters:
    """The families of one engine."""

    def __init__(
        self,
        build: Build,
        coins: Sequence[str],
        channels: Sequence[str],
        *,
        budget_ms: float,
        started: datetime,
    ) -> None:
        """``coins`` are those that are scanned, ``channels`` those alerts go to."""
        self.scans = ScanMeters(coins, budget_ms / 1000)
        self.account = AccountMeters()
        self.alerts = AlertMeters(channels)
        self.observation = ObservationMeters()
        self.engine = EngineMeters(build, started)

    def families(self) -> Iterator[Family]:
        """All of them, in the order of the exposition."""
        for group in (self.scans, self.account, self.alerts, self.observation, self.engine):
            yield from (item for item in vars(group).values() if isinstance(item, Metric | Histogram))

    def follow(self, news: LiveNews) -> None:
        """Count what came."""
        for scan in news.scans:
            self.scans.scanned(scan)
        for decision in news.decisions:
            self.scans.decided(decision)
        for kind, payload in news.events:
            self._told(kind, payload)
        for beat in news.beats:
            self.engine.beats.add(1)
            self.engine.interval.set(beat.interval_s)

    def _told(self, kind: str, payload: Mapping[str, Any]) -> None:
        match kind:
            case "ScanOverrun":
                self.scans.missed.add(payload["missed"])
            case "FeedFailed":
                self.scans.feed_failures.add(1, payload["symbol"])
            case "AlertDelivered":
                self.alerts.delivery.observe(payload["seconds"])
            case "AlertRefused":
                self.alerts.dead.add(1, payload["channel"])
            case "SignalsMissed":
                self.alerts.missed.add(len(payload["ids"]), payload["channel"])


def counter(name: str, text: str, *labels: str) -> Metric:
    """A counter of this program; without labels it begins with zero."""
    metric = Metric(f"tradingai_{name}", "counter", text, labels)
    return metric if labels else metric.starting(0)


def gauge(name: str, text: str, *labels: str, value: float = _NAN) -> Metric:
    """A gauge of this program; without labels it begins with ``value``."""
    metric = Metric(f"tradingai_{name}", "gauge", text, labels)
    return metric if labels else metric.starting(value)
