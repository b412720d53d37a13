"""How work that takes time speaks to whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tradingai.engine.core.events import Event


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. One row per job: the newest replaces the one before."""

    done: float
    total: float
    unit: str
    """What ``done`` counts: rows, bars, epochs, checks."""
    rate: float | None = None
    """Units per second, measured."""
    eta_s: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the screen of this job kind shows, for example epoch, loss, accuracy."""


class Reporter(Protocol):
    """Given to every long-running function of the engine."""

    def emit(self, event: Event) -> None:
        """Append an event."""
        ...

    def progress(self, progress: Progress) -> None:
        """Replace this job's progress row; cheap, may be called often (it is throttled)."""
        ...

    def safe_point(self) -> None:
        """Raise InterruptedRunError when a stop was asked for. Call it where stopping loses nothing."""
        ...


class SilentReporter:
    """A reporter that keeps events and the last progress in memory; never asks to stop."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.last_progress: Progress | None = None

    def emit(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)

    def progress(self, progress: Progress) -> None:
        """Keep the newest progress."""
        self.last_progress = progress

    def safe_point(self) -> None:
        """Never stops."""
