"""The Observation screen: what it says in each state, what its keys send."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tradingai.engine.core.commands import (
    ApproveObservation,
    Drill,
    ReportObservation,
    StartObservation,
    WriteSnapshot,
)
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.engine.queries.observation_views import (
    NO_OBSERVATION,
    Incident,
    ObservationView,
    StripCell,
    VerdictView,
)
from tradingai.screens.commands import RunChecklist, VerifyDecisions
from tradingai.screens.observation import ObservationScreen
from tradingai.screens.observation_strip import day_marks, shown_cells
from tradingai.screens.overview import OverviewScreen
from tradingai.screens.receipts import checklist_text, verification_text
from tradingai.screens.view import Extent, Selection, View

from tests.fakes import console_observation as story
from tests.fakes.console_home import NOW
from tests.fakes.console_story import empty, full
from tests.screens.conftest import MakeConsole
from tests.screens.test_views import text_of

NARROW, NORMAL, WIDE = Extent(80, 24, 0), Extent(120, 40, 0), Extent(160, 48, 0)
HOUR = timedelta(hours=1)


def shown(seen: ObservationView | None, extent: Extent = NARROW, selection: Selection | None = None) -> View:
    return ObservationScreen.view(None, replace(full(), observation=seen), selection or Selection(), extent)


# -- the headline


def test_the_clock_leads_with_what_holds_and_when_go_may_come():
    page = shown(story.observing())
    assert page.headline.text == "54:04 of 72 h without a break. 3 of 6 criteria hold."
    assert page.context.text == "GO from Thu 06:00Z"
    assert page.ticks, "the clock goes on while nothing else changes"


def test_a_fresh_restart_leads_and_says_what_it_cost():
    page = shown(story.restarted())
    assert page.headline.text == "Clock restarted Wed 11:12:40Z: gap of 412 s"
    assert page.headline.spans[0].ink == "orange+b"
    assert "53:12 h before it do not count." in text_of(page)
    later = replace(story.restarted(), continuous_s=3601.0)
    assert shown(later).headline.text.startswith("1:00 of 72 h")
    assert "× 1 break, Wed 11:05Z" in text_of(shown(later))


def test_a_clock_without_a_loop_stands_and_says_how_it_goes_on():
    page = shown(replace(story.observing(), loop_running=False, counting=False))
    assert page.headline.text == "The clock stands at 54:04 h: the scan loop is off."
    assert "L on Monitor begins it" in text_of(page)
    assert "300 s" in text_of(page)


@pytest.mark.parametrize(
    ("word", "ink", "text"),
    [
        ("GO", "blue+b", "GO: all 6 criteria hold"),
        ("NO-GO", "orange+b", "NO-GO: win rate within ±5 pt of 57.1 %, 49.0 %"),
    ],
)
def test_the_verdict_is_the_headline_with_the_criterion_that_decided(word: str, ink: str, text: str):
    page = shown(story.decided(word))
    assert page.headline.text == text
    assert page.headline.spans[0].ink == ink
    assert page.headline.spans[0].text == word


def test_a_go_by_scaled_criteria_says_so():
    scaled = replace(story.decided("GO"), scaled=story.begun().scaled)
    page = shown(scaled)
    assert page.headline.text == "GO: all 6 criteria hold, by scaled criteria"
    assert "SCALED OBSERVATION_HOURS=0.5 (product: 72)" in text_of(page)


def test_insufficient_names_what_is_missing():
    seen = replace(
        story.observing(), verdict=VerdictView("INSUFFICIENT", "win_rate", "49 trades are missing.")
    )
    assert shown(seen).headline.text == "INSUFFICIENT: win rate within ±5 pt of 57.1 %, 56.2 %"


def test_an_observation_that_cannot_be_read_says_why_and_what_to_do():
    seen = replace(story.observing(), problem=Problem("the database is locked", "Close the other program."))
    page = shown(seen)
    assert page.headline.text == "The observation cannot be read."
    assert "The database is locked." in text_of(page)
    assert "Close the other program." in text_of(page)
    assert page.keys == ()


# -- the strip


def test_the_strip_is_72_cells_or_144_half_hours():
    lines = [line.text for line in shown(story.observing()).slots[0].content]
    assert lines[1].strip() == "■" * 53 + "▪▪" + "·" * 17
    assert lines[2].startswith("   Mon 06Z                 Tue 06Z                 Wed 06Z          Thu 06Z")
    assert "▪ 1 late scan, Wed 11:48Z" in lines[3]
    wide = [line.text for line in shown(story.observing(), WIDE).slots[0].content]
    assert len(wide[1].strip()) == 144
    assert "1 cell = 30 min" in wide[0]


def test_a_strip_that_is_too_long_keeps_the_newest_break_and_the_cell_in_progress():
    cells = story.restarted().hours
    kept = shown_cells(cells, 74)
    assert len(kept) == 74
    assert kept[1].state == "break"
    assert any(one.state == "open" for one in kept)
    long = story.cells(story.BEGAN, NOW, timedelta(minutes=30), 72 * HOUR)
    assert shown_cells(long, 74)[-1].state == "open", "never behind what is going on now"


def test_the_days_of_the_clock_are_marked_and_never_overlap():
    cells = story.cells(story.BEGAN, NOW, HOUR, 72 * HOUR)
    marks = day_marks(cells, story.BEGAN)
    assert marks.split() == ["Mon", "06Z", "Tue", "06Z", "Wed", "06Z", "Thu", "06Z"]
    assert marks.index("Tue") == 24
    assert day_marks(cells[:5], story.BEGAN) == "", "five cells have no room for a label"
    assert day_marks((), story.BEGAN) == ""


def test_what_was_not_in_time_is_counted_whatever_it_was():
    first = story.observing().hours[0]
    incidents = (Incident(first.start, "failed", "timed out"), Incident(first.start, "late", "1.2 s late"))
    strip = (StripCell(first.start, first.end, "late", incidents), *story.observing().hours[1:53])
    text = text_of(shown(replace(story.observing(), hours=strip)))
    assert "▪ 2 scans not in time, Mon 06:00Z" in text


# -- criteria and what stands beside them


def test_the_cursor_begins_where_something_is_to_do_and_shows_its_evidence():
    text = text_of(shown(story.observing()))
    assert "▸ ! win rate within ±5 pt of 57.1 %" in text
    assert "INSUFFICIENT 49 more closed trades; at 4.6 an hour that is about 10:40 h." in text
    drill = Selection(cursors={"criteria": "drill"})
    assert "0 of the twin's 101" in " ".join(text_of(shown(story.observing(), selection=drill)).split())


@pytest.mark.parametrize("extent", [NARROW, NORMAL])
def test_nothing_below_moves_with_the_cursor(extent: Extent):
    rows = set()
    for one in story.observing().criteria:
        page = shown(story.observing(), extent, Selection(cursors={"criteria": one.id}))
        lines = [line.text for line in page.slots[0].content]
        rows.add(next(index for index, line in enumerate(lines) if line.startswith("Snapshots")))
    assert len(rows) == 1


def test_all_six_criteria_fit_below_each_other_at_80_columns():
    text = text_of(shown(story.restarted()))
    for one in story.restarted().criteria:
        assert one.title in text
        assert one.measured in text
        assert one.note in text


def test_the_summary_shows_every_criterion_with_its_evidence_and_command():
    page = shown(story.observing(), Extent(80, 60, 0), Selection(options={"summary": "open"}))
    text = " ".join(text_of(page).split())
    for one in story.observing().criteria:
        assert one.evidence in text
        assert one.command in text


def test_synthetic_candles_are_named_as_such():
    assert "SYNTHETIC, 3 hold, 1 counting, 1 short, 1 open" in text_of(shown(story.observing()))


def test_snapshots_say_what_is_written_due_or_could_not_be():
    text = text_of(shown(story.observing()))
    assert "✓ day2  Wed 06:00Z" in text
    assert "○ day3  Thu 06:00Z     due in 17:55" in text
    assert "no space left on device" in text_of(shown(story.restarted(), NORMAL))


def test_delivery_counts_what_arrived():
    assert "128 of 131" in text_of(shown(story.restarted(), WIDE))
    assert "off: without TELEGRAM_TOKEN" in text_of(shown(story.begun()))


def test_beside_the_backtest_where_there_is_room():
    for extent in (NORMAL, WIDE):
        text = text_of(shown(story.observing(), extent))
        assert "49.8–62.6 %" in text
        assert "−0.9 pt" in text
        assert "23.0 %  of 20.0 %" in text
    assert "tradingai replay --hours 720 --end" in text_of(shown(story.observing(), WIDE))


# -- keys


def keys_of(seen: ObservationView | None, **header) -> set[str]:
    snapshot = replace(full(), observation=seen)
    snapshot = replace(snapshot, header=replace(snapshot.header, **header))
    return {key.key for key in ObservationScreen.view(None, snapshot, Selection(), NARROW).keys}


def test_only_keys_that_would_be_carried_out_are_offered():
    assert {"w", "d", "v", "c", "m"} <= keys_of(story.observing())
    assert "a" not in keys_of(story.observing()), "the others do not hold yet"
    assert "a" in keys_of(replace(story.decided("NO-GO"), criteria=story.criteria(done=True)))
    assert "a" not in keys_of(story.decided("GO")), "one approval is enough"
    assert keys_of(story.observing(), read_only=True) <= {"m", "y", "e"}
    assert keys_of(None) == set()


def test_without_a_live_model_there_is_nothing_to_start():
    page = ObservationScreen.view(None, empty(), Selection(), NARROW)
    assert "o" not in {key.key for key in page.keys}
    assert "No model is live yet" in text_of(page)
    ready = replace(NO_OBSERVATION, promoted=True)
    assert "o" in keys_of(ready)
    assert "It needs 72 h without a break, a promoted model and the scan loop." in " ".join(
        text_of(shown(ready)).split()
    )


async def test_o_starts_an_observation_and_asks_before_it_gives_one_up(console: MakeConsole):
    made = console(replace(full(), observation=replace(NO_OBSERVATION, promoted=True)), screen="observation")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o", "enter")
        await pilot.pause()
        assert [command.anew for command in made.engine.sent if isinstance(command, StartObservation)] == [
            False
        ]
    made = console("full", screen="observation")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o", "enter")
        await pilot.pause()
        assert made.engine.sent == [], "enter alone gives nothing up"
        await pilot.press(*"anew", "enter")
        await pilot.pause()
        assert [command.anew for command in made.engine.sent if isinstance(command, StartObservation)] == [
            True
        ]


async def test_approving_asks_for_go(console: MakeConsole):
    ready = replace(story.decided("NO-GO"), criteria=story.criteria(done=True), verdict=VerdictView())
    made = console(replace(full(), observation=ready), screen="observation")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", *"go", "enter")
        await pilot.pause()
        assert made.engine.sent == [], "GO, as it is written"
        await pilot.press("backspace", "backspace", *"GO", "enter")
        await pilot.pause()
    sent = [command for command in made.engine.sent if isinstance(command, ApproveObservation)]
    assert [command.typed for command in sent] == ["GO"]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["w"], WriteSnapshot),
        (["d", "enter"], Drill),
        (["v"], VerifyDecisions),
        (["c", "enter"], RunChecklist),
        (["m"], ReportObservation),
    ],
)
async def test_a_key_sends_its_command(console: MakeConsole, keys: list[str], kind: type):
    made = console("full", screen="observation")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert [type(command) for command in made.engine.sent] == [kind]


async def test_an_onlooker_reads_the_summary_and_writes_nothing(console: MakeConsole):
    made = console("full", screen="observation", read_only=True)
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        await pilot.pause()
        assert made.engine.sent == []
        screen = made.app.screen
        assert isinstance(screen, ObservationScreen)
        assert screen.selection.option("summary") == "open"
        await pilot.press("escape")
        assert screen.selection.option("summary") == ""


# -- what the work in the background found


def test_what_a_verification_found_is_said_with_its_first_difference():
    good = b'{"identical": 6480, "decisions": 6480, "verified": true, "first_difference": null}'
    assert verification_text(good) == ("6,480 of 6,480 decisions are identical.", "info")
    bad = (
        b'{"identical": 5, "decisions": 6, "verified": false, "first_difference": {"text": "rsi_14 differs"}}'
    )
    assert verification_text(bad) == (
        "5 of 6 decisions are identical; first difference: rsi_14 differs.", "error",
    )  # fmt: skip
    none = b'{"error": {"code": "missing", "message": "no run yet", "remedy": ""}}'
    assert verification_text(none) == ("Decisions could not be verified: No run yet.", "error")
    assert verification_text(b"Traceback")[1] == "error"


def test_what_the_checklist_found_is_said_by_name():
    good = (
        b'{"passed": true, "folder": "reports/checklist/x", "items": [{"title": "rollback", "passed": true}]}'
    )
    assert checklist_text(good) == ("All 1 rehearsals passed; evidence in reports/checklist/x.", "info")
    items = b'[{"title": "rollback", "passed": true}, {"title": "execution costs", "passed": false}]'
    bad = b'{"passed": false, "folder": "f", "items": ' + items + b"}"
    assert checklist_text(bad) == (
        "1 of 2 rehearsals did not pass: execution costs; evidence in f.", "warning",
    )  # fmt: skip
    changed = good.replace(b'true, "folder', b'false, "folder')
    assert checklist_text(changed)[1] == "error", "every item passed, and the live state is not as before"


async def test_a_summary_that_is_go_ends_the_observation_and_asks_first(console: MakeConsole):
    ready = replace(story.decided("GO"), verdict=VerdictView())
    made = console(replace(full(), observation=ready), screen="observation")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        await pilot.pause()
        assert made.engine.sent == []
        await pilot.press("enter")
        await pilot.pause()
        assert [type(command) for command in made.engine.sent] == [ReportObservation]


@pytest.mark.parametrize("screen", ["overview", "monitor"])
async def test_o_starts_an_observation_elsewhere_too(console: MakeConsole, screen: str):
    ready = replace(full(), observation=replace(NO_OBSERVATION, promoted=True))
    made = console(ready, screen=screen)
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o", "enter")
        await pilot.pause()
        assert [type(command) for command in made.engine.sent] == [StartObservation]


async def test_o_and_a_on_the_overview_lead_to_the_clock_that_runs_and_to_the_approval(console: MakeConsole):
    made = console("full", screen="overview")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", "o")
        await pilot.pause()
        assert made.engine.sent == []
        assert made.app.screen.MODE == "observation"
    ready = replace(story.decided("NO-GO"), criteria=story.criteria(done=True), verdict=VerdictView())
    made = console(replace(full(), observation=ready), screen="overview")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", *"GO", "enter")
        await pilot.pause()
        assert [type(command) for command in made.engine.sent] == [ApproveObservation]


def test_an_observation_is_no_step_of_the_pipeline():
    done = tuple(
        replace(phase, state="refused" if phase.id == "go_no_go" else "done") for phase in full().phases
    )
    snapshot = replace(full(), phases=done, jobs=(), evaluations=full().evaluations[:2])
    keys = {key.key for key in OverviewScreen.view(None, snapshot, Selection(), NARROW).keys}
    assert "n" not in keys
    assert "N" not in keys
    text = OverviewScreen.view(None, snapshot, Selection(), NARROW).headline.text
    assert text.endswith("54:04 of 72 h observed.")
