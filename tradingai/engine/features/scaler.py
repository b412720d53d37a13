"""Standard scaling, fitted on a declared range of rows and on nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.features.compute import Features

CLIP: Final = 10.0
"""Scaled features are limited to this many standard deviations either side."""
_BLOCK_ROWS: Final = 32_768


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """Mean and population deviation per column over rows [lo, hi), float64 [F].

    Every column is standardised, flags too, so that a linear layer sees one scale; a column without
    variation has ``std`` 1 and comes out as 0 where it keeps its value.
    """

    names: tuple[str, ...]
    mean: Floats
    std: Floats
    lo: int
    hi: int

    @classmethod
    def fit(cls, names: Sequence[str], values: Features, lo: int, hi: int) -> Scaler:
        """Fit on ``values[lo:hi]``, read block by block.

        Raises DataError for an empty range, one outside the rows, and values that are not finite.
        """
        return cls.over(names, values, [(lo, hi)])

    @classmethod
    def over(cls, names: Sequence[str], values: Features, ranges: Sequence[tuple[int, int]]) -> Scaler:
        """Fit on the rows of all ``ranges`` together; ``lo`` and ``hi`` are their outer ends.

        Raises DataError as :meth:`fit`.
        """
        lo, hi = min(lo for lo, _ in ranges), max(hi for _, hi in ranges)
        count, mean, squares = 0, np.zeros(len(names)), np.zeros(len(names))
        for first, end in ranges:
            if not 0 <= first < end <= len(values):
                raise DataError(f"a scaler cannot be fitted on rows {first} … {end} of {len(values)}")
            for start in range(first, end, _BLOCK_ROWS):
                block = np.asarray(values[start : min(end, start + _BLOCK_ROWS)], dtype=np.float64)
                count, mean, squares = _merged(count, mean, squares, block)
        if not np.isfinite(mean).all() or not np.isfinite(squares).all():
            wrong = [name for name, ok in zip(names, np.isfinite(mean + squares), strict=True) if not ok]
            raise DataError(f"features {', '.join(wrong)} are not finite within rows {lo} … {hi}")
        std = np.sqrt(squares / count)
        std[std <= 1e-9 * np.abs(mean)] = 1.0
        return cls(tuple(names), mean, np.where(std == 0.0, 1.0, std), lo, hi)

    @classmethod
    def beside(cls, scalers: Mapping[str, Scaler]) -> Scaler:
        """One scaler for features side by side; a column's name begins with its coin's.

        Of a single coin it is that coin's own.
        """
        if len(scalers) == 1:
            return next(iter(scalers.values()))
        return cls(
            names=tuple(f"{coin} {name}" for coin, one in scalers.items() for name in one.names),
            mean=np.concatenate([one.mean for one in scalers.values()]),
            std=np.concatenate([one.std for one in scalers.values()]),
            lo=min(one.lo for one in scalers.values()),
            hi=max(one.hi for one in scalers.values()),
        )

    def transform(self, values: Features, out: Features | None = None) -> Features:
        """(values - mean) / std limited to ±10, float32 [n, F]; ``out`` may be ``values`` itself.

        Raises DataError for another number of columns.
        """
        if values.shape[-1] != len(self.names):
            raise DataError(f"the scaler knows {len(self.names)} features, not {values.shape[-1]}")
        scaled: Features = np.subtract(values, self.mean.astype(np.float32), out=out, dtype=np.float32)
        scaled *= (1.0 / self.std).astype(np.float32)
        return np.clip(scaled, -CLIP, CLIP, out=scaled)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers; floats keep every bit through JSON."""
        return {
            "names": list(self.names), "mean": self.mean.tolist(), "std": self.std.tolist(),
            "lo": self.lo, "hi": self.hi,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Scaler:
        """The inverse of :meth:`as_dict`. Raises ArtifactError when it is damaged."""
        try:
            names = tuple(str(name) for name in document["names"])
            mean = np.array(document["mean"], dtype=np.float64)
            std = np.array(document["std"], dtype=np.float64)
            lo, hi = int(document["lo"]), int(document["hi"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"damaged scaler: {type(error).__name__} {error}") from error
        if mean.shape != (len(names),) or std.shape != (len(names),) or not (std > 0).all():
            raise ArtifactError(
                f"damaged scaler: {len(names)} names, {mean.shape} means, {std.shape} deviations"
            )
        return cls(names, mean, std, lo, hi)

    def matches(self, other: Scaler) -> NDArray[np.bool_]:
        """Per column whether mean and deviation of the two agree to 1e-9 of the deviation, bool [F]."""
        tolerance = 1e-9 * self.std
        return (np.abs(self.mean - other.mean) <= tolerance) & (np.abs(self.std - other.std) <= tolerance)


def _merged(count: int, mean: Floats, squares: Floats, block: Floats) -> tuple[int, Floats, Floats]:
    """Count, mean and squared deviations with ``block`` float64 [k, F] added. Source: Chan et al. (1983)."""
    added = len(block)
    block_mean = block.mean(axis=0)
    block -= block_mean
    block_squares: Floats = np.einsum("ij,ij->j", block, block)
    total = count + added
    away = block_mean - mean
    merged_squares = squares + block_squares + away * away * (count * added / total)
    return total, mean + away * (added / total), merged_squares
