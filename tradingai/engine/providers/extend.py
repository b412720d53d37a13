"""Cleaning stored candles and new raw ones together, as if all had been raw."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from tradingai.engine.core.candles import Candles
from tradingai.engine.providers.cleaning import Cleaned, clean
from tradingai.engine.providers.quality import QualityReport, Rule
from tradingai.engine.store.candle_files import Flags

_OF_ROWS: Final = (
    Rule.OUT_OF_ORDER
    | Rule.DUPLICATE
    | Rule.CONFLICT
    | Rule.NON_FINITE
    | Rule.NON_POSITIVE
    | Rule.VOLUME
    | Rule.OHLC
)
"""Flags that say something about raw rows; the others follow from the cleaned candles."""
_COUNTED_IN_ROWS: Final = (
    "out_of_order",
    "duplicates",
    "conflicting_duplicates",
    "non_finite",
    "non_positive",
    "volume_repaired",
    "ohlc_repaired",
    "leading_dropped",
)


def clean_with_stored(stored: Candles, flags: Flags, report: QualityReport, new: Candles) -> Cleaned:
    """What cleaning the raw rows behind ``stored`` and those of ``new`` at once gives.

    ``new`` holds minutes before and after the stored ones, none of theirs. What cleaning filled is taken out
    and filled again, since a gap may go on; what it repaired is not repaired twice, but stays counted and
    flagged. Raises DataError when a new row does not open on a whole minute.
    """
    mask = np.zeros(len(stored), dtype=np.int32)
    mask[np.searchsorted(stored.ts, flags.ts)] = flags.mask
    real = stored[(mask & int(Rule.FILLED)) == 0]
    split = int(np.searchsorted(new.ts, stored.ts[0])) if len(new) else 0
    cleaned = clean(Candles.concatenate([new[:split], real, new[split:]]), until=int(stored.ts[-1]))
    at = int(np.searchsorted(cleaned.candles.ts, stored.ts[0]))
    cleaned.flags[at : at + len(stored)] |= mask & np.int32(int(_OF_ROWS))
    counted = {name: getattr(report, name) + getattr(cleaned.report, name) for name in _COUNTED_IN_ROWS}
    rows_in = report.rows_in + len(new)
    return Cleaned(cleaned.candles, cleaned.flags, replace(cleaned.report, rows_in=rows_in, **counted))
