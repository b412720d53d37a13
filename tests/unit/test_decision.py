"""Decisions: one reason each, in order; ranking; failing closed."""

import json
import math
from dataclasses import replace

import pytest
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.decision import desk, rules
from tradingai.engine.decision.desk import advance, decide, halt_desk, leave_halted
from tradingai.engine.decision.orders import Exit
from tradingai.engine.decision.records import (
    REASONS,
    CoinInput,
    Reason,
    Side,
)
from tradingai.engine.decision.state import DeskConfig, DeskState, TierMemory
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.guard import GuardStatus
from tradingai.engine.risk.limits import RateLimits, RateState

from tests.fakes.desk import AT, CONFIG, FRESH, MINUTE, REASON, bars, coin, decide_one, flat, opened, scan

# ------------------------------------------------------------------------ exactly one reason, in order


def test_reasons_stand_in_the_specified_order():
    assert [reason.value for reason in REASONS] == [
        "no_new_candle", "stale", "below_threshold", "killed",
        "rate_limited", "risk_blocked", "position_open", "emitted",
    ]  # fmt: skip


def test_the_first_rule_that_applies_decides():
    """Everything is wrong at first; then one obstacle after the other is taken away, in order."""
    halted, _ = halt_desk(opened(), AT, "drill", "a drill")
    full = RateState(total_us=tuple(range(AT - 10, AT)))
    state = replace(halted, rates=full, seen_us={"BTC-USD": AT - 10 * MINUTE})
    at = AT + 2 * MINUTE
    one = coin(p_up=0.6, candle_us=AT - 10 * MINUTE)
    given = {"at": at, "killed": True}
    found = [decide_one(state, one, **given)[1].reason]
    state = replace(state, seen_us={})
    found.append(decide_one(state, one, **given)[1].reason)
    one = one._replace(candle_us=at - MINUTE)
    found.append(decide_one(state, one, **given)[1].reason)
    one = one._replace(p_up=0.8)
    found.append(decide_one(state, one, **given)[1].reason)
    given["killed"] = False
    found.append(decide_one(state, one, **given)[1].reason)
    state = replace(state, rates=RateState())
    found.append(decide_one(state, one, **given)[1].reason)
    state, _ = leave_halted(state, CONFIG, at, reason=REASON, who="ann")
    found.append(decide_one(state, one, **given)[1].reason)
    state = replace(state, paper=replace(state.paper, positions=()))
    found.append(decide_one(state, one, **given)[1].reason)
    assert found == list(REASONS)


def test_an_emitted_signal_carries_the_planned_numbers():
    state, decision = decide_one(
        FRESH,
        coin(versions={"lstm_BTC-USD": "v1.0.0"}, outputs={"lstm": 0.8}, input_sha256="ab"),
        latency_ms=19.0,
    )
    signal = decision.signal
    assert (decision.reason, decision.detail, decision.failed) == (Reason.EMITTED, "", False)
    assert signal.key == "BTC-USD@2025-11-10T12:03:00Z"
    assert (signal.side, signal.tier, signal.confidence) == (Side.LONG, Tier.HIGH, 0.8)
    assert signal.entry == pytest.approx(40_036.0)
    assert signal.stop_loss == pytest.approx(39_876.0)
    assert signal.take_profit == pytest.approx(40_356.0)
    assert (signal.reward_risk, signal.quantity, signal.risk_money) == (2.0, 3.125, 500.0)
    assert (signal.spread_bps, signal.slip_bps, signal.latency_ms, signal.mode) == (
        12.0,
        3.0,
        19.0,
        "dry-run",
    )
    assert (decision.versions, decision.outputs, decision.input_sha256) == (
        {"lstm_BTC-USD": "v1.0.0"}, {"lstm": 0.8}, "ab",
    )  # fmt: skip
    order = state.paper.orders[0]
    assert (order.earliest_us, order.expires_us) == (AT + 500_000, AT + 500_000 + 3 * MINUTE)
    assert state.rates == RateState((AT,), (AT,))


def test_a_short_signal_mirrors_it():
    signal = decide_one(FRESH, coin(p_up=0.2))[1].signal
    assert (signal.side, signal.entry) == (Side.SHORT, pytest.approx(39_964.0))
    assert signal.stop_loss == pytest.approx(40_124.0)
    assert signal.take_profit == pytest.approx(39_644.0)


