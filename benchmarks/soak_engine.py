"""One start of the engine within a soak: ``tradingai run`` on a simulated clock, with the plan's faults.

A process of its own, started by soak.py with a JSON document as its argument. It talks with its parent over
stdin and stdout: a line tells the time, a line with ``ask`` waits for the parent's answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from tradingai.bootstrap import Live, open_controls, open_live
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import ControlCommand, ResetAccount, SetKillSwitch
from tradingai.engine.core.errors import StoreError, TradingAIError, UsageError
from tradingai.engine.core.events import Event
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import lstm_name
from tradingai.engine.providers.live import SyntheticFeed
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.registry.registry import Registry
from tradingai.engine.store.candle_files import DatasetIdentity

from soak_plan import Action, Plan, plan_from_json

LONGEST_GRID_S: Final = 60.0
"""Whoever sleeps wakes up at the next multiple of a sixth of the interval, or of this, on the wall clock."""
SLEEPERS: Final = 6
"""The loop, its heart, two outboxes, the daily summary, the log's losses: all asleep, time goes on."""
STUCK_S: Final = 120.0
"""Real seconds without everybody asleep: something hangs."""
FAILED, STUCK = 3, 4
"""Exit codes: the engine could not begin or end; it stood still."""


def resident_mb() -> float:
    """How large this process is."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 2)


class Parent:
    """The way to the process that owns plan, disk and Bot API."""

    def tell(self, **what: Any) -> None:
        """Say something."""
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    def ask(self, **what: Any) -> None:
        """Say something and wait until it is done."""
        self.tell(ask=what)
        if not sys.stdin.readline():
            os._exit(1)


class SoakClock(SimulatedClock):
    """Goes from grid point to grid point, once everybody sleeps; each reading may be the process's last."""

    def __init__(self, wall: datetime, at: float, grid_s: float) -> None:
        super().__init__(wall)
        self._grid_s = grid_s
        self._elapsed = at
        self.kills: list[tuple[int, Action]] = []
        self.parent = Parent()
        self.quiet = asyncio.Event()
        self.asleep = 0
        """Who waits for it; the bot, which waits for the network as well, is not among them."""
        self._readings = 0

    @property
    def at(self) -> float:
        """Seconds of the soak; no reading."""
        return self._elapsed

    def now(self) -> datetime:
        self._read()
        return super().now()

    def monotonic(self) -> float:
        self._read()
        return super().monotonic()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if seconds <= 0 or task is None or task.get_name().startswith("telegram"):
            await super().sleep(seconds)
            return
        self.asleep += 1
        self.quiet.set()
        try:
            await super().sleep(seconds)
        finally:
            self.asleep -= 1

    def step(self) -> None:
        """To the next grid point."""
        wall = super().now().timestamp()
        self.advance(self._grid_s - wall % self._grid_s)

    def set_by(self, seconds: float) -> None:
        """Set the wall clock by so much."""
        self.set_wall(super().now() + timedelta(seconds=seconds))

    def wall(self) -> datetime:
        """The wall time; no reading."""
        return super().now()

    def _read(self) -> None:
        if not self.kills or self.kills[0][1].at > self._elapsed:
            return
        number, kill = self.kills[0]
        self._readings += 1
        if self._readings < kill.readings:
            return
        self._readings = 0
        del self.kills[0]
        if kill.from_outside_ms is not None:
            self.parent.tell(kill=number, after_ms=kill.from_outside_ms)
            return
        self.parent.ask(killing=number)
        os.kill(os.getpid(), signal.SIGKILL)


