"""Lanes: the training rows cut into contiguous pieces that are read side by side, chunk by chunk.

Each lane carries its own recurrent state forward. A lane never spans two ranges, so the state never jumps
over rows that were removed; at the start of every epoch all lanes are cold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tradingai.engine.core.errors import DataError
from tradingai.engine.datasets.labels import NO_LABEL, Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler


@dataclass(frozen=True, slots=True)
class LanePlan:
    """Which rows each lane reads, and how many steps a chunk takes.

    >>> plan = LanePlan.over((Rows(100, 110),), lanes=3, chunk=2)
    >>> [tuple(lane) for lane in plan.lanes], plan.chunks
    ([(100, 104), (104, 108), (108, 110)], 2)
    """

    lanes: tuple[Rows, ...]
    chunk: int

    @classmethod
    def over(cls, ranges: Sequence[Rows], lanes: int, chunk: int) -> LanePlan:
        """Cut ``ranges`` into about ``lanes`` pieces of equal length; the last piece of each may be shorter.

        Raises DataError when there is no row.
        """
        total = sum(rows.size for rows in ranges)
        if total < 1:
            raise DataError("no row to train on")
        length = -(-total // lanes)
        pieces = [
            Rows(lo, min(lo + length, rows.hi)) for rows in ranges for lo in range(rows.lo, rows.hi, length)
        ]
        return cls(tuple(pieces), chunk)

    @property
    def steps(self) -> int:
        """Steps of an epoch: the longest lane's length."""
        return max(lane.size for lane in self.lanes)

    @property
    def chunks(self) -> int:
        """Weight updates of an epoch."""
        return -(-self.steps // self.chunk)

    @property
    def bars(self) -> int:
        """Rows of an epoch."""
        return sum(lane.size for lane in self.lanes)

    def pieces(self, chunk: int) -> list[Rows]:
        """The rows each lane reads in a chunk; empty where a lane has ended."""
        at = chunk * self.chunk
        return [
            Rows(min(lane.lo + at, lane.hi), min(lane.lo + at + self.chunk, lane.hi)) for lane in self.lanes
        ]


class LaneReader:
    """Reads chunks of all lanes from the feature matrix in place, and keeps count of what it has read."""

    def __init__(self, plan: LanePlan, values: Features, labels: Labels, scaler: Scaler) -> None:
        self.plan = plan
        self._values, self._labels, self._scaler = values, labels, scaler
        shape = (plan.chunk, len(plan.lanes))
        self._features = np.zeros((*shape, values.shape[1]), dtype=np.float32)
        self._targets = np.full(shape, NO_LABEL, dtype=np.int8)
        self.read: list[Rows] = [Rows(lane.lo, lane.lo) for lane in plan.lanes]
        """What each lane has read in this epoch."""

    def chunk(self, index: int) -> tuple[Features, Labels]:
        """Scaled features float32 [steps, lanes, F] and labels int8 [steps, lanes] (-1: none).

        Both are views that the next call overwrites. Steps after a lane's end have no label.
        Raises ValueError when a lane would skip rows or read one twice.
        """
        pieces = self.plan.pieces(index)
        steps = max(piece.size for piece in pieces)
        features, targets = self._features[:steps], self._targets[:steps]
        for lane, piece in enumerate(pieces):
            if piece.lo != self.read[lane].hi:
                raise ValueError(f"lane {lane} has read up to row {self.read[lane].hi}, not {piece.lo}")
            features[: piece.size, lane] = self._values[piece.slice]
            targets[: piece.size, lane] = self._labels[piece.slice]
            targets[piece.size :, lane] = NO_LABEL
            self.read[lane] = Rows(self.read[lane].lo, piece.hi)
        return self._scaler.transform(features, out=features), targets

    def restart(self) -> None:
        """Begin the next epoch: every lane at its first row."""
        self.read = [Rows(lane.lo, lane.lo) for lane in self.plan.lanes]

    def consumed(self) -> tuple[Rows, ...]:
        """What was read in this epoch, joined where lanes touch. Raises ValueError for a row read twice."""
        return joined(self.read)


def joined(ranges: Sequence[Rows]) -> tuple[Rows, ...]:
    """The ranges in order, neighbours made one. Raises ValueError when two overlap.

    >>> joined([Rows(5, 8), Rows(0, 5), Rows(9, 9), Rows(10, 12)])
    (Rows(lo=0, hi=8), Rows(lo=10, hi=12))
    """
    merged: list[Rows] = []
    for rows in sorted(rows for rows in ranges if rows.size):
        if merged and rows.lo < merged[-1].hi:
            raise ValueError(f"row {rows.lo} was read twice")
        if merged and rows.lo == merged[-1].hi:
            merged[-1] = Rows(merged[-1].lo, rows.hi)
        else:
            merged.append(rows)
    return tuple(merged)
