"""The guard: halts on whatever it cannot compute, backs off after losses, is left only with a reason."""

import json
import math
from dataclasses import replace

import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.risk.ftmo import ONE_STEP, open_account, position_opened
from tradingai.engine.risk.ftmo_status import floor_distances, ftmo_status, reset_outlook
from tradingai.engine.risk.guard import (
    BackOff,
    GuardState,
    GuardStatus,
    Reading,
    RiskConfig,
    entry_refusal,
    halt,
    leave_halted,
    observe,
    pass_midnights,
    size_factor,
    tick,
    trade_closed,
)

MINUTE = 60_000_000


def us(text: str) -> int:
    return datetime_to_us(parse_iso(text))


NOW = us("2025-11-10T12:00:00Z")
MIDNIGHT = us("2025-11-10T23:00:00Z")
CONFIG = RiskConfig()
ACCOUNT = open_account(200_000, NOW)
GUARD = GuardState(since_us=NOW)


def reading(
    equity: float, *, balance: float = 200_000, lowest: float | None = None, age_s: float | None = None
):
    priced = None if age_s is None else NOW - round(age_s * 1e6)
    return Reading(NOW, balance, equity, equity if lowest is None else lowest, priced)


def looked(equity: float, **how):
    return observe(GUARD, ACCOUNT, CONFIG, reading(equity, **how))


def lose(guard: GuardState, *minutes: float) -> GuardState:
    for minute in minutes:
        guard, _ = trade_closed(guard, BackOff(), NOW + round(minute * MINUTE), won=False)
    return guard


# ------------------------------------------------------------------------------------------- fails closed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["balance", "equity", "lowest_equity"])
def test_what_is_not_a_number_is_a_halt(value, field):
    guard, account, events = observe(GUARD, ACCOUNT, CONFIG, reading(200_000)._replace(**{field: value}))
    assert (guard.status, guard.cause) == (GuardStatus.HALTED, "not_a_number")
    assert account == ACCOUNT
    assert [(event.previous, event.status, event.cause) for event in events] == [
        ("ACTIVE", "HALTED", "not_a_number")
    ]
    assert events[0].at == "2025-11-10T12:00:00Z"


def test_a_stale_equity_is_a_halt():
    assert looked(200_000, age_s=300)[0].status is GuardStatus.ACTIVE
    guard, _, _ = looked(200_000, age_s=301)
    assert (guard.status, guard.cause) == (GuardStatus.HALTED, "stale")
    assert "301 s old" in guard.detail


def test_an_equity_from_the_future_is_a_halt():
    guard, _, _ = looked(200_000, age_s=-60)
    assert (guard.status, guard.cause) == (GuardStatus.HALTED, "future")


def test_without_positions_the_equity_is_never_stale():
    assert looked(200_000, age_s=None)[0] == GUARD


@pytest.mark.parametrize(
    ("equity", "cause", "breached"),
    [
        (191_000, None, None),
        (190_999, "daily_stop", None),
        (190_000, "daily_stop", None),
        (189_999, "daily_limit", "daily"),
    ],
)
def test_internal_stops_and_limits_halt(equity, cause, breached):
    guard, account, _ = looked(equity)
    assert (guard.cause or None) == cause
    assert (guard.status is GuardStatus.HALTED) == (cause is not None)
    assert (account.breach.limit if account.breach else None) == breached


def test_the_lowest_equity_counts_not_only_the_last():
    guard, account, events = looked(199_000, lowest=189_000)
    assert guard.cause == "daily_limit"
    assert account.breach.equity == 189_000
    assert [type(event).__name__ for event in events] == ["FtmoLimitBreached", "GuardStateChanged"]


def test_the_total_stop_halts_where_the_daily_one_is_lower():
    account = replace(ACCOUNT, day_start_balance=186_000)
    guard, _, _ = observe(GUARD, account, CONFIG, reading(181_999, balance=186_000))
    assert guard.cause == "total_stop"


def test_halting_twice_keeps_the_first_cause_and_says_nothing_again():
    guard, _, _ = looked(math.nan)
    again, events = halt(guard, NOW + MINUTE, "stale", "later")
    assert again == guard
    assert events == ()
    assert observe(guard, ACCOUNT, CONFIG, reading(200_000))[0] == guard


def test_a_halt_is_not_ended_by_midnight():
    guard, _, _ = looked(math.nan)
    guard, _, _ = pass_midnights(guard, ACCOUNT, CONFIG, MIDNIGHT, 200_000)
    assert guard.status is GuardStatus.HALTED
    assert size_factor(guard, CONFIG) == 0


# ---------------------------------------------------------------------------------------------- back-off


