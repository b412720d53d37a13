"""The continuous clock of an observation: a fold over heartbeats that can be done again at any time.

Time is counted between two heartbeats of one start of the loop, by the clock of the machine that nobody can
set, and only where they are not further apart than the longest gap. The wall clock names moments and measures
nothing. The clock begins anew, with the reason, when

- the gap between two heartbeats, or between a clean stop and the next start, is too long;
- the loop starts and the one before never said that it stopped (a crash, counted);
- the machine was started anew: no clock that nobody can set measures across that;
- a scan decided with another model or threshold, or by other numbers, than the scans before it;
- the loop goes on as another run: settings, code or feed are others, or at another interval.

The pause of a clean restart within the gap is not counted, and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.observation_views import Restart, RestartCause

_RANK: Final[tuple[RestartCause, ...]] = (
    "crash", "reboot", "gap", "model", "threshold", "code", "settings", "feed",
)  # fmt: skip
"""Of several reasons at once the first names the restart; all are in its text."""


class Beat(NamedTuple):
    """A heartbeat as the clock reads it."""

    seq: int
    run_id: str
    engine: str
    """Names one start of the loop."""
    boot_id: str
    """Names one start of the machine; empty where the system has none."""
    at: str
    """Wall time, ISO-8601."""
    monotonic_s: float
    interval_s: float
    scans: int
    """Number of the run's newest stored scan."""
    state: str
    """started, scanning or stopped."""


class Change(NamedTuple):
    """Something was decided with that is not what the scans before it were decided with."""

    cause: RestartCause
    text: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a live run is recognised by."""

    run_id: str
    settings_hash: str
    code_version: str
    feed: str
    settings: Mapping[str, Any] | None = None
    """None for a run of a version that did not keep them."""
    simulated: bool = False
    """It goes by a simulated clock, which counts for nothing."""


class Pause(NamedTuple):
    """A clean restart within the gap: seconds that are not counted."""

    at: str
    seconds: float


@dataclass(slots=True)
class Segment:
    """What the clock counted without a break, within one run."""

    beat: int
    """Number of the heartbeat it begins with."""
    run_id: str
    after_scan: int
    """Its scans are those with a higher number …"""
    at: str
    interval_s: float
    last_at: str
    last_scan: int
    """… up to this one."""
    counted_s: float = 0.0
    pauses: list[Pause] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        """By the wall clock."""
        return parse_iso(self.at)

    @property
    def last_beat_at(self) -> datetime:
        """By the wall clock."""
        return parse_iso(self.last_at)


class ContinuousClock:
    """The fold: takes heartbeats one after another, in the order they were written."""

    def __init__(self, max_gap_s: float, runs: Mapping[str, RunFacts]) -> None:
        """``runs`` holds every run that has a heartbeat; it may grow meanwhile."""
        self._max_gap_s = max_gap_s
        self._runs = runs
        self.last: Beat | None = None
        self.segment: Segment | None = None
        """The one that counts."""
        self.broken: list[Segment] = []
        """Those before it, oldest first: one for each restart."""
        self.restarts: list[Restart] = []
        self.crashes = 0
        """Starts of the loop whose predecessor never said that it stopped."""

    @property
    def counted_s(self) -> float:
        """Seconds without a break."""
        return 0.0 if self.segment is None else self.segment.counted_s

    def add(self, beat: Beat, changes: Sequence[Change] = ()) -> None:
        """One more heartbeat, and what changed in the scans between the one before and it."""
        last, segment = self.last, self.segment
        self.last = beat
        if last is None or segment is None:
            self.segment = _begin(beat)
            return
        gap_s = _elapsed(last, beat)
        found = [*self._breaks(last, beat, gap_s), *changes]
        if beat.run_id != last.run_id:
            found += _differences(self._runs[last.run_id], self._runs[beat.run_id])
        elif beat.interval_s != last.interval_s:
            words = f"scan interval {last.interval_s:g} → {beat.interval_s:g} s"
            found.append(Change("settings", words))
        if found:
            self._restart(beat, segment, found, gap_s)
            return
        segment.last_at, segment.last_scan = beat.at, beat.scans
        if beat.engine == last.engine:
            segment.counted_s += gap_s or 0.0
        else:
            segment.pauses.append(Pause(beat.at, gap_s or 0.0))

    def _breaks(self, last: Beat, beat: Beat, gap_s: float | None) -> list[Change]:
        """What of the two heartbeats themselves breaks the clock."""
        found = []
        if beat.engine != last.engine and last.state != "stopped":
            self.crashes += 1
            found.append(Change("crash", f"the loop that beat last at {_second(last)} ended without a word"))
        if gap_s is None:
            found.append(Change("reboot", f"the machine was started anew after {_second(last)}"))
        elif gap_s > self._max_gap_s:
            found.append(Change("gap", f"gap of {gap_s:,.0f} s"))
        return found

    def _restart(self, beat: Beat, segment: Segment, found: Sequence[Change], gap_s: float | None) -> None:
        first = min(found, key=lambda change: _RANK.index(change.cause))
        words = [first.text, *(change.text for change in found if change is not first)]
        self.restarts.append(
            Restart(
                at=parse_iso(beat.at),
                cause=first.cause,
                text="; ".join(dict.fromkeys(words)),
                hours_lost=segment.counted_s / 3600,
                gap_s=gap_s,
            )
        )
        self.broken.append(segment)
        self.segment = _begin(beat)


def _begin(beat: Beat) -> Segment:
    return Segment(beat.seq, beat.run_id, beat.scans, beat.at, beat.interval_s, beat.at, beat.scans)


def _second(beat: Beat) -> str:
    """When it was, to the second."""
    return f"{parse_iso(beat.at):%Y-%m-%d %H:%M:%SZ}"


def _elapsed(last: Beat, beat: Beat) -> float | None:
    """Seconds between two heartbeats; None where no clock measured them: the machine was started anew."""
    seconds = beat.monotonic_s - last.monotonic_s
    return None if beat.boot_id != last.boot_id or seconds < 0 else seconds


def _differences(before: RunFacts, after: RunFacts) -> list[Change]:
    """Why the loop goes on as another run."""
    found = []
    if before.code_version != after.code_version:
        found.append(Change("code", f"code {before.code_version} → {after.code_version}"))
    if before.settings_hash != after.settings_hash:
        found.append(Change("settings", _settings_words(before, after)))
    if before.feed != after.feed:
        found.append(Change("feed", f"feed {before.feed} → {after.feed}"))
    return found or [Change("settings", f"run {before.run_id} was followed by {after.run_id}")]


def _settings_words(before: RunFacts, after: RunFacts) -> str:
    if before.settings is None or after.settings is None:
        return f"settings {before.settings_hash[:8]} → {after.settings_hash[:8]}"
    names = sorted({*before.settings, *after.settings})
    changed = [
        f"{name.upper()} {_value(before.settings, name)} → {_value(after.settings, name)}"
        for name in names
        if before.settings.get(name) != after.settings.get(name)
    ]
    return ", ".join(changed) or "measured execution costs"


def _value(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
