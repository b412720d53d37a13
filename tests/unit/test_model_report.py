from dataclasses import replace

import pytest
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.report import GATE_IDS
from tradingai.engine.datasets.labels import direction_labels

from tests.fakes.evaluations import calibrated, decided, wave_close

CLOSE, _ = wave_close(days=16)
GOOD = decided(calibrated(0.85, direction_labels(CLOSE)), CLOSE)
BAD = decided(calibrated(0.6, direction_labels(CLOSE)), CLOSE)


def coin(report, symbol, **changes):
    return replace(report, model="transformer", symbol=symbol, **changes)


BTC, ETH = coin(GOOD, "BTC-USD"), coin(BAD, "ETH-USD", attempt=3, alpha=0.01)


def test_of_one_coin_it_is_that_coins_report_and_nothing_besides():
    whole = ModelReport((GOOD,))
    assert whole.as_json() == GOOD.as_json()
    assert whole.sha256 == GOOD.sha256
    assert ModelReport.from_json(GOOD.as_json()) == whole
    assert whole.gates == GOOD.gates
    assert (whole.accuracy, whole.n, whole.oracle) == (GOOD.accuracy, GOOD.n, GOOD.oracle)


def test_it_passes_when_every_coin_passes():
    assert ModelReport((BTC, coin(GOOD, "ETH-USD"))).promotable
    mixed = ModelReport((BTC, ETH))
    assert not mixed.passed
    assert mixed.refused.startswith("ETH-USD accuracy")
    assert "BTC-USD" not in mixed.refused


def test_a_gate_stands_as_for_the_coin_that_is_worst_off():
    mixed = ModelReport((BTC, ETH))
    assert tuple(gate.id for gate in mixed.gates) == GATE_IDS
    accuracy = mixed.gates[0]
    assert (accuracy.passed, accuracy.value) == (False, BAD.gates[0].value)
    assert accuracy.detail.startswith("ETH-USD: ")


def test_accuracy_is_over_all_bars_and_the_attempt_the_highest():
    mixed = ModelReport((BTC, ETH))
    right = BTC.accuracy * BTC.n + ETH.accuracy * ETH.n
    assert mixed.accuracy == pytest.approx(right / (BTC.n + ETH.n))
    assert mixed.n == BTC.n + ETH.n
    assert (mixed.attempt, mixed.alpha) == (3, 0.01)


def test_what_nobody_scored_has_no_accuracy():
    nothing = coin(GOOD, "BTC-USD", accuracy=None, n=0)
    assert ModelReport((nothing,)).accuracy is None
    assert ModelReport((nothing, ETH)).accuracy == pytest.approx(ETH.accuracy)


def test_the_document_has_each_coin_and_comes_back():
    parts = (("lstm_BTC-USD", "v1.0.0", "a" * 64),)
    whole = ModelReport((BTC, ETH), parts)
    document = whole.as_json()
    assert list(document["coins"]) == ["BTC-USD", "ETH-USD"]
    assert document["coins"]["ETH-USD"] == ETH.as_json()
    assert document["passed"] is False
    assert ModelReport.from_json(document) == whole
    assert document["certificate_sha256"] == whole.sha256


def test_the_hash_covers_every_coin_and_component_but_no_times():
    whole = ModelReport((BTC, ETH))
    assert ModelReport((BTC, replace(ETH, seconds=5.0))).sha256 == whole.sha256
    assert ModelReport((BTC, replace(ETH, brier=0.1))).sha256 != whole.sha256
    assert ModelReport((BTC, ETH), (("ppo", "v1.0.0", "a" * 64),)).sha256 != whole.sha256


def test_reports_of_two_versions_are_no_report():
    with pytest.raises(ValueError, match="all of one version"):
        ModelReport((BTC, replace(ETH, version="v1.1.0")))
    with pytest.raises(ValueError, match="all of one version"):
        ModelReport(())
