"""The paper account: one candle a coin goes in, a new account and closed trades come out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.events import EntryCancelled, Event, PositionClosed, PositionOpened, PriceRejected
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.decision.fills import (
    close_position,
    ending_of,
    floating,
    marked,
    open_position,
    stopped_order_result,
    stopped_result,
)
from tradingai.engine.decision.orders import Bar, Order, PaperConfig, Position, Trade
from tradingai.engine.risk.costs import BPS, ExecutionCosts
from tradingai.engine.risk.guard import Reading


@dataclass(frozen=True, slots=True)
class PaperState:
    """An account and what its closed trades add up to. Money in the account's currency."""

    initial_balance: float
    balance: float
    orders: tuple[Order, ...] = ()
    positions: tuple[Position, ...] = ()
    peak_equity: float = 0.0
    max_drawdown: float = 0.0
    """Largest fall of equity from its peak, as a fraction of the peak, intraminute lows included."""
    trades: int = 0
    wins: int = 0
    net_r: float = 0.0
    gained: float = 0.0
    """Sum of the trades that won, in money; with ``lost`` it gives the profit factor."""
    lost: float = 0.0

    @property
    def win_rate(self) -> float | None:
        """Wins over closed trades; None before the first."""
        return self.wins / self.trades if self.trades else None

    @property
    def coins(self) -> tuple[str, ...]:
        """Those with a position or an order that waits for its price, by name."""
        held = {order.symbol for order in self.orders}
        return tuple(sorted(held | {position.order.symbol for position in self.positions}))

    def busy(self, symbol: str) -> bool:
        """Whether the coin has a position or an order that waits for its price."""
        waiting = [order.symbol for order in self.orders]
        return symbol in waiting or symbol in [position.order.symbol for position in self.positions]


class PaperStep(NamedTuple):
    """What one minute did."""

    state: PaperState
    trades: tuple[Trade, ...]
    opened: int
    equity: float
    """At the newest closes."""
    lowest_equity: float
    """When every coin was at its worst price of the minute at once; NaN when a price was rejected."""
    events: tuple[Event, ...]


class _CoinStep(NamedTuple):
    """One coin's minute. ``cash`` is what the balance changes by, ``low`` what its equity contribution was at
    the worst price, both against the balance before; ``floats`` is what an open position adds to equity."""

    order: Order | None = None
    position: Position | None = None
    trade: Trade | None = None
    opened: bool = False
    cash: float = 0.0
    low: float = 0.0
    floats: float = 0.0
    events: tuple[Event, ...] = ()


def open_paper(initial_balance: float) -> PaperState:
    """A fresh account."""
    return PaperState(initial_balance, initial_balance, peak_equity=initial_balance)


def equity_of(state: PaperState, costs: ExecutionCosts) -> float:
    """Balance plus floating profit at the newest marks, commissions and swap."""
    return state.balance + math.fsum(floating(position, position.mark, costs) for position in state.positions)


def reading_of(state: PaperState, costs: ExecutionCosts, at_us: int) -> Reading:
    """The account as the guard looks at it between candles."""
    equity = equity_of(state, costs)
    priced = min((position.mark_us for position in state.positions), default=None)
    return Reading(at_us, state.balance, equity, equity, priced)


def equity_if_stopped(state: PaperState, costs: ExecutionCosts, at_us: int) -> float:
    """Equity when every position and every waiting order hits its stop, with stressed costs."""
    results = [stopped_result(position, costs, at_us) for position in state.positions]
    results += [stopped_order_result(order, costs, at_us) for order in state.orders]
    return state.balance + math.fsum(results)


def notional_of(state: PaperState) -> float:
    """Quantity × price of every position and waiting order."""
    return math.fsum(
        [position.order.quantity * position.mark for position in state.positions]
        + [order.quantity * order.reference for order in state.orders]
    )


def accrue_swap(state: PaperState, costs: ExecutionCosts) -> PaperState:
    """Charge a night's swap on every open position."""
    rate = costs.swap_bps_per_night * BPS
    if rate == 0 or not state.positions:
        return state
    charged = (
        replace(position, swap=position.swap - rate * position.order.quantity * position.mark)
        for position in state.positions
    )
    return replace(state, positions=tuple(charged))


def cancel_orders(state: PaperState, at_us: int, reason: str) -> tuple[PaperState, tuple[Event, ...]]:
    """Give up every order that waits for its price."""
    events = tuple(_cancelled(order, at_us, reason) for order in state.orders)
    return replace(state, orders=()), events