def test_two_losses_within_an_hour_halve_the_risk_until_prague_midnight():
    guard = lose(GUARD, 0, 60)
    assert guard.status is GuardStatus.REDUCING
    assert guard.reduce_until_us == MIDNIGHT
    assert size_factor(guard, CONFIG) == 0.5
    assert tick(guard, MIDNIGHT - 1)[0].status is GuardStatus.REDUCING
    after, events = tick(guard, MIDNIGHT)
    assert after.status is GuardStatus.ACTIVE
    assert size_factor(after, CONFIG) == 1.0
    assert [(event.previous, event.status) for event in events] == [("REDUCING", "ACTIVE")]


def test_two_losses_further_apart_do_not():
    assert lose(GUARD, 0, 60.01).status is GuardStatus.ACTIVE


def test_one_loss_and_wins_do_not():
    guard = lose(GUARD, 0)
    guard, _ = trade_closed(guard, BackOff(), NOW + MINUTE, won=True)
    assert guard.status is GuardStatus.ACTIVE


def test_more_losses_neither_compound_nor_prolong():
    guard = lose(GUARD, 0, 1, 2, 3, 4, 5)
    assert size_factor(guard, CONFIG) == 0.5
    assert guard.reduce_until_us == MIDNIGHT
    assert len(guard.losses_us) == 2
    assert trade_closed(guard, BackOff(), NOW + 6 * MINUTE, won=False)[1] == ()


def test_losses_on_both_sides_of_midnight_back_off_again():
    guard = lose(GUARD, 10 * 60, 10 * 60 + 50)  # 22:00Z and 22:50Z
    guard, _ = tick(guard, MIDNIGHT)
    guard, events = trade_closed(guard, BackOff(), MIDNIGHT + 5 * MINUTE, won=False)
    assert guard.status is GuardStatus.REDUCING
    assert guard.reduce_until_us == us("2025-11-11T23:00:00Z")
    assert len(events) == 1


def test_a_halted_guard_remembers_the_back_off_for_when_it_is_left():
    guard = lose(looked(math.nan)[0], 0, 1)
    assert guard.status is GuardStatus.HALTED
    guard, _ = leave_halted(guard, ACCOUNT, CONFIG, reading(200_000), reason="feed repaired", who="operator")
    assert guard.status is GuardStatus.REDUCING


# ---------------------------------------------------------------------------------------------- leaving


def test_leaving_needs_a_reason_of_ten_characters_and_records_it():
    guard, _, _ = looked(math.nan)
    with pytest.raises(UsageError, match="too short"):
        leave_halted(guard, ACCOUNT, CONFIG, reading(200_000), reason="  because ", who="ann")
    left, events = leave_halted(
        guard, ACCOUNT, CONFIG, reading(200_000), reason=" price feed repaired ", who="ann"
    )
    assert (left.status, left.cause, left.detail) == (
        GuardStatus.ACTIVE, "operator", "ann: price feed repaired",
    )  # fmt: skip
    assert [(event.previous, event.status, event.detail) for event in events] == [
        ("HALTED", "ACTIVE", "ann: price feed repaired")
    ]


def test_an_active_guard_cannot_be_left():
    with pytest.raises(UsageError, match="ACTIVE, not HALTED"):
        leave_halted(GUARD, ACCOUNT, CONFIG, reading(200_000), reason="no reason at all", who="ann")


@pytest.mark.parametrize("equity", [math.nan, 190_999])
def test_what_still_holds_cannot_be_left(equity):
    guard, account, _ = looked(equity)
    with pytest.raises(UsageError, match="still holds"):
        leave_halted(guard, account, CONFIG, reading(equity), reason="trust me, it is fine", who="ann")


def test_a_daily_stop_can_be_left_after_the_reset():
    guard, account, _ = looked(190_500, balance=190_500)
    guard, account, _ = pass_midnights(guard, account, CONFIG, MIDNIGHT, 190_500)
    left, _ = leave_halted(
        guard, account, CONFIG, reading(190_500, balance=190_500), reason="a new Prague day", who="ann"
    )
    assert left.status is GuardStatus.ACTIVE


def test_a_breached_account_cannot_be_left():
    guard, account, _ = looked(189_000)
    with pytest.raises(UsageError, match="account is lost") as caught:
        leave_halted(guard, account, CONFIG, reading(200_000), reason="it recovered since", who="ann")
    assert "ftmo reset" in caught.value.remedy


# -------------------------------------------------------------------------------------------- entry check


def refusal(equity_if_stopped: float, *, balance: float = 200_000, notional: float = 0.0, until: int = NOW):
    return entry_refusal(
        ACCOUNT, CONFIG, balance=balance, equity_if_stopped=equity_if_stopped, notional=notional,
        held_until_us=until,
    )  # fmt: skip


def test_an_entry_is_refused_when_all_stops_hit_would_cross_the_daily_stop():
    assert refusal(191_000) is None
    assert "daily stop at 191,000.00" in refusal(190_999.99)
    assert "daily" in refusal(math.nan)


def test_an_entry_is_refused_when_it_would_cross_the_total_stop():
    account = replace(ACCOUNT, day_start_balance=183_000)
    found = entry_refusal(
        account, CONFIG, balance=183_000, equity_if_stopped=181_500, notional=0, held_until_us=NOW
    )
    assert "total stop at 182,000.00" in found


