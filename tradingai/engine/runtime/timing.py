"""How long scans took: percentiles from a histogram that does not grow."""

from __future__ import annotations

import math
from typing import Any, Final

_FIRST_MS: Final = 0.01
_RATIO: Final = 1.02
"""Each bin is two per cent wider than the one before: percentiles are exact to that."""
_BINS: Final = 800


class Timings:
    """Counts durations in bins of constant relative width."""

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._count = 0

    def add(self, ms: float) -> None:
        """One more duration in milliseconds."""
        place = math.ceil(math.log(max(ms, _FIRST_MS) / _FIRST_MS) / math.log(_RATIO))
        self._bins[min(place, _BINS - 1)] += 1
        self._count += 1

    def percentile(self, share: float) -> float | None:
        """The upper end of the bin that holds this share of the durations; None before the first."""
        if not self._count:
            return None
        seen = 0
        for place, count in enumerate(self._bins):
            seen += count
            if seen >= share * self._count:
                return _FIRST_MS * float(_RATIO**place)
        return None

    def as_json(self) -> dict[str, Any]:
        """``{"p50", "p99"}`` in milliseconds."""
        return {"p50": self.percentile(0.5), "p99": self.percentile(0.99)}
