"""The equity curve of a run: its scans reduced to the extremes of equal spans of time, read on from where
the last look ended.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tradingai.engine.core.jsonio import parse_iso

MOST_SPANS: Final = 512
"""Spans kept of a run, each with its lowest and highest equity: more than a chart has dots."""
SHORTEST_SPAN: Final = timedelta(seconds=15)
Midnights = Callable[[datetime, datetime], tuple[datetime, ...]]
"""Prague's midnights after the one time, up to and with the other."""


class Equity(NamedTuple):
    """The account's equity at a scan."""

    at: datetime
    equity: float


class Crossing(NamedTuple):
    """A Prague midnight between two scans that knew the balance."""

    at: datetime
    """Of several between the two, the last."""
    before: float
    """Balance at the newest scan before it, or at it."""
    after: float
    """Balance at the first scan after it."""
    exact: bool
    """Whether a scan stood on it, or nothing changed the balance between the two."""


@dataclass(slots=True)
class _Span:
    lowest: Equity
    highest: Equity

    def points(self) -> Iterator[Equity]:
        first, second = sorted((self.lowest, self.highest))
        yield first
        if second != first:
            yield second

    def take(self, other: _Span) -> None:
        if other.lowest.equity < self.lowest.equity:
            self.lowest = other.lowest
        if other.highest.equity > self.highest.equity:
            self.highest = other.highest


class EquityCurve:
    """One run's scans as they were read so far. A scan without equity (it failed) has no point."""

    def __init__(self, run: str, midnights: Midnights) -> None:
        self.run = run
        self._midnights = midnights
        self._seq = 0
        self._start: datetime | None = None
        self._width = SHORTEST_SPAN
        self._spans: dict[int, _Span] = {}
        self._newest: tuple[datetime, float] | None = None
        self.last: Equity | None = None
        """The newest point."""
        self.crossings: list[Crossing] = []

    def read_on(self, connection: sqlite3.Connection) -> None:
        """Take in the scans that were stored since the last time."""
        rows = connection.execute(
            "SELECT seq, at, balance, equity FROM scans WHERE run_id = ? AND seq > ? ORDER BY seq",
            (self.run, self._seq),
        )
        for seq, at, balance, equity in rows:
            self._seq = seq
            if balance is not None and equity is not None and math.isfinite(equity):
                self._add(parse_iso(at), balance, equity)

    def points(self) -> tuple[Equity, ...]:
        """The lowest and the highest point of each span in the order of time, and the newest."""
        found = [point for _, span in sorted(self._spans.items()) for point in span.points()]
        if self.last is not None and (not found or found[-1] != self.last):
            found.append(self.last)
        return tuple(found)

    def bounds(self) -> tuple[datetime, datetime] | None:
        """The times of the first and the newest point; None before the first."""
        if self._start is None or self.last is None:
            return None
        return self._start, self.last.at

    def _add(self, at: datetime, balance: float, equity: float) -> None:
        if self._newest is not None:
            self._cross(*self._newest, at, balance)
        self._newest = (at, balance)
        self.last = point = Equity(at, equity)
        self._start = self._start or at
        self._put((at - self._start) // self._width, _Span(point, point))
        while len(self._spans) > MOST_SPANS:
            self._widen()

    def _cross(self, before_at: datetime, before: float, at: datetime, balance: float) -> None:
        if at.date() == before_at.date() and at.hour == before_at.hour:
            return
        passed = self._midnights(before_at, at)
        if passed:
            midnight = passed[-1]
            exact = midnight == at or before == balance
            self.crossings.append(Crossing(midnight, balance if midnight == at else before, balance, exact))

    def _put(self, place: int, span: _Span) -> None:
        kept = self._spans.get(place)
        if kept is None:
            self._spans[place] = span
        else:
            kept.take(span)

    def _widen(self) -> None:
        """Spans twice as wide."""
        narrow, self._spans = self._spans, {}
        self._width *= 2
        for place, span in sorted(narrow.items()):
            self._put(place // 2, span)


class Levels:
    """Steps of values over time: what held at a time is what the newest step before or at it says."""

    def __init__(self, steps: Iterable[tuple[datetime, float | None, float | None]]) -> None:
        self._steps = sorted(steps, key=lambda step: step[0])
        self._next = 0
        self._held: tuple[float | None, float | None] = (None, None)

    def at(self, moment: datetime) -> tuple[float | None, float | None]:
        """The values of a time that is not before the one asked for last."""
        while self._next < len(self._steps) and self._steps[self._next][0] <= moment:
            self._held = self._steps[self._next][1:]
            self._next += 1
        return self._held


def midnight_balances(
    crossings: Iterable[Crossing], logged: Mapping[datetime, float]
) -> Iterator[tuple[datetime, float | None]]:
    """What balance each midnight found: as the run's events say (``logged``), else as its scans show.

    None where neither tells: no event is left, and the balance moved between two scans.
    """
    for crossing in crossings:
        yield crossing.at, logged.get(crossing.at, crossing.before if crossing.exact else None)
