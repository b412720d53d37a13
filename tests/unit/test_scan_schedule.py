"""When scans are due, whatever the wall clock does."""

from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.runtime.schedule import Schedule, next_due

START = datetime(2025, 11, 10, 12, 0, 30, tzinfo=UTC)


def hour(us):
    return us_to_datetime(us).strftime("%H:%M:%S")


def test_multiples_of_the_interval():
    assert [next_due(at, 120) for at in (0, 1, 119, 120, 121)] == [120, 120, 120, 240, 240]


def test_scans_are_due_on_the_clock_one_after_another():
    clock = SimulatedClock(START)
    schedule = Schedule(clock, 120)
    assert (hour(schedule.next_us), schedule.remaining_s()) == ("12:02:00", 90)
    clock.advance(90)
    due = schedule.take()
    assert (hour(due.due_us), due.missed, due.late_s) == ("12:02:00", 0, 0)
    assert hour(schedule.next_us) == "12:04:00"


def test_a_scan_that_took_too_long_costs_those_that_were_due():
    clock = SimulatedClock(START)
    schedule = Schedule(clock, 60)
    clock.advance(30 + 60 * 3 + 7)
    due = schedule.take()
    assert (hour(due.due_us), due.missed, hour(due.first_missed_us)) == ("12:04:00", 3, "12:01:00")
    assert due.late_s == pytest.approx(7)
    assert schedule.jumped() == 0


def test_a_clock_set_forward():
    clock = SimulatedClock(START)
    schedule = Schedule(clock, 120)
    clock.advance(10)
    clock.set_wall(clock.now() + timedelta(hours=1))
    assert schedule.jumped() == pytest.approx(3600)
    due = schedule.take()
    assert (hour(due.due_us), due.missed) == ("13:00:00", 29)


def test_a_clock_set_back_is_aligned_to_again():
    clock = SimulatedClock(START)
    schedule = Schedule(clock, 120)
    clock.advance(10)
    clock.set_wall(clock.now() - timedelta(hours=1))
    assert schedule.jumped() == pytest.approx(-3600)
    assert hour(schedule.next_us) == "11:02:00"
    assert schedule.jumped() == 0


def test_a_small_correction_is_no_jump():
    clock = SimulatedClock(START)
    schedule = Schedule(clock, 120)
    clock.set_wall(clock.now() - timedelta(seconds=3))
    assert schedule.jumped() == 0
    assert schedule.remaining_s() == pytest.approx(93)
