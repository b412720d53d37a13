"""Metrics against numbers computed by hand."""

import math

import numpy as np
import pytest
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.evaluation.assess import assess
from tradingai.engine.evaluation.baselines import baseline_directions, majority_up
from tradingai.engine.evaluation.metrics import (
    Scored,
    brier,
    coverage,
    expected_calibration_error,
    log_loss,
    month_accuracy,
    oracle_line,
    reliability,
    score,
    session_accuracy,
)
from tradingai.engine.evaluation.tiers import non_overlapping, tier_mae, tier_table
from tradingai.engine.gates import Thresholds

from tests.fakes.evaluations import START, SUBJECT, decided, judged


def scored(probability, up, ts=None):
    n = len(probability)
    return Scored(
        np.arange(n) * MINUTE_US if ts is None else np.asarray(ts),
        np.asarray(probability, dtype=np.float64),
        np.asarray(up, dtype=bool),
    )


FOUR = scored([0.9, 0.6, 0.2, 0.5], [True, False, False, True])


def test_direction_and_confidence():
    assert FOUR.right.tolist() == [True, False, True, True]
    assert FOUR.confidence.tolist() == [0.9, 0.6, 0.8, 0.5]


def test_log_loss_by_hand():
    assert log_loss(FOUR) == pytest.approx(
        -(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.5)) / 4
    )


def test_log_loss_of_certain_and_wrong_is_finite():
    assert log_loss(scored([1.0], [False])) == pytest.approx(-math.log(1e-15), rel=1e-3)


def test_brier_by_hand():
    assert brier(FOUR) == pytest.approx((0.01 + 0.36 + 0.04 + 0.25) / 4)


def test_ece_by_hand():
    # Confidences 0.9, 0.6, 0.8, 0.5 fall into four different bins of width 1/30.
    curve = reliability(FOUR)
    assert len(curve) == 15
    assert sum(item.n for item in curve) == 4
    assert expected_calibration_error(curve) == pytest.approx((0.1 + 0.6 + 0.2 + 0.5) / 4)


def test_reliability_bins_hold_their_edges():
    curve = reliability(scored([1.0, 0.0, 0.5, 0.75], [True, True, True, True]))
    assert curve[-1].n == 2
    assert (curve[-1].confidence, curve[-1].hit_rate) == (1.0, 0.5)
    assert curve[0].n == 1
    assert curve[7].n == 1
    assert curve[7].lo <= 0.75 < curve[7].hi


def test_ece_of_nothing_is_none():
    assert expected_calibration_error(reliability(scored([], []))) is None


def test_only_labelled_bars_are_scored():
    found = score(np.arange(4), np.array([0.6, 0.7, 0.8, 0.9]), np.array([1, -1, 0, 1], dtype=np.int8))
    assert found.ts.tolist() == [0, 2, 3]
    assert found.up.tolist() == [True, False, True]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.01, 1.01])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(DataError, match="no probability"):
        score(np.arange(2) * MINUTE_US, np.array([0.5, wrong]), np.array([1, 1], dtype=np.int8))


def test_non_overlapping_takes_the_most_bars():
    minutes = np.array([0, 1, 14, 15, 16, 29, 30, 31, 100])
    assert non_overlapping(minutes * MINUTE_US).tolist() == [0, 3, 6, 8]


def test_tiers_by_hand():
    n = 2_000
    ts = np.arange(n) * MINUTE_US
    confidence = np.where(np.arange(n) % 2 == 0, 0.70, 0.75)
    right = np.arange(n) % 4 < 2
    low, medium, high = tier_table(ts, confidence, right)
    assert (low.n, low.counts, low.gap) == (0, False, None)
    assert (medium.n, medium.counts, high.n, high.counts) == (1_000, True, 1_000, True)
    # every 16th minute of the even ones: 0, 16, … 1984
    assert medium.non_overlapping == 125
    assert medium.hit_rate == 0.5
    assert high.gap == pytest.approx(0.25)


def test_tier_mae_weighs_by_bars_and_leaves_small_tiers_out():
    # 3,000 bars a tier at 0.6 and 0.8 (hit 0.5 and 1.0), too few at 0.7.
    n = 6_000
    ts = np.arange(n + 500) * MINUTE_US
    confidence = np.concatenate([np.full(2_000, 0.6), np.full(4_000, 0.8), np.full(500, 0.7)])
    right = np.concatenate([np.arange(2_000) % 2 == 0, np.ones(4_000, bool), np.zeros(500, bool)])
    tiers = tier_table(ts, confidence, right)
    assert [tier.counts for tier in tiers] == [True, False, True]
    assert tier_mae(tiers) == pytest.approx((2_000 * 0.1 + 4_000 * 0.2) / 6_000)


def test_tier_needs_a_thousand_bars_and_a_hundred_apart():
    minutes = np.arange(1_480)
    table = tier_table(minutes * MINUTE_US, np.full(1_480, 0.8), np.ones(1_480, bool))
    assert table[2].non_overlapping == 99
    assert not table[2].counts
    table = tier_table(np.arange(1_486) * MINUTE_US, np.full(1_486, 0.8), np.ones(1_486, bool))
    assert (table[2].non_overlapping, table[2].counts) == (100, True)
    table = tier_table(np.arange(999) * 2 * MINUTE_US, np.full(999, 0.8), np.ones(999, bool))
    assert (table[2].non_overlapping > 100, table[2].counts) == (True, False)


def test_tier_mae_of_no_tier_is_none():
    assert tier_mae(tier_table(np.arange(10), np.full(10, 0.8), np.ones(10, bool))) is None


