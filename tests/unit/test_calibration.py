import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.models.calibration import (
    Calibrator,
    fit_calibrator,
    fit_method,
    log_loss,
    non_overlapping,
    sigmoid,
)


def two_values(z_low, ups_low, z_high, ups_high, each=1_000):
    """``each`` bars at either logit, of which so many went up."""
    logits = np.repeat([z_low, z_high], each)
    labels = np.concatenate([np.arange(each) < ups_low, np.arange(each) < ups_high]).astype(np.int8)
    return logits.astype(np.float64), labels


def logit(p):
    return np.log(p / (1 - p))


def world(n, slope, offset, seed=3, spread=1.5):
    """Independent bars whose P(up) is σ(slope · logit + offset)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, spread, n)
    labels = (rng.random(n) < sigmoid(slope * logits + offset)).astype(np.int8)
    return logits, labels


def test_temperature_has_a_closed_form_on_two_symmetric_values():
    logits, labels = two_values(-2.0, 300, 2.0, 700)
    fitted = fit_method("temperature", logits, labels)
    assert fitted.slope == pytest.approx(logit(0.7) / 2.0, abs=1e-10)
    assert fitted.probability(np.array([2.0])) == pytest.approx(0.7, abs=1e-10)


def test_platt_has_a_closed_form_on_two_values_with_smoothed_targets():
    logits, labels = two_values(-1.0, 200, 3.0, 900)
    up, down = 1_100, 900
    high, low = (up + 1) / (up + 2), 1 / (down + 2)
    q_low, q_high = 0.2 * high + 0.8 * low, 0.9 * high + 0.1 * low
    fitted = fit_method("platt", logits, labels)
    slope = (logit(q_high) - logit(q_low)) / 4.0
    assert fitted.slope == pytest.approx(slope, abs=1e-9)
    assert fitted.offset == pytest.approx(logit(q_low) + slope, abs=1e-9)


def test_isotonic_pools_adjacent_violators_by_hand():
    # Means by logit: 0: 0.5, 1: 0.25 (violates), 2: 0.75, 3: 1.0; the first two pool to 0.375.
    logits = np.repeat([0.0, 1.0, 2.0, 3.0], 4)
    labels = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1], dtype=np.int8)
    fitted = fit_method("isotonic", logits, labels)
    assert fitted.knots == ((0.0, 0.375), (1.0, 0.375), (2.0, 0.75), (3.0, 0.99))
    assert fitted.probability(np.array([-9.0, 0.5, 1.5, 9.0])).tolist() == [0.375, 0.375, 0.5625, 0.99]


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_no_calibrator_turns_a_prediction_round(method):
    logits, labels = two_values(-2.0, 700, 2.0, 300)
    fitted = fit_method(method, logits, labels)
    assert fitted.slope == 0.0
    assert fitted.probability(np.array([-5.0, 5.0])) == pytest.approx([0.5, 0.5], abs=1e-3)


def test_probabilities_stay_between_one_and_ninety_nine_percent():
    far = np.array([-1e4, -60.0, 0.0, 60.0, 1e4])
    for calibrator in (Calibrator(), Calibrator("platt", 3.0, 1.0), Calibrator("temperature", 0.5)):
        assert calibrator.probability(far)[[0, -1]].tolist() == [0.01, 0.99]
    assert Calibrator().probability(np.array([0.0])).tolist() == [0.5]


def test_the_method_with_the_least_cross_validated_loss_is_chosen():
    shifted = fit_calibrator(*world(20_000, 0.8, 0.9))
    assert shifted.calibrator.method == "platt"
    assert shifted.calibrator.slope == pytest.approx(0.8, abs=0.05)
    assert shifted.calibrator.offset == pytest.approx(0.9, abs=0.05)
    for fit in (shifted, fit_calibrator(*world(20_000, 0.5, 0.0))):
        assert fit.cv_log_loss[fit.calibrator.method] == min(fit.cv_log_loss.values())
    assert set(shifted.cv_log_loss) == {"temperature", "platt", "isotonic"}


def test_isotonic_is_chosen_where_no_sigmoid_fits():
    logits, _ = world(30_000, 1.0, 0.0)
    rng = np.random.default_rng(5)
    stairs = np.where(logits > 1.0, 0.9, np.where(logits > -0.5, 0.55, 0.4))
    labels = (rng.random(30_000) < stairs).astype(np.int8)
    assert fit_calibrator(logits, labels).calibrator.method == "isotonic"


def test_isotonic_needs_a_thousand_labels_that_do_not_overlap():
    logits, labels = world(14_985, 1.0, 0.0)
    assert "isotonic" not in fit_calibrator(logits, labels).cv_log_loss
    assert fit_calibrator(logits, labels).non_overlapping == 999
    logits, labels = world(14_986, 1.0, 0.0)
    assert "isotonic" in fit_calibrator(logits, labels).cv_log_loss


def test_cross_validated_loss_is_that_of_blocks_the_fit_has_not_seen():
    logits, labels = world(500, 1.0, 0.2)
    labels[::7] = -1
    total, known = 0.0, labels >= 0
    for block in range(5):
        test = np.zeros(500, dtype=bool)
        test[block * 100 : block * 100 + 100] = True
        near = np.zeros(500, dtype=bool)
        near[max(0, block * 100 - 15) : block * 100 + 115] = True
        train = known & ~near
        fitted = fit_method("platt", logits[train], labels[train])
        p = fitted.probability(logits[test & known])
        total -= np.log(np.where(labels[test & known] == 1, p, 1 - p)).sum()
    found = fit_calibrator(logits, labels).cv_log_loss["platt"]
    assert found == pytest.approx(total / known.sum(), rel=1e-12)


def test_unlabelled_bars_change_nothing_but_their_number():
    logits, labels = world(3_000, 1.0, 0.3)
    plain = fit_method("platt", logits, labels)
    mixed = np.where(np.arange(3_000) % 3 == 0, -1, labels).astype(np.int8)
    assert fit_calibrator(logits, mixed).labels == 2_000
    known = mixed >= 0
    assert fit_method("platt", logits[known], mixed[known]) != plain


def test_on_a_coin_toss_nothing_is_confident():
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 30_000).astype(np.int8)
    p = fit_calibrator(rng.normal(0, 1, 30_000), labels).calibrator.probability(rng.normal(0, 1, 1_000))
    assert np.abs(p - 0.5).max() < 0.05


def test_one_direction_only_cannot_be_calibrated():
    with pytest.raises(DataError, match="one direction"):
        fit_calibrator(np.arange(100.0), np.ones(100, dtype=np.int8))


@pytest.mark.parametrize("calibrator", [
    Calibrator(), Calibrator("temperature", 0.123456789012345), Calibrator("platt", 1 / 3, -2 / 7),
    Calibrator("isotonic", knots=((0.1, 0.2), (0.3, 0.4))),
])  # fmt: skip
def test_a_calibrator_survives_a_dict(calibrator):
    assert Calibrator.from_dict(calibrator.as_dict()) == calibrator


@pytest.mark.parametrize("change", [
    {"method": "magic"}, {"slope": "x"}, {"knots": 3}, {"method": "isotonic"},
])  # fmt: skip
def test_a_damaged_calibrator_is_refused(change):
    with pytest.raises(ArtifactError, match="calibrator"):
        Calibrator.from_dict({**Calibrator("platt").as_dict(), **change})


def test_log_loss_by_hand():
    p = np.array([0.8, 0.4, 0.5])
    assert log_loss(p, np.array([1, 0, -1], dtype=np.int8)) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    with pytest.raises(DataError, match="no labelled"):
        log_loss(p, np.full(3, -1, dtype=np.int8))


def test_non_overlapping_is_greedy_from_the_left():
    known = np.zeros(60, dtype=bool)
    known[[0, 5, 14, 15, 29, 30, 59]] = True
    assert non_overlapping(known, 15) == 4
    assert non_overlapping(np.ones(31, dtype=bool), 15) == 3
    assert non_overlapping(np.zeros(9, dtype=bool), 15) == 0


def test_sigmoid_does_not_overflow():
    assert sigmoid(np.array([-1e5, 0.0, 1e5])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid(np.array([-40.0]))[0] == pytest.approx(np.exp(-40.0), rel=1e-12)
