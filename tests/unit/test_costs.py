"""Spread, slippage, commission and keyed draws, against numbers worked out by hand."""

import math

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.risk import draws
from tradingai.engine.risk.costs import (
    CostLevel,
    Costs,
    ExecutionCosts,
    SessionCosts,
    filled,
    parse_pairs,
    session_of,
)

NOON = datetime_to_us(parse_iso("2025-11-10T12:00:00Z"))
MINUTES = NOON + np.arange(200_000, dtype=np.int64) * 60_000_000


@pytest.mark.parametrize(
    ("time", "session"),
    [
        ("00:00:00", "tokyo"),
        ("07:59:59", "tokyo"),
        ("08:00:00", "london"),
        ("15:59:59", "london"),
        ("16:00:00", "new_york"),
        ("23:59:59", "new_york"),
    ],
)
def test_sessions_are_eight_utc_hours_each(time, session):
    assert session_of(datetime_to_us(parse_iso(f"2025-11-10T{time}Z"))) == session


def test_default_costs_are_twelve_and_three_bps_and_say_that_they_are_defaults():
    costs = ExecutionCosts()
    assert costs.expected("BTC-USD", NOON) == Costs(12.0, 3.0)
    assert costs.stressed("BTC-USD", NOON) == Costs(12.0, 3.0)
    assert costs.drawn("BTC-USD", NOON) == Costs(12.0, 3.0)
    assert costs.is_default("BTC-USD", "london")
    assert costs.source == "defaults"


def test_a_market_order_pays_half_the_spread_and_slippage():
    away = Costs(12.0, 3.0).market_bps  # 6 + 3 = 9 bps of 40,000 = 36
    assert away == 9.0
    assert filled(40_000.0, 1, away) == pytest.approx(40_036.0, abs=1e-9)
    assert filled(40_000.0, -1, away) == pytest.approx(39_964.0, abs=1e-9)
    assert filled(40_000.0, -1, Costs(12.0, 3.0).limit_bps) == pytest.approx(39_976.0, abs=1e-9)


def test_fills_work_on_arrays():
    prices = filled(np.array([40_000.0, 10.0]), np.array([1.0, -1.0]), 9.0)
    assert prices == pytest.approx([40_036.0, 9.991])


def test_commission_is_ftmos_rate_of_the_notional_a_side():
    # 0.000325 x lots x contract size x price: 1 lot BTC (1 coin) at 100,000, 0.5 lot ETH (10 coins) at 3,000
    costs = ExecutionCosts()
    assert costs.commission(1.0, 100_000.0) == pytest.approx(32.5)
    assert costs.commission(0.5 * 10, 3_000.0) == pytest.approx(4.875)
    assert costs.commission(-1.0, 100_000.0) == pytest.approx(32.5)


def test_a_constant_level_always_draws_its_mean():
    assert [CostLevel.constant(3.0).draw(z) for z in (-2.0, 0.0, 2.0)] == [3.0, 3.0, 3.0]


def test_a_level_with_a_non_positive_median_draws_its_mean():
    assert CostLevel(0.4, -0.2, 1.5).draw(1.7) == 0.4


def test_draws_have_the_measured_mean_and_percentile_ratio():
    level = CostLevel(mean=4.0, p50=2.0, p90=6.0)
    z90 = 1.2815515655446004
    assert level.draw(z90) / level.draw(0.0) == pytest.approx(3.0)  # p90 / p50
    sigma = math.log(3.0) / z90
    assert level.draw(0.0) == pytest.approx(4.0 * math.exp(-(sigma**2) / 2))
    normals = draws.keyed_normals(7, "slippage", "BTC-USD", MINUTES)
    sample = [level.draw(z) for z in normals[:50_000]]
    error = np.std(sample) / math.sqrt(len(sample))
    assert abs(np.mean(sample) - 4.0) < 4 * error


def test_stressed_costs_are_the_ninetieth_percentile_or_the_mean():
    assert CostLevel(4.0, 2.0, 6.0).stressed == 6.0
    assert CostLevel(4.0, 1.0, 3.0).stressed == 4.0


def test_draws_depend_on_key_only_and_equal_their_vectorised_form():
    scalar = [draws.keyed_uniform(7, "slippage", "BTC-USD", int(ts)) for ts in MINUTES[:500]]
    assert scalar == draws.keyed_uniforms(7, "slippage", "BTC-USD", MINUTES[:500]).tolist()
    backwards = [draws.keyed_uniform(7, "slippage", "BTC-USD", int(ts)) for ts in MINUTES[:500][::-1]]
    assert backwards[::-1] == scalar
    normal = [draws.keyed_normal(7, "slippage", "BTC-USD", int(ts)) for ts in MINUTES[:500]]
    assert normal == draws.keyed_normals(7, "slippage", "BTC-USD", MINUTES[:500]).tolist()


