"""The backtest: which scans it makes, what gaps do to it, and the canaries that a trading test must pass."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import DataError, InterruptedRunError
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.records import Reason
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.evaluation.backtest import BacktestPlan, TradedRange, backtest, decisions, moments
from tradingai.engine.features.window import Window
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts
from tradingai.engine.risk.measured_costs import Measurement, merge

from tests.fakes.homes import plain_settings
from tests.fakes.stored_market import LAST

BTC = "BTC-USD"
PLAN = BacktestPlan()


def measured(component, tokyo, london, new_york):
    bps = {"tokyo": tokyo, "london": london, "new_york": new_york, "day": (tokyo + london + new_york) / 3}
    return Measurement(BTC, component, {name: CostLevel(one, one, one, 300) for name, one in bps.items()})


SPREADS, SLIPS = measured("spread_bps", 8.0, 6.0, 7.0), measured("slippage_bps", 2.0, 1.0, 1.5)
LEAD = 600


def candles(days, market="cycles", seed=7):
    return SyntheticMarket(market, seed).candles(BTC, LAST - LEAD - days * 1440 + 1, LAST)


def oracle_probability(days, series, seed=7):
    """P(up) from the hidden state's expected return and the volatility of the last four hours."""
    _, expected = SyntheticMarket("cycles", seed).oracle(BTC, LAST - LEAD - days * 1440 + 1, LAST)
    squares = np.square(np.diff(np.log(series.close), prepend=np.log(series.open[0])))
    volatility = np.sqrt(np.convolve(squares, np.ones(240) / 240)[: len(squares)] + 1e-12)
    return np.clip(norm.cdf(expected / (volatility * np.sqrt(15))), 0.01, 0.99)


def range_of(series, probability, real=None, peers=(), lo=LEAD) -> TradedRange:
    ratio = (Window(series, {}).wilder("true_range", 14) / series.close).astype(np.float32)
    real = np.ones(len(series), dtype=bool) if real is None else real
    hi = len(series)
    return TradedRange("lstm_BTC-USD", BTC, series, real, peers, lo, hi, probability[lo:], ratio[lo:])


def result(series, probability, plan=PLAN) -> BacktestResult:
    return backtest(plan, range_of(series, probability), SilentReporter())


# ----------------------------------------------------------------------------------------- canaries


@pytest.fixture(scope="module")
def world():
    series = candles(4)
    return series, oracle_probability(4, series)


@pytest.fixture(scope="module")
def oracle(world):
    return result(*world)


def test_the_oracle_makes_money_after_costs(oracle):
    assert oracle.net > 0
    assert oracle.profit_factor > 1
    assert oracle.accuracy > oracle.break_even_accuracy
    assert (oracle.halted, oracle.trades > 100) == (None, True)


def test_an_inverted_oracle_loses_money(world):
    series, probability = world
    found = result(series, 1.0 - probability)
    assert found.net < -10_000
    assert found.accuracy < 0.35
    assert found.by_reason["risk_blocked"] > 0


def test_a_coin_flip_makes_no_money_after_costs(world):
    series, probability = world
    found = result(series, np.random.default_rng(1).permutation(probability))
    assert found.net < 0
    assert 0.3 < found.accuracy < 0.7


def test_other_prices_give_another_profit(world, oracle):
    series, probability = world
    rng = np.random.default_rng(2)
    wander = np.exp(np.cumsum(rng.normal(0.0, 4e-4, len(series))))
    columns = {name: getattr(series, name) * wander for name in ("open", "high", "low", "close")}
    moved = replace(series, **columns)
    found = result(moved, probability)
    assert found.net != oracle.net
    assert abs(found.net - oracle.net) > 100
    assert found.scans == oracle.scans


def test_all_prices_times_ten_change_nothing_but_rounding(world, oracle):
    series, probability = world
    columns = {name: getattr(series, name) * 10 for name in ("open", "high", "low", "close")}
    found = result(replace(series, **columns), probability)
    assert found.trades == oracle.trades
    assert found.net == pytest.approx(oracle.net, rel=1e-6)


