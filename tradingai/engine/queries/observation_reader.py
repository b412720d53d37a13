"""Reading an observation: heartbeats and scans that came since the last look, then what they amount to.

Everything is computed from the store: a process that is killed at any moment loses nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.locks import seen_held
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.observation_clock import Beat, ContinuousClock, RunFacts, Segment
from tradingai.engine.queries.observation_criteria import (
    ClockFacts,
    DeliveryFacts,
    Demands,
    Facts,
    decide,
    judge,
)
from tradingai.engine.queries.observation_days import FOLDER, day_snapshots
from tradingai.engine.queries.observation_evidence import StretchEvidence
from tradingai.engine.queries.observation_facts import (
    approvals,
    baseline_unfit,
    baseline_view,
    delivery_view,
    demands_of,
    drill_facts,
    newest_observation,
    newest_verdict,
    run_facts,
    scaled,
    telegram_channels,
    written_snapshots,
)
from tradingai.engine.queries.observation_history import Changed, RunHistory
from tradingai.engine.queries.observation_strip import strip
from tradingai.engine.queries.observation_views import (
    HALF_HOUR_S,
    HOUR_S,
    NO_OBSERVATION,
    NO_OBSERVED,
    NO_VERDICT,
    ObservationView,
    StripCell,
    VerdictView,
)
from tradingai.engine.store.observation_rows import ObservationRow
from tradingai.engine.store.read_only import one_moment, reading
from tradingai.engine.store.stamps import stamp

_EVER: Final = 2**62
_BEATS: Final = (
    "SELECT seq, run_id, engine, boot_id, at, monotonic_s, interval_s, scans, state FROM heartbeats"
    " WHERE seq > ? AND seq <= ? ORDER BY seq"
)


class ObservationReader:
    """Follows the newest observation of a home."""

    def __init__(self, paths: HomePaths, chat: int | None, *, until_beat: int | None = None) -> None:
        """``until_beat`` leaves out everything after that heartbeat: as it was then."""
        self._paths = paths
        self._chat = chat
        self._until_beat = until_beat
        self._begin("", 0, 0.0)

    def _begin(self, observation_id: str, after_beat: int, max_gap_s: float) -> None:
        self._id = observation_id
        self._seen = after_beat
        self._runs: dict[str, RunFacts] = {}
        self._histories: dict[str, RunHistory] = {}
        self.clock = ContinuousClock(max_gap_s, self._runs)
        """The continuous clock as it was last read."""
        self._evidence: StretchEvidence | None = None

    def read(
        self,
        connection: sqlite3.Connection,
        now: datetime,
        *,
        promoted: bool = True,
        loop_running: bool | None = None,
    ) -> ObservationView:
        """The newest observation, or one of state ``none``; ``loop_running`` None asks the engine's lock."""
        running = seen_held(self._paths.locks / "engine") if loop_running is None else loop_running
        with one_moment(connection):
            row = newest_observation(connection)
            if row is None:
                return ObservationView(promoted=promoted, loop_running=running)
            if row.observation_id != self._id:
                self._begin(row.observation_id, row.after_beat, _max_gap_s(row))
            self._follow(connection, row)
            return replace(self._view(connection, row, now, running=running), promoted=promoted)

    # -- following

    def _follow(self, connection: sqlite3.Connection, row: ObservationRow) -> None:
        ends = [end for end in (row.ended_beat, self._until_beat) if end is not None]
        until = min(ends, default=_EVER)
        beats = [Beat(*found) for found in connection.execute(_BEATS, (self._seen, until))]
        if not beats:
            return
        changed = self._changes(connection, beats, _max_gap_s(row))
        for beat in beats:
            waiting = changed[beat.run_id]
            number = next((at for at, one in enumerate(waiting) if one.scan_seq > beat.scans), len(waiting))
            self.clock.add(beat, [one.change for one in waiting[:number]])
            del waiting[:number]
        self._seen = beats[-1].seq
        segment = self.clock.segment
        if segment is not None:
            key = (segment.run_id, segment.after_scan)
            if self._evidence is None or self._evidence.key != key:
                self._evidence = StretchEvidence(*key)
            self._evidence.follow(connection, segment.last_scan)

    def _changes(
        self, connection: sqlite3.Connection, beats: list[Beat], max_gap_s: float
    ) -> dict[str, list[Changed]]:
        """What changed in the scans before these heartbeats, by run."""
        firsts: dict[str, Beat] = {}
        lasts: dict[str, Beat] = {}
        for beat in beats:
            firsts.setdefault(beat.run_id, beat)
            lasts[beat.run_id] = beat
        changed: dict[str, list[Changed]] = {}
        for run_id, last in lasts.items():
            if run_id not in self._runs:
                self._runs[run_id] = run_facts(connection, run_id)
                self._histories[run_id] = RunHistory(run_id, firsts[run_id].scans)
            history = self._histories[run_id]
            changed[run_id] = history.follow(connection, last.scans, last.interval_s, max_gap_s)
        return changed

    # -- what it amounts to

    def _view(
        self, connection: sqlite3.Connection, row: ObservationRow, now: datetime, *, running: bool
    ) -> ObservationView:
        ended, segment = row.ended_at is not None, self.clock.segment
        as_of = ended or self._until_beat is not None
        facts = self._facts(connection, row, self._clock_facts(row, now, running=running, as_of=as_of))
        criteria, clock = judge(facts), facts.clock
        half_hours, hours = self._strips(facts.demands)
        moment = row.ended_at or now
        return ObservationView(
            state="ended" if ended else "running",
            id=row.observation_id,
            started_at=row.started_at,
            by=f"{row.sender}, {row.surface}",
            ended_at=row.ended_at,
            ended_why=row.ended_why,
            required_hours=facts.demands.hours,
            max_gap_s=_max_gap_s(row),
            heartbeat_s=float(row.required["heartbeat_s"]),
            continuous_s=clock.counted_s,
            clock_started_at=clock.since,
            counting=clock.counting,
            go_not_before=_full_at(segment, facts) if clock.counting or facts.full else None,
            crashes=clock.crashes,
            half_hours=half_hours,
            hours=hours,
            criteria=criteria,
            restarts=tuple(clock.restarts),
            snapshots=day_snapshots(
                connection, self._paths, row, written_snapshots(connection, row.observation_id), moment
            ),
            folder=FOLDER,
            delivery=delivery_view(connection, telegram_channels(connection, self._chat), moment),
            baseline=facts.baseline,
            observed=facts.observed,
            verdict=_verdict(connection, row, decide(criteria) if facts.full else NO_VERDICT),
            approvals=tuple(facts.approvals),
            scaled=scaled(row.required, None if segment is None else segment.interval_s),
            loop_running=running,
        )

    def _facts(self, connection: sqlite3.Connection, row: ObservationRow, clock: ClockFacts) -> Facts:
        segment, evidence = self.clock.segment, self._evidence
        demands, until = demands_of(row.required), self._until(row)
        channels = telegram_channels(connection, self._chat)
        facts = Facts(
            demands=demands,
            clock=clock,
            observed=NO_OBSERVED,
            delivery=DeliveryFacts(configured=bool(channels)),
            baseline=baseline_view(row.baseline),
            approvals=approvals(connection, row.observation_id, segment, until),
        )
        if segment is None or evidence is None:
            return facts
        run, history = self._runs[segment.run_id], self._histories[segment.run_id]
        delivery = evidence.delivery(connection, channels, until=until)
        return replace(
            facts,
            observed=evidence.tally.observed(evidence.by_tier, demands, clock.counted_s / HOUR_S, delivery),
            delivery=delivery,
            drill=drill_facts(connection, segment.at, until, run, history),
            baseline_unfit=baseline_unfit(row.baseline, run, history),
        )

    def _until(self, row: ObservationRow) -> str | None:
        """What came later (as stored) is left out; None: nothing is."""
        if self._until_beat is None:
            return None if row.ended_at is None else stamp(row.ended_at)
        return None if self.clock.segment is None else self.clock.segment.last_at

    def _clock_facts(self, row: ObservationRow, now: datetime, *, running: bool, as_of: bool) -> ClockFacts:
        clock = self.clock
        last, segment = clock.last, clock.segment
        if last is None or segment is None:
            return ClockFacts()
        age_s = (now - parse_iso(last.at)).total_seconds()
        beating = running and last.state != "stopped" and age_s <= _max_gap_s(row)
        died = not as_of and not running and last.state != "stopped"
        return ClockFacts(
            counted_s=clock.counted_s,
            counting=beating and not as_of,
            since=segment.started_at,
            crashes=clock.crashes + died,
            restarts=tuple(clock.restarts),
            died=died,
            silent_s=age_s if age_s > _max_gap_s(row) and not as_of else None,
            simulated=self._runs[last.run_id].simulated,
        )

    def _strips(self, demands: Demands) -> tuple[tuple[StripCell, ...], tuple[StripCell, ...]]:
        """In half hours, and in hours."""
        clock = self.clock
        incidents = [one for history in self._histories.values() for one in history.incidents]

        def cells(cell_s: float) -> tuple[StripCell, ...]:
            return strip(
                clock.broken, clock.restarts, clock.segment, incidents,
                required_s=demands.seconds, cell_s=cell_s,
            )  # fmt: skip

        return cells(HALF_HOUR_S), cells(HOUR_S)


