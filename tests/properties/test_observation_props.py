"""Whatever happens to a loop and to its clocks, no time is counted that did not pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.queries.observation_clock import Change

from tests.fakes.beats import begun

seconds = st.floats(0, 5000, allow_nan=False)
wall = st.floats(-90_000, 90_000, allow_nan=False)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("beat"), seconds, wall),
        st.tuples(st.just("stop and start"), seconds, wall),
        st.tuples(st.just("crash"), seconds, wall),
        st.tuples(st.just("reboot"), seconds, wall),
        st.tuples(st.just("change"), seconds, wall),
    ),
    max_size=40,
)


def told(steps):
    """The story, the restarts it must have, and the longest stretch of real time between two of them."""
    story, restarts, crashes, since, longest = begun(), 0, 0, 0.0, []
    for what, passed, offset in steps:
        if what == "stop and start":
            story.stops()
        story.passes(passed, wall_s=offset)
        if what == "reboot":
            story.reboots()
        changes = [Change("model", "another")] if what == "change" else []
        if what in {"beat", "change"}:
            story.beat("scanning", *changes)
        else:
            story.starts()
        crashes += what in {"crash", "reboot"}
        if what in {"crash", "reboot", "change"} or passed > 300:
            restarts += 1
            since = story.elapsed_s
        longest.append(story.elapsed_s - since)
    return story, restarts, crashes, longest[-1] if longest else 0.0


@given(STEPS)
def test_counted_time_never_exceeds_what_really_passed_since_the_last_break(steps):
    story, restarts, crashes, real_s = told(steps)
    clock = story.clock()
    assert 0.0 <= clock.counted_s <= real_s + 1e-6
    assert len(clock.restarts) == len(clock.broken) == restarts
    assert clock.crashes == crashes
    lost = sum(one.hours_lost for one in clock.restarts)
    assert 3600 * lost + clock.counted_s <= story.elapsed_s + 1e-6


@given(STEPS)
def test_without_a_stop_all_that_passed_since_the_last_break_is_counted(steps):
    story, _restarts, _crashes, real_s = told([step for step in steps if step[0] != "stop and start"])
    assert story.clock().counted_s == pytest.approx(real_s, abs=1e-6)
