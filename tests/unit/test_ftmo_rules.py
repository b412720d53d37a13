"""FTMO's published examples, to the dollar, and the Prague day with its 23 and 25 hours."""

from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.risk import prague
from tradingai.engine.risk.ftmo import (
    ONE_STEP,
    TWO_STEP,
    FtmoRules,
    FtmoState,
    floors,
    floors_after_reset,
    objective,
    open_account,
    position_opened,
    record_breach,
    roll_to,
    stop_crossed,
    violated,
)

HOUR = 3_600_000_000


def us(text: str) -> int:
    return datetime_to_us(parse_iso(text))


START = us("2025-11-10T12:00:00Z")  # 13:00 in Prague, which is an hour ahead of UTC in winter


def after_midnights(rules: FtmoRules, initial: float, *balances: float) -> FtmoState:
    """An account whose Prague midnights found these balances, one a day."""
    state = open_account(initial, START)
    for balance in balances:
        state, _ = roll_to(state, rules, state.next_reset_us, balance)
    return state


# ------------------------------------------------------------------------------------------- the Prague day


def test_prague_midnight_is_23_utc_in_winter_and_22_in_summer():
    assert prague.next_reset_us(us("2025-11-10T12:00:00Z")) == us("2025-11-10T23:00:00Z")
    assert prague.next_reset_us(us("2025-07-10T12:00:00Z")) == us("2025-07-10T22:00:00Z")


def test_midnight_itself_belongs_to_the_new_day():
    midnight = us("2025-11-10T23:00:00Z")
    assert prague.next_reset_us(midnight - 1) == midnight
    assert prague.next_reset_us(midnight) == us("2025-11-11T23:00:00Z")
    assert prague.day_name(prague.prague_day(midnight - 1)) == "2025-11-10"
    assert prague.day_name(prague.prague_day(midnight)) == "2025-11-11"


@pytest.mark.parametrize(
    ("noon", "hours"),
    [("2025-03-30T10:00:00Z", 23), ("2025-10-26T11:00:00Z", 25), ("2025-11-10T11:00:00Z", 24)],
)
def test_days_around_a_clock_change_have_23_and_25_hours(noon, hours):
    day = prague.prague_day(us(noon))
    assert prague.midnight_us(day + 1) - prague.midnight_us(day) == hours * HOUR
    state = open_account(100_000, prague.midnight_us(day))
    assert state.next_reset_us - prague.midnight_us(day) == hours * HOUR


@pytest.mark.parametrize("moment", ["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"])
def test_the_hour_that_comes_twice_is_in_one_day(moment):
    assert prague.day_name(prague.prague_day(us(moment))) == "2025-10-26"
    assert prague.next_reset_us(us(moment)) == us("2025-10-26T23:00:00Z")


