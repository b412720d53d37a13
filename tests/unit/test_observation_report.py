"""The document of an observation, its Markdown, its days, its phases, and duties between scans."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import UpkeepFailed
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.queries.observation_criteria import judge
from tradingai.engine.queries.observation_days import day_name, days_over, parse_day
from tradingai.engine.queries.observation_report import as_markdown, observation_document, verdict_lines
from tradingai.engine.queries.observation_views import (
    NO_OBSERVATION,
    ApprovalView,
    DeliveryView,
    ObservationView,
    Restart,
    ScaledSetting,
    VerdictView,
)
from tradingai.engine.queries.phase_views import PhaseFacts, phase_views
from tradingai.engine.queries.phases import Facts as PipelineFacts
from tradingai.engine.queries.phases import phases
from tradingai.engine.queries.status import observation_summary
from tradingai.engine.runtime.observation_upkeep import Duties
from tradingai.engine.store.observation_rows import ObservationRow

from tests.unit.test_observation_criteria import BASE, GOOD, NOW, SEEN

START = datetime(2026, 3, 2, 6, 0, 12, tzinfo=UTC)
VIEW = ObservationView(
    state="running",
    id="observation-1",
    started_at=START,
    by="operator, cli",
    required_hours=72,
    continuous_s=54 * 3600 + 240,
    clock_started_at=START,
    counting=True,
    go_not_before=START + timedelta(hours=72),
    criteria=judge(replace(GOOD, approvals=(), clock=replace(GOOD.clock, counted_s=54 * 3600 + 240))),
    restarts=(Restart(START, "gap", "gap of 412 s", 45.2, 412.0),),
    baseline=BASE,
    observed=SEEN,
    delivery=DeliveryView(total=131, delivered=131, p50_s=0.7, p95_s=1.9, repeats=1, configured=True),
    approvals=(ApprovalView(START, "operator", "cli", "GO", 72.1, counts=False),),
)


def test_markdown_is_made_of_the_document_alone():
    document = observation_document(VIEW, NOW, day="day3")
    text = as_markdown(json.loads(dumps(document)))
    assert text == as_markdown(document)
    for words in (
        "# day3: so far: NO-GO", "54:04 of 72:00 h", "| win rate | 57.1 % | 56.1 % | -1.0 pt |",
        "| high tier | 57.0 % | 60.0 % | +3.0 pt |", "gap, gap of 412 s; 45.20 h before it do not count",
        "131 of 131 alerts delivered; p50 0.7 s, p95 1.9 s; 1 repeats, 0 dead letters.",
        "operator (cli) typed GO at 72.10 h (does not count: the clock was restarted after it)",
        "Again: `tradingai replay --hours 424 --end T`", "SYNTHETIC candles",
    ):  # fmt: skip
        assert words in text, text


def test_a_scaled_report_lists_every_setting():
    scaled = (ScaledSetting("OBSERVATION_HOURS", 0.03, 72), ScaledSetting("SCAN_INTERVAL_S", 2, 120))
    view = replace(VIEW, scaled=scaled, criteria=judge(GOOD))
    document = observation_document(view, NOW)
    assert (document["labels"], document["verdict"]["word"]) == (["SCALED"], "SCALED GO")
    text = as_markdown(document)
    assert text.startswith("# Observation: SCALED GO\n")
    assert "`OBSERVATION_HOURS=0.03 (product: 72)`, `SCAN_INTERVAL_S=2 (product: 120)`" in text
    assert verdict_lines(document)[0] == "SCALED GO: all six criteria hold"


def test_an_ended_observation_keeps_its_verdict():
    view = replace(VIEW, state="ended", verdict=VerdictView("GO", None, "all six criteria hold"))
    assert observation_document(view, NOW)["verdict"]["word"] == "GO"


@pytest.mark.parametrize(("text", "day"), [("day0", 0), ("day5", 5), ("day12", 12)])
def test_days_have_names(text, day):
    assert (parse_day(text), day_name(day)) == (day, text)


@pytest.mark.parametrize("text", ["", "day", "1", "day-1", "day1000", "Day1", "day٣", "day1.5"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(UsageError, match="is no day of an observation"):
        parse_day(text)


@pytest.mark.parametrize(("hours", "day"), [(-5, 0), (0, 0), (23.99, 0), (24, 1), (120, 5)])
def test_a_day_is_over_after_24_hours(hours, day):
    row = ObservationRow("o", START, 0, "a", "cli", {}, {})
    assert days_over(row, START + timedelta(hours=hours)) == day


def lines(view):
    """Observation and GO / NO-GO as the Overview shows them, and as ``status`` does."""
    found = phases(PipelineFacts(coins=("BTC-USD",), observation=view))
    shown = phase_views(found, PhaseFacts((), (), (), (), (), view))
    return {
        phase.id: (phase.state, view_.result, phase.detail)
        for phase, view_ in zip(found, shown, strict=True)
        if phase.id in {"observation", "go_no_go"}
    }


def test_the_phases_of_an_observation_that_runs():
    found = lines(VIEW)
    assert found["observation"] == (
        "running", "of 72:00 h, GO not before Thu 06:00Z", "54:04 of 72:00 h, GO not before Thu 06:00Z",
    )  # fmt: skip
    assert found["go_no_go"] == (
        "waiting",
        "18 h of runtime, operator approval",
        "18 h of runtime, operator approval",
    )


def test_the_phases_before_and_after():
    assert {name: state for name, (state, _, _) in lines(NO_OBSERVATION).items()} == {
        "observation": "waiting", "go_no_go": "waiting",
    }  # fmt: skip
    idle = replace(VIEW, counting=False, go_not_before=None)
    assert lines(idle)["observation"] == (
        "waiting", "of 72:00 h, no scan loop runs", "54:04 of 72:00 h, the scan loop does not run",
    )  # fmt: skip
    full = replace(VIEW, continuous_s=72 * 3600.0, criteria=judge(replace(GOOD, approvals=())))
    assert lines(full)["observation"][0] == "done"
    assert lines(full)["go_no_go"][2] == "operator approval"
    refused = replace(full, verdict=VerdictView("NO-GO", "tiers", "tiers within ±5 pt: worst 7.0 pt."))
    assert lines(refused)["go_no_go"][:1] == ("refused",)
    done = replace(full, state="ended", ended_at=NOW, verdict=VerdictView("GO", None, "all six"))
    assert {name: state for name, (state, _, _) in lines(done).items()} == {
        "observation": "done", "go_no_go": "done",
    }  # fmt: skip


def test_status_has_the_numbers():
    found = observation_summary(VIEW)
    assert (found["state"], found["hours"], found["required_hours"]) == (
        "running",
        pytest.approx(54.067, abs=1e-3),
        72,
    )
    assert found["criteria"]["win_rate"] == {"state": "holds", "measured": "56.1 %"}
    assert (found["restarts"], found["holding"], found["go_not_before"]) == (1, 4, "2026-03-05T06:00:12Z")


async def test_a_duty_that_fails_keeps_no_other_from_its_turn_and_is_told_once():
    made, broken = [], True

    async def first():
        if broken:
            raise OSError("no room")
        return ()

    async def second():
        made.append(1)
        return ()

    duties = Duties({"first": first, "second": second})
    told = [event for _ in range(3) for event in await duties()]
    assert told == [UpkeepFailed(what="first", reason="OSError: no room")]
    assert len(made) == 3
    broken = False
    assert list(await duties()) == []
    broken = True
    assert len(await duties()) == 1
