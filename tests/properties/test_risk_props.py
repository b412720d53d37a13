"""What must hold for any account, any stream of probabilities and any settings."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.decision.desk import advance, decide, halt_desk, leave_halted
from tradingai.engine.decision.orders import Bar, Trade
from tradingai.engine.decision.paper import equity_if_stopped
from tradingai.engine.decision.records import CoinInput, Decision, Reason, Scan
from tradingai.engine.decision.state import DeskConfig, DeskState, open_desk
from tradingai.engine.decision.tiers import TIERS, TierConfig, tier_of
from tradingai.engine.risk.ftmo import (
    ONE_STEP,
    TWO_STEP,
    floors,
    objective,
    open_account,
    roll_to,
    stop_crossed,
    violated,
)
from tradingai.engine.risk.guard import GuardState, GuardStatus, Reading, RiskConfig, observe
from tradingai.engine.risk.limits import RateLimits, RateState, rate_emitted, rate_refusal
from tradingai.engine.risk.prague import PRAGUE, next_reset_us

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = datetime_to_us(parse_iso("2025-10-25T18:00:00Z"))  # the night that follows has 25 hours
SYMBOLS = ("BTC-USD", "ETH-USD", "BNB-USD")
RULES = st.sampled_from([TWO_STEP, ONE_STEP, replace(TWO_STEP, max_loss_mode="trailing")])
money = st.floats(1e3, 1e7)
share = st.floats(0.5, 1.5)
few = settings(max_examples=60, deadline=None)
slow = settings(max_examples=20, deadline=None)


# --------------------------------------------------------------------------------------------- FTMO rules


@given(RULES, money, st.lists(share, max_size=6), share, share)
@few
def test_breach_is_monotone_in_loss(rules, initial, midnights, one, other):
    state = open_account(initial, START)
    for part in midnights:
        state, _ = roll_to(state, rules, state.next_reset_us, initial * part)
    higher, lower = max(one, other) * initial, min(one, other) * initial
    for test in (violated, stop_crossed):
        assert test(state, rules, higher) is None or test(state, rules, lower) is not None
    if violated(state, rules, lower):
        assert stop_crossed(state, rules, lower)


@given(RULES, st.lists(share, max_size=6), share, share, st.floats(1e-3, 1e3))
@few
def test_rules_are_scale_invariant_in_balance(rules, midnights, equity, balance, scale):
    def verdicts(unit):
        state = open_account(100_000 * unit, START)
        for part in midnights:
            state, _ = roll_to(state, rules, state.next_reset_us, 100_000 * unit * part)
        now = floors(state, rules)
        goal = objective(state, rules, 100_000 * unit * balance, flat=True)
        crossed = [
            found[0] if found else None
            for found in (test(state, rules, 100_000 * unit * equity) for test in (violated, stop_crossed))
        ]
        return crossed, goal.passed, np.array([*now, goal.profit, goal.best_day]) / unit

    one, scaled = verdicts(1.0), verdicts(scale)
    assert one[:2] == scaled[:2]
    np.testing.assert_allclose(one[2], scaled[2], rtol=1e-9, atol=1e-4)


@given(money, st.lists(share, min_size=1, max_size=12))
@few
def test_the_one_step_floor_never_falls_and_never_lies_above_the_best_midnight(initial, midnights):
    state = open_account(initial, START)
    floor = floors(state, ONE_STEP).total_limit
    for part in midnights:
        state, _ = roll_to(state, ONE_STEP, state.next_reset_us, initial * part)
        assert floors(state, ONE_STEP).total_limit >= floor
        floor = floors(state, ONE_STEP).total_limit
        assert floor <= max(initial, *(initial * part for part in midnights)) - 0.1 * initial + 1e-6


@given(st.integers(0, 2_000_000_000))
@few
def test_the_next_reset_is_a_prague_midnight_within_25_hours(second):
    us = second * 1_000_000
    reset = next_reset_us(us)
    assert 0 < reset - us <= 25 * HOUR
    local = us_to_datetime(reset).astimezone(PRAGUE)
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    assert local.date() > us_to_datetime(us).astimezone(PRAGUE).date()


@given(st.floats(), st.floats(), st.floats(), st.one_of(st.none(), st.integers(-(10**12), 10**12)))
@few
def test_only_a_sound_reading_leaves_the_guard_active(balance, equity, lowest, age):
    config = RiskConfig()
    reading = Reading(START, balance, equity, lowest, None if age is None else START - age)
    guard, _, _ = observe(GuardState(), open_account(200_000, START), config, reading)
    sound = np.isfinite([balance, equity, lowest]).all() and lowest >= 191_000 - 1e-3
    sound = sound and (age is None or 0 <= age <= 300_000_000)
    assert (guard.status is GuardStatus.ACTIVE) == sound


# ----------------------------------------------------------------------------------------- tiers and limits


@given(st.lists(st.floats(0.5, 1.0), max_size=60), st.floats(0.0, 0.1))
@few
def test_hysteresis_is_one_schmitt_trigger_a_bound(confidences, width):
    config = TierConfig(hysteresis=width)
    held, triggers = None, [False] * len(TIERS)
    for confidence in confidences:
        held = tier_of(confidence, config, held)
        for rank, bound in enumerate(config.bounds):
            if confidence >= bound:
                triggers[rank] = True
            elif confidence < bound - width:
                triggers[rank] = False
        count = max((rank + 1 for rank in range(len(TIERS)) if triggers[rank]), default=0)
        assert held is (TIERS[count - 1] if count else None)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=120),
    st.integers(1, 6),
    st.integers(1, 6),
)
@few
def test_rate_limits_are_never_exceeded_in_any_window(attempts, total, high):
    limits, state = RateLimits(total, high), RateState()
    sent: list[tuple[int, bool]] = []
    for minute, is_high in sorted(attempts):
        at = minute * MINUTE
        room = sum(at - HOUR < then for then, _ in sent) < total and (
            not is_high or sum(at - HOUR < then and was_high for then, was_high in sent) < high
        )
        assert (rate_refusal(state, limits, at, high=is_high) is None) == room
        if room:
            state = rate_emitted(state, limits, at, high=is_high)
            sent.append((at, is_high))


# ------------------------------------------------------------------------------------------- the whole desk


@dataclass
class Played:
    """A random run: what went in, what came out."""

    state: DeskState
    scans: list[Scan] = field(default_factory=list)
    decisions: list[tuple[Decision, ...]] = field(default_factory=list)
    states: list[DeskState] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    halted: list[bool] = field(default_factory=list)


def random_scan(rng: np.random.Generator, at: int, prices: np.ndarray) -> Scan:
    coins = []
    for symbol, price in zip(SYMBOLS, prices, strict=True):
        late = int(rng.choice([0, 0, 0, 0, 2, 5]))
        p = rng.choice([float(rng.beta(1.2, 1.2)), float("nan")], p=[0.97, 0.03])
        atr = float(rng.choice([price * 1e-3, 0.0], p=[0.97, 0.03]))
        coins.append(CoinInput(symbol, at - (1 + late) * MINUTE, float(price), atr, float(p)))
    return Scan(at, tuple(coins), killed=bool(rng.random() < 0.05))


def may_leave(state: DeskState, config: DeskConfig) -> bool:
    """Whether the account is a sound one that a drill halted."""
    sound = (
        not state.paper.positions and stop_crossed(state.ftmo, config.risk.rules, state.paper.balance) is None
    )
    return state.guard.cause == "drill" and state.ftmo.breach is None and sound


def play(
    seed: int, config: DeskConfig, minutes: int, *, halts: bool = False, price_unit: float = 1.0
) -> Played:
    """Random prices, probabilities, late feeds and kills; everything but the config follows from the seed."""
    rng = np.random.default_rng(seed)
    played = Played(open_desk(config, START))
    prices = np.array([40_000.0, 2_300.0, 310.0]) * price_unit
    for minute in range(minutes):
        ts = START + minute * MINUTE
        if minute % 2 == 0:
            scan = random_scan(rng, ts, prices)
            if halts and rng.random() < 0.05:
                played.state = halt_desk(played.state, ts, "drill", "random")[0]
            played.halted.append(played.state.guard.status is GuardStatus.HALTED)
            decided = decide(played.state, config, scan)
            played.state = decided.state
            played.scans.append(scan)
            played.decisions.append(decided.decisions)
            played.states.append(decided.state)
            if halts and rng.random() < 0.2 and may_leave(played.state, config):
                played.state = leave_halted(
                    played.state, config, ts, reason="random leave of a drill", who="test"
                )[0]
        moves = np.exp(rng.normal(0, 6e-4, 3))
        bars = {}
        for index, symbol in enumerate(SYMBOLS):
            first, last = prices[index], prices[index] * moves[index]
            bars[symbol] = Bar(ts, first, max(first, last) * 1.0004, min(first, last) * 0.9996, last)
        prices = prices * moves
        advanced = advance(played.state, config, bars, ts)
        played.state = advanced.state
        played.trades.extend(advanced.trades)
    return played


configs = st.builds(
    lambda threshold, total, high, rules, risk: DeskConfig(
        decision=replace(DeskConfig().decision, threshold=threshold, rates=RateLimits(total, high)),
        paper=replace(DeskConfig().paper, risk_fraction=risk),
        risk=RiskConfig(rules=rules),
    ),
    st.floats(0.5, 0.9),
    st.integers(1, 12),
    st.integers(1, 12),
    RULES,
    st.sampled_from([0.0005, 0.0025, 0.01]),
)
seeds = st.integers(0, 2**32)


@given(seeds, configs)
@slow
def test_the_funnel_adds_up_and_the_first_reason_is_told(seed, config):
    played = play(seed, config, 180)
    reasons = Counter(decision.reason for scan in played.decisions for decision in scan)
    assert sum(reasons.values()) == len(played.scans) * len(SYMBOLS)
    newest: dict[str, int] = {}
    for scan, decisions in zip(played.scans, played.decisions, strict=True):
        for coin, decision in zip(scan.coins, decisions, strict=True):
            assert decision.symbol == coin.symbol
            assert (decision.signal is not None) == decision.emitted
            confidence = max(coin.p_up, 1 - coin.p_up)
            if coin.candle_us <= newest.get(coin.symbol, 0):
                first = Reason.NO_NEW_CANDLE
            elif scan.at_us - coin.candle_us - MINUTE > 180_000_000:
                first = Reason.STALE
            elif not confidence >= config.decision.threshold:
                first = Reason.BELOW_THRESHOLD
            elif scan.killed:
                first = Reason.KILLED
            else:
                first = None
            newest[coin.symbol] = max(newest.get(coin.symbol, 0), coin.candle_us)
            later = (Reason.RATE_LIMITED, Reason.RISK_BLOCKED, Reason.POSITION_OPEN, Reason.EMITTED)
            assert decision.reason is first if first else decision.reason in later


@given(seeds, configs)
@slow
def test_emissions_keep_the_limits_and_the_ranking(seed, config):
    played = play(seed, config, 240)
    limits = config.decision.rates
    sent: list[tuple[int, bool]] = []
    for decisions in played.decisions:
        sent += [(one.at_us, one.tier == "high") for one in decisions if one.emitted]
        emitted = [one for one in decisions if one.emitted]
        refused = [one for one in decisions if one.reason is Reason.RATE_LIMITED]
        for out in refused:
            for winner in emitted:
                # only a coin of a lower tier may pass one that the high-tier limit holds back
                assert winner.confidence >= out.confidence or (out.tier == "high" and winner.tier != "high")
    for at, _ in sent:
        window = [high for then, high in sent if at - HOUR < then <= at]
        assert len(window) <= limits.total
        assert sum(window) <= limits.high


@given(seeds, configs)
@slow
def test_a_halted_account_emits_nothing_and_holds_nothing(seed, config):
    played = play(seed, config, 240, halts=True)
    for halted, decisions, after in zip(played.halted, played.decisions, played.states, strict=True):
        if halted:
            assert not any(decision.emitted for decision in decisions)
            assert after.paper.orders == ()


@given(seeds, configs)
@slow
def test_equity_is_the_sum_of_the_trades(seed, config):
    played = play(seed, config, 240)
    paper = played.state.paper
    paid = sum(position.entry_commission for position in paper.positions)
    total = sum(trade.net for trade in played.trades)
    np.testing.assert_allclose(paper.balance, 200_000 + total - paid, rtol=1e-12)
    assert (paper.trades, paper.wins) == (len(played.trades), sum(trade.net > 0 for trade in played.trades))
    np.testing.assert_allclose(paper.gained - paper.lost, total, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(paper.net_r, sum(trade.r for trade in played.trades), rtol=1e-9, atol=1e-9)
    for trade in played.trades:
        assert trade.mae_r <= trade.r <= trade.mfe_r + 1e-12
        assert trade.entry_us >= trade.decided_us + 500_000
        assert trade.exit_us - trade.entry_us <= 15 * MINUTE


@given(seeds, configs)
@slow
def test_every_emission_leaves_room_for_all_stops(seed, config):
    played = play(seed, config, 240)
    for decisions, after in zip(played.decisions, played.states, strict=True):
        if any(decision.emitted for decision in decisions):
            worst = equity_if_stopped(after.paper, config.costs, decisions[0].at_us)
            assert worst >= floors(after.ftmo, config.risk.rules).stop - 1e-3
        symbols = [order.symbol for order in after.paper.orders]
        symbols += [position.order.symbol for position in after.paper.positions]
        assert len(symbols) == len(set(symbols))


@given(seeds, configs, st.integers(-8, 8), st.integers(-6, 6))
@slow
def test_decisions_and_r_do_not_depend_on_the_size_of_the_account_or_the_price(seed, config, power, unit):
    """Powers of two, so that the arithmetic is exact and every figure must be equal to the last bit."""
    bigger = replace(config, risk=replace(config.risk, initial_balance=200_000 * 2.0**power))
    one, other = play(seed, config, 180), play(seed, bigger, 180, price_unit=2.0**unit)
    assert [[d.reason for d in scan] for scan in one.decisions] == [
        [d.reason for d in scan] for scan in other.decisions
    ]
    assert [trade.r for trade in one.trades] == [trade.r for trade in other.trades]
    assert one.state.paper.balance * 2.0**power == other.state.paper.balance
