"""Splits of a time series into rows to fit on and rows to be judged on.

Rows are half-open ranges ``[lo, hi)`` into a coin's candles. A label at row t looks at the close of row
t + horizon, so rows next to a boundary are *purged*: no label window of one part reaches into another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Ints
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.core.symbols import DAY_MINUTES, HORIZON_MINUTES

TRAIN_PCT: Final = 70
VALIDATION_PCT: Final = 15
MIN_VALID_ROWS: Final = 2 * DAY_MINUTES
"""A time split of fewer rows leaves validation halves too short to judge anything."""


class Rows(NamedTuple):
    """The half-open range [lo, hi) of rows."""

    lo: int
    hi: int

    @property
    def size(self) -> int:
        """How many rows."""
        return self.hi - self.lo

    @property
    def slice(self) -> slice:
        """For indexing arrays."""
        return slice(self.lo, self.hi)

    def indices(self) -> Ints:
        """Every row of the range, int64 [size]."""
        return np.arange(self.lo, self.hi)


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Training, early stopping, calibration and test, in time order, purged at each boundary.

    ``early_stop`` and ``calibration`` are the two halves of validation. No label of a part reaches the first
    row of the next one; the test range ends with the data, where the last ``purged_size`` rows have no label.
    """

    train: Rows
    early_stop: Rows
    calibration: Rows
    test: Rows
    purged_size: int

    def parts(self) -> dict[str, Rows]:
        """Name to range, in time order."""
        return {
            "train": self.train, "early_stop": self.early_stop,
            "calibration": self.calibration, "test": self.test,
        }  # fmt: skip

    @property
    def validation(self) -> Rows:
        """From early stopping's first row to calibration's last, with the purged gap between them."""
        return Rows(self.early_stop.lo, self.calibration.hi)

    def as_dict(self) -> dict[str, Any]:
        """Lists and numbers for JSON."""
        return {**{name: list(rows) for name, rows in self.parts().items()}, "purged_size": self.purged_size}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> TimeSplit:
        """The inverse of :meth:`as_dict`. Raises ArtifactError when it is damaged."""
        try:
            names = ("train", "early_stop", "calibration", "test")
            parts = {name: Rows(*map(int, document[name])) for name in names}
            return cls(**parts, purged_size=int(document["purged_size"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"damaged time split: {type(error).__name__} {error}") from error


def time_split(rows: int, first_valid: int = 0, purged_size: int = HORIZON_MINUTES) -> TimeSplit:
    """Split rows [first_valid, rows) 70/15/15 in time order, validation in two halves.

    ``purged_size`` rows are left out before each boundary.
    Raises DataError below :data:`MIN_VALID_ROWS` rows.

    >>> split = time_split(10_100, first_valid=100)
    >>> for name, part in split.parts().items():
    ...     print(f"{name:<12}{part.lo:>6} … {part.hi - 1}")
    train          100 … 7084
    early_stop    7100 … 7834
    calibration   7850 … 8584
    test          8600 … 10099
    """
    valid = rows - first_valid
    if valid < MIN_VALID_ROWS:
        raise DataError(
            f"{max(valid, 0)} rows with features: a time split needs at least {MIN_VALID_ROWS}",
            remedy=f"Import or generate at least {first_valid + MIN_VALID_ROWS} one-minute candles of this "
            f"coin (the first {first_valid} warm the features up).",
        )
    train_end = first_valid + valid * TRAIN_PCT // 100
    test_start = first_valid + valid * (TRAIN_PCT + VALIDATION_PCT) // 100
    middle = (train_end + test_start) // 2
    return TimeSplit(
        train=Rows(first_valid, train_end - purged_size),
        early_stop=Rows(train_end, middle - purged_size),
        calibration=Rows(middle, test_start - purged_size),
        test=Rows(test_start, rows),
        purged_size=purged_size,
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """One train/test split: ``train`` in time order, in one piece or, around a test fold, in two."""

    train: tuple[Rows, ...]
    test: Rows

    def train_indices(self) -> Ints:
        """Every training row, int64."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(rows.indices() for rows in self.train)])

    def as_dict(self) -> dict[str, Any]:
        """Lists and numbers for JSON."""
        return asdict(self)


def purged_kfold(n: int, k: int, purged_size: int = HORIZON_MINUTES, embargo_size: int = 0) -> Iterator[Fold]:
    """Each of k contiguous folds of n rows is the test once; the rest trains, purged and embargoed.

    Folds are sized as scikit-learn's ``KFold`` (unshuffled): the first n mod k have one row more. As in
    skfolio's ``CombinatorialPurgedCV``, ``purged_size`` rows are left out of training on either side of the
    test fold, and ``embargo_size`` more where training follows it.
    Raises ValueError for k below 2 or above n, and when a fold would leave no row to train on.

    >>> for fold in purged_kfold(12, 3, purged_size=1, embargo_size=1):
    ...     print("train", fold.train_indices(), "test", fold.test.indices())
    train [ 6  7  8  9 10 11] test [0 1 2 3]
    train [ 0  1  2 10 11] test [4 5 6 7]
    train [0 1 2 3 4 5 6] test [ 8  9 10 11]
    """
    _check_sizes(purged_size, embargo_size)
    if not 2 <= k <= n:
        raise ValueError(f"{n} rows cannot be split into {k} folds")
    start = 0
    for fold in range(k):
        end = start + n // k + (fold < n % k)
        around = (Rows(0, start - purged_size), Rows(end + purged_size + embargo_size, n))
        train = tuple(rows for rows in around if rows.size > 0)
        if not train:
            raise ValueError(f"nothing is left to train on beside test rows {start} … {end - 1} of {n}")
        yield Fold(train, Rows(start, end))
        start = end


def walk_forward(
    n: int,
    splits: int,
    *,
    purged_size: int = HORIZON_MINUTES,
    test_size: int | None = None,
    max_train_size: int | None = None,
) -> Iterator[Fold]:
    """Test folds one after another to the end of n rows, each with training on what came before it.

    The semantics of scikit-learn's ``TimeSeriesSplit`` with ``gap=purged_size``: ``test_size`` is
    n // (splits + 1) unless given, training grows unless ``max_train_size`` limits it (then it slides, as
    skfolio's ``WalkForward``). Training never follows a test fold, so there is no embargo.
    Raises ValueError when the first training range would be empty.

    >>> for fold in walk_forward(12, 3, purged_size=1):
    ...     print("train", fold.train_indices(), "test", fold.test.indices())
    train [0 1] test [3 4 5]
    train [0 1 2 3 4] test [6 7 8]
    train [0 1 2 3 4 5 6 7] test [ 9 10 11]
    >>> for fold in walk_forward(12, 2, purged_size=1, test_size=3, max_train_size=4):
    ...     print("train", fold.train_indices(), "test", fold.test.indices())
    train [1 2 3 4] test [6 7 8]
    train [4 5 6 7] test [ 9 10 11]
    """
    _check_sizes(purged_size, 0)
    if splits < 1:
        raise ValueError(f"walk-forward needs at least one split, not {splits}")
    size = n // (splits + 1) if test_size is None else test_size
    if size < 1 or n - splits * size - purged_size < 1:
        raise ValueError(
            f"{n} rows are too few for {splits} test folds of {size} rows, "
            f"with {purged_size} rows purged before each"
        )
    for start in range(n - splits * size, n, size):
        end = start - purged_size
        lo = 0 if max_train_size is None else max(0, end - max_train_size)
        yield Fold((Rows(lo, end),), Rows(start, start + size))


def _check_sizes(purged_size: int, embargo_size: int) -> None:
    if purged_size < 0 or embargo_size < 0:
        raise ValueError(f"purged_size {purged_size} and embargo_size {embargo_size} cannot be negative")
