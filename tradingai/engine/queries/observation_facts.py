"""What store and settings say of an observation beside its clock: demands, baseline, drill, alerts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.alert_views import percentile
from tradingai.engine.queries.observation_clock import RunFacts, Segment
from tradingai.engine.queries.observation_criteria import Demands, DrillFacts
from tradingai.engine.queries.observation_history import RunHistory
from tradingai.engine.queries.observation_views import (
    ApprovalView,
    BaselineView,
    DeliveryView,
    ScaledSetting,
)
from tradingai.engine.store.observation_rows import (
    ObservationRow,
    SnapshotRow,
    VerdictRow,
    approval_row,
    observation_row,
    snapshot_row,
    verdict_row,
)
from tradingai.engine.store.stamps import stamp

PRODUCT: Final[Mapping[str, float]] = {
    "observation_hours": 72,
    "observation_max_gap_s": 300,
    "observation_min_trades": 300,
    "observation_win_rate_margin_pct": 5,
    "observation_win_rate_drop_pct": 10,
    "observation_tier_margin_pct": 5,
}
"""What the product demands; anything else is shown as scaled."""
PRODUCT_INTERVAL_S: Final = 120.0
DELIVERY_HOURS: Final = 24.0
_EVER: Final = "9999"
"""Later than any time that is stored."""
_RUN: Final = (
    "SELECT run_id, settings_hash, code_version, clock, coalesce(feed, '') AS feed, settings FROM runs"
    " LEFT JOIN live_runs USING (run_id) LEFT JOIN run_settings USING (run_id) WHERE run_id = ?"
)
_DRILL: Final = (
    "SELECT started_at, settings_hash, code_version, result FROM runs JOIN run_results USING (run_id)"
    " WHERE kind = 'drill' AND state = 'finished' AND started_at >= ? AND ended_at <= ?"
    " ORDER BY started_at DESC LIMIT 1"
)
_ALERTS: Final = (
    "SELECT state, unknown, delivery_s FROM"
    " (SELECT * FROM alerts WHERE channel = ? ORDER BY seq DESC LIMIT 2000) WHERE at >= ? AND at <= ?"
)
_CHANNELS: Final = "SELECT channel FROM alert_channels WHERE channel LIKE 'telegram:%' ORDER BY channel"
_APPROVALS: Final = "SELECT * FROM observation_approvals WHERE observation_id = ? AND at <= ? ORDER BY number"
_SNAPSHOTS: Final = "SELECT * FROM observation_snapshots WHERE observation_id = ? ORDER BY day"
_VERDICT: Final = "SELECT * FROM observation_verdicts WHERE observation_id = ? ORDER BY number DESC LIMIT 1"


def newest_observation(connection: sqlite3.Connection) -> ObservationRow | None:
    """The observation that was started last."""
    row = connection.execute("SELECT * FROM observations ORDER BY rowid DESC LIMIT 1").fetchone()
    return None if row is None else observation_row(row)


def newest_verdict(connection: sqlite3.Connection, observation_id: str) -> VerdictRow | None:
    """The report that was written last."""
    row = connection.execute(_VERDICT, (observation_id,)).fetchone()
    return None if row is None else verdict_row(row)


def written_snapshots(connection: sqlite3.Connection, observation_id: str) -> list[SnapshotRow]:
    """The snapshots that were written, by day."""
    return [snapshot_row(row) for row in connection.execute(_SNAPSHOTS, (observation_id,))]


def approvals(
    connection: sqlite3.Connection, observation_id: str, segment: Segment | None, until: str | None
) -> tuple[ApprovalView, ...]:
    """All approvals up to a time, oldest first; those before the stretch ``segment`` do not count."""
    found = connection.execute(_APPROVALS, (observation_id, until or _EVER))
    rows = [approval_row(row) for row in found]
    return tuple(
        ApprovalView(
            at=row.at,
            who=row.sender,
            surface=row.surface,
            typed=row.typed,
            hours=row.hours,
            counts=segment is not None and segment.beat == row.clock_beat,
        )
        for row in rows
    )


def demands_of(required: Mapping[str, Any]) -> Demands:
    """What the OBSERVATION_* settings demand."""
    return Demands(
        hours=float(required["observation_hours"]),
        min_trades=int(required["observation_min_trades"]),
        win_rate_margin=required["observation_win_rate_margin_pct"] / 100,
        win_rate_drop=required["observation_win_rate_drop_pct"] / 100,
        tier_margin=required["observation_tier_margin_pct"] / 100,
    )


def scaled(required: Mapping[str, Any], interval_s: float | None) -> tuple[ScaledSetting, ...]:
    """The settings that are not the product's; ``interval_s`` is between the loop's scans."""
    found = [
        ScaledSetting(name.upper(), float(required[name]), value)
        for name, value in PRODUCT.items()
        if required[name] != value
    ]
    if interval_s is not None and interval_s != PRODUCT_INTERVAL_S:
        found.append(ScaledSetting("SCAN_INTERVAL_S", interval_s, PRODUCT_INTERVAL_S))
    return tuple(found)


def baseline_view(baseline: Mapping[str, Any]) -> BaselineView:
    """The stored baseline as it is shown."""
    return BaselineView(
        run=baseline["run"],
        start=parse_iso(baseline["start"]),
        end=parse_iso(baseline["end"]),
        trades=baseline["trades"],
        win_rate=baseline["win_rate"],
        tiers=baseline["tiers"],
        scored=baseline["scored"],
        threshold=baseline["threshold"],
        interval_s=baseline["interval_s"],
        models=baseline["models"],
        synthetic=baseline["synthetic"],
        command=baseline["command"],
    )


def baseline_unfit(baseline: Mapping[str, Any], run: RunFacts, history: RunHistory) -> str:
    """Why the baseline is none for what the run decides with; empty where it is one."""
    other = []
    if baseline["code_version"] != run.code_version:
        other.append("code")
    if baseline["settings_hash"] != run.settings_hash:
        other.append("settings")
    if history.threshold is not None and history.threshold != baseline["threshold"]:
        other.append(f"threshold ({baseline['threshold']:g}, now {history.threshold:g})")
    if any(baseline["models"].get(model) != version for model, version in history.models.items()):
        other.append("models")
    if not other:
        return ""
    return f"the baseline was made with other {', '.join(other)}: `tradingai observe start --anew` makes one"


def run_facts(connection: sqlite3.Connection, run_id: str) -> RunFacts:
    """What a live run is recognised by."""
    row = connection.execute(_RUN, (run_id,)).fetchone()
    return RunFacts(
        run_id=run_id,
        settings_hash=row["settings_hash"],
        code_version=row["code_version"],
        feed=row["feed"],
        settings=None if row["settings"] is None else json.loads(row["settings"]),
        simulated=row["clock"] == "simulated",
    )


def drill_facts(
    connection: sqlite3.Connection, since: str, until: str | None, run: RunFacts, history: RunHistory
) -> DrillFacts | None:
    """The newest drill that was held between two times (as stored), and whether it was one of this loop."""
    row = connection.execute(_DRILL, (since, until or _EVER)).fetchone()
    if row is None:
        return None
    document, unfit = json.loads(row["result"]), ""
    if (row["settings_hash"], row["code_version"]) != (run.settings_hash, run.code_version):
        unfit = f"the drill of {row['started_at']} was of other settings or code than the loop's"
    elif any(history.models.get(model, known) != known for model, known in document["models"].items()):
        unfit = f"the drill of {row['started_at']} was of other models than the loop's"
    return DrillFacts(parse_iso(row["started_at"]), document, unfit)


def telegram_channels(connection: sqlite3.Connection, chat: int | None) -> tuple[str, ...]:
    """The chats that alerts went to, and the configured one: what arrived does not depend on who asks."""
    known = [row[0] for row in connection.execute(_CHANNELS)]
    configured = [] if chat is None else [f"telegram:{chat}"]
    return tuple(dict.fromkeys([*configured, *known]))


def delivery_view(connection: sqlite3.Connection, channels: Sequence[str], now: datetime) -> DeliveryView:
    """Alerts of the last hours before ``now``."""
    since = stamp(now - timedelta(hours=DELIVERY_HOURS))
    rows = [row for one in channels for row in connection.execute(_ALERTS, (one, since, stamp(now)))]
    arrived = [row for row in rows if row["state"] == "delivered"]
    times = sorted(row["delivery_s"] for row in arrived)
    return DeliveryView(
        hours=DELIVERY_HOURS,
        total=len(rows),
        delivered=len(arrived),
        p50_s=percentile(times, 0.50),
        p95_s=percentile(times, 0.95),
        repeats=sum(row["unknown"] > 0 for row in arrived),
        dead=sum(row["state"] == "dead" for row in rows),
        configured=bool(channels),
    )
