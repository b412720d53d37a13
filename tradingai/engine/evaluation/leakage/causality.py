"""Checks 1 and 2: what stands in a row needs nothing from after it.

Both start from raw candles and go through cleaning. **Prefix invariance** gives the pipeline only what was
there at a cut and compares with what was computed from everything. **Future perturbation** changes
everything after the cut and expects the same rows up to it. Half of the cuts are compared with the stored
columns; the other half lie in and around gaps that are injected into the coin and, elsewhere, its peers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.evaluation.leakage.pipeline import (
    CANDLE_NAMES,
    Pipeline,
    Values,
    perturbed_after,
    price_columns,
    raw_of,
    until,
    window,
    without,
)

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CUTS_STORED: Final = 48
CUTS_IN_GAPS: Final = 48
MIN_CUTS: Final = 64
ROWS_COMPARED: Final = 32
"""Rows up to and including the cut that are compared."""
FUTURE_MINUTES: Final = 2 * DAY_MINUTES
"""How much future is computed beyond a cut: enough for all of tomorrow."""
TOLERANCE: Final = 1e-5
"""Largest difference that rounding explains, in standard deviations of the column or shares of its value."""
LONGEST_GAP: Final = 45


@dataclass(frozen=True, slots=True)
class Market:
    """A coin's stored candles and features beside its peers, as the checks need them."""

    symbol: str
    candles: Mapping[str, Candles]
    """Stored (cleaned) candles of the coin and its peers."""
    filled: Mapping[str, Bools]
    """Which of them cleaning filled in."""
    values: npt.NDArray[np.float32]
    """Stored features [n, F], row for row with the coin's candles."""
    scale: Values
    """Standard deviation of each column over the training range [F]; what a difference is measured in."""

    @property
    def own(self) -> Candles:
        """The coin's candles."""
        return self.candles[self.symbol]

    def raw(self) -> dict[str, Candles]:
        """Raw candles of the coin and its peers."""
        return {name: raw_of(series, self.filled[name]) for name, series in self.candles.items()}


@dataclass(frozen=True, slots=True)
class _Difference:
    cut: int
    name: str
    expected: float
    found: float

    def __str__(self) -> str:
        return (
            f"{self.name} at {iso_z(us_to_datetime(self.cut))}: {self.expected:.6g} became {self.found:.6g}"
        )


def causality(
    market: Market, pipeline: Pipeline, rng: np.random.Generator, reporter: Reporter
) -> tuple[CheckResult, CheckResult]:
    """Checks 1 and 2 over :data:`CUTS_STORED` + :data:`CUTS_IN_GAPS` cuts.

    Raises DataError when the candles are too few to place :data:`MIN_CUTS` cuts.
    """
    raw = market.raw()
    cuts = _cuts(market, pipeline, rng)
    prefix: list[_Difference] = []
    future: list[_Difference] = []
    for number, cut in enumerate(cuts):
        reporter.safe_point()
        rows = np.arange(cut - ROWS_COMPARED + 1, cut + 1)
        start, at = int(market.own.ts[rows[0] - pipeline.lookback]), int(market.own.ts[cut])
        end = int(market.own.ts[min(cut + FUTURE_MINUTES, len(market.own) - 1)])
        series = window(raw, start, end)
        ts = market.own.ts[rows]
        if number < CUTS_STORED:
            expected = price_columns(market.own, rows), np.asarray(market.values[rows], dtype=np.float64)
        else:
            series = _with_gaps(series, market.symbol, start, at, rng)
            expected = pipeline.run(series, market.symbol, start, end).at(ts)
        run = pipeline.run(until(series, at), market.symbol, start, at)
        prefix += _differences(market, pipeline, at, expected, run.at(ts))
        changed = {name: perturbed_after(one, at, rng) for name, one in series.items()}
        run = pipeline.run(changed, market.symbol, start, end)
        future += _differences(market, pipeline, at, expected, run.at(ts))
    return _result("prefix_invariance", len(cuts), prefix), _result("future_perturbation", len(cuts), future)


