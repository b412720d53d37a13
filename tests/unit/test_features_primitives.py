import numpy as np
import pytest
from tradingai.engine.features import primitives
from tradingai.engine.features.window import Bars, Window

from tests.fakes.random_candles import random_candles


def bars_of(close: list[float], volume: list[float] | None = None) -> Bars:
    values = np.array(close, dtype=np.float64)
    return Bars(values, values, values, values, np.array(volume or close, dtype=np.float64))


def test_lagged_change_is_zero_until_there_is_a_past():
    assert primitives.lagged_change(np.array([1.0, 4.0, 9.0, 16.0]), 2).tolist() == [0, 0, 8, 12]
    assert primitives.lagged_change(np.array([1.0, 4.0]), 5).tolist() == [0, 0]


def test_shifted_repeats_the_first_value():
    assert primitives.shifted(np.array([1.0, 4.0, 9.0]), 1).tolist() == [1, 1, 4]
    assert primitives.shifted(np.array([1.0, 4.0]), 3).tolist() == [1, 1]


def test_ratio_takes_the_given_value_where_the_denominator_is_zero():
    assert primitives.ratio(np.array([6.0, 5.0, 0.0]), np.array([3.0, 0.0, 0.0]), 0.5).tolist() == [
        2,
        0.5,
        0.5,
    ]


def test_smoothing_starts_at_the_first_value():
    # 10, 10 + (14-10)/2 = 12, 12 + (4-12)/2 = 8
    assert primitives.smoothed(np.array([10.0, 14.0, 4.0]), 0.5).tolist() == [10, 12, 8]
    assert primitives.smoothed(np.zeros(0), 0.5).size == 0


def test_rank_counts_lower_values_and_half_of_equal_ones():
    values = np.array([3.0, 9.0, 1.0, 9.0, 3.0, 9.0, 3.0])
    # row 6 (3) against rows 4, 2, 0 (3, 1, 3): one lower, two equal: (1 + 2/2) / 3
    assert primitives.trailing_rank(values, 2, 3)[6] == pytest.approx(2 / 3)
    # a difference below the tolerance is a tie: the last bit of a sum decides no flag
    assert primitives.trailing_rank(np.array([1.0, 1.0 + 1e-12]), 1, 1)[1] == 0.5


def test_expanded_holds_a_bar_from_its_last_minute_on():
    # bars of 3 rows, the first from row 1 to 3: known at row 3, replaced at row 6
    expanded = primitives.expanded(np.array([5.0, 7.0]), 3, 1, 9)
    assert expanded.tolist() == [0, 0, 0, 5, 5, 5, 7, 7, 7]
    assert primitives.expanded(np.array([5.0]), 3, 0, 4).tolist() == [0, 0, 5, 5]
    assert primitives.expanded(np.zeros(0), 240, 100, 50).tolist() == [0] * 50


@pytest.mark.parametrize("length", [1, 2, 3, 7, 20, 21, 60, 240])
def test_rolling_values_are_those_of_the_slice(length):
    close = random_candles(600, seed=3).close
    bars = bars_of(close.tolist())
    for row in (length - 1, 300, 599):
        window = close[row - length + 1 : row + 1]
        assert bars.rolling_sum("close", length)[row] == pytest.approx(window.sum(), rel=1e-14)
        assert bars.rolling_mean("close", length)[row] == pytest.approx(window.mean(), rel=1e-14)
        assert bars.rolling_std("close", length)[row] == pytest.approx(window.std(), rel=1e-12)
        assert bars.rolling_max("close", length)[row] == window.max()
        assert bars.rolling_min("close", length)[row] == window.min()


def test_deviation_by_hand():
    # 1, 2, 3, 4, 5: mean 3, squared deviations 4+1+0+1+4 = 10, over 5 = 2
    assert bars_of([1, 2, 3, 4, 5]).rolling_std("close", 5)[4] == pytest.approx(np.sqrt(2.0))


def test_deviation_of_equal_values_is_exactly_zero_after_a_wild_past():
    bars = bars_of([1e-3, 9e8, 77.7] + [0.1 + 0.2] * 30)
    assert bars.rolling_std("close", 20)[-1] == 0.0


def test_deviation_survives_a_large_mean():
    # 1e9, 1e9 + 1 …: squares of the values would lose every digit of the variance 1.25
    assert bars_of([1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]).rolling_std("close", 4)[3] == pytest.approx(
        np.sqrt(1.25)
    )


@pytest.mark.parametrize("start", [1, 17, 333])
def test_rolling_values_do_not_depend_on_where_the_array_starts(start):
    candles = random_candles(900, seed=4)
    whole = Window(candles, {})
    part = Window(candles[start:], {})
    for method, length in (
        ("rolling_sum", 60),
        ("rolling_std", 50),
        ("rolling_max", 240),
        ("rolling_mean", 21),
    ):
        full = getattr(whole, method)("close", length)[start + length :]
        assert np.array_equal(getattr(part, method)("close", length)[length:], full)


def test_true_range_takes_the_gap_to_the_previous_close():
    open_, high = np.array([10.0, 20.0, 9.0]), np.array([12.0, 22.0, 10.0])
    low, close = np.array([9.0, 19.0, 8.0]), np.array([11.0, 21.0, 9.0])
    bars = Bars(open_, high, low, close, np.ones(3))
    # row 0: 12 - 9; row 1: 22 - previous close 11; row 2: previous close 21 - 8
    assert bars.series("true_range").tolist() == [3, 11, 13]


def test_gain_and_loss_split_a_change():
    bars = bars_of([10, 12, 9, 9])
    assert bars.series("gain").tolist() == [0, 2, 0, 0]
    assert bars.series("loss").tolist() == [0, 0, 3, 0]


def test_resampling_keeps_complete_bars_on_utc_boundaries_only():
    candles = random_candles(23, start_minute=26_297_280 + 3)
    bars = Window(candles, {}).timeframe(5)
    # rows 2-6, 7-11, 12-16, 17-21 are whole 5-minute bars; rows 0-1 and 22 belong to bars the window cuts
    assert len(bars) == 4
    assert bars.open.tolist() == candles.open[[2, 7, 12, 17]].tolist()
    assert bars.close.tolist() == candles.close[[6, 11, 16, 21]].tolist()
    assert bars.high[1] == candles.high[7:12].max()
    assert bars.low[1] == candles.low[7:12].min()
    assert bars.volume[3] == pytest.approx(candles.volume[17:22].sum())


def test_a_window_shorter_than_a_slow_bar_has_none():
    window = Window(random_candles(100), {})
    assert len(window.timeframe(240)) == 0
    assert window.expand(window.timeframe(240).series("log_return"), 240).tolist() == [0.0] * 100


def test_each_thing_is_computed_once():
    calls = []
    bars = bars_of([1, 2, 3])
    for _ in range(3):
        bars.memo("key", lambda: calls.append(1))
    assert calls == [1]
    assert bars.rolling_sum("close", 2) is bars.rolling_sum("close", 2)


def test_memoised_series_are_not_changed_by_what_is_computed_from_them():
    bars = Window(random_candles(400, seed=5), {})
    close = bars.close.copy()
    first = bars.rolling_sum("close", 20).copy()
    for length in (1, 2, 20, 21, 60):
        bars.rolling_sum("close", length)
        bars.rolling_std("close", length)
        bars.rolling_max("close", length)
    assert np.array_equal(bars.close, close)
    assert np.array_equal(bars.rolling_sum("close", 20), first)
