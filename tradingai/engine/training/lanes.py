"""Lanes: the training rows cut into contiguous pieces that are read side by side, chunk by chunk.

Each lane carries its own recurrent state forward. A lane never spans two ranges, so the state never jumps
over rows that were removed; at the start of every epoch all lanes are cold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.core.errors import DataError
from tradingai.engine.datasets.labels import NO_LABEL, Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.compute import Features
from tradingai.engine.features.files import RowReader
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import Matrix, SideBySide

_Value = TypeVar("_Value", bound=np.generic)


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

    def read_until(self, chunk: int) -> list[Rows]:
        """What each lane has read before a chunk."""
        return [Rows(lane.lo, min(lane.lo + chunk * self.chunk, lane.hi)) for lane in self.lanes]


class Chunk(NamedTuple):
    """The same steps of all lanes."""

    features: Features
    """Scaled, float32 [steps, lanes, F]: a view that the next chunk overwrites."""
    labels: Labels
    """int8 [steps, lanes, coins], -1 where there is none, as after a lane's end."""
    returns: Features | None
    """Standardised forward returns, float32 [steps, lanes, coins], where the task has them."""


@dataclass(frozen=True, slots=True)
class _Coin:
    """One coin's features: where they are read, where they go in a chunk, and what they are scaled by."""

    rows: RowReader
    columns: slice
    scaler: Scaler
    unscaled: Features
    """Room for a chunk, float32 [lanes, steps, F]."""


class LaneReader:
    """Reads chunks of all lanes from the stored features, in order, and knows what it has read."""

    def __init__(
        self,
        plan: LanePlan,
        values: Matrix,
        labels: Labels,
        scaler: Scaler,
        returns: Features | None = None,
    ) -> None:
        """``labels`` are int8 [rows] or [rows, coins], ``returns`` float32 [rows, coins]."""
        self.plan = plan
        self.position = 0
        """Chunks read in this epoch."""
        self._features = np.zeros((plan.chunk, len(plan.lanes), values.shape[1]), dtype=np.float32)
        self._labels = _by_lane(plan, labels.reshape(len(labels), -1), NO_LABEL)
        self._returns = None if returns is None else _by_lane(plan, returns, 0.0)
        self._coins: list[_Coin] = []
        column = 0
        for matrix in values.matrices if isinstance(values, SideBySide) else (values,):
            columns = slice(column, column + matrix.shape[1])
            column = columns.stop
            room = np.zeros((len(plan.lanes), plan.chunk, matrix.shape[1]), dtype=np.float32)
            self._coins.append(_Coin(RowReader(matrix), columns, _columns(scaler, columns), room))

    def chunk(self, index: int) -> Chunk:
        """The next chunk; every epoch begins with chunk 0.

        Raises ValueError for any chunk but the next: state must not skip rows or meet them twice.
        """
        if index != self.position:
            raise ValueError(f"chunk {index} was asked for, {self.position} is next")
        lo, hi = index * self.plan.chunk, min((index + 1) * self.plan.chunk, self.plan.steps)
        features = self._features[: hi - lo]
        for coin in self._coins:
            for number, lane in enumerate(self.plan.lanes):
                steps = min(lane.size, hi) - lo
                if steps > 0:
                    coin.rows.into(coin.unscaled[number, :steps], lane.lo + lo)
            unscaled = coin.unscaled[:, : hi - lo].swapaxes(0, 1)
            coin.scaler.transform(unscaled, out=features[..., coin.columns])
        self.position += 1
        labels = np.ascontiguousarray(self._labels[lo:hi])
        returns = None if self._returns is None else np.ascontiguousarray(self._returns[lo:hi])
        return Chunk(features, labels, returns)

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


def _by_lane(plan: LanePlan, rows: NDArray[_Value], missing: float) -> NDArray[_Value]:
    """Rows [rows, coins] as the lanes read them, [steps, lanes, coins]; ``missing`` after a lane's end."""
    laid = np.full((plan.steps, len(plan.lanes), rows.shape[1]), missing, dtype=rows.dtype)
    for number, lane in enumerate(plan.lanes):
        laid[: lane.size, number] = rows[lane.slice]
    return laid


def _columns(scaler: Scaler, columns: slice) -> Scaler:
    return replace(scaler, names=scaler.names[columns], mean=scaler.mean[columns], std=scaler.std[columns])
