"""Is the engine well? A pure judgement over what the store says of its scans and heartbeats.

Well is an engine whose newest scan and heartbeat are recent. A kill switch and a halted account are states an
operator or a rule put it into: they are said and are no illness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import plain

PERIODS: Final = 2
"""A scan or heartbeat older than so many of its periods, and SLACK_S, is missing."""
SLACK_S: Final = 10.0
"""For a busy database and a slow feed."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What there is to judge. Ages in seconds; None where there was nothing yet."""

    interval_s: float | None = None
    """Between scans; None before the first heartbeat."""
    heartbeat_s: float = 30.0
    """Between heartbeats, as configured."""
    beat_age_s: float | None = None
    """Of this engine's newest heartbeat, by the monotonic clock."""
    scan_age_s: float | None = None
    """Of this engine's newest scan that decided."""
    scan: dict[str, Any] | None = None
    """This engine's newest scan, failed or not: ``seq``, ``state``, ``at``, ``detail``."""
    next_due: datetime | None = None
    store_fault: str = ""
    """Why the store cannot be read; empty while it can."""


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement, and why it is a bad one."""

    reasons: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.reasons


def judge(vitals: Vitals) -> Health:
    """Every reason for which somebody should look, in words with their numbers."""
    if vitals.store_fault:
        return Health((f"the store cannot be read: {vitals.store_fault}",))
    reasons = (_heartbeat(vitals), _scan(vitals))
    return Health(tuple(reason for reason in reasons if reason))


def _heartbeat(vitals: Vitals) -> str:
    if vitals.beat_age_s is None:
        return "no heartbeat yet"
    most = PERIODS * vitals.heartbeat_s + SLACK_S
    if vitals.beat_age_s <= most:
        return ""
    return f"the last heartbeat is {vitals.beat_age_s:.0f} s old, more than {most:g} s"


def _scan(vitals: Vitals) -> str:
    if vitals.interval_s is None:
        return ""
    if vitals.scan_age_s is None:
        due = f": the next is due at {plain(vitals.next_due)}" if vitals.next_due else ""
        return f"no scan has decided since the engine started{due}{_failure(vitals)}"
    most = PERIODS * vitals.interval_s + SLACK_S
    if vitals.scan_age_s <= most:
        return ""
    return (
        f"the last scan that decided is {vitals.scan_age_s:.0f} s old, more than {most:g} s{_failure(vitals)}"
    )


def _failure(vitals: Vitals) -> str:
    if vitals.scan is None or vitals.scan["state"] != "failed":
        return ""
    return f"; the newest one failed: {vitals.scan['detail']}"
