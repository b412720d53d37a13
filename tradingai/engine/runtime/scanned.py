"""A scan that ended, as whoever watches the loop hears of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from tradingai.engine.core.events import SignalEmitted
from tradingai.engine.decision.orders import Trade
from tradingai.engine.decision.paper import equity_of
from tradingai.engine.decision.records import Decision, Signal
from tradingai.engine.decision.state import DeskConfig, DeskState
from tradingai.engine.risk.ftmo_status import FloorDistance, floor_distances
from tradingai.engine.runtime.runs import Finished, Run
from tradingai.engine.runtime.step import ScanStep


class ScannedAccount(NamedTuple):
    """The paper account as a scan left it, in money unless said otherwise."""

    balance: float
    equity: float
    drawdown: float
    """Largest loss from a peak of the equity so far, as a share of that peak: 0 … 1."""
    guard: str
    floors: tuple[FloorDistance, ...]
    """Daily stop, daily limit, total stop, total limit."""


class Scanned(NamedTuple):
    """A scan that ended; what comes after ``detail`` is empty for one that failed."""

    due_us: int
    seq: int
    state: Literal["done", "late", "failed"]
    reasons: dict[str, int]
    signals: tuple[Signal, ...]
    detail: str
    run_id: str = ""
    mode: str = ""
    at_us: int = 0
    """The time it decided by."""
    latency_ms: float | None = None
    """Since it was due, at its decisions."""
    took_ms: float | None = None
    """From its beginning until it was to be stored."""
    decisions: tuple[Decision, ...] = ()
    trades: tuple[Trade, ...] = ()
    """Paper positions that were closed in it."""
    account: ScannedAccount | None = None


def decided_scan(run: Run, step: ScanStep, finished: Finished) -> Scanned:
    """A scan that is stored as the newest of ``run``."""
    outcome = finished.outcome
    return Scanned(
        due_us=outcome.due_us,
        seq=run.scans,
        state=finished.state,
        reasons=reasons_of(outcome.decisions),
        signals=tuple(one.signal for one in outcome.decisions if one.signal is not None),
        detail=finished.detail,
        run_id=run.run_id,
        mode=step.mode,
        at_us=outcome.at_us,
        latency_ms=outcome.latency_ms,
        took_ms=finished.took_ms,
        decisions=outcome.decisions,
        trades=outcome.trades,
        account=_account(outcome.desk, step.config),
    )


def failed_scan(run: Run, step: ScanStep, due_us: int, at_us: int, reason: str) -> Scanned:
    """A scan that decided nothing; it may be stored later than the next one is due."""
    return Scanned(
        due_us, run.scans, "failed", {}, (), reason, run_id=run.run_id, mode=step.mode, at_us=at_us
    )


def reasons_of(decisions: Iterable[Decision]) -> dict[str, int]:
    """How many decisions ended for which reason; reasons that none has are left out."""
    return dict(Counter(decision.reason.value for decision in decisions))


def emitted_events(decisions: Iterable[Decision]) -> list[SignalEmitted]:
    """One event a signal."""
    return [
        SignalEmitted(
            key=signal.key,
            symbol=signal.symbol,
            side=signal.side.value,
            tier="" if signal.tier is None else signal.tier.value,
            confidence=signal.confidence,
            entry=signal.entry,
            take_profit=signal.take_profit,
            stop_loss=signal.stop_loss,
            mode=signal.mode,
        )
        for signal in (decision.signal for decision in decisions)
        if signal is not None
    ]


def _account(desk: DeskState, config: DeskConfig) -> ScannedAccount:
    equity = equity_of(desk.paper, config.costs)
    return ScannedAccount(
        balance=desk.paper.balance,
        equity=equity,
        drawdown=desk.paper.max_drawdown,
        guard=desk.guard.status.value,
        floors=floor_distances(desk.ftmo, config.risk.rules, equity),
    )
