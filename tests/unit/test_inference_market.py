"""Models of several coins and ensembles in the stream that live loop and replay share."""

from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.core.events import ModelFailed, ModelRefused, ModelWarmed
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.inference.promoted import LiveModel, PromotedModels
from tradingai.engine.inference.stream import MarketStream
from tradingai.engine.models.ensemble import ENSEMBLE, EnsembleRule
from tradingai.engine.models.voice import NetworkVoice

from tests.fakes.stored_market import COINS, candles, live_model
from tests.fakes.stored_models import (
    batch_of,
    everybody,
    features_of_all,
    first_row,
    live_ensemble,
    live_market,
    opinionated_market,
)

BTC, ETH, BNB = COINS
MARKET = candles()
START = 3200


def stream(models, ensemble=None, symbols=COINS, config=None):
    made = MarketStream(symbols, PromotedModels(models, (), ensemble), config or EnsembleConfig())
    made.warm({name: MARKET[name][:START] for name in COINS})
    return made


def take(made, lo, hi, **instead):
    at = int(MARKET[BTC].ts[hi - 1]) + MINUTE_US
    return made.take({**{name: MARKET[name][lo:hi] for name in COINS}, **instead}, at)


def probabilities(made, cadence, stop=START + 120):
    scans = [take(made, lo, lo + cadence) for lo in range(START, stop, cadence)]
    return np.array([[coin.p_up for coin in scan.coins] for scan in scans])


def batch_rows(expected, cadence, stop=START + 120):
    rows = np.arange(START + cadence - 1, stop, cadence) - first_row()
    return np.stack([expected[symbol][rows] for symbol in COINS], axis=1)


@pytest.mark.parametrize("kind", ["transformer", "ppo"])
def test_a_model_of_all_coins_says_live_what_the_batch_says(kind):
    values, first = features_of_all(), first_row()
    voice = NetworkVoice(opinionated_market(kind))
    expected = voice.probabilities(values, first, len(values[BTC]), first)
    made = stream((live_market(kind),))
    scans = [take(made, lo, lo + 4) for lo in range(START, START + 120, 4)]
    found = np.array([[coin.outputs[kind] for coin in scan.coins] for scan in scans])
    rows = batch_rows(expected, 4)
    assert np.abs(found - rows).max() < 1e-5
    assert np.ptp(rows) > 0.3


@pytest.mark.parametrize("joins", [False, True])
def test_the_ensemble_says_live_what_the_batch_says(joins):
    models = everybody()
    ensemble = live_ensemble(models, agent_joins=joins)
    found = probabilities(stream(models, ensemble), 4)
    assert np.abs(found - batch_rows(batch_of(models, ensemble), 4)).max() < 1e-5


def test_how_candles_are_bundled_changes_no_bit():
    models = everybody()
    made = [stream(models, live_ensemble(models, agent_joins=True)) for _ in range(2)]
    for one in made:
        take(one, START, START + 8)
    every = np.array(
        [[c.p_up for c in take(made[0], lo, lo + 1).coins] for lo in range(START + 8, START + 24)]
    )
    fourth = np.array(
        [[c.p_up for c in take(made[1], lo, lo + 4).coins] for lo in range(START + 8, START + 24, 4)]
    )
    np.testing.assert_array_equal(every[3::4], fourth)


def test_without_an_ensemble_the_mean_is_left_as_it_is_and_the_agent_out():
    models = everybody()
    scan = take(stream(models), START, START + 4)
    for coin in scan.coins:
        outputs = {"lstm": coin.outputs[f"lstm_{coin.symbol}"], "transformer": coin.outputs["transformer"]}
        assert coin.p_up == pytest.approx(sum(outputs.values()) / 2)
        assert "ppo" in coin.outputs
        assert ENSEMBLE not in coin.versions


def test_a_decision_names_the_ensemble_that_spoke():
    models = everybody()
    scan = take(stream(models, live_ensemble(models)), START, START + 4)
    assert scan.coins[0].versions == {
        "lstm_BTC-USD": "v1.0.0", "transformer": "v1.0.0", "ppo": "v1.0.0", ENSEMBLE: "v1.0.0",
    }  # fmt: skip


