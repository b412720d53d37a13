"""Training the agent: from the stored features of all coins to a published artifact.

One agent for all coins, model ``ppo``. It is trained on the training range of every coin at once; after each
stage the greedy policy walks the early-stopping range from flat, at full costs, and the weights of the stage
with the highest mean net return are kept, of equals the first. Greedy, because nothing is drawn: the choice
rests on the weights alone. Then p_RL, asked with the position flat, is calibrated for each coin on the second
half of validation. The caller holds the model's training lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.events import PolicyUpdated, TrainingFinished, TrainingStarted
from tradingai.engine.core.jsonio import digest, iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.datasets.market import MarketDataset, load_market
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import Matrix
from tradingai.engine.models.artifact import ModelArtifact, Warmup, best_path, save_artifact
from tradingai.engine.models.calibration import fit_calibrator, sigmoid
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.policy import PolicyNetwork, RisePolicy
from tradingai.engine.models.predict import Predictor
from tradingai.engine.models.warmup import STARTS, TOLERANCE
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.history import write_history
from tradingai.engine.training.job import fit_scalers
from tradingai.engine.training.market_env import CoinRows, MarketEnv, reward_unit
from tradingai.engine.training.policy_run import action_logits, greedy_positions, net_log_returns
from tradingai.engine.training.ppo_config import PpoTraining, planned_steps
from tradingai.engine.training.ppo_fit import PpoFit, Stage
from tradingai.engine.training.ppo_record import agent_record
from tradingai.engine.training.ppo_state import AgentCheckpoint, load_agent, save_agent
from tradingai.engine.training.record import Calibrated, coin_part, training_identity
from tradingai.engine.training.resume import last_path
from tradingai.engine.training.standing import TrainingResult, finished, resumable, sweep

MODEL: Final = "ppo"
_BPS: Final = 1e4


def train_ppo(
    paths: HomePaths,
    symbols: Sequence[str],
    training: PpoTraining,
    reporter: Reporter,
    *,
    costs: ExecutionCosts,
    clock: Clock | None = None,
) -> TrainingResult:
    """Train, calibrate and publish the agent for ``symbols``; done already, it says so and returns.

    Goes on from the resume state of the same training. Raises MissingError without candles or features,
    DataError for coins whose minutes or markets differ and for too few rows, ArtifactError for damaged or
    outdated files and for the resume state of another training (see ``replace_unfinished``),
    InterruptedRunError at a safe point with everything kept.
    """
    data = load_market(paths, symbols)
    if training.steps is None:
        training = replace(training, steps=planned_steps(data.split.train.size * len(data.coins)))
    identity = agent_identity(data, training, costs)
    sweep(paths, MODEL)
    job = _Job(paths, data, training, costs, identity, reporter, clock or RealClock())
    if training.fresh:
        return job.run(None)
    done = finished(paths, MODEL, identity, load_agent)
    if done is not None:
        return done
    replace_unfinished = training.replace_unfinished
    return job.run(
        resumable(
            paths, MODEL, identity, load_agent, replace_unfinished=replace_unfinished, reporter=reporter
        )
    )


def agent_identity(data: MarketDataset, training: PpoTraining, costs: ExecutionCosts) -> dict[str, Any]:
    """Everything that determines the artifact's value hash, by name: the costs it learnt with included."""
    paid = {
        "pairs": costs.as_document()["pairs"], "spread_bps": costs.default_spread_bps,
        "slippage_bps": costs.default_slippage_bps, "commission_rate": costs.commission_rate,
    }  # fmt: skip
    settings = {"execution costs": digest(paid), **training.identity()}
    return training_identity(data.coins, MODEL, settings, choose_compute("cpu"))


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One run of a training, from wherever it stands to the published artifact."""

    paths: HomePaths
    data: MarketDataset
    training: PpoTraining
    costs: ExecutionCosts
    identity: dict[str, Any]
    reporter: Reporter
    clock: Clock

    def run(self, checkpoint: AgentCheckpoint | None) -> TrainingResult:
        """Fit, calibrate, publish; then the resume state may go."""
        started, run = self.clock.monotonic(), self._describe(checkpoint)
        scalers = fit_scalers(self.data)
        env, unit = self._environment(scalers)
        fit = self._fit(env, unit, scalers, checkpoint, run)
        artifact = self._artifact(env, fit, fit.run(), scalers, run)
        path = best_path(self.paths, MODEL)
        sha256 = save_artifact(path, artifact)
        last_path(self.paths, MODEL).unlink(missing_ok=True)
        seconds = self.clock.monotonic() - started
        self.reporter.emit(
            TrainingFinished(
                model=MODEL, epochs=len(fit.state.history), best_epoch=fit.state.best_stage.stage,
                validation_accuracy=artifact.record["validation"]["early_stop"]["accuracy"], seconds=seconds,
                sha256=sha256, early_stopped=False,
            )
        )  # fmt: skip
        rate = sum(fit.state.steps_per_s) / len(fit.state.steps_per_s)
        return TrainingResult(
            MODEL, path, sha256, artifact.record, skipped=False, seconds=seconds, bars_per_s=rate
        )

    def _describe(self, checkpoint: AgentCheckpoint | None) -> dict[str, Any]:
        """Facts about the run that do not change its result; a resumed run keeps its id."""
        if checkpoint is not None:
            return {**checkpoint.run, "resumes": checkpoint.run["resumes"] + 1}
        now = self.clock.now()
        return {
            "run": f"{now:%Y%m%dT%H%M%S.%fZ}-seed{self.training.seed}", "started_at": iso_z(now),
            "resumes": 0, "market": self.data.market, "synthetic": self.data.synthetic,
            "epochs": self.training.stages, "seed": self.training.seed,
            "device": choose_compute("cpu").label, "threads": self.training.threads,
            "torch": torch.__version__,
        }  # fmt: skip

    def _rows(self, scalers: Mapping[str, Scaler], rows: Rows) -> list[CoinRows]:
        return [CoinRows.of(coin, scalers[coin.symbol], rows) for coin in self.data.coins]

    def _environment(self, scalers: Mapping[str, Scaler]) -> tuple[MarketEnv, float]:
        """Lanes over the training range of every coin, and the unit of a reward."""
        rows = self._rows(scalers, self.data.split.train)
        unit, training = reward_unit(rows), self.training
        lanes = max(1, training.lanes // len(rows))
        return MarketEnv(
            rows, lanes, self.costs, unit=unit, seed=training.seed, cost_rise=training.cost_rise
        ), unit

    def _fit(
        self, env: MarketEnv, unit: float, scalers: Mapping[str, Scaler],
        checkpoint: AgentCheckpoint | None, run: dict[str, Any],
    ) -> PpoFit:  # fmt: skip
        training = self.training
        unseen = self._rows(scalers, self.data.split.early_stop)

        def judge(network: PolicyNetwork) -> float:
            return float(np.mean(net_returns(network, unseen, self.costs))) / unit

        def save(fit: PpoFit) -> None:
            save_agent(last_path(self.paths, MODEL), fit, self.identity, run)
            rated = zip(fit.state.history, fit.state.steps_per_s, strict=True)
            curve = [{**_line(stage, unit), "env_steps_per_s": rate} for stage, rate in rated]
            write_history(self.paths, MODEL, run, curve)

        def told(fit: PpoFit, stage: Stage) -> None:
            self.reporter.emit(
                PolicyUpdated(
                    model=MODEL, stages=training.stages, env_steps_per_s=fit.state.steps_per_s[-1],
                    eta_s=fit.eta_s or 0.0, **_line(stage, unit),
                )
            )  # fmt: skip

        fit = PpoFit(
            env, training, judge=judge, reporter=self.reporter, clock=self.clock, save=save, told=told,
            restore=checkpoint.restore if checkpoint else lambda _: None, model=MODEL,
        )  # fmt: skip
        self.reporter.emit(
            TrainingStarted(
                model=MODEL, run=run["run"], epochs=training.stages,
                finished_epochs=checkpoint.finished_epochs if checkpoint else 0,
                bars=fit.per_stage * fit.per_update, lanes=env.shape[0] * env.shape[1],
                chunk=training.rollout, device=run["device"], threads=training.threads, seed=training.seed,
                resumed=checkpoint is not None,
            )
        )  # fmt: skip
        return fit

    def _artifact(
        self,
        env: MarketEnv,
        fit: PpoFit,
        network: PolicyNetwork,
        scalers: Mapping[str, Scaler],
        run: dict[str, Any],
    ) -> ModelArtifact:
        """Calibrate on the second half of validation, score the first, and join the parts."""
        split, cpu = self.data.split, choose_compute("cpu")
        with reproducible(cpu, self.training.threads):
            predictor = Predictor(RisePolicy(network), Scaler.beside(scalers), cpu)
            values = self.data.values
            early = predictor.stream_all(values, *split.early_stop)
            late = predictor.stream_all(values, *split.calibration)
            self.reporter.safe_point()
            warmup = no_memory(predictor, values, split.calibration, late)
            calibrated = [
                Calibrated(one, logits, fit_calibrator(logits, one.labels[split.calibration.slice]))
                for one, logits in zip(self.data.coins, np.ascontiguousarray(late.T), strict=True)
            ]
        return ModelArtifact(
            model=MODEL,
            kind="ppo",
            coins=tuple(
                coin_part(one.data, scalers[one.data.symbol], one.fit.calibrator) for one in calibrated
            ),
            config=network.config.as_dict(),
            tensors=dict(network.state_dict()),
            warmup=warmup,
            record=agent_record(self.identity, env, fit.state, calibrated, early),
            market=self.data.market,
            synthetic=self.data.synthetic,
            notes={
                **run, "created_at": iso_z(self.clock.now()), "bars_per_s": list(fit.state.steps_per_s),
            },
        )  # fmt: skip


def net_returns(network: PolicyNetwork, rows: Sequence[CoinRows], costs: ExecutionCosts) -> Floats:
    """Net log return of the greedy policy over each minute, from flat, all coins one after another, float64.

    ``rows`` are in the order of the network's coins.
    """
    grown = [
        net_log_returns(greedy_positions(action_logits(network, number, one)), one, costs)
        for number, one in enumerate(rows)
    ]
    return np.concatenate(grown)


def no_memory(predictor: Predictor, values: Matrix, rows: Rows, logits: Floats) -> Warmup:
    """The warm-up of a network without memory: none. What is measured is that it has none.

    Up to 1,024 evenly spaced ``rows`` are asked each from a cold start; ``logits`` float64 [rows, coins] are
    what was said when all were asked one after another.
    """
    starts = np.unique(np.linspace(0, rows.size - 1, STARTS).astype(np.int64))
    alone = predictor.cold_starts(values, rows.lo + starts, 1)[:, 0]
    difference = float(np.abs(sigmoid(alone) - sigmoid(logits[starts])).max())
    return Warmup(
        bars=0, measured=0, agrees=difference <= TOLERANCE, difference=difference, tolerance=TOLERANCE,
        starts=len(starts),
    )  # fmt: skip


def _line(stage: Stage, unit: float) -> dict[str, Any]:
    """A stage as events and curves have it: rewards become basis points a minute."""
    known = asdict(stage)
    return {
        **{name: value for name, value in known.items() if name not in {"mean_return", "validation_reward"}},
        "mean_return_bps": stage.mean_return * unit * _BPS,
        "validation_return_bps": stage.validation_reward * unit * _BPS,
    }
