"""The two steps of a run, shared by live loop, replay and backtest: a minute passes, a scan decides.

Both take a state and give a new one; nothing here reads a clock, a store or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.events import Event, RuleFailed
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.decision.orders import Bar, Trade
from tradingai.engine.decision.paper import (
    accrue_swap,
    cancel_orders,
    equity_if_stopped,
    reading_of,
    step_paper,
)
from tradingai.engine.decision.planning import Score, plan_order, score_of, signal_of
from tradingai.engine.decision.records import CoinInput, Decision, Reason, Scan, Signal
from tradingai.engine.decision.rules import FRESHNESS, ROOM, WORTH, Question, Verdict, first_that_applies
from tradingai.engine.decision.state import DeskConfig, DeskState, TierMemory
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk import guard as guards
from tradingai.engine.risk.ftmo import position_opened
from tradingai.engine.risk.ftmo_status import FtmoStatus, ftmo_status
from tradingai.engine.risk.guard import GuardStatus, Reading
from tradingai.engine.risk.limits import rate_emitted


class Advanced(NamedTuple):
    """What a minute did."""

    state: DeskState
    trades: tuple[Trade, ...] = ()
    events: tuple[Event, ...] = ()


class Decided(NamedTuple):
    """What a scan decided: one decision a coin, in the order the coins were given."""

    state: DeskState
    decisions: tuple[Decision, ...]
    events: tuple[Event, ...] = ()


class _Open(NamedTuple):
    """A coin that passed the rules which look at it alone."""

    place: int
    question: Question
    score: Score


def advance(state: DeskState, config: DeskConfig, bars: Mapping[str, Bar], ts_us: int) -> Advanced:
    """Live through the candles that open at ``ts_us`` and are closed now, at most one a coin.

    Prague midnights up to ``ts_us`` are passed first, with the balance so far. Then orders are filled,
    positions end, and the guard looks at the lowest equity of the minute. Whatever goes wrong is a halt, with
    the paper account as it was. Minutes come in ascending order; a candle that a position has lived through
    already is not used again.
    """
    state, passed = _pass_midnight(state, config, ts_us)
    if not state.paper.orders and not state.paper.positions:
        return Advanced(state, (), passed)
    try:
        advanced = _live_through(state, config, bars, ts_us)
    except Exception as error:  # noqa: BLE001 - an account that cannot be computed must halt, whatever the cause
        state, events = _halted(state, ts_us, "exception", f"{type(error).__name__}: {error}")
        return Advanced(state, (), passed + events)
    if not passed:
        return advanced
    return Advanced(advanced.state, advanced.trades, passed + advanced.events)


def _live_through(state: DeskState, config: DeskConfig, bars: Mapping[str, Bar], ts_us: int) -> Advanced:
    liquidate_from = None
    if state.guard.status is GuardStatus.HALTED:
        liquidate_from = state.guard.since_us + config.costs.latency_us
    step = step_paper(state.paper, bars, config.paper, config.costs, liquidate_from)
    guard, ftmo, events = state.guard, state.ftmo, step.events
    if step.opened:
        ftmo = position_opened(ftmo)
    for trade in sorted(step.trades, key=lambda trade: (trade.exit_us, trade.symbol)):
        guard, changed = guards.trade_closed(guard, config.risk.back_off, trade.exit_us, won=trade.won)
        events += changed
    end_us = max((bar.end_us for bar in bars.values()), default=ts_us)
    reading = Reading(end_us, step.state.balance, step.equity, step.lowest_equity, priced_at_us=None)
    guard, ftmo, seen = guards.observe(guard, ftmo, config.risk, reading)
    state, cancelled = _without_orders_if_halted(state.with_account(step.state, ftmo, guard), end_us)
    return Advanced(state, step.trades, events + seen + cancelled)


def decide(state: DeskState, config: DeskConfig, scan: Scan) -> Decided:
    """Decide on every coin of the scan: each decision has one reason, the first rule that applies.

    The guard looks at the account first. The rules that look at a coin alone are asked of each; the coins
    they let pass are then taken in the order of confidence (ties by name), since each emission takes room
    from the next.
    """
    state, events = _watch(state, config, scan.at_us)
    decisions: dict[int, Decision] = {}
    passed: list[_Open] = []
    tiers, seen = dict(state.tiers), dict(state.seen_us)
    for index, coin in enumerate(scan.coins):
        question, verdict = _screen(Question(config, state, scan, coin))
        if question.score is not None:
            tiers[coin.symbol] = TierMemory(question.score.side, question.score.tier)
        if coin.candle_us is not None and coin.candle_us > seen.get(coin.symbol, coin.candle_us - 1):
            seen[coin.symbol] = coin.candle_us
        if verdict is not None:
            decisions[index] = _decision(question, verdict, None)
        elif question.score is not None:
            passed.append(_Open(index, question, question.score))
    state = state.having_seen(tiers, seen)
    for entry in sorted(passed, key=lambda one: (-one.score.confidence, one.question.coin.symbol)):
        state, decisions[entry.place] = _contend(state, entry)
    ordered = tuple(decisions[index] for index in range(len(scan.coins)))
    return Decided(state, ordered, events + tuple(_failures(ordered)))


def _screen(question: Question) -> tuple[Question, Verdict | None]:
    verdict = first_that_applies(FRESHNESS, question)
    if verdict is not None:
        return question, verdict
    coin, config = question.coin, question.config.decision
    try:
        memory = question.state.tiers.get(coin.symbol)
        score = None if coin.p_up is None else score_of(coin.p_up, memory, config.tiers)
    except Exception as error:  # noqa: BLE001 - scoring belongs to the threshold rule: what fails in it must block
        failure = f"rule failed: {type(error).__name__}: {error}"
        return question, Verdict(Reason.BELOW_THRESHOLD, failure, failed=True)
    question = question._replace(score=score)
    return question, first_that_applies(WORTH, question)


def _contend(state: DeskState, entry: _Open) -> tuple[DeskState, Decision]:
    question = entry.question._replace(state=state)
    verdict = first_that_applies(ROOM, question)
    if verdict is not None:
        return state, _decision(question, verdict, None)
    config, scan = question.config, question.scan
    order = plan_order(question.coin, entry.score, state, config, scan.at_us)
    high = entry.score.tier is Tier.HIGH
    after = replace(
        state,
        paper=replace(state.paper, orders=(*state.paper.orders, order)),
        rates=rate_emitted(state.rates, config.decision.rates, scan.at_us, high=high),
    )
    return after, _decision(question, Verdict(Reason.EMITTED, ""), signal_of(order, scan, config))


def _decision(question: Question, verdict: Verdict, signal: Signal | None) -> Decision:
    coin: CoinInput = question.coin
    score = question.score
    return Decision(
        symbol=coin.symbol,
        at_us=question.scan.at_us,
        candle_us=coin.candle_us,
        reason=verdict.reason,
        detail=verdict.detail,
        p_up=coin.p_up,
        confidence=score.confidence if score else None,
        side=score.side if score else None,
        tier=score.tier if score else None,
        threshold=question.threshold,
        size_factor=guards.size_factor(question.state.guard, question.config.risk),
        outputs=coin.outputs,
        versions=coin.versions,
        input_sha256=coin.input_sha256,
        failed=verdict.failed,
        signal=signal,
    )


def _failures(decisions: tuple[Decision, ...]) -> list[Event]:
    return [
        RuleFailed(
            symbol=decision.symbol, rule=decision.reason.value, error=decision.detail, at=_iso(decision.at_us)
        )
        for decision in decisions
        if decision.failed
    ]


def _watch(state: DeskState, config: DeskConfig, at_us: int) -> tuple[DeskState, tuple[Event, ...]]:
    """The guard's look at the account between candles: staleness, NaN, limits; an exception halts."""
    try:
        state, passed = _pass_midnight(state, config, at_us)
        reading = reading_of(state.paper, config.costs, at_us)
        guard, ftmo, events = guards.observe(state.guard, state.ftmo, config.risk, reading)
    except Exception as error:  # noqa: BLE001 - an account that cannot be computed must halt, whatever the cause
        return _halted(state, at_us, "exception", f"{type(error).__name__}: {error}")
    state, cancelled = _without_orders_if_halted(state.with_account(state.paper, ftmo, guard), at_us)
    return state, passed + events + cancelled


