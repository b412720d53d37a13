"""The paper account to the cent: 0.25 % of $200,000, BTC at 40,000, ATR 40, spread 12 bps, slippage 3 bps.

Stop 160 away, target 320, so 500 / 160 = 3.125 BTC. A market order is filled 9 bps from mid.
"""

import math
from dataclasses import replace

import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.decision.fills import stopped_order_result, stopped_result
from tradingai.engine.decision.orders import Bar, Exit, Order, PaperConfig
from tradingai.engine.decision.paper import (
    PaperState,
    accrue_swap,
    equity_if_stopped,
    equity_of,
    notional_of,
    open_paper,
    reading_of,
    step_paper,
)
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts

MINUTE = 60_000_000
COSTS = ExecutionCosts()
CONFIG = PaperConfig()
FREE = ExecutionCosts(default_spread_bps=0, default_slippage_bps=0, commission_rate=0, latency_ms=0)
DECIDED = datetime_to_us(parse_iso("2025-11-10T12:04:00Z"))
RATE = 0.000325


def order(side: Side = Side.LONG, symbol: str = "BTC-USD", costs: ExecutionCosts = COSTS) -> Order:
    earliest = DECIDED + costs.latency_us
    return Order(
        key=f"{symbol}@2025-11-10T12:03:00Z", symbol=symbol, side=side, tier=Tier.HIGH, confidence=0.8,
        decided_us=DECIDED, earliest_us=earliest, expires_us=earliest + 3 * MINUTE, reference=40_000.0,
        quantity=3.125, stop_distance=160.0, target_distance=320.0,
    )  # fmt: skip


def bar(minute: int, open_: float, high: float, low: float, close: float) -> Bar:
    """The candle that opens so many minutes after the decision."""
    return Bar(DECIDED + minute * MINUTE, open_, high, low, close)


def flat(minute: int, price: float = 40_000.0) -> Bar:
    return bar(minute, price, price, price, price)


def waiting(*orders: Order) -> PaperState:
    return replace(open_paper(200_000.0), orders=orders)


def run(state: PaperState, *bars: Bar, costs: ExecutionCosts = COSTS, symbol: str = "BTC-USD", **how):
    """Step through the bars; all trades, the last step."""
    trades, step = [], None
    for one in bars:
        step = step_paper(state, {symbol: one}, CONFIG, costs, **how)
        state = step.state
        trades.extend(step.trades)
    return state, trades, step


# ------------------------------------------------------------------------------------------------- entry


def test_one_r_is_a_quarter_percent():
    assert order().risk_money == 500.0


def test_entry_is_at_the_first_open_after_decision_and_latency():
    state, _, step = run(waiting(order()), flat(0, 39_000.0))
    assert state.orders == (order(),)  # 12:04:00 opened before 12:04:00.5
    assert step.opened == 0
    state, _, step = run(state, bar(1, 40_000, 40_010, 39_990, 40_005))
    position = state.positions[0]
    assert step.opened == 1
    assert position.entry_us == DECIDED + MINUTE
    assert position.entry == pytest.approx(40_036.0)  # 40,000 + 9 bps
    assert position.stop == pytest.approx(39_876.0)
    assert position.target == pytest.approx(40_356.0)
    assert position.due_us == DECIDED + 16 * MINUTE
    assert (position.spread_bps, position.slippage_bps) == (12.0, 3.0)


def test_without_latency_the_candle_of_the_decision_fills():
    costs = replace(COSTS, latency_ms=0.0)
    state, _, _ = run(waiting(order(costs=costs)), flat(0), costs=costs)
    assert state.positions[0].entry_us == DECIDED


def test_a_short_is_filled_below_mid_with_its_stop_above():
    state, _, _ = run(waiting(order(Side.SHORT)), flat(1))
    position = state.positions[0]
    assert position.entry == pytest.approx(39_964.0)
    assert position.stop == pytest.approx(40_124.0)
    assert position.target == pytest.approx(39_644.0)


def test_entry_commission_leaves_the_balance_and_equity_marks_at_half_the_spread():
    state, _, step = run(waiting(order()), bar(1, 40_000, 40_110, 39_990, 40_100))
    commission = RATE * 3.125 * 40_036  # 40.6615625
    assert state.balance == pytest.approx(200_000 - commission)
    # marked at 40,100 - 6 bps = 40,075.94: 39.94 x 3.125 = 124.8125
    assert equity_of(state, COSTS) == pytest.approx(200_000 - commission + 124.8125)
    # worst of the minute: 39,990 - 6 bps = 39,966.006: -69.994 x 3.125 = -218.73125
    assert step.lowest_equity == pytest.approx(200_000 - commission - 218.73125)


