"""The continuous clock, and every way in which time could be counted that was none."""

from datetime import timedelta

import pytest
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.observation_clock import Change

from tests.fakes.beats import RUN, START, begun, facts


def causes(clock):
    return [(one.cause, one.text) for one in clock.restarts]


def test_without_a_heartbeat_nothing_is_counted():
    clock = begun().clock()
    assert (clock.counted_s, clock.restarts, clock.crashes) == (0.0, [], 0)
    assert clock.segment.started_at == START


def test_time_is_counted_between_heartbeats():
    clock = begun().runs(72 * 3600).clock()
    assert clock.counted_s == pytest.approx(72 * 3600)
    assert (clock.restarts, clock.crashes) == ([], 0)


def test_a_gap_of_the_limit_is_none_and_one_second_more_is():
    assert begun().runs(600).passes(300).beat().clock().counted_s == pytest.approx(900)
    clock = begun().runs(600).passes(301).beat().runs(60).clock()
    assert causes(clock) == [("gap", "gap of 301 s")]
    assert clock.counted_s == pytest.approx(60)
    (restart,) = clock.restarts
    assert restart.hours_lost == pytest.approx(600 / 3600)
    assert restart.gap_s == pytest.approx(301)
    assert restart.at == START + timedelta(seconds=901)
    assert clock.crashes == 0


def test_an_unclean_start_is_a_crash_however_fast_it_came():
    clock = begun().runs(3600).passes(2).starts().runs(30).clock()
    assert [one.cause for one in clock.restarts] == ["crash"]
    assert "ended without a word" in clock.restarts[0].text
    assert (clock.crashes, clock.counted_s) == (1, pytest.approx(30))


def test_a_crash_and_a_gap_are_both_named():
    clock = begun().runs(3600).passes(412).starts().clock()
    (restart,) = clock.restarts
    assert restart.cause == "crash"
    assert restart.text.endswith("; gap of 412 s")


def test_a_clean_restart_within_the_gap_pauses_the_clock():
    clock = begun().runs(3600).stops().passes(200).starts().runs(600).clock()
    assert clock.restarts == []
    assert clock.counted_s == pytest.approx(4200), "the pause is no runtime"
    (pause,) = clock.segment.pauses
    assert pause.seconds == pytest.approx(200)


def test_a_clean_stop_that_lasts_too_long_restarts_the_clock():
    clock = begun().runs(3600).stops().passes(301).starts().runs(60).clock()
    assert causes(clock) == [("gap", "gap of 301 s")]
    assert (clock.crashes, clock.counted_s) == (0, pytest.approx(60))


def test_a_suspended_laptop_did_not_run():
    """The clock of the heartbeats goes on while the machine sleeps; the process beats again at once."""
    clock = begun().runs(600).passes(8 * 3600).beat().runs(60).clock()
    assert causes(clock) == [("gap", "gap of 28,800 s")]
    assert clock.counted_s == pytest.approx(60)


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, -7 * 86_400.0])
def test_a_wall_clock_that_is_set_changes_nothing(jump_s):
    clock = begun().runs(3600).passes(30, wall_s=30 + jump_s).beat().runs(3600).clock()
    assert clock.restarts == []
    assert clock.counted_s == pytest.approx(7230)


def test_a_wall_clock_set_back_hides_no_gap():
    clock = begun().runs(3600).passes(4000, wall_s=10).beat().clock()
    assert causes(clock) == [("gap", "gap of 4,000 s")]


def test_no_clock_measures_across_a_reboot():
    clean = begun().runs(3600).stops().passes(60).reboots().starts().runs(60).clock()
    assert [one.cause for one in clean.restarts] == ["reboot"]
    assert (clean.crashes, clean.counted_s, clean.restarts[0].gap_s) == (0, pytest.approx(60), None)
    power_cut = begun().runs(3600).passes(60).reboots().starts().clock()
    assert [one.cause for one in power_cut.restarts] == ["crash"]
    assert "the machine was started anew" in power_cut.restarts[0].text
    assert power_cut.crashes == 1


