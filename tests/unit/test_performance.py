"""What decisions and trades add up to, with numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
from tradingai.engine.decision.desk import advance, decide, halt_desk
from tradingai.engine.decision.orders import Exit, Trade
from tradingai.engine.decision.performance import Tally, break_even, moved_its_way, sharpe
from tradingai.engine.decision.records import Reason, Side, decisions_sha256
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import ExecutionCosts

from tests.fakes.desk import AT, CONFIG, FRESH, MINUTE, coin, flat, opened, scan

COSTS = ExecutionCosts()
DAY = 86_400_000_000


def trade(entry_mid=100.0, exit_mid=101.0, side=Side.LONG, r=0.5, reason=Exit.TIME, exit_us=AT) -> Trade:
    """A trade filled 9 bps from mid (12 bps spread, 3 bps slippage), at the target 6 bps."""
    away = 6e-4 if reason is Exit.TARGET else 9e-4
    return Trade(
        key="k", symbol="BTC-USD", side=side, tier=Tier.HIGH, confidence=0.8, quantity=1.0, decided_us=AT,
        reference=entry_mid, entry_us=AT, entry=entry_mid * (1 + side.sign * 9e-4), stop=1.0, target=2.0,
        exit_us=exit_us, exit=exit_mid * (1 - side.sign * away), exit_reason=reason, spread_bps=12.0,
        slippage_bps=3.0, commission=0.1, swap=0.0, risk_money=500.0, net=500.0 * r, r=r, mae_r=-0.1,
        mfe_r=0.6,
    )  # fmt: skip


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("reason", [Exit.TIME, Exit.STOP, Exit.TARGET, Exit.HALT])
def test_whether_a_price_moved_its_way_is_judged_without_costs(side, reason):
    up = 100.0 * (1 + side.sign * 1e-6)
    assert moved_its_way(trade(exit_mid=up, side=side, reason=reason, r=-0.2), COSTS)
    assert not moved_its_way(trade(exit_mid=200.0 - up, side=side, reason=reason), COSTS)


def test_break_even_is_where_gains_and_losses_are_equal():
    assert break_even(0.6, -0.9) == pytest.approx(0.6)  # 0.6 x 0.6 = 0.4 x 0.9
    assert break_even(0.1, -0.4) == pytest.approx(0.8)
    for nothing in ((None, -1.0), (1.0, None), (-0.1, -1.0), (0.0, -1.0), (0.5, 0.1)):
        assert break_even(*nothing) is None


def test_sharpe_is_the_daily_mean_over_its_deviation_annualised():
    # mean 2, deviations -1, 0, 1, variance 1
    assert sharpe([1.0, 2.0, 3.0]) == pytest.approx(2.0 * math.sqrt(365))
    assert sharpe([1.0]) is None
    assert sharpe([2.0, 2.0]) is None


def test_trades_are_booked_by_day_and_by_direction():
    tally = Tally(COSTS)
    day = AT // DAY * DAY
    tally.add((), [trade(r=0.6, exit_us=day), trade(r=-0.1, exit_us=day)])
    tally.add((), [trade(exit_mid=99.0, r=-0.9, exit_us=day + 2 * DAY)])
    paper = replace(
        FRESH.paper,
        trades=3,
        wins=1,
        net_r=-0.4,
        gained=300.0,
        lost=500.0,
        balance=199_800.0,
        max_drawdown=0.01,
    )
    found = tally.performance(replace(FRESH, paper=paper), day, day + 2 * DAY + DAY - 1)
    assert (found.trades, found.wins, found.right, found.days) == (3, 1, 2, 3)
    assert found.win_rate == pytest.approx(1 / 3)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.profit_factor == pytest.approx(0.6)
    assert found.mean_r == pytest.approx(-0.4 / 3)
    assert found.net == pytest.approx(-200.0)
    assert found.break_even_accuracy == pytest.approx(0.9 / (0.25 + 0.9))  # right +0.25 R, wrong -0.9 R
    assert found.sharpe == pytest.approx(sharpe([250.0, 0.0, -450.0]))
    assert (found.equity, found.balance, found.open_positions) == (199_800.0, 199_800.0, 0)
    assert found.halted is None


def test_an_account_without_trades_has_no_rates():
    found = Tally(COSTS).performance(FRESH, AT, AT)
    assert (found.win_rate, found.mean_r, found.profit_factor, found.accuracy, found.sharpe) == (None,) * 5
    assert found.equity == 200_000.0


def test_an_open_position_counts_in_equity_alone():
    state = opened()
    found = Tally(CONFIG.costs).performance(state, AT, AT)
    assert (found.open_positions, found.trades) == (1, 0)
    assert found.equity == pytest.approx(found.balance - (40_036 - 39_976) * 3.125)


def test_a_halt_is_told_with_since_when_and_why():
    halted, events = halt_desk(FRESH, AT, "drill", "a rehearsal")
    tally = Tally(COSTS)
    tally.add((), (), events)
    assert tally.performance(halted, AT, AT).as_json()["halted"] == {
        "since": "2025-11-10T12:04:00Z", "cause": "drill", "detail": "a rehearsal",
    }  # fmt: skip
    assert tally.events == {"GuardStateChanged": 1}


def test_the_funnel_and_the_tiers_count_every_decision():
    tally, state, all_decisions = Tally(CONFIG.costs), FRESH, []
    for step, p_up in enumerate((0.9, 0.6, 0.5, None, float("nan"), 0.7)):
        at = AT + step * 2 * MINUTE
        decided = decide(state, CONFIG, scan(coin(p_up=p_up, at=at), at=at))
        state = decided.state
        advanced = advance(state, CONFIG, flat(at + MINUTE), at + MINUTE)
        state = advanced.state
        tally.add(decided.decisions, advanced.trades)
        all_decisions.extend(decided.decisions)
    assert tally.by_reason == {
        **dict.fromkeys((r.value for r in Reason), 0),
        "emitted": 1,
        "below_threshold": 5,
    }
    assert tally.by_tier == {"high": 1, "medium": 1, "low": 1, "none": 1}
    assert tally.signals_by_tier == {"high": 1, "medium": 0, "low": 0, "none": 0}
    assert (tally.scans, tally.decisions, tally.signals) == (6, 6, 1)
    assert tally.decisions_sha256 == decisions_sha256(all_decisions)