@pytest.mark.parametrize(("changed", "config", "words"), [
    (True, None, "lstm_BTC-USD v1.1.0 is live, and it was made of v1.0.0"),
    (False, EnsembleConfig((0.2, 0.3, 0.5)), "made with other ENSEMBLE_WEIGHTS"),
])  # fmt: skip
def test_an_ensemble_of_other_versions_or_weights_is_refused_and_told_once(changed, config, words):
    first = live_model(BTC, "v1.1.0", seed=1) if changed else live_model(BTC)
    made = stream((first, *everybody()[1:]), live_ensemble(everybody()), config=config)
    scan = take(made, START, START + 2)
    (event,) = [event for event in scan.events if isinstance(event, ModelRefused)]
    assert (event.model, event.version) == (ENSEMBLE, "v1.0.0")
    assert words in event.reason
    assert "tradingai evaluate ensemble" in event.remedy
    assert scan.coins[0].versions.get(ENSEMBLE) is None
    rule = EnsembleRule(config or EnsembleConfig())
    kinds = {name.partition("_")[0]: np.array([value]) for name, value in scan.coins[0].outputs.items()}
    assert scan.coins[0].p_up == pytest.approx(float(rule.probability(BTC, kinds)[0]))
    assert not [event for event in take(made, START + 2, START + 4).events if isinstance(event, ModelRefused)]


def test_an_agent_alone_decides_nothing():
    scan = take(stream((live_market("ppo"),)), START, START + 2)
    assert scan.coins[0].p_up is None
    assert scan.coins[0].note == "only ppo is promoted, which decides nothing alone"


def test_a_model_of_all_coins_without_a_number_silences_them_all_and_is_told():
    artifact = opinionated_market("transformer")
    tensors = {name: value.clone() for name, value in artifact.tensors.items()}
    tensors["direction.bias"][1] = float("nan")
    broken = LiveModel("transformer", "v1.0.0", replace(artifact, tensors=tensors))
    models = (*(live_model(symbol) for symbol in COINS), broken)
    made = stream(models)
    scan = take(made, START, START + 2)
    assert [np.isnan(coin.p_up) for coin in scan.coins] == [True] * 3
    (failed,) = [event for event in scan.events if isinstance(event, ModelFailed)]
    assert (failed.model, failed.symbol) == ("transformer", "BTC-USD, ETH-USD, BNB-USD")
    warmed = [event for event in take(made, START + 2, START + 4).events if isinstance(event, ModelWarmed)]
    assert [event.model for event in warmed] == ["transformer"]


def test_a_coin_that_is_only_looked_at_is_asked_for():
    made = stream((live_market("transformer"),), symbols=(BTC,))
    assert set(made.coins) == set(COINS)
    assert [coin.symbol for coin in take(made, START, START + 2).coins] == [BTC]


def test_a_late_coin_holds_back_the_models_that_look_at_it():
    made = stream(everybody())
    take(made, START, START + 2)
    scan = take(made, START + 2, START + 4, **{BNB: MARKET[BNB][START + 2 : START + 3]})
    assert scan.coins[0].p_up is None
    assert scan.coins[0].note == "features end before the newest candle"
    scan = take(made, START + 4, START + 6, **{BNB: MARKET[BNB][START + 3 : START + 6]})
    assert 0.0 < scan.coins[0].p_up < 1.0


def test_a_model_that_joins_between_two_scans_leaves_the_others_their_state():
    made = stream(tuple(live_model(symbol) for symbol in COINS))
    alone = stream(tuple(live_model(symbol) for symbol in COINS))
    for one in (made, alone):
        take(one, START, START + 2)
    made.install(PromotedModels((*(live_model(symbol) for symbol in COINS), live_market("transformer"))))
    joined, before = (take(one, START + 2, START + 4) for one in (made, alone))
    assert [start.live.model for start in joined.warm_starts] == ["transformer"]
    for now, then in zip(joined.coins, before.coins, strict=True):
        assert now.outputs[f"lstm_{now.symbol}"] == then.outputs[f"lstm_{now.symbol}"]
        assert "transformer" in now.outputs
