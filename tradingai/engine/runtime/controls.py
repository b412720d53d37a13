"""Kill switch, threshold and account reset: written straight to the store, engine or no engine.

The kill switch is on when KILL_SWITCH is true, or the persisted state is, or the store cannot be read. A
threshold set here overrides CONFIDENCE_THRESHOLD until it is reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import ControlCommand, ResetAccount, SetKillSwitch, SetThreshold
from tradingai.engine.core.errors import MissingError, StoreError, UsageError
from tradingai.engine.core.events import KillSwitchSet, ThresholdSet
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.status import kill_switch, threshold
from tradingai.engine.store.database import Store

LOWEST_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class ControlState:
    """What holds right now."""

    threshold: float | None = None
    """The runtime's override; None takes the configured one."""
    killed: bool = False
    kill_source: str = ""


class ReadControls(NamedTuple):
    """What holds, and the store's counter from before they were read (None: it could not be read)."""

    state: ControlState
    counter: int | None


async def read_controls(store: Store, settings: Settings) -> ReadControls:
    """The controls as they stand. Never raises: a store that cannot be read is a kill."""
    try:
        counter = await store.scans.controls_counter()
        rows = await store.controls.all()
        override = rows.get("threshold")
        value = None if override is None else _checked(float(override.value))
    except (StoreError, UsageError, ValueError, TypeError) as error:
        return ReadControls(
            ControlState(None, killed=True, kill_source=f"the store cannot be read: {error}"), None
        )
    switch = kill_switch(settings, rows)
    source = str(switch["source"]) if switch["on"] else ""
    return ReadControls(ControlState(value, killed=bool(switch["on"]), kill_source=source), counter)


async def carry_out(
    store: Store, settings: Settings, paths: HomePaths, clock: Clock, command: ControlCommand
) -> dict[str, Any]:
    """Carry out one control command and return the state it left; refusals are audited too.

    Raises UsageError for what is refused, MissingError when there is no account, StoreError.
    """
    try:
        match command:
            case SetKillSwitch():
                return await _set_kill_switch(store, settings, command)
            case SetThreshold():
                return await _set_threshold(store, settings, command)
            case ResetAccount():
                from tradingai.engine.runtime.account import reset_account

                return await reset_account(store, settings, paths, clock, command)
    except (UsageError, MissingError) as error:
        await store.commands.begin(command)
        await store.commands.finish(command.command_id, "refused", error.as_json())
        raise
    raise UsageError(f"no control carries out {type(command).__name__}", remedy="Update TradingAI.")


async def _set_kill_switch(store: Store, settings: Settings, command: SetKillSwitch) -> dict[str, Any]:
    if not command.on and settings.kill_switch:
        raise UsageError(
            "the kill switch stays on: KILL_SWITCH=true in the environment or the home's .env",
            remedy="Take KILL_SWITCH out there and start the engine again; then `tradingai kill off`.",
        )
    event = KillSwitchSet(on=command.on, who=command.sender, surface=command.surface, reason=command.reason)
    await store.controls.set("kill_switch", command.on, command, command.reason, event)
    return kill_switch(settings, await store.controls.all())


async def _set_threshold(store: Store, settings: Settings, command: SetThreshold) -> dict[str, Any]:
    previous = float(threshold(settings, await store.controls.all())["value"])
    event = ThresholdSet(value=command.value, previous=previous, who=command.sender, surface=command.surface)
    if command.value is None:
        await store.controls.reset("threshold", command, event)
    else:
        await store.controls.set("threshold", _checked(command.value), command, "", event)
    return threshold(settings, await store.controls.all())


def _checked(value: float) -> float:
    """Raises UsageError unless the value can be a confidence threshold."""
    if not LOWEST_THRESHOLD <= value < 1:
        raise UsageError(
            f"threshold {value:g} is not from {LOWEST_THRESHOLD:g} to below 1",
            remedy="A confidence is at least 0.5: give for example 0.75.",
        )
    return value
