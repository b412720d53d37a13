"""What was told to the operator outside the console, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class AlertDelivered(Event):
    """An alert arrived; ``seconds`` since the event it tells of."""

    event_id: str
    kind: str
    title: str
    channel: str
    seconds: float
    repeat: bool


@dataclass(frozen=True, kw_only=True)
class AlertRefused(Event):
    """An alert will never be accepted and went to the dead letters."""

    level: ClassVar[str] = "error"
    event_id: str
    kind: str
    title: str
    channel: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SignalsMissed(Event):
    """Signals outlived their horizon before they could be told; they count as not delivered."""

    level: ClassVar[str] = "warning"
    channel: str
    ids: list[str]
    maybe: list[str]
    """Those of them whose outcome is unknown: they may have arrived."""


@dataclass(frozen=True, kw_only=True)
class DaySummarised(Event):
    """What the live runs did within the 24 hours before."""

    day: str
    """The UTC date it was made on; there is one a day."""
    scans: int
    failed: int
    signals: int
    high_signals: int
    trades: int
    wins: int
    net: float
    equity: float | None
    guard: str
    alerts_delivered: int
    alerts_lost: int
    """Dead, missed or stopped."""


@dataclass(frozen=True, kw_only=True)
class TelegramFailed(Event):
    """Something of the bot failed; it is started again, and the scan loop goes on without it."""

    level: ClassVar[str] = "warning"
    what: str
    reason: str
    retry_in_s: float
