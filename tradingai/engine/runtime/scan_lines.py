"""What a scan and a heartbeat leave in the log: a line a scan, a decision, a signal, each with its metrics.

Units are in the names or in ``docs/logging.md``; a line of a scan counts for the run's mode, one of a
decision for its pair, one of a signal for both.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, Final

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.logs.emf import Directive, Metric
from tradingai.engine.core.logs.process_log import SCANS
from tradingai.engine.decision.records import REASONS, Decision, Signal
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.runtime.scanned import Scanned, ScannedAccount
from tradingai.engine.store.live_rows import Heartbeat

MODE_ALONE: Final = (("mode",),)
PAIR_AND_MODE: Final = (("pair", "mode"),)
_log = logging.getLogger(SCANS)
_COUNTS: Final = (
    "scans", "scans_late", "scans_failed", "decisions", "signals", "trades_closed", "trades_won",
    *(f"decisions_{reason.value}" for reason in REASONS),
    *(f"signals_{tier.value}" for tier in Tier), "signals_untiered",
)  # fmt: skip
_MONEY: Final = (
    "equity",
    "balance",
    "daily_stop_left",
    "daily_limit_left",
    "total_stop_left",
    "total_limit_left",
    "net_r",
)
SCAN_METRICS: Final = (
    Directive(
        MODE_ALONE,
        (
            Metric("lat_ms", "Milliseconds"),
            Metric("took_ms", "Milliseconds"),
            Metric("drawdown_pct", "Percent"),
            *(Metric(name, "Count") for name in _COUNTS),
            *(Metric(name) for name in _MONEY),
        ),
    ),
)
DECISION_METRICS: Final = (Directive(PAIR_AND_MODE, (Metric("conf"), Metric("p_up"))),)
SIGNAL_METRICS: Final = (
    Directive(PAIR_AND_MODE, (Metric("signals", "Count"), Metric("lat_ms", "Milliseconds"))),
    Directive(PAIR_AND_MODE + MODE_ALONE, (Metric("rr"), Metric("spread_bps"), Metric("slip_bps"))),
)
BEAT_METRICS: Final = (Directive(MODE_ALONE, (Metric("heartbeats", "Count"),)),)


def log_scan(scanned: Scanned) -> None:
    """The lines of one scan: its decisions, its signals, then the scan itself."""
    if not _log.isEnabledFor(logging.ERROR):
        return
    for decision in scanned.decisions:
        fields = decision_fields(scanned, decision)
        _write(logging.INFO, f"{decision.symbol} {fields['reason']}", fields, DECISION_METRICS)
        if decision.signal is not None:
            fields = signal_fields(scanned, decision, decision.signal)
            text = f"{decision.symbol} {fields['side']} {fields['tier'] or ''} signal".replace("  ", " ")
            _write(logging.INFO, text, fields, SIGNAL_METRICS)
    level = {"late": logging.WARNING, "failed": logging.ERROR}.get(scanned.state, logging.INFO)
    text = f"scan {scanned.seq} {scanned.state}" + (f": {scanned.detail}" if scanned.detail else "")
    _write(level, text, scan_fields(scanned), SCAN_METRICS)


def log_heartbeat(beat: Heartbeat, mode: str) -> None:
    """The line of one heartbeat that is in the store."""
    fields = {
        "event": "heartbeat",
        "run": beat.run_id,
        "mode": mode,
        "engine": beat.engine,
        "state": beat.state,
        "run_scans": beat.scans,
        "next_due": beat.next_due,
        "heartbeats": 1,
    }
    _write(logging.INFO, f"heartbeat, {beat.state}", fields, BEAT_METRICS)


def scan_fields(scanned: Scanned) -> dict[str, Any]:
    """The members of a scan's line; what a failed scan does not know is None."""
    reasons = Counter(scanned.reasons)
    tiers = Counter("untiered" if one.tier is None else one.tier.value for one in scanned.signals)
    return {
        "event": "scan",
        "run": scanned.run_id,
        "mode": scanned.mode,
        "scan": scanned.seq,
        "state": scanned.state,
        "due": us_to_datetime(scanned.due_us),
        "lat_ms": _rounded(scanned.latency_ms, 3),
        "took_ms": _rounded(scanned.took_ms, 3),
        "scans": 1,
        "scans_late": int(scanned.state == "late"),
        "scans_failed": int(scanned.state == "failed"),
        "decisions": reasons.total(),
        **{f"decisions_{reason.value}": reasons[reason.value] for reason in REASONS},
        "signals": len(scanned.signals),
        **{f"signals_{tier}": tiers[tier] for tier in (*(tier.value for tier in Tier), "untiered")},
        "trades_closed": len(scanned.trades),
        "trades_won": sum(trade.won for trade in scanned.trades),
        "net_r": sum(trade.r for trade in scanned.trades) if scanned.trades else None,
        **_account_fields(scanned.account),
        "detail": scanned.detail,
    }


def decision_fields(scanned: Scanned, decision: Decision) -> dict[str, Any]:
    """The members of a decision's line; prices and costs are None unless it became a signal."""
    return {
        "event": "decision",
        **_decided(scanned, decision),
        "reason": decision.reason.value,
        "detail": decision.detail,
        "p_up": decision.p_up,
        "threshold": decision.threshold,
        "candle": None if decision.candle_us is None else us_to_datetime(decision.candle_us),
        "outputs": dict(decision.outputs),
        "versions": dict(decision.versions),
        "input_sha256": decision.input_sha256,
    }


def signal_fields(scanned: Scanned, decision: Decision, signal: Signal) -> dict[str, Any]:
    """The members of a signal's line."""
    return {
        "event": "signal",
        **_decided(scanned, decision),
        "key": signal.key,
        "quantity": signal.quantity,
        "risk_money": signal.risk_money,
        "versions": dict(decision.versions),
        "input_sha256": decision.input_sha256,
        "signals": 1,
    }


def _decided(scanned: Scanned, decision: Decision) -> dict[str, Any]:
    """What decisions and signals have in common."""
    signal = decision.signal
    return {
        "run": scanned.run_id,
        "mode": scanned.mode,
        "scan": scanned.seq,
        "pair": decision.symbol,
        "side": decision.side,
        "tier": decision.tier,
        "conf": decision.confidence,
        "entry": None if signal is None else signal.entry,
        "tp": None if signal is None else signal.take_profit,
        "sl": None if signal is None else signal.stop_loss,
        "rr": None if signal is None else signal.reward_risk,
        "lat_ms": _rounded(scanned.latency_ms, 3),
        "spread_bps": None if signal is None else signal.spread_bps,
        "slip_bps": None if signal is None else signal.slip_bps,
    }


def _account_fields(account: ScannedAccount | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {
        "balance": account.balance,
        "equity": account.equity,
        "drawdown_pct": 100 * account.drawdown,
        "guard": account.guard,
        **{f"{floor.name.replace(' ', '_')}_left": floor.left for floor in account.floors},
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _write(level: int, text: str, fields: dict[str, Any], metrics: tuple[Directive, ...]) -> None:
    _log.log(level, "%s", text, extra={"fields": fields, "metrics": metrics})
