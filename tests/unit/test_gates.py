"""Each gate alone: a report that passes everything is changed in one place."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.report import CheckResult, Interval
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.gates import Thresholds, decide

from tests.fakes.evaluations import CLEAN, calibrated, decided, gates, wave_close


@pytest.fixture(scope="module")
def good():
    """A calibrated model that is right 77 % of the time on thirty days."""
    close, _ = wave_close()
    labels = direction_labels(close)
    mixture = np.random.default_rng(5).choice([0.6, 0.7, 0.85], len(labels), p=[0.2, 0.25, 0.55])
    return decided(calibrated(mixture, labels), close)


def again(report, thresholds=None, **changes):
    changed = replace(report, **changes)
    return {gate.id: gate for gate in decide(changed, thresholds or Thresholds())}


def tier(report, name, **changes):
    return tuple(replace(item, **changes) if item.name == name else item for item in report.tiers)


def test_the_good_report_passes_and_every_gate_shows_what_it_looked_at(good):
    assert good.passed
    assert good.promotable
    for gate in good.gates:
        assert gate.passed
        assert gate.detail
        assert gate.to_pass == ""
        assert gate.margin >= 0.0


def test_accuracy_at_the_threshold_passes_and_below_it_does_not(good):
    assert again(good, accuracy=0.68)["accuracy"].passed
    gate = again(good, accuracy=0.6794)["accuracy"]
    assert not gate.passed
    assert gate.margin == pytest.approx(-0.0006)
    assert gate.to_pass == "accuracy on the test range must rise by 0.1 pt, to 68.0 %"


def test_a_hair_below_is_never_shown_as_nothing(good):
    assert "by 0.0006 pt" in again(good, accuracy=0.68 - 6e-6)["accuracy"].to_pass


def test_tighter_thresholds_decide_and_are_not_exploratory(good):
    tight = Thresholds(min_accuracy=0.9)
    assert not tight.exploratory
    assert not again(good, tight)["accuracy"].passed


@pytest.mark.parametrize("looser", [{"min_accuracy": 0.6799}, {"max_calibration_error": 0.0501}])
def test_looser_thresholds_are_exploratory_and_never_promotable(looser):
    close, _ = wave_close()
    labels = direction_labels(close)
    report = decided(calibrated(0.85, labels), close, thresholds=Thresholds(**looser))
    assert report.passed
    assert report.exploratory
    assert not report.promotable


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_accuracy": 68.0},
        {"min_accuracy": float("nan")},
        {"max_calibration_error": -0.1},
        {"confidence": 0.4},
    ],
)
def test_thresholds_are_fractions(wrong):
    with pytest.raises(UsageError, match="not between"):
        Thresholds(**wrong)


def test_calibration_takes_the_worse_of_mae_and_high_gap(good):
    gate = again(good, tiers=tier(good, "high", hit_rate=0.78, confidence=0.85), tier_mae=0.061)[
        "calibration"
    ]
    assert not gate.passed
    assert gate.measure == "high tier gap"
    assert gate.value == pytest.approx(0.07)
    assert "high tier says 85.0 % and hits 78.0 %: over-confident by 7.0 pt" in gate.detail
    assert gate.to_pass == "the high tier's gap must shrink by 2.0 pt and the tier MAE by 1.1 pt".replace(
        "MAE by", "MAE must shrink by"
    )


def test_high_tier_gap_alone_refuses(good):
    gate = again(good, tiers=tier(good, "high", hit_rate=0.79, confidence=0.85), tier_mae=0.02)["calibration"]
    assert not gate.passed
    assert "MAE" not in gate.to_pass


def test_an_under_confident_high_tier_is_refused_too(good):
    gate = again(good, tiers=tier(good, "high", hit_rate=0.92, confidence=0.85), tier_mae=0.02)["calibration"]
    assert not gate.passed
    assert "under-confident by 7.0 pt" in gate.detail


def test_tier_mae_alone_refuses(good):
    gate = again(good, tier_mae=0.0501)["calibration"]
    assert (gate.passed, gate.measure) == (False, "tier MAE")


def test_no_tier_that_counts_fails_and_says_so(good):
    gate = again(good, tier_mae=None)["calibration"]
    assert (gate.passed, gate.value, gate.margin) == (False, None, None)
    assert "no confidence tier holds enough bars" in gate.detail


def test_a_high_tier_too_small_to_judge_fails_and_says_so(good):
    gate = again(good, tiers=tier(good, "high", counts=False, n=999))["calibration"]
    assert not gate.passed
    assert "the high tier cannot be judged" in gate.detail
    assert "high 999 bars" in gate.detail


def test_leakage_names_the_failed_check_and_who_is_accused(good):
    failed = CheckResult("single_feature", False, "f1 98.0 % alone", accused=("f1",))
    gate = again(good, leakage=(*CLEAN[:5], failed, CLEAN[6]))["leakage"]
    assert (gate.passed, gate.value, gate.threshold, gate.margin) == (False, 6.0, 7.0, -1.0)
    assert "single feature failed: f1 98.0 % alone" in gate.detail
    assert "f1" in gate.to_pass


def test_leakage_refuses_a_check_that_could_not_run_and_says_so(good):
    stopped = CheckResult("shuffled_labels", True, "too few rows", ran=False)
    gate = again(good, leakage=(*CLEAN[:4], stopped, *CLEAN[5:]))["leakage"]
    assert not gate.passed
    assert "shuffled labels could not run: too few rows" in gate.detail


def test_leakage_refuses_a_check_that_is_absent_and_says_so(good):
    gate = again(good, leakage=CLEAN[:-1])["leakage"]
    assert not gate.passed
    assert "truncated inference was not run" in gate.detail


def test_significance_shows_the_worst_baseline_and_refuses_at_zero(good):
    worst = min(good.baselines, key=lambda item: item.interval.lo)
    assert worst.name in gates(good)["significance"].detail
    touching = replace(worst, interval=replace(worst.interval, lo=0.0))
    others = tuple(item for item in good.baselines if item is not worst)
    gate = again(good, baselines=(*others, touching))["significance"]
    assert not gate.passed
    assert worst.name in gate.to_pass


def test_significance_with_too_few_days_refuses_and_says_why():
    close, _ = wave_close(days=14)
    report = decided(calibrated(0.85, direction_labels(close)), close)
    gate = gates(report)["significance"]
    assert not gate.passed
    assert "14 test days are too few" in gate.detail
    assert "at least 100 days" in gate.to_pass
    assert not report.passed


def test_a_high_attempt_number_can_turn_a_pass_into_a_refusal(good):
    narrow = Interval(0.001, 0.1, 0.03, 30)
    wide = Interval(-0.001, 0.102, 0.0001, 30)
    barely = tuple(replace(item, interval=narrow) for item in good.baselines)
    later = tuple(replace(item, interval=wide) for item in good.baselines)
    assert again(good, baselines=barely)["significance"].passed
    assert not again(good, baselines=later, attempt=20)["significance"].passed


def test_sample_needs_a_hundred(good):
    gate = again(good, coverage=replace(good.coverage, non_overlapping=99))["sample"]
    assert (gate.passed, gate.value, gate.threshold, gate.margin) == (False, 99.0, 100.0, -1.0)
    assert "1 more non-overlapping predictions" in gate.to_pass


def test_sample_needs_sixty_per_cent_of_the_days(good):
    seen = replace(good.coverage, days=17, test_days=30)
    assert not again(good, coverage=seen)["sample"].passed
    assert again(good, coverage=replace(seen, days=18))["sample"].passed


def test_sample_refuses_a_day_with_more_than_a_fifth(good):
    seen = replace(good.coverage, busiest_share=0.201, busiest_day=date(2025, 10, 3))
    gate = again(good, coverage=seen)["sample"]
    assert not gate.passed
    assert "2025-10-03" in gate.to_pass
    assert again(good, coverage=replace(seen, busiest_share=0.2))["sample"].passed


def test_passed_needs_every_gate(good):
    assert not replace(good, gates=good.gates[:-1]).passed
    assert not replace(good, gates=()).passed
