"""Flags of single bars as spans a person can read: consecutive minutes with the same findings are one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.quality import Rule

WORDS: Final = {
    Rule.FILLED: "filled",
    Rule.OUT_OF_ORDER: "out of order",
    Rule.DUPLICATE: "duplicate",
    Rule.CONFLICT: "conflicting duplicate",
    Rule.NON_FINITE: "non-finite price",
    Rule.NON_POSITIVE: "price not positive",
    Rule.VOLUME: "volume repaired",
    Rule.OHLC: "high or low repaired",
    Rule.OUTLIER: "outlier",
    Rule.STALE: "stale",
    Rule.ZERO_VOLUME: "no volume",
}
"""Each rule in an operator's words."""


@dataclass(frozen=True, slots=True)
class FlagSpan:
    """``bars`` consecutive minutes from ``start`` to ``end`` (both included) with the same findings."""

    start: datetime
    end: datetime
    bars: int
    rules: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"start": self.start, "end": self.end, "bars": self.bars, "rules": self.rules}


def flag_spans(ts: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> list[FlagSpan]:
    """Spans of flagged bars in time order: ``ts`` ascending microseconds [k], ``mask`` rule bits [k]."""
    if not len(ts):
        return []
    starts = np.flatnonzero(np.r_[True, (np.diff(ts) != MINUTE_US) | (np.diff(mask) != 0)])
    ends = np.r_[starts[1:], len(ts)] - 1
    return [
        FlagSpan(
            us_to_datetime(int(ts[first])),
            us_to_datetime(int(ts[last])),
            int(last - first + 1),
            tuple(words for rule, words in WORDS.items() if int(mask[first]) & int(rule)),
        )
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def longest_gaps(ts: npt.NDArray[np.int64], mask: npt.NDArray[np.int32], most: int) -> list[FlagSpan]:
    """The ``most`` longest runs of filled minutes, the longest first, the earlier of two equals first."""
    filled = (mask & int(Rule.FILLED)) > 0
    spans = flag_spans(ts[filled], np.full(int(filled.sum()), int(Rule.FILLED), dtype=np.int32))
    return sorted(spans, key=lambda span: (-span.bars, span.start))[:most]
