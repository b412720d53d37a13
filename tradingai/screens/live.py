"""The console's engine for real: the facade for commands, the store and the home's files for pictures."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.queries.run_snapshot import LoopView
from tradingai.engine.queries.snapshot import (
    ConsoleSnapshot,
    EnginePlace,
    HeaderView,
    Interest,
    LiveView,
    job_title,
)
from tradingai.screens.port import Receipt

if TYPE_CHECKING:
    from tradingai.engine.core.commands import Command
    from tradingai.engine.facade import Engine
    from tradingai.engine.queries.assemble import SnapshotReader
    from tradingai.screens.carrier import Carrier
    from tradingai.screens.commands import Issuer

HEAVY_MODULES: Final = (
    "tradingai.engine.facade",
    "tradingai.engine.queries.assemble",
    "tradingai.screens.carrier",
)
"""Imported after the first paint, in a thread."""
VALUE_MODULES: Final = ("numpy", "tradingai.engine.store.candle_files")
"""What values of candles and features need (polars), imported once nobody waits for anything."""
WARM_AFTER_S: Final = 1.0
POLL_S: Final = 0.25
CALM_POLL_S: Final = 0.5
CALM_AFTER_S: Final = 10.0
"""Nothing runs and nothing has changed for so long: half as many looks are enough."""
SYSTEM_S: Final = 60.0
"""The machine's load is read again at least this often, and with every picture."""
OWNER_S: Final = 1.0
"""How often the engine's lock is looked at: an engine elsewhere that dies is noticed within two of these."""
LATE_LOOK_S: Final = 10.0
"""A console that has not looked at its own store for so long is late."""
Opener = Callable[[], AbstractAsyncContextManager["Engine"]]