def test_where_the_system_names_no_start_a_counter_that_went_back_is_a_reboot():
    story = begun()
    story.boot = ""
    story.beats.clear()
    clock = story.beat("started").runs(600).stops().passes(60)
    clock.monotonic_s = 3.0
    found = clock.starts().clock()
    assert [one.cause for one in found.restarts] == ["reboot"]


def test_a_reboot_whose_counter_is_higher_is_still_one():
    story = begun().runs(600).stops()
    story.boot, story.monotonic_s = "boot-2", story.monotonic_s + 50
    assert [one.cause for one in story.starts().clock().restarts] == ["reboot"]


@pytest.mark.parametrize(
    "change",
    [
        Change("model", "lstm_ETH-USD v1.0.0 → v1.1.0"),
        Change("threshold", "threshold 0.75 → 0.8"),
        Change("settings", "costs.spread_bps 12 → 9"),
    ],
)
def test_what_was_decided_with_something_else_counts_anew(change):
    clock = begun().runs(3600).passes(30).beat("scanning", change).runs(120).clock()
    assert causes(clock) == [(change.cause, change.text)]
    assert clock.counted_s == pytest.approx(120)


def test_another_run_names_the_settings_that_changed():
    story = begun().runs(3600).stops().passes(10)
    story.run, story.scans = "live-2", 0
    clock = story.starts().clock(
        facts("live-2", settings_hash="t", settings={"paper_risk_pct": 0.5, "symbols": ["BTC-USD"]})
    )
    assert causes(clock) == [("settings", "PAPER_RISK_PCT 0.25 → 0.5, SYMBOLS – → BTC-USD")]
    assert clock.segment.run_id == "live-2"


def test_settings_that_nobody_kept_are_named_by_their_hash():
    story = begun().runs(60).stops()
    story.run = "live-2"
    old = facts("live-2", settings_hash="0123456789", settings=None)
    assert causes(story.starts().clock(old)) == [("settings", "settings s → 01234567")]


def test_other_measured_costs_change_the_hash_and_no_setting():
    story = begun().runs(60).stops()
    story.run = "live-2"
    clock = story.starts().clock(facts("live-2", settings_hash="t"))
    assert causes(clock) == [("settings", "measured execution costs")]


def test_other_code_and_another_feed_are_named_both():
    story = begun().runs(60).stops()
    story.run = "live-2"
    clock = story.starts().clock(facts("live-2", code_version="d", feed="g"))
    assert causes(clock) == [("code", "code c → d; feed f → g")]


def test_another_scan_interval_is_a_change_of_settings():
    story = begun().runs(600).stops().passes(5)
    story.interval_s = 60.0
    assert causes(story.starts().clock()) == [("settings", "scan interval 120 → 60 s")]


def test_a_stretch_knows_its_scans():
    story = begun().runs(3600).passes(400).beat().runs(600)
    clock = story.clock()
    assert (clock.broken[0].after_scan, clock.broken[0].last_scan) == (0, 30)
    assert (clock.segment.after_scan, clock.segment.last_scan) == (33, 38)
    assert clock.segment.beat == 122
    assert parse_iso(clock.segment.last_at) == story.now


def test_the_same_beats_give_the_same_clock_whenever_they_are_read():
    story = begun().runs(900).passes(500).starts().runs(900).stops().passes(20).starts().runs(90)
    whole, known = story.clock(), {RUN: facts()}
    for cut in (1, 17, 31, 40, len(story.beats)):
        part = type(whole)(300.0, known)
        for beat, changes in story.beats[:cut]:
            part.add(beat, changes)
        for beat, changes in story.beats[cut:]:
            part.add(beat, changes)
        assert (part.counted_s, part.restarts, part.crashes) == (
            whole.counted_s, whole.restarts, whole.crashes,
        )  # fmt: skip
