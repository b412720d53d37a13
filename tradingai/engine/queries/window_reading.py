"""Reading the numbers of one run within a window: for ``metrics export`` and the days of an observation.

A window is ``(start, end]`` by the run's own clock, which for a live run is the machine's. Scans, with their
decisions and signals, belong to it by the time they decided by (``scans.at``), trades by their exit, alerts
and changes by when they happened, heartbeats by when they were written. Scans and trades are counted by the
same code as on the console's Monitor, so that equal windows give equal numbers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.alert_views import percentile
from tradingai.engine.queries.rolling import REASONS, RollingScans, closed_trades
from tradingai.engine.queries.run_snapshot import WatchedRun
from tradingai.engine.queries.window_metrics import (
    ALERT_STATES,
    TIERS,
    AccountEnd,
    AlertNumbers,
    Change,
    Changes,
    DecisionCounts,
    FeedAge,
    HeartbeatNumbers,
    LatencyNumbers,
    ScanCounts,
    SignalCounts,
    Span,
    TradeResults,
    WindowMetrics,
)
from tradingai.engine.store.stamps import stamp

_LAST_BY: Final = "SELECT seq, at FROM scans WHERE run_id = ? AND at <= ? ORDER BY at DESC, seq DESC LIMIT 1"
_SIGNALS: Final = (
    "SELECT coalesce(tier, 'none'), count(*) FROM signals WHERE run_id = ? AND scan_seq BETWEEN ? AND ?"
    " GROUP BY 1"
)
_ACCOUNT: Final = (
    "SELECT balance, equity, drawdown, guard FROM scans WHERE run_id = ? AND seq BETWEEN ? AND ?"
    " AND guard <> '' ORDER BY seq DESC LIMIT 1"
)
_EQUITY: Final = "SELECT min(equity), max(equity) FROM scans WHERE run_id = ? AND seq BETWEEN ? AND ?"
_OVER: Final = "SELECT count(*) FROM scans WHERE run_id = ? AND seq BETWEEN ? AND ? AND {measure} > ?"
_AGES: Final = (
    "SELECT symbol, at, candle FROM decisions WHERE run_id = ? AND scan_seq BETWEEN ? AND ?"
    " AND candle IS NOT NULL ORDER BY scan_seq, place"
)
_VERSIONS: Final = "SELECT DISTINCT versions FROM decisions WHERE run_id = ? AND scan_seq BETWEEN ? AND ?"
_ALERTS: Final = (
    "SELECT kind, state, unknown, delivery_s FROM alerts"
    " WHERE channel = ? AND run_id = ? AND at > ? AND at <= ?"
)
_BEATS: Final = (
    "SELECT engine, at, monotonic_s, state FROM heartbeats"
    " WHERE run_id = ? AND at > ? AND at <= ? ORDER BY seq"
)
_EVENTS: Final = (
    "SELECT ts, type, payload FROM events WHERE ts > ? AND ts <= ? AND (run_id = ? OR run_id IS NULL)"
    " AND type IN ('KillSwitchSet', 'ThresholdSet', 'GuardStateChanged', 'EngineStarted', 'ScanOverrun')"
    " ORDER BY seq"
)
_CANDLE_S: Final = 60.0


def read_window(
    connection: sqlite3.Connection, run: WatchedRun, span: Span, *, budget_ms: float, chat: int | None
) -> WindowMetrics:
    """The numbers of ``run`` within ``span``; the connection's rows are ``sqlite3.Row``.

    ``budget_ms`` is LATENCY_BUDGET_MS, ``chat`` the one that gets the alerts (None: Telegram is off).
    Reads in several statements: within a transaction they are of one moment.
    """
    live = run.kind == "live"
    scans = RollingScans(run.run, live=live)
    row = connection.execute(_LAST_BY, (run.run, stamp(span.end))).fetchone()
    scans.follow(connection, span.start, 0 if row is None else int(row["seq"]))
    changes = _Changes(connection, run.run, span) if live else None
    feed = _feed(connection, run.run)
    return WindowMetrics(
        run=run.run,
        kind=run.kind,
        feed=feed,
        synthetic=feed.startswith("synthetic") if live else _synthetic(connection, run.run),
        start=span.start,
        end=span.end,
        first_scan=scans.first,
        last_scan=scans.last,
        scans=ScanCounts(
            scans.scans,
            scans.by_state["done"],
            scans.by_state["late"],
            scans.by_state["failed"],
            0 if changes is None else changes.missed,
        ),
        decisions=DecisionCounts(
            scans.decisions,
            {reason: scans.by_reason[reason] for reason in REASONS},
            {tier: scans.by_tier[tier] for tier in TIERS},
        ),
        signals=_signals(connection, scans),
        trades=_trades(connection, run.run, span),
        account=_account(connection, scans),
        latency=_latency(connection, scans, budget_ms),
        feed_age=_feed_ages(connection, scans),
        models=_models(connection, scans),
        alerts=_alerts(connection, run.run, span, chat) if live else None,
        heartbeats=None if changes is None else _heartbeats(connection, run.run, span, changes.crashes),
        changes=None if changes is None else changes.told(),
    )


def _bounds(run: str, span: Span) -> tuple[str, str, str]:
    return run, "" if span.start is None else stamp(span.start), stamp(span.end)


def _of(scans: RollingScans) -> tuple[str, int, int]:
    return scans.run, scans.first, scans.last


def _feed(connection: sqlite3.Connection, run: str) -> str:
    row = connection.execute("SELECT feed FROM live_runs WHERE run_id = ?", (run,)).fetchone()
    return "" if row is None else str(row["feed"])


def _synthetic(connection: sqlite3.Connection, run: str) -> bool | None:
    row = connection.execute("SELECT result FROM run_results WHERE run_id = ?", (run,)).fetchone()
    found = {} if row is None else json.loads(row["result"])
    return bool(found["synthetic"]) if "synthetic" in found else None


def _signals(connection: sqlite3.Connection, scans: RollingScans) -> SignalCounts:
    found = {tier: int(number) for tier, number in connection.execute(_SIGNALS, _of(scans))}
    return SignalCounts(sum(found.values()), {tier: found.get(tier, 0) for tier in TIERS})


def _trades(connection: sqlite3.Connection, run: str, span: Span) -> TradeResults:
    found = closed_trades(connection, run, span.start, span.end)
    mean = found.net_r / found.closed if found.closed else None
    return TradeResults(found.closed, found.wins, found.win_rate, found.net_r, mean, found.net)


def _account(connection: sqlite3.Connection, scans: RollingScans) -> AccountEnd:
    row = connection.execute(_ACCOUNT, _of(scans)).fetchone()
    if row is None:
        return AccountEnd(None, None, None, None, None, "")
    lowest, highest = connection.execute(_EQUITY, _of(scans)).fetchone()
    return AccountEnd(row["balance"], row["equity"], lowest, highest, row["drawdown"], row["guard"])


def _latency(connection: sqlite3.Connection, scans: RollingScans, budget_ms: float) -> LatencyNumbers:
    p99 = scans.percentile(0.99)
    over = connection.execute(_OVER.format(measure=scans.measure), (*_of(scans), budget_ms)).fetchone()[0]
    return LatencyNumbers(
        scans.percentile(0.50), p99, budget_ms, over, None if p99 is None else p99 <= budget_ms
    )


def _feed_ages(connection: sqlite3.Connection, scans: RollingScans) -> dict[str, FeedAge]:
    ages: dict[str, list[float]] = {}
    newest: dict[str, datetime] = {}
    for symbol, at, candle in connection.execute(_AGES, _of(scans)):
        newest[symbol] = parse_iso(candle)
        ages.setdefault(symbol, []).append((parse_iso(at) - newest[symbol]).total_seconds() - _CANDLE_S)
    return {symbol: _age(newest[symbol], found) for symbol, found in ages.items()}


def _age(newest: datetime, ages: list[float]) -> FeedAge:
    ordered = sorted(ages)
    return FeedAge(
        newest, ages[-1], percentile(ordered, 0.5) or 0.0, percentile(ordered, 0.99) or 0.0, ordered[-1]
    )


def _models(connection: sqlite3.Connection, scans: RollingScans) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for (text,) in connection.execute(_VERSIONS, _of(scans)):
        for model, version in json.loads(text).items():
            found.setdefault(model, set()).add(version)
    return {model: tuple(sorted(versions)) for model, versions in sorted(found.items())}


def _alerts(connection: sqlite3.Connection, run: str, span: Span, chat: int | None) -> AlertNumbers | None:
    if chat is None:
        return None
    channel = f"telegram:{chat}"
    rows = connection.execute(_ALERTS, (channel, *_bounds(run, span))).fetchall()
    there = [row for row in rows if row["state"] == "delivered"]
    times = sorted(row["delivery_s"] for row in there)
    return AlertNumbers(
        channel=channel,
        total=len(rows),
        by_state={state: sum(row["state"] == state for row in rows) for state in ALERT_STATES},
        repeats=sum(row["unknown"] > 0 for row in there),
        p50_s=percentile(times, 0.50),
        p95_s=percentile(times, 0.95),
        high_signals=sum(row["kind"] == "signal" for row in rows),
        high_signals_delivered=sum(row["kind"] == "signal" for row in there),
    )


def _heartbeats(connection: sqlite3.Connection, run: str, span: Span, crashes: int) -> HeartbeatNumbers:
    beats = connection.execute(_BEATS, _bounds(run, span)).fetchall()
    gaps = [
        (parse_iso(later["at"]) - parse_iso(before["at"])).total_seconds()
        for before, later in pairwise(beats)
    ]
    return HeartbeatNumbers(
        count=len(beats),
        starts=sum(beat["state"] == "started" for beat in beats),
        crashes=crashes,
        uptime_s=sum(
            later["monotonic_s"] - before["monotonic_s"]
            for before, later in pairwise(beats)
            if before["engine"] == later["engine"]
        ),
        longest_gap_s=max(gaps, default=None),
    )


class _Changes:
    """What the event log says of a live run's window."""

    def __init__(self, connection: sqlite3.Connection, run: str, span: Span) -> None:
        _, start, end = _bounds(run, span)
        self._rows = [
            (parse_iso(ts), kind, json.loads(text))
            for ts, kind, text in connection.execute(_EVENTS, (start, end, run))
        ]

    @property
    def missed(self) -> int:
        """Scans that fell out."""
        return sum(int(payload["missed"]) for _, payload in self._of("ScanOverrun"))

    @property
    def crashes(self) -> int:
        """Starts after an engine that died."""
        return sum(payload["previous"] == "died" for _, payload in self._of("EngineStarted"))

    def told(self) -> Changes:
        """The changes, oldest first."""
        return Changes(
            kill_switch=tuple(
                Change(at, "on" if one["on"] else "off", _by(one, one["reason"]))
                for at, one in self._of("KillSwitchSet")
            ),
            threshold=tuple(
                Change(at, "the settings'" if one["value"] is None else f"{one['value']:g}", _by(one))
                for at, one in self._of("ThresholdSet")
            ),
            guard=tuple(
                Change(at, one["status"], f"{one['previous']}: {one['detail'] or one['cause']}")
                for at, one in self._of("GuardStateChanged")
            ),
        )

    def _of(self, kind: str) -> Iterator[tuple[datetime, dict[str, Any]]]:
        return ((at, payload) for at, name, payload in self._rows if name == kind)


def _by(payload: Mapping[str, Any], reason: str = "") -> str:
    return f"{payload['who']}, {payload['surface']}" + (f": {reason}" if reason else "")
