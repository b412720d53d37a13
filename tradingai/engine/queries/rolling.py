"""Sums over a run's newest scans that follow it without counting again: only rows that came into the window
or left it are read.
"""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect_left, insort
from collections import Counter, deque
from datetime import datetime
from typing import Final, NamedTuple

from tradingai.engine.store.stamps import stamp

WINDOW_HOURS: Final = 24.0
"""Of the live run; a replay's window is the whole run."""
REASONS: Final = (
    "no_new_candle", "stale", "below_threshold", "killed", "rate_limited", "risk_blocked", "position_open",
    "emitted",
)  # fmt: skip
"""Why a decision ended as it did, in the order in which the rules are asked."""
RECENT: Final = 64
"""Durations kept in their order, for a sparkline."""
_EVER: Final = "9999"
"""Later than any time as the store writes it."""
_BULK: Final = 64
"""From so many durations on, sorting all is faster than inserting each."""
_DECISIONS: Final = (
    "SELECT reason, CASE WHEN confidence IS NULL THEN '' ELSE coalesce(tier, 'none') END, count(*)"
    " FROM decisions WHERE run_id = ? AND scan_seq BETWEEN ? AND ? GROUP BY 1, 2"
)
_SCANS: Final = "SELECT state, {measure} FROM scans WHERE run_id = ? AND seq BETWEEN ? AND ? ORDER BY seq"
_CLOSED: Final = (
    "SELECT count(*), coalesce(sum(r > 0), 0), coalesce(sum(r), 0.0), coalesce(sum(net), 0.0) FROM trades"
    " WHERE run_id = ? AND exit_at > ? AND exit_at <= ?"
)
_FIRST_AFTER: Final = "SELECT seq FROM scans WHERE run_id = ? AND at > ? ORDER BY at, seq LIMIT 1"


class RollingScans:
    """Decisions by reason and tier, and scans with their durations, over the scans ``first`` … ``last``."""

    def __init__(self, run: str, *, live: bool) -> None:
        """A live scan's duration counts from when it was due, a replayed one's is the time it took."""
        self.run = run
        self.measure = "latency_ms" if live else "took_ms"
        """The column of ``scans`` that durations are read from."""
        self.first, self.last = 1, 0
        self.by_reason: Counter[str] = Counter()
        self.by_tier: Counter[str] = Counter()
        """Of scored decisions; those below the lowest tier are under ``none``."""
        self.by_state: Counter[str] = Counter()
        self.recent: deque[float] = deque(maxlen=RECENT)
        """Durations of the newest scans in milliseconds, oldest first."""
        self._durations: list[float] = []

    @property
    def scans(self) -> int:
        """Scans of the window, failed ones included."""
        return self.by_state.total()

    @property
    def decisions(self) -> int:
        """Decisions of the window."""
        return self.by_reason.total()

    def percentile(self, share: float) -> float | None:
        """The smallest duration that this share of the measured ones does not exceed; None without any."""
        if not self._durations:
            return None
        return self._durations[max(0, math.ceil(share * len(self._durations)) - 1)]

    def follow(self, connection: sqlite3.Connection, after: datetime | None, last: int) -> None:
        """The scans later than ``after`` (None: all) up to number ``last``."""
        first = 1
        if after is not None:
            row = connection.execute(_FIRST_AFTER, (self.run, stamp(after))).fetchone()
            first = last + 1 if row is None else int(row[0])
        self.move(connection, first, last)

    def move(self, connection: sqlite3.Connection, first: int, last: int) -> None:
        """Make it the scans ``first`` … ``last``."""
        if first > self.last or last < self.first:
            self._clear(first)
        if last > self.last:
            self._count(connection, self.last + 1, last, 1)
        elif last < self.last:
            self._count(connection, last + 1, self.last, -1)
        if first < self.first:
            self._count(connection, first, self.first - 1, 1)
        elif first > self.first:
            self._count(connection, self.first, first - 1, -1)
        self.first, self.last = first, last

    def _clear(self, first: int) -> None:
        self.first, self.last = first, first - 1
        for counter in (self.by_reason, self.by_tier, self.by_state):
            counter.clear()
        self._durations.clear()
        self.recent.clear()

    def _count(self, connection: sqlite3.Connection, first: int, last: int, sign: int) -> None:
        for reason, tier, number in connection.execute(_DECISIONS, (self.run, first, last)):
            _add(self.by_reason, reason, sign * number)
            if tier:
                _add(self.by_tier, tier, sign * number)
        durations: list[float] = []
        scans = connection.execute(_SCANS.format(measure=self.measure), (self.run, first, last))
        for state, duration in scans:
            _add(self.by_state, state, sign)
            if duration is not None:
                durations.append(duration)
        if sign > 0:
            self._include(durations)
            if first > self.last:
                self.recent.extend(durations)
        else:
            self._exclude(durations)

    def _include(self, durations: list[float]) -> None:
        if len(durations) >= _BULK:
            self._durations += durations
            self._durations.sort()
        else:
            for duration in durations:
                insort(self._durations, duration)

    def _exclude(self, durations: list[float]) -> None:
        for duration in durations:
            del self._durations[bisect_left(self._durations, duration)]


class ClosedTrades(NamedTuple):
    """Positions that ended within a window; a win has net R > 0. ``net`` is money."""

    closed: int
    wins: int
    net_r: float
    net: float

    @property
    def win_rate(self) -> float | None:
        """The share of wins; None without a trade."""
        return self.wins / self.closed if self.closed else None


def closed_trades(
    connection: sqlite3.Connection, run: str, after: datetime | None, until: datetime | None = None
) -> ClosedTrades:
    """A run's positions that ended later than ``after`` (None: all) and not later than ``until``."""
    bounds = ("" if after is None else stamp(after), _EVER if until is None else stamp(until))
    return ClosedTrades(*connection.execute(_CLOSED, (run, *bounds)).fetchone())


class HeldByKill:
    """How many decisions of a run the kill switch held since it was turned on."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._since: datetime | None = None
        self._seen = 0
        self.count = 0

    def follow(self, connection: sqlite3.Connection, since: datetime, last: int) -> int:
        """The count over the scans from ``since`` up to number ``last``."""
        if since != self._since:
            row = connection.execute(
                "SELECT seq FROM scans WHERE run_id = ? AND at >= ? ORDER BY at, seq LIMIT 1",
                (self._run, stamp(since)),
            ).fetchone()
            if row is None:
                return 0
            self._since, self._seen, self.count = since, int(row[0]) - 1, 0
        self.count += connection.execute(
            "SELECT count(*) FROM decisions WHERE run_id = ? AND scan_seq BETWEEN ? AND ?"
            " AND reason = 'killed'",
            (self._run, self._seen + 1, last),
        ).fetchone()[0]
        self._seen = max(self._seen, last)
        return self.count


def _add(counter: Counter[str], key: str, number: int) -> None:
    """Count without leaving a zero behind."""
    counter[key] += number
    if not counter[key]:
        del counter[key]
