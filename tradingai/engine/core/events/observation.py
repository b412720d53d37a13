"""The observation: its beginning, restarts of its clock, its snapshots, its approval, its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class ObservationStarted(Event):
    """An observation began; its clock counts from the loop's next heartbeat on."""

    observation: str
    baseline_run: str
    required_hours: float
    win_rate: float | None
    """Of the baseline."""
    trades: int
    who: str
    surface: str
    given_up_hours: float | None = None
    """What the observation before had counted, where one was given up for this."""


@dataclass(frozen=True, kw_only=True)
class ObservationClockRestarted(Event):
    """The continuous clock began anew; nothing from before counts."""

    level: ClassVar[str] = "warning"
    observation: str
    cause: str
    """gap, crash, reboot, model, threshold, settings, code or feed."""
    detail: str
    hours_lost: float
    at: str


@dataclass(frozen=True, kw_only=True)
class ObservationSnapshotWritten(Event):
    """A day's snapshot was written as JSON and Markdown."""

    observation: str
    day: str
    whole: bool
    """False: the day was not over yet."""
    path: str
    """Of the JSON file, relative to the home."""


@dataclass(frozen=True, kw_only=True)
class ObservationSnapshotFailed(Event):
    """A day's snapshot could not be written; it is tried again, and nothing else waits for it."""

    level: ClassVar[str] = "warning"
    observation: str
    day: str
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class ObservationApproved(Event):
    """An operator approved; it holds as long as the clock is not restarted."""

    observation: str
    hours: float
    """What the clock said."""
    who: str
    surface: str


@dataclass(frozen=True, kw_only=True)
class ObservationReported(Event):
    """The verdict was written down."""

    observation: str
    verdict: str
    """GO, NO-GO or INSUFFICIENT."""
    decided_by: str
    """The criterion that decided; empty for GO."""
    detail: str
    path: str
    """``summary.md``, relative to the home."""