def test_a_decision_is_whole_json():
    document = json.loads(dumps(decide_one(FRESH, coin())[1].as_json()))
    assert (document["at"], document["candle"]) == ("2025-11-10T12:04:00Z", "2025-11-10T12:03:00Z")
    assert (document["reason"], document["side"], document["tier"]) == ("emitted", "long", "high")
    assert document["signal"]["risk_money"] == 500.0
    assert json.loads(dumps(decide_one(FRESH, coin(p_up=math.nan))[1].as_json()))["p_up"] is None


# ---------------------------------------------------------------------------------------- single rules


def test_a_candle_is_decided_on_once():
    state, first = decide_one(FRESH, coin(p_up=0.6))
    assert first.reason is Reason.BELOW_THRESHOLD
    state, second = decide_one(state, coin(p_up=0.9))
    assert second.reason is Reason.NO_NEW_CANDLE
    assert second.tier is None
    _, third = decide_one(state, coin(candle_us=AT - 5 * MINUTE))  # the provider returned an old one
    assert third.reason is Reason.NO_NEW_CANDLE
    _, none = decide_one(state, coin(candle_us=None))
    assert (none.reason, none.detail) == (Reason.NO_NEW_CANDLE, "no candle")


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [
        (0, Reason.EMITTED),
        (180, Reason.EMITTED),
        (181, Reason.STALE),
        (3600, Reason.STALE),
        (-1, Reason.STALE),
    ],
)
def test_freshness_counts_from_the_close_and_refuses_the_future(age_s, reason):
    assert decide_one(FRESH, coin(candle_us=AT - MINUTE - age_s * 1_000_000))[1].reason is reason


@pytest.mark.parametrize(
    ("p_up", "detail"),
    [
        (0.7499, "0.7499 below 0.75"),
        (0.2501, "0.7499 below 0.75"),
        (None, "no probability"),
        (math.nan, "probability nan is not between 0 and 1"),
        (1.5, "probability 1.5 is not between 0 and 1"),
    ],
)
def test_below_threshold_says_why(p_up, detail):
    _, decision = decide_one(FRESH, coin(p_up=p_up))
    assert (decision.reason, decision.detail) == (Reason.BELOW_THRESHOLD, detail)


def test_the_note_tells_why_there_is_no_probability():
    _, decision = decide_one(FRESH, coin(p_up=None, note="no promoted model"))
    assert decision.detail == "no promoted model"


def test_threshold_is_inclusive_and_the_runtimes_overrides_the_settings():
    assert decide_one(FRESH, coin(p_up=0.75))[1].emitted
    assert decide_one(FRESH, coin(p_up=0.75), threshold=0.76)[1].reason is Reason.BELOW_THRESHOLD
    lower = decide_one(FRESH, coin(p_up=0.70), threshold=0.70)[1]
    assert (lower.emitted, lower.threshold, lower.tier) == (True, 0.70, Tier.MEDIUM)
    assert decide_one(FRESH, coin(p_up=1.0), threshold=math.nan)[1].reason is Reason.BELOW_THRESHOLD


def test_killed_names_its_source():
    _, decision = decide_one(FRESH, coin(), killed=True, kill_source="Telegram, ann")
    assert (decision.reason, decision.detail) == (Reason.KILLED, "kill switch on: Telegram, ann")


def test_the_kill_switch_leaves_open_positions_to_their_rules():
    state = opened()
    state = decide(state, CONFIG, scan(coin(), at=AT + 2 * MINUTE, killed=True)).state
    assert len(state.paper.positions) == 1


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"atr": math.nan}, "close or ATR not a number"),
        ({"close": math.inf}, "close or ATR not a number"),
        ({"atr": 0.0}, "must be positive"),
        ({"atr": 6_000.0}, "below zero"),
        ({"atr": 8.0}, "within the 9.0 bps"),  # 4 x 8 = 32 = 8 bps of 40,000
        ({"atr": 9.5}, "notional"),  # 500 / 38 x 40,000 = 526,316
    ],
)
def test_an_order_that_makes_no_sense_is_risk_blocked(change, detail):
    config = replace(CONFIG, risk=replace(CONFIG.risk, max_leverage=2.5))  # of 200,000: 500,000
    _, decision = decide_one(FRESH, coin(**change), config)
    assert decision.reason is Reason.RISK_BLOCKED
    assert detail in decision.detail


