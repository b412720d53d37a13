"""The product's own training, short and on shuffled labels: the part of check 5 that depends on the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.reporting import Reporter, SilentReporter
from tradingai.engine.datasets.labels import NO_LABEL, UP, Labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.leakage.examined import Examined
from tradingai.engine.evaluation.leakage.shuffled import ShuffledFit
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.calibration import fit_calibrator
from tradingai.engine.models.device import choose_compute
from tradingai.engine.models.policy import PolicyNetwork, RisePolicy
from tradingai.engine.models.predict import Predictor, inputs_of
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.config import LstmTraining, Training, TransformerTraining
from tradingai.engine.training.market_env import CoinRows, MarketEnv, reward_unit
from tradingai.engine.training.ppo import net_returns
from tradingai.engine.training.ppo_config import PpoTraining
from tradingai.engine.training.ppo_fit import PpoFit
from tradingai.engine.training.stream import FitTask, StreamFit

RERUN_BARS: Final = 24_000
"""Training bars: the newest that training consumed."""
RERUN_SCORED: Final = 12_000
RERUN_EPOCHS: Final = 2
AGENT_VISITS: Final = 4
"""How often the agent meets each training bar."""
AGENT_LANES: Final = 96
AGENT_MOVE: Final = 0.01
"""Log return a minute that the agent's price moves by: enough to pay for trading every minute."""

Ints = npt.NDArray[np.int64]


def short_training(examined: Examined, reporter: Reporter, clock: Clock) -> ShuffledFit:
    """Two epochs of the model's own trainer on the newest rows that training consumed."""
    return TRAININGS[examined.artifact.kind](examined, reporter, clock)


def _network(settings: type[Training]) -> Callable[[Examined, Reporter, Clock], ShuffledFit]:
    """The streaming training of an LSTM or a Transformer; of several coins only this one has labels."""

    def prepare(examined: Examined, reporter: Reporter, clock: Clock) -> ShuffledFit:
        train, judge, test = _rows(examined)
        artifact, symbol = examined.artifact, examined.data.symbol
        coin = artifact.symbols.index(symbol)
        scaler = Scaler.beside({part.symbol: part.scaler for part in artifact.coins})
        values = inputs_of([examined.values[name] for name in artifact.symbols])

        def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
            of_all = np.full((len(labels), len(artifact.coins)), NO_LABEL, dtype=np.int8)
            of_all[:, coin] = labels
            task = FitTask(
                model=f"{artifact.model} on shuffled labels", values=values, labels=of_all,
                scaler=scaler, train=(train,), early_stop=judge, first=examined.first,
            )  # fmt: skip
            quiet, compute = _Unheard(reporter), choose_compute("cpu")
            training = settings(epochs=RERUN_EPOCHS, seed=seed, threads=examined.record["threads"])
            fitted = StreamFit(task, training, compute=compute, reporter=quiet, clock=clock).run()
            predictor = Predictor(fitted.network, scaler, compute, coin)
            warmup = min(examined.voice.warmup, test.lo - examined.first)
            logits = predictor.stream(values, test.lo, test.hi, warmup)
            return test.indices(), logits > 0.0

        return fit

    return prepare


def _agent(examined: Examined, reporter: Reporter, clock: Clock) -> ShuffledFit:
    """The agent's training on a price whose next minute goes where the shuffled label says.

    The agent learns from prices and sees no label; this is how a label would reach it.
    """
    train, judge, test = _rows(examined)
    data, scaler, costs = examined.data, examined.coin.scaler, ExecutionCosts()

    def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        step = np.where(labels == NO_LABEL, 0.0, np.where(labels == UP, AGENT_MOVE, -AGENT_MOVE))
        close = np.exp(np.concatenate([[0.0], np.cumsum(step)[:-1]]))

        def made(rows: Rows) -> CoinRows:
            return CoinRows(data.symbol, data.values, close, data.ts0, scaler, rows)

        def judged(network: PolicyNetwork) -> float:
            return float(np.mean(net_returns(network, [made(judge)], costs)))

        training = PpoTraining(
            seed=seed, threads=examined.record["threads"], steps=AGENT_VISITS * train.size,
            lanes=AGENT_LANES, stages=RERUN_EPOCHS,
        )  # fmt: skip
        rows = [made(train)]
        env = MarketEnv(
            rows, AGENT_LANES, costs, unit=reward_unit(rows), seed=seed, cost_rise=training.cost_rise
        )
        quiet, compute = _Unheard(reporter), choose_compute("cpu")
        network = PpoFit(env, training, judge=judged, reporter=quiet, clock=clock).run()
        predictor = Predictor(RisePolicy(network).eval(), scaler, compute)
        return test.indices(), predictor.stream(data.values, test.lo, test.hi) > 0.0

    return fit


def _ensemble(examined: Examined, reporter: Reporter, clock: Clock) -> ShuffledFit:
    """What an ensemble fits are its calibrators: here on the early-stopping rows, which have labels."""
    del clock
    _, judge, test = _rows(examined)
    symbol, first = examined.data.symbol, examined.first
    reporter.safe_point()
    fitted_on = examined.voice.calibrated(examined.values, *judge, first, symbol)
    scored_on = examined.voice.calibrated(examined.values, *test, first, symbol)

    def fit(labels: Labels, seed: int) -> tuple[Ints, npt.NDArray[np.bool_]]:  # noqa: ARG001
        if not fitted_on:
            return test.indices(), examined.probability[: test.size] > 0.5
        calibrator = fit_calibrator(fitted_on[-1].logits, labels[judge.slice]).calibrator
        return test.indices(), calibrator.probability(scored_on[-1].logits) > 0.5

    return fit


def _rows(examined: Examined) -> tuple[Rows, Rows, Rows]:
    """Rows to train on, to stop early by, and to be scored on."""
    last = max(examined.scored("train"), key=lambda rows: rows.hi)
    train = Rows(max(last.lo, last.hi - RERUN_BARS), last.hi)
    test = Rows(examined.test.lo, min(examined.test.hi, examined.test.lo + RERUN_SCORED))
    return train, examined.scored("early_stop")[0], test


class _Unheard(SilentReporter):
    """Keeps the events of a training that is only a test to itself, and lets a stop through."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def safe_point(self) -> None:
        self._reporter.safe_point()


TRAININGS: Final[Mapping[str, Callable[[Examined, Reporter, Clock], ShuffledFit]]] = {
    "lstm": _network(LstmTraining),
    "transformer": _network(TransformerTraining),
    "ppo": _agent,
    "ensemble": _ensemble,
}
"""By kind of model."""