def test_an_order_without_a_price_is_given_up():
    state, trades, step = run(waiting(order()), flat(5))
    assert (state.orders, state.positions, trades) == ((), (), [])
    assert [(event.key, event.at) for event in step.events] == [
        ("BTC-USD@2025-11-10T12:03:00Z", "2025-11-10T12:09:00Z")
    ]
    state, _, _ = run(waiting(order()), flat(3))  # 12:07:00 is within three minutes of 12:04:00.5
    assert len(state.positions) == 1


# ------------------------------------------------------------------------------------------------- exits


def test_time_exit_at_the_close_that_ends_the_fifteenth_minute():
    bars = [flat(minute) for minute in range(1, 15)]
    state, trades, _ = run(waiting(order()), *bars)
    assert trades == []
    state, trades, _ = run(state, bar(15, 40_000, 40_110, 39_990, 40_100))
    trade = trades[0]
    assert (trade.exit_reason, trade.exit_us) == (Exit.TIME, DECIDED + 16 * MINUTE)
    assert trade.exit == pytest.approx(40_063.91)  # 40,100 - 9 bps
    gross = 27.91 * 3.125  # 87.21875
    commission = RATE * 3.125 * (40_036 + 40_063.91)  # 40.6615625 + 40.68990859375
    assert trade.commission == pytest.approx(commission)
    assert trade.net == pytest.approx(5.86727890625)
    assert trade.net == pytest.approx(gross - commission)
    assert trade.r == pytest.approx(0.0117345578125)
    assert trade.won
    assert state.balance == pytest.approx(200_005.86727890625)
    assert (state.trades, state.wins, state.positions) == (1, 1, ())


def test_stop_at_its_price_with_costs():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 40_000, 40_010, 39_875, 39_990))
    trade = trades[0]
    assert trade.exit_reason is Exit.STOP
    assert trade.exit == pytest.approx(39_840.1116)  # 39,876 - 9 bps
    assert trade.net == pytest.approx(-693.27542584375)  # -195.8884 x 3.125 - 40.6615625 - 40.46261334375
    assert trade.r == pytest.approx(-1.3865508516875)
    assert not trade.won
    assert trade.exit_us == DECIDED + 3 * MINUTE


def test_target_is_a_limit_order_and_does_not_slip():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 40_000, 40_357, 39_990, 40_300))
    trade = trades[0]
    assert trade.exit_reason is Exit.TARGET
    assert trade.exit == pytest.approx(40_331.7864)  # 40,356 - 6 bps
    commission = RATE * 3.125 * (40_036 + 40_331.7864)
    assert trade.net == pytest.approx(924.3325 - commission)  # 295.7864 x 3.125


def test_a_candle_that_touches_both_is_a_stop():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 40_000, 40_500, 39_800, 40_400))
    assert (trades[0].exit_reason, trades[0].r) == (Exit.STOP, pytest.approx(-1.3865508516875))


def test_a_gap_through_the_stop_fills_at_the_open():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 39_700, 40_500, 39_600, 40_400))
    trade = trades[0]
    assert trade.exit_reason is Exit.STOP
    assert trade.exit == pytest.approx(39_664.27)  # 39,700 - 9 bps
    commission = RATE * 3.125 * (40_036 + 39_664.27)
    assert trade.net == pytest.approx(-1_161.65625 - commission)
    assert trade.exit_us == DECIDED + 2 * MINUTE


def test_a_gap_beyond_the_target_is_paid_no_more_than_the_target():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 40_600, 40_700, 40_500, 40_650))
    assert trades[0].exit == pytest.approx(40_331.7864)


def test_the_entrys_own_candle_can_stop_it():
    state, trades, step = run(waiting(order()), bar(1, 40_000, 40_010, 39_875, 39_990))
    assert trades[0].exit_reason is Exit.STOP
    assert step.opened == 1
    assert [type(event).__name__ for event in step.events] == ["PositionOpened", "PositionClosed"]
    assert state.balance == pytest.approx(200_000 - 693.27542584375)


def test_the_last_minute_stops_before_it_times_out():
    bars = [flat(minute) for minute in range(1, 15)]
    _, trades, _ = run(waiting(order()), *bars, bar(15, 40_000, 40_000, 39_870, 39_990))
    assert trades[0].exit_reason is Exit.STOP


@pytest.mark.parametrize("minute", [16, 30])
def test_a_position_whose_last_minute_is_missing_leaves_at_the_next_open(minute):
    _, trades, _ = run(waiting(order()), flat(1), bar(minute, 40_100, 40_500, 39_000, 40_000))
    trade = trades[0]
    assert (trade.exit_reason, trade.exit_us) == (Exit.TIME, DECIDED + minute * MINUTE)
    assert trade.exit == pytest.approx(40_063.91)


