from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import SideBySide
from tradingai.engine.models.predict import Predictor
from tradingai.engine.models.transformer import TransformerConfig, build_transformer
from tradingai.engine.models.warmup import measure_warmup
from tradingai.engine.training.learning import longest_warmup

from tests.fakes.lstm_world import CPU, small_artifact, small_network
from tests.fakes.market_world import small_transformer


def tokens(steps, lanes=1, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(steps, lanes, 5)).astype(np.float32))


def said(network, scaled, state=None):
    """Direction and trend side by side [steps, lanes, 2 · coins], and the state."""
    with torch.inference_mode():
        found = network.outputs(scaled, state)
    return torch.cat([found.direction, found.trend], dim=-1).numpy(), found.state


def normed(values, weight, bias):
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def by_hand(network, scaled):
    """The equations, one minute and one head after another, float64."""
    config = network.config
    weight = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def linear(name, values):
        return values @ weight[f"{name}.weight"].T + weight[f"{name}.bias"]

    coins = np.split(scaled.astype(np.float64), np.cumsum(config.inputs)[:-1], axis=1)
    projected = [np.tanh(linear(f"projections.{number}", coin)) for number, coin in enumerate(coins)]
    stream = linear("token", np.concatenate(projected, axis=1))
    size = config.width // config.heads
    for layer in range(config.layers):
        at = f"blocks.{layer}"
        inner = normed(stream, weight[f"{at}.attention_norm.weight"], weight[f"{at}.attention_norm.bias"])
        query, key, value = np.split(linear(f"{at}.query_key_value", inner), 3, axis=1)
        seen = np.zeros_like(query)
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            added = weight[f"{at}.distance"][head]
            for now in range(len(stream)):
                past = np.arange(max(0, now - config.window + 1), now + 1)
                scores = key[past, part] @ query[now, part] / np.sqrt(size) + added[now - past]
                share = np.exp(scores - scores.max())
                seen[now, part] = (share / share.sum()) @ value[past, part]
        stream = stream + linear(f"{at}.attention_out", seen)
        inner = normed(stream, weight[f"{at}.feed_norm.weight"], weight[f"{at}.feed_norm.bias"])
        hidden = linear(f"{at}.feed_in", inner)
        stream = stream + linear(f"{at}.feed_out", 0.5 * hidden * (1.0 + erf(hidden / np.sqrt(2.0))))
    last = normed(stream, weight["norm.weight"], weight["norm.bias"])
    return np.concatenate([linear("direction", last), linear("trend", last)], axis=1)


@pytest.mark.parametrize("shape", [
    {}, {"window": 1}, {"window": 40}, {"window": 3, "layers": 3}, {"heads": 1}, {"heads": 4, "layers": 1},
])  # fmt: skip
def test_the_network_is_the_equations(shape):
    network, scaled = small_transformer(**shape), tokens(35)
    found, _ = said(network, scaled)
    assert found.shape == (35, 1, 4)
    np.testing.assert_allclose(found[:, 0], by_hand(network, scaled[:, 0].numpy()), atol=1e-5)


