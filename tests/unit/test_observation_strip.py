"""The heartbeat strip: whole, late, break, in progress, to come."""

from datetime import timedelta

import pytest
from tradingai.engine.queries.observation_strip import strip
from tradingai.engine.queries.observation_views import HALF_HOUR_S, HOUR_S, Incident

from tests.fakes.beats import START, begun

HOUR = timedelta(hours=1)
SIGNS = {"whole": "■", "late": "▪", "break": "×", "open": "o", "to_come": "·"}


def signs(story, *incidents, required_h=72, cell_s=HOUR_S):
    found = cells(story, *incidents, required_h=required_h, cell_s=cell_s)
    return "".join(SIGNS[cell.state] for cell in found)


def cells(story, *incidents, required_h=72, cell_s=HOUR_S):
    clock = story.clock()
    return strip(
        clock.broken, clock.restarts, clock.segment, incidents, required_s=required_h * 3600, cell_s=cell_s
    )


@pytest.mark.parametrize(("cell_s", "count"), [(HOUR_S, 72), (HALF_HOUR_S, 144)])
def test_before_anything_it_is_all_to_come(cell_s, count):
    found = cells(begun(), cell_s=cell_s)
    assert len(found) == count
    assert {cell.state for cell in found[1:]} == {"to_come"}
    assert found[0].start == START
    assert found[-1].end == START + 72 * HOUR


def test_whole_hours_the_one_in_progress_and_what_is_to_come():
    assert signs(begun().runs(54 * 3600 + 240)) == "■" * 54 + "o" + "·" * 17


def test_a_late_scan_marks_its_hour_and_tells():
    late = Incident(START + 53 * HOUR + timedelta(minutes=48), "late", "1.2 s late")
    now = Incident(START + 54 * HOUR + timedelta(minutes=1), "failed", "disk full")
    story = begun().runs(54 * 3600 + 240)
    assert signs(story, late, now) == "■" * 53 + "▪▪" + "·" * 17
    assert cells(story, late, now)[53].incidents == (late,)


def test_a_break_ends_its_cell_where_the_clock_begins_anew():
    story = begun().runs(45 * 3600 + 720).passes(412).beat().runs(2 * 3600)
    found = cells(story)
    assert signs(story) == "■" * 45 + "×" + "■■o" + "·" * 69
    assert found[45].end == found[46].start == story.clock().restarts[0].at
    assert [one.kind for one in found[45].incidents] == ["break"]
    assert found[45].incidents[0].text == "gap of 412 s"


def test_a_clean_restart_is_something_late():
    story = begun().runs(600).stops().passes(40).starts().runs(3600)
    (pause,) = cells(story)[0].incidents
    assert pause.text == "clean restart, 40 s not counted"
    assert signs(story, required_h=2) == "▪o·"


def test_a_full_clock_has_nothing_to_come():
    assert signs(begun().runs(2 * 3600 + 600), required_h=2) == "■■o"
    assert signs(begun().runs(3 * 3600), required_h=2) == "■■■"
