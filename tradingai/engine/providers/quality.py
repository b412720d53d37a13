"""What cleaning found: the bits of a bar's flags, and the counters of the quality report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntFlag
from typing import Any


class Rule(IntFlag):
    """What cleaning found about one bar; the bits of the flags file."""

    FILLED = 1
    OUT_OF_ORDER = 2
    DUPLICATE = 4
    CONFLICT = 8
    NON_FINITE = 16
    NON_POSITIVE = 32
    VOLUME = 64
    OHLC = 128
    OUTLIER = 256
    STALE = 512
    ZERO_VOLUME = 1024


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What cleaning counted. Bars are minutes; ``rows_in`` are raw rows, ``rows_out`` the cleaned minutes."""

    rows_in: int = 0
    rows_out: int = 0
    out_of_order: int = 0
    duplicates: int = 0
    """Rows dropped because their minute was there already."""
    conflicting_duplicates: int = 0
    """Those of them that did not agree with the row that was kept."""
    non_finite: int = 0
    non_positive: int = 0
    volume_repaired: int = 0
    ohlc_repaired: int = 0
    leading_dropped: int = 0
    """Unusable rows before the first usable one: there is no close to fill them with."""
    gaps: int = 0
    """Runs of filled minutes."""
    filled: int = 0
    longest_gap: int = 0
    longest_gap_at: int | None = None
    """First minute (since 1970) of the longest gap."""
    outliers: int = 0
    stale_runs: int = 0
    stale_bars: int = 0
    zero_volume: int = 0
    empty: int = 0
    """Bars in which nothing was seen: filled ones and flat ones without volume."""

    @property
    def share_filled(self) -> float:
        """Filled minutes over all cleaned minutes, 0 … 1."""
        return self.filled / self.rows_out if self.rows_out else 0.0

    @property
    def share_empty(self) -> float:
        """Empty bars over all cleaned minutes, 0 … 1."""
        return self.empty / self.rows_out if self.rows_out else 0.0

    @property
    def accounted(self) -> bool:
        """Whether every raw row is either a cleaned minute, or counted as dropped or replaced."""
        unusable = self.non_finite + self.non_positive - self.leading_dropped
        return self.rows_in - self.duplicates - self.leading_dropped + self.filled - unusable == self.rows_out

    def as_json(self) -> dict[str, Any]:
        """Counters and shares as they stand in a manifest."""
        return {**asdict(self), "share_filled": self.share_filled, "share_empty": self.share_empty}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> QualityReport:
        """The inverse of :meth:`as_json`; shares are recomputed."""
        return cls(
            **{key: value for key, value in document.items() if key not in {"share_filled", "share_empty"}}
        )
