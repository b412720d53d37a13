"""A world an LSTM can learn in seconds, and what trains on it without a home."""

from dataclasses import replace

import numpy as np
import torch
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import InterruptedRunError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import CoinPart, ModelArtifact, Warmup
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.device import choose_compute
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.stream import FitTask, StreamFit

CPU = choose_compute("cpu")
NAMES = ("news", "noise_a", "noise_b")


def memory_world(rows=6_000, seed=0):
    """The label is the sign of the sum of the last four values of ``news``: it takes memory to see it.

    float32 [rows, 3] in odd units and int8 [rows], of which every eleventh is missing.
    """
    rng = np.random.default_rng(seed)
    news, noise = rng.normal(size=rows), rng.normal(size=(rows, 2))
    total = np.convolve(news, np.ones(4))[:rows]
    labels = (total > 0).astype(np.int8)
    labels[::11] = -1
    values = np.column_stack([30.0 * news - 7.0, noise]).astype(np.float32)
    return values, labels


def memory_task(rows=6_000, seed=0, train=None, early_stop=None):
    """Train on the first two thirds, stop early on the rest."""
    values, labels = memory_world(rows, seed)
    train = train or (Rows(0, rows * 2 // 3),)
    scaler = Scaler.fit(NAMES, values, train[0].lo, train[0].hi)
    return FitTask("lstm_X-USD", values, labels, scaler, train, early_stop or Rows(rows * 2 // 3, rows))


def fit(task, training=None, reporter=None, **hooks):
    """The fit, not yet run."""
    training, reporter = training or LstmTraining(epochs=3), reporter or SilentReporter()
    return StreamFit(task, training, compute=CPU, reporter=reporter, clock=RealClock(), **hooks)


class StopAt(SilentReporter):
    """Asks to stop at the n-th safe point, counted from 1."""

    def __init__(self, safe_point):
        super().__init__()
        self._left = safe_point

    def safe_point(self):
        """Raise when it is time."""
        self._left -= 1
        if self._left == 0:
            raise InterruptedRunError("stopped by the test")


def weights(network):
    """Name to bytes, for exact comparison."""
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def small_network(seed=0, inputs=3, **shape):
    """A network with random weights, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LstmNetwork(LstmConfig(inputs, **{"projection": 4, "hidden": 6, **shape})).eval()


def small_part(symbol="BTC-USD", **changes):
    """What an artifact carries of one coin."""
    part = CoinPart(
        symbol=symbol,
        scaler=Scaler(NAMES, np.array([1.0, 2.0, 1 / 3]), np.array([1.0, 0.5, 2.0]), 10, 90),
        calibrator=Calibrator("platt", 0.7, 0.1),
        feature_names=NAMES,
        feature_sha256=("a" * 64, "b" * 64, "c" * 64),
        definitions_sha256="d" * 64,
    )
    return replace(part, **changes)


def with_part(artifact, **changes):
    """The artifact of one coin with that coin's part changed."""
    (part,) = artifact.coins
    return replace(artifact, coins=(replace(part, **changes),))


def small_artifact(model="lstm_BTC-USD", **changes):
    """An artifact of a random network, as training would publish it."""
    network = small_network()
    artifact = ModelArtifact(
        model=model,
        kind="lstm",
        coins=(small_part(model.removeprefix("lstm_")),),
        config=network.config.as_dict(),
        tensors=dict(network.state_dict()),
        warmup=Warmup(60, 25, agrees=True, difference=1e-8, tolerance=1e-6, starts=100),
        record={"identity": {"seed": 1}, "epochs_run": 3},
        market="cycles",
        synthetic=True,
        notes={"created_at": "2025-11-10T01:07:00Z"},
    )
    return replace(artifact, **changes)
