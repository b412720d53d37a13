"""Heartbeats of a loop as a test tells its story: every step says how time passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tradingai.engine.queries.observation_clock import (
    Beat,
    Change,
    ContinuousClock,
    RunFacts,
)
from tradingai.engine.store.stamps import stamp

START = datetime(2026, 3, 2, 6, 0, 12, tzinfo=UTC)
"""A Monday."""
RUN = "live-1"


def facts(run: str = RUN, **changes: object) -> RunFacts:
    """A run of some settings, code and feed."""
    base = {"settings_hash": "s", "code_version": "c", "feed": "f", "settings": {"paper_risk_pct": 0.25}}
    return RunFacts(run_id=run, **{**base, **changes})


@dataclass
class Story:
    """A loop that beats every 30 s; each method moves time on and goes on from there."""

    now: datetime = START
    monotonic_s: float = 1000.0
    boot: str = "boot-1"
    engine: str = "e1"
    run: str = RUN
    interval_s: float = 120.0
    scans: int = 0
    elapsed_s: float = 0.0
    """What really passed since the first beat."""
    beats: list[tuple[Beat, list[Change]]] = field(default_factory=list)

    def beat(self, state: str = "scanning", *changes: Change) -> Story:
        """One now."""
        self.beats.append(
            (
                Beat(
                    len(self.beats) + 1, self.run, self.engine, self.boot, stamp(self.now), self.monotonic_s,
                    self.interval_s, self.scans, state,
                ),
                list(changes),
            )
        )  # fmt: skip
        return self

    def passes(self, seconds: float, *, wall_s: float | None = None) -> Story:
        """Time passes; the wall clock may see something else of it."""
        self.monotonic_s += seconds
        self.now += timedelta(seconds=seconds if wall_s is None else wall_s)
        self.elapsed_s += seconds
        self.scans = int(self.elapsed_s // self.interval_s)
        return self

    def runs(self, seconds: float, every_s: float = 30.0) -> Story:
        """It scans and beats for so long."""
        for _ in range(round(seconds / every_s)):
            self.passes(every_s).beat()
        return self

    def starts(self) -> Story:
        """A new start of the loop."""
        self.engine = f"e{int(self.engine[1:]) + 1}"
        return self.beat("started")

    def stops(self) -> Story:
        """It says that it stops."""
        return self.beat("stopped")

    def reboots(self) -> Story:
        """The machine's monotonic clock begins anew."""
        self.boot, self.monotonic_s = f"{self.boot}'", 5.0
        return self

    def clock(self, *runs: RunFacts, max_gap_s: float = 300.0) -> ContinuousClock:
        """What the continuous clock makes of it."""
        known = {one.run_id: one for one in (facts(), *runs)}
        clock = ContinuousClock(max_gap_s, known)
        for beat, changes in self.beats:
            clock.add(beat, changes)
        return clock


def begun() -> Story:
    """A loop that has just started."""
    return Story().beat("started")
