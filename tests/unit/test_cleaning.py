"""Every cleaning rule with its counter, on faults planted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import OUTLIER_SCALES, STALE_BARS, clean
from tradingai.engine.providers.quality import QualityReport, Rule

NAN = float("nan")


def bars(*rows):
    """Raw candles from (minute, open, high, low, close, volume)."""
    columns = np.array(rows, dtype=float).reshape(-1, 6).T
    return Candles((columns[0] * MINUTE_US).astype(np.int64), *columns[1:])


def quiet(minutes, start=0, price=100.0):
    """Valid bars that move by a basis point up and down."""
    close = price * (1.0 + 1e-4 * (np.arange(minutes) % 2))
    open_ = np.concatenate([[price], close[:-1]])
    ts = (start + np.arange(minutes, dtype=np.int64)) * MINUTE_US
    return Candles(
        ts, open_, np.maximum(open_, close), np.minimum(open_, close), close, np.full(minutes, 5.0)
    )


def changed(candles, row, **values):
    columns = {name: column.copy() for name, column in candles.columns().items()}
    for name, value in values.items():
        columns[name][row] = value
    return Candles(**columns)


def counters(report):
    """The counters that are not zero, without row numbers."""
    return {k: v for k, v in report.as_json().items() if v and k not in {"rows_in", "rows_out"}}


def test_clean_candles_pass_unchanged():
    raw = quiet(200)
    cleaned = clean(raw)
    for name, column in cleaned.candles.columns().items():
        assert np.array_equal(column, raw.columns()[name])
    assert counters(cleaned.report) == {}
    assert not cleaned.flags.any()
    assert (cleaned.report.rows_in, cleaned.report.rows_out) == (200, 200)


def test_rows_out_of_order_are_sorted_and_counted():
    cleaned = clean(bars((0, 1, 1, 1, 1, 1), (2, 3, 3, 3, 3, 1), (1, 2, 2, 2, 2, 1), (3, 4, 4, 4, 4, 1)))
    assert cleaned.candles.close.tolist() == [1, 2, 3, 4]
    assert counters(cleaned.report) == {"out_of_order": 1}
    assert cleaned.flags.tolist() == [0, Rule.OUT_OF_ORDER, 0, 0]


def test_identical_duplicates_are_dropped_and_counted():
    cleaned = clean(bars((0, 1, 1, 1, 1, 1), (1, 2, 2, 2, 2, 1), (1, 2, 2, 2, 2, 1), (1, 2, 2, 2, 2, 1)))
    assert cleaned.candles.close.tolist() == [1, 2]
    assert counters(cleaned.report) == {"duplicates": 2}
    assert cleaned.flags.tolist() == [0, Rule.DUPLICATE]


def test_of_conflicting_duplicates_the_first_is_kept_and_the_conflict_counted():
    cleaned = clean(bars((0, 1, 1, 1, 1, 1), (1, 2, 2, 2, 2, 1), (1, 2, 2, 2, 2, 9), (1, 2, 2, 2, 2, 1)))
    assert cleaned.candles.volume.tolist() == [1, 1]
    assert counters(cleaned.report) == {"duplicates": 2, "conflicting_duplicates": 1}
    assert cleaned.flags.tolist() == [0, Rule.DUPLICATE | Rule.CONFLICT]


def test_duplicates_that_agree_in_nan_agree():
    cleaned = clean(bars((0, 1, 1, 1, 1, 1), (1, NAN, 2, 2, 2, 1), (1, NAN, 2, 2, 2, 1)))
    assert cleaned.report.conflicting_duplicates == 0


def test_gaps_are_filled_flat_without_volume_and_flagged():
    cleaned = clean(bars((0, 1, 3, 1, 2, 7), (3, 5, 6, 4, 5, 7), (5, 5, 6, 4, 5, 7)))
    assert cleaned.candles.ts.tolist() == [MINUTE_US * minute for minute in range(6)]
    for column in (cleaned.candles.open, cleaned.candles.high, cleaned.candles.low, cleaned.candles.close):
        assert column[[1, 2]].tolist() == [2, 2]
    assert cleaned.candles.volume.tolist() == [7, 0, 0, 7, 0, 7]
    assert cleaned.flags.tolist() == [0, Rule.FILLED, Rule.FILLED, 0, Rule.FILLED, 0]
    report = cleaned.report
    assert (report.gaps, report.filled, report.longest_gap, report.longest_gap_at) == (2, 3, 2, 1)
    assert report.share_filled == 0.5
    assert report.empty == 3
    assert report.zero_volume == 0


def test_a_non_finite_price_makes_its_minute_a_gap():
    for value in (NAN, float("inf"), -float("inf")):
        for name in ("open", "high", "low", "close"):
            cleaned = clean(changed(quiet(5), 2, **{name: value}))
            assert cleaned.candles.close[2] == cleaned.candles.close[1]
            assert cleaned.flags[2] == Rule.FILLED | Rule.NON_FINITE
            assert (cleaned.report.non_finite, cleaned.report.filled) == (1, 1)


def test_a_price_that_is_not_positive_makes_its_minute_a_gap():
    for value in (0.0, -5.0):
        cleaned = clean(changed(quiet(5), 2, low=value))
        assert cleaned.candles.low[2] == cleaned.candles.close[1]
        assert cleaned.flags[2] == Rule.FILLED | Rule.NON_POSITIVE
        assert (cleaned.report.non_positive, cleaned.report.filled) == (1, 1)


def test_an_impossible_volume_becomes_zero_and_is_counted():
    for value in (NAN, -1.0, float("inf")):
        cleaned = clean(changed(quiet(5), 2, volume=value))
        assert cleaned.candles.volume[2] == 0.0
        assert cleaned.flags[2] == Rule.VOLUME | Rule.ZERO_VOLUME
        assert counters(cleaned.report) == {"volume_repaired": 1, "zero_volume": 1}


def test_high_and_low_are_widened_to_hold_open_and_close():
    cleaned = clean(bars((0, 10, 9, 8, 9, 1), (1, 10, 12, 11, 11, 1), (2, 10, 8, 12, 11, 1)))
    assert cleaned.candles.high.tolist() == [10, 12, 11]
    assert cleaned.candles.low.tolist() == [8, 10, 10]
    assert cleaned.report.ohlc_repaired == 3
    assert cleaned.flags.tolist() == [Rule.OHLC] * 3


def test_unusable_rows_at_the_start_are_dropped_and_counted():
    cleaned = clean(bars((0, NAN, 1, 1, 1, 1), (1, 0, 1, 1, 1, 1), (2, 2, 2, 2, 2, 1), (3, 2, 2, 2, 2, 1)))
    assert cleaned.candles.ts.tolist() == [2 * MINUTE_US, 3 * MINUTE_US]
    assert cleaned.report.leading_dropped == 2
    assert cleaned.report.accounted


def test_a_live_tail_is_filled_up_to_now():
    cleaned = clean(quiet(3), until=5 * MINUTE_US + 17)
    assert cleaned.candles.ts[-1] == 5 * MINUTE_US
    assert cleaned.flags.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_run_without_movement_is_stale_from_its_tenth_bar():
    flat = bars(*[(minute, 100, 100, 100, 100, 3) for minute in range(1, 13)])
    moving = quiet(20, start=13, price=101.0)
    cleaned = clean(Candles.concatenate([bars((0, 99, 101, 99, 100, 3)), flat, moving]))
    assert np.flatnonzero(cleaned.flags & Rule.STALE).tolist() == [STALE_BARS, 11, 12]
    assert (cleaned.report.stale_runs, cleaned.report.stale_bars) == (1, 3)


def test_filled_minutes_do_not_count_as_stale():
    cleaned = clean(bars((0, 100, 101, 99, 100, 3), (30, 100, 101, 99, 100, 3)))
    assert cleaned.report.stale_bars == 0


def test_bars_without_volume_are_counted():
    cleaned = clean(changed(quiet(5), [1, 3], volume=0.0))
    assert counters(cleaned.report) == {"zero_volume": 2}
    assert np.flatnonzero(cleaned.flags == Rule.ZERO_VOLUME).tolist() == [1, 3]


def test_a_spike_is_flagged_and_left_alone():
    generator = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0, 1e-3, 24 * 60)))
    raw = Candles(
        np.arange(24 * 60) * MINUTE_US, close, close.copy(), close.copy(), close.copy(), np.ones(24 * 60)
    )
    spiked = changed(raw, 1000, high=close[1000] * 1.2)
    assert clean(raw).report.outliers == 0
    cleaned = clean(spiked)
    assert np.flatnonzero(cleaned.flags & Rule.OUTLIER).tolist() == [1000]
    assert cleaned.report.outliers == 1
    assert cleaned.candles.high[1000] == spiked.high[1000]


def test_the_outlier_limit_is_trailing_robust_deviations():
    """A third each of 1e-3, -1e-3 and 0: the median is 0 and the median absolute deviation 1e-3."""
    pattern = np.tile([1e-3, -1e-3, 0.0], 400)
    close = 100.0 * np.exp(np.cumsum(pattern))
    raw = Candles(np.arange(1200) * MINUTE_US, close, close.copy(), close.copy(), close.copy(), np.ones(1200))
    limit = OUTLIER_SCALES * 1.4826 * 1e-3
    for factor, count in ((0.999, 0), (1.001, 1)):
        assert clean(changed(raw, 1100, high=close[1099] * np.exp(factor * limit))).report.outliers == count


def test_no_bar_is_judged_before_six_complete_hours():
    raw = changed(quiet(1000), 300, high=1e6)
    assert clean(raw).report.outliers == 0
    assert clean(changed(quiet(1000), 360, high=1e6)).report.outliers == 1


def test_a_move_across_a_gap_is_granted_the_root_of_its_length():
    """Two times the limit of one minute is the limit of four, and this gap has three missing minutes."""
    base = quiet(1000)
    after = np.exp(OUTLIER_SCALES * 1.4826e-4 * 1.9)
    jumped = changed(base, slice(603, None), **{
        name: getattr(base, name)[603:] * after for name in ("open", "high", "low", "close")
    })  # fmt: skip
    with_gap = jumped[np.r_[0:600, 603:1000]]
    assert clean(jumped).report.outliers == 1
    assert clean(with_gap).report.outliers == 0


def test_times_within_a_minute_are_refused():
    raw = quiet(5)
    raw.ts[3] += 1_500_000
    with pytest.raises(DataError, match=r"row 4 opens 1\.5 s after a whole minute"):
        clean(raw)


def test_nothing_usable_is_refused():
    with pytest.raises(DataError, match="none of 2 rows"):
        clean(bars((0, NAN, 1, 1, 1, 1), (1, 0, 1, 1, 1, 1)))
    with pytest.raises(DataError, match="none of 0 rows"):
        clean(bars())


def test_the_report_survives_its_json():
    report = clean(bars((0, 1, 3, 1, 2, 7), (3, 5, 6, 4, 5, 7))).report
    assert QualityReport.from_json(report.as_json()) == report