def _cuts(market: Market, pipeline: Pipeline, rng: np.random.Generator) -> Ints:
    """Rows to cut at: the first :data:`CUTS_STORED` for stored columns, the rest to get gaps around them.

    Of each kind two thirds lie in mid-day and off every 5, 15, 60 and 240-minute boundary; some of the first
    kind lie within the data's own gaps.
    """
    first = pipeline.lookback + ROWS_COMPARED + LONGEST_GAP
    starts = [int(np.searchsorted(market.own.ts, series.ts[0])) for series in market.candles.values()]
    rows = np.arange(first + max(starts), len(market.own) - LONGEST_GAP)
    if len(rows) < 4 * MIN_CUTS:
        raise DataError(
            f"{len(market.own):,} candles are too few for {MIN_CUTS} cuts behind {first:,} bars of past",
            remedy="Use at least a week of candles.",
        )
    minute = market.own.minute[rows]
    hour = minute // 60 % 24
    awkward = rows[((minute + 1) % 5 != 0) & (hour >= 6) & (hour < 18)]
    gaps = rows[market.filled[market.symbol][rows]]
    chosen: list[Ints] = []
    for count in (CUTS_STORED, CUTS_IN_GAPS):
        own_gaps = _draw(gaps, min(8, len(gaps)) if not chosen else 0, rng)
        hard = _draw(awkward, min(2 * count // 3, len(awkward)), rng)
        chosen += [own_gaps, hard, _draw(rows, count - len(own_gaps) - len(hard), rng)]
    return np.concatenate(chosen)


def _draw(rows: Ints, count: int, rng: np.random.Generator) -> Ints:
    return rng.choice(rows, count, replace=False)


def _with_gaps(
    series: Mapping[str, Candles], symbol: str, start: int, cut: int, rng: np.random.Generator
) -> dict[str, Candles]:
    """The raw window with rows removed: in the coin around the cut, in every series at four other places."""
    gapped = {}
    for name, one in series.items():
        gaps = []
        if name == symbol:
            before, after = (int(minutes) for minutes in rng.integers(1, LONGEST_GAP // 2, size=2))
            gaps.append((cut - before * MINUTE_US, cut + (after + 1) * MINUTE_US))
        for lo in rng.integers(start // MINUTE_US + 1, cut // MINUTE_US, size=4):
            length = int(rng.integers(1, LONGEST_GAP))
            gaps.append((int(lo) * MINUTE_US, (int(lo) + length) * MINUTE_US))
        gapped[name] = without(one, gaps)
    return gapped


def _differences(
    market: Market, pipeline: Pipeline, cut: int, expected: tuple[Values, Values], run: tuple[Values, Values]
) -> list[_Difference]:
    prices, features = run
    wrong_prices = prices != expected[0]
    away = np.abs(features - expected[1])
    both_unknown = np.isnan(features) & np.isnan(expected[1])
    wrong_features = ~((away <= TOLERANCE * np.maximum(market.scale, np.abs(expected[1]))) | both_unknown)
    found = []
    for names, wrong, before, after in (
        (CANDLE_NAMES, wrong_prices, expected[0], prices),
        (pipeline.names, wrong_features, expected[1], features),
    ):
        for column in np.flatnonzero(wrong.any(axis=0)):
            row = int(np.argmax(wrong[:, column]))
            found.append(
                _Difference(cut, names[column], float(before[row, column]), float(after[row, column]))
            )
    return found


def _result(name: str, cuts: int, differences: list[_Difference]) -> CheckResult:
    counted = Counter(item.name for item in differences)
    accused = tuple(item for item, _ in counted.most_common())
    if not differences:
        detail = f"{cuts} cuts, 0 differ"
    else:
        where = len({item.cut for item in differences})
        named = ", ".join(f"{item} ({counted[item]})" for item in accused[:6])
        more = f" and {len(accused) - 6} more" if len(accused) > 6 else ""
        detail = f"{where} of {cuts} cuts differ, in {named}{more}; first {differences[0]}"
    return CheckResult(
        name=name,
        passed=not differences,
        detail=detail,
        evidence={"cuts": cuts, "differ": {item: counted[item] for item in accused}},
        accused=accused,
    )
