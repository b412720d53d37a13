"""Rehearsal: the kill switch from each surface, each time seen to stop a live loop and to let it go on."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tradingai.bootstrap import open_engine
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.settings import Settings
from tradingai.engine.facade import Engine
from tradingai.engine.runtime.controls import read_controls
from tradingai.engine.runtime.scanner import engine_lock
from tradingai.rehearsals.chat import Chat, rehearsed_chat
from tradingai.rehearsals.processes import call
from tradingai.rehearsals.scanning import RehearsedLoop, rehearsed_loop
from tradingai.rehearsals.stage import LOWEST_THRESHOLD, Finding, Stage

HELD_SCANS: Final = 12
"""Under the switch: longer than a position is held, so that coins are free and only the switch holds."""
MOST_SCANS: Final = 45
"""Until a signal is emitted: an hourly limit may hold it for so long."""
PROCESS_SCANS: Final = 2
_REASON: Final = "rehearsal"
_CODE: Final = re.compile(r"/kill_switch off (\d{6})")


class Surface(NamedTuple):
    """A way to turn the switch."""

    name: str
    source: str
    """What has to be named while it is on."""
    on: Callable[[], Awaitable[str]]
    """Turns it on; what was seen, in words."""
    off: Callable[[], Awaitable[str]]


async def rehearse(stage: Stage) -> Finding:
    """Emit, turn on, see that nothing is emitted, turn off, emit again; for four surfaces."""
    finding, copied = Finding(), stage.copy()
    with engine_lock(copied.paths, stage.clock, "observe checklist"):
        async with (
            open_engine(stage.home, clock=stage.clock, surface="console") as engine,
            rehearsed_loop(engine.store, copied.paths, copied.settings) as loop,
            rehearsed_chat(engine.store, copied.paths, copied.settings, stage.clock) as chat,
        ):
            await engine.execute(SetThreshold(**engine.issue(_REASON), value=LOWEST_THRESHOLD))
            rehearsed = _Rehearsed(stage, finding, engine, loop, copied.settings)
            surfaces = (
                *_commands(stage, engine),
                _telegram(chat, finding),
                _environment(stage, loop, rehearsed),
            )
            for surface in surfaces:
                await rehearsed.one(surface)
            await _audited(engine, finding)
            run = loop.run_id
    stage.say("an engine under KILL_SWITCH=true")
    await _engine_under_variable(stage, finding)
    finding.measured["surfaces"] = len(surfaces)
    finding.summary = (
        f"{len(surfaces)} surfaces: {finding.measured['decisions_held']} decisions held, "
        f"{finding.measured['emitted_while_on']} emitted while it was on; each let the loop go on"
    )
    finding.not_rehearsed += [
        (
            f"the models' own confidence: the threshold was set to {LOWEST_THRESHOLD:g} in the copy, so that "
            "every scored decision reaches the switch"
        ),
        "the console's keys and dialog: its command went through the engine's entry that they call",
    ]
    finding.remedy = (
        "`tradingai kill status` names what holds; KILL_SWITCH stands in the environment or .env."
    )
    finding.look = f"signals --run {run}"
    return finding


class _Rehearsed:
    """The live loop under the switch."""

    def __init__(
        self, stage: Stage, finding: Finding, engine: Engine, loop: RehearsedLoop, settings: Settings
    ) -> None:
        self._stage = stage
        self._finding = finding
        self._engine = engine
        self._loop = loop
        self.settings = settings
        """What the loop runs with at the moment."""
        names = ("scans_held", "decisions_held", "emitted_while_on", "positions_closed_while_on")
        finding.measured |= dict.fromkeys(names, 0)

    async def one(self, surface: Surface) -> None:
        """The whole way for one surface."""
        finding, name = self._finding, surface.name
        self._stage.say(f"kill switch from {name}")
        before = await self._loop.until_emitted(MOST_SCANS)
        finding.expect(before.emitted > 0, f"{name}: nothing was emitted before it was on")
        said = await surface.on()
        state = (await read_controls(self._engine.store, self.settings)).state
        finding.expect(
            state.killed and state.kill_source == surface.source,
            f"{name}: turned on, but {'the source is ' + state.kill_source if state.killed else 'it is off'}",
        )
        held = await self._loop.scan(HELD_SCANS)
        finding.expect(held.emitted == 0, f"{name}: {held.emitted} signals were emitted while it was on")
        killed = held.reasons["killed"]
        finding.expect(killed > 0, f"{name}: no decision came as far as the switch")
        finding.expect(not held.failed, f"{name}: {held.failed} scans failed")
        told = await surface.off()
        after = await self._loop.until_emitted(MOST_SCANS)
        finding.expect(after.emitted > 0, f"{name}: nothing was emitted after it was off again")
        finding.measured["scans_held"] += held.scans
        finding.measured["decisions_held"] += killed
        finding.measured["emitted_while_on"] += held.emitted
        finding.measured["positions_closed_while_on"] += held.closed
        finding.steps.append(
            f"{name}: {said}; {held.scans} scans, {held.emitted} emitted, {killed} decisions held, "
            f"{held.closed} positions closed by their rules; {told}; emitted again after {after.scans} "
            f"scan{'s' if after.scans > 1 else ''}"
        )


def _commands(stage: Stage, engine: Engine) -> tuple[Surface, Surface]:
    async def cli(turn: str) -> str:
        done = await call(stage, "kill", turn, "--reason", _REASON, "--json")
        if done.status:
            raise TradingAIError(f"`tradingai kill {turn}` ended with {done.status}: {done.out or done.err}")
        return f"`tradingai kill {turn}` as a process, exit 0"

    async def console(*, on: bool) -> str:
        await engine.execute(SetKillSwitch(**engine.issue(_REASON), on=on, reason=_REASON))
        return f"the console's command turned it {'on' if on else 'off'}"

    return (
        Surface("command line", "cli", lambda: cli("on"), lambda: cli("off")),
        Surface("console", "console", lambda: console(on=True), lambda: console(on=False)),
    )


def _telegram(chat: Chat, finding: Finding) -> Surface:
    async def ask(text: str) -> str:
        answer = await chat.ask(text)
        if answer is None:
            raise TradingAIError(f"the bot did not answer {text}")
        return answer.text

    async def on() -> str:
        answer = await ask("/kill_switch on")
        finding.expect(answer.startswith("kill switch ON"), f"Telegram: {answer.splitlines()[0]}")
        return "/kill_switch on without a code"

    async def off() -> str:
        offered = _CODE.search(await ask("/kill_switch off"))
        if offered is None:
            finding.failures.append("Telegram: /kill_switch off offered no confirmation code")
            return "no code was offered"
        wrong = f"{(int(offered[1]) + 1) % 1_000_000:06d}"
        refused = await ask(f"/kill_switch off {wrong}")
        finding.expect("wrong" in refused, f"Telegram: a wrong code said {refused.splitlines()[0]}")
        answer = await ask(f"/kill_switch off {offered[1]}")
        finding.expect(answer.startswith("kill switch off"), f"Telegram: {answer.splitlines()[0]}")
        return "/kill_switch off with its code (a wrong one was refused)"

    return Surface("Telegram bot", "telegram", on, off)


def _environment(stage: Stage, loop: RehearsedLoop, rehearsed: _Rehearsed) -> Surface:
    plain = rehearsed.settings

    async def on() -> str:
        rehearsed.settings = plain.model_copy(update={"kill_switch": True})
        loop.under(rehearsed.settings)
        variable = {"KILL_SWITCH": "true"}
        state = await call(stage, "kill", "status", "--json", extra=variable)
        found = json.loads(state.out)
        if not found.get("on") or found.get("source") != "KILL_SWITCH":
            raise TradingAIError(f"with KILL_SWITCH=true `tradingai kill status` says {state.out.strip()}")
        off = await call(stage, "kill", "off", "--json", extra=variable)
        if off.status != 2 or "KILL_SWITCH" not in off.out:
            raise TradingAIError(
                f"with KILL_SWITCH=true `tradingai kill off` ended with {off.status}: {off.out}"
            )
        return "KILL_SWITCH=true: named by `kill status`, `kill off` refused with exit 2"

    async def off() -> str:
        rehearsed.settings = plain
        loop.under(plain)
        return "an engine without the variable"

    return Surface("KILL_SWITCH in the environment", "KILL_SWITCH", on, off)


async def _engine_under_variable(stage: Stage, finding: Finding) -> None:
    """`tradingai run` as a process under the variable, on its own feed: it scans, and emits nothing."""
    arguments = ("run", "--interval", "1", "--scans", str(PROCESS_SCANS), "--json")
    done = await call(stage, *arguments, extra={"KILL_SWITCH": "true"})
    if done.status:
        words = (done.out if done.status == 1 else done.err).strip()
        raise TradingAIError(
            f"`tradingai run` under KILL_SWITCH=true ended with {done.status}: {words[-300:]}"
        )
    summary = json.loads(done.out)
    killed, signals = summary["run_by_reason"].get("killed", 0), summary["signals"]
    finding.expect(signals == 0, f"`tradingai run` under KILL_SWITCH=true emitted {signals} signals")
    finding.expect(killed > 0, "`tradingai run` under KILL_SWITCH=true held no decision")
    finding.measured |= {"process_decisions_held": killed, "process_emitted": signals}
    finding.steps.append(
        f"`KILL_SWITCH=true tradingai run` as a process: {summary['scans']} scans, {signals} emitted, "
        f"{killed} decisions held"
    )


async def _audited(engine: Engine, finding: Finding) -> None:
    """Every turn is written down with its surface."""
    rows = await engine.store.commands.latest(1000)
    found = [
        (row.surface, bool(row.payload["on"]))
        for row in rows
        if row.type == "SetKillSwitch" and row.state == "done"
    ]
    wanted = {(surface, on) for surface in ("cli", "console", "telegram") for on in (True, False)}
    missing = sorted(f"{surface} {'on' if on else 'off'}" for surface, on in wanted - set(found))
    finding.expect(not missing, f"not in the audit: {', '.join(missing)}")
    finding.measured["audited_turns"] = len(found)