def _pass_midnight(state: DeskState, config: DeskConfig, at_us: int) -> tuple[DeskState, tuple[Event, ...]]:
    if at_us < state.ftmo.next_reset_us:
        return state, ()
    guard, ftmo, events = guards.pass_midnights(
        state.guard, state.ftmo, config.risk, at_us, state.paper.balance
    )
    return state.with_account(accrue_swap(state.paper, config.costs), ftmo, guard), events


def halt_desk(state: DeskState, at_us: int, cause: str, detail: str) -> tuple[DeskState, tuple[Event, ...]]:
    """HALTED from outside, for example because the account could not be read; waiting orders are given up."""
    return _halted(state, at_us, cause, detail)


def _halted(state: DeskState, at_us: int, cause: str, detail: str) -> tuple[DeskState, tuple[Event, ...]]:
    guard, events = guards.halt(state.guard, at_us, cause, detail)
    state, cancelled = _without_orders_if_halted(replace(state, guard=guard), at_us)
    return state, events + cancelled


def _without_orders_if_halted(state: DeskState, at_us: int) -> tuple[DeskState, tuple[Event, ...]]:
    if state.guard.status is not GuardStatus.HALTED or not state.paper.orders:
        return state, ()
    paper, events = cancel_orders(state.paper, at_us, "halted")
    return replace(state, paper=paper), events


def leave_halted(
    state: DeskState, config: DeskConfig, at_us: int, *, reason: str, who: str
) -> tuple[DeskState, tuple[Event, ...]]:
    """Leave HALTED with a reason. Raises UsageError as ``risk.guard.leave_halted`` does."""
    reading = reading_of(state.paper, config.costs, at_us)
    guard, events = guards.leave_halted(state.guard, state.ftmo, config.risk, reading, reason=reason, who=who)
    return replace(state, guard=guard), events


def status_of(state: DeskState, config: DeskConfig, at_us: int) -> FtmoStatus:
    """Floors, reset and objective of the account at its newest marks."""
    reading: Reading = reading_of(state.paper, config.costs, at_us)
    stopped = equity_if_stopped(state.paper, config.costs, at_us)
    return ftmo_status(state.guard, state.ftmo, config.risk, reading, stopped)


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
