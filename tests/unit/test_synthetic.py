"""The synthetic markets: what is planted is there, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tradingai.engine.core.candles import PRICE_COLUMNS
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US, PIPELINE_SYMBOLS
from tradingai.engine.providers.synthetic.coins import GENERATOR_VERSION, SYNTHETIC_SYMBOLS
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import values_sha256

END = 29_378_947
"""2025-11-10T01:07Z, the last minute of the workloads."""
QUICK = 120 * 1440
START = END - QUICK + 1
EARLY = 25_246_080 + 20 * 1440
"""Three weeks after the origin: the ``weak`` market sums its momentum from there."""


def market(name="cycles", seed=1):
    return SyntheticMarket(name, seed, START + int(0.85 * QUICK) if name == "drift" else None)


def forward(close):
    """Log return over the label's horizon, for all rows that have one."""
    log = np.log(close)
    return log[HORIZON_MINUTES:] - log[:-HORIZON_MINUTES]


def oracle_accuracy(source, symbol, start=START, end=END):
    returns = forward(source.candles(symbol, start, end).close)
    _, expected = source.oracle(symbol, start, end)
    expected = expected[:-HORIZON_MINUTES]
    return float(np.where(expected == 0.0, 0.5, np.sign(expected) == np.sign(returns)).mean())


def test_the_pipeline_coins_exist():
    assert set(PIPELINE_SYMBOLS) <= set(SYNTHETIC_SYMBOLS)


@pytest.mark.parametrize("name", ["cycles", "null", "weak", "drift"])
def test_bars_are_valid_and_consecutive(name):
    start = EARLY if name == "weak" else START
    candles = market(name).candles("ETH-USD", start, start + 20_000)
    assert np.array_equal(candles.ts, np.arange(start, start + 20_001) * MINUTE_US)
    assert np.all(candles.high >= np.maximum(candles.open, candles.close))
    assert np.all(candles.low <= np.minimum(candles.open, candles.close))
    assert np.all(candles.low > 0.0)
    assert np.all(candles.volume > 0.0)
    assert np.array_equal(candles.open[1:], candles.close[:-1])
    assert np.mean(candles.high > np.maximum(candles.open, candles.close)) > 0.9


