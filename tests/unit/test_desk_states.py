"""What did not change is shared by states: none of it is lost, and no state changes once it was returned."""

from dataclasses import fields, replace

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.decision.fills import floating, marked, open_position
from tradingai.engine.decision.orders import Bar, Order
from tradingai.engine.decision.paper import PaperState, equity_of, step_paper
from tradingai.engine.decision.records import CoinInput, Reason, Scan, Side
from tradingai.engine.decision.scanning import scan_desk
from tradingai.engine.decision.state import DeskConfig, DeskState, TierMemory, open_desk
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.risk.ftmo import Breach, open_account
from tradingai.engine.risk.guard import GuardState, GuardStatus
from tradingai.engine.risk.limits import RateState

MINUTE = 60_000_000
START = datetime_to_us(parse_iso("2025-11-10T07:30:00Z"))  # half an hour before London's costs
COINS = ("BNB-USD", "BTC-USD", "ETH-USD")
LONDON = SessionCosts(CostLevel(8.0, 6.0, 14.0, 900), CostLevel(1.5, 1.0, 3.0, 900))
COSTS = ExecutionCosts(pairs={"BTC-USD": {"london": LONDON}})
CONFIG = DeskConfig(costs=COSTS)
ORDER = Order(
    key="BTC-USD@2025-11-10T07:29:00Z", symbol="BTC-USD", side=Side.SHORT, tier=Tier.HIGH, confidence=0.8,
    decided_us=START, earliest_us=START, expires_us=START + 3 * MINUTE, reference=40_000.0, quantity=3.125,
    stop_distance=160.0, target_distance=320.0,
)  # fmt: skip
OPENED = open_position(ORDER, Bar(START, 40_000, 40_000, 40_000, 40_000), CONFIG.paper, COSTS)
PAPER = PaperState(
    initial_balance=200_000.0, balance=201_000.0, orders=(replace(ORDER, symbol="ETH-USD"),),
    positions=(replace(OPENED, swap=-1.5),), peak_equity=202_000.0, max_drawdown=0.01, trades=7, wins=4,
    net_r=2.5, gained=3_000.0, lost=2_000.0,
)  # fmt: skip
DESK = DeskState(
    paper=PAPER,
    ftmo=replace(open_account(200_000.0, START), days_traded=3, best_day_profit=400.0),
    guard=GuardState(GuardStatus.REDUCING, START, "losses", "two", (START,), START + MINUTE),
    rates=RateState((START,), (START,)),
    tiers={"BTC-USD": TierMemory(Side.SHORT, Tier.HIGH)},
    seen_us={"BTC-USD": START},
)


def test_the_cases_below_have_no_field_at_its_default():
    fresh = open_desk(CONFIG, START)
    for state, start in ((DESK, fresh), (PAPER, fresh.paper)):
        kept = {"initial_balance"}
        same = {one.name for one in fields(state) if getattr(state, one.name) == getattr(start, one.name)}
        assert same <= kept


@pytest.mark.parametrize("name", ["paper", "ftmo", "guard"])
def test_another_account_changes_only_the_account(name):
    account = {"paper": DESK.paper, "ftmo": DESK.ftmo, "guard": DESK.guard}
    other = {
        "paper": replace(DESK.paper, balance=1.0),
        "ftmo": replace(DESK.ftmo, breach=Breach("daily", START, 1.0, 2.0)),
        "guard": replace(DESK.guard, detail="three"),
    }[name]
    assert DESK.with_account(**{**account, name: other}) == replace(DESK, **{name: other})
    assert DESK.with_account(**account) is DESK


def test_other_memories_of_the_coins_change_nothing_else():
    tiers, seen = {"ETH-USD": TierMemory(Side.LONG, None)}, {"ETH-USD": START + MINUTE}
    assert DESK.having_seen(tiers, seen) == replace(DESK, tiers=tiers, seen_us=seen)


def test_a_minute_without_a_trade_keeps_the_totals():
    bar = Bar(START, 40_000, 40_020, 39_950, 39_960)
    after = step_paper(PAPER, {"BTC-USD": bar}, CONFIG.paper, COSTS).state
    moving = {"balance", "positions", "peak_equity", "max_drawdown"}
    for one in fields(PaperState):
        assert one.name in moving or getattr(after, one.name) == getattr(PAPER, one.name)


@pytest.mark.parametrize("side", Side)
def test_a_candle_changes_mark_and_extremes_of_a_position_and_nothing_else(side):
    before = replace(OPENED, order=replace(ORDER, side=side), swap=-1.5, lowest=-50.0, highest=-40.0)
    bar = Bar(START + 29 * MINUTE, 40_000, 40_020, 39_950, 39_960)  # closes in London's session
    after, result, worst = marked(before, bar, COSTS)
    closed = replace(before, mark=bar.close, mark_us=bar.end_us)
    low, high = sorted(floating(closed, price, COSTS) for price in (bar.low, bar.high))
    assert (result, worst) == (floating(closed, bar.close, COSTS), low)
    paid = before.entry_commission
    assert after == replace(closed, lowest=min(-50.0, low - paid), highest=max(-40.0, high - paid))
    assert COSTS.expected("BTC-USD", bar.end_us) != COSTS.expected("BTC-USD", bar.ts_us)


def test_no_state_changes_once_it_was_returned_and_each_says_the_equity_of_its_positions():
    draws = np.random.default_rng(3)
    price, desk = dict.fromkeys(COINS, 1000.0), open_desk(CONFIG, START)
    kept, reasons, trades = [(desk, desk.as_json())], set(), 0
    for minute in range(240):
        ts_us = START + minute * MINUTE
        bars = {}
        for symbol in COINS:
            open_, close = price[symbol], price[symbol] * (1 + 0.002 * draws.normal())
            bars[symbol] = Bar(ts_us, open_, max(open_, close) + 0.5, min(open_, close) - 0.5, close)
            price[symbol] = close
        shown = {symbol: bar for symbol, bar in bars.items() if draws.random() < 0.9}
        step = step_paper(desk.paper, shown, CONFIG.paper, COSTS)
        assert step.equity == equity_of(step.state, COSTS)
        at_us = ts_us + MINUTE
        coins = tuple(
            CoinInput(symbol, bar.ts_us, bar.close, 2.0, float(draws.random()))
            for symbol, bar in shown.items()
        )
        scanned = scan_desk(desk, CONFIG, [(ts_us, shown)], Scan(at_us, coins, threshold=0.8))
        desk = scanned.state
        kept.append((desk, desk.as_json()))
        reasons |= {decision.reason for decision in scanned.decisions}
        trades += len(scanned.trades)
    assert trades > 10
    assert reasons >= {Reason.BELOW_THRESHOLD, Reason.EMITTED, Reason.POSITION_OPEN}
    assert all(state.as_json() == document for state, document in kept)
