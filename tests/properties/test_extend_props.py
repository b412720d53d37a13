"""Cleaning in parts, as fetches come, gives what cleaning everything at once gives."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import Candles
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.extend import clean_with_stored
from tradingai.engine.store.candle_files import Flags

from tests.fakes.random_candles import random_candles

ROWS = 400


def flawed(seed: int) -> Candles:
    """Holes, doubles (some that disagree) and values of every kind that cleaning knows."""
    rng = np.random.default_rng(seed)
    candles = random_candles(ROWS, seed=seed)
    rows = np.sort(rng.choice(ROWS, ROWS - 60, replace=False))
    rows = np.sort(np.concatenate([rows, rng.choice(rows, 20)]))
    columns = {name: column[rows].copy() for name, column in candles.columns().items()}
    for name in ("open", "high", "low", "close", "volume"):
        for value in (np.nan, np.inf, -1.0, 0.0, 500.0):
            columns[name][rng.integers(0, len(rows), 2)] = value
    still = rng.integers(20, len(rows) - 40)
    for name in ("open", "high", "low", "close"):
        columns[name][still : still + 15] = columns["close"][still]
    return Candles(**columns)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, ROWS - 1), min_size=1, max_size=4, unique=True),
    st.booleans(),
)
def test_parts_give_the_whole(seed, cuts, head_last):
    raw = flawed(seed)
    whole = clean(raw)
    first = int(raw.ts[0])
    edges = [first, *(first + 60_000_000 * cut for cut in sorted(cuts)), int(raw.ts[-1]) + 1]
    parts = [raw[(raw.ts >= start) & (raw.ts < stop)] for start, stop in itertools.pairwise(edges)]
    order = [*range(1, len(parts)), 0] if head_last else range(len(parts))
    done = None
    waiting: list[Candles] = []
    for index in order:
        waiting.append(parts[index])
        new = Candles.concatenate(sorted(waiting, key=lambda part: part.ts[0] if len(part) else 0))
        if done is None:
            usable = np.isfinite(new.close) & (new.close > 0) & np.isfinite(new.open) & (new.open > 0)
            usable &= np.isfinite(new.high) & (new.high > 0) & np.isfinite(new.low) & (new.low > 0)
            if not usable.any() or (head_last and not usable[0]):
                continue
            done = clean(new)
        else:
            flagged = np.flatnonzero(done.flags)
            flags = Flags(done.candles.ts[flagged], done.flags[flagged])
            done = clean_with_stored(done.candles, flags, done.report, new)
        waiting = []
    if done is None or waiting:
        return
    for name, column in whole.candles.columns().items():
        np.testing.assert_array_equal(done.candles.columns()[name], column, err_msg=name)
    np.testing.assert_array_equal(done.flags, whole.flags)
    assert done.report == whole.report
    assert done.report.accounted