def test_costs_decide_whether_it_pays(world, oracle):
    series, probability = world
    free = replace(
        PLAN.config, costs=ExecutionCosts(default_spread_bps=0, default_slippage_bps=0, commission_rate=0)
    )
    dear = replace(PLAN.config, costs=ExecutionCosts(default_spread_bps=40))
    assert result(series, probability, BacktestPlan(free)).mean_r > oracle.mean_r + 0.1
    assert result(series, probability, BacktestPlan(dear)).net < 0


@pytest.mark.parametrize("side", [0.9, 0.1], ids=["long", "short"])
def test_a_measured_file_changes_the_backtest_by_exactly_what_it_says(side):
    midnight = 20_000 * 1440 * MINUTE_US
    price = np.full(1440, 40_000.0)
    ts = midnight + np.arange(1440, dtype=np.int64) * MINUTE_US
    flat = Candles(ts, price, price, price, price, np.ones(1440))
    probability = np.full(1440, 0.5)
    for hour in (2, 10, 18):  # one signal in each session
        probability[hour * 60 : hour * 60 + 2] = side
    ratio = np.full(1440, 0.001, dtype=np.float32)  # an ATR of 40, a stop of 160: 500 of risk buy 3.125
    test = TradedRange("lstm_BTC-USD", BTC, flat, np.ones(1440, dtype=bool), (), 0, 1440, probability, ratio)
    document = json.loads(dumps(merge(None, [SPREADS, SLIPS], {}, {"source": "a test"}).document))
    settings = plain_settings(ftmo_commission_pct=0.0)

    def net(metrics) -> float:
        found = backtest(BacktestPlan(desk_config(settings, metrics)), test, SilentReporter())
        assert found.trades == 3
        return found.net

    # Entry and time exit at the same mid: each costs half the spread and the slippage, of 125,000.
    per_bps = 2 * 3.125 * 40_000 / 1e4
    assert net(None) == pytest.approx(-3 * (12 / 2 + 3) * per_bps, rel=1e-6)
    measured = -((8 / 2 + 2) + (6 / 2 + 1) + (7 / 2 + 1.5)) * per_bps
    assert net(document) == pytest.approx(measured, rel=1e-6)
    assert measured == pytest.approx(-375.0)


def test_no_confidence_means_no_trade(world):
    series, probability = world
    found = result(series, np.where(probability > 0.5, 0.6, 0.4))
    assert (found.signals, found.trades, found.win_rate, found.equity) == (0, 0, None, 200_000.0)
    assert found.by_reason["below_threshold"] == found.decisions


def test_a_probability_that_is_none_blocks(world):
    series, probability = world
    found = result(series, np.full_like(probability, np.nan))
    assert found.by_reason["below_threshold"] == found.decisions == found.scans


# --------------------------------------------------------------------------------------- which scans


def short(days=1):
    series = candles(days)
    return series, np.full(len(series), 0.5)


def test_scans_are_whole_multiples_of_the_interval_within_the_range():
    series, probability = short()
    found = list(moments(PLAN, range_of(series, probability)))
    step = 120_000_000
    times = [moment.scan.at_us for moment in found]
    assert {at % step for at in times} == {0}
    assert times == list(range(times[0], times[-1] + 1, step))
    first_closed = int(series.ts[LEAD]) + MINUTE_US
    assert first_closed <= times[0] < first_closed + step
    assert int(series.ts[-1]) + MINUTE_US - step < times[-1] <= int(series.ts[-1]) + MINUTE_US
    for moment in found[1:]:
        minutes = [ts for ts, _ in moment.minutes]
        assert minutes == [moment.scan.at_us - 2 * MINUTE_US, moment.scan.at_us - MINUTE_US]
        assert moment.scan.coins[0].candle_us == minutes[-1]


def test_every_decision_has_one_reason_and_they_add_up(world, oracle):
    series, probability = world
    assert sum(oracle.by_reason.values()) == oracle.decisions == oracle.scans
    assert oracle.by_reason["emitted"] == oracle.signals == sum(oracle.signals_by_tier.values())
    reasons = [decision.reason for decision in decisions(PLAN, range_of(series, probability))]
    assert reasons.count(Reason.EMITTED) == oracle.signals