@pytest.mark.parametrize(
    ("candle", "reason", "level"),
    [
        (bar(2, 40_000, 40_125, 39_990, 40_000), Exit.STOP, 40_124.0),
        (bar(2, 40_000, 40_010, 39_643, 39_700), Exit.TARGET, 39_644.0),
        (bar(2, 40_000, 40_200, 39_600, 39_700), Exit.STOP, 40_124.0),
        (bar(2, 40_300, 40_310, 39_600, 39_700), Exit.STOP, 40_300.0),
    ],
)
def test_a_short_mirrors_it_all(candle, reason, level):
    _, trades, _ = run(waiting(order(Side.SHORT)), flat(1), candle)
    bps = 6 if reason is Exit.TARGET else 9
    assert trades[0].exit_reason is reason
    assert trades[0].exit == pytest.approx(level * (1 + bps / 10_000))


def test_a_short_earns_when_the_price_falls():
    _, trades, _ = run(waiting(order(Side.SHORT)), flat(1), bar(2, 40_000, 40_010, 39_643, 39_700))
    exit_ = 39_644 * 1.0006
    commission = RATE * 3.125 * (39_964 + exit_)
    assert trades[0].net == pytest.approx((39_964 - exit_) * 3.125 - commission)


def test_liquidation_closes_at_the_first_open_from_then_on():
    state, _, _ = run(waiting(order()), flat(1))
    untouched, trades, _ = run(state, flat(2), liquidate_from_us=DECIDED + 3 * MINUTE)
    assert trades == []
    _, trades, _ = run(
        untouched, bar(3, 40_100, 40_500, 39_000, 40_000), liquidate_from_us=DECIDED + 3 * MINUTE
    )
    assert (trades[0].exit_reason, trades[0].exit) == (Exit.HALT, pytest.approx(40_063.91))


def test_a_trade_of_exactly_nothing_is_no_win():
    free = replace(order(costs=FREE), expires_us=DECIDED + 5 * MINUTE)
    _, trades, _ = run(waiting(free), *[flat(minute) for minute in range(16)], costs=FREE)
    assert (trades[0].r, trades[0].won) == (0.0, False)


def test_without_costs_stop_and_target_are_minus_one_and_two_r():
    for candle, r in (
        (bar(1, 40_000, 40_000, 39_840, 39_900), -1.0),
        (bar(1, 40_000, 40_320, 40_000, 40_300), 2.0),
    ):
        _, trades, _ = run(waiting(order(costs=FREE)), flat(0), candle, costs=FREE)
        assert trades[0].r == pytest.approx(r)


def test_excursions_in_r():
    _, trades, _ = run(
        waiting(order(costs=FREE)),
        bar(0, 40_000, 40_080, 39_920, 40_000),  # +0.5 R and -0.5 R
        bar(1, 40_000, 40_400, 39_900, 40_300),  # beyond the target at 40,320; -100 / 160 before it
        costs=FREE,
    )
    assert trades[0].mae_r == pytest.approx(-0.625)
    assert trades[0].mfe_r == pytest.approx(2.0)


# ------------------------------------------------------------------------------------------ the account


def test_all_stops_hit_cost_exactly_what_the_stop_then_costs():
    state, _, _ = run(waiting(order()), flat(1))
    _, trades, _ = run(state, bar(2, 40_000, 40_000, 39_875, 39_900))
    assert equity_if_stopped(state, COSTS, DECIDED) == pytest.approx(200_000 + trades[0].net)
    assert stopped_result(state.positions[0], COSTS, DECIDED) == pytest.approx(-652.61386334375)
    # a waiting order is reckoned from its reference price, 40,000: the same fill
    assert stopped_order_result(order(), COSTS, DECIDED) == pytest.approx(-693.27542584375)
    assert equity_if_stopped(waiting(order()), COSTS, DECIDED) == pytest.approx(200_000 - 693.27542584375)


def test_the_guards_costs_are_the_stressed_ones():
    london = SessionCosts(CostLevel(12.0, 8.0, 24.0), CostLevel(3.0, 2.0, 6.0))
    costs = replace(COSTS, pairs={"BTC-USD": {"london": london}})
    entry, stop = 40_000 * 1.0018, (40_000 * 1.0018 - 160) * (1 - 0.0018)  # 24 / 2 + 6 = 18 bps
    expected = (stop - entry) * 3.125 - RATE * 3.125 * (entry + stop)
    assert stopped_order_result(order(), costs, DECIDED) == pytest.approx(expected)