def test_what_is_held_over_midnight_must_keep_to_the_next_days_stop():
    # Today's stop is 191,000. A midnight that finds 204,000 sets the next at 195,000.
    assert refusal(194_000, balance=204_000, until=MIDNIGHT - 1) is None
    assert "next day's stop at 195,000.00" in refusal(194_000, balance=204_000, until=MIDNIGHT)
    assert refusal(195_000, balance=204_000, until=MIDNIGHT) is None


def test_an_entry_is_refused_beyond_the_leverage():
    assert refusal(199_000, notional=660_000) is None
    assert "3.3" in refusal(199_000, notional=660_001)
    assert refusal(199_000, notional=math.nan) is not None


# ---------------------------------------------------------------------------------------------- distances

WIRE = replace(ACCOUNT, day_start_balance=203_412.60, highest_midnight_balance=203_412.60)


def test_distances_of_the_wireframes_account():
    rows = {row.name: row for row in floor_distances(WIRE, CONFIG.rules, 204_118.35)}
    figures = {name: (round(row.at, 2), round(row.left, 2)) for name, row in rows.items()}
    assert figures == {
        "daily stop": (194_412.60, 9_705.75),
        "daily limit": (193_412.60, 10_705.75),
        "total stop": (182_000.00, 22_118.35),
        "total limit": (180_000.00, 24_118.35),
    }
    assert [row.fraction for row in rows.values()] == pytest.approx([0.045, 0.05, 0.09, 0.10])
    assert all(row.room == 1 and not row.crossed for row in rows.values())


def test_room_is_the_share_of_the_allowance_that_is_left():
    rows = {row.name: row for row in floor_distances(ACCOUNT, CONFIG.rules, 194_000)}
    assert rows["daily stop"].room == pytest.approx(3_000 / 9_000)
    assert rows["daily limit"].room == pytest.approx(4_000 / 10_000)
    below = {row.name: row for row in floor_distances(ACCOUNT, CONFIG.rules, 190_500)}
    assert below["daily stop"].room == 0
    assert below["daily stop"].crossed
    assert below["daily stop"].left == -500
    assert not below["daily limit"].crossed


def test_the_reset_itself_would_breach_and_warns_when_it_is_near():
    # 13,000 open on a balance of 204,000: the reset allows 10,000
    far = Reading(MIDNIGHT - 61 * MINUTE, 204_000, 191_000, 191_000, MIDNIGHT - 61 * MINUTE)
    outlook = reset_outlook(ACCOUNT, CONFIG, far)
    assert (outlook.at, outlook.in_s) == ("2025-11-10T23:00:00Z", 61 * 60)
    assert (outlook.daily_limit, outlook.left, outlook.would_breach, outlook.warn) == (
        194_000,
        -3_000,
        True,
        False,
    )
    near = far._replace(at_us=MIDNIGHT - 60 * MINUTE)
    assert reset_outlook(ACCOUNT, CONFIG, near).warn
    harmless = near._replace(equity=194_000.0)
    assert not reset_outlook(ACCOUNT, CONFIG, harmless).would_breach


def test_the_next_reset_of_a_25_hour_day_is_25_hours_away():
    account = open_account(200_000, us("2025-10-25T22:00:00Z"))
    at = Reading(us("2025-10-25T22:00:00Z"), 200_000, 200_000, 200_000, None)
    assert reset_outlook(account, CONFIG, at).in_s == 25 * 3600


def test_a_one_step_reset_may_breach_the_total_limit():
    # Balance 115,000: the reset lifts the total floor to 105,000 and the daily one to 112,000.
    config = replace(CONFIG, rules=ONE_STEP, initial_balance=100_000)
    account = open_account(100_000, NOW)
    at = Reading(NOW, 115_000, 104_000, 104_000, NOW)
    outlook = reset_outlook(account, config, at)
    assert (outlook.daily_limit, outlook.total_limit) == (112_000, 105_000)
    assert outlook.left == -8_000


def test_the_status_document_is_whole_and_json():
    account = position_opened(WIRE)
    at = Reading(NOW, 203_998.35, 204_118.35, 204_118.35, NOW)
    document = json.loads(dumps(ftmo_status(GUARD, account, CONFIG, at, 202_927.40).as_json()))
    assert document["status"] == "ACTIVE"
    assert document["nearest"] == "daily stop"
    assert round(document["closed_today"], 2) == 585.75
    assert round(document["floating"], 2) == 120.00
    assert document["day"] == "2025-11-10"
    assert document["day_start"] == "2025-11-09T23:00:00Z"
    assert document["floors"][0]["name"] == "daily stop"
    assert document["reset"]["at"] == "2025-11-10T23:00:00Z"
    assert round(document["objective"]["to_go"], 2) == 16_001.65  # closed profit counts, floating does not
    assert document["objective"]["days_traded"] == 1
    assert document["rules_as_of"] == "2025-11"