def test_another_process_makes_the_same_bits():
    code = (
        "from tradingai.engine.providers.synthetic.market import SyntheticMarket as M\n"
        "from tradingai.engine.store.candle_files import values_sha256 as h\n"
        f"print(h(M('cycles', 5).candles('BNB-USD', {START}, {START + 3000})))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == values_sha256(market("cycles", 5).candles("BNB-USD", START, START + 3000))


VERSION_1 = [
    14471.292838522344,
    14475.748070280444,
    14462.094469318155,
    14472.332940110902,
    15.874820077961939,
]
"""Open, high, low, close, volume of BTC-USD at END in the market (cycles, 1)."""


def test_values_of_generator_version_1():
    """A change of formula or constant must come with a new version: stored datasets are identified by it."""
    assert GENERATOR_VERSION == 1
    candles = market("cycles", 1).candles("BTC-USD", END, END)
    found = [float(getattr(candles, name)[0]) for name in PRICE_COLUMNS]
    assert found == pytest.approx(VERSION_1, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("cycles", 1), ("cycles", 2)), (("cycles", 1), ("null", 1)), (("null", 1), ("weak", 1))],
)
def test_seeds_and_markets_are_independent(first, second):
    one, other = (
        np.diff(np.log(market(*key).candles("BTC-USD", EARLY, EARLY + 14_400).close))
        for key in (first, second)
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 4.0 / np.sqrt(len(one))


@pytest.mark.parametrize("symbol", PIPELINE_SYMBOLS)
def test_cycles_oracle_is_in_its_band(symbol):
    """78 to 80 % at full length; 120 days hold 11,520 horizons, so a point is 2.6 standard errors."""
    assert 0.77 < oracle_accuracy(market("cycles", 2), symbol) < 0.81


def test_weak_oracle_is_in_its_band():
    assert 0.54 < oracle_accuracy(market("weak", 1), "BTC-USD", EARLY, EARLY + QUICK) < 0.57


def test_null_oracle_knows_nothing():
    assert not market("null").oracle("BTC-USD", START, END)[1].any()


def test_drift_is_cycles_until_its_time_and_nothing_after():
    drift = market("drift", 3)
    cycles = market("cycles", 3)
    assert drift.drift_at is not None
    before, after = drift.drift_at - 3000, drift.drift_at + 3000
    known, other = drift.candles("ETH-USD", before, after), cycles.candles("ETH-USD", before, after)
    assert np.array_equal(known.close[:3000], other.close[:3000])
    assert not np.array_equal(known.close[3000:], other.close[3000:])
    _, expected = drift.oracle("ETH-USD", before, after)
    assert expected[2998] != 0.0
    assert not expected[2999:].any()
    _, full = cycles.oracle("ETH-USD", before, after)
    assert np.array_equal(expected[: 3000 - HORIZON_MINUTES], full[: 3000 - HORIZON_MINUTES])
    assert oracle_accuracy(drift, "ETH-USD", drift.drift_at, END) == 0.5


def test_drift_has_no_jump_where_the_cycle_ends():
    drift = market("drift", 3)
    close = drift.candles("BTC-USD", drift.drift_at - 300, drift.drift_at + 300).close
    moves = np.abs(np.diff(np.log(close)))
    assert moves[298:302].max() < moves.max()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_null_has_no_direction_in_it(seed):
    """Neighbouring 15-minute returns and lagged minutes have unrelated signs, within and across coins."""
    source = market("null", seed)
    closes = {symbol: source.candles(symbol, START, END) for symbol in PIPELINE_SYMBOLS}
    blocks = {s: np.sign(np.diff(np.log(c.close[::HORIZON_MINUTES]))) for s, c in closes.items()}
    bound = 4.0 / np.sqrt(len(blocks["BTC-USD"]))
    for one in blocks.values():
        for other in blocks.values():
            assert abs(np.mean(one[:-1] * other[1:])) < bound
    signs = {s: np.sign(np.diff(np.log(c.close))) for s, c in closes.items()}
    for lag in range(1, 6):
        for one in signs.values():
            for other in signs.values():
                assert abs(np.mean(one[:-lag] * other[lag:])) < 4.0 / np.sqrt(QUICK)


def test_null_bars_say_nothing_about_the_next_move():
    """Wicks, volume and the body of a bar do not predict the sign of the next 15 minutes."""
    candles = market("null", 4).candles("BTC-USD", START, END)
    y = np.sign(forward(candles.close))[::HORIZON_MINUTES]
    body = np.log(candles.close / candles.open)
    wick = np.log(candles.high / candles.close) - np.log(candles.close / candles.low)
    volume = np.log(candles.volume) - np.mean(np.log(candles.volume))
    for signal in (body, wick, volume, body * volume, wick * volume):
        x = np.sign(signal[: len(candles) - HORIZON_MINUTES : HORIZON_MINUTES])
        assert abs(np.mean(x * y)) < 4.0 / np.sqrt(len(y))


def test_shocks_are_shared_within_the_minute():
    source = market("null")
    btc, eth = (np.sign(np.diff(np.log(source.candles(s, START, END).close))) for s in ("BTC-USD", "ETH-USD"))
    assert np.mean(btc * eth) > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_the_clock_alone_tells_nothing(seed):
    """The majority direction of each half hour of the day, learnt on 84 days, on the last 18."""
    candles = market("cycles", seed).candles("BTC-USD", START, END)
    direction = np.sign(forward(candles.close))
    half_hour = candles.minute[:-HORIZON_MINUTES] % 1440 // 30
    train, test = slice(0, 84 * 1440), slice(102 * 1440, None)
    majority = np.where(np.bincount(half_hour[train], direction[train]) >= 0.0, 1.0, -1.0)
    assert np.mean(majority[half_hour[test]] == direction[test]) <= 0.53


def test_volatility_is_about_sixty_percent():
    close = market("cycles", 1).candles("BTC-USD", END - 365 * 1440, END).close
    assert 0.52 < np.std(np.diff(np.log(close))) * np.sqrt(365 * 1440) < 0.68


def test_sessions_weekend_tails_and_volume():
    candles = market("null", 1).candles("BTC-USD", END - 365 * 1440, END)
    returns = np.diff(np.log(candles.close), prepend=np.log(candles.open[0]))
    hour, weekday = candles.minute % 1440 // 60, (candles.minute // 1440 + 3) % 7
    size = np.abs(returns)
    tokyo, london, new_york = (np.median(size[hour // 8 == index]) for index in range(3))
    assert tokyo < london < new_york
    assert np.median(size[weekday >= 5]) < 0.85 * np.median(size[weekday < 5])
    assert np.mean(returns**4) / np.mean(returns**2) ** 2 > 6.0
    assert np.median(candles.volume[weekday >= 5]) < np.median(candles.volume[weekday < 5])
    ranges = np.log(candles.high / candles.low)
    assert np.corrcoef(np.log(ranges), np.log(candles.volume))[0, 1] > 0.5


@pytest.mark.parametrize(
    ("symbol", "start", "end", "message"),
    [
        ("DOGE-USD", START, END, "no 'DOGE-USD'"),
        ("BTC-USD", 25_246_079, START, "from 2018-01-01"),
        ("BTC-USD", END, START, "before it starts"),
        ("BTC-USD", START, 68_374_080 + 1440, "from 2018-01-01"),
    ],
)
def test_what_does_not_exist_is_refused(symbol, start, end, message):
    with pytest.raises(UsageError, match=message):
        market().candles(symbol, start, end)
    with pytest.raises(UsageError, match=message):
        market().oracle(symbol, start, end)


def test_drift_at_belongs_to_drift_alone():
    with pytest.raises(UsageError, match="drift_at"):
        SyntheticMarket("drift", 1)
    with pytest.raises(UsageError, match="drift_at"):
        SyntheticMarket("cycles", 1, END)
    with pytest.raises(UsageError, match="outside"):
        SyntheticMarket("drift", 1, 25_246_080)


def test_the_origin_is_the_first_candle():
    candles = market("weak").candles("BTC-USD", 25_246_080, 25_246_090)
    assert candles.start.isoformat() == "2018-01-01T00:00:00+00:00"
    assert candles.open[0] == pytest.approx(45_000.0)