def test_open_stops_are_counted_against_the_daily_stop():
    # One stop costs 693.28 with costs. 191,000 is the stop: with 192,000 one position fits, not two.
    state = replace(FRESH, paper=replace(FRESH.paper, balance=192_000.0))
    decided = decide(state, CONFIG, scan(coin("BTC-USD", 0.9), coin("ETH-USD", 0.8)))
    assert [decision.reason for decision in decided.decisions] == [Reason.EMITTED, Reason.RISK_BLOCKED]
    assert "all stops hit leave 190,613.45, below the daily stop at 191,000.00" in decided.decisions[1].detail


def test_leverage_counts_what_is_open_already():
    # one position is 3.125 x 40,000 = 125,000; 1.2 x 200,000 = 240,000 has room for one, not for two
    config = replace(CONFIG, risk=replace(CONFIG.risk, max_leverage=1.2))
    decided = decide(FRESH, config, scan(coin("BTC-USD", 0.9), coin("ETH-USD", 0.8)))
    assert [decision.reason for decision in decided.decisions] == [Reason.EMITTED, Reason.RISK_BLOCKED]
    assert decided.decisions[1].detail == "notional 250,000.00 is more than 1.2 × 200,000.00"


def test_one_position_a_coin_counts_waiting_orders_too():
    state, _ = decide_one(FRESH, coin())
    later = AT + 2 * MINUTE
    _, decision = decide_one(state, coin(at=later), at=later)
    assert decision.reason is Reason.POSITION_OPEN
    _, decision = decide_one(opened(), coin(at=later), at=later)
    assert decision.reason is Reason.POSITION_OPEN


# --------------------------------------------------------------------------------------------- ranking


def limited(total: int, high: int = 1000) -> DeskConfig:
    return replace(CONFIG, decision=replace(CONFIG.decision, rates=RateLimits(total, high)))


def reasons(state: DeskState, config: DeskConfig, *coins: CoinInput, **how) -> list[str]:
    return [decision.reason.value for decision in decide(state, config, scan(*coins, **how)).decisions]


def test_the_most_confident_coins_get_the_slots():
    coins = coin("BTC-USD", 0.80), coin("ETH-USD", 0.05), coin("BNB-USD", 0.85)
    assert reasons(FRESH, limited(1), *coins) == ["rate_limited", "emitted", "rate_limited"]
    assert reasons(FRESH, limited(2), *coins) == ["rate_limited", "emitted", "emitted"]


def test_equal_confidence_goes_by_name():
    coins = coin("ETH-USD", 0.8), coin("BTC-USD", 0.8)
    assert reasons(FRESH, limited(1), *coins) == ["rate_limited", "emitted"]


def test_a_blocked_coin_takes_no_slot():
    coins = coin("BTC-USD", 0.95, atr=math.nan), coin("ETH-USD", 0.8)
    assert reasons(FRESH, limited(1), *coins) == ["risk_blocked", "emitted"]


def test_the_high_limit_leaves_lower_tiers_alone():
    coins = coin("BTC-USD", 0.90), coin("ETH-USD", 0.80), coin("BNB-USD", 0.70)
    assert reasons(FRESH, limited(10, 1), *coins, threshold=0.65) == ["emitted", "rate_limited", "emitted"]


# ------------------------------------------------------------------------------------------ hysteresis


def test_hysteresis_lives_in_the_state():
    state, first = decide_one(FRESH, coin(p_up=0.76))
    later = AT + 2 * MINUTE
    _, second = decide_one(state, coin(p_up=0.74, at=later), at=later)
    assert (first.tier, second.tier, second.reason) == (Tier.HIGH, Tier.HIGH, Reason.BELOW_THRESHOLD)
    _, turned = decide_one(state, coin(p_up=0.26, at=later), at=later)
    assert turned.tier is Tier.MEDIUM


def test_an_unscored_coin_keeps_its_memory():
    state, _ = decide_one(FRESH, coin(p_up=0.76))
    later = AT + 10 * MINUTE
    state, decision = decide_one(state, coin(p_up=0.6, candle_us=AT), at=later)
    assert (decision.reason, decision.tier) == (Reason.STALE, None)
    assert state.tiers["BTC-USD"] == TierMemory(Side.LONG, Tier.HIGH)


