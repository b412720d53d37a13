"""Empties one channel's outbox: fill from the event log, claim, deliver, write down what came of it."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import Final

from tradingai.engine.alerts.derive import deriving
from tradingai.engine.alerts.messages import message_of
from tradingai.engine.alerts.protocols import AlertSink, Outcome
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.events import AlertDelivered, AlertRefused
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.alert_rows import AlertRow
from tradingai.engine.store.database import Store

POLL_S: Final = 0.5
"""Between two looks at the event log."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
"""Waits after failures double from the first to the longest."""


class Outbox:
    """One channel. The caller holds the engine's lock, so that nobody else empties it."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, sink: AlertSink, *, run_id: str, mode: str
    ) -> None:
        """``run_id`` is the live run: it carries alerts of events that belong to none."""
        self._store = store
        self._clock = clock
        self._settings = settings
        self._sink = sink
        self._run_id = run_id
        self._mode = mode
        self._derive = deriving(sink.channel, settings.paper_time_exit_minutes)
        self.sending = False
        """An attempt is under way or its outcome is not written down yet."""
        self.ending = False
        """No further attempt is begun by :meth:`run`."""
        self._reached = 0
        self._failures = 0
        self._not_before = 0.0
        """By the monotonic clock."""

    async def open(self) -> None:
        """Begin at the newest event when the channel is new; what was being sent waits again.

        Raises StoreError.
        """
        await self._store.alerts.open(self._sink.channel)

    @property
    def waits_s(self) -> float:
        """Seconds until the next attempt may be made."""
        return max(0.0, self._not_before - self._clock.monotonic())

    async def step(self) -> bool:
        """Fill, and make one attempt unless it is too early; True when there may be more to do at once.

        Raises StoreError; whatever was under way then is repeated.
        """
        await self._fill()
        if self.waits_s > 0:
            return False
        alert = await self._store.alerts.claim(self._sink.channel, killed=self._settings.kill_switch)
        if alert is None:
            return await self._fill()
        self.sending = True
        try:
            await self._settle(alert, await self._attempt(alert))
        finally:
            self.sending = False
        return self.waits_s <= 0

    async def run(self) -> None:
        """Empty it until it is ending; a store that is busy or full only makes it wait."""
        while not self.ending:
            more = False
            with suppress(StoreError):
                more = await self.step()
            if not more and not self.ending:
                await self._clock.sleep(POLL_S)

    async def drain(self, until: float = inf) -> None:
        """Return when nothing is left that could be sent now, or ``until`` has come (monotonic seconds)."""
        with suppress(StoreError):
            while await self.step() and self._clock.monotonic() < until:
                pass

    async def _fill(self) -> bool:
        """True when the log had something new."""
        if (await self._store.version()).seq <= self._reached:
            return False
        before = self._reached
        self._reached = await self._store.alerts.fill(
            self._sink.channel, self._run_id, self._reached, self._derive
        )
        return self._reached > before

    async def _attempt(self, alert: AlertRow) -> Outcome:
        try:
            return await self._sink.deliver(message_of(alert, self._mode))
        except Exception as error:  # noqa: BLE001 - a sink's fault must not end the outbox; its text may hold a secret
            return Outcome("unknown", f"unexpected {type(error).__name__}")

    async def _settle(self, alert: AlertRow, outcome: Outcome) -> None:
        table = self._store.alerts
        if outcome.state == "delivered":
            await table.delivered(alert, self._delivered(alert) if self._sink.counts else None)
            self._failures = 0
        elif outcome.state == "refused":
            refused = AlertRefused(
                event_id=alert.event_id, kind=alert.kind, title=alert.title, channel=self._sink.channel,
                reason=outcome.reason,
            )  # fmt: skip
            await table.refused(alert, outcome.reason, refused)
            self._failures = 0
        else:
            await table.postponed(alert, outcome.reason, unknown=outcome.state == "unknown")
            self._wait(outcome.retry_after_s)

    def _delivered(self, alert: AlertRow) -> AlertDelivered:
        return AlertDelivered(
            event_id=alert.event_id,
            kind=alert.kind,
            title=alert.title,
            channel=self._sink.channel,
            seconds=max(0.0, (self._clock.now() - alert.at).total_seconds()),
            repeat=bool(alert.unknown),
        )

    def _wait(self, asked_s: float | None) -> None:
        if asked_s is None:
            asked_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._failures, 16))
            self._failures += 1
        self._not_before = self._clock.monotonic() + asked_s