@pytest.mark.parametrize("cut", [1, 2, 7, 8, 9, 23, 64])
def test_a_stream_in_pieces_is_the_whole_stream(cut):
    network, scaled = small_transformer(), tokens(65, lanes=3)
    whole, last = said(network, scaled)
    state, parts = None, []
    for piece in scaled.split(cut):
        part, state = said(network, piece, state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert [part.shape for part in state] == [(3, 2, 7, 8)] * 4
    for kept, expected in zip(state, last, strict=True):
        torch.testing.assert_close(kept, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cut", [1, 15, 40])
def test_what_comes_later_changes_nothing_before(cut):
    network, scaled = small_transformer(), tokens(41)
    changed = scaled.clone()
    changed[cut:] += 3.0
    before, after = said(network, scaled)[0], said(network, changed)[0]
    np.testing.assert_allclose(after[:cut], before[:cut], atol=1e-6)
    assert np.abs(after[cut] - before[cut]).min() > 1e-3


@pytest.mark.parametrize(("window", "layers"), [(4, 1), (4, 2), (6, 3)])
def test_the_past_is_seen_exactly_as_far_as_the_windows_reach(window, layers):
    network, scaled = small_transformer(window=window, layers=layers), tokens(40)
    reach = network.config.reach
    assert reach == layers * (window - 1)
    whole = said(network, scaled)[0][30]
    for back, seen in ((reach + 1, False), (reach, True)):
        changed = scaled.clone()
        changed[30 - back] += 50.0
        assert (np.abs(said(network, changed)[0][30] - whole).max() > 1e-6) == seen


def test_a_cold_start_sees_nothing_and_not_zeros():
    network, scaled = small_transformer(), tokens(1)
    cold, state = said(network, scaled)
    zeros = tuple(torch.zeros(1, 2, 7, 8) for _ in state)
    assert np.abs(said(network, scaled, zeros)[0] - cold).max() > 1e-3
    nothing = tuple(torch.zeros(1, 2, 0, 8) for _ in state)
    np.testing.assert_allclose(said(network, scaled, nothing)[0], cold, atol=1e-6)


def test_where_a_stream_begins_is_forgotten():
    network, scaled = small_transformer(), tokens(200)
    whole, reach = said(network, scaled)[0], network.config.reach
    for start in (1, 50, 133):
        part = said(network, scaled[start:])[0]
        np.testing.assert_allclose(part[reach:], whole[start + reach :], atol=1e-5)
        assert np.abs(part[0] - whole[start]).max() > 1e-3


def test_lanes_do_not_meet():
    network, scaled = small_transformer(), tokens(30, lanes=4)
    together = said(network, scaled)[0]
    for lane in range(4):
        np.testing.assert_allclose(said(network, scaled[:, [lane]])[0][:, 0], together[:, lane], atol=1e-5)


def test_every_coin_has_a_say_in_every_answer():
    network, scaled = small_transformer(), tokens(3)
    plain = said(network, scaled)[0][-1, 0]
    for column in (0, 4):
        changed = scaled.clone()
        changed[0, 0, column] += 2.0
        assert (np.abs(said(network, changed)[0][-1, 0] - plain) > 1e-5).all()


def test_a_predictor_streams_and_starts_cold_as_with_any_network():
    rng = np.random.default_rng(3)
    matrices = [rng.normal(size=(300, width)).astype(np.float32) for width in (3, 2)]
    plain = Scaler(tuple("abcde"), np.zeros(5), np.ones(5), 0, 1)
    predictor = Predictor(small_transformer(), plain, CPU, coin=1)
    values = SideBySide(matrices)
    streamed = predictor.stream_all(values, 0, 300)
    expected = by_hand(predictor.network, np.concatenate(matrices, axis=1))[:, :2]
    np.testing.assert_allclose(streamed, expected, atol=1e-5)
    rows = np.array([40, 41, 299])
    np.testing.assert_allclose(predictor.truncated(values, rows, 20), streamed[rows, 1], atol=1e-5)


def test_the_measured_warm_up_is_the_reach():
    matrices = [np.random.default_rng(4).normal(size=(900, width)).astype(np.float32) for width in (3, 2)]
    network = small_transformer()
    predictor = Predictor(network, Scaler(tuple("abcde"), np.zeros(5), np.ones(5), 0, 1), CPU)
    found = measure_warmup(predictor, SideBySide(matrices), 300, 900, 0, longest_warmup(network))
    assert found.measured <= network.config.reach
    assert found.agrees
    assert found.bars == 30
    assert longest_warmup(network) == 120
    assert longest_warmup(small_transformer(window=64)) == 3 * 126
    assert longest_warmup(small_network()) == 1440


def test_a_network_is_rebuilt_from_what_is_stored():
    network, scaled = small_transformer(), tokens(20)
    again = build_transformer(network.config.as_dict(), network.state_dict())
    np.testing.assert_array_equal(said(again, scaled)[0], said(network, scaled)[0])
    assert not again.training
    assert TransformerConfig.from_dict(network.config.as_dict()) == network.config
    artifact = replace(
        small_artifact(), kind="transformer", config=network.config.as_dict(),
        tensors=dict(network.state_dict()),
    )  # fmt: skip
    np.testing.assert_array_equal(said(artifact.network(), scaled)[0], said(network, scaled)[0])


@pytest.mark.parametrize("change", [
    {"inputs": []}, {"width": 15}, {"window": 0}, {"layers": "2"}, {"heads": None}, {"inputs": 5},
    {"inputs": ["x"]},
])  # fmt: skip
def test_a_damaged_configuration_is_no_network(change):
    network = small_transformer()
    with pytest.raises(ArtifactError, match=r"shape|configuration"):
        build_transformer({**network.config.as_dict(), **change}, network.state_dict())


def test_weights_of_another_shape_do_not_fit():
    network = small_transformer()
    with pytest.raises(ArtifactError, match="do not fit"):
        build_transformer({**network.config.as_dict(), "width": 8}, network.state_dict())
    missing = network.config.as_dict()
    del missing["window"]
    with pytest.raises(ArtifactError, match="window"):
        build_transformer(missing, network.state_dict())
