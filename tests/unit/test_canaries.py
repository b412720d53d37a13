"""The evaluator's canaries: an evaluator that errs on one of these cannot be trusted on a model."""

import numpy as np
import pytest
from tradingai.engine.datasets.labels import direction_labels

from tests.fakes.evaluations import calibrated, decided, gates, wave_close


@pytest.fixture(scope="module")
def world():
    """Closes, labels and the wave's own expectation of the next 15 minutes."""
    close, phase = wave_close(days=40)
    expected = 0.0045 * (np.sin(phase + 2.0 * np.pi * 15 / 120) - np.sin(phase))
    return close, direction_labels(close), expected


def oracle_probability(world):
    """P(up) from the expected return, with the spread of the noise around it: calibrated by construction."""
    from scipy.stats import norm

    _, _, expected = world
    return np.clip(norm.cdf(expected / (0.0008 * np.sqrt(15) * 1.2)), 0.01, 0.99)


def failing(report):
    return {gate.id for gate in report.gates if not gate.passed}


def test_an_oracle_passes(world):
    close, _, expected = world
    report = decided(oracle_probability(world), close, expected=expected[: len(close) - 15])
    assert failing(report) == set()
    assert report.promotable
    assert report.oracle.accuracy == pytest.approx(report.accuracy)
    assert report.oracle.accuracy > 0.72


def test_a_coin_flip_fails(world):
    close, labels, _ = world
    flip = np.random.default_rng(0).uniform(0.0, 1.0, len(labels))
    report = decided(flip, close)
    assert report.accuracy == pytest.approx(0.5, abs=0.01)
    assert {"accuracy", "calibration", "significance"} <= failing(report)


def test_an_inverted_oracle_is_as_wrong_as_the_oracle_is_right(world):
    close, _, _ = world
    probability = oracle_probability(world)
    right, wrong = decided(probability, close), decided(1.0 - probability, close)
    assert wrong.accuracy == pytest.approx(1.0 - right.accuracy)
    assert {"accuracy", "calibration", "significance"} <= failing(wrong)


def test_always_long_fails_significance_however_much_the_market_rises():
    rng = np.random.default_rng(2)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0004, 0.0012, 30 * 1440 + 15)))
    report = decided(np.full(len(close), 0.9), close)
    assert report.accuracy > 0.8
    assert "significance" in failing(report)
    majority = next(item for item in report.baselines if item.name == "majority")
    assert majority.difference == 0.0


def test_no_confident_predictions_is_a_failure_with_its_reason(world):
    close, _, _ = world
    timid = np.where(oracle_probability(world) > 0.5, 0.54, 0.46)
    report = decided(timid, close)
    assert report.accuracy > 0.68
    found = gates(report)
    assert not found["sample"].passed
    assert "no prediction reaches the threshold 0.75" in found["sample"].detail
    assert not found["calibration"].passed
    assert "no confidence tier" in found["calibration"].detail


def test_shuffled_labels_fail(world):
    """A model that is right on shuffled labels is a coin flip on the real ones."""
    close, labels, _ = world
    shuffled = np.random.default_rng(4).permutation(labels)
    report = decided(calibrated(0.85, shuffled), close)
    assert report.accuracy == pytest.approx(0.5, abs=0.01)
    assert {"accuracy", "calibration", "significance"} <= failing(report)


def test_over_confidence_fails_calibration_alone(world):
    close, labels, _ = world
    honest = calibrated(np.full(len(labels), 0.78), labels)
    boastful = np.where(honest > 0.5, 0.95, 0.05)
    assert failing(decided(honest, close)) == set()
    assert failing(decided(boastful, close)) == {"calibration"}


def test_knowing_only_some_days_fails_the_sample(world):
    close, labels, _ = world
    day = np.arange(len(labels)) // 1440
    some = np.where(day % 2 == 0, 0.9, 0.74)
    report = decided(calibrated(some, labels), close)
    assert failing(report) == {"sample"}


def test_one_day_that_holds_most_confident_predictions_fails_the_sample(world):
    close, labels, _ = world
    minute = np.arange(len(labels))
    confident = (minute // 1440 == 3) | (minute % 1440 < 15)
    report = decided(calibrated(np.where(confident, 0.9, 0.72), labels), close)
    assert failing(report) == {"sample"}
    assert "no day may hold more than 20.0 %" in gates(report)["sample"].to_pass
