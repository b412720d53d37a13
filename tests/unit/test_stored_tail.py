"""Stored candles before live ones: real ones of the same source, and nothing else."""

from functools import partial

import numpy as np
import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.exchange.feed import continues
from tradingai.engine.providers.storing import store_cleaned
from tradingai.engine.runtime.stored_tail import StoredTail
from tradingai.engine.store.candle_files import DatasetIdentity

from tests.fakes.homes import new_home
from tests.fakes.random_candles import random_candles

BTC = "BTC-USD"
CANDLES = random_candles(500, seed=1)
HOLE = CANDLES[np.arange(500) != 200]


async def between(root, provider, after_us, until_us, **parameters):
    paths = new_home(root)
    identity = DatasetIdentity(provider, None, None, parameters)
    store_cleaned(paths, BTC, clean(HOLE), identity, SilentReporter(), RealClock(), 0.0)
    tail = StoredTail(paths, partial(continues, "binance"))
    return await tail.between(BTC, after_us, until_us)


@pytest.mark.parametrize(("provider", "exchange"), [("ccxt", "binance"), ("file", None)])
async def test_candles_of_the_same_source_without_what_cleaning_filled(tmp_path, provider, exchange):
    first, last = int(CANDLES.ts[100]), int(CANDLES.ts[300])
    found = await between(tmp_path / "home", provider, first, last, exchange=exchange)
    wanted = HOLE[(HOLE.ts > first) & (HOLE.ts <= last)]
    np.testing.assert_array_equal(found.ts, wanted.ts)
    np.testing.assert_array_equal(found.close, wanted.close)
    assert len(found) == 199


@pytest.mark.parametrize(
    ("provider", "exchange"), [("ccxt", "kraken"), ("synthetic", None), ("yfinance", None)]
)
async def test_candles_of_another_source_are_none(tmp_path, provider, exchange):
    """A peer that is not scanned itself may have them."""
    first, last = int(CANDLES.ts[0]), int(CANDLES.ts[-1])
    assert len(await between(tmp_path / "home", provider, first, last, exchange=exchange)) == 0


async def test_none_where_there_are_none(tmp_path):
    last = int(CANDLES.ts[-1])
    found = await between(tmp_path / "home", "ccxt", last, last + 9 * MINUTE_US, exchange="binance")
    assert len(found) == 0
    empty = StoredTail(new_home(tmp_path / "empty"), partial(continues, "binance"))
    assert len(await empty.between(BTC, 0, last)) == 0
