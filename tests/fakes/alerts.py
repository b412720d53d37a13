"""An outbox over a fresh home, with a sink that does what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tradingai.engine.alerts.outbox import Outbox
from tradingai.engine.alerts.protocols import AlertSink, Message, Outcome
from tradingai.engine.core.events import Event, SignalEmitted
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.alert_rows import AlertRow
from tradingai.engine.store.database import Store
from tradingai.engine.store.run_table import RunKind, RunRow

from tests.fakes.homes import open_store, plain_settings
from tests.fakes.live import RunningClock

RUN = "live-run"
DELIVERED = Outcome("delivered")
LOST = Outcome("waiting", "no way there")
UNKNOWN = Outcome("unknown", "no answer")


@dataclass
class ScriptedSink:
    """Gives the scripted outcomes one after another, then delivers; remembers every attempt."""

    script: list[Outcome] = field(default_factory=list)
    channel: str = "telegram:42"
    counts: bool = True
    attempts: list[Message] = field(default_factory=list)
    arrived: list[Message] = field(default_factory=list)
    during: Callable[[], object] = lambda: None

    async def deliver(self, message: Message) -> Outcome:
        self.attempts.append(message)
        self.during()
        outcome = self.script.pop(0) if self.script else DELIVERED
        if outcome.state in {"delivered", "unknown"}:
            self.arrived.append(message)
        return outcome


@dataclass
class AlertBench:
    """Within reach: the store, the clock and one outbox."""

    store: Store
    clock: RunningClock
    settings: Settings
    sink: AlertSink
    outbox: Outbox

    async def tell(self, *events: Event, run_id: str | None = RUN) -> None:
        await self.store.events.append(*events, run_id=run_id)

    async def go(self, seconds: float = 0) -> None:
        """Let the outbox work for so long."""
        end = self.clock.monotonic() + seconds
        while True:
            await self.outbox.drain()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.advance(min(left, max(0.5, self.outbox.waits_s)))

    async def alerts(self) -> list[AlertRow]:
        return await self.store.alerts.list(self.sink.channel)

    async def states(self) -> list[str]:
        return [alert.state for alert in await self.alerts()]

    async def events(self, kind: str) -> list[dict[str, object]]:
        return [one.payload for one in await self.store.events.after(0) if one.type == kind]


async def start_run(store: Store, run_id: str, kind: RunKind, clock: RunningClock) -> None:
    await store.runs.start(RunRow(run_id, kind, "real", clock.now(), None, "s", "c", {}))


@asynccontextmanager
async def open_outbox(
    root: Path, sink: AlertSink | None = None, *, clock: RunningClock | None = None, **changes: object
) -> AsyncIterator[AlertBench]:
    """An open outbox of the home at ``root``."""
    clock, settings = clock or RunningClock(), plain_settings(**changes)
    sink = sink or ScriptedSink()
    async with open_store(root, clock) as (store, _paths):
        if not await store.runs.open_runs("live"):
            await start_run(store, RUN, "live", clock)
        outbox = Outbox(store, clock, settings, sink, run_id=RUN, mode="dry-run")
        await outbox.open()
        yield AlertBench(store, clock, settings, sink, outbox)


def signal(number: int = 1, tier: str = "high") -> SignalEmitted:
    return SignalEmitted(
        key=f"BTC-USD@{number}", symbol="BTC-USD", side="long", tier=tier, confidence=0.881,
        entry=100.0 + number, take_profit=110.0, stop_loss=95.0, mode="dry-run",
    )  # fmt: skip
