import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.compute import compute
from tradingai.engine.features.registry import FEATURES, feature_set

from tests.fakes.random_candles import random_candles, scaled, with_flat_stretch
from tests.unit.features_reference import REFERENCE, Row

PEERS = ("BNB-USD", "ETH-USD")
FEATURE_SET = feature_set("BTC-USD", PEERS)


@pytest.fixture(scope="module")
def candles():
    return random_candles(5000, seed=11)


@pytest.fixture(scope="module")
def peers():
    return {name: random_candles(5000, seed=20 + k).close for k, name in enumerate(PEERS)}


@pytest.fixture(scope="module")
def values(candles, peers):
    return compute(FEATURE_SET, candles, peers)


def column(values, name):
    return values[:, FEATURE_SET.names.index(name)]


def test_every_feature_has_a_reference():
    assert set(REFERENCE) == set(FEATURE_SET.names)


@pytest.mark.parametrize("name", FEATURE_SET.names)
def test_feature_is_what_its_definition_says(name, candles, peers, values):
    # rows inside and at the end of slower bars, in all sessions and on a weekend
    for row in (2878, 3003, 3600, 4222, 4999):
        expected = REFERENCE[name](Row(candles, peers, row))
        assert column(values, name)[row] == pytest.approx(expected, rel=2e-6, abs=2e-9)


def at(moment: datetime, **changes: list[float]) -> Candles:
    """3,000 bars of price 100 and volume 1 of which the last ones are given; the last opens at ``moment``."""
    rows = 3000
    columns = {name: np.full(rows, 100.0) for name in ("open", "high", "low", "close")}
    columns["volume"] = np.ones(rows)
    for name, last in changes.items():
        columns[name][rows - len(last) :] = last
    first = datetime_to_us(moment - timedelta(minutes=rows - 1))
    return Candles(first + np.arange(rows, dtype=np.int64) * MINUTE_US, **columns)


def last_values(candles: Candles) -> dict[str, float]:
    features = feature_set("BTC-USD")
    return dict(zip(features.names, compute(features, candles)[-1].tolist(), strict=True))


@pytest.mark.parametrize(
    ("moment", "tokyo", "london", "new_york", "weekend"),
    [
        (datetime(2024, 3, 4, 0, 0, tzinfo=UTC), 1, 0, 0, 0),  # Monday
        (datetime(2024, 3, 4, 7, 59, tzinfo=UTC), 1, 0, 0, 0),
        (datetime(2024, 3, 8, 8, 0, tzinfo=UTC), 0, 1, 0, 0),  # Friday
        (datetime(2024, 3, 9, 15, 59, tzinfo=UTC), 0, 1, 0, 1),  # Saturday
        (datetime(2024, 3, 10, 16, 0, tzinfo=UTC), 0, 0, 1, 1),  # Sunday
        (datetime(2024, 3, 10, 23, 59, tzinfo=UTC), 0, 0, 1, 1),
    ],
)
def test_sessions_and_weekend_on_the_clock(moment, tokyo, london, new_york, weekend):
    found = last_values(at(moment))
    assert [found[f"session_{name}"] for name in ("tokyo", "london", "new_york")] == [tokyo, london, new_york]
    assert found["weekend"] == weekend


def test_clock_circles_by_hand():
    found = last_values(at(datetime(2024, 3, 7, 6, 0, tzinfo=UTC)))  # Thursday, a quarter of the day
    assert found["minute_of_day_sin"] == pytest.approx(1.0)
    assert found["minute_of_day_cos"] == pytest.approx(0.0, abs=1e-7)
    assert found["day_of_week_sin"] == pytest.approx(math.sin(6 * math.pi / 7))
    assert found["day_of_week_cos"] == pytest.approx(math.cos(6 * math.pi / 7))