class FaultyFeed:
    """A synthetic market that fails as the plan says."""

    def __init__(self, market: SyntheticMarket, plan: Plan, clock: SoakClock) -> None:
        self._feed = SyntheticFeed(market)
        self._plan = plan
        self._clock = clock
        self._hung: set[tuple[str, float]] = set()

    @property
    def identity(self) -> str:
        return self._feed.identity

    @property
    def origin(self) -> DatasetIdentity:
        return self._feed.origin

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        at = self._clock.at
        fault = self._plan.feed(at, symbol)
        if fault == "refused":
            raise ConnectionError("connection reset by peer")
        if fault == "hang" and (symbol, at // 600) not in self._hung:
            self._hung.add((symbol, at // 600))
            await asyncio.Event().wait()
        return _spoilt(await self._feed.closed(symbol, after_us, until_us), fault)

    def told(self) -> Sequence[Event]:
        return ()

    async def close(self) -> None:
        return


def _spoilt(found: Candles, fault: str) -> Candles:
    if fault == "gap" and len(found) > 1:
        return found[np.arange(len(found)) != len(found) // 2]
    if fault == "no_number" and len(found):
        close = found.close.copy()
        close[-1] = np.nan
        return replace(found, close=close)
    if fault == "old" and len(found):
        return replace(found, ts=found.ts - 3_600_000_000)
    return found


@dataclass
class Soak:
    """One start of the engine and what is done to it."""

    home: Path
    plan: Plan
    clock: SoakClock
    todo: list[tuple[int, Action]]
    page_limit: bool
    """The disk cannot be filled: a limit of the database's pages stands for it."""
    stop: asyncio.Event
    live: Live | None = None
    why: str = "the soak's end"
    _world: tuple[str, bool] = ("", False)
    _limited: bool = False

    @property
    def parent(self) -> Parent:
        return self.clock.parent

    async def run(self) -> int:
        """Scan until the plan, the end or a kill says otherwise; the exit code."""
        await self._due()
        market = SyntheticMarket("cycles", self.plan.seed)
        feed = FaultyFeed(market, self.plan, self.clock)
        try:
            async with open_live(
                self.home, interval_s=self.plan.interval_s, clock=self.clock, feed=feed, command="soak"
            ) as live:
                self.live = live
                await live.session.begin()
                scanning = asyncio.create_task(live.session.run(self.stop, None, lambda: self.why))
                driving = asyncio.create_task(self._drive())
                await asyncio.wait({scanning, driving}, return_when=asyncio.FIRST_COMPLETED)
                if not driving.done():
                    driving.cancel()
                await asyncio.gather(driving, return_exceptions=True)
                if not driving.cancelled():
                    driving.result()
                await scanning
        except TradingAIError as error:
            self.parent.tell(failed=f"{type(error).__name__}: {error}")
            return FAILED
        return 0

    async def _drive(self) -> None:
        """Let time pass: one grid point after the other, and do what is due in between."""
        while not self.stop.is_set():
            await self._everybody_sleeps()
            self._turn_world()
            await self._due()
            if self.clock.at >= self.plan.seconds:
                self.stop.set()
            if not self.stop.is_set():
                self.clock.step()
                self.parent.tell(at=self.clock.at, wall=self.clock.wall().timestamp(), mb=resident_mb())

    async def _everybody_sleeps(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        while self.clock.asleep < SLEEPERS:
            self.clock.quiet.clear()
            try:
                async with asyncio.timeout(STUCK_S):
                    await self.clock.quiet.wait()
            except TimeoutError:
                names = sorted(task.get_name() for task in asyncio.all_tasks())
                self.parent.tell(failed=f"{self.clock.asleep} of {SLEEPERS} sleep: {names}")
                os._exit(STUCK)

    def _turn_world(self) -> None:
        """Disk and Telegram as the plan has them now."""
        at = self.clock.at
        world = (self.plan.telegram(at), self.plan.disk_is_full(at))
        if world != self._world:
            self._world = world
            self.parent.ask(telegram=world[0], disk_full=world[1])

    # -- what happens once

    async def _due(self) -> None:
        """Do what is due, in order; what the store does not take is tried again at the next grid point."""
        if self.page_limit and self.live is not None:
            await self._limit_pages()
        while self.todo and self.todo[0][1].at <= self.clock.at:
            number, action = self.todo[0]
            try:
                said = await self._act(action)
            except StoreError as error:
                self.parent.tell(refused=number, reason=str(error))
                return
            del self.todo[0]
            self.parent.ask(done=number, said=said)

    async def _act(self, action: Action) -> str:
        match action.kind:
            case "jump":
                self.clock.set_by(action.seconds)
            case "stop" if self.live is not None:
                self.why = "an operator"
                self.stop.set()
            case "switch_on":
                return await self._switch_on(action)
            case "switch_off":
                return await self._control(SetKillSwitch(on=False, reason="soak", **self._who()))
            case "look":
                return await self._control(ResetAccount(reason="the soak's operator looked", **self._who()))
            case "models":
                return self._models(action.detail)
        return ""

    def _who(self) -> dict[str, Any]:
        return {"sender": "soak", "surface": "cli", "issued_at": self.clock.now()}

    async def _control(self, command: ControlCommand) -> str:
        """As a second terminal does it; what is refused, because there is nothing to leave, is no fault."""
        async with open_controls(self.home, clock=self.clock) as desk:
            try:
                await desk.carry_out(command)
            except UsageError as error:
                return f"refused: {error}"
            except TradingAIError as error:
                if error.code == "missing":
                    return f"refused: {error}"
                raise
        return "done"

    async def _switch_on(self, action: Action) -> str:
        if action.detail == "chat" and self.live is not None:
            self.parent.ask(say="/kill_switch on", wall=self.clock.wall().timestamp())
            for _ in range(200):
                with suppress(StoreError):
                    rows = await self.live.engine.store.controls.all()
                    if "kill_switch" in rows and rows["kill_switch"].value:
                        return "by the chat"
                await asyncio.sleep(0.05)
        return await self._control(SetKillSwitch(on=True, reason="soak", **self._who()))

    def _models(self, coin: str) -> str:
        """The other version of a coin's model goes live."""
        registry = Registry(HomePaths(self.home), self.clock, who="soak")
        model = lstm_name(coin)
        live = registry.ledger().live()[model].version
        try:
            if live == "v1.0.0":
                registry.promote(model, "v1.1.0", why="soak")
            else:
                registry.rollback(model, "v1.0.0", why="soak")
        except OSError as error:
            raise StoreError(f"the ledger cannot be written: {error}", remedy="Free the disk.") from error
        return f"{model} from {live}"

    async def _limit_pages(self) -> None:
        full = self.plan.disk_is_full(self.clock.at)
        if full == self._limited or self.live is None:
            return
        writer = self.live.engine.store.scans._database._writer  # noqa: SLF001 - the file system cannot be made full here
        if writer is not None:
            rows = list(await writer.execute_fetchall("PRAGMA page_count"))
            await writer.execute(f"PRAGMA max_page_count = {rows[0][0] if full else 1_073_741_823}")
            self._limited = full


def main() -> int:
    document = json.loads(sys.argv[1])
    plan = plan_from_json(document["plan"])
    grid_s = min(LONGEST_GRID_S, plan.interval_s / 6)
    clock = SoakClock(datetime.fromtimestamp(document["wall"], UTC), document["at"], grid_s)
    left = [(number, one) for number, one in enumerate(plan.actions) if number not in set(document["done"])]
    clock.kills = [item for item in left if item[1].kind == "kill"]
    todo = [item for item in left if item[1].kind != "kill"]

    async def soak() -> int:
        one = Soak(Path(document["home"]), plan, clock, todo, document["page_limit"], asyncio.Event())
        return await one.run()

    return asyncio.run(soak())


if __name__ == "__main__":
    sys.exit(main())