class LiveEngine:
    """One home's engine in this process, seen through pictures that are taken when something changed."""

    def __init__(
        self, opener: Opener, clock: Clock, *, read_only: bool, warmed: Callable[[], None] = lambda: None
    ) -> None:
        """``opener`` opens the facade; it is entered by :meth:`start` and left by :meth:`close`. ``warmed``
        is called once everything is imported.
        """
        self._opener = opener
        self._clock = clock
        self._read_only = read_only
        self._warmed = warmed
        self._context: AbstractAsyncContextManager[Engine] | None = None
        self._engine: Engine | None = None
        self._reader: SnapshotReader | None = None
        self._picture = ConsoleSnapshot(now=clock.now(), settled=False)
        self._version = 0
        self._interest = Interest()
        self._wanted = Interest()
        self._stamp: object = None
        self._taken_at = float("-inf")
        self._beat = clock.monotonic()
        self._live: LiveView | None = None
        self._live_beat: tuple[object, float] = (None, clock.monotonic())
        """The engine's last heartbeat elsewhere, and when this console first saw it."""
        self._owner_pid: int | None = None
        self._owner_at = float("-inf")
        self._carrier: Carrier | None = None
        self._writing: set[asyncio.Future[None]] = set()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._messages: list[tuple[str, str]] = []
        self._closed = False

    # -- life

    @property
    def read_only(self) -> bool:
        """Whether every command is refused."""
        return self._read_only

    async def start(self) -> None:
        """Open the home, recover, take the first picture. Raises what the facade's opening raises."""
        for name in HEAVY_MODULES:
            await asyncio.to_thread(import_module, name)
        from tradingai.engine.queries.assemble import SnapshotReader
        from tradingai.screens.carrier import Carrier, surroundings

        self._context = self._opener()
        self._engine = engine = await self._context.__aenter__()
        self._reader = SnapshotReader(engine.paths, engine.settings, engine.clock, surroundings())
        self._carrier = Carrier(engine, self._reader, self._clock, self._say)
        for row in engine.recovered:
            title = job_title(row.kind, row.target)
            self._messages.append((f"{title} was interrupted; it can be resumed.", "warning"))
        for problem in engine.problems:
            self._messages.append((f"{problem.message}. {problem.remedy}".strip(), "error"))
        await self._look(force=True)
        if not self._read_only:
            await self._go_on_scanning(engine)
        self._tasks = (
            asyncio.create_task(self._watch(), name="console: watch the store"),
            asyncio.create_task(self._warm(), name="console: import what values need"),
        )

    async def _go_on_scanning(self, engine: Engine) -> None:
        """The operator chose in an earlier session that this home scans."""
        if engine.scanner is not None:
            engine.scanner.changed = self._moved
        if _elsewhere(self._owner_pid):
            return
        try:
            if await engine.go_on_scanning():
                self._messages.append(("The scan loop goes on, as chosen before; L stops it.", "info"))
        except TradingAIError as error:
            self._messages.append((f"The scan loop did not begin: {error.message}. {error.remedy}", "error"))

    def _moved(self) -> None:
        """Something changed that the store does not know."""
        self._stamp, self._owner_at = None, float("-inf")

    async def close(self) -> None:
        """Stop this process's jobs at their safe points, then let go. Called twice it does nothing more."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._carrier is not None:
            await self._carrier.close("the console was closed")
        if self._writing:
            await asyncio.wait(self._writing)
        if self._context is not None:
            await self._context.__aexit__(None, None, None)
            self._context = None

    # -- pictures

    def version(self) -> int:
        """Moves with every new picture."""
        return self._version

    def snapshot(self) -> ConsoleSnapshot:
        """The newest picture, with its clock and ages as of now."""
        now = self._clock.now()
        header = self._picture.header
        if not self._picture.settled:
            return replace(self._picture, now=now)
        attached = header.engine == "attached"
        seen = self._live_beat[1] if attached else self._beat
        feed = self._live.feed_at if self._live else None
        header = replace(
            header,
            heartbeat_age_s=None if header.engine == "none" else self._clock.monotonic() - seen,
            feed_age_s=(now - feed).total_seconds() if feed else None,
        )
        return replace(self._picture, now=now, header=header)

    def watch(self, interest: Interest) -> None:
        """What the visible screen needs from the next picture on."""
        self._wanted = interest

    def take_messages(self) -> list[tuple[str, str]]:
        """What ended in the background since the last call."""
        taken, self._messages = self._messages, []
        return taken

    def take_place(self) -> str:
        """The screen the operator should be led to, once."""
        return self._carrier.take_place() if self._carrier is not None else ""

    async def _warm(self) -> None:
        await self._clock.sleep(WARM_AFTER_S)
        for name in VALUE_MODULES:
            await asyncio.to_thread(import_module, name)
        self._warmed()

    async def _watch(self) -> None:
        while True:
            calm = not self._picture.open_jobs and self._beat - self._taken_at > CALM_AFTER_S
            await self._clock.sleep(CALM_POLL_S if calm else POLL_S)
            try:
                await self._look()
            except TradingAIError as error:
                self._say(f"{error.message}. {error.remedy}".strip(), "error")
            except Exception as error:  # noqa: BLE001 - the loop's boundary: the console must go on showing
                self._say(f"The home could not be read: unexpected {type(error).__name__}: {error}", "error")

    async def _look(self, *, force: bool = False) -> None:
        """Take a new picture when the store moved, the screen wants more, or a minute has passed."""
        engine, reader = self._opened()
        try:
            version: object = await engine.version()
        except TradingAIError as error:
            version = error.message
        self._beat = self._clock.monotonic()
        owner = self._other_engine()
        if owner is not None:
            await self._listen(reader)
        else:
            self._live = None
        aged = self._beat - self._taken_at >= SYSTEM_S
        stamp = (version, owner, self._live, self._refusal())
        moved = stamp != self._stamp or self._wanted != self._interest
        if not (force or moved or aged):
            return
        self._stamp, self._interest, self._taken_at = stamp, self._wanted, self._beat
        picture = await asyncio.to_thread(reader.read, self._interest)
        if owner is not None:
            self._live = picture.live or self._live
        if self._stamp is stamp:  # nothing was said to have moved while the picture was taken
            self._stamp = (version, owner, self._live, self._refusal())
        loop = self._loop(picture.loop, owner)
        header = self._header(picture.header, owner, picture.live or self._live)
        checks = self._carrier.checks.values() if self._carrier else ()
        self._picture = replace(picture, header=header, loop=loop, jobs=(*checks, *picture.jobs))
        self._version += 1

    async def _listen(self, reader: SnapshotReader) -> None:
        """Look once a second what the engine elsewhere did last; its heartbeat ages by our own clock."""
        if self._owner_at != self._beat:
            return
        self._live = await asyncio.to_thread(reader.live)
        beat = self._live.beat_at if self._live else None
        if beat != self._live_beat[0]:
            self._live_beat = (beat, self._clock.monotonic())

    def _loop(self, loop: LoopView, owner: int | None) -> LoopView:
        """Whether the scan loop runs, and where."""
        engine, _ = self._opened()
        refusal = self._refusal()
        if refusal is not None:
            loop = replace(loop, refusal=refusal.message, remedy=refusal.remedy)
        if _elsewhere(owner):
            return replace(loop, state="elsewhere", pid=owner)
        scanner = engine.scanner
        if scanner is None:
            return loop
        return replace(
            loop,
            state=scanner.state,
            detail=scanner.detail,
            interval_s=scanner.interval_s or loop.interval_s,
            pid=owner,
            stopped_why=scanner.failure,
        )

    def _refusal(self) -> TradingAIError | None:
        """Why the store does not take what is written to it, where it was tried."""
        engine, _ = self._opened()
        return None if self._read_only else engine.store.refusal

    def _header(self, header: HeaderView, owner: int | None, live: LiveView | None) -> HeaderView:
        engine, _ = self._opened()
        place: EnginePlace = "attached" if _elsewhere(owner) else "none" if self._read_only else "here"
        header = replace(
            header, engine=place, read_only=self._read_only, risk=_guard(live), heartbeat_limit_s=LATE_LOOK_S
        )
        if owner is None:
            return header
        return replace(
            header,
            heartbeat_limit_s=2 * engine.settings.heartbeat_s if place == "attached" else LATE_LOOK_S,
            feed_limit_s=engine.settings.max_candle_age_s,
        )

    def _other_engine(self) -> int | None:
        """The process that holds the engine's lock, when there is one; its end is a message."""
        from tradingai.engine.queries.status import engine_state

        if self._beat - self._owner_at < OWNER_S:
            return self._owner_pid
        engine, _ = self._opened()
        state = engine_state(engine.paths)
        owner = int(state["pid"]) if state["running"] else None
        if _elsewhere(self._owner_pid) and owner is None:
            self._messages.append((f"The engine (process {self._owner_pid}) has ended.", "error"))
        self._owner_pid, self._owner_at = owner, self._beat
        return owner

    # -- commands

    def issue(self) -> Issuer:
        """Who, where and when."""
        engine, _ = self._opened()
        given = engine.issue()
        return {"sender": given["sender"], "surface": "console", "issued_at": given["issued_at"]}

    async def send(self, *commands: Command) -> Receipt:
        """Have commands carried out, or say why not."""
        if self._read_only:
            return Receipt(
                accepted=False,
                message="Refused: this console is read-only.",
                remedy="Open one without --read-only.",
            )
        if self._carrier is None or self._closed:
            return Receipt(accepted=False, message="The home is not open.", remedy="Try again in a moment.")
        with self._under_way():
            receipt = await self._carrier.send(*commands)
        self._stamp = None
        return receipt

    async def note(self, text: str, level: str) -> None:
        """Append a message to the log; nothing in read-only."""
        if not self._read_only and self._carrier is not None and not self._closed:
            with self._under_way():
                await self._carrier.note(text, level)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """What is being written; the store is closed after it."""
        done = asyncio.get_running_loop().create_future()
        self._writing.add(done)
        try:
            yield
        finally:
            self._writing.discard(done)
            done.set_result(None)

    def _say(self, text: str, level: str) -> None:
        self._messages.append((text, level))
        self._stamp = None

    def _opened(self) -> tuple[Engine, SnapshotReader]:
        if self._engine is None or self._reader is None:
            raise TradingAIError("the home is still being opened", remedy="Try again in a moment.")
        return self._engine, self._reader


def _elsewhere(owner: int | None) -> bool:
    """Whether another process than this one holds the engine's lock."""
    return owner is not None and owner != os.getpid()


def _guard(live: LiveView | None) -> str | None:
    """The account's state, which lasts whether anybody scans or not."""
    return (live.guard.upper() or None) if live else None
