"""From a coin's probability to its score, and from a score to an order and the signal that announces it."""

from __future__ import annotations

import math
from typing import NamedTuple

from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.orders import Order
from tradingai.engine.decision.records import CoinInput, Scan, Side, Signal, signal_key
from tradingai.engine.decision.state import DeskConfig, DeskState, TierMemory
from tradingai.engine.decision.tiers import Tier, TierConfig, tier_of
from tradingai.engine.risk.costs import BPS, filled
from tradingai.engine.risk.guard import size_factor


class Score(NamedTuple):
    """What a probability says: which way, how surely, and in which tier."""

    confidence: float
    side: Side
    tier: Tier | None


def score_of(p_up: float, memory: TierMemory | None, config: TierConfig) -> Score | None:
    """Confidence max(p, 1 − p), its side, and the tier with hysteresis; None for what is no probability.

    A coin that changes sides starts without a tier to hold on to.
    """
    if not 0.0 <= p_up <= 1.0:
        return None
    side = Side.LONG if p_up >= 0.5 else Side.SHORT
    confidence = max(p_up, 1.0 - p_up)
    held = memory.tier if memory is not None and memory.side is side else None
    return Score(confidence, side, tier_of(confidence, config, held))


def order_fault(coin: CoinInput, config: DeskConfig, at_us: int) -> str | None:
    """Why no order can be made of the coin's close and ATR, or None."""
    if not (math.isfinite(coin.close) and math.isfinite(coin.atr)):
        return "close or ATR not a number"
    if coin.close <= 0 or coin.atr <= 0:
        return f"close {coin.close:g} and ATR {coin.atr:g} must be positive"
    if max(config.paper.stop_atr, config.paper.target_atr) * coin.atr >= coin.close:
        return f"ATR {coin.atr:g} puts an exit below zero"
    stop_bps = config.paper.stop_atr * coin.atr / coin.close / BPS
    away_bps = config.costs.stressed(coin.symbol, at_us).market_bps
    if stop_bps <= away_bps:
        return f"stop {stop_bps:.1f} bps away, within the {away_bps:.1f} bps of spread and slippage"
    return None


def plan_order(coin: CoinInput, score: Score, state: DeskState, config: DeskConfig, at_us: int) -> Order:
    """The order of a signal decided at ``at_us``: quantity = risk / (4 ATR), so that 1 R is the risk.

    ``order_fault`` must have found nothing, and the coin has a candle.
    """
    risk = config.paper.risk_fraction * size_factor(state.guard, config.risk)
    stop_distance = config.paper.stop_atr * coin.atr
    earliest = at_us + config.costs.latency_us
    return Order(
        key=signal_key(coin.symbol, coin.candle_us or 0),
        symbol=coin.symbol,
        side=score.side,
        tier=score.tier,
        confidence=score.confidence,
        decided_us=at_us,
        earliest_us=earliest,
        expires_us=earliest + config.paper.entry_expires_minutes * MINUTE_US,
        reference=coin.close,
        quantity=risk * state.ftmo.initial_balance / stop_distance,
        stop_distance=stop_distance,
        target_distance=config.paper.target_atr * coin.atr,
    )


def signal_of(order: Order, scan: Scan, config: DeskConfig) -> Signal:
    """The order as it is announced: entry at its reference price with expected costs, exits around it."""
    cost = config.costs.expected(order.symbol, scan.at_us)
    sign = order.side.sign
    entry = filled(order.reference, sign, cost.market_bps)
    return Signal(
        key=order.key,
        symbol=order.symbol,
        side=order.side,
        tier=order.tier,
        confidence=order.confidence,
        entry=entry,
        take_profit=entry + sign * order.target_distance,
        stop_loss=entry - sign * order.stop_distance,
        reward_risk=order.target_distance / order.stop_distance,
        quantity=order.quantity,
        risk_money=order.risk_money,
        spread_bps=cost.spread_bps,
        slip_bps=cost.slippage_bps,
        latency_ms=scan.latency_ms,
        mode=scan.mode,
    )