def test_a_gap_has_no_new_candle_and_no_prices():
    series, probability = short()
    real = np.ones(len(series), dtype=bool)
    real[LEAD + 100 : LEAD + 110] = False
    found = list(moments(PLAN, range_of(series, probability, real)))
    gap = range(int(series.ts[LEAD + 100]), int(series.ts[LEAD + 110]))
    assert not [ts for moment in found for ts, _ in moment.minutes if ts in gap]
    within = [moment for moment in found if moment.scan.at_us - MINUTE_US in gap]
    assert {moment.scan.coins[0].candle_us for moment in within[1:]} == {int(series.ts[LEAD + 99])}
    reasons = [decision.reason for decision in decisions(PLAN, range_of(series, probability, real))]
    assert reasons.count(Reason.NO_NEW_CANDLE) == len(within) - 1 + (within[0].minutes == ())


def test_a_peer_without_a_candle_silences_the_coin():
    series, probability = short()
    peer = np.ones(len(series), dtype=bool)
    peer[LEAD + 50 : LEAD + 55] = False
    found = [moment.scan.coins[0] for moment in moments(PLAN, range_of(series, probability, peers=(peer,)))]
    silent = [coin.candle_us for coin in found if coin.p_up is None]
    assert len(silent) in {2, 3}
    assert all(series.ts[LEAD + 50] <= ts < series.ts[LEAD + 55] for ts in silent)
    assert {coin.note for coin in found if coin.p_up is None} == {"features end before the newest candle"}


def test_a_range_without_a_scan_is_refused():
    series, probability = short()
    test = replace(range_of(series, probability), hi=LEAD + 1)
    odd = int(series.ts[LEAD] // MINUTE_US) % 2
    test = replace(test, lo=LEAD + odd, hi=LEAD + odd + 1)
    assert (int(series.ts[LEAD + odd]) + MINUTE_US) % (2 * MINUTE_US) != 0
    with pytest.raises(DataError, match="hold no scan"):
        backtest(PLAN, test, SilentReporter())


@pytest.mark.parametrize("interval_s", [60, 120, 420])
def test_a_range_without_what_it_does_not_look_at_is_traded_the_same(world, interval_s):
    series, probability = world
    plan, real, peer = BacktestPlan(interval_s=interval_s), *np.ones((2, len(series)), dtype=bool)
    real[LEAD - 5 : LEAD + 9], peer[LEAD - 9 : LEAD + 5] = False, False
    real[LEAD + 700 : LEAD + 720], peer[LEAD + 1000 : LEAD + 1010] = False, False
    whole = replace(range_of(series, probability, real, (peer,)), hi=len(series) - 50)
    cropped = whole.cropped(plan.minutes)
    assert len(cropped.candles) == len(series) - LEAD - 50 + plan.minutes
    assert list(decisions(plan, cropped)) == list(decisions(plan, whole))
    assert backtest(plan, cropped, SilentReporter()) == backtest(plan, whole, SilentReporter())


def test_it_stops_at_a_safe_point():
    class Stop(SilentReporter):
        def safe_point(self):
            raise InterruptedRunError("stopped")

    series, probability = short()
    with pytest.raises(InterruptedRunError):
        backtest(PLAN, range_of(series, probability), Stop())


# ------------------------------------------------------------------------------------------- as JSON


def test_plan_and_result_survive_json(oracle):
    plan = BacktestPlan(DeskConfig(costs=ExecutionCosts(default_spread_bps=1 / 3)), 180)
    assert BacktestPlan.from_json(plan.as_json()) == plan
    assert BacktestResult.from_json(oracle.as_json()) == oracle


def test_the_candles_are_not_looked_at_beyond_the_scan(world):
    series, probability = world
    cut = LEAD + 700
    later = {name: np.where(np.arange(len(series)) < cut, column, column * 2) for name, column in
             series.columns().items() if name not in {"ts", "volume"}}  # fmt: skip
    changed = Candles(series.ts, **later, volume=series.volume)
    end = int(series.ts[cut])
    before, after = (
        [one for one in decisions(PLAN, range_of(candle, probability)) if one.at_us <= end]
        for candle in (series, changed)
    )
    assert len(before) == 350
    assert before == after
