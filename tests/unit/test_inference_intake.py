"""Raw candles as they arrive: cleaned piece by piece as if all had come at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import DataError
from tradingai.engine.inference.intake import CoinIntake
from tradingai.engine.inference.window import CandleWindow
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.store.candle_files import values_sha256

MINUTE = 60_000_000
FIRST = 1_762_736_400_000_000
LATER = FIRST + 10_000 * MINUTE


def rows(*minutes, **columns):
    """Candles of these minutes, one point up a minute; single columns may be given."""
    at = np.array(minutes, dtype=np.int64)
    base = 100.0 + at
    values = {"open": base, "high": base + 2, "low": base - 2, "close": base + 1, "volume": base, **columns}
    return Candles(FIRST + at * MINUTE, *(np.array(values[name], dtype=float) for name in values))


def window_of(intake):
    last = intake.window.last_us
    return intake.window.until(last, len(intake.window)) if last is not None else rows()


@st.composite
def deliveries(draw):
    """Raw rows with holes, spoilt numbers and repeats, and where they are cut into deliveries."""
    minutes = sorted(draw(st.sets(st.integers(0, 60), min_size=3, max_size=40)))
    spoilt = draw(st.lists(st.sampled_from(["", "nan", "zero", "high", "volume"]), min_size=61, max_size=61))
    raw = rows(*minutes)
    for row, minute in enumerate(minutes):
        kind = spoilt[minute] if minute > minutes[0] else ""
        if kind in {"nan", "zero"}:
            raw.close[row] = np.nan if kind == "nan" else 0.0
        elif kind == "high":
            raw.high[row] = raw.low[row]
        elif kind == "volume":
            raw.volume[row] = -1.0
    cuts = sorted(draw(st.sets(st.integers(1, len(minutes) - 1), max_size=6)))
    pieces = [raw[lo:hi] for lo, hi in zip([0, *cuts], [*cuts, len(minutes)], strict=True)]
    return raw, [draw(shuffled(piece)) for piece in pieces]


@st.composite
def shuffled(draw, piece):
    """The rows in any order, some of them twice."""
    order = draw(st.permutations(range(len(piece))))
    again = draw(st.lists(st.sampled_from(range(len(piece))), max_size=2))
    return piece[np.array([*order, *again], dtype=np.int64)]


@settings(max_examples=100, deadline=None)
@given(deliveries())
def test_whatever_the_pieces_the_window_is_what_cleaning_everything_gives(given_rows):
    raw, pieces = given_rows
    intake = CoinIntake(100)
    real = 0
    for piece in pieces:
        arrived = intake.take(piece, LATER)
        real += len(arrived.real)
        assert arrived.sha256 == values_sha256(arrived.raw)
    whole = clean(raw)
    filled = (whole.flags & 1) > 0
    newest = int(np.flatnonzero(~filled)[-1])
    expected, got = whole.candles[: newest + 1], window_of(intake)
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(got.columns()[name], column, err_msg=name)
    assert real == int((~filled).sum())


def test_a_candle_that_is_not_closed_yet_is_left_for_later():
    intake = CoinIntake(10)
    at = FIRST + 3 * MINUTE - 1
    assert intake.take(rows(0, 1, 2), at).raw.ts.tolist() == [FIRST, FIRST + MINUTE]
    assert intake.take(rows(0, 1, 2), at + 1).raw.ts.tolist() == [FIRST + 2 * MINUTE]


def test_a_gap_is_filled_once_a_later_candle_arrives_and_is_no_candle():
    intake = CoinIntake(10)
    intake.take(rows(0), LATER)
    arrived = intake.take(rows(3), LATER)
    assert arrived.cleaned.close.tolist() == [101.0, 101.0, 104.0]
    assert arrived.cleaned.volume.tolist() == [0.0, 0.0, 103.0]
    assert arrived.real.tolist() == [2]
    assert arrived.detail == "2 minutes filled flat"
    assert arrived.raw.ts.tolist() == [FIRST + 3 * MINUTE]


def test_a_candle_that_comes_after_its_minute_was_passed_over_is_told_and_not_used():
    intake = CoinIntake(10)
    intake.take(rows(0, 2), LATER)
    before = window_of(intake).close.copy()
    arrived = intake.take(rows(1), LATER)
    assert arrived.detail == "1 came after their minute was passed over"
    assert (len(arrived.raw), len(arrived.cleaned)) == (0, 0)
    np.testing.assert_array_equal(window_of(intake).close, before)
    assert intake.take(rows(0, 2), LATER).detail == ""


def test_what_was_wrong_is_told_in_words():
    intake = CoinIntake(10)
    intake.take(rows(0), LATER)
    broken = rows(
        1, 2, 3, high=[100.0, 104.0, 105.0], close=[102.0, np.nan, 104.0], volume=[1.0, 1.0, np.inf]
    )
    assert intake.take(broken, LATER).detail == (
        "1 minutes filled flat; 1 without a number; 1 with high or low inside the body, repaired; "
        "1 with a volume that is none, set to 0"
    )


def test_nothing_usable_leaves_the_window_as_it_is():
    intake = CoinIntake(10)
    assert len(intake.take(rows(0, close=[np.nan]), LATER).cleaned) == 0
    intake.take(rows(1), LATER)
    arrived = intake.take(rows(2, close=[np.nan]), LATER)
    assert (len(arrived.cleaned), len(arrived.raw), intake.window.last_us) == (0, 1, FIRST + MINUTE)


def test_times_within_a_minute_are_refused():
    with pytest.raises(DataError, match="after a whole minute"):
        CoinIntake(10).take(Candles(rows(0).ts + 1, *(np.ones(1) for _ in range(5))), LATER)


# ----------------------------------------------------------------------------------------- the window


def test_a_window_keeps_at_least_what_it_is_told_to_and_gives_back_any_tail():
    window = CandleWindow(7)
    assert (window.first_us, window.last_us, len(window.until(LATER, 3))) == (None, None, 0)
    for lo in range(0, 100, 3):
        window.append(rows(*range(lo, lo + 3)))
        last = FIRST + (lo + 2) * MINUTE
        assert window.last_us == last
        assert len(window) >= min(7, lo + 3)
        for count in (1, 2, 7):
            held = window.until(last, count)
            assert held.ts.tolist() == [last - back * MINUTE for back in reversed(range(min(count, lo + 3)))]
            np.testing.assert_array_equal(held.close, 101.0 + (held.ts - FIRST) / MINUTE)
    assert window.until(last - MINUTE, 2).ts.tolist() == [last - 2 * MINUTE, last - MINUTE]
    assert len(window.until(window.first_us - MINUTE, 5)) == 0


def test_a_window_takes_more_at_once_than_it_keeps():
    window = CandleWindow(3)
    window.append(rows(0))
    window.append(rows(*range(1, 50)))
    assert window.until(window.last_us, 50).ts[0] <= FIRST + 47 * MINUTE
    assert len(window.until(window.last_us, 3)) == 3


def test_a_window_refuses_what_does_not_follow():
    window = CandleWindow(5)
    window.append(rows(0, 1))
    for wrong in (rows(3), rows(1), rows(2, 4)):
        with pytest.raises(ValueError, match="do not follow"):
            window.append(wrong)