def test_notional_counts_positions_and_orders():
    state, _, _ = run(waiting(order()), flat(1, 40_000.0))
    both = replace(state, orders=(order(symbol="ETH-USD"),))
    assert notional_of(both) == pytest.approx(250_000.0)
    assert both.busy("BTC-USD")
    assert both.busy("ETH-USD")
    assert not both.busy("BNB-USD")


def test_reading_rests_on_the_oldest_mark():
    state = waiting(order(), order(symbol="ETH-USD"))
    state = step_paper(state, {"BTC-USD": flat(1), "ETH-USD": flat(1)}, CONFIG, COSTS).state
    state = step_paper(state, {"BTC-USD": flat(2)}, CONFIG, COSTS).state
    assert reading_of(state, COSTS, DECIDED + 3 * MINUTE).priced_at_us == DECIDED + 2 * MINUTE
    assert reading_of(open_paper(1.0), COSTS, DECIDED).priced_at_us is None


def test_swap_is_charged_a_night_and_is_part_of_equity_and_net():
    costs = replace(COSTS, swap_bps_per_night=2.0)
    state, _, _ = run(waiting(order()), flat(1), costs=costs)
    night = accrue_swap(state, costs)
    assert night.positions[0].swap == pytest.approx(-25.0)  # 2 bps of 125,000
    assert equity_of(night, costs) == pytest.approx(equity_of(state, costs) - 25.0)
    assert equity_if_stopped(night, costs, DECIDED) == pytest.approx(
        equity_if_stopped(state, costs, DECIDED) - 25
    )
    candle = bar(2, 40_000, 40_000, 39_875, 39_900)
    (with_swap,), (without,) = run(night, candle, costs=costs)[1], run(state, candle, costs=costs)[1]
    assert with_swap.net == pytest.approx(without.net - 25.0)
    assert accrue_swap(state, COSTS) is state


def test_drawdown_is_from_the_peak_to_the_intraminute_low():
    state = waiting(order(costs=FREE))
    state, _, _ = run(state, bar(0, 40_000, 40_100, 40_000, 40_064), costs=FREE)  # peak 200,200
    state, _, _ = run(state, bar(1, 40_064, 40_064, 39_872, 40_000), costs=FREE)  # low 199,600
    assert state.peak_equity == pytest.approx(200_200.0)
    assert state.max_drawdown == pytest.approx(600 / 200_200)


def test_lowest_equity_takes_every_coin_at_its_worst():
    state = waiting(order(costs=FREE), order(Side.SHORT, "ETH-USD", FREE))
    bars = {
        "BTC-USD": bar(0, 40_000, 40_016, 39_984, 40_000),
        "ETH-USD": bar(0, 40_000, 40_032, 39_968, 40_000),
    }
    step = step_paper(state, bars, CONFIG, FREE)
    assert step.lowest_equity == pytest.approx(200_000 - 16 * 3.125 - 32 * 3.125)
    assert equity_of(step.state, FREE) == pytest.approx(200_000)


@pytest.mark.parametrize(
    "prices",
    [
        (math.nan, 40_000, 40_000, 40_000),
        (40_000, 39_900, 40_100, 40_000),
        (40_000, 40_000, 40_001, 40_000),
        (40_000, 40_000, -1.0, 40_000),
        (0.0, 40_000, 0.0, 40_000),
    ],
)
def test_what_cannot_be_a_candle_is_not_used(prices):
    state, _, _ = run(waiting(order()), flat(1))
    after, trades, step = run(state, bar(2, *prices))
    assert trades == []
    assert after.positions == state.positions
    assert math.isnan(step.lowest_equity)
    assert [type(event).__name__ for event in step.events] == ["PriceRejected"]


def test_a_bad_candle_of_a_waiting_order_leaves_the_equity_known():
    state, _, step = run(waiting(order()), bar(1, math.nan, 1, 1, 1))
    assert state.orders == (order(),)
    assert step.lowest_equity == 200_000


def test_a_candle_is_lived_through_once():
    state, _, _ = run(waiting(order()), flat(1), flat(2))
    again, trades, _ = run(state, bar(2, 40_000, 40_000, 30_000, 30_000))
    assert (again, trades) == (state, [])


def test_trades_are_json():
    _, trades, _ = run(waiting(order()), flat(1), bar(2, 40_000, 40_010, 39_875, 39_990))
    document = trades[0].as_json()
    assert (document["decided_at"], document["entry_at"], document["exit_at"]) == (
        "2025-11-10T12:04:00Z", "2025-11-10T12:05:00Z", "2025-11-10T12:07:00Z",
    )  # fmt: skip
    assert (document["exit_reason"], document["side"], document["tier"]) == ("stop", "long", "high")


def test_numbers_of_the_paper_account_are_positive():
    with pytest.raises(ValueError, match="positive"):
        PaperConfig(stop_atr=0)
