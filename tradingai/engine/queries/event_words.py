"""Events of the store as the console and alerts show them: a line each, with its sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.events import ProviderClockDiffers
from tradingai.engine.queries.snapshot import EventView


def event_view(
    seq: int, at: datetime, kind: str, level: str, payload: Mapping[str, Any], job_id: str = ""
) -> EventView:
    """One event as a line: its text and its sign."""
    form = _TEXTS.get(kind, _any_text)
    fields = MappingProxyType(dict(payload))
    return EventView(seq, at, kind, level, form(payload), _sign(kind, level, payload), job_id, fields)


def _sign(kind: str, level: str, payload: Mapping[str, Any]) -> str:
    if kind in {"GateDecided", "EvaluationFinished"}:
        return "pass" if payload.get("passed") else "fail"
    if kind == "ObservationReported":
        return (
            "pass"
            if str(payload.get("verdict", "")).endswith(" GO") or payload.get("verdict") == "GO"
            else "fail"
        )
    if kind == "SignalEmitted":
        return "up" if str(payload.get("side", "")).lower() in {"long", "buy", "up"} else "down"
    return {"warning": "warn", "error": "fail"}.get(level, "")


def _any_text(payload: Mapping[str, Any]) -> str:
    """``name value, name value`` of whatever is short."""
    parts = [f"{key} {_short(value)}" for key, value in payload.items() if not isinstance(value, dict | list)]
    return ", ".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text[:8] if len(text) == 64 else text


def _what(payload: Mapping[str, Any]) -> str:
    kind = str(payload.get("kind", ""))
    words = {"generate": "candles", "execution_import": "import", "execution_measure": "measure"}.get(
        kind, kind
    )
    return f"{words} {payload.get('target', '')}"


def _percent(value: Any) -> str:
    return "–" if value is None else f"{100 * float(value):.1f} %"


def _threshold(value: float | None) -> str:
    """A threshold, or whose it is when none was set."""
    return "the settings'" if value is None else f"{value:.2f}"


def _number(value: Any) -> str:
    """A number in thousands, rounded."""
    return f"{float(value or 0):,.0f}"


def _scan(payload: Mapping[str, Any]) -> str:
    """``3 coins, 1 signal, 19 ms``, and what was missing."""
    reasons = payload.get("reasons") or {}
    signals = _count(reasons.get("emitted", 0), "signal")
    text = (
        f"{_count(sum(reasons.values()), 'coin')}, {signals}, {float(payload.get('latency_ms') or 0):,.0f} ms"
    )
    return f"{text}: {payload['detail']}" if payload.get("detail") else text


def _count(value: Any, what: str) -> str:
    number = int(value or 0)
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _clock(value: Any) -> str:
    """The time of an ISO time: ``11:48:00``."""
    text = str(value)
    return text[11:19] if len(text) >= 19 else text


def _price(value: Any) -> str:
    return f"{float(value or 0):,.2f}"


def _result(value: Any) -> str:
    return f"{float(value or 0):+.2f} R".replace("-", "−")


def _float(payload: Mapping[str, Any], name: str) -> float:
    return float(payload.get(name) or 0)


def _jump(payload: Mapping[str, Any]) -> str:
    seconds = _float(payload, "seconds")
    return f"{'forward' if seconds > 0 else 'back'} by {abs(seconds):,.0f} s"


def _clock_differs(payload: Mapping[str, Any]) -> str:
    ahead_s = _float(payload, "ahead_s")
    provider = payload.get("provider")
    if abs(ahead_s) <= ProviderClockDiffers.agreed_s:
        return f"{provider}: the clocks agree again"
    side = "ahead of" if ahead_s > 0 else "behind"
    return f"this machine's clock is {abs(ahead_s):.0f} s {side} that of {provider}"


_TEXTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "ObservationStarted": lambda p: (
        f"{_float(p, 'required_hours'):g} h, baseline {_percent(p.get('win_rate'))} of "
        f"{_count(p.get('trades'), 'trade')}, by {p.get('who')}, {p.get('surface')}"
    ),
    "ObservationClockRestarted": lambda p: (
        f"{p.get('cause')}: {p.get('detail')}; {_float(p, 'hours_lost'):.2f} h given up"
    ),
    "ObservationSnapshotWritten": lambda p: (
        f"{p.get('day')}{'' if p.get('whole') else ', not over yet'}, {p.get('path')}"
    ),
    "ObservationSnapshotFailed": lambda p: (
        f"{p.get('day')}: {str(p.get('reason', '')).rstrip('.')}. {p.get('remedy', '')}".strip()
    ),
    "ObservationApproved": lambda p: f"at {_float(p, 'hours'):.2f} h, by {p.get('who')}, {p.get('surface')}",
    "ObservationReported": lambda p: f"{p.get('verdict')}: {p.get('detail')}",
    "HomeCreated": lambda p: f"{p.get('path', '')}",
    "LogsLost": lambda p: f"{p.get('file')}: {p.get('reason')}; every line is tried again",
    "LogsResumed": lambda p: (
        f"{p.get('file')} is written again; "
        f"{_count(p.get('lost'), 'line')} of {_number(p.get('seconds'))} s lost"
    ),
    "JobStarted": lambda p: _what(p) + (f", resumed {p['resume']} times" if p.get("resume") else ""),
    "JobFinished": lambda p: f"{_what(p)}, {_float(p, 'seconds'):.1f} s, {p.get('summary', '')}".rstrip(", "),
    "JobSkipped": lambda p: f"{_what(p)}: {p.get('reason', '')}",
    "JobFailed": lambda p: (
        f"{_what(p)}: {str(p.get('message', '')).rstrip('.')}. {p.get('remedy', '')}".strip()
    ),
    "JobInterrupted": lambda p: f"{_what(p)}: {p.get('reason', '')}",
    "WorkerDied": lambda p: f"{_what(p)}: {p.get('how', '')}, started again",
    "CandlesStored": lambda p: f"{p.get('symbol')} {_number(p.get('rows'))} candles, {p.get('provider')}",
    "FeaturesBuilt": lambda p: (
        f"{p.get('symbol')} {_number(p.get('rows'))} rows of {p.get('features')} features, "
        f"{_number(p.get('rows_per_s'))} rows/s"
    ),
    "TrainingStarted": lambda p: (
        f"{p.get('model')} {_count(p.get('epochs'), 'epoch')} of {_count(p.get('bars'), 'bar')}, "
        f"{_count(p.get('threads'), 'thread')}, "
        f"seed {p.get('seed')}"
        + (f", goes on after epoch {p.get('finished_epochs')}" if p.get("resumed") else "")
    ),
    "EpochFinished": lambda p: (
        f"{p.get('model')} {p.get('epoch')}/{p.get('epochs')} val {_float(p, 'validation_loss'):.3f} "
        f"{_percent(p.get('validation_accuracy'))}, {_number(p.get('bars_per_s'))} bars/s"
        + (", best so far" if p.get("best") else "")
    ),
    "PolicyUpdated": lambda p: (
        f"{p.get('model')} {p.get('stage')}/{p.get('stages')} "
        f"val {_float(p, 'validation_return_bps'):.2f} bps a minute, entropy {_float(p, 'entropy'):.2f}, "
        f"{_number(p.get('env_steps_per_s'))} env steps/s" + (", best so far" if p.get("best") else "")
    ),
    "TrainingFinished": lambda p: (
        f"{p.get('model')} val {_percent(p.get('validation_accuracy'))}, best epoch {p.get('best_epoch')} of "
        f"{p.get('epochs')}" + (", early stop" if p.get("early_stopped") else "")
    ),
    "GateDecided": lambda p: (
        f"{p.get('model')} {p.get('version')} {p.get('gate')} "
        f"{'PASS' if p.get('passed') else 'FAIL'} {p.get('detail')}"
    ),
    "EvaluationFinished": lambda p: (
        f"{p.get('model')} {p.get('version')} {_percent(p.get('accuracy'))}, "
        f"{'passed' if p.get('passed') else 'refused'}, attempt {p.get('attempt')}"
    ),
    "GuardStateChanged": lambda p: f"{p.get('status')} after {p.get('previous')}: {p.get('detail')}",
    "FtmoLimitBreached": lambda p: (
        f"equity {_float(p, 'equity'):,.2f} fell below the {p.get('limit')} limit at "
        f"{_float(p, 'floor'):,.2f}"
    ),
    "AccountReset": lambda p: (
        f"{'a fresh account' if p.get('fresh') else 'left HALTED'}, {p.get('who')}: {p.get('reason')}"
    ),
    "DrillFinished": lambda p: (
        f"the guard {'held' if p.get('held') else 'did NOT hold'}: {p.get('emitted_after')} emitted of "
        f"{p.get('twin_emitted')}, {p.get('positions_closed')} closed"
    ),
    "FoldScored": lambda p: (
        f"{p.get('model')} {str(p.get('method')).replace('_', ' ')} fold {p.get('fold')}/{p.get('folds')} "
        f"{_percent(p.get('accuracy'))} of {_number(p.get('bars'))} bars"
    ),
    "ModelPromoted": lambda p: f"{p.get('model')} {p.get('version')} is live, by {p.get('who')}",
    "ModelRolledBack": lambda p: f"{p.get('model')} {p.get('version')} is live again, by {p.get('who')}",
    "StateRepaired": lambda p: f"{p.get('what')}: {p.get('detail')}",
    "KillSwitchSet": lambda p: (
        f"{'on' if p.get('on') else 'off'}, by {p.get('who')}, {p.get('surface')}"
        + (f": {p['reason']}" if p.get("reason") not in {"", None, p.get("surface")} else "")
    ),
    "ThresholdSet": lambda p: (
        f"{_threshold(p.get('value'))}, was {_threshold(p.get('previous'))}, by {p.get('who')}, "
        f"{p.get('surface')}"
    ),
    "ReplayStarted": lambda p: (
        f"{_number(p.get('scans'))} scans, {str(p.get('first_at'))[:16]} to {str(p.get('last_at'))[:16]}"
    ),
    "ReplayFinished": lambda p: (
        f"{_number(p.get('scans'))} scans, {_number(p.get('signals'))} signals, win rate "
        f"{_percent(p.get('win_rate'))}, {_float(p, 'seconds'):.1f} s"
    ),
    "MessageShown": lambda p: f"{p.get('text')}",
    "EngineStarted": lambda p: (
        f"process {p.get('pid')}, a scan every {_float(p, 'interval_s'):g} s, "
        f"{'goes on with' if p.get('resumed') else 'begins'} run {p.get('run_id')}"
        + ("; the engine before died" if p.get("previous") == "died" else "")
    ),
    "EngineStopped": lambda p: f"{_count(p.get('scans'), 'scan')}: {p.get('reason')}",
    "ScanLoopChosen": lambda p: f"{'on' if p.get('on') else 'off'}, by {p.get('who')}, {p.get('surface')}",
    "ScanLoopFailed": lambda p: f"{p.get('reason')} {p.get('remedy', '')}".strip(),
    "ScanCompleted": _scan,
    "ScanLate": lambda p: (
        f"due {_clock(p.get('due'))}, ran {_float(p, 'late_s'):.1f} s late: {p.get('reason')}"
    ),
    "ScanOverrun": lambda p: (
        f"{_count(p.get('missed'), 'scan')} fell out, {_clock(p.get('first_due'))} to "
        f"{_clock(p.get('last_due'))}: {p.get('reason')}"
    ),
    "ScanFailed": lambda p: f"due {_clock(p.get('due'))}: {p.get('reason')}",
    "ClockJumped": _jump,
    "FeedFailed": lambda p: (
        f"{p.get('symbol')}, {p.get('provider')}: {p.get('reason')}; asked again in "
        f"{_float(p, 'retry_in_s'):.0f} s"
    ),
    "FetchDelayed": lambda p: (
        f"{p.get('symbol')}: {p.get('reason')}; goes on in {_float(p, 'retry_in_s'):.0f} s"
    ),
    "FeedRecovered": lambda p: (
        f"{p.get('symbol')} after {_float(p, 'outage_s'):,.0f} s: {_count(p.get('candles'), 'candle')}"
    ),
    "CandlesRejected": lambda p: f"{p.get('symbol')}: {_count(p.get('count'), 'candle')}, {p.get('reason')}",
    "CandlesRevised": lambda p: (
        f"{p.get('symbol')}: {_count(p.get('count'), 'closed candle')} from {_clock(p.get('first'))} changed "
        f"by up to {_float(p, 'largest_bps'):.1f} bps, or late; {_number(p.get('total'))} so far"
    ),
    "ProviderClockDiffers": _clock_differs,
    "CandlesCleaned": lambda p: f"{p.get('symbol')}: {p.get('detail')}",
    "ExecutionCostsChanged": lambda p: f"{p.get('file')} instead of {p.get('previous')}, by {p.get('who')}",
    "LiveCandlesCompacted": lambda p: f"{p.get('symbol')}: {_number(p.get('rows'))} into the yearly file",
    "UpkeepFailed": lambda p: f"{p.get('what')}: {p.get('reason')}; tried again",
    "MetricsFailed": lambda p: f"port {p.get('port')}: {p.get('reason')}. {p.get('remedy')}",
    "MetricsServed": lambda p: f"port {p.get('port')} answers again",
    "ModelWarmed": lambda p: (
        f"{p.get('model')} {p.get('version')} on {_count(p.get('bars'), 'candle')} "
        f"to {_clock(p.get('until'))}"
    ),
    "ModelRefused": lambda p: (
        f"{p.get('model')} {p.get('version')}: {p.get('reason')}. {p.get('remedy', '')}".strip()
    ),
    "ModelFailed": lambda p: f"{p.get('model')} {p.get('version')}: {p.get('error')}",
    "RuleFailed": lambda p: f"{p.get('symbol')}, {p.get('rule')}: {p.get('error')}",
    "SignalEmitted": lambda p: (
        f"{p.get('symbol')} {str(p.get('side')).upper()} {p.get('tier')} "
        f"{_float(p, 'confidence'):.2f} entry {_price(p.get('entry'))}"
    ),
    "PositionOpened": lambda p: (
        f"{p.get('symbol')} {str(p.get('side')).upper()} {_float(p, 'quantity'):,.4g} at "
        f"{_price(p.get('price'))}"
    ),
    "PositionClosed": lambda p: (
        f"{p.get('symbol')} {str(p.get('side')).upper()} {_result(p.get('r'))}, {p.get('exit')} at "
        f"{_price(p.get('price'))}"
    ),
    "EntryCancelled": lambda p: f"{p.get('symbol')}: {p.get('reason')}",
    "PriceRejected": lambda p: f"{p.get('symbol')}: {p.get('detail')}",
    "AlertDelivered": lambda p: (
        f"{p.get('title')}, {p.get('channel')}, {_float(p, 'seconds'):.1f} s, id {p.get('event_id')}"
        + (", REPEAT" if p.get("repeat") else "")
    ),
    "AlertRefused": lambda p: f"{p.get('title')}, {p.get('channel')}: {p.get('reason')}; a dead letter",
    "TelegramFailed": lambda p: f"{p.get('what')}: {p.get('reason')}",
    "DaySummarised": lambda p: (
        f"{p.get('day')}: {_count(p.get('scans') or 0, 'scan')}, {_count(p.get('signals') or 0, 'signal')}, "
        f"{_count(p.get('trades') or 0, 'trade')}"
    ),
    "SignalsMissed": lambda p: (
        f"{_count(len(p.get('ids') or ()), 'signal')} too old to be told, {p.get('channel')}"
    ),
    "FtmoDayStarted": lambda p: (
        f"Prague {p.get('day')}: balance {_float(p, 'balance'):,.2f}, daily limit "
        f"{_float(p, 'daily_limit'):,.2f}"
    ),
}