def test_many_days_at_once_are_the_same_days():
    times = np.arange(us("2025-03-28T00:00:00Z"), us("2025-04-02T00:00:00Z"), HOUR // 2, dtype=np.int64)
    assert prague.prague_days(times).tolist() == [prague.prague_day(int(ts)) for ts in times]
    assert prague.prague_days(np.zeros(0, dtype=np.int64)).tolist() == []


# ---------------------------------------------------------------------------------------------- daily limit


def test_first_day_counts_from_the_initial_balance():
    now = floors(open_account(200_000, START), TWO_STEP)
    assert now.daily_limit == 190_000
    assert now.daily_stop == 191_000  # 4.5 % of 200,000 is 9,000
    assert now.total_limit == 180_000
    assert now.total_stop == 182_000
    assert now.stop == 191_000


def test_published_example_four_thousand_up_may_lose_fourteen_thousand():
    state = open_account(200_000, START)
    balance = 204_000
    assert balance - floors(state, TWO_STEP).daily_limit == 14_000
    assert violated(state, TWO_STEP, 190_000) is None  # equality is not below
    assert violated(state, TWO_STEP, 189_999.99) == ("daily", 190_000)


def test_published_example_eight_thousand_down_leaves_two_thousand():
    state = open_account(200_000, START)
    assert 192_000 - floors(state, TWO_STEP).daily_limit == 2_000


def test_published_example_thirteen_thousand_open_breaches_at_the_reset():
    state = open_account(200_000, START)
    equity = 200_000 + 4_000 - 13_000
    assert violated(state, TWO_STEP, equity) is None
    later, _ = roll_to(state, TWO_STEP, state.next_reset_us, 204_000)
    assert floors(later, TWO_STEP).daily_limit == 194_000  # now only 10,000 are allowed
    assert violated(later, TWO_STEP, equity) == ("daily", 194_000)
    assert floors_after_reset(state, TWO_STEP, 204_000) == floors(later, TWO_STEP)


def test_the_daily_floor_moves_with_each_midnights_balance_both_ways():
    limits = [
        floors(after_midnights(TWO_STEP, 200_000, *balances), TWO_STEP).daily_limit
        for balances in ((203_000,), (203_000, 197_500))
    ]
    assert limits == [193_000, 187_500]


def test_the_reset_is_not_at_utc_midnight():
    state = open_account(200_000, START)
    state, events = roll_to(state, TWO_STEP, us("2025-11-10T22:59:59Z"), 204_000)
    assert events == ()
    assert state.day_start_balance == 200_000
    state, events = roll_to(state, TWO_STEP, us("2025-11-10T23:00:00Z"), 204_000)
    assert state.day_start_balance == 204_000
    assert [(event.at, event.day, event.daily_limit) for event in events] == [
        ("2025-11-10T23:00:00Z", "2025-11-11", 194_000)
    ]


def test_several_midnights_at_once_found_the_same_balance():
    state = open_account(200_000, START)
    rolled, events = roll_to(state, TWO_STEP, us("2025-11-14T09:00:00Z"), 204_000)
    assert len(events) == 1
    assert rolled.day_start_balance == 204_000
    assert rolled.best_day_profit == 4_000
    assert rolled.next_reset_us == us("2025-11-14T23:00:00Z")


def test_a_clock_that_went_back_passes_no_midnight():
    state = after_midnights(TWO_STEP, 200_000, 204_000)
    assert roll_to(state, TWO_STEP, START, 150_000) == (state, ())


# -------------------------------------------------------------------------------------------- maximum loss


def test_published_static_example():
    state = after_midnights(TWO_STEP, 100_000, 92_000)
    assert violated(state, TWO_STEP, 92_000 - 2_001) == ("total", 90_000)
    assert violated(state, TWO_STEP, 92_000 - 2_000) is None


def test_a_static_floor_stays_where_it_is():
    assert floors(after_midnights(TWO_STEP, 100_000, 130_000), TWO_STEP).total_limit == 90_000


def test_published_one_step_example():
    found = [
        floors(after_midnights(ONE_STEP, 100_000, *balances), ONE_STEP).total_limit
        for balances in ((), (104_000,), (104_000, 103_000))
    ]
    assert found == [90_000, 94_000, 94_000]


def test_one_step_floor_rises_above_the_initial_balance():
    assert floors(after_midnights(ONE_STEP, 100_000, 112_000), ONE_STEP).total_limit == 102_000


def test_one_step_floor_does_not_fall_below_the_initial_one():
    assert floors(after_midnights(ONE_STEP, 100_000, 98_000), ONE_STEP).total_limit == 90_000


def test_one_step_daily_limit_and_internal_stops():
    now = floors(open_account(100_000, START), ONE_STEP)
    assert now.daily_limit == 97_000
    assert now.daily_stop == pytest.approx(97_300)  # 2.7 %
    assert now.total_stop == pytest.approx(91_000)  # 9 %


def test_two_step_account_with_a_trailing_maximum():
    rules = replace(TWO_STEP, max_loss_mode="trailing")
    assert floors(after_midnights(rules, 100_000, 104_000, 103_000), rules).total_limit == 94_000


def test_internal_stops_come_before_the_limits():
    state = open_account(200_000, START)
    assert stop_crossed(state, TWO_STEP, 191_000) is None
    assert stop_crossed(state, TWO_STEP, 190_999) == ("daily", 191_000)
    assert violated(state, TWO_STEP, 190_999) is None
    late = after_midnights(TWO_STEP, 200_000, 186_000)
    assert stop_crossed(late, TWO_STEP, 181_999) == ("total", 182_000)


def test_nan_is_below_every_floor():
    state = open_account(200_000, START)
    assert violated(state, TWO_STEP, float("nan")) == ("daily", 190_000)


def test_the_first_breach_is_kept():
    state = open_account(200_000, START)
    once = record_breach(state, TWO_STEP, 189_000, START)
    assert (once.breach.limit, once.breach.equity, once.breach.floor) == ("daily", 189_000, 190_000)
    assert record_breach(once, TWO_STEP, 100_000, START + HOUR) == once


@pytest.mark.parametrize("balance", [0, -1, float("nan"), float("inf")])
def test_an_account_needs_money(balance):
    with pytest.raises(ValueError, match="starts with money"):
        open_account(balance, START)


def test_nonsense_limits_are_refused():
    with pytest.raises(ValueError, match="fractions"):
        FtmoRules(daily_loss=5)


# --------------------------------------------------------------------------------------------- objectives


def traded(state: FtmoState, rules: FtmoRules, *profits: float) -> tuple[FtmoState, float]:
    """One position a day with these profits; the last day is still going on."""
    balance = state.day_start_balance
    for day, profit in enumerate(profits):
        state = position_opened(position_opened(state))
        balance += profit
        if day < len(profits) - 1:
            state, _ = roll_to(state, rules, state.next_reset_us, balance)
    return state, balance


def test_a_challenge_passes_with_target_and_four_days():
    state, balance = traded(open_account(200_000, START), TWO_STEP, 5_000, 5_000, 5_000, 5_000)
    result = objective(state, TWO_STEP, balance, flat=True)
    assert (result.target, result.profit, result.to_go) == (20_000, 20_000, 0)
    assert (result.days_traded, result.min_trading_days) == (4, 4)
    assert result.passed
    assert not objective(state, TWO_STEP, balance, flat=False).passed
    assert not objective(state, TWO_STEP, balance - 1, flat=True).passed
    assert objective(state, TWO_STEP, balance - 1, flat=True).to_go == 1


def test_three_days_are_not_enough():
    state, balance = traded(open_account(200_000, START), TWO_STEP, 10_000, 5_000, 5_000)
    assert not objective(state, TWO_STEP, balance, flat=True).passed


def test_days_without_a_new_position_do_not_count():
    state, balance = traded(open_account(200_000, START), TWO_STEP, 20_000)
    for _ in range(5):
        state, _ = roll_to(state, TWO_STEP, state.next_reset_us, balance)
    assert objective(state, TWO_STEP, balance, flat=True).days_traded == 1


def test_phases_have_their_own_targets():
    names = [(TWO_STEP.phase_name(phase), TWO_STEP.target(phase)) for phase in (1, 2, 3)]
    assert names == [("challenge", 0.10), ("verification", 0.05), ("funded", None)]
    assert [(ONE_STEP.phase_name(phase), ONE_STEP.target(phase)) for phase in (1, 2)] == [
        ("challenge", 0.10),
        ("funded", None),
    ]
    funded = objective(open_account(200_000, START, phase=3), TWO_STEP, 250_000, flat=True)
    assert (funded.target, funded.to_go, funded.min_trading_days, funded.passed) == (None, 0, 0, False)


def test_a_breached_account_never_passes():
    state, balance = traded(open_account(200_000, START), TWO_STEP, 5_000, 5_000, 5_000, 5_000)
    lost = record_breach(state, TWO_STEP, 100_000, START)
    assert not objective(lost, TWO_STEP, balance, flat=True).passed


def test_published_best_day_example():
    state, balance = traded(open_account(100_000, START), ONE_STEP, 5_000, 2_000, 3_000)
    result = objective(state, ONE_STEP, balance, flat=True)
    assert result.best_day == 5_000
    assert result.best_day_share == 0.5
    assert result.passed


def test_a_best_day_above_half_only_delays():
    state, balance = traded(open_account(100_000, START), ONE_STEP, 6_000, 4_000)
    result = objective(state, ONE_STEP, balance, flat=True)
    assert result.best_day_share == 0.6
    assert not result.passed
    assert state.breach is None
    state, balance = traded(state, ONE_STEP, 4_000, 2_000)
    assert objective(state, ONE_STEP, balance, flat=True).passed  # 6,000 of 12,000


def test_today_may_be_the_best_day():
    state, balance = traded(open_account(100_000, START), ONE_STEP, 1_000, 9_000)
    assert objective(state, ONE_STEP, balance, flat=True).best_day == 9_000


def test_the_best_day_rule_makes_it_two_days():
    state, balance = traded(open_account(100_000, START), ONE_STEP, 10_000)
    assert objective(state, ONE_STEP, balance, flat=True).best_day_share == 1.0
    assert not objective(state, ONE_STEP, balance, flat=True).passed


def test_without_profit_there_is_no_best_day_share():
    assert objective(open_account(100_000, START), ONE_STEP, 99_000, flat=True).best_day_share is None
