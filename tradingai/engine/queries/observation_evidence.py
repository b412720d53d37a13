"""What was seen within one stretch of the continuous clock: trades, tiers, high-tier signals, their alerts.

A stretch lies within one run: scans with numbers above ``after``. Trades count when their signal was decided
within it, so that nothing decided before a restart of the clock is evidence.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.alert_views import percentile
from tradingai.engine.queries.observation_criteria import DeliveryFacts, Demands
from tradingai.engine.queries.observation_statistics import Block, win_rate_interval
from tradingai.engine.queries.observation_views import HOUR_S, ObservedView
from tradingai.engine.queries.rolling import RollingScans

METHOD: Final = "Wilson, trades clustered by hour"
_TRADES: Final = (
    "SELECT trades.decided_at, trades.r FROM trades JOIN signals USING (run_id, key)"
    " WHERE trades.run_id = ? AND trades.scan_seq > ? AND trades.scan_seq <= ? AND signals.scan_seq > ?"
)
_HIGH: Final = (
    "SELECT signals.key, alerts.state, alerts.delivered_at, alerts.expires_at, alerts.delivery_s FROM signals"
    " LEFT JOIN alerts ON alerts.channel = ? AND alerts.subject = signals.key AND alerts.subject <> ''"
    " AND alerts.run_id = signals.run_id"
    " WHERE signals.run_id = ? AND signals.scan_seq > ? AND signals.scan_seq <= ? AND signals.tier = 'high'"
)
_LOST: Final = frozenset({"missed", "stopped", "dead"})


@dataclass(slots=True)
class Tally:
    """Closed trades, by the hour they were decided in."""

    trades: Counter[int] = field(default_factory=Counter)
    wins: Counter[int] = field(default_factory=Counter)
    net_r: float = 0.0

    def add(self, rows: Sequence[tuple[str, float]]) -> None:
        """More of them: when each was decided, and its net R; a win is above 0."""
        for decided_at, r in rows:
            hour = int(parse_iso(decided_at).timestamp() // HOUR_S)
            self.trades[hour] += 1
            self.wins[hour] += r > 0
            self.net_r += r

    def observed(
        self, by_tier: Mapping[str, int], demands: Demands, hours: float, delivery: DeliveryFacts
    ) -> ObservedView:
        """What they say, over ``hours`` of runtime."""
        trades, wins = self.trades.total(), self.wins.total()
        interval = win_rate_interval([Block(number, self.wins[hour]) for hour, number in self.trades.items()])
        scored = sum(by_tier.values())
        missing = max(0, demands.min_trades - trades)
        rate = trades / hours if hours > 0 and trades else None
        return ObservedView(
            trades=trades,
            wins=wins,
            win_rate=wins / trades if trades else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            method=METHOD if interval is not None else "",
            trades_per_hour=rate,
            missing_trades=missing,
            missing_s=None if rate is None else HOUR_S * missing / rate,
            tiers={tier: number / scored for tier, number in by_tier.items()},
            scored=scored,
            net_r=self.net_r if trades else None,
            high_signals=delivery.signals,
            high_delivered=delivery.delivered,
            high_p95_s=delivery.p95_s,
        )


class StretchEvidence:
    """The evidence of one stretch, which grows scan by scan."""

    def __init__(self, run_id: str, after: int) -> None:
        self.key = (run_id, after)
        self.tally = Tally()
        self._scans = RollingScans(run_id, live=True)
        self._seen = after

    @property
    def by_tier(self) -> Mapping[str, int]:
        """Scored decisions; those below the lowest tier are under ``none``."""
        return self._scans.by_tier

    def follow(self, connection: sqlite3.Connection, last: int) -> None:
        """Read up to scan number ``last``."""
        run_id, after = self.key
        if last <= self._seen:
            return
        rows = connection.execute(_TRADES, (run_id, self._seen, last, after)).fetchall()
        self.tally.add([(row[0], row[1]) for row in rows])
        self._scans.move(connection, after + 1, last)
        self._seen = last

    def delivery(
        self, connection: sqlite3.Connection, channels: Sequence[str], *, until: str | None = None
    ) -> DeliveryFacts:
        """What became of the high-tier signals by the time ``until`` (as stored; None: by now).

        ``channels`` are the chats: a signal that reached one of them arrived.
        """
        run_id, after = self.key
        arrived: dict[str, float] = {}
        lost: set[str] = set()
        signals: set[str] = set()
        for channel in channels or ("",):
            for row in connection.execute(_HIGH, (channel, run_id, after, self._seen)):
                signals.add(row["key"])
                if row["state"] == "delivered" and (until is None or row["delivered_at"] <= until):
                    arrived[row["key"]] = row["delivery_s"]
                elif row["state"] in _LOST and not _missed_after(row, until):
                    lost.add(row["key"])
        return DeliveryFacts(
            signals=len(signals),
            delivered=len(arrived),
            lost=len(lost - arrived.keys()),
            p95_s=percentile(sorted(arrived.values()), 0.95),
            configured=bool(channels),
        )


def _missed_after(row: sqlite3.Row, until: str | None) -> bool:
    return until is not None and row["state"] == "missed" and row["expires_at"] > until