def test_tier_bounds():
    ts = np.arange(6) * MINUTE_US
    low, medium, high = tier_table(ts, np.array([0.5499, 0.55, 0.65, 0.7499, 0.75, 1.0]), np.ones(6, bool))
    assert (low.n, medium.n, high.n) == (1, 2, 2)


def test_sessions_by_utc_hour():
    ts = np.array([0, 7 * 60 + 59, 8 * 60, 15 * 60 + 59, 16 * 60, 23 * 60 + 59]) * MINUTE_US
    groups = session_accuracy(scored([0.9] * 6, [True, False, True, True, False, False], ts))
    assert [(g.name, g.n, g.accuracy) for g in groups] == [
        ("tokyo", 2, 0.5), ("london", 2, 1.0), ("new_york", 2, 0.0),
    ]  # fmt: skip


def test_months_by_utc():
    ts = START + np.array([-1, 0, 31 * 1440 - 1, 31 * 1440]) * MINUTE_US
    groups = month_accuracy(scored([0.9] * 4, [True, False, True, True], ts))
    assert [(g.name, g.n, g.accuracy) for g in groups] == [
        ("2025-09", 1, 1.0), ("2025-10", 2, 0.5), ("2025-11", 1, 1.0),
    ]  # fmt: skip


def test_coverage_by_hand():
    minutes = np.concatenate([np.arange(0, 60), 1440 + np.arange(0, 15), 2 * 1440 + np.arange(10)])
    probability = np.full(len(minutes), 0.8)
    probability[-10:] = 0.6
    probability[0] = 0.25
    seen = coverage(scored(probability, np.ones(len(minutes), bool), START + minutes * MINUTE_US), 0.75)
    assert (seen.n, seen.non_overlapping, seen.days, seen.test_days) == (75, 5, 2, 3)
    assert seen.share == pytest.approx(75 / 85)
    assert seen.accuracy == pytest.approx(74 / 75)
    assert seen.busiest_share == pytest.approx(4 / 5)
    assert str(seen.busiest_day) == "2025-10-01"


def test_coverage_of_nothing():
    seen = coverage(scored([0.6], [True]), 0.75)
    assert (seen.n, seen.non_overlapping, seen.accuracy, seen.busiest_day, seen.day_share) == (
        0,
        0,
        None,
        None,
        0.0,
    )


def test_majority_ignores_bars_without_label():
    assert majority_up(np.array([1, 1, 0, -1, -1, -1], dtype=np.int8))
    assert not majority_up(np.array([1, 0, 0, -1], dtype=np.int8))


@pytest.mark.parametrize("majority", [True, False])
def test_baselines_look_fifteen_minutes_back_and_ties_follow_the_majority(majority):
    close = np.concatenate([[10.0] * 15, [11.0, 9.0, 10.0]])
    rules = baseline_directions(close, np.array([3, 15, 16, 17]), majority=majority)
    assert rules["momentum"].tolist() == [majority, True, False, majority]
    assert rules["inverse"].tolist() == [majority, False, True, majority]
    assert rules["majority"].tolist() == [majority] * 4


def test_oracle_line_scores_the_sign():
    line = oracle_line(FOUR, np.array([0.1, 0.2, -0.1, -0.3]))
    assert (line.accuracy, line.n) == (0.5, 4)
    assert oracle_line(FOUR, np.array([0.1, -0.2, 0.0, 0.3])).accuracy == 0.875


def test_where_there_is_nothing_to_learn_the_oracle_flips_a_coin():
    assert oracle_line(FOUR, np.zeros(4)).accuracy == 0.5


def test_report_of_a_range_without_labels_says_so():
    bars = judged(np.full(40, 0.5), np.full(40, 10.0))
    report = assess(SUBJECT, bars, Thresholds(), ()).report(1, "v1.0.0")
    assert (report.accuracy, report.n, report.accuracy_ci.bounds) == (None, 0, None)
    assert not report.passed
    assert all(gate.detail and gate.to_pass for gate in report.gates)
    assert EvaluationReport.from_json(report.as_json()) == report


def test_report_survives_json_and_its_hash_ignores_times():
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, 20 * 1440 + 15)))
    report = decided(rng.uniform(0.2, 0.8, 20 * 1440), close)
    document = report.as_json()
    assert EvaluationReport.from_json(document) == report
    assert document["certificate_sha256"] == report.sha256
    later = EvaluationReport.from_json({**document, "times": {**document["times"], "seconds": 99.0}})
    assert (later.seconds, later.sha256) == (99.0, report.sha256)
    other = EvaluationReport.from_json({**document, "n": 7})
    assert other.sha256 != report.sha256


def test_report_document_has_the_stable_keys():
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 1e-3, 16 * 1440 + 15)))
    document = decided(np.full(16 * 1440, 0.6), close).as_json()
    assert {
        "model", "version", "market", "exploratory", "accuracy", "accuracy_ci", "n", "baselines", "brier",
        "log_loss", "ece", "tier_mae", "tiers", "attempt", "gates", "passed",
    } <= set(document)  # fmt: skip
    assert [gate["id"] for gate in document["gates"]] == [
        "accuracy", "calibration", "leakage", "significance", "sample",
    ]  # fmt: skip
    assert set(document["baselines"]) == {"majority", "momentum", "inverse"}
    for gate in document["gates"]:
        assert {"id", "passed", "value", "threshold", "detail"} <= set(gate)
    for tier in document["tiers"].values():
        assert {"n", "confidence", "hit_rate"} <= set(tier)
    assert len(document["accuracy_ci"]) == 2
