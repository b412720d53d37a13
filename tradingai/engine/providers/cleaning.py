"""Cleaning and validating raw candles: pure, causal, and nothing dropped or changed without being counted.

Rules, in order of application:

    out of order     rows are sorted by time; a row earlier than one before it is counted
    duplicates       rows of a minute after its first: dropped; counted as conflicting when a value differs
    non-finite       a NaN or infinite price: the bar is treated as missing
    non-positive     a price <= 0: the bar is treated as missing
    volume           a NaN, infinite or negative volume becomes 0
    invariants       high is raised and low lowered to hold open and close
    gaps             missing minutes are filled flat at the last close with zero volume
    outliers         a return far outside the trailing scale is flagged, never changed
    stale            the tenth and later bars of a run in which nothing moves are flagged
    zero volume      real bars without volume are flagged

Causal means: cleaning the rows up to a minute gives what cleaning all rows gives up to that minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.quality import QualityReport, Rule

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLEANING_VERSION: Final = 1
"""Part of every dataset's identity: a change of the rules below raises it."""
STALE_BARS: Final = 10
"""A run of this many unmoved bars is stale from its last on."""
OUTLIER_SCALES: Final = 25.0
"""A return is an outlier when it is this many robust standard deviations from the trailing median."""
SCALE_HOURS: Final = 24
"""The trailing scale is the median of this many complete hours' median absolute deviations."""
MIN_SCALE_HOURS: Final = 6
"""With fewer complete hours no bar is judged."""
SCALE_FLOOR: Final = 2e-5
"""Smallest robust standard deviation of a one-minute log return that is believed (0.2 bps)."""
_MAD_TO_SD: Final = 1.4826
"""Standard deviation of a normal over its median absolute deviation."""
_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Consecutive minutes, the :class:`Rule` bits of each (int32 [n]), and the report."""

    candles: Candles
    flags: npt.NDArray[np.int32]
    report: QualityReport


def clean(raw: Candles, *, until: int | None = None) -> Cleaned:
    """Clean raw one-minute candles of any order.

    The result runs from the first usable row to the last row, or to the minute ``until`` (open time,
    microseconds) when that is later: a live feed fills up to now. Raises DataError when no row is usable
    or when a time is not a whole minute.
    """
    rows, counts, row_flags = _one_row_a_minute(raw)
    usable = _usable(rows, counts, row_flags)
    if not usable.any():
        raise DataError(
            f"none of {len(raw)} rows has finite positive prices",
            remedy="Check that the price columns hold prices.",
        )
    first = int(np.argmax(usable))
    counts["leading_dropped"] = first
    rows, usable, row_flags = rows[first:], usable[first:], row_flags[first:]
    rows = _repaired(rows, usable, counts, row_flags)
    candles, filled, flags = _filled(rows, usable, row_flags, until)
    _count_gaps(filled, int(candles.minute[0]), counts)
    outliers = _outliers(candles, filled)
    unmoved = _unmoved(candles, filled)
    run = _run_length(unmoved)
    no_volume = ~filled & (candles.volume == 0.0)
    flat = (candles.high == candles.low) & no_volume
    for rule, where in (
        (Rule.FILLED, filled),
        (Rule.OUTLIER, outliers),
        (Rule.STALE, run >= STALE_BARS),
        (Rule.ZERO_VOLUME, no_volume),
    ):
        flags[where] |= int(rule)
    report = QualityReport(
        rows_in=len(raw),
        rows_out=len(candles),
        outliers=int(outliers.sum()),
        stale_runs=int((run == STALE_BARS).sum()),
        stale_bars=int((run >= STALE_BARS).sum()),
        zero_volume=int(no_volume.sum()),
        empty=int(filled.sum() + flat.sum()),
        **counts,
    )
    return Cleaned(candles, flags, report)


def _one_row_a_minute(raw: Candles) -> tuple[Candles, dict[str, Any], npt.NDArray[np.int32]]:
    """Rows sorted by time with the first of each minute kept, the counters so far, and the rows' flags."""
    if np.any(raw.ts % MINUTE_US):
        row = int(np.argmax(raw.ts % MINUTE_US != 0))
        raise DataError(
            f"row {row + 1} opens {int(raw.ts[row]) % MINUTE_US / 1e6:g} s after a whole minute",
            remedy="One-minute candles carry their open time: remove the seconds or resample the data.",
        )
    late = raw.ts < np.maximum.accumulate(raw.ts) if len(raw) else np.zeros(0, dtype=bool)
    flags = np.where(late, np.int32(Rule.OUT_OF_ORDER), np.int32(0))
    rows = raw
    if late.any():
        order = np.argsort(raw.ts, kind="stable")
        rows, flags = raw[order], flags[order]
    repeated = np.zeros(len(rows), dtype=bool)
    repeated[1:] = rows.ts[1:] == rows.ts[:-1]
    counts: dict[str, Any] = {
        "out_of_order": int(late.sum()),
        "duplicates": int(repeated.sum()),
        "conflicting_duplicates": 0,
    }
    if counts["duplicates"]:
        kept = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(rows))))
        conflict = repeated & differing(rows, rows[kept])
        counts["conflicting_duplicates"] = int(conflict.sum())
        np.bitwise_or.at(flags, kept[repeated], np.int32(Rule.DUPLICATE))
        np.bitwise_or.at(flags, kept[conflict], np.int32(Rule.CONFLICT))
        rows, flags = rows[~repeated], flags[~repeated]
    return rows, counts, flags


