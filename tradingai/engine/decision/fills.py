"""How orders are filled and positions end, on the candles' own prices; one order or position at a time."""

from __future__ import annotations

from typing import NamedTuple

from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.orders import Bar, Exit, Order, PaperConfig, Position, Trade
from tradingai.engine.risk.costs import Costs, ExecutionCosts, filled


class Ending(NamedTuple):
    """Where a position ends: the price before costs, and when."""

    reason: Exit
    level: float
    at_us: int
    at_open: bool
    """Nothing of the candle but its open was lived through."""


def open_position(order: Order, bar: Bar, config: PaperConfig, costs: ExecutionCosts) -> Position:
    """The order filled at the open of ``bar``; stop and target keep their distances from the filled price."""
    sign = order.side.sign
    cost = costs.drawn(order.symbol, bar.ts_us)
    entry = filled(bar.open, sign, cost.market_bps)
    commission = costs.commission(order.quantity, entry)
    return Position(
        order=order,
        entry_us=bar.ts_us,
        entry=entry,
        stop=entry - sign * order.stop_distance,
        target=entry + sign * order.target_distance,
        due_us=bar.ts_us + config.time_exit_minutes * MINUTE_US,
        spread_bps=cost.spread_bps,
        slippage_bps=cost.slippage_bps,
        entry_commission=commission,
        swap=0.0,
        mark=bar.open,
        mark_us=bar.ts_us,
        lowest=-commission,
        highest=-commission,
    )


def ending_of(position: Position, bar: Bar, liquidate_from_us: int | None) -> Ending | None:
    """Whether and where the position ends within ``bar``.

    At the open first: a gap through the stop, a liquidation, a time exit that is overdue. Then the stop, also
    when the target is touched as well, then the target, then the time exit at the close.
    """
    sign = position.order.side.sign
    at_open = _exit_at_open(position, bar, liquidate_from_us)
    if at_open is not None:
        return Ending(at_open, bar.open, bar.ts_us, at_open=True)
    adverse, favourable = (bar.low, bar.high) if sign > 0 else (bar.high, bar.low)
    if (adverse - position.stop) * sign <= 0:
        return Ending(Exit.STOP, position.stop, bar.end_us, at_open=False)
    if (favourable - position.target) * sign >= 0:
        return Ending(Exit.TARGET, position.target, bar.end_us, at_open=False)
    if bar.end_us >= position.due_us:
        return Ending(Exit.TIME, bar.close, bar.end_us, at_open=False)
    return None


def _exit_at_open(position: Position, bar: Bar, liquidate_from_us: int | None) -> Exit | None:
    if (bar.open - position.stop) * position.order.side.sign <= 0:
        return Exit.STOP
    if liquidate_from_us is not None and bar.ts_us >= liquidate_from_us:
        return Exit.HALT
    return Exit.TIME if bar.ts_us >= position.due_us else None


def floating(position: Position, mid: float, costs: ExecutionCosts) -> float:
    """Floating result at ``mid`` in money: closed at half the expected spread, swap included.

    The entry's commission has left the balance already; the exit's is not owed yet.
    """
    return _floating(position, mid, costs.expected(position.order.symbol, position.mark_us).limit_bps)


def _floating(position: Position, mid: float, away_bps: float) -> float:
    order, sign = position.order, position.order.side.sign
    price = filled(mid, -sign, away_bps)
    return sign * (price - position.entry) * order.quantity + position.swap


def marked(position: Position, bar: Bar, costs: ExecutionCosts) -> tuple[Position, float, float]:
    """The position after a candle it survived, and its floating results at the candle's close and worst."""
    end_us, paid = bar.end_us, position.entry_commission
    away_bps = costs.expected(position.order.symbol, end_us).limit_bps
    worst_price, best_price = (bar.low, bar.high) if position.order.side.sign > 0 else (bar.high, bar.low)
    worst, best = _floating(position, worst_price, away_bps), _floating(position, best_price, away_bps)
    after = Position(
        order=position.order,
        entry_us=position.entry_us,
        entry=position.entry,
        stop=position.stop,
        target=position.target,
        due_us=position.due_us,
        spread_bps=position.spread_bps,
        slippage_bps=position.slippage_bps,
        entry_commission=paid,
        swap=position.swap,
        mark=bar.close,
        mark_us=end_us,
        lowest=min(position.lowest, worst - paid),
        highest=max(position.highest, best - paid),
    )
    return after, _floating(position, bar.close, away_bps), worst


def close_position(
    position: Position, ending: Ending, bar: Bar, costs: ExecutionCosts
) -> tuple[Trade, float]:
    """The trade, and the lowest floating result of its last candle (its own result when that was lower).

    Everything but the target is a market order and slips.
    """
    order, sign = position.order, position.order.side.sign
    cost = costs.drawn(order.symbol, ending.at_us)
    away = cost.limit_bps if ending.reason is Exit.TARGET else cost.market_bps
    price = filled(ending.level, -sign, away)
    exit_commission = costs.commission(order.quantity, price)
    booked = sign * (price - position.entry) * order.quantity - exit_commission + position.swap
    worst, best = _last_extremes(position, ending, bar, costs)
    net = booked - position.entry_commission
    risk = order.risk_money
    trade = Trade(
        key=order.key,
        symbol=order.symbol,
        side=order.side,
        tier=order.tier,
        confidence=order.confidence,
        quantity=order.quantity,
        decided_us=order.decided_us,
        reference=order.reference,
        entry_us=position.entry_us,
        entry=position.entry,
        stop=position.stop,
        target=position.target,
        exit_us=ending.at_us,
        exit=price,
        exit_reason=ending.reason,
        spread_bps=position.spread_bps,
        slippage_bps=position.slippage_bps,
        commission=position.entry_commission + exit_commission,
        swap=position.swap,
        risk_money=risk,
        net=net,
        r=net / risk,
        mae_r=min(position.lowest, worst - position.entry_commission, net) / risk,
        mfe_r=max(position.highest, best - position.entry_commission, net) / risk,
    )
    return trade, min(worst, booked)


def _last_extremes(
    position: Position, ending: Ending, bar: Bar, costs: ExecutionCosts
) -> tuple[float, float]:
    """Floating results at the worst and best price of the last candle known to lie before the end."""
    if ending.at_open or ending.reason is Exit.STOP:
        here = floating(position, ending.level, costs)
        return here, here
    worst, best = (bar.low, bar.high) if position.order.side.sign > 0 else (bar.high, bar.low)
    if ending.reason is Exit.TARGET:
        best = position.target
    return floating(position, worst, costs), floating(position, best, costs)


def stopped_result(position: Position, costs: ExecutionCosts, at_us: int) -> float:
    """What the balance changes by when the position is stopped, with stressed costs."""
    order = position.order
    price = filled(position.stop, -order.side.sign, costs.stressed(order.symbol, at_us).market_bps)
    commission = costs.commission(order.quantity, price)
    return order.side.sign * (price - position.entry) * order.quantity - commission + position.swap


def stopped_order_result(order: Order, costs: ExecutionCosts, at_us: int) -> float:
    """What the balance changes by when the order is filled from its reference price and then stopped."""
    sign = order.side.sign
    cost: Costs = costs.stressed(order.symbol, at_us)
    entry = filled(order.reference, sign, cost.market_bps)
    price = filled(entry - sign * order.stop_distance, -sign, cost.market_bps)
    commissions = costs.commission(order.quantity, entry) + costs.commission(order.quantity, price)
    return sign * (price - entry) * order.quantity - commissions
