"""The paper account of the story: what the risk code really says of it, over 30 hours of equity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.orders import Order, Position
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.state import DeskConfig, DeskState, open_desk
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.queries.equity_curve import Levels
from tradingai.engine.queries.risk_views import AccountChange, MidnightBalance, StoredAccount
from tradingai.engine.queries.run_snapshot import (
    AccountFacts,
    DayView,
    EquityPoint,
    RiskView,
    TradeView,
    WatchedRun,
)
from tradingai.engine.risk.guard import GuardState, GuardStatus
from tradingai.engine.runtime.account_facts import HomeAccounts

from tests.fakes import console_odds
from tests.fakes.console_home import NOW, at
from tests.fakes.homes import plain_settings

RUN = "live-20251110T060000-a1b2c3"
OPENED = datetime(2025, 11, 10, 6, 0, tzinfo=UTC)
MIDNIGHTS = (
    (datetime(2025, 11, 10, 23, 0, tzinfo=UTC), 201_204.5),
    (datetime(2025, 11, 11, 23, 0, tzinfo=UTC), 203_412.6),
)
BALANCE = 203_998.35
CONFIG = DeskConfig()


def position(
    symbol: str, side: Side, quantity: float, entry: float, mark: float, stop: float, due: str
) -> Position:
    """An open position of the story; the target lies twice as far as the stop."""
    moment = datetime_to_us(at("12:02:00"))
    order = Order(
        f"{symbol}@2025-11-12T12:01:00Z", symbol, side, Tier.HIGH, 0.87, moment, moment, moment,
        entry, quantity, abs(entry - stop), 2 * abs(entry - stop),
    )  # fmt: skip
    return Position(
        order, moment, entry, stop, entry + 2 * (entry - stop), datetime_to_us(at(due)), 12.0, 3.0, 35.4, 0.0,
        mark, datetime_to_us(at("12:04:00")), -60.0, 170.0,
    )  # fmt: skip


POSITIONS = (
    position("BTC-USD", Side.LONG, 2.60, 41_873.2, 41_958.0, 41_681.2, "12:11:00"),
    position("BNB-USD", Side.LONG, 347.2, 312.07, 312.15, 310.63, "12:19:00"),
)


def desk(config: DeskConfig = CONFIG) -> DeskState:
    """The account at 12:04:17 UTC on Wednesday."""
    opened = open_desk(config, datetime_to_us(OPENED))
    ftmo = opened.ftmo
    for moment, balance in MIDNIGHTS:
        ftmo = replace(
            ftmo, day=ftmo.day + 1, next_reset_us=datetime_to_us(moment + timedelta(days=1)),
            day_start_balance=balance, highest_midnight_balance=max(ftmo.highest_midnight_balance, balance),
            best_day_profit=max(ftmo.best_day_profit, balance - ftmo.day_start_balance),
        )  # fmt: skip
    ftmo = replace(ftmo, days_traded=3, last_traded_day=ftmo.day)
    paper = replace(
        opened.paper, balance=BALANCE, positions=POSITIONS, peak_equity=204_300.0, max_drawdown=0.0061,
        trades=251, wins=141, net_r=8.2, gained=42_000.0, lost=38_000.0,
    )  # fmt: skip
    return replace(opened, paper=paper, ftmo=ftmo)


def accounts() -> HomeAccounts:
    """The risk code with plain settings, in a home where no costs were measured."""
    return HomeAccounts(plain_settings(), HomePaths(Path("/nonexistent")))


def facts(state: DeskState, now: datetime = NOW) -> AccountFacts:
    """What the risk code says of a desk."""
    return accounts().facts(StoredAccount(RUN, now, state.as_json()), now, live=True)


def equity(until: datetime = NOW) -> list[tuple[datetime, float]]:
    """A curve that goes through the midnights' balances and ends at the account's equity."""
    marks = [(OPENED, 200_000.0), *MIDNIGHTS, (NOW, facts(desk()).document["equity"])]
    points: list[tuple[datetime, float]] = []
    for (start, low), (end, high) in itertools.pairwise(marks):
        steps = int((end - start).total_seconds() // 600)
        for step in range(steps):
            share = step / steps
            wave = 260 * math.sin(9 * share + low) * math.sin(math.pi * share)
            points.append((start + (end - start) * share, low + (high - low) * share + wave))
    points.append(marks[-1])
    return [point for point in points if point[0] <= until]


def curve(points: Sequence[tuple[datetime, float]]) -> tuple[EquityPoint, ...]:
    """Points with the floors of their time, as the risk code sets them."""
    changes = [AccountChange(OPENED, open_desk(CONFIG, datetime_to_us(OPENED)).as_json(), CONFIG.as_json())]
    midnights = [MidnightBalance(*midnight) for midnight in MIDNIGHTS]
    levels = Levels(accounts().floor_steps(changes, midnights))
    return tuple(EquityPoint(moment, value, *levels.at(moment)) for moment, value in points)


def trade(symbol: str, side: str, when: str, entry: float, left: float, reason: str, r: float) -> TradeView:
    """A closed trade of today, 1 R being $ 500."""
    moment = at(when)
    detail = {
        "key": f"{symbol}@{when}", "symbol": symbol, "side": side, "tier": "high", "confidence": 0.842,
        "quantity": 2.6, "decided_at": (moment - timedelta(minutes=17)).isoformat(),
        "entry_at": (moment - timedelta(minutes=16)).isoformat(), "entry": entry, "stop": entry * 0.995,
        "target": entry * 1.01, "exit_at": moment.isoformat(), "exit": left, "exit_reason": reason,
        "spread_bps": 12.0, "slippage_bps": 3.0, "commission": 70.2, "swap": 0.0, "risk_money": 500.0,
        "net": 500 * r, "r": r, "mae_r": min(r, -0.2), "mfe_r": max(r, 0.4),
    }  # fmt: skip
    return TradeView(f"{symbol}@{when}", moment, symbol, side, entry, left, reason, 500 * r, r, detail)


TRADES = (
    trade("ETH-USD", "short", "11:43:00", 2_319.90, 2_330.70, "stop", -1.04),
    trade("BTC-USD", "long", "11:41:00", 41_702.8, 41_812.1, "time", 0.58),
    trade("BNB-USD", "short", "11:27:00", 312.94, 312.26, "time", 0.47),
    trade("ETH-USD", "long", "11:17:00", 2_311.06, 2_312.35, "time", 0.12),
)
DRILL = {
    "run": "drill-20251111T091200-0f0f0f", "held": True, "failures": [],
    "breach": {"at": "2025-11-08T04:00:00Z", "loss": 12_070.4, "equity": 188_000.0, "floor": 190_000.0},
    "cause": "daily_limit", "positions_closed": 2, "scans_after": 720, "emitted_after": 0,
    "risk_blocked_after": 214, "twin_emitted": 96, "held_back": 96,
}  # fmt: skip


def active() -> RiskView:
    """Two positions are open, nothing is near."""
    return RiskView(
        run=WatchedRun(RUN, "live", "open", OPENED, now=at("12:04:00"), scans=1_622, first_at=OPENED),
        live=True,
        facts=facts(desk()),
        trades=TRADES,
        day=DayView(24, 1.17, -1_684.2),
        curve=curve(equity()),
        resets=tuple(moment for moment, _ in MIDNIGHTS),
        runs=("replay-20251110T010700-8782df", RUN),
        drill=DRILL,
        drill_at=at("09:12:00", 11),
        odds=console_odds.ODDS,
        odds_at=at("09:30:00"),
    )


def halted() -> RiskView:
    """A price that is no number halted it 22 minutes ago; two positions were closed."""
    state = desk()
    guard = GuardState(
        GuardStatus.HALTED, datetime_to_us(at("11:42:10")), "not_a_number", "equity not a number"
    )
    state = replace(state, paper=replace(state.paper, positions=(), balance=204_033.35), guard=guard)
    flat = [point for point in equity() if point[0] < at("11:42:10")]
    return replace(
        active(),
        facts=facts(state),
        curve=curve([*flat, (NOW, 204_033.35)]),
        halt_event=8_214,
        halt_price="ETH-USD had a price that is not a number",
        halt_closed=(
            trade("BTC-USD", "long", "11:42:11", 41_873.2, 41_840.0, "halt", -0.18),
            trade("BNB-USD", "long", "11:42:12", 312.07, 312.10, "halt", 0.04),
        ),
    )


def replayed() -> RiskView:
    """A replay of 72 hours under way."""
    return replace(
        active(),
        live=False,
        run=WatchedRun(
            "replay-20251110T010700-8782df", "replay", "open", NOW, now=at("11:26:00"), scans=1_238,
            first_at=at("11:26:00") - timedelta(hours=41, minutes=26),
            last_at=at("11:26:00") + timedelta(hours=30, minutes=34),
        ),
    )  # fmt: skip
