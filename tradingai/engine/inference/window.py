"""The newest cleaned candles of one coin, in arrays that only ever grow at their end."""

from __future__ import annotations

import numpy as np

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, us_to_datetime
from tradingai.engine.core.symbols import MINUTE_US


class CandleWindow:
    """Consecutive minutes; at least the newest ``keep`` of all that were appended are there."""

    def __init__(self, keep: int) -> None:
        size = 2 * max(keep, 1)
        self._keep = keep
        self._columns = Candles(np.zeros(size, dtype=np.int64), *(np.zeros(size) for _ in PRICE_COLUMNS))
        self._lo = self._hi = 0

    def __len__(self) -> int:
        return self._hi - self._lo

    @property
    def first_us(self) -> int | None:
        """Open time of the oldest candle that is there."""
        return int(self._columns.ts[self._lo]) if len(self) else None

    @property
    def last_us(self) -> int | None:
        """Open time of the newest candle."""
        return int(self._columns.ts[self._hi - 1]) if len(self) else None

    def append(self, rows: Candles) -> None:
        """Add candles that follow the newest one. Raises ValueError when a minute is missing or repeated."""
        if not len(rows):
            return
        before = int(rows.ts[0]) - MINUTE_US if self.last_us is None else self.last_us
        if (np.diff(rows.ts, prepend=before) != MINUTE_US).any():
            raise ValueError(f"candles from {rows.start} do not follow {us_to_datetime(before)}")
        self._make_room(len(rows))
        target = self._columns[self._hi : self._hi + len(rows)]
        for name, column in target.columns().items():
            column[:] = rows.columns()[name]
        self._hi += len(rows)

    def until(self, ts_us: int, rows: int) -> Candles:
        """The ``rows`` candles up to the one that opens at ``ts_us``, fewer when there are fewer.

        The arrays are views, good until the next :meth:`append`.
        """
        if self.first_us is None:
            return self._columns[0:0]
        stop = self._lo + min(max((ts_us - self.first_us) // MINUTE_US + 1, 0), len(self))
        return self._columns[max(self._lo, stop - rows) : stop]

    def _make_room(self, rows: int) -> None:
        size = len(self._columns)
        if self._hi + rows <= size:
            return
        kept = self._columns[max(self._lo, self._hi - self._keep) : self._hi]
        if len(kept) + rows > size:
            size = 2 * (len(kept) + rows)
        moved = Candles(np.zeros(size, dtype=np.int64), *(np.zeros(size) for _ in PRICE_COLUMNS))
        for name, column in moved.columns().items():
            column[: len(kept)] = kept.columns()[name]
        self._columns, self._lo, self._hi = moved, 0, len(kept)
