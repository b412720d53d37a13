"""A replayed run, assessed like an observation. It never counts: what needs real time stays open."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.observation_criteria import ClockFacts, DeliveryFacts, Facts, judge
from tradingai.engine.queries.observation_evidence import StretchEvidence
from tradingai.engine.queries.observation_facts import (
    PRODUCT,
    baseline_unfit,
    baseline_view,
    demands_of,
    newest_observation,
    run_facts,
    scaled,
)
from tradingai.engine.queries.observation_history import RunHistory
from tradingai.engine.queries.observation_views import HOUR_S, ObservationView
from tradingai.engine.store.read_only import one_moment

_RUN: Final = "SELECT kind, started_at FROM runs WHERE run_id = ?"
_SPAN: Final = "SELECT min(due), max(due), max(seq) FROM scans WHERE run_id = ?"


def replay_view(connection: sqlite3.Connection, run_id: str, settings: Settings) -> ObservationView:
    """The whole run against the newest observation's baseline, by the demands of the settings.

    Raises MissingError when there is no such run or it has not scanned, UsageError for one that is no replay.
    """
    with one_moment(connection):
        run = connection.execute(_RUN, (run_id,)).fetchone()
        if run is None:
            raise MissingError(
                f"there is no run {run_id}", remedy="`tradingai replay --hours 72` makes one and names it."
            )
        if run["kind"] != "replay":
            raise UsageError(
                f"{run_id} is a {run['kind']} run, no replay",
                remedy="Leave --run out for the observation of the live loop.",
            )
        first, last, scans = connection.execute(_SPAN, (run_id,)).fetchone()
        if scans is None:
            raise MissingError(f"run {run_id} has not scanned", remedy="`tradingai replay --hours 72`.")
        return _view(connection, run_id, settings, parse_iso(first), parse_iso(last), int(scans))


def _view(
    connection: sqlite3.Connection,
    run_id: str,
    settings: Settings,
    first: datetime,
    last: datetime,
    scans: int,
) -> ObservationView:
    required: dict[str, Any] = {name: getattr(settings, name) for name in PRODUCT}
    demands = demands_of(required)
    interval_s = (last - first).total_seconds() / (scans - 1) if scans > 1 else settings.scan_interval_s
    history, evidence = RunHistory(run_id, 0), StretchEvidence(run_id, 0)
    history.follow(connection, scans, interval_s, settings.observation_max_gap_s)
    evidence.follow(connection, scans)
    simulated_s = scans * interval_s
    delivery = DeliveryFacts(configured=settings.alert_chat is not None)
    row = newest_observation(connection)
    facts = Facts(
        demands=demands,
        clock=ClockFacts(counted_s=simulated_s, since=first, simulated=True),
        observed=evidence.tally.observed(evidence.by_tier, demands, simulated_s / HOUR_S, delivery),
        delivery=delivery,
        baseline=None if row is None else baseline_view(row.baseline),
        baseline_unfit=(
            "no observation has run: there is no baseline"
            if row is None
            else baseline_unfit(row.baseline, run_facts(connection, run_id), history)
        ),
        replay=True,
    )
    return ObservationView(
        state="ended",
        started_at=first,
        ended_at=last + timedelta(seconds=interval_s),
        ended_why="the replay's end",
        required_hours=demands.hours,
        max_gap_s=settings.observation_max_gap_s,
        heartbeat_s=settings.heartbeat_s,
        continuous_s=simulated_s,
        clock_started_at=first,
        criteria=judge(facts),
        baseline=facts.baseline,
        observed=facts.observed,
        scaled=scaled(required, interval_s),
        replay=run_id,
    )
