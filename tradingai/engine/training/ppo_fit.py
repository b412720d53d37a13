"""Proximal policy optimisation, to be read from top to bottom.

Collect ``rollout`` steps of every lane with the policy as it is, estimate how much better each action was
than expected, and raise the probability of the better ones, in small steps that stay near the policy that
collected. Sources: Schulman et al., Proximal Policy Optimization Algorithms (2017); Huang et al., The 37
Implementation Details of Proximal Policy Optimization (2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import InterruptedRunError, TradingAIError
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.policy import ACTIONS, PolicyConfig, PolicyNetwork, build_policy
from tradingai.engine.training.environment import VectorEnv
from tradingai.engine.training.gae import advantages
from tradingai.engine.training.ppo_config import PpoTraining

_FINAL_RATE: Final = 0.1
_TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage of several updates came to: means over its steps, then the judgement at its end."""

    stage: int
    env_steps: int
    """Collected since the training began."""
    mean_return: float
    """Reward a step, while exploring."""
    entropy: float
    """Of the policy, nats; at most ln 3."""
    approx_kl: float
    """KL divergence from the policy that collected, nats (Schulman's estimator (ρ − 1) − ln ρ)."""
    clip_fraction: float
    """Share of the steps whose probability ratio met the clip."""
    value_loss: float
    validation_reward: float
    best: bool


@dataclass(slots=True, eq=False)
class PpoState:
    """Where a training stands between two updates; with network, optimiser and environment all there is."""

    update: int = 0
    sums: Tensor = field(default_factory=lambda: torch.zeros(5, dtype=torch.float64))
    """Of return, entropy, KL, clip fraction and value loss, over the updates of this stage."""
    seconds: float = 0.0
    history: list[Stage] = field(default_factory=list)
    steps_per_s: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_stage(self) -> Stage:
        """The stage with the highest validation reward so far, the first of equals."""
        return next(stage for stage in reversed(self.history) if stage.best)


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """Steps collected with one policy, [coins, rollout · lanes, …], and what the update needs of them."""

    features: Tensor
    position: Tensor
    action: Tensor
    log_probability: Tensor
    advantage: Tensor
    target: Tensor
    """What the value should have been."""
    mean_reward: float


