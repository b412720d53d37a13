"""What a live run did since somebody last looked, for counters that must not count again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.connection import Database
from tradingai.engine.store.live_rows import Heartbeat, heartbeat_row

EVENTS: Final = ("ScanOverrun", "FeedFailed", "AlertDelivered", "AlertRefused", "SignalsMissed")
"""Events whose numbers stand nowhere else."""
_MARKS: Final = """
SELECT (SELECT coalesce(max(seq), 0) FROM scans WHERE run_id = ?) AS scan,
       (SELECT coalesce(max(seq), 0) FROM events) AS event,
       (SELECT coalesce(max(seq), 0) FROM heartbeats) AS beat
"""
_SCANS: Final = (
    "SELECT seq, at, state, detail, latency_ms, took_ms FROM scans WHERE run_id = ? AND seq > ? ORDER BY seq"
)
_DECISIONS: Final = """
SELECT symbol, candle, reason, tier, confidence, versions FROM decisions
WHERE run_id = ? AND scan_seq BETWEEN ? AND ? ORDER BY scan_seq, place
"""
_EVENTS: Final = (
    f"SELECT seq, type, payload FROM events WHERE seq > ? AND type IN ({','.join('?' * len(EVENTS))})"  # noqa: S608 - fixed texts
    " ORDER BY seq"
)
_BEATS: Final = "SELECT * FROM heartbeats WHERE run_id = ? AND seq > ? ORDER BY seq"
_ALERTS: Final = "SELECT channel, state, count(*) AS count FROM alerts GROUP BY channel, state"


@dataclass(frozen=True, slots=True)
class Marks:
    """The newest scan, event and heartbeat that were looked at, by their numbers."""

    scan: int = 0
    event: int = 0
    beat: int = 0


@dataclass(frozen=True, slots=True)
class MeteredScan:
    """One scan; durations are None for one that failed."""

    seq: int
    at: datetime
    state: str
    detail: str
    latency_ms: float | None
    """From when it was due to its decisions."""
    took_ms: float | None
    """From its begin until it was ready to be stored."""


@dataclass(frozen=True, slots=True)
class MeteredDecision:
    """One decision."""

    symbol: str
    candle: datetime | None
    """Open time of the newest closed candle."""
    reason: str
    tier: str | None
    confidence: float | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveNews:
    """What came since the marks, oldest first, and the marks after it."""

    marks: Marks
    scans: tuple[MeteredScan, ...]
    decisions: tuple[MeteredDecision, ...]
    events: tuple[tuple[str, dict[str, Any]], ...]
    """Type and payload of the EVENTS among them."""
    beats: tuple[Heartbeat, ...]


class MeterTable:
    """Follows one live run by the numbers of its rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def marks(self, run_id: str) -> Marks:
        """Where the run stands now. Raises StoreError."""
        row = (await self._database.rows(_MARKS, (run_id,)))[0]
        return Marks(row["scan"], row["event"], row["beat"])

    async def since(self, run_id: str, marks: Marks) -> LiveNews:
        """What the run did after ``marks``. Raises StoreError."""
        scans = await self._database.rows(_SCANS, (run_id, marks.scan))
        last = scans[-1]["seq"] if scans else marks.scan
        decisions = await self._database.rows(_DECISIONS, (run_id, marks.scan + 1, last))
        events = await self._database.rows(_EVENTS, (marks.event, *EVENTS))
        beats = await self._database.rows(_BEATS, (run_id, marks.beat))
        return LiveNews(
            marks=Marks(
                last, events[-1]["seq"] if events else marks.event, beats[-1]["seq"] if beats else marks.beat
            ),
            scans=tuple(
                MeteredScan(
                    row["seq"], parse_iso(row["at"]), row["state"], row["detail"], row["latency_ms"],
                    row["took_ms"],
                )
                for row in scans
            ),
            decisions=tuple(
                MeteredDecision(
                    symbol=row["symbol"],
                    candle=None if row["candle"] is None else parse_iso(row["candle"]),
                    reason=row["reason"],
                    tier=row["tier"],
                    confidence=row["confidence"],
                    versions=json.loads(row["versions"]),
                )
                for row in decisions
            ),
            events=tuple((row["type"], json.loads(row["payload"])) for row in events),
            beats=tuple(heartbeat_row(row) for row in beats),
        )  # fmt: skip

    async def alerts(self) -> dict[tuple[str, str], int]:
        """How many alerts there are by channel and state. Raises StoreError."""
        rows = await self._database.rows(_ALERTS)
        return {(row["channel"], row["state"]): row["count"] for row in rows}
