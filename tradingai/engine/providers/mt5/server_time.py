"""From a broker's server time, which carries no zone, to UTC.

FTMO's server shows New York's wall time plus 7 hours, so that it changes on the American dates (FTMO trading
updates of 9 Mar 2023, 14 Mar 2024, 31 Oct 2024, 13 Mar 2025, 5 Mar 2026). The hour that exists twice in
autumn is told apart by row order: once time steps back, the rows are those of the second pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.errors import DataError, UsageError

FTMO: Final = "ftmo"
_SECOND_US: Final = 1_000_000
_QUARTER_US: Final = 900 * _SECOND_US
"""Offsets of every zone since 1970 change on quarter hours."""
_DAY_US: Final = 86_400 * _SECOND_US
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time of a server has no zone until it is given one
_FIXED: Final = re.compile(r"(?:utc|gmt)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_EXAMPLES: Final = "Give ftmo, a zone such as Europe/Athens or UTC, or an offset such as +02:00."

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ServerTime:
    """Wall time of the server = wall time of ``zone`` + ``ahead_s``."""

    name: str
    zone: ZoneInfo
    ahead_s: int = 0

    @classmethod
    def named(cls, text: str) -> ServerTime:
        """``ftmo``, a zone's name, or a fixed offset (``+02:00``). Raises UsageError for anything else."""
        name = text.strip()
        if name.lower() == FTMO:
            return cls(FTMO, ZoneInfo("America/New_York"), 7 * 3600)
        fixed = _FIXED.fullmatch(name)
        if fixed is not None:
            seconds = int(fixed[2]) * 3600 + int(fixed[3] or 0) * 60
            return cls(name, ZoneInfo("UTC"), seconds if fixed[1] == "+" else -seconds)
        try:
            return cls(name, ZoneInfo(name))
        except (KeyError, ValueError, OSError) as error:
            raise UsageError(f"unknown time zone {text!r}", remedy=_EXAMPLES) from error

    @property
    def words(self) -> str:
        """The assumption in a sentence."""
        if self.name == FTMO:
            return "server time is FTMO's: New York's wall time + 7 h"
        if self.ahead_s:
            return f"server time is UTC {self.ahead_s / 3600:+g} h all year"
        return f"server time is that of {self.name}"


class _Offsets(NamedTuple):
    """Of the zone from UTC in microseconds, at wall times of one quarter hour."""

    first: int
    second: int
    """Differs from ``first`` where the wall time exists twice (then smaller) or not at all (then greater)."""


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, quarter: int) -> _Offsets:
    wall = _EPOCH + timedelta(microseconds=quarter * _QUARTER_US)
    shifts = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
    return _Offsets(*(round(shift.total_seconds()) * _SECOND_US for shift in shifts))


@dataclass(slots=True)
class ServerClock:
    """Converts times of one file in row order, some at a time."""

    server: ServerTime
    disordered: int = 0
    """Rows earlier than the row before them, the step back into a repeated hour left out."""
    repeated: dict[str, list[int]] = field(default_factory=dict)
    """Day of a repeated hour to rows taken as its first and as its second pass."""
    _last: int | None = None
    _within: bool = False
    """Whether the newest row stands in a repeated hour."""
    _second: bool = False

    def to_utc(self, server_us: Ints) -> Ints:
        """Microseconds since 1970 UTC of server wall times [N], microseconds since 1970 by that wall clock.

        Raises DataError for a time that the server's clock skipped: the file is of another zone.
        """
        if not len(server_us):
            return server_us
        wall = server_us - self.server.ahead_s * _SECOND_US
        quarters = wall // _QUARTER_US
        starts = np.concatenate(([0], np.flatnonzero(np.diff(quarters)) + 1))
        found = [_offsets(self.server.zone, int(quarters[start])) for start in starts]
        lengths = np.diff(np.concatenate((starts, [len(wall)])))
        first = np.repeat(np.array([one.first for one in found], dtype=np.int64), lengths)
        second = np.repeat(np.array([one.second for one in found], dtype=np.int64), lengths)
        self._refuse_skipped(server_us, second > first)
        before = wall[0] if self._last is None else self._last
        steps = np.diff(np.concatenate(([before], wall)))
        twice = second < first
        offsets = self._told_apart(server_us, twice, steps <= -_SECOND_US, first, second)
        utc = wall - offsets
        self._count(utc, wall, steps, twice)
        return utc

    def notes(self) -> tuple[str, ...]:
        """What had to be assumed of hours that exist twice."""
        return tuple(
            f"the hour that exists twice on {day} stands once in the file: its {rows[0]:,} rows were taken "
            "as the first"
            for day, rows in self.repeated.items()
            if not rows[1]
        )

    def _refuse_skipped(self, server_us: Ints, skipped: npt.NDArray[np.bool_]) -> None:
        if skipped.any():
            moment = _EPOCH + timedelta(microseconds=int(server_us[int(np.argmax(skipped))]))
            raise DataError(
                f"{moment:%Y-%m-%d %H:%M:%S} does not exist where {self.server.words} "
                f"({int(skipped.sum()):,} rows): clocks are put forward then",
                remedy="The file was made by a server in another zone: name it with --timezone.",
            )

    def _told_apart(
        self, server_us: Ints, twice: npt.NDArray[np.bool_], back: npt.NDArray[np.bool_], first: Ints,
        second: Ints,
    ) -> Ints:  # fmt: skip
        """The offset of every row; within a repeated hour the second's from the first step back on."""
        offsets = first.copy()
        edges = np.flatnonzero(np.diff(np.concatenate(([0], twice.view(np.int8), [0]))))
        for lo, hi in zip(edges[::2], edges[1::2], strict=True):
            goes_on = lo == 0 and self._within
            steps_back = back[lo:hi].copy()
            if not goes_on:
                self._second, steps_back[0] = False, False
            later = np.logical_or.accumulate(steps_back) | self._second
            offsets[lo:hi] = np.where(later, second[lo:hi], first[lo:hi])
            self._second = bool(later[-1])
            day = f"{_EPOCH + timedelta(microseconds=int(server_us[lo])):%Y-%m-%d}"
            rows = self.repeated.setdefault(day, [0, 0])
            rows[0] += int((~later).sum())
            rows[1] += int(later.sum())
        return offsets

    def _count(self, utc: Ints, wall: Ints, steps: Ints, twice: npt.NDArray[np.bool_]) -> None:
        resolved = (steps < 0) & twice & (np.diff(utc, prepend=utc[0] - 1) >= 0)
        self.disordered += int(((steps < 0) & ~resolved).sum())
        self._last, self._within = int(wall[-1]), bool(twice[-1])
