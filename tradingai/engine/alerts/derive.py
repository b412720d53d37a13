"""Which events are told, in which words and how urgently: a pure function of the events.

Told are every high-tier signal, guard states, the kill switch, stale data, start, stop and restart after a
crash, a restart of the observation's clock, and the daily summary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from tradingai.engine.store.alert_rows import AlertDraft, AlertKind
from tradingai.engine.store.alert_table import Derive, Notes
from tradingai.engine.store.event_log import StoredEvent

PRIORITY: Final[dict[AlertKind, int]] = {
    "kill": 0, "guard": 0, "signal": 1, "data": 2, "engine": 2, "digest": 3, "summary": 3,
}  # fmt: skip
_LISTED: Final = 40
"""Ids a digest names; of more it says how many."""
Told = tuple[AlertKind, str, str] | None
"""Kind, title and body."""


def deriving(channel: str, horizon_minutes: int) -> Derive:
    """What events ask of ``channel``; a signal is news for ``horizon_minutes``."""

    def derive(events: Sequence[StoredEvent], notes: Notes) -> tuple[list[AlertDraft], Notes]:
        silent, stale = set(notes.get("silent", ())), bool(notes.get("stale", False))
        drafts: list[AlertDraft] = []
        for event in events:
            if event.type == "ScanCompleted":
                told, stale = _staleness(event.payload, stale)
            elif event.type in {"FeedFailed", "FeedRecovered"}:
                told = _feed(event.type, event.payload, silent)
            elif event.type == "SignalsMissed" and event.payload["channel"] != channel:
                told = None
            else:
                told = _TELLS.get(event.type, _nothing)(event.payload)
            if told is not None:
                drafts.append(_draft(event, told, horizon_minutes))
        left: dict[str, Any] = {"silent": sorted(silent), "stale": stale} if silent or stale else {}
        return drafts, left

    return derive


def _draft(event: StoredEvent, told: tuple[AlertKind, str, str], horizon_minutes: int) -> AlertDraft:
    kind, title, body = told
    return AlertDraft(
        seq=event.seq,
        run_id=event.run_id,
        kind=kind,
        priority=PRIORITY[kind],
        title=title,
        body=body,
        at=event.ts,
        expires_at=event.ts + timedelta(minutes=horizon_minutes) if kind == "signal" else None,
        subject=str(event.payload["key"]) if kind == "signal" else "",
        stops_signals=event.type == "KillSwitchSet" and bool(event.payload["on"]),
    )


def _nothing(_payload: dict[str, Any]) -> Told:
    return None


def _staleness(payload: dict[str, Any], before: bool) -> tuple[Told, bool]:
    count = int(payload["reasons"].get("stale", 0))
    if bool(count) == before or not (count or payload["new_candles"]):
        return None, before
    if count:
        return ("data", "STALE DATA", f"{count} coins too old to decide on at {payload['due']}"), True
    return ("data", "data fresh again", f"scan of {payload['due']}"), False


def _feed(kind: str, payload: dict[str, Any], silent: set[str]) -> Told:
    symbol = str(payload["symbol"])
    if kind == "FeedFailed":
        if symbol in silent:
            return None
        silent.add(symbol)
        return "data", f"NO CANDLES {symbol}", f"{payload['provider']}: {payload['reason']}"
    if symbol not in silent:
        return None
    silent.discard(symbol)
    return "data", f"candles again {symbol}", f"after {payload['outage_s']:.0f} s without"


def _signal(payload: dict[str, Any]) -> Told:
    if payload["tier"] != "high":
        return None
    body = (
        f"confidence {payload['confidence']:.4f}\n"
        f"entry {payload['entry']:,.2f}\nTP {payload['take_profit']:,.2f}\nSL {payload['stop_loss']:,.2f}"
    )
    return "signal", f"{payload['symbol']} {payload['side'].upper()} high", body


def _kill(payload: dict[str, Any]) -> Told:
    words = "ON: nothing is emitted" if payload["on"] else "off"
    reason = f": {payload['reason']}" if payload["reason"] else ""
    return "kill", f"KILL SWITCH {words}", f"by {payload['who']} ({payload['surface']}){reason}"


def _guard(payload: dict[str, Any]) -> Told:
    return (
        "guard",
        f"GUARD {payload['status']}",
        (f"before: {payload['previous']}\n{payload['cause']}: {payload['detail']}".rstrip(": ")),
    )


def _breach(payload: dict[str, Any]) -> Told:
    body = f"equity {payload['equity']:,.2f} below {payload['floor']:,.2f}"
    return "guard", f"LIMIT BREACHED {payload['limit']}", body


def _reset(payload: dict[str, Any]) -> Told:
    words = "a fresh account" if payload["fresh"] else "the account left HALTED"
    return "guard", "ACCOUNT RESET", f"{words}, by {payload['who']}: {payload['reason']}"


def _started(payload: dict[str, Any]) -> Told:
    crashed = payload["previous"] == "died"
    body = f"run {payload['run_id']}, every {payload['interval_s']:g} s, feed {payload['feed']}"
    return "engine", "engine RESTARTED after a crash" if crashed else "engine started", body


def _stopped(payload: dict[str, Any]) -> Told:
    return "engine", "engine stopped", f"{payload['reason']}, {payload['scans']} scans"


def _failed(payload: dict[str, Any]) -> Told:
    return "engine", "SCAN LOOP FAILED", f"{payload['reason']} {payload['remedy']}".strip()


def _clock_restarted(payload: dict[str, Any]) -> Told:
    body = f"{payload['cause']}: {payload['detail']}\n{payload['hours_lost']:.2f} h do not count"
    return "engine", "OBSERVATION CLOCK RESTARTED", body


def _missed(payload: dict[str, Any]) -> Told:
    ids, maybe = payload["ids"], payload["maybe"]
    shown = ", ".join(one + (" (REPEAT: may have arrived)" if one in maybe else "") for one in ids[:_LISTED])
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    title = f"missed while offline: {len(ids)} signal" + ("s" if len(ids) != 1 else "")
    return "digest", title, f"older than their horizon, not delivered: {shown}{more}"


def _summary(payload: dict[str, Any]) -> Told:
    rate = f"{100 * payload['wins'] / payload['trades']:.1f} %" if payload["trades"] else "–"
    equity = "–" if payload["equity"] is None else f"{payload['equity']:,.2f}"
    body = (
        f"scans {payload['scans']:,} ({payload['failed']} failed)\n"
        f"signals {payload['signals']} ({payload['high_signals']} high)\n"
        f"trades {payload['trades']}, win rate {rate}, net {payload['net']:+,.2f}\n"
        f"equity {equity}, guard {payload['guard'] or '–'}\n"
        f"alerts {payload['alerts_delivered']} delivered, {payload['alerts_lost']} not"
    )
    return "summary", f"24 h to {payload['day']}", body


_TELLS: Final[dict[str, Callable[[dict[str, Any]], Told]]] = {
    "SignalEmitted": _signal,
    "KillSwitchSet": _kill,
    "GuardStateChanged": _guard,
    "FtmoLimitBreached": _breach,
    "AccountReset": _reset,
    "EngineStarted": _started,
    "EngineStopped": _stopped,
    "ScanLoopFailed": _failed,
    "ObservationClockRestarted": _clock_restarted,
    "SignalsMissed": _missed,
    "DaySummarised": _summary,
}
