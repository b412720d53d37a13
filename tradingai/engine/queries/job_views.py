"""Jobs and events of the store as the console shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.symbols import lstm_name
from tradingai.engine.queries.model_snapshot import JobState
from tradingai.engine.queries.snapshot import EventView, JobView
from tradingai.engine.store.job_rows import RESUMABLE_STATES, JobRow

_STATES: Final[Mapping[str, JobState]] = {
    "queued": "queued",
    "running": "running",
    "finished": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}


def job_target(kind: str, target: str) -> str:
    """What a job works on, as people call it: a training's target is its model."""
    return lstm_name(target) if kind == "train_lstm" and not target.startswith("lstm_") else target


def job_state(row: JobRow) -> JobState:
    """The state with what the result adds: nothing to do, or refused by a gate."""
    state = _STATES[row.state]
    result = row.result or {}
    if state == "done" and result.get("skipped"):
        return "skipped"
    if state == "done" and row.kind == "evaluate" and result.get("passed") is False:
        return "refused"
    return state


def job_view(row: JobRow, now: datetime, memory: Callable[[int], int | None]) -> JobView:
    """One job. ``memory`` gives the bytes a process uses, or None."""
    progress = row.progress
    state = job_state(row)
    ended = row.ended_at or (now if state == "running" else None)
    took = (ended - row.started_at).total_seconds() if row.started_at and ended else None
    detail = dict(progress.detail) if progress else {}
    used = memory(row.pid) if state == "running" and row.pid else None
    if used is None and detail.get("memory_mb"):
        used = int(float(detail["memory_mb"]) * 1_000_000)
    error = row.error or {}
    result = row.result or {}
    return JobView(
        id=row.job_id,
        kind=row.kind,
        target=job_target(row.kind, row.target),
        state=state,
        done=progress.done if progress else 0.0,
        total=progress.total if progress else 0.0,
        unit=progress.unit if progress else "",
        rate=_rate(row, took),
        eta_s=_eta(row, took) if state == "running" else None,
        started_at=row.started_at or row.created_at,
        ended_at=row.ended_at,
        took_s=max(0.0, took) if took is not None else None,
        memory_bytes=used,
        threads=row.threads,
        pid=row.pid,
        log=row.log,
        summary=str(result.get("reason") if result.get("skipped") else result.get("summary", "")),
        message=_message(row),
        remedy=str(error.get("remedy", "")),
        resumable=row.state in RESUMABLE_STATES,
        detail=MappingProxyType(detail),
    )


def _message(row: JobRow) -> str:
    """Why a job ended before its end."""
    if row.error:
        return str(row.error.get("message", ""))
    if row.state == "interrupted":
        return "interrupted; what was finished is kept"
    return "cancelled; what was finished is kept" if row.state == "cancelled" else ""


def _rate(row: JobRow, took: float | None) -> float | None:
    """The job's own measured rate, else what it did over the time it took."""
    progress = row.progress
    if progress is None:
        return None
    if progress.rate is not None:
        return progress.rate
    return progress.done / took if took and took >= 1.0 and progress.done > 0 else None


def _eta(row: JobRow, took: float | None) -> float | None:
    progress = row.progress
    if progress is None:
        return None
    if progress.eta_s is not None:
        return progress.eta_s
    rate = _rate(row, took)
    return (progress.total - progress.done) / rate if rate and progress.total > progress.done else None


def phase_seconds(jobs: Sequence[JobView], kinds: Sequence[str]) -> float | None:
    """How long a phase worked: the newest job of each target that did something, overlaps counted once."""
    newest: dict[tuple[str, str], JobView] = {}
    for job in jobs:
        if job.kind in kinds and job.state != "skipped":
            newest.setdefault((job.kind, job.target), job)
    spans = sorted(
        (job.started_at.timestamp(), job.started_at.timestamp() + job.took_s)
        for job in newest.values()
        if job.started_at is not None and job.took_s is not None
    )
    total, reached = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total if spans else None


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
    words = {"train_lstm": "train", "generate": "candles"}.get(kind, kind)
    return f"{words} {job_target(kind, str(payload.get('target', '')))}"


def _percent(value: Any) -> str:
    return "–" if value is None else f"{100 * float(value):.1f} %"


def _threshold(value: float | None) -> str:
    """A threshold, or whose it is when none was set."""
    return "the settings'" if value is None else f"{value:.2f}"


def _number(value: Any) -> str:
    """A number in thousands, rounded."""
    return f"{float(value or 0):,.0f}"


_TEXTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "HomeCreated": lambda p: f"{p.get('path', '')}",
    "JobStarted": lambda p: _what(p) + (f", resumed {p['resume']} times" if p.get("resume") else ""),
    "JobFinished": lambda p: (
        f"{_what(p)}, {float(p.get('seconds') or 0):.1f} s, {p.get('summary', '')}".rstrip(", ")
    ),
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
        f"{p.get('model')} {p.get('epochs')} epochs of {_number(p.get('bars'))} bars, "
        f"{p.get('threads')} threads, "
        f"seed {p.get('seed')}"
        + (f", goes on after epoch {p.get('finished_epochs')}" if p.get("resumed") else "")
    ),
    "EpochFinished": lambda p: (
        f"{p.get('model')} {p.get('epoch')}/{p.get('epochs')} val {float(p.get('validation_loss') or 0):.3f} "
        f"{_percent(p.get('validation_accuracy'))}, {_number(p.get('bars_per_s'))} bars/s"
        + (", best so far" if p.get("best") else "")
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
        f"equity {float(p.get('equity') or 0):,.2f} fell below the {p.get('limit')} limit at "
        f"{float(p.get('floor') or 0):,.2f}"
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
        f"{_percent(p.get('win_rate'))}, {float(p.get('seconds') or 0):.1f} s"
    ),
    "MessageShown": lambda p: f"{p.get('text')}",
}
