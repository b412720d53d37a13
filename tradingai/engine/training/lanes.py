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

    def blocks(self) -> list[tuple[int, list[Rows]]]:
        """Runs of adjacent lanes of equal length, each with the number of its first lane."""
        found: list[tuple[int, list[Rows]]] = []
        for number, lane in enumerate(self.lanes):
            last = found[-1][1][-1] if found else None
            if last is not None and last.hi == lane.lo and last.size == lane.size:
                found[-1][1].append(lane)
            else:
                found.append((number, [lane]))
        return found

    def read_until(self, chunk: int) -> list[Rows]:
        """What each lane has read before a chunk."""
        return [Rows(lane.lo, min(lane.lo + chunk * self.chunk, lane.hi)) for lane in self.lanes]


class LaneReader:
    """Reads chunks of all lanes from the feature matrix in place, in order, and knows what it has read."""

    def __init__(self, plan: LanePlan, values: Features, labels: Labels, scaler: Scaler) -> None:
        self.plan = plan
        self.position = 0
        """Chunks read in this epoch."""
        self._scaler = scaler
        self._features = np.zeros((plan.chunk, len(plan.lanes), values.shape[1]), dtype=np.float32)
        self._labels = np.full((len(plan.lanes), plan.steps), NO_LABEL, dtype=np.int8)
        self._blocks: list[tuple[slice, Features]] = []
        plain = np.asarray(values)
        for first, lanes in plan.blocks():
            rows, size = slice(lanes[0].lo, lanes[-1].hi), lanes[0].size
            at = slice(first, first + len(lanes))
            self._labels[at, :size] = labels[rows].reshape(len(lanes), size)
            self._blocks.append((at, plain[rows].reshape(len(lanes), size, -1).transpose(1, 0, 2)))

    def chunk(self, index: int) -> tuple[Features, Labels]:
        """Scaled features float32 [steps, lanes, F] and labels int8 [steps, lanes] (-1: none).

        The features are a view that the next call overwrites. Steps after a lane's end have no label.
        Raises ValueError for any chunk but the next: state must not skip rows or meet them twice.
        """
        if index != self.position:
            raise ValueError(f"chunk {index} was asked for, {self.position} is next")
        lo, hi = index * self.plan.chunk, min((index + 1) * self.plan.chunk, self.plan.steps)
        features = self._features[: hi - lo]
        for at, block in self._blocks:
            rows = block[lo:hi]
            self._scaler.transform(rows, out=features[: len(rows), at])
        self.position += 1
        return features, np.ascontiguousarray(self._labels[:, lo:hi].T)

    def restart(self) -> None:
        """Begin the next epoch: every lane at its first row."""
        self.position = 0

    def consumed(self) -> tuple[Rows, ...]:
        """What was read in this epoch, joined where lanes touch. Raises ValueError for a row read twice."""
        return joined(self.plan.read_until(self.position))

    @property
    def bars(self) -> int:
        """How many rows were read in this epoch."""
        return sum(rows.size for rows in self.plan.read_until(self.position))


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
