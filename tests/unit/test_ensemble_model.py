from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.report import Interval
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.evaluation import compose
from tradingai.engine.evaluation.agent import AgentComparison
from tradingai.engine.evaluation.compose import component_entries
from tradingai.engine.models.calibration import Calibrator, sigmoid
from tradingai.engine.models.ensemble import (
    Component,
    EnsembleRule,
    components_of,
    ensemble_document,
    logit,
    rule_of,
    subset_name,
    subsets,
)

from tests.fakes.lstm_world import small_artifact, small_part

P = np.array([0.2, 0.5, 0.9])
OUTPUTS = {"lstm": P, "transformer": np.array([0.4, 0.5, 0.8]), "ppo": np.array([0.9, 0.5, 0.1])}
CALIBRATOR = Calibrator("platt", 2.0, 0.3)


def test_the_agent_takes_part_only_where_it_joins():
    assert EnsembleRule().speaking({"ppo", "transformer", "lstm"}) == ("lstm", "transformer")
    assert EnsembleRule(agent_joins=True).speaking({"ppo", "lstm"}) == ("lstm", "ppo")
    assert EnsembleRule().speaking({"ppo"}) == ()


def test_weights_are_those_of_what_takes_part():
    assert EnsembleRule().weights(OUTPUTS) == {"lstm": 0.5, "transformer": 0.5}
    joined = EnsembleRule(agent_joins=True).weights(OUTPUTS)
    assert joined == pytest.approx({"lstm": 0.35, "transformer": 0.40, "ppo": 0.25})


def test_the_mean_is_calibrated_by_the_subset_that_speaks():
    rule = EnsembleRule(calibrators={"BTC-USD": {"lstm+transformer": CALIBRATOR}})
    mean = (OUTPUTS["lstm"] + OUTPUTS["transformer"]) / 2
    expected = sigmoid(2.0 * logit(mean) + 0.3)
    np.testing.assert_allclose(rule.probability("BTC-USD", OUTPUTS), expected, atol=1e-12)
    np.testing.assert_allclose(rule.probability("ETH-USD", OUTPUTS), mean, atol=1e-12)
    np.testing.assert_allclose(rule.probability("BTC-USD", {"lstm": P}), P, atol=1e-12)


def test_a_broken_model_silences_the_ensemble():
    broken = {**OUTPUTS, "lstm": np.full(3, np.nan)}
    assert np.isnan(EnsembleRule().probability("BTC-USD", broken)).all()


def test_nobody_is_no_ensemble():
    with pytest.raises(ValueError, match="no models"):
        EnsembleRule().probability("BTC-USD", {"ppo": P})


def test_logit_keeps_away_from_certainty():
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    np.testing.assert_allclose(sigmoid(logit(P)), P, atol=1e-12)


@pytest.mark.parametrize("kinds", [set(), {"lstm"}])
def test_fewer_than_two_have_no_subset(kinds):
    assert subsets(kinds) == []


def test_rule_and_components_come_back_from_the_artifact():
    parts = (
        Component("lstm_BTC-USD", "lstm", "v1.0.0", "a" * 64),
        Component("ppo", "ppo", "v1.1.0", "b" * 64),
    )
    found = {"BTC-USD": {subset_name(("lstm", "ppo")): CALIBRATOR}}
    rule = EnsembleRule(EnsembleConfig((0.2, 0.3, 0.5)), found, agent_joins=True)
    artifact = replace(small_artifact(), kind="ensemble", config=ensemble_document(rule, parts))
    assert rule_of(artifact) == rule
    assert components_of(artifact) == parts


def test_what_is_no_ensemble_says_so():
    with pytest.raises(ArtifactError, match="is no ensemble"):
        rule_of(small_artifact())
    with pytest.raises(ArtifactError, match="is no ensemble"):
        components_of(small_artifact())


def test_an_artifact_says_which_coins_it_speaks_of():
    artifact = replace(small_artifact(), coins=(small_part("BTC-USD"), small_part("ETH-USD")))
    assert artifact.symbols == ("BTC-USD", "ETH-USD")
    assert artifact.coin("ETH-USD").symbol == "ETH-USD"
    with pytest.raises(ArtifactError, match="speaks of BTC-USD, ETH-USD, not of BNB-USD"):
        artifact.coin("BNB-USD")


def compared(with_agent, without, lo):
    span = Interval(lo, None if lo is None else lo + 1.0, 0.05, 20, "9 test days are too few")
    return AgentComparison(20, with_agent, without, span)


def test_the_agent_joins_when_all_three_hold():
    assert compared(1.1, 1.0, 0.01).joins
    assert compared(1.1, 1.0, 0.01).as_json()["reason"] == ""


@pytest.mark.parametrize(("comparison", "words"), [
    (compared(1.0, -0.1, 0.5), "without it the ensemble earns -0.10 R a day"),
    (compared(1.0, 0.0, 0.5), "there is nothing to improve"),
    (compared(1.01, 1.0, 0.005), "1.02 times as much is needed"),
    (compared(1.1, 1.0, None), "9 test days are too few"),
    (compared(1.1, 1.0, -0.01), "may be -0.01 R"),
])  # fmt: skip
def test_the_agent_stays_out_and_the_reason_says_why(comparison, words):
    assert not comparison.joins
    assert words in comparison.reason
    assert comparison.as_json()["joins"] is False


class FakeLedger:
    """What composing asks a ledger."""

    def __init__(self, evaluated, live):
        self._evaluated, self._live = evaluated, live

    def models(self):
        return tuple(self._evaluated)

    def evaluations(self, model):
        return [f"{model} {version}" for version in self._evaluated[model]]

    def live(self):
        return {model: f"{model} {version}" for model, version in self._live.items()}


def test_an_ensemble_is_made_of_what_is_live():
    ledger = FakeLedger(
        {
            "transformer": ["v1.0.0", "v1.1.0"],
            "lstm_ETH-USD": ["v1.0.0"],
            "lstm_BTC-USD": ["v1.0.0"],
            "ensemble": ["v1.0.0"],
        },
        {"transformer": "v1.0.0", "lstm_BTC-USD": "v1.0.0", "ensemble": "v1.0.0"},
    )
    assert component_entries(ledger) == ("lstm_BTC-USD v1.0.0", "transformer v1.0.0")


def test_while_no_two_kinds_are_live_it_is_made_of_the_newest():
    evaluated = {"transformer": ["v1.0.0", "v1.1.0"], "lstm_BTC-USD": ["v1.0.0"]}
    assert component_entries(FakeLedger(evaluated, {"lstm_BTC-USD": "v1.0.0"})) == (
        "lstm_BTC-USD v1.0.0", "transformer v1.1.0",
    )  # fmt: skip


def spoken_by(kind, *symbols):
    """A voice whose model speaks of these coins."""
    probabilities = dict.fromkeys(symbols, P)
    return SimpleNamespace(
        artifact=SimpleNamespace(kind=kind, symbols=symbols), probabilities=lambda *_: probabilities
    )


def test_a_coin_of_which_only_the_agent_speaks_is_no_part_of_the_ensemble():
    voices = (spoken_by("lstm", "BTC-USD"), spoken_by("ppo", "BTC-USD", "BNB-USD"))
    features = SimpleNamespace(first_valid=0)
    data = [SimpleNamespace(symbol=name, values=None, features=features) for name in ("BTC-USD", "BNB-USD")]
    parts = compose._Parts((), voices, tuple(data))
    assert parts.symbols == ("BTC-USD",)
    said = parts.said(0, 3)
    assert list(said) == ["BTC-USD"]
    assert set(said["BTC-USD"]) == {"lstm", "ppo"}
