"""The live scan loop: wait until a scan is due, ask the feed, decide, store; nothing is skipped in silence.

A scan exists when it is stored: decisions, signals, account and the candles it received go into the store in
one transaction, and only then is anything emitted. A scan that cannot be stored is recorded as failed as soon
as the store takes it, and the next one lives through its candles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError, TradingAIError
from tradingai.engine.core.events import (
    ClockJumped,
    Event,
    ScanCompleted,
    ScanFailed,
    ScanLate,
    ScanOverrun,
    UpkeepFailed,
)
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.inference.promoted import PromotionWatch
from tradingai.engine.inference.stream import SeenCoin
from tradingai.engine.runtime.controls import ControlState, read_controls
from tradingai.engine.runtime.live_run import KEPT_US, refill
from tradingai.engine.runtime.reader import FeedReader, News
from tradingai.engine.runtime.runs import Finished, Run
from tradingai.engine.runtime.scanned import Scanned, decided_scan, emitted_events, failed_scan, reasons_of
from tradingai.engine.runtime.schedule import Due, Schedule
from tradingai.engine.runtime.step import Controls, Outcome, Prepared, ScanStep
from tradingai.engine.runtime.supervision import Supervisor
from tradingai.engine.store.database import Store
from tradingai.engine.store.failures import BUSY_TIMEOUT_S
from tradingai.engine.store.scan_table import ControlsChangedError

LATE_SHARE: Final = 0.25
"""A scan that begins later than this share of the interval after its time, or than LATE_S, is late."""
LATE_S: Final = 5.0
NAP_S: Final = 1.0
"""Longest sleep between two looks at the wall clock."""
_ATTEMPTS: Final = 50
"""Decisions of one scan while operators change its controls."""
_PATIENCE_S: Final = BUSY_TIMEOUT_S + NAP_S
"""A failed scan is not stored shortly before the next one is due: a locked database would make that late."""
_SECOND_US: Final = 1_000_000


Upkeep = Callable[[], Awaitable[Sequence[Event]]]
"""What is done between scans; it returns what there is to tell."""


@dataclass(slots=True)
class LoopParts:
    """What a loop works with."""

    store: Store
    run: Run
    step: ScanStep
    reader: FeedReader
    watch: PromotionWatch
    settings: Settings
    clock: Clock
    interval_s: float
    upkeep: Upkeep | None = None
    supervisor: Supervisor | None = None
    """Hears from the loop whenever it comes by; None: nobody."""


class _Failure(NamedTuple):
    """A scan that failed and is not stored yet."""

    due_us: int
    at_us: int
    detail: str
    events: tuple[Event, ...]
    seen: tuple[SeenCoin, ...]


@dataclass(slots=True)
class _Attempt:
    """How far a scan has come: what is to be recorded of it when it fails."""

    at_us: int
    events: list[Event] = field(default_factory=list)
    prepared: Prepared | None = None


class ScanLoop:
    """One engine's loop over one run."""

    def __init__(self, parts: LoopParts, on_scan: Callable[[Scanned], None] = lambda _scanned: None) -> None:
        """``on_scan`` hears of each scan once it is stored, or has failed."""
        self._parts = parts
        self._clock = parts.clock
        self._on_scan = on_scan
        self._supervisor = parts.supervisor or Supervisor(parts.clock)
        self._schedule = Schedule(parts.clock, parts.interval_s)
        self._late_s = min(LATE_S, LATE_SHARE * parts.interval_s)
        self._told: list[Event] = []
        self._failures: list[_Failure] = []
        self._troubles: dict[str, str] = {}
        self._broken = False
        """The stream was left in the middle of something: it has to be filled again."""
        self.scanned = 0
        """Scans of this loop, failed ones included."""

    @property
    def next_due_us(self) -> int:
        """When the next scan is due."""
        return self._schedule.next_us

    async def run(self, stop: asyncio.Event, scans: int | None = None) -> None:
        """Scan until ``stop`` is set, or ``scans`` times. Never raises for what goes wrong within a scan."""
        await self._catch_up()
        while (scans is None or self.scanned < scans) and await self._until_due(stop):
            await self._scan(self._schedule.take())
            await self._between_scans()
        await self._flush()

    async def flush(self) -> None:
        """Store what failed scans and the time between scans left to tell. Raises StoreError."""
        await self._store_failures()
        if self._told:
            told, run_id = list(self._told), self._parts.run.run_id
            await self._parts.store.events.append(*told, run_id=run_id)
            del self._told[: len(told)]

    # -- waiting

    async def _until_due(self, stop: asyncio.Event) -> bool:
        """Wait for the next scan's time; False when the loop has to stop."""
        while not stop.is_set():
            self._supervisor.alive()
            self._look_at_clock()
            remaining = self._schedule.remaining_s()
            if remaining <= 0:
                return True
            await self._nap(min(remaining, NAP_S, self._supervisor.every_s), stop)
            if self._failures and remaining > _PATIENCE_S:
                await self._flush()
        return False

    def _look_at_clock(self) -> None:
        jump = self._schedule.jumped()
        if jump:
            self._told.append(ClockJumped(seconds=jump, at=iso_z(self._clock.now())))

    async def _nap(self, seconds: float, stop: asyncio.Event) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        stopper = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({sleeper, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, stopper):
                task.cancel()
            await asyncio.gather(sleeper, stopper, return_exceptions=True)

    # -- one scan

    async def _scan(self, due: Due, span: tuple[int, int] | None = None) -> None:
        """One scan, whatever happens in it.

        ``span`` bounds the candles it asks for; None: from the newest known to now.
        """
        started = self._clock.monotonic()
        attempt = _Attempt(due.now_us, self._timing_events(due))
        try:
            finished = await self._decide(due, attempt, started, span)
        except Exception as error:  # noqa: BLE001 - the loop's boundary: a scan that fails is recorded, and the next one comes
            await self._failed(due, attempt, error)
            return
        self.scanned += 1
        self._tell(lambda: decided_scan(self._parts.run, self._parts.step, finished))

    def _timing_events(self, due: Due) -> list[Event]:
        """What happened since the last scan, and what is to say of this one's time."""
        events, self._told = self._told, []
        jumped = any(isinstance(event, ClockJumped) and event.seconds > 0 for event in events)
        reason = "the clock was set forward" if jumped else "the scan before, or the machine, took too long"
        if due.missed:
            last = due.due_us - round(self._parts.interval_s * _SECOND_US)
            events.append(
                ScanOverrun(
                    first_due=_iso(due.first_missed_us),
                    last_due=_iso(last),
                    missed=due.missed,
                    reason=reason,
                )
            )
        if due.late_s > self._late_s:
            events.append(ScanLate(due=_iso(due.due_us), late_s=due.late_s, reason=reason))
        return events

    async def _decide(
        self, due: Due, attempt: _Attempt, started: float, span: tuple[int, int] | None
    ) -> Finished:
        """Ask, decide and store. Raises whatever goes wrong; nothing is emitted then."""
        parts = self._parts
        await self._store_failures()
        if self._broken:
            await self._restart_stream()
            self._broken = False
        news = await self._news(due, span)
        attempt.events += news.events
        attempt.at_us = datetime_to_us(self._clock.now())
        self._broken = True
        attempt.prepared = parts.step.prepare(due.due_us, attempt.at_us, news.candles)
        self._broken = False
        late = due.late_s > self._late_s
        for _ in range(_ATTEMPTS):
            state, counter = await read_controls(parts.store, parts.settings)
            await self._take_over_desk()
            outcome = parts.step.decide(
                attempt.prepared, _controls(state), lambda: self._latency_ms(due, started)
            )
            finished = Finished(
                self._with_events(outcome, attempt, news),
                took_ms=(self._clock.monotonic() - started) * 1000,
                state="late" if late else "done",
                detail=f"{due.late_s:.1f} s late" if late else "",
            )
            try:
                await parts.run.store([finished], controls=counter)
            except ControlsChangedError:
                continue
            parts.step.adopt(outcome)
            return finished
        raise StoreError("the controls change faster than a scan decides", remedy="Set them once.")

    async def _news(self, due: Due, span: tuple[int, int] | None) -> News:
        if span is None:
            return await self._parts.reader.read(self._wanted(), due.now_us)
        return await self._parts.reader.read(dict.fromkeys(self._parts.step.stream.coins, span[0]), span[1])

    def _wanted(self) -> dict[str, int]:
        """For each coin the newest candle known; one without any begins with as much as is kept."""
        oldest = datetime_to_us(self._clock.now()) // MINUTE_US * MINUTE_US - KEPT_US
        newest = self._parts.step.stream.newest_us
        return {coin: oldest if us is None else us for coin, us in newest.items()}

    def _latency_ms(self, due: Due, started: float) -> float:
        """Since the scan was due."""
        return max(0.0, due.late_s) * 1000 + (self._clock.monotonic() - started) * 1000

    async def _take_over_desk(self) -> None:
        """Go on from the account that an operator changed meanwhile."""
        parts = self._parts
        mark = await parts.store.overrides.mark(parts.run.run_id)
        if mark.changes != parts.run.desk_changes:
            parts.step.replace_desk(await parts.run.reload_desk(mark.changes))

    def _with_events(self, outcome: Outcome, attempt: _Attempt, news: News) -> Outcome:
        """The outcome with everything there is to tell of the scan."""
        fresh = sum(bool(len(coin.raw)) for coin in outcome.seen)
        words = [f"{coin}: {why}" for coin, why in news.silent.items()]
        if not fresh:
            words.insert(0, "no new closed candle")
        completed = ScanCompleted(
            seq=self._parts.run.scans + 1,
            due=_iso(outcome.due_us),
            new_candles=fresh,
            reasons=reasons_of(outcome.decisions),
            latency_ms=outcome.latency_ms,
            detail="; ".join(words),
        )
        events = (*attempt.events, *outcome.events, *emitted_events(outcome.decisions), completed)
        return outcome._replace(events=events)

    # -- what goes wrong

    async def _failed(self, due: Due, attempt: _Attempt, error: Exception) -> None:
        code = error.code if isinstance(error, TradingAIError) else type(error).__name__
        reason = str(error) or type(error).__name__
        taken = None if attempt.prepared is None else attempt.prepared.taken
        events = [*attempt.events, *(() if taken is None else taken.events)]
        events.append(ScanFailed(due=_iso(due.due_us), code=code, reason=reason))
        seen = () if taken is None else taken.seen
        self._failures.append(_Failure(due.due_us, attempt.at_us, reason, tuple(events), seen))
        self.scanned += 1
        await self._flush()
        self._tell(lambda: failed_scan(self._parts.run, self._parts.step, due.due_us, attempt.at_us, reason))

    def _tell(self, scanned: Callable[[], Scanned]) -> None:
        """Whoever watches hears of it; what goes wrong with that is told once and ends nothing."""
        self._attempt("telling of scans", lambda: self._on_scan(scanned()))

    async def _store_failures(self) -> None:
        """Store failed scans, oldest first. Raises StoreError and keeps those that are left."""
        while self._failures:
            await self._parts.run.store_failed(*self._failures[0])
            del self._failures[0]

    async def _flush(self) -> None:
        with suppress(StoreError):  # it is tried again before the next scan
            await self.flush()

    # -- between scans

    async def _between_scans(self) -> None:
        """Pick up promotions and do the rest of the upkeep; what fails is told once and tried again."""
        self._attempt("promoted models", self._pick_up)
        if self._parts.upkeep is not None:
            try:
                self._told += await self._parts.upkeep()
            except Exception as error:  # noqa: BLE001 - what can wait must not end the loop
                self._trouble("upkeep", error)
            else:
                self._troubles.pop("upkeep", None)

    def _pick_up(self) -> None:
        watch = self._parts.watch
        if watch.look():
            self._parts.step.stream.install(watch.current)

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - what can wait must not end the loop
            self._trouble(what, error)
        else:
            self._troubles.pop(what, None)

    def _trouble(self, what: str, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self._troubles.get(what) != reason:
            self._troubles[what] = reason
            self._told.append(UpkeepFailed(what=what, reason=reason))

    # -- after a long pause

    async def _catch_up(self) -> None:
        """With positions open since before all history that is kept: a scan over the day that followed.

        Their rules end them within minutes of it; what lies between then and now need not be lived through.
        """
        paper, now_us = self._parts.step.desk.paper, datetime_to_us(self._clock.now())
        times = [position.mark_us for position in paper.positions]
        times += [order.decided_us for order in paper.orders]
        if not times or min(times) > now_us - KEPT_US:
            return
        first = min(times) // MINUTE_US * MINUTE_US
        span = (first - MINUTE_US, first + DAY_MINUTES * MINUTE_US)
        await self._scan(Due(now_us, now_us, 0, now_us), span)
        self._broken = True

    async def _restart_stream(self) -> None:
        parts = self._parts
        await refill(parts.store, parts.run, parts.step, parts.clock)


def _controls(state: ControlState) -> Controls:
    return Controls(state.threshold, state.killed, state.kill_source)


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
