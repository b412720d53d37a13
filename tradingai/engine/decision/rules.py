"""The rules, in their order. Each says why it blocks a coin, or None; the first that does decides.

A rule that cannot be evaluated blocks: the decision carries that rule's reason with the error as detail, so
that it has exactly one reason in this case too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.fills import stopped_order_result
from tradingai.engine.decision.paper import equity_if_stopped, notional_of
from tradingai.engine.decision.planning import Score, order_fault, plan_order
from tradingai.engine.decision.records import CoinInput, Reason, Scan
from tradingai.engine.decision.state import DeskConfig, DeskState
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.guard import GuardStatus, entry_refusal
from tradingai.engine.risk.limits import rate_refusal


class Question(NamedTuple):
    """One coin at one scan, before the account as the better-ranked coins left it."""

    config: DeskConfig
    state: DeskState
    scan: Scan
    coin: CoinInput
    score: Score | None = None

    @property
    def threshold(self) -> float:
        """The runtime's threshold where there is one, else the configured."""
        given = self.scan.threshold
        return self.config.decision.threshold if given is None else given


class Verdict(NamedTuple):
    """The rule that decided."""

    reason: Reason
    detail: str
    failed: bool = False


Rule = Callable[[Question], str | None]


def no_new_candle(question: Question) -> str | None:
    """The newest closed candle was decided on before, or there is none."""
    coin, seen = question.coin, question.state.seen_us.get(question.coin.symbol)
    if coin.candle_us is None:
        return "no candle"
    if seen is not None and coin.candle_us <= seen:
        return f"newest candle {_iso(coin.candle_us)}, {_iso(seen)} was decided on"
    return None


def stale(question: Question) -> str | None:
    """The newest closed candle is too old, or not closed yet by this clock."""
    candle_us, limit_s = question.coin.candle_us, question.config.decision.max_candle_age_s
    if candle_us is None:
        return "no candle"
    age_s = (question.scan.at_us - candle_us - MINUTE_US) / 1e6
    if age_s < 0:
        return f"candle {_iso(candle_us)} closes {-age_s:g} s from now"
    return None if age_s <= limit_s else f"closed {age_s:g} s ago, {limit_s:g} s allowed"


def below_threshold(question: Question) -> str | None:
    """The confidence does not reach the threshold, or there is none."""
    coin, score, threshold = question.coin, question.score, question.threshold
    if coin.p_up is None:
        return coin.note or "no probability"
    if score is None:
        return coin.note or f"probability {coin.p_up:g} is not between 0 and 1"
    return None if score.confidence >= threshold else f"{score.confidence:.4f} below {threshold:g}"


def killed(question: Question) -> str | None:
    """The kill switch is on."""
    scan = question.scan
    return f"kill switch on: {scan.kill_source or 'source not told'}" if scan.killed else None


def rate_limited(question: Question) -> str | None:
    """The rolling hour is full."""
    rates, limits = question.state.rates, question.config.decision.rates
    return rate_refusal(rates, limits, question.scan.at_us, high=_scored(question).tier is Tier.HIGH)


def risk_blocked(question: Question) -> str | None:
    """The guard is halted, no sound order can be made, or all stops hit would cross an internal stop."""
    config, state, coin, at_us = question.config, question.state, question.coin, question.scan.at_us
    if state.guard.status is GuardStatus.HALTED:
        return f"HALTED: {state.guard.detail}"
    fault = order_fault(coin, config, at_us)
    if fault is not None:
        return fault
    order = plan_order(coin, _scored(question), state, config, at_us)
    return entry_refusal(
        state.ftmo,
        config.risk,
        balance=state.paper.balance,
        equity_if_stopped=equity_if_stopped(state.paper, config.costs, at_us)
        + stopped_order_result(order, config.costs, at_us),
        notional=notional_of(state.paper) + order.quantity * order.reference,
        held_until_us=order.expires_us + config.paper.time_exit_minutes * MINUTE_US,
    )


def position_open(question: Question) -> str | None:
    """The coin has a position, or an order that waits for its price."""
    return "one position a coin" if question.state.paper.busy(question.coin.symbol) else None


FRESHNESS: Final[tuple[tuple[Reason, Rule], ...]] = (
    (Reason.NO_NEW_CANDLE, no_new_candle),
    (Reason.STALE, stale),
)
"""Asked before the coin is scored."""
WORTH: Final[tuple[tuple[Reason, Rule], ...]] = (
    (Reason.BELOW_THRESHOLD, below_threshold),
    (Reason.KILLED, killed),
)
"""Asked of each coin by itself."""
ROOM: Final[tuple[tuple[Reason, Rule], ...]] = (
    (Reason.RATE_LIMITED, rate_limited),
    (Reason.RISK_BLOCKED, risk_blocked),
    (Reason.POSITION_OPEN, position_open),
)
"""Asked in the order of confidence, since each emitted signal takes room."""


def first_that_applies(rules: Sequence[tuple[Reason, Rule]], question: Question) -> Verdict | None:
    """The verdict of the first rule that blocks or cannot be evaluated; None when all let the coin pass."""
    for reason, rule in rules:
        try:
            detail = rule(question)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong inside a rule must block, not pass
            return Verdict(reason, f"rule failed: {type(error).__name__}: {error}", failed=True)
        if detail is not None:
            return Verdict(reason, detail)
    return None


def _scored(question: Question) -> Score:
    if question.score is None:
        raise ValueError(f"{question.coin.symbol} was not scored")
    return question.score


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
