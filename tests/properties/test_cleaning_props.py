"""Cleaning is causal, counts whatever it does, and is done after one pass."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import clean

FAULTS = (
    "gap",
    "nan",
    "zero",
    "negative volume",
    "crossed",
    "spike",
    "flat",
    "no volume",
    "duplicate",
    "conflict",
)


@st.composite
def raw_candles(draw):
    """Some hours of minutes with any mixture of faults, sorted by time; the first row is sound."""
    minutes = draw(st.integers(30, 1500))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    close = 50.0 * np.exp(np.cumsum(generator.normal(0, 1e-3, minutes)))
    open_ = np.concatenate([[50.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.0005, np.minimum(open_, close) * 0.9995
    start = draw(st.integers(0, 2000))
    rows = Candles(
        (start + np.arange(minutes)) * MINUTE_US, open_, high, low, close, generator.lognormal(0, 1, minutes)
    )
    keep = np.ones(minutes, dtype=bool)
    repeats = np.ones(minutes, dtype=np.int64)
    conflicts = np.zeros(minutes, dtype=bool)
    for _ in range(draw(st.integers(0, 8))):
        fault = draw(st.sampled_from(FAULTS))
        first = draw(st.integers(1, minutes - 1))
        spoil(rows, keep, repeats, conflicts, fault, slice(first, first + draw(st.integers(1, 90))))
    index = np.repeat(np.arange(minutes)[keep], repeats[keep])
    result = rows[index]
    second = np.concatenate([[False], index[1:] == index[:-1]])
    result.close[second & conflicts[index]] *= 1.01
    return result


def spoil(rows, keep, repeats, conflicts, fault, where):
    if fault == "gap":
        keep[where] = False
    elif fault == "nan":
        rows.close[where] = np.nan
    elif fault == "zero":
        rows.low[where.start] = 0.0
    elif fault == "negative volume":
        rows.volume[where.start] = -1.0
    elif fault == "crossed":
        rows.high[where.start], rows.low[where.start] = rows.low[where.start], rows.high[where.start]
    elif fault == "spike":
        rows.high[where.start] *= 1.5
    elif fault == "flat":
        for column in (rows.open, rows.high, rows.low, rows.close):
            column[where] = rows.close[where.start - 1]
    elif fault == "no volume":
        rows.volume[where] = 0.0
    else:
        repeats[where.start] = 2
        conflicts[where.start] = fault == "conflict"


@settings(max_examples=150, deadline=None)
@given(raw_candles(), st.data())
def test_a_prefix_cleans_to_the_prefix(raw, data):
    """At any minute, also within a gap: what comes later changes nothing before it."""
    cleaned = clean(raw)
    cut = data.draw(st.integers(0, len(cleaned.candles) - 1))
    until = int(cleaned.candles.ts[cut])
    prefix = clean(raw[raw.ts <= until], until=until)
    assert len(prefix.candles) == cut + 1
    for name, column in prefix.candles.columns().items():
        assert np.array_equal(column, cleaned.candles.columns()[name][: cut + 1]), name
    assert np.array_equal(prefix.flags, cleaned.flags[: cut + 1])


@settings(max_examples=100, deadline=None)
@given(raw_candles())
def test_everything_is_accounted_for(raw):
    cleaned = clean(raw)
    report = cleaned.report
    assert report.accounted
    assert report.rows_in == len(raw)
    assert report.rows_out == len(cleaned.candles) == (raw.ts[-1] - raw.ts[0]) // MINUTE_US + 1
    candles = cleaned.candles
    assert np.all(np.diff(candles.ts) == MINUTE_US)
    assert np.all(candles.high >= np.maximum(candles.open, candles.close))
    assert np.all(candles.low <= np.minimum(candles.open, candles.close))
    assert np.all(candles.low > 0.0)
    assert np.all(candles.volume >= 0.0)
    untouched = ~np.isin(cleaned.flags & ~np.int32(256 + 512 + 1024 + 4 + 8), [0])
    kept = raw[np.unique(raw.ts, return_index=True)[1]]
    at = (kept.ts - candles.ts[0]) // MINUTE_US
    same = ~untouched[at]
    for name, column in candles.columns().items():
        assert np.array_equal(column[at][same], kept.columns()[name][same]), name


@settings(max_examples=60, deadline=None)
@given(raw_candles())
def test_cleaning_twice_repairs_nothing_more(raw):
    once = clean(raw)
    again = clean(once.candles)
    for name, column in again.candles.columns().items():
        assert np.array_equal(column, once.candles.columns()[name]), name
    assert again.report.ohlc_repaired == again.report.filled == again.report.volume_repaired == 0


@settings(max_examples=60, deadline=None)
@given(raw_candles(), st.integers(0, 2**32))
def test_the_order_of_distinct_minutes_does_not_matter(raw, seed):
    rows = raw[np.unique(raw.ts, return_index=True)[1]]
    shuffled = rows[np.random.default_rng(seed).permutation(len(rows))]
    first, second = clean(rows), clean(shuffled)
    for name, column in first.candles.columns().items():
        assert np.array_equal(column, second.candles.columns()[name]), name
    late = int(np.sum(shuffled.ts < np.maximum.accumulate(shuffled.ts)))
    assert second.report.out_of_order == late