def test_every_part_of_the_key_changes_the_draw():
    base = draws.keyed_uniform(7, "slippage", "BTC-USD", NOON)
    others = {
        draws.keyed_uniform(8, "slippage", "BTC-USD", NOON),
        draws.keyed_uniform(7, "spread", "BTC-USD", NOON),
        draws.keyed_uniform(7, "slippage", "ETH-USD", NOON),
        draws.keyed_uniform(7, "slippage", "BTC-USD", NOON + 1),
    }
    assert base not in others
    assert len(others) == 4


def test_the_generator_is_splitmix64(monkeypatch):
    # Published first outputs for seed 0: e220a8397b1dcdaf, 6e789e6aa1b965f4
    monkeypatch.setattr(draws, "stream_key", lambda *_: 0)
    for step, output in ((1, 0xE220A8397B1DCDAF), (2, 0x6E789E6AA1B965F4)):
        assert draws.keyed_uniform(0, "", "", step) == ((output >> 12) + 0.5) / 2**52


def test_uniform_draws_are_uniform_and_uncorrelated():
    uniforms = draws.keyed_uniforms(7, "slippage", "BTC-USD", MINUTES)
    assert uniforms.min() > 0
    assert uniforms.max() < 1
    counts = np.histogram(uniforms, bins=20, range=(0, 1))[0]
    expected = len(MINUTES) / 20
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 43.8  # 99.9 % point of chi-squared with 19 degrees of freedom
    lagged = np.corrcoef(uniforms[:-1], uniforms[1:])[0, 1]
    assert abs(lagged) < 4 / math.sqrt(len(MINUTES))


def measured() -> ExecutionCosts:
    london = SessionCosts(CostLevel(8.0, 8.0, 8.0, 1200), CostLevel(1.5, 1.5, 1.5, 1200))
    return ExecutionCosts(
        pairs={"BTC-USD": {"london": london}}, source="ccxt:binance", measured_at="2025-11-10"
    )


def test_measured_costs_hold_for_their_pair_and_session_only():
    costs = measured()
    evening = NOON + 8 * 3_600_000_000
    assert costs.drawn("BTC-USD", NOON) == Costs(8.0, 1.5)
    assert costs.drawn("BTC-USD", evening) == Costs(12.0, 3.0)
    assert costs.drawn("ETH-USD", NOON) == Costs(12.0, 3.0)
    assert not costs.is_default("BTC-USD", "london")
    assert costs.is_default("BTC-USD", "new_york")


def test_doubling_a_measured_cost_doubles_every_draw():
    once = SessionCosts(CostLevel(8.0, 6.0, 14.0), CostLevel(1.5, 1.0, 3.0))
    twice = SessionCosts(CostLevel(16.0, 12.0, 28.0), CostLevel(3.0, 2.0, 6.0))
    for minute in range(50):
        ts = NOON + minute * 60_000_000
        single = ExecutionCosts(pairs={"BTC-USD": {"london": once}}).drawn("BTC-USD", ts)
        double = ExecutionCosts(pairs={"BTC-USD": {"london": twice}}).drawn("BTC-USD", ts)
        assert double == pytest.approx((2 * single[0], 2 * single[1]))


def test_the_metrics_document_survives_a_round_trip():
    costs = measured()
    assert parse_pairs(costs.as_document()) == costs.pairs


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda cell: cell.pop("spread_bps"), "spread_bps"),
        (lambda cell: cell["slippage_bps"].update(mean="wide"), "wide"),
        (lambda cell: cell["slippage_bps"].update(mean=math.nan), "nan"),
        (lambda cell: cell["spread_bps"].update(p50=-1.0), "negative"),
    ],
)
def test_a_damaged_metrics_document_is_refused(change, word):
    document = measured().as_document()
    change(document["pairs"]["BTC-USD"]["london"])
    with pytest.raises(ArtifactError, match=word):
        parse_pairs(document)


def test_an_unknown_session_is_refused():
    document = measured().as_document()
    document["pairs"]["BTC-USD"]["sydney"] = document["pairs"]["BTC-USD"].pop("london")
    with pytest.raises(ArtifactError, match="sydney"):
        parse_pairs(document)
