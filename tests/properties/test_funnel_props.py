"""Whatever the settings and whatever arrives, the funnel adds up: every decision has exactly one reason."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.decision.desk import halt_desk
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.orders import Bar, PaperConfig
from tradingai.engine.decision.performance import Tally
from tradingai.engine.decision.records import REASONS, CoinInput, DecisionConfig, Scan
from tradingai.engine.decision.scanning import scan_desk
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.decision.tiers import TierConfig
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.risk.guard import RiskConfig
from tradingai.engine.risk.limits import RateLimits

from tests.fakes.desk import AT, MINUTE

COINS = ("BTC-USD", "ETH-USD", "BNB-USD")
SCANS = 25

configs = st.builds(
    DeskConfig,
    decision=st.builds(
        DecisionConfig,
        threshold=st.floats(0.5, 0.99),
        max_candle_age_s=st.floats(60, 3600),
        ensemble=st.just(EnsembleConfig()),
        tiers=st.builds(TierConfig, hysteresis=st.floats(0, 0.1)),
        rates=st.integers(1, 8).flatmap(
            lambda total: st.builds(RateLimits, st.just(total), st.integers(1, total))
        ),
    ),
    paper=st.builds(
        PaperConfig,
        risk_fraction=st.floats(1e-4, 0.05),
        stop_atr=st.floats(0.5, 10),
        target_atr=st.floats(0.5, 20),
        time_exit_minutes=st.integers(1, 60),
    ),
    risk=st.builds(RiskConfig, initial_balance=st.floats(1_000, 1e6)),
    costs=st.builds(
        ExecutionCosts, default_spread_bps=st.floats(0, 50), default_slippage_bps=st.floats(0, 20)
    ),
)
prices = st.one_of(st.floats(0.97, 1.03), st.sampled_from([math.nan, 0.0, -1.0, math.inf, 0.5, 2.0]))
minutes = st.one_of(st.none(), st.tuples(prices, prices, prices, prices))
probabilities = st.one_of(st.floats(0, 1), st.sampled_from([None, math.nan, 1.5, -0.1]))
coins = st.tuples(probabilities, st.integers(0, 5), st.sampled_from([40.0, 0.0, math.nan, 900.0]), minutes)
scans = st.lists(
    st.tuples(
        st.lists(coins, min_size=len(COINS), max_size=len(COINS)),
        st.booleans(),
        st.one_of(st.none(), st.floats(0.5, 1)),
        st.sampled_from(["", "", "", "halt"]),
    ),
    min_size=1,
    max_size=SCANS,
)


def bar(ts, factors):
    return None if factors is None else Bar(ts, *(40_000.0 * factor for factor in factors))


@settings(max_examples=60, deadline=None)
@given(configs, scans)
def test_scans_times_coins_is_the_sum_over_reasons(config, steps):
    state, tally = open_desk(config, AT), Tally(config.costs)
    keys = []
    for number, (asked, killed, threshold, what) in enumerate(steps):
        at = AT + number * 2 * MINUTE
        if what:
            state, _ = halt_desk(state, at, "drill", "a rehearsal")
        passed = []
        for back in (2, 1):
            ts = at - back * MINUTE
            bars = {name: bar(ts, given_[3]) for name, given_ in zip(COINS, asked, strict=True)}
            passed.append((ts, {name: value for name, value in bars.items() if value is not None}))
        inputs = tuple(
            CoinInput(name, None if age == 5 else at - (1 + age) * MINUTE, 40_000.0, atr, p_up)
            for name, (p_up, age, atr, _) in zip(COINS, asked, strict=True)
        )
        scan = Scan(at, inputs, threshold=threshold, killed=killed, kill_source="test")
        scanned = scan_desk(state, config, passed, scan)
        state = scanned.state
        tally.add(scanned.decisions, scanned.trades, scanned.events)
        keys += [one.signal.key for one in scanned.decisions if one.signal is not None]
        assert [one.symbol for one in scanned.decisions] == list(COINS)
        assert all((one.signal is not None) == one.emitted for one in scanned.decisions)
        assert not (killed and any(one.emitted for one in scanned.decisions))
    assert list(tally.by_reason) == [reason.value for reason in REASONS]
    assert sum(tally.by_reason.values()) == tally.decisions == len(steps) * len(COINS)
    assert tally.by_reason["emitted"] == tally.signals == len(keys) == len(set(keys))
    assert sum(tally.by_tier.values()) <= tally.decisions
    waiting = len(state.paper.orders) + len(state.paper.positions)
    assert state.paper.trades + waiting <= tally.signals
