"""The feature matrices of several coins on the same minutes, read as one wide matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.features.compute import Features


class SideBySide:
    """Row i is row i of every matrix, one after another; only the rows that are asked for are copied.

    Three coins' features of six years are 7 GB: they stay memory maps.
    """

    def __init__(self, matrices: Sequence[Features]) -> None:
        """``matrices`` are float32 [rows, F_i] of one coin each. Raises ValueError for unequal rows."""
        if len({len(matrix) for matrix in matrices}) != 1:
            raise ValueError(f"matrices of {[len(matrix) for matrix in matrices]} rows side by side")
        self.matrices = tuple(matrices)
        self.widths = tuple(int(matrix.shape[1]) for matrix in matrices)

    def __len__(self) -> int:
        return len(self.matrices[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and columns of all matrices together."""
        return len(self), sum(self.widths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Features:
        """A copy of these rows, float32 [..., sum of F_i]; ``rows`` is a slice or integers of any shape."""
        return np.concatenate([matrix[rows] for matrix in self.matrices], axis=-1)


Matrix = Features | SideBySide
"""What a network's inputs are read from: one coin's features, or those of several."""