def test_one_rise_after_a_flat_past_by_hand():
    # 100 for ever, then a bar from 100 to 110 with a high of 112 and a low of 96, volume 3
    candles = at(
        datetime(2024, 3, 6, 12, 0, tzinfo=UTC), close=[110.0], high=[112.0], low=[96.0], volume=[3.0]
    )
    found = last_values(candles)
    rise = math.log(1.1)
    assert found["momentum_1"] == pytest.approx(rise)
    assert found["momentum_240"] == pytest.approx(rise)
    assert found["sma_ratio_7"] == pytest.approx(110 / (710 / 7) - 1)
    assert found["rsi_14"] == pytest.approx(100.0)
    assert found["atr_14_ratio"] == pytest.approx(16 / 14 / 110)
    assert found["macd_line"] == pytest.approx((10 * 2 / 13 - 10 * 2 / 27) / 110)
    assert found["macd_signal"] == pytest.approx(0.2 * (10 * 2 / 13 - 10 * 2 / 27) / 110)
    # mean 100.5, deviation sqrt((19 * 0.5^2 + 9.5^2) / 20) = sqrt(4.75)
    assert found["bollinger_20_percent_b"] == pytest.approx(0.5 + 9.5 / (4 * math.sqrt(4.75)))
    assert found["bollinger_20_width"] == pytest.approx(4 * math.sqrt(4.75) / 100.5)
    assert found["range_position_60"] == pytest.approx(14 / 16)
    assert found["bar_body"] == pytest.approx(10 / 16)
    assert found["bar_close_location"] == pytest.approx((14 - 2) / 16)
    assert found["rv_20"] == pytest.approx(rise / math.sqrt(20))
    assert found["rv_contrast_20_240"] == pytest.approx((1 - math.sqrt(1 / 12)) / (1 + math.sqrt(1 / 12)))
    assert found["volatility_rank"] == 1.0
    assert [found[f"regime_{name}"] for name in ("low", "medium", "high")] == [0, 0, 1]
    # of 1,440 pairs of bars the last alone: previous close 100 = its middle, so nothing is added
    assert found["spread_1440_bps"] == 0.0
    share = 0.01 * (1442 / 1440) / (62 / 60)
    assert found["slippage_60_bps"] == pytest.approx(1e4 * rise / math.sqrt(60) * math.sqrt(share))
    assert found["volume_ratio_60"] == pytest.approx(3 / (62 / 60))
    assert found["volume_trend_20_240"] == pytest.approx((1.1 - 242 / 240) / (1.1 + 242 / 240))
    assert found["volume_zscore_240"] == pytest.approx(math.sqrt(239))
    assert found["volume_pressure_60"] == pytest.approx(3 / 62)


def test_spread_by_hand():
    # the close 100.2 of a bar whose middle is 100.1, then a bar around 100: ln(100.2/m) of both middles
    candles = at(
        datetime(2024, 3, 6, 12, 0, tzinfo=UTC),
        high=[100.2, 100.0], low=[100.0, 100.0], close=[100.2, 100.0],
    )  # fmt: skip
    close, middle = math.log(100.2), (math.log(100.2) + math.log(100.0)) / 2
    pair = math.sqrt(4 * (close - middle) * (close - math.log(100.0)))
    assert last_values(candles)["spread_1440_bps"] == pytest.approx(1e4 * pair / 1440)


def test_a_slow_bar_counts_only_once_it_is_complete():
    # the 5-minute bar 12:00-12:04 ends with the bar that opens at 12:04
    closes = [101.0, 102.0, 103.0, 104.0, 105.0]
    before = last_values(at(datetime(2024, 3, 6, 12, 3, tzinfo=UTC), close=closes[:4]))
    complete = last_values(at(datetime(2024, 3, 6, 12, 4, tzinfo=UTC), close=closes))
    assert before["return_5m"] == 0.0
    assert complete["return_5m"] == pytest.approx(math.log(1.05))
    assert complete["return_15m"] == 0.0


def test_flat_bars_without_volume_have_the_values_their_formulas_name():
    columns = at(datetime(2024, 3, 6, 12, 0, tzinfo=UTC)).columns()
    columns["volume"] = np.zeros(3000)
    found = last_values(Candles(**columns))
    neutral = {
        "rsi_14": 50, "rsi_14_5m": 50, "rsi_14_15m": 50, "rsi_14_1h": 50, "rsi_10_4h": 50,
        "bollinger_20_percent_b": 0.5, "range_position_60": 0.5, "range_position_240": 0.5,
        "range_position_24_1h": 0.5, "volatility_rank": 0.5, "regime_medium": 1,
    }  # fmt: skip
    clock = {feature.name for feature in FEATURES if feature.group == "session"}
    assert {name: value for name, value in found.items() if name not in clock and value} == neutral


def test_filled_gaps_of_any_length_give_finite_values(candles, peers):
    for first, last in ((3100, 3107), (3300, 3900), (2900, 5000)):
        filled = compute(FEATURE_SET, with_flat_stretch(candles, first, last), peers)
        assert np.isfinite(filled[FEATURE_SET.lookback :]).all()


def test_prices_times_ten_change_nothing(candles, peers, values):
    times_ten = compute(
        FEATURE_SET, scaled(candles, 10.0), {name: close * 10 for name, close in peers.items()}
    )
    known = slice(FEATURE_SET.lookback, None)
    difference = np.abs(times_ten[known] - values[known]) / np.maximum(np.std(values[known], axis=0), 1e-12)
    assert dict(zip(FEATURE_SET.names, difference.max(axis=0), strict=True)) == pytest.approx(
        dict.fromkeys(FEATURE_SET.names, 0.0), abs=1e-6
    )


def test_the_unit_of_volume_changes_nothing(candles, values):
    columns = candles.columns()
    columns["volume"] = columns["volume"] * 1000.0
    features = feature_set("BTC-USD")
    other = compute(features, Candles(**columns))
    assert np.allclose(other[2878:], values[2878:, : len(features)], rtol=1e-6, atol=1e-9)


def test_exactly_one_regime_holds(values):
    flags = np.stack([column(values, f"regime_{name}") for name in ("low", "medium", "high")])[:, 2878:]
    assert (flags.sum(axis=0) == 1).all()
    assert (flags.mean(axis=1) > 0.1).all()