def differing(left: Candles, right: Candles) -> Bools:
    """Where two sets of rows disagree in any value; NaN agrees with NaN."""
    different = np.zeros(len(left), dtype=bool)
    for name, column in left.columns().items():
        other = right.columns()[name]
        different |= (column != other) & ~(np.isnan(column) & np.isnan(other))
    return different


def _usable(rows: Candles, counts: dict[str, Any], flags: npt.NDArray[np.int32]) -> Bools:
    """Where all four prices are finite and positive; the others are counted and flagged."""
    prices = (rows.open, rows.high, rows.low, rows.close)
    finite = np.isfinite(prices[0])
    positive = prices[0] > 0.0
    for price in prices[1:]:
        finite &= np.isfinite(price)
        positive &= price > 0.0
    flags[~finite] |= int(Rule.NON_FINITE)
    flags[finite & ~positive] |= int(Rule.NON_POSITIVE)
    counts["non_finite"] = int((~finite).sum())
    counts["non_positive"] = int((finite & ~positive).sum())
    return finite & positive


def _repaired(rows: Candles, usable: Bools, counts: dict[str, Any], flags: npt.NDArray[np.int32]) -> Candles:
    """Usable rows with a sane volume and with high and low that hold open and close."""
    bad_volume = usable & ~(np.isfinite(rows.volume) & (rows.volume >= 0.0))
    top, bottom = np.maximum(rows.open, rows.close), np.minimum(rows.open, rows.close)
    broken = usable & ((rows.high < top) | (rows.low > bottom))
    flags[bad_volume] |= int(Rule.VOLUME)
    flags[broken] |= int(Rule.OHLC)
    counts["volume_repaired"] = int(bad_volume.sum())
    counts["ohlc_repaired"] = int(broken.sum())
    if not (counts["volume_repaired"] or counts["ohlc_repaired"]):
        return rows
    return Candles(
        ts=rows.ts,
        open=rows.open,
        high=np.where(broken, np.maximum(rows.high, top), rows.high),
        low=np.where(broken, np.minimum(rows.low, bottom), rows.low),
        close=rows.close,
        volume=np.where(bad_volume, 0.0, rows.volume),
    )


def _filled(
    rows: Candles, usable: Bools, row_flags: npt.NDArray[np.int32], until: int | None
) -> tuple[Candles, Bools, npt.NDArray[np.int32]]:
    """Every minute from the first row on: (candles, where they were filled, flags)."""
    start = int(rows.ts[0])
    end = int(rows.ts[-1]) if until is None else max(int(rows.ts[-1]), until - until % MINUTE_US)
    count = (end - start) // MINUTE_US + 1
    if count == len(rows) and usable.all():
        return rows, np.zeros(count, dtype=bool), row_flags
    at = (rows.ts - start) // MINUTE_US
    flags = np.zeros(count, dtype=np.int32)
    flags[at] = row_flags
    filled = np.ones(count, dtype=bool)
    filled[at[usable]] = False
    source = np.zeros(count, dtype=np.int64)
    source[at[usable]] = np.flatnonzero(usable)
    source = np.maximum.accumulate(source)
    close = rows.close[source]

    def real(column: Floats, otherwise: Floats | float) -> Floats:
        return np.where(filled, otherwise, column[source])

    candles = Candles(
        ts=np.arange(start, end + 1, MINUTE_US, dtype=np.int64),
        open=real(rows.open, close),
        high=real(rows.high, close),
        low=real(rows.low, close),
        close=close,
        volume=real(rows.volume, 0.0),
    )
    return candles, filled, flags


