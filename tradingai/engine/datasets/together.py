"""Several coins' datasets on the same minutes, for models that look at all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.datasets.dataset import Dataset, load_dataset


def load_together(paths: HomePaths, symbols: Sequence[str], *, verify: bool = True) -> tuple[Dataset, ...]:
    """The datasets of ``symbols``, row i of each the same minute and their splits the same.

    Raises what :func:`load_dataset` raises, and DataError when they differ.
    """
    data = tuple(load_dataset(paths, symbol, verify=verify) for symbol in symbols)
    check_together(data)
    return data


def check_together(data: Sequence[Dataset]) -> None:
    """Raise DataError naming two coins whose minutes or splits differ."""
    first = data[0]
    for other in data[1:]:
        if (other.ts0, other.rows, other.split) != (first.ts0, first.rows, first.split):
            raise DataError(
                f"{first.symbol} has candles {_range(first)}, {other.symbol} has {_range(other)}: "
                "one model of both needs the same minutes",
                remedy="Generate or import the same range for every coin, then build the features again.",
            )


def _range(data: Dataset) -> str:
    last = data.ts0 + (data.rows - 1) * MINUTE_US
    first, newest = iso_z(us_to_datetime(data.ts0)), iso_z(us_to_datetime(last))
    return f"{first} … {newest} with features from row {data.features.first_valid:,}"
