"""Random access: any part of a market is the same bits as the same part of the whole."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.providers.synthetic.market import SyntheticMarket

FIRST = 25_246_080 + 10 * 1440
ROWS = 70 * 1440
"""More than two blocks of days."""


def make(name):
    return SyntheticMarket(name, 11, FIRST + ROWS // 2 if name == "drift" else None)


@lru_cache(maxsize=8)
def whole(name, symbol):
    source = make(name)
    return source.candles(symbol, FIRST, FIRST + ROWS - 1), source.oracle(symbol, FIRST, FIRST + ROWS - 1)[1]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["cycles", "null", "weak", "drift"]),
    st.sampled_from(["BTC-USD", "BNB-USD"]),
    st.integers(0, ROWS - 1),
    st.integers(1, 5000),
    st.booleans(),
)
def test_any_part_equals_the_same_part_of_the_whole(name, symbol, first, length, fresh):
    source = make(name) if fresh else shared(name)
    last = min(first + length, ROWS) - 1
    candles, oracle = whole(name, symbol)
    part = source.candles(symbol, FIRST + first, FIRST + last)
    for column, values in part.columns().items():
        assert np.array_equal(values, candles.columns()[column][first : last + 1]), column
    assert np.array_equal(source.oracle(symbol, FIRST + first, FIRST + last)[1], oracle[first : last + 1])


@lru_cache(maxsize=4)
def shared(name):
    return make(name)