class PpoFit:
    """One training of one network on one environment: :meth:`run` goes from where it stands to the end.

    ``judge`` gives the mean reward a step on unseen rows; the weights of the stage with the highest one are
    kept. ``save`` is called between two updates: every ``checkpoint_every_s`` seconds, after each stage, and
    before an interruption is let through; ``restore`` once, before the first update; ``told`` after each
    stage.
    """

    def __init__(
        self,
        env: VectorEnv,
        training: PpoTraining,
        *,
        judge: Callable[[PolicyNetwork], float],
        reporter: Reporter,
        clock: Clock,
        save: Callable[[PpoFit], None] = lambda _: None,
        restore: Callable[[PpoFit], None] = lambda _: None,
        told: Callable[[PpoFit, Stage], None] = lambda *_: None,
        model: str = "ppo",
    ) -> None:
        self.env, self.training, self.state, self._model = env, training, PpoState(), model
        self._judge, self._reporter, self._clock = judge, reporter, clock
        self._save, self._restore, self._told = save, restore, told
        self._compute = choose_compute("cpu")  # the network is too small for an accelerator to be faster
        self._saved_at = self._told_at = clock.monotonic()
        self.per_update = env.shape[0] * env.shape[1] * training.rollout
        self.per_stage = math.ceil((training.steps or 1) / (training.stages * self.per_update))
        self.updates = self.per_stage * training.stages
        self.generator = torch.Generator().manual_seed(training.seed)
        with reproducible(self._compute, training.threads):
            torch.manual_seed(training.seed)
            config = PolicyConfig(env.shape[0], env.inputs, training.hidden, training.width)
            self.network = PolicyNetwork(config)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), eps=1e-5, weight_decay=training.weight_decay, fused=True
        )

    def run(self) -> PolicyNetwork:
        """Train to the end; the best stage's network, in evaluation mode.

        Raises InterruptedRunError at a safe point, TradingAIError when the loss is no number any more.
        """
        with reproducible(self._compute, self.training.threads):
            self._restore(self)
            while self.state.update < self.updates:
                began = self._clock.monotonic()
                self.env.advance(self.state.update / self.updates)
                self._update(self._collect())
                self.state.update += 1
                self.state.seconds += self._clock.monotonic() - began
                if self.state.update % self.per_stage == 0:
                    self._finish_stage()
                elif self._clock.monotonic() - self._told_at >= _TELL_EVERY_S:
                    self._tell()
                self._checkpoint_if_due()
        return build_policy(self.network.config.as_dict(), self.state.best)

    def _collect(self) -> Rollout:
        """Watch all lanes for ``rollout`` steps with the policy as it is."""
        env, steps = self.env, self.training.rollout
        features = torch.empty((steps, *env.shape, env.inputs))
        logits = torch.empty((steps, *env.shape, ACTIONS))
        position, action = (torch.empty((steps, *env.shape), dtype=torch.int64) for _ in range(2))
        value, after, reward = (torch.empty((steps, *env.shape)) for _ in range(3))
        terminated, truncated = (torch.empty((steps, *env.shape), dtype=torch.bool) for _ in range(2))
        with torch.inference_mode():
            for t in range(steps):
                features[t], position[t] = env.observe()
                logits[t], value[t] = self.network(features[t], position[t])
                action[t] = self._drawn(logits[t])
                step = env.step(action[t])
                reward[t], terminated[t], truncated[t] = step.reward, step.terminated, step.truncated
                if step.final is not None:
                    after[t] = self.network(*step.final)[1]
            upcoming = torch.cat([value[1:], self.network(*env.observe())[1][None]])
            after = torch.where(truncated, after, upcoming)
            log_probability = torch.log_softmax(logits, dim=-1).gather(-1, action[..., None]).squeeze(-1)
        advantage = advantages(
                reward, value, after, terminated, truncated,
                discount=self.training.discount, gae_lambda=self.training.gae_lambda,
            )  # fmt: skip
        return Rollout(
            features=_by_coin(features), position=_by_coin(position), action=_by_coin(action),
            log_probability=_by_coin(log_probability), advantage=_by_coin(advantage),
            target=_by_coin(advantage + value), mean_reward=float(reward.mean()),
        )  # fmt: skip

    def _drawn(self, logits: Tensor) -> Tensor:
        """An action of each lane with the policy's probabilities, int64 [coins, lanes]."""
        chance = torch.softmax(logits, dim=-1)
        share = torch.rand(chance.shape[:-1], generator=self.generator)
        return (share > chance[..., 0]).long() + (share > chance[..., 0] + chance[..., 1]).long()

    def _update(self, seen: Rollout) -> None:
        """Several passes of minibatches over what was collected, the same minutes of every coin together."""
        training, coins = self.training, self.env.shape[0]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(training, self.state.update, self.updates)
        columns = seen.action.shape[1]
        told: list[Tensor] = []
        for _ in range(training.passes):
            order = torch.randperm(columns, generator=self.generator)
            batches = torch.split(order, max(1, training.minibatch // coins))
            told.extend(self._gradient_step(seen, batch) for batch in batches)
        entropy, kl, clipped, value_loss = torch.stack(told).double().mean(dim=0)
        self.state.sums += torch.stack(
            [torch.tensor(seen.mean_reward).double(), entropy, kl, clipped, value_loss]
        )
        if not math.isfinite(float(self.state.sums.sum())):
            raise TradingAIError(
                f"the agent diverged: in update {self.state.update + 1} its loss is no number",
                remedy="Look at `tradingai data quality`, then train with another --seed and --fresh.",
            )

    def _gradient_step(self, seen: Rollout, batch: Tensor) -> Tensor:
        """One minibatch; entropy, KL, clip fraction and value loss, float32 [4]."""
        training = self.training
        features, position, action, old, advantage, target = (
            x.index_select(1, batch)
            for x in (
                seen.features, seen.position, seen.action, seen.log_probability, seen.advantage, seen.target,
            )
        )  # fmt: skip
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        logits, value = self.network(features, position)
        choice = torch.log_softmax(logits, dim=-1)
        log_ratio = choice.gather(-1, action[..., None]).squeeze(-1) - old
        ratio = log_ratio.exp()
        limited = ratio.clamp(1.0 - training.clip, 1.0 + training.clip)
        policy_loss = -torch.minimum(ratio * advantage, limited * advantage).mean()
        value_loss = nn.functional.mse_loss(value, target)
        entropy = -(choice.exp() * choice).sum(dim=-1).mean()
        loss = policy_loss + training.value_weight * value_loss - training.entropy_bonus * entropy
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_limit)
        self.optimizer.step()
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            clipped = ((ratio - 1.0).abs() > training.clip).float().mean()
            return torch.stack([entropy.detach(), kl, clipped, value_loss.detach()])

    def _finish_stage(self) -> None:
        """Judge the policy on unseen rows, keep its weights when they are the best, tell."""
        state = self.state
        reward = self._judge(self.network)
        best = not state.history or reward > state.best_stage.validation_reward
        if best:
            state.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        mean_return, entropy, kl, clipped, value_loss = (state.sums / self.per_stage).tolist()
        stage = Stage(
            stage=len(state.history) + 1, env_steps=state.update * self.per_update, mean_return=mean_return,
            entropy=entropy, approx_kl=kl, clip_fraction=clipped, value_loss=value_loss,
            validation_reward=reward, best=best,
        )  # fmt: skip
        state.history.append(stage)
        steps = self.per_stage * self.per_update
        state.steps_per_s.append(steps / state.seconds if state.seconds > 0 else 0.0)
        state.sums, state.seconds = torch.zeros_like(state.sums), 0.0
        self._checkpoint()
        self._tell()
        self._told(self, stage)

    @property
    def steps(self) -> int:
        """Environment steps of the whole training."""
        return self.updates * self.per_update

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the rate of the last stage, or of this one while there is none."""
        rate = self._rate
        return (self.steps - self.state.update * self.per_update) / rate if rate else None

    @property
    def _rate(self) -> float | None:
        """Environment steps a second, learning included."""
        state = self.state
        if state.seconds > 0:
            return (state.update - len(state.history) * self.per_stage) * self.per_update / state.seconds
        return state.steps_per_s[-1] if state.steps_per_s else None

    def _tell(self) -> None:
        """Report progress."""
        self._told_at = self._clock.monotonic()
        last = self.state.history[-1] if self.state.history else None
        self._reporter.progress(
            Progress(
                done=self.state.update * self.per_update, total=self.steps, unit="env steps", rate=self._rate,
                eta_s=self.eta_s,
                detail={
                    "model": self._model, "epochs": self.training.stages,
                    "epoch": min(len(self.state.history) + 1, self.training.stages),
                    "mean_return": last.mean_return if last else None,
                    "validation_reward": last.validation_reward if last else None,
                    "entropy": last.entropy if last else None,
                    "env_steps_per_s": self._rate, "device": self._compute.label,
                    "threads": self.training.threads,
                },
            )
        )  # fmt: skip

    def _checkpoint_if_due(self) -> None:
        """Save when it is time; when a stop was asked for, save and let the interruption through."""
        try:
            self._reporter.safe_point()
        except InterruptedRunError:
            self._checkpoint()
            raise
        if self._clock.monotonic() - self._saved_at >= self.training.checkpoint_every_s:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._save(self)
        self._saved_at = self._clock.monotonic()


def learning_rate(training: PpoTraining, update: int, updates: int) -> float:
    """Linear from the peak to a tenth of it."""
    return training.peak_learning_rate * (1.0 - (1.0 - _FINAL_RATE) * update / updates)


def _by_coin(collected: Tensor) -> Tensor:
    """[steps, coins, lanes, …] to [coins, steps · lanes, …]."""
    return collected.transpose(0, 1).flatten(1, 2).contiguous()