def step_paper(
    state: PaperState,
    bars: Mapping[str, Bar],
    config: PaperConfig,
    costs: ExecutionCosts,
    liquidate_from_us: int | None = None,
) -> PaperStep:
    """Live through one closed candle of each coin in ``bars``; coins without one keep their marks.

    Orders are filled at the open, positions end where ``fills.ending_of`` says. ``liquidate_from_us`` closes
    positions at the first open from then on. The order of the coins changes nothing but that of the events.
    """
    orders = {order.symbol: order for order in state.orders}
    positions = {position.order.symbol: position for position in state.positions}
    steps: list[_CoinStep] = []
    faults: list[Event] = []
    lost_price = False
    for symbol in sorted(orders.keys() | positions.keys()):
        order, position, bar = orders.get(symbol), positions.get(symbol), bars.get(symbol)
        fault = bar.fault() if bar is not None else None
        if bar is not None and fault is not None:
            faults.append(PriceRejected(symbol=symbol, detail=fault, at=_iso(bar.ts_us)))
            lost_price = lost_price or position is not None
        if bar is None or fault is not None or (position is not None and position.mark_us > bar.ts_us):
            steps.append(_untouched(order, position, costs))
        elif position is not None:
            steps.append(_live(position, bar, costs, liquidate_from_us))
        elif order is not None:
            steps.append(_fill(order, bar, config, costs, liquidate_from_us))
    return _book(state, steps, tuple(faults), lost_price=lost_price)


def _untouched(order: Order | None, position: Position | None, costs: ExecutionCosts) -> _CoinStep:
    result = 0.0 if position is None else floating(position, position.mark, costs)
    return _CoinStep(order, position, low=result, floats=result)


def _fill(
    order: Order, bar: Bar, config: PaperConfig, costs: ExecutionCosts, liquidate_from_us: int | None
) -> _CoinStep:
    if bar.ts_us < order.earliest_us:
        return _CoinStep(order)
    if bar.ts_us > order.expires_us:
        return _CoinStep(events=(_cancelled(order, bar.ts_us, f"no price by {_iso(order.expires_us)}"),))
    position = open_position(order, bar, config, costs)
    step = _live(position, bar, costs, liquidate_from_us)
    paid = position.entry_commission
    opened = PositionOpened(
        key=order.key,
        symbol=order.symbol,
        side=order.side.value,
        quantity=order.quantity,
        price=position.entry,
        at=_iso(bar.ts_us),
    )
    return step._replace(
        opened=True, cash=step.cash - paid, low=step.low - paid, events=(opened, *step.events)
    )


def _live(position: Position, bar: Bar, costs: ExecutionCosts, liquidate_from_us: int | None) -> _CoinStep:
    ending = ending_of(position, bar, liquidate_from_us)
    if ending is None:
        survived, result, worst = marked(position, bar, costs)
        return _CoinStep(position=survived, low=worst, floats=result)
    trade, low = close_position(position, ending, bar, costs)
    closed = PositionClosed(
        key=trade.key,
        symbol=trade.symbol,
        side=trade.side.value,
        price=trade.exit,
        exit=trade.exit_reason.value,
        net=trade.net,
        r=trade.r,
        at=_iso(trade.exit_us),
    )
    return _CoinStep(trade=trade, cash=trade.net + position.entry_commission, low=low, events=(closed,))


def _book(
    state: PaperState, steps: Sequence[_CoinStep], faults: tuple[Event, ...], *, lost_price: bool
) -> PaperStep:
    orders: list[Order] = []
    positions: list[Position] = []
    trades: list[Trade] = []
    events = list(faults)
    cash, floats, lows = [], [], []
    opened = 0
    for step in steps:
        if step.order is not None:
            orders.append(step.order)
        if step.position is not None:
            positions.append(step.position)
        if step.trade is not None:
            trades.append(step.trade)
        events += step.events
        opened += step.opened
        cash.append(step.cash)
        floats.append(step.floats)
        lows.append(step.low)
    balance = state.balance + math.fsum(cash)
    equity = balance + math.fsum(floats)
    lowest = min(equity, state.balance + math.fsum(lows))
    fall = (state.peak_equity - lowest) / state.peak_equity
    totals = _with_trades(state, trades) if trades else state
    after = PaperState(
        initial_balance=state.initial_balance,
        balance=balance,
        orders=tuple(orders),
        positions=tuple(positions),
        peak_equity=max(state.peak_equity, equity),
        max_drawdown=max(state.max_drawdown, fall),
        trades=totals.trades,
        wins=totals.wins,
        net_r=totals.net_r,
        gained=totals.gained,
        lost=totals.lost,
    )
    return PaperStep(
        after,
        tuple(trades),
        opened=opened,
        equity=equity,
        lowest_equity=math.nan if lost_price else lowest,
        events=tuple(events),
    )


def _with_trades(state: PaperState, trades: Sequence[Trade]) -> PaperState:
    return replace(
        state,
        trades=state.trades + len(trades),
        wins=state.wins + sum(trade.won for trade in trades),
        net_r=state.net_r + math.fsum(trade.r for trade in trades),
        gained=state.gained + math.fsum(trade.net for trade in trades if trade.won),
        lost=state.lost - math.fsum(trade.net for trade in trades if not trade.won),
    )


def _cancelled(order: Order, at_us: int, reason: str) -> EntryCancelled:
    return EntryCancelled(key=order.key, symbol=order.symbol, reason=reason, at=_iso(at_us))


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
