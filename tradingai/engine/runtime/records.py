"""Between decided scans and the rows the store keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.events import Event, ModelRefused
from tradingai.engine.decision.orders import Trade
from tradingai.engine.decision.paper import equity_of
from tradingai.engine.decision.records import Decision, Reason, Side, Signal
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.inference.market import WarmStart
from tradingai.engine.inference.stream import SeenCoin, features_sha256
from tradingai.engine.runtime.step import Outcome
from tradingai.engine.store.scan_rows import (
    DecisionRow,
    InputRow,
    ScanRecord,
    ScanRow,
    SignalRow,
    TradeRow,
    WarmStartRow,
)

KEPT_FEATURE_ROWS: Final = 8
"""Feature rows kept of one coin at one scan: those of the newest minutes."""


def scan_record(
    seq: int,
    outcome: Outcome,
    config: DeskConfig,
    *,
    took_ms: float | None = None,
    state: Literal["done", "late"] = "done",
    detail: str = "",
) -> ScanRecord:
    """Everything to store of a decided scan, number ``seq`` of its run."""
    at, desk, controls = us_to_datetime(outcome.at_us), outcome.desk, outcome.controls
    scan = ScanRow(
        seq=seq,
        due=us_to_datetime(outcome.due_us),
        at=at,
        state=state,
        detail=detail,
        latency_ms=outcome.latency_ms,
        took_ms=took_ms,
        threshold=controls.threshold,
        killed=controls.killed,
        kill_source=controls.kill_source,
        balance=desk.paper.balance,
        equity=equity_of(desk.paper, config.costs),
        drawdown=desk.paper.max_drawdown,
        guard=desk.guard.status.value,
    )
    signals = [(one, one.signal) for one in outcome.decisions if one.signal is not None]
    return ScanRecord(
        scan,
        tuple(decision_row(seq, place, one) for place, one in enumerate(outcome.decisions)),
        tuple(_signal_row(seq, one, signal) for one, signal in signals),
        tuple(_trade_row(seq, trade) for trade in outcome.trades),
        tuple(_input_row(seq, seen) for seen in outcome.seen),
        (
            *(_warm_start_row(seq, start) for start in outcome.warm_starts),
            *(_refused_row(seq, event) for event in outcome.events if isinstance(event, ModelRefused)),
        ),
        tuple(event.as_json() for event in outcome.events),
    )


def failed_record(
    seq: int, due_us: int, at_us: int, detail: str, events: Sequence[Event], seen: Sequence[SeenCoin] = ()
) -> ScanRecord:
    """What to store of a scan that could not decide anything."""
    scan = ScanRow(
        seq=seq, due=us_to_datetime(due_us), at=us_to_datetime(at_us), state="failed", detail=detail,
        latency_ms=None, took_ms=None, threshold=None, killed=False, kill_source="", balance=None,
        equity=None, drawdown=None, guard="",
    )  # fmt: skip
    inputs = tuple(_input_row(seq, coin) for coin in seen)
    return ScanRecord(scan, inputs=inputs, events=tuple(event.as_json() for event in events))


def decision_row(seq: int, place: int, decision: Decision) -> DecisionRow:
    """One decision as its row."""
    return DecisionRow(
        scan_seq=seq,
        place=place,
        symbol=decision.symbol,
        at=us_to_datetime(decision.at_us),
        candle=None if decision.candle_us is None else us_to_datetime(decision.candle_us),
        reason=decision.reason.value,
        detail=decision.detail,
        p_up=decision.p_up,
        confidence=decision.confidence,
        side=None if decision.side is None else decision.side.value,
        tier=None if decision.tier is None else decision.tier.value,
        threshold=decision.threshold,
        size_factor=decision.size_factor,
        outputs=decision.outputs,
        versions=decision.versions,
        input_sha256=decision.input_sha256,
        failed=decision.failed,
        signal_key=None if decision.signal is None else decision.signal.key,
    )


def stored_decision(row: DecisionRow, signal: SignalRow | None) -> Decision:
    """The decision a row was made of; its canonical line is the same."""
    return Decision(
        symbol=row.symbol,
        at_us=datetime_to_us(row.at),
        candle_us=None if row.candle is None else datetime_to_us(row.candle),
        reason=Reason(row.reason),
        detail=row.detail,
        p_up=row.p_up,
        confidence=row.confidence,
        side=None if row.side is None else Side(row.side),
        tier=None if row.tier is None else Tier(row.tier),
        threshold=row.threshold,
        size_factor=row.size_factor,
        outputs={name: float("nan") if value is None else value for name, value in row.outputs.items()},
        versions=dict(row.versions),
        input_sha256=row.input_sha256,
        failed=row.failed,
        signal=None if signal is None else _stored_signal(signal),
    )


def _warm_start_row(seq: int, start: WarmStart) -> WarmStartRow:
    live = start.live
    return WarmStartRow(
        scan_seq=seq, model=live.model, version=live.version, kind=live.kind, symbol=", ".join(live.symbols),
        artifact_sha256=live.sha256, first_candle=us_to_datetime(start.first_us),
        last_candle=us_to_datetime(start.last_us), refused="",
    )  # fmt: skip


def _refused_row(seq: int, event: ModelRefused) -> WarmStartRow:
    return WarmStartRow(
        scan_seq=seq, model=event.model, version=event.version, kind="", symbol="", artifact_sha256="",
        first_candle=None, last_candle=None, refused=event.reason,
    )  # fmt: skip


def _signal_row(seq: int, decision: Decision, signal: Signal) -> SignalRow:
    return SignalRow(
        key=signal.key,
        scan_seq=seq,
        symbol=signal.symbol,
        at=us_to_datetime(decision.at_us),
        side=signal.side.value,
        tier=None if signal.tier is None else signal.tier.value,
        confidence=signal.confidence,
        entry=signal.entry,
        take_profit=signal.take_profit,
        stop_loss=signal.stop_loss,
        reward_risk=signal.reward_risk,
        quantity=signal.quantity,
        risk_money=signal.risk_money,
        spread_bps=signal.spread_bps,
        slip_bps=signal.slip_bps,
        latency_ms=signal.latency_ms,
        mode=signal.mode,
    )


def _stored_signal(row: SignalRow) -> Signal:
    return Signal(
        key=row.key,
        symbol=row.symbol,
        side=Side(row.side),
        tier=None if row.tier is None else Tier(row.tier),
        confidence=row.confidence,
        entry=row.entry,
        take_profit=row.take_profit,
        stop_loss=row.stop_loss,
        reward_risk=row.reward_risk,
        quantity=row.quantity,
        risk_money=row.risk_money,
        spread_bps=row.spread_bps,
        slip_bps=row.slip_bps,
        latency_ms=row.latency_ms,
        mode=row.mode,
    )


def _trade_row(seq: int, trade: Trade) -> TradeRow:
    return TradeRow(
        key=trade.key,
        scan_seq=seq,
        symbol=trade.symbol,
        side=trade.side.value,
        tier=None if trade.tier is None else trade.tier.value,
        confidence=trade.confidence,
        quantity=trade.quantity,
        decided_at=us_to_datetime(trade.decided_us),
        reference=trade.reference,
        entry_at=us_to_datetime(trade.entry_us),
        entry=trade.entry,
        stop=trade.stop,
        target=trade.target,
        exit_at=us_to_datetime(trade.exit_us),
        exit=trade.exit,
        exit_reason=trade.exit_reason.value,
        spread_bps=trade.spread_bps,
        slippage_bps=trade.slippage_bps,
        commission=trade.commission,
        swap=trade.swap,
        risk_money=trade.risk_money,
        net=trade.net,
        r=trade.r,
        mae_r=trade.mae_r,
        mfe_r=trade.mfe_r,
    )


def _input_row(seq: int, seen: SeenCoin) -> InputRow:
    kept = seen.rows[-KEPT_FEATURE_ROWS:]
    return InputRow(
        scan_seq=seq,
        symbol=seen.symbol,
        first_candle=seen.raw.start if len(seen.raw) else None,
        last_candle=seen.raw.end if len(seen.raw) else None,
        candles=len(seen.raw),
        input_sha256=seen.sha256,
        features_sha256=features_sha256(seen.rows),
        features_until=None if seen.rows_until_us is None else us_to_datetime(seen.rows_until_us),
        features=kept.astype("<f4").tobytes() if kept.size else None,
    )