# ---------------------------------------------------------------------------------------- fails closed


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason is not Reason.EMITTED])
def test_an_exception_inside_a_rule_blocks_with_that_rules_reason(reason, monkeypatch):
    def broken(question):
        if question.coin.symbol == "BTC-USD":
            raise ZeroDivisionError("planted")
        return

    for name in ("FRESHNESS", "WORTH", "ROOM"):
        chain = tuple((one, broken if one is reason else rule) for one, rule in getattr(rules, name))
        monkeypatch.setattr(desk, name, chain)
    decided = decide(FRESH, CONFIG, scan(coin("BTC-USD"), coin("ETH-USD")))
    failed, other = decided.decisions
    assert (failed.reason, failed.failed) == (reason, True)
    assert failed.detail == "rule failed: ZeroDivisionError: planted"
    assert failed.signal is None
    assert other.emitted
    assert [(event.symbol, event.rule) for event in decided.events] == [("BTC-USD", reason.value)]
    assert [order.symbol for order in decided.state.paper.orders] == ["ETH-USD"]


def test_an_exception_while_scoring_is_below_threshold():
    decided = decide(FRESH, CONFIG, scan(coin(p_up="high")))
    assert (decided.decisions[0].reason, decided.decisions[0].failed) == (Reason.BELOW_THRESHOLD, True)


def test_an_account_that_cannot_be_computed_halts(monkeypatch):
    def broken(*_args, **_how):
        raise RuntimeError("planted")

    state = opened()
    monkeypatch.setattr(desk, "reading_of", broken)
    monkeypatch.setattr(desk, "step_paper", broken)
    decided = decide(state, CONFIG, scan(coin("ETH-USD", at=AT + 2 * MINUTE), at=AT + 2 * MINUTE))
    assert (decided.state.guard.status, decided.state.guard.cause) == (GuardStatus.HALTED, "exception")
    assert decided.state.guard.detail == "RuntimeError: planted"
    assert decided.decisions[0].reason is Reason.RISK_BLOCKED
    advanced = advance(state, CONFIG, flat(AT + 2 * MINUTE), AT + 2 * MINUTE)
    assert advanced.state.guard.cause == "exception"
    assert advanced.state.paper == state.paper


def test_a_price_that_is_not_a_number_halts_and_positions_close_at_the_next_one():
    state, _ = decide_one(opened(), coin("ETH-USD", at=AT + 2 * MINUTE), at=AT + 2 * MINUTE)
    assert len(state.paper.orders) == 1
    at = AT + 2 * MINUTE
    halted = advance(state, CONFIG, bars(at, math.nan, 1, 1, 1), at)
    assert (halted.state.guard.status, halted.state.guard.cause) == (GuardStatus.HALTED, "not_a_number")
    assert halted.state.paper.orders == ()  # the waiting order of ETH-USD is given up
    assert [type(event).__name__ for event in halted.events] == [
        "PriceRejected", "GuardStateChanged", "EntryCancelled",
    ]  # fmt: skip
    # halted at 12:07:00: the first open 500 ms later is 12:08:00
    waits = advance(halted.state, CONFIG, flat(at + MINUTE), at + MINUTE)
    assert len(waits.state.paper.positions) == 1
    closes = advance(waits.state, CONFIG, flat(at + 2 * MINUTE), at + 2 * MINUTE)
    assert [(trade.exit_reason, trade.exit_us) for trade in closes.trades] == [(Exit.HALT, at + 2 * MINUTE)]
    later = at + 4 * MINUTE
    _, decision = decide_one(closes.state, coin(at=later), at=later)
    assert (decision.reason, decision.size_factor) == (Reason.RISK_BLOCKED, 0.0)
    assert decision.detail == "HALTED: equity not a number"


def test_a_stale_equity_halts_at_the_scan():
    state = opened()  # marked at 12:06:00
    fine = decide(state, CONFIG, scan(coin("ETH-USD", at=AT + 7 * MINUTE), at=AT + 7 * MINUTE))
    assert fine.state.guard.status is GuardStatus.ACTIVE
    decided = decide(state, CONFIG, scan(coin("ETH-USD", at=AT + 8 * MINUTE), at=AT + 8 * MINUTE))
    assert decided.state.guard.cause == "stale"
    assert decided.decisions[0].reason is Reason.RISK_BLOCKED


def test_a_clock_that_goes_back_with_a_position_open_halts():
    decided = decide(opened(), CONFIG, scan(coin("ETH-USD", at=AT - 58 * MINUTE), at=AT - 58 * MINUTE))
    assert decided.state.guard.cause == "future"
    assert not decided.decisions[0].emitted
