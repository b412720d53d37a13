import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import DataError, UsageError
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.calibration import sigmoid
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.predict import Predictor, predict_probability, predict_rows
from tradingai.engine.models.warmup import measure_warmup

from tests.fakes.lstm_world import CPU, NAMES, memory_world, small_artifact, small_network

PLAIN = Scaler(NAMES, np.zeros(3), np.ones(3), 0, 1)


def cell(gate):
    return 1.0 / (1.0 + np.exp(-gate))


def by_hand(network, scaled):
    """The equations of an LSTM, one bar after another, float64."""
    weight = {name: value.double().numpy() for name, value in network.state_dict().items()}
    hidden = carry = np.zeros(network.config.hidden)
    out = []
    for row in scaled.astype(np.float64):
        inner = np.tanh(weight["projection.weight"] @ row + weight["projection.bias"])
        gates = weight["lstm.weight_ih_l0"] @ inner + weight["lstm.bias_ih_l0"]
        gates = gates + weight["lstm.weight_hh_l0"] @ hidden + weight["lstm.bias_hh_l0"]
        take, keep, new, show = np.split(gates, 4)
        carry = cell(keep) * carry + cell(take) * np.tanh(new)
        hidden = cell(show) * np.tanh(carry)
        out.append(float(weight["head.weight"][0] @ hidden + weight["head.bias"][0]))
    return np.array(out)


def test_the_network_is_the_equations():
    network = small_network()
    values = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    found = Predictor(network, PLAIN, CPU).stream(values, 0, 40)
    np.testing.assert_allclose(found, by_hand(network, values), atol=1e-6)


def test_features_are_scaled_as_the_artifact_says():
    network, (values, _) = small_network(), memory_world(60)
    scaler = Scaler.fit(NAMES, values, 0, 60)
    found = Predictor(network, scaler, CPU).stream(values, 0, 60)
    np.testing.assert_allclose(found, by_hand(network, scaler.transform(values)), atol=1e-6)


def test_a_stream_in_pieces_carries_its_state():
    network, (values, _) = small_network(), memory_world(64)
    with torch.inference_mode():
        whole, _ = network(torch.from_numpy(values)[:, None])
        first, state = network(torch.from_numpy(values[:20])[:, None])
        second, _ = network(torch.from_numpy(values[20:])[:, None], state)
    np.testing.assert_allclose(torch.cat([first, second]).numpy(), whole.numpy(), atol=1e-6)


def test_warm_up_rows_are_fed_and_not_returned():
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(100)
    values[:, 0] /= 30
    np.testing.assert_allclose(
        predictor.stream(values, 60, 100, warmup=60), predictor.stream(values, 0, 100)[60:], atol=1e-6
    )
    assert np.abs(predictor.stream(values, 60, 100) - predictor.stream(values, 0, 100)[60:])[0] > 1e-3


def test_long_streams_are_cut_without_a_trace(monkeypatch):
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(100)
    whole = predictor.stream(values, 0, 100)
    cold = predictor.cold_starts(values, np.array([0, 3, 40]), 50)
    for name in ("_ROWS_AT_ONCE", "_STEPS_AT_ONCE", "_WINDOWS_AT_ONCE"):
        monkeypatch.setattr(f"tradingai.engine.models.predict.{name}", 7 if name != "_WINDOWS_AT_ONCE" else 2)
    np.testing.assert_allclose(predictor.stream(values, 0, 100), whole, atol=1e-6)
    np.testing.assert_allclose(predictor.cold_starts(values, np.array([0, 3, 40]), 50), cold, atol=1e-6)


def test_cold_starts_truncated_and_windows_are_one_computation():
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(100)
    rows = np.array([30, 31, 99])
    each = [predictor.stream(values, row - 20, row + 1)[-1] for row in rows]
    np.testing.assert_allclose(predictor.truncated(values, rows, 20), each, atol=1e-6)
    windows = values[rows[:, None] + np.arange(-20, 1)]
    np.testing.assert_allclose(predictor.windows(windows), each, atol=1e-6)
    cold = predictor.cold_starts(values, rows[:2] - 20, 21)
    np.testing.assert_allclose(cold[:, -1, 0], each[:2], atol=1e-6)


def test_no_input_is_changed():
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(50)
    before = values.copy()
    predictor.stream(values, 0, 50)
    predictor.windows(values[None])
    assert (values == before).all()


