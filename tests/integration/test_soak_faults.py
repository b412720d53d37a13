"""The soak tells whether its faults hit and whether trouble was planned; each mark is taken away once."""

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS

from tests.fakes.command_line import ROOT
from tests.fakes.soak_home import INTERVAL_S, PLAN

sys.path.insert(0, str(ROOT / "benchmarks"))
import soak_hits as hits
from soak_plan import DAY, PER_30_DAYS, Plan, Window, draw_plan
from soak_world import START

LONG_PLAN = draw_plan(1, 30, PIPELINE_SYMBOLS)
DISK = Window("disk", 194_000.0, 195_000.0)
"""Of the soak's seconds; the recorded home begins at second 194,420 of a soak."""
EVENT = "(SELECT min(seq) FROM events WHERE type = 'SignalEmitted')"
NO_ROOM = "TradingAIError: cannot write /h/data/live/x.parquet: No space left on device"


@pytest.fixture
def changed(soaked, tmp_path):
    """Evidence of a copy after some SQL."""

    def change(*statements, **changes):
        return soaked.evidence(home=soaked.copy(tmp_path / "home", *statements), **changes)

    return change


def upkeep_failed(at, reason):
    """An event as the loop tells it."""
    payload = json.dumps({"what": "upkeep", "reason": reason})
    return (
        "INSERT INTO events (ts, type, level, run_id, payload) SELECT "
        f"'{at}', 'UpkeepFailed', 'warning', run_id, '{payload}' FROM events WHERE seq = {EVENT}"
    )


@pytest.mark.parametrize(
    ("at", "reason", "words"),
    [
        ("2026-03-04T12:05:00.000000Z", NO_ROOM, []),
        ("2026-03-04T12:20:00.000000Z", NO_ROOM, ["when no disk was to be full"]),
        ("2026-03-04T12:05:00.000000Z", "StoreError: the database is locked", ["not for want of room"]),
    ],
)
def test_upkeep_may_fail_on_a_full_disk_that_was_planned_and_only_then(changed, at, reason, words):
    with changed(upkeep_failed(at, reason), plan=Plan(1, 1.0, INTERVAL_S, (DISK,))) as evidence:
        verdict = hits.trouble(evidence)
    assert len(verdict.violations) == len(words)
    assert all(one in text for one, text in zip(words, verdict.violations, strict=True))
    assert verdict.detail == "1 UpkeepFailed"


def test_a_scan_that_failed_with_room_on_the_disk_and_an_error_of_another_kind_are_caught(changed):
    failed = (
        "UPDATE events SET type = 'ScanFailed', level = 'error', payload = json_object('due',"
        " '2026-03-04T12:04:00Z', 'code', 'store', 'reason', 'the disk is full: /h has no space to grow')"
        f" WHERE seq = {EVENT}"
    )
    other = "UPDATE events SET type = 'ModelFailed', level = 'error' WHERE seq = 1"
    with changed(failed, other) as evidence:
        found = hits.trouble(evidence).violations
    assert [one.split()[0] for one in found] == ["ModelFailed", "ScanFailed"]


def test_a_time_is_found_again_whatever_the_clock_was_set_to(soaked):
    jumps = [
        {"what": "jump", "at": 1000.0, "seconds": 600.0},
        {"what": "jump", "at": 2000.0, "seconds": -900.0},
    ]
    with soaked.evidence(journal=jumps) as evidence:
        placed = hits.times(evidence)
    begin = datetime.fromtimestamp(START, UTC)

    def seconds(wall):
        return placed((begin + timedelta(seconds=wall)).isoformat().replace("+00:00", "Z"))

    assert seconds(500) == [500.0]
    assert seconds(1300) == []
    assert seconds(1900) == [1300.0, 2200.0]
    assert seconds(3000) == [3300.0]


def test_a_long_plan_whose_faults_never_hit_is_no_proof(soaked):
    with soaked.evidence(plan=LONG_PLAN, journal=[], answered={}) as evidence:
        missed = hits.faults_hit(evidence)
    assert "feed hang: planned 10 times and never seen" in missed.violations
    assert "kill by itself" in missed.detail
    assert not missed.holds


def test_a_day_without_a_signal_is_named_in_a_long_plan_only(soaked):
    plan = Plan(1, 10 * DAY, INTERVAL_S, actions=PLAN.actions)
    days = [f"no signal on 2026-03-{day:02}" for day in (3, 5, 6, 7)]
    with soaked.evidence(plan=plan) as evidence:
        assert hits.faults_hit(evidence).violations == [*days, "no signal on 2026-03-08", "and 3 more"]
    with soaked.evidence(plan=Plan(1, 5 * DAY, INTERVAL_S, actions=PLAN.actions)) as evidence:
        assert hits.faults_hit(evidence).holds


def test_a_short_plan_says_what_it_missed(soaked):
    short = Plan(1, DAY, INTERVAL_S, (Window("telegram", 1.0, 2.0, "500"),), PLAN.actions)
    with soaked.evidence(plan=short) as evidence:
        verdict = hits.faults_hit(evidence)
    assert verdict.holds
    assert verdict.detail == "2 of 4 kinds, not telegram 500, missed signal"


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("scan while halted", "UPDATE scans SET guard = 'NORMAL' WHERE guard = 'HALTED'"),
        ("held back while killed", "UPDATE decisions SET reason = 'stale' WHERE reason = 'killed'"),
        ("model", "UPDATE decisions SET versions = replace(versions, 'v1.0.0', 'v1.1.0')"),
        ("signal of v1.0.0", "UPDATE decisions SET versions = replace(versions, 'v1.0.0', 'v1.1.0')"),
        ("switch cli", "DELETE FROM events WHERE type = 'KillSwitchSet'"),
        ("feed refused", "DELETE FROM events WHERE type = 'FeedFailed'"),
    ],
)
def test_what_happened_is_seen_and_not_once_its_mark_is_gone(soaked, changed, kind, statement):
    with soaked.evidence(plan=LONG_PLAN) as evidence:
        assert hits.by_kind(evidence)[kind]["seen"] > 0
    with changed(statement, plan=LONG_PLAN) as evidence:
        assert hits.by_kind(evidence)[kind]["seen"] == 0


def test_every_kind_of_fault_of_a_plan_is_looked_for(soaked):
    answered = dict.fromkeys(("500", "502", "drop", "drop-after", "429:30", "false"), 1)
    with soaked.evidence(plan=LONG_PLAN, answered=answered) as evidence:
        seen = hits.by_kind(evidence)
    outcomes = 6
    assert sum(one["planned"] for one in list(seen.values())[:-outcomes]) == sum(PER_30_DAYS.values())
    assert all(seen[f"telegram {mode}"] == {"planned": 5, "seen": 1} for mode in answered)
