"""The six criteria and the verdict, at their limits."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tradingai.engine.queries.observation_criteria import (
    ClockFacts,
    DeliveryFacts,
    Demands,
    DrillFacts,
    Facts,
    decide,
    final,
    judge,
    missing_words,
)
from tradingai.engine.queries.observation_facts import scaled
from tradingai.engine.queries.observation_views import (
    CRITERIA,
    ApprovalView,
    BaselineView,
    ObservedView,
    Restart,
    hours_words,
)

NOW = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
PRODUCT = Demands(hours=72, min_trades=300, win_rate_margin=0.05, win_rate_drop=0.10, tier_margin=0.05)
BASE = BaselineView(
    run="replay-1", start=NOW, end=NOW, trades=1892, win_rate=0.571,
    tiers={"high": 0.57, "medium": 0.19, "low": 0.17, "none": 0.07}, scored=38_160, threshold=0.75,
    interval_s=120, models={}, synthetic=True, command="tradingai replay --hours 424 --end T",
)  # fmt: skip
SEEN = ObservedView(
    trades=312, wins=175, win_rate=0.5609, low=0.50, high=0.62, method="Wilson", trades_per_hour=4.3,
    tiers={"high": 0.60, "medium": 0.18, "low": 0.16, "none": 0.06}, scored=6480,
)  # fmt: skip
DRILL = {
    "held": True, "run": "drill-1", "failures": [], "emitted_after": 0, "twin_emitted": 31,
    "positions_closed": 1,
}  # fmt: skip
GOOD = Facts(
    demands=PRODUCT,
    clock=ClockFacts(counted_s=72 * 3600, counting=True, since=NOW),
    observed=SEEN,
    delivery=DeliveryFacts(signals=251, delivered=251, p95_s=1.9, configured=True),
    drill=DrillFacts(NOW, DRILL),
    baseline=BASE,
    approvals=(ApprovalView(NOW, "operator", "cli", "GO", 72.0, counts=True),),
)


def one(facts, name):
    return next(found for found in judge(facts) if found.id == name)


def state(facts, name):
    return one(facts, name).state


def test_all_six_hold_and_it_is_go():
    criteria = judge(GOOD)
    assert tuple(found.id for found in criteria) == CRITERIA
    assert {found.state for found in criteria} == {"holds"}
    assert (decide(criteria).word, final(criteria).word, decide(criteria).decided_by) == ("GO", "GO", None)
    assert missing_words(criteria) == ""


def test_the_wireframes_words():
    clock = ClockFacts(counted_s=54 * 3600 + 4 * 60, counting=True, since=NOW)
    observed = replace(SEEN, trades=251, missing_trades=49, trades_per_hour=4.6, missing_s=49 / 4.6 * 3600)
    facts = replace(GOOD, clock=clock, observed=observed, approvals=())
    criteria = judge(facts)
    found = {item.id: (item.title, item.measured, item.note, item.state) for item in criteria}
    assert found["continuous"] == (
        "72 h continuous, zero crashes", "54:04 of 72:00", "0 crashes", "counting",
    )  # fmt: skip
    assert found["drill"] == (
        "guard held in a simulated breach", "Thu 06:00Z", "0 emitted after", "holds",
    )  # fmt: skip
    assert found["delivery"] == (
        "every high-tier signal delivered", "251 of 251", "p95 1.9 s", "holds",
    )  # fmt: skip
    assert found["win_rate"] == ("win rate within ±5 pt of 57.1 %", "56.1 %", "251 of 300 trades", "short")
    assert found["tiers"] == ("tiers within ±5 pt", "worst 3.0 pt", "high tier", "holds")
    assert found["approval"] == ("operator approval", "none yet", "", "open")
    assert one(facts, "win_rate").evidence == "49 more closed trades; at 4.6 an hour that is about 10:39 h"
    assert missing_words(criteria) == "18 h of runtime, win rate, operator approval"
    assert decide(criteria).word == ""
    assert (final(criteria).word, final(criteria).decided_by) == ("NO-GO", "continuous")


@pytest.mark.parametrize(
    ("counted_s", "expected"), [(72 * 3600 - 1, "counting"), (72 * 3600, "holds"), (80 * 3600, "holds")]
)
def test_the_clock_is_full_at_its_hours(counted_s, expected):
    assert state(replace(GOOD, clock=replace(GOOD.clock, counted_s=counted_s)), "continuous") == expected


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({"counting": False, "counted_s": 60.0}, "open", "does not run"),
        ({"died": True, "counting": False}, "failed", "ended without a word"),
        ({"silent_s": 412.0, "counting": False, "counted_s": 60.0}, "open", "no heartbeat for 412 s"),
        ({"silent_s": 412.0, "counting": False}, "holds", "monotonic clock"),
        ({"simulated": True}, "open", "this needs real time"),
    ],
)
def test_a_clock_that_does_not_count_says_why(changes, expected, words):
    found = one(replace(GOOD, clock=replace(GOOD.clock, **changes)), "continuous")
    assert found.state == expected
    assert words in found.evidence


def test_restarts_are_in_the_evidence_and_in_the_verdict():
    restart = Restart(NOW, "gap", "gap of 412 s", 45.2, 412.0)
    clock = ClockFacts(counted_s=60, counting=True, since=NOW, crashes=1, restarts=(restart,))
    criteria = judge(replace(GOOD, clock=clock))
    assert (
        "restarted once: Thu 05 Mar 06:00:00Z (gap: gap of 412 s; 45.20 h given up)" in criteria[0].evidence
    )
    assert criteria[0].note == "1 crash"
    assert "gap of 412 s" in final(criteria).text


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"win_rate": 0.621, "low": 0.56}, "holds"),
        ({"win_rate": 0.6211, "low": 0.56}, "failed"),
        ({"win_rate": 0.521, "low": 0.4711}, "holds"),
        ({"win_rate": 0.521, "low": 0.471}, "failed"),
        ({"win_rate": 0.5209, "low": 0.48}, "failed"),
        ({"trades": 300}, "holds"),
        ({"trades": 299}, "insufficient"),
    ],
)
def test_the_win_rate_at_its_limits(observed, expected):
    assert state(replace(GOOD, observed=replace(SEEN, **observed)), "win_rate") == expected


def test_too_few_trades_are_insufficient_and_never_go():
    criteria = judge(replace(GOOD, observed=replace(SEEN, trades=299)))
    assert (decide(criteria).word, decide(criteria).decided_by) == ("INSUFFICIENT", "win_rate")
    assert final(criteria).word == "INSUFFICIENT"
    counting = replace(GOOD, clock=replace(GOOD.clock, counted_s=3600), observed=replace(SEEN, trades=299))
    assert state(counting, "win_rate") == "short"
    assert final(judge(counting)).word == "NO-GO"


def test_what_is_refused_outweighs_what_is_too_little():
    tiers = {**SEEN.tiers, "high": 0.70, "none": 0.0}
    criteria = judge(replace(GOOD, observed=replace(SEEN, trades=299, tiers=tiers)))
    assert (decide(criteria).word, decide(criteria).decided_by) == ("NO-GO", "tiers")


@pytest.mark.parametrize(
    ("tiers", "expected", "measured", "note"),
    [
        ({"high": 0.62, "medium": 0.19, "low": 0.14, "none": 0.05}, "holds", "worst 5.0 pt", "high tier"),
        ({"high": 0.63, "medium": 0.19, "low": 0.13, "none": 0.05}, "failed", "worst 6.0 pt", "high tier"),
        (
            {"high": 0.55, "medium": 0.19, "low": 0.13, "none": 0.13},
            "failed",
            "worst 6.0 pt",
            "below the tiers",
        ),
        ({"high": 0.55, "medium": 0.26, "low": 0.19}, "failed", "worst 7.0 pt", "medium tier"),
    ],
)
def test_the_tiers_at_their_limits(tiers, expected, measured, note):
    found = one(replace(GOOD, observed=replace(SEEN, tiers=tiers)), "tiers")
    assert (found.state, found.measured, found.note) == (expected, measured, note)


def test_the_first_decisions_are_too_few_to_refuse_shares():
    off = {"high": 1.0}
    facts = replace(GOOD, observed=replace(SEEN, tiers=off, scored=299))
    assert state(facts, "tiers") == "insufficient"
    counting = replace(facts, clock=replace(GOOD.clock, counted_s=3600))
    assert (state(counting, "tiers"), one(counting, "tiers").evidence) == (
        "short",
        "299 of 300 scored decisions",
    )
    assert state(replace(GOOD, observed=replace(SEEN, tiers=off, scored=300)), "tiers") == "failed"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"delivered": 250, "lost": 1}, "failed"),
        ({"delivered": 250}, "counting"),
        ({"signals": 0, "delivered": 0}, "insufficient"),
        ({"configured": False, "delivered": 0}, "open"),
    ],
)
def test_every_signal_has_to_arrive(changes, expected):
    assert state(replace(GOOD, delivery=replace(GOOD.delivery, **changes)), "delivery") == expected


def test_a_drill_that_failed_or_was_of_something_else_does_not_hold():
    failed = {**DRILL, "held": False, "emitted_after": 2, "failures": ["2 signals were emitted"]}
    found = one(replace(GOOD, drill=DrillFacts(NOW, failed)), "drill")
    assert (found.state, found.note) == ("failed", "2 emitted after")
    assert "2 signals were emitted" in found.evidence
    assert state(replace(GOOD, drill=DrillFacts(NOW, DRILL, "other models")), "drill") == "open"
    assert state(replace(GOOD, drill=None), "drill") == "open"


def test_an_approval_from_before_a_restart_does_not_count():
    stale = replace(GOOD.approvals[0], counts=False)
    found = one(replace(GOOD, approvals=(stale,)), "approval")
    assert (found.state, found.evidence) == ("open", "the one of Thu 06:00Z ended with the clock's restart")
    verdict = final(judge(replace(GOOD, approvals=(stale,))))
    assert (verdict.word, verdict.decided_by) == ("NO-GO", "approval")


def test_a_baseline_of_something_else_is_none():
    facts = replace(GOOD, baseline_unfit="the baseline was made with other models")
    assert (state(facts, "win_rate"), state(facts, "tiers")) == ("open", "open")
    assert state(replace(GOOD, baseline=replace(BASE, win_rate=None)), "win_rate") == "open"
    assert state(replace(GOOD, baseline=None), "tiers") == "open"


def test_a_replay_leaves_open_what_needs_real_time():
    criteria = judge(replace(GOOD, replay=True))
    assert [found.id for found in criteria if found.state == "open"] == [
        "continuous", "drill", "delivery", "approval",
    ]  # fmt: skip
    assert final(criteria).word == "NO-GO"


def test_scaled_settings_are_named_with_the_products_value():
    product = {
        "observation_hours": 72, "observation_max_gap_s": 300, "observation_min_trades": 300,
        "observation_win_rate_margin_pct": 5, "observation_win_rate_drop_pct": 10,
        "observation_tier_margin_pct": 5,
    }  # fmt: skip
    assert scaled(product, 120.0) == ()
    found = scaled({**product, "observation_hours": 0.03}, 2.0)
    assert [item.text for item in found] == [
        "OBSERVATION_HOURS=0.03 (product: 72)", "SCAN_INTERVAL_S=2 (product: 120)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00:00"), (108.9, "0:01:48"), (3600, "1:00"), (194_699, "54:04")]
)
def test_hours_are_rounded_down(seconds, words):
    assert hours_words(seconds) == words
