"""Laws of the evaluation's numbers that hold for every input."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tradingai.engine.core.report import GATE_IDS, EvaluationReport
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.evaluation.intervals import ratio_interval
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.metrics import (
    Scored,
    brier,
    coverage,
    expected_calibration_error,
    log_loss,
    reliability,
)
from tradingai.engine.evaluation.tiers import HORIZON_US, non_overlapping, tier_mae, tier_table
from tradingai.engine.gates import Thresholds, decide

from tests.fakes.evaluations import decided

probabilities = hnp.arrays(
    np.float64, st.integers(1, 300), elements=st.integers(0, 1000).map(lambda k: k / 1000)
)


def scored(probability, seed):
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.integers(1, 40, len(probability))) * MINUTE_US
    return Scored(ts, probability, rng.random(len(probability)) < 0.5)


@given(probabilities, st.integers(0, 99))
def test_turning_prediction_and_label_round_changes_no_score(probability, seed):
    bars = scored(probability, seed)
    turned = Scored(bars.ts, 1.0 - bars.probability, ~bars.up)
    assert np.isclose(log_loss(bars), log_loss(turned), rtol=1e-6, atol=1e-9)
    assert np.isclose(brier(bars), brier(turned))
    assert np.array_equal(
        np.sort(bars.confidence), np.sort(np.maximum(turned.confidence, 1 - turned.confidence))
    )


@given(probabilities, st.integers(0, 99))
def test_reliability_holds_every_bar_once_and_ece_is_a_share(probability, seed):
    bars = scored(probability, seed)
    curve = reliability(bars)
    assert sum(item.n for item in curve) == len(probability)
    hits = sum(item.n * item.hit_rate for item in curve if item.n)
    assert np.isclose(hits, bars.right.sum())
    assert 0.0 <= expected_calibration_error(curve) <= 1.0


@given(hnp.arrays(np.int64, st.integers(0, 200), elements=st.integers(0, 2_000), unique=True))
def test_non_overlapping_bars_lie_apart_and_no_other_fits_between(minutes):
    ts = np.sort(minutes) * MINUTE_US
    chosen = ts[non_overlapping(ts)]
    assert (np.diff(chosen) >= HORIZON_US).all()
    for moment in ts:
        before = chosen[chosen <= moment]
        assert len(before)
        assert moment - before[-1] < HORIZON_US or moment in chosen


@given(probabilities, st.integers(0, 99))
def test_tiers_do_not_overlap_and_an_error_is_a_share(probability, seed):
    bars = scored(probability, seed)
    table = tier_table(bars.ts, bars.confidence, bars.right)
    assert sum(tier.n for tier in table) == int((bars.confidence >= 0.55).sum())
    for tier in table:
        assert tier.non_overlapping <= tier.n
        if tier.n:
            assert tier.lo <= tier.confidence <= tier.hi + 1e-12
    mae = tier_mae(table)
    assert mae is None or 0.0 <= mae <= 1.0


@given(probabilities, st.integers(0, 99), st.floats(0.5, 1.0))
def test_coverage_shrinks_with_the_threshold(probability, seed, threshold):
    bars = scored(probability, seed)
    low, high = coverage(bars, 0.5), coverage(bars, threshold)
    assert high.n <= low.n == len(probability)
    assert high.days <= high.test_days
    assert high.busiest_share is None or 1.0 / max(high.days, 1) <= high.busiest_share <= 1.0


@given(
    hnp.arrays(np.float64, st.integers(15, 60), elements=st.floats(-100.0, 100.0)),
    st.floats(0.1, 10.0),
    st.floats(-5.0, 5.0),
)
def test_intervals_scale_and_shift_with_their_values(sums, scale, shift):
    bars = np.full(len(sums), 100.0)
    plain = ratio_interval(sums, bars, 0.05)
    moved = ratio_interval(scale * sums + shift * bars, bars, 0.05)
    expected = [scale * bound + shift for bound in plain.bounds]
    assert np.allclose(moved.bounds, expected, rtol=1e-6, atol=1e-6)
    assert plain.lo <= sums.sum() / bars.sum() <= plain.hi


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(1, 40), st.floats(0.5, 0.99), st.floats(0.0, 1.0), st.floats(0.0, 1.0)
)
def test_every_report_decides_all_gates_with_reasons_and_survives_json(seed, days, said, accuracy, error):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, days * 1440 + 15)))
    probability = np.where(rng.random(days * 1440) < 0.5, said, 1.0 - said)
    report = decided(probability, close)
    again = EvaluationReport.from_json(report.as_json())
    assert again == report
    assert again.sha256 == report.sha256
    for gate in decide(report, Thresholds(min_accuracy=accuracy, max_calibration_error=error)):
        assert gate.id in GATE_IDS
        assert gate.detail
        assert gate.passed == (gate.to_pass == "")
        assert gate.margin is None or gate.passed <= (gate.margin >= 0.0)


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 200)), min_size=1, max_size=6),
    st.integers(1_000, 1_200),
)
def test_separation_passes_exactly_when_no_row_is_shared_or_looked_at(ranges, test_lo):
    consumed = [ConsumedRows(f"part{number}", lo, lo + size) for number, (lo, size) in enumerate(ranges)]
    test = ConsumedRows("test", test_lo, test_lo + 100)
    everything = [*consumed, test]
    looked = [set(range(item.lo, item.hi - 1 + 15 + 1)) for item in everything]
    rows = [set(range(item.lo, item.hi)) for item in everything]
    clash = any(
        looked[a] & rows[b]
        for a in range(len(everything))
        for b in range(len(everything))
        if a != b and everything[a].lo <= everything[b].lo
    )
    assert split_separation(consumed, test).passed is not clash