def read_observation(
    paths: HomePaths, settings: Settings, now: datetime, *, until_beat: int | None = None
) -> ObservationView:
    """The home's newest observation, read once. Raises StoreError; a home without a database has none.

    The file is only asked for its size: this process may have it open, and closing it once more would drop
    SQLite's locks.
    """
    database = settings.database_path(paths.root)
    try:
        if not database.stat().st_size:
            return NO_OBSERVATION
    except OSError:
        return NO_OBSERVATION
    reader = ObservationReader(paths, settings.alert_chat, until_beat=until_beat)
    with reading(database) as connection:
        return reader.read(connection, now)


def _max_gap_s(row: ObservationRow) -> float:
    required: Mapping[str, Any] = row.required
    return float(required["observation_max_gap_s"])


def _full_at(segment: Segment | None, facts: Facts) -> datetime | None:
    """When the clock is full if nothing happens, or when it was."""
    if segment is None:
        return None
    return segment.last_beat_at + timedelta(seconds=facts.demands.seconds - facts.clock.counted_s)


def _verdict(connection: sqlite3.Connection, row: ObservationRow, now: VerdictView) -> VerdictView:
    """The one that ended it, or the one of this moment; with where it was last written down."""
    found = newest_verdict(connection, row.observation_id)
    if found is None:
        return now
    ended = found.word == "GO" and row.ended_at is not None
    verdict = VerdictView("GO", None, found.text) if ended else now
    return replace(verdict, reported_at=found.at, summary_path=found.path)
