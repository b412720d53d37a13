"""The injected clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tradingai.engine.core.clock import RealClock, SimulatedClock

START = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)


def test_a_simulated_clock_moves_only_when_told_to():
    clock = SimulatedClock(START)
    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    clock.advance(90.5)
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=90.5), 90.5)


def test_its_times_are_utc_whatever_zone_it_started_in():
    prague = timezone(timedelta(hours=1))
    clock = SimulatedClock(datetime(2025, 11, 10, 2, 7, tzinfo=prague))
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_it_refuses_naive_times_and_going_back():
    with pytest.raises(ValueError, match="aware"):
        SimulatedClock(datetime(2025, 1, 1))  # noqa: DTZ001 - the refusal is the test
    with pytest.raises(ValueError, match="advanced"):
        SimulatedClock(START).advance(-1)


async def test_sleepers_wake_in_the_order_of_their_times():
    clock, woken = SimulatedClock(START), []

    async def sleeper(name, seconds):
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(*item)) for item in (("late", 20), ("first", 5), ("second", 5.5))]
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    clock.advance(4.9)
    await asyncio.sleep(0)
    assert woken == []
    clock.advance(1)
    await asyncio.gather(*tasks[1:])
    assert woken == ["first", "second"]
    clock.advance(100)
    await tasks[0]
    assert woken == ["first", "second", "late"]


async def test_a_cancelled_sleeper_does_not_disturb_the_others():
    clock = SimulatedClock(START)
    tasks = [asyncio.create_task(clock.sleep(1)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    clock.advance(1)
    await tasks[1]
    assert tasks[0].cancelled()


async def test_no_time_is_no_sleep():
    await SimulatedClock(START).sleep(0)
    await RealClock().sleep(-1)


def test_a_wall_clock_step_leaves_monotonic_time_alone():
    clock = SimulatedClock(START)
    clock.advance(10)
    clock.set_wall(START - timedelta(hours=1))
    assert (clock.now(), clock.monotonic()) == (START - timedelta(hours=1), 10.0)


def test_the_real_clock_is_aware_utc_and_monotonic():
    clock = RealClock()
    assert clock.now().utcoffset() == timedelta(0)
    first = clock.monotonic()
    assert clock.monotonic() >= first
