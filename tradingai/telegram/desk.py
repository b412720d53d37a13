"""What the bot's commands show and change: the same views and the same controls as the other surfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import ControlCommand
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.live_views import read_signals
from tradingai.engine.queries.status import read_controls, read_status
from tradingai.engine.runtime.account import account_status
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.store.database import Store
from tradingai.engine.store.read_only import reading

_NEWEST_SIGNALS = 10


class HomeDesk:
    """Answers from the store of one home."""

    def __init__(self, store: Store, paths: HomePaths, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._paths = paths
        self._settings = settings
        self._clock = clock

    async def answer(self, command: str) -> str:
        """``check``, ``stats``, ``ftmo_status``, ``signals`` or ``models``. Raises TradingAIError."""
        if command == "ftmo_status":
            return ftmo_text(await account_status(self._store, self._settings, self._paths, self._clock))
        if command == "signals":
            return await asyncio.to_thread(self._signals)
        document = await asyncio.to_thread(read_status, self._paths, self._settings, self._clock)
        form = {"check": check_text, "stats": stats_text, "models": models_text}[command]
        return form(document)

    async def controls(self) -> Mapping[str, Any]:
        """Kill switch and threshold as they hold."""
        return await asyncio.to_thread(read_controls, self._store.path, self._settings)

    async def carry_out(self, command: ControlCommand) -> Mapping[str, Any]:
        """Write a control. Raises TradingAIError."""
        return await carry_out(self._store, self._settings, self._paths, self._clock, command)

    def _signals(self) -> str:
        since = self._clock.now() - timedelta(hours=24)
        with reading(self._store.path, timeout_s=1.0) as connection:
            found = read_signals(connection, run_id=None, since=since)
        lines = [
            f"{one['at'][11:16]} {one['pair']} {one['side'].upper()} {one['tier'] or '–'} "
            f"{one['confidence']:.4f} entry {one['entry']:,.2f}"
            for one in found[-_NEWEST_SIGNALS:]
        ]
        return "\n".join([f"{len(found)} signals in 24 h", *lines])


def check_text(document: Mapping[str, Any]) -> str:
    """Whether everything works."""
    engine, kill, limit = document["engine"], document["kill_switch"], document["threshold"]
    running = f"engine runs, process {engine['pid']}" if engine["running"] else "engine does not run"
    scan = engine.get("last_scan")
    lines = [running, "no scan yet" if scan is None else _scan_words(scan, document["at"])]
    lines.append(f"kill switch {'ON' if kill['on'] else 'off'} ({kill['source']})")
    lines.append(f"threshold {limit['value']:g} ({limit['source']})")
    chat = document["telegram"]
    lines.append(f"telegram {chat['delivered']} delivered, {chat['waiting']} waiting, {chat['dead']} dead")
    lines += [f"PROBLEM {problem['message']}" for problem in document["problems"]]
    return "\n".join(lines)


def _scan_words(scan: Mapping[str, Any], at: str) -> str:
    age = (parse_iso(at) - parse_iso(scan["at"])).total_seconds()
    guard = f", guard {scan['guard']}" if scan["guard"] else ""
    return f"scan {scan['seq']} {scan['state']}, {age:.0f} s ago{guard}"


def stats_text(document: Mapping[str, Any]) -> str:
    """The last 24 hours in numbers."""
    funnel = document["engine"].get("funnel")
    if funnel is None:
        return "nothing was scanned yet"
    reasons = [
        f"{count} {reason.replace('_', ' ')}" for reason, count in funnel["by_reason"].items() if count
    ]
    latency = funnel["latency_ms"]
    slow = "–" if latency["p99"] is None else f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"
    scan = document["engine"].get("last_scan") or {}
    equity = "–" if scan.get("equity") is None else f"{scan['equity']:,.2f}"
    return "\n".join(
        [
            f"24 h: {funnel['scans']} scans ({funnel['late']} late, {funnel['failed']} failed)",
            f"{funnel['decisions']} decisions: {', '.join(reasons) or 'none'}",
            f"latency {slow}",
            f"equity {equity}",
        ]
    )


def ftmo_text(state: Mapping[str, Any]) -> str:
    """The account and its floors."""
    floors = [
        f"{floor['name'].replace('_', ' ')}: {floor['left']:,.2f} left to {floor['at']:,.2f}"
        for floor in state["floors"]
    ]
    reset = state["reset"]
    outlook = "would BREACH" if reset["would_breach"] else f"leaves {reset['left']:,.2f}"
    return "\n".join(
        [
            f"{state['rules']} guard {state['status']}",
            f"balance {state['balance']:,.2f}, equity {state['equity']:,.2f}",
            *floors,
            f"reset {reset['at']}: {outlook}",
        ]
    )


def models_text(document: Mapping[str, Any]) -> str:
    """What is live."""
    lines = [
        f"{name} {model['live']}, accuracy "
        + ("–" if model["accuracy"] is None else f"{100 * model['accuracy']:.1f} %")
        for name, model in document["models"].items()
        if model["live"]
    ]
    return "\n".join(lines) or "no model is live"