def test_features_that_are_not_finite_are_named():
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(50)
    values[20, 1] = np.nan
    with pytest.raises(DataError, match="row 20"):
        predictor.stream(values, 10, 40)
    with pytest.raises(DataError, match="not finite"):
        predictor.windows(values[None, 15:25])
    predictor.stream(values, 0, 20)


@pytest.mark.parametrize(("lo", "hi", "warmup"), [(0, 51, 0), (5, 5, 0), (5, 10, 6), (-1, 4, 0)])
def test_rows_that_are_not_there_are_refused(lo, hi, warmup):
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(50)
    with pytest.raises(DataError, match="there are 50"):
        predictor.stream(values, lo, hi, warmup)


@pytest.mark.parametrize("rows", [[9], [50]])
def test_a_cold_start_needs_its_past(rows):
    predictor, (values, _) = Predictor(small_network(), PLAIN, CPU), memory_world(50)
    with pytest.raises(DataError, match="there are 50"):
        predictor.truncated(values, np.array(rows), 10)


def test_an_artifact_predicts_calibrated_probabilities():
    artifact, (values, _) = small_artifact(), memory_world(200)
    logits = predict_rows(artifact, values, 100, 200, first=20)[:, 0]
    expected = np.clip(sigmoid(0.7 * logits + 0.1), 0.01, 0.99)
    np.testing.assert_allclose(predict_probability(artifact, values[40:])[60:], expected, atol=1e-6)
    assert len(predict_rows(artifact, values, 30, 200, first=20)) == 170


def leaky(keep):
    """One unit whose cell forgets by the factor ``keep`` a bar and takes in nothing of its own state."""
    network = small_network(projection=1, hidden=1)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.zero_()
        network.projection.weight[0, 0] = 1.0
        network.lstm.weight_ih_l0[2, 0] = 1.0
        network.lstm.bias_ih_l0[:] = torch.tensor([0.0, float(np.log(keep / (1 - keep))), 0.0, 30.0])
        network.head.weight[0, 0] = 2.0
    return network


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.95])
def test_the_measured_warm_up_is_that_of_a_known_leak(keep):
    values = np.abs(np.random.default_rng(2).normal(size=(2_000, 3))).astype(np.float32)
    found = measure_warmup(Predictor(leaky(keep), PLAIN, CPU), values, 500, 2_000)
    drive = 0.5 * np.tanh(np.tanh(values[:, 0].astype(np.float64)))
    carried = np.zeros(2_000)
    for row in range(2_000):
        carried[row] = keep * carried[row - 1] * (row > 0) + drive[row]
    starts, needed = np.arange(500, 1_251), 0
    cold = np.zeros(len(starts))
    for bar in range(600):
        cold = keep * cold + drive[starts + bar]
        apart = np.abs(sigmoid(2.0 * np.tanh(cold)) - sigmoid(2.0 * np.tanh(carried[starts + bar])))
        needed = bar + 1 if apart.max() > 1e-6 else needed
    assert abs(found.measured - needed) <= 3
    assert found.bars >= 2 * found.measured > found.bars - 30
    assert found.bars % 30 == 0
    assert found.agrees
    assert found.difference <= 1e-6


def test_a_network_that_does_not_forget_says_so():
    values = np.random.default_rng(2).normal(0.0, 0.05, size=(1_000, 3)).astype(np.float32)
    found = measure_warmup(Predictor(leaky(0.9999), PLAIN, CPU), values, 400, 1_000)
    assert not found.agrees
    assert found.bars == 1440
    assert found.difference > 1e-6


def test_too_few_rows_measure_nothing():
    with pytest.raises(DataError, match="119 rows"):
        measure_warmup(Predictor(leaky(0.5), PLAIN, CPU), np.ones((400, 3), dtype=np.float32), 0, 119)


def test_reproducible_gives_the_callers_state_back():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with reproducible(CPU, threads + 1):
        assert torch.get_num_threads() == threads + 1
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        torch.manual_seed(5)
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_devices_are_asked_for_by_name():
    assert choose_compute("cpu").kind == "cpu"
    assert choose_compute("cpu").reduced is None
    with pytest.raises(UsageError, match="tpu"):
        choose_compute("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no cuda"):
            choose_compute("cuda")