def _count_gaps(filled: Bools, first_minute: int, counts: dict[str, Any]) -> None:
    run = _run_length(filled)
    counts["filled"] = int(filled.sum())
    counts["gaps"] = int((run == 1).sum())
    counts["longest_gap"] = int(run.max())
    if counts["longest_gap"]:
        last = int(np.argmax(run))
        counts["longest_gap_at"] = first_minute + last - counts["longest_gap"] + 1


def _run_length(where: Bools) -> Ints:
    """For each element the length of the run of True that ends there, 0 where False."""
    index = np.arange(1, len(where) + 1)
    return index - np.maximum.accumulate(np.where(where, 0, index))


def _unmoved(candles: Candles, filled: Bools) -> Bools:
    """Real bars in which the price stayed at the close before."""
    unmoved: Bools = ~filled & (candles.high == candles.low)
    unmoved[1:] &= candles.close[1:] == candles.close[:-1]
    unmoved[0] = False
    return unmoved


def _outliers(candles: Candles, filled: Bools) -> Bools:
    """Real bars that reach further from the close before than OUTLIER_SCALES trailing robust deviations.

    A bar after g filled minutes is granted sqrt(g + 1) times as much.
    """
    scale = _trailing_scale(candles, filled)
    before = np.concatenate([candles.open[:1], candles.close[:-1]])
    reach = np.maximum(np.log(candles.high / before), np.log(before / candles.low))
    steps = np.concatenate([[1], _run_length(filled)[:-1] + 1])
    outliers: Bools = ~filled & (reach > OUTLIER_SCALES * scale * np.sqrt(steps))
    return outliers


def _trailing_scale(candles: Candles, filled: Bools) -> Floats:
    """Robust standard deviation of one-minute returns before each bar's hour, [n]; NaN while unknown.

    Each complete UTC hour with at least half of its bars real gives 1.4826 times its median absolute
    deviation; the scale is the median over the last SCALE_HOURS such hours before the bar's own.
    """
    minutes = candles.minute
    hours = minutes // _HOUR - minutes[0] // _HOUR
    scale = np.full(int(hours[-1]) + 1, np.nan)
    lead = int(-minutes[0] % _HOUR)
    complete = (len(minutes) - lead) // _HOUR
    if complete >= 1:
        rows = slice(lead, lead + complete * _HOUR)
        returns = np.diff(np.log(candles.close), prepend=np.log(candles.open[0]))[rows].reshape(
            complete, _HOUR
        )
        real = (~filled[rows].reshape(complete, _HOUR)).sum(axis=1) >= _HOUR // 2
        deviation = np.abs(returns - np.median(returns, axis=1, keepdims=True))
        hourly = np.maximum(_MAD_TO_SD * np.median(deviation, axis=1), SCALE_FLOOR)[real]
        trailing = _trailing_median(hourly)
        known = np.cumsum(real)
        first_hour = int(hours[lead])
        following = slice(first_hour + 1, min(first_hour + 1 + complete, len(scale)))
        scale[following] = trailing[known][: following.stop - following.start]
    result: Floats = scale[hours]
    return result


def _trailing_median(values: Floats) -> Floats:
    """Element k: median of the last SCALE_HOURS of the first k values, [n + 1]; NaN below MIN_SCALE_HOURS."""
    result = np.full(len(values) + 1, np.nan)
    for count in range(MIN_SCALE_HOURS, min(SCALE_HOURS, len(values) + 1)):
        result[count] = np.median(values[:count])
    if len(values) >= SCALE_HOURS:
        windows = np.lib.stride_tricks.sliding_window_view(values, SCALE_HOURS)
        result[SCALE_HOURS:] = np.median(windows, axis=1)
    return result
