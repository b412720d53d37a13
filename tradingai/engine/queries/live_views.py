"""The scan loop as the store shows it: the live run, its newest scan and heartbeat, signals."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.jsonio import iso_z, parse_iso
from tradingai.engine.queries.alert_views import telegram_view
from tradingai.engine.queries.rolling import REASONS, WINDOW_HOURS, RollingScans
from tradingai.engine.queries.snapshot import LiveView
from tradingai.engine.store.stamps import stamp

_SIGNALS: Final = """
SELECT signals.*, decisions.versions, decisions.input_sha256, decisions.candle, runs.kind
FROM signals JOIN runs USING (run_id)
LEFT JOIN decisions ON decisions.run_id = signals.run_id AND decisions.signal_key = signals.key
WHERE {run} AND signals.at >= ? ORDER BY signals.at, signals.key
"""
_ACCOUNT: Final = (
    "SELECT balance, equity, drawdown, guard FROM scans WHERE run_id = ? AND guard <> ''"
    " ORDER BY seq DESC LIMIT 1"
)
"""As the newest scan that decided left it: one that failed knows nothing of it."""
_NEWEST_RUN: Final = (
    "SELECT run_id, feed FROM runs JOIN live_runs USING (run_id)"
    " WHERE kind = 'live' ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT 1"
)


def read_live(connection: sqlite3.Connection, now: datetime) -> dict[str, Any]:
    """``run``, ``feed``, ``last_scan`` and ``heartbeat`` of the live run; None where there is none."""
    run = connection.execute(_NEWEST_RUN).fetchone()
    if run is None:
        return {"run": None, "feed": None, "last_scan": None, "heartbeat": None}
    run_id = run["run_id"]
    scan = connection.execute(
        "SELECT seq, due, at, state, detail, latency_ms, killed, guard, balance, equity, drawdown FROM scans"
        " WHERE run_id = ? ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    beat = connection.execute(
        "SELECT engine, pid, at, state, interval_s, scans, next_due FROM heartbeats WHERE run_id = ?"
        " ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return {
        "run": run_id,
        "feed": run["feed"],
        "last_scan": None if scan is None else _scan(scan),
        "heartbeat": None if beat is None else _beat(beat, now),
    }


def read_funnel(connection: sqlite3.Connection, run_id: str) -> dict[str, Any]:
    """The decisions of a run's last 24 hours, by its own clock, by reason; they add up to ``decisions``."""
    row = connection.execute(
        "SELECT seq, at FROM scans WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (run_id,)
    ).fetchone()
    scans = RollingScans(run_id, live=True)
    if row is not None:
        scans.follow(connection, parse_iso(row["at"]) - timedelta(hours=WINDOW_HOURS), row["seq"])
    return {
        "hours": WINDOW_HOURS,
        "scans": scans.scans,
        "decisions": scans.decisions,
        "by_reason": {reason: scans.by_reason[reason] for reason in REASONS},
        "by_tier": dict(scans.by_tier),
        "late": scans.by_state["late"],
        "failed": scans.by_state["failed"],
        "latency_ms": {"p50": scans.percentile(0.50), "p99": scans.percentile(0.99)},
    }


def live_view(connection: sqlite3.Connection, now: datetime, chat: int | None = None) -> LiveView | None:
    """The newest live run, or None where the loop never ran; ``chat`` gets its alerts."""
    document = read_live(connection, now)
    if document["run"] is None:
        return None
    beat, scan = document["heartbeat"] or {}, document["last_scan"] or {}
    newest = connection.execute(
        "SELECT max(ts_us) FROM live_candles WHERE run_id = ?", (document["run"],)
    ).fetchone()[0]
    account = scan if scan.get("guard") else connection.execute(_ACCOUNT, (document["run"],)).fetchone() or {}
    closed = None if newest is None else datetime.fromtimestamp(newest / 1_000_000 + 60, UTC)
    return LiveView(
        run=str(document["run"]),
        pid=beat.get("pid"),
        state=str(beat.get("state", "")),
        beat_at=_time(beat.get("at")),
        scans=int(scan.get("seq") or 0),
        next_due=_time(beat.get("next_due")),
        scan_at=_time(scan.get("at")),
        scan_state=str(scan.get("state", "")),
        scan_detail=str(scan.get("detail", "")),
        latency_ms=scan.get("latency_ms"),
        balance=account["balance"] if account else None,
        equity=account["equity"] if account else None,
        drawdown=account["drawdown"] if account else None,
        guard=str(account["guard"]) if account else "",
        feed_at=closed,
        telegram=telegram_view(connection, chat),
    )


def read_signals(
    connection: sqlite3.Connection, *, run_id: str | None, since: datetime | None
) -> list[dict[str, Any]]:
    """Signals of one run (None: of all live runs) from ``since`` on, oldest first.

    Raises MissingError for a run that is not there.
    """
    if (
        run_id is not None
        and not connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    ):
        raise MissingError(
            f"there is no run {run_id}", remedy="`tradingai status --json` names the live run."
        )
    start = "" if since is None else stamp(since)
    condition = "runs.kind = 'live' AND ? IS NULL" if run_id is None else "signals.run_id = ?"
    rows = connection.execute(_SIGNALS.format(run=condition), (run_id, start)).fetchall()
    return [_signal(row) for row in rows]


def _scan(row: sqlite3.Row) -> dict[str, Any]:
    document = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a sqlite3.Row iterates over values
    document["due"], document["at"] = iso_z(parse_iso(row["due"])), iso_z(parse_iso(row["at"]))
    document["killed"] = bool(row["killed"])
    return document


def _beat(row: sqlite3.Row, now: datetime) -> dict[str, Any]:
    at = parse_iso(row["at"])
    return {
        "engine": row["engine"],
        "pid": row["pid"],
        "at": iso_z(at),
        "age_s": (now - at).total_seconds(),
        "state": row["state"],
        "interval_s": row["interval_s"],
        "scans": row["scans"],
        "next_due": None if row["next_due"] is None else iso_z(parse_iso(row["next_due"])),
    }


def _signal(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "key": row["key"],
        "run": row["run_id"],
        "at": iso_z(parse_iso(row["at"])),
        "candle": None if row["candle"] is None else iso_z(parse_iso(row["candle"])),
        "pair": row["symbol"],
        "side": row["side"],
        "tier": row["tier"],
        "confidence": row["confidence"],
        "entry": row["entry"],
        "take_profit": row["take_profit"],
        "stop_loss": row["stop_loss"],
        "reward_risk": row["reward_risk"],
        "quantity": row["quantity"],
        "risk_money": row["risk_money"],
        "spread_bps": row["spread_bps"],
        "slip_bps": row["slip_bps"],
        "latency_ms": row["latency_ms"],
        "mode": row["mode"],
        "models": {} if row["versions"] is None else json.loads(row["versions"]),
        "input_sha256": row["input_sha256"],
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_iso(text)
