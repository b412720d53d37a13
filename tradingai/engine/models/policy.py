"""The agent's network: a minute's features and the position held, to a choice of position and a value.

It has no memory: what it says of a minute depends on that minute's features and on the position alone. For
evaluation and live use it is always asked with the position *flat*, so that the probability of a rise is a
pure function of the minute's features: live equals batch exactly, and there is no state to carry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import torch
from torch import Tensor, nn

from tradingai.engine.core.errors import ArtifactError

SHORT: Final = 0
FLAT: Final = 1
LONG: Final = 2
ACTIONS: Final = 3
"""An action is the position to hold over the next minute; minus 1 it is the exposure −1, 0 or +1."""
_LN2: Final = math.log(2.0)
_FIRST_HOLD: Final = 2.0


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Shape of the network: a layer of its own for each coin, then two layers that all coins share."""

    coins: int
    inputs: int
    """Features a minute; equal for all coins, though lead-lag columns mean other peers in each."""
    hidden: int = 32
    width: int = 32

    def as_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> PolicyConfig:
        """The inverse of :meth:`as_dict`. Raises ArtifactError for other keys."""
        try:
            return cls(**{item.name: document[item.name] for item in fields(cls)})
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"damaged network configuration: {type(error).__name__} {error}") from error


class PolicyNetwork(nn.Module):
    """tanh(W_coin x) → tanh(V h + position) → three action logits and a value.

    The logit of keeping the position gets ``hold`` on top, a learned number that starts at 2: an untrained
    agent then holds a position for minutes, and so finds out what positions earn before costs teach it to
    have none. First weights are orthogonal with small heads, as in Andrychowicz et al., What Matters In
    On-Policy Reinforcement Learning? (2020).
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.input_weight = nn.Parameter(torch.empty(config.coins, config.inputs, config.hidden))
        self.input_bias = nn.Parameter(torch.zeros(config.coins, 1, config.hidden))
        self.trunk = nn.Linear(config.hidden, config.width)
        self.position = nn.Parameter(torch.zeros(ACTIONS, config.width))
        self.actor = nn.Linear(config.width, ACTIONS)
        self.critic = nn.Linear(config.width, 1)
        self.hold = nn.Parameter(torch.tensor(_FIRST_HOLD))
        self.one_hot: Tensor
        self.register_buffer("one_hot", torch.eye(ACTIONS), persistent=False)
        for weight in self.input_weight:
            nn.init.orthogonal_(weight)
        nn.init.orthogonal_(self.trunk.weight)
        nn.init.normal_(self.position, std=0.1)
        nn.init.orthogonal_(self.actor.weight, gain=0.01)
        nn.init.orthogonal_(self.critic.weight)
        for layer in (self.trunk, self.actor, self.critic):
            nn.init.zeros_(layer.bias)

    def forward(self, scaled: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Action logits float32 [coins, n, 3] and values float32 [coins, n].

        ``scaled`` is float32 [coins, n, inputs], standardised; ``position`` int64 [coins, n] of
        SHORT, FLAT, LONG.
        """
        return self.heads(self.body(scaled), position)

    def body(self, scaled: Tensor) -> Tensor:
        """What does not depend on the position: float32 [coins, n, width]."""
        hidden = torch.tanh(torch.baddbmm(self.input_bias, scaled, self.input_weight))
        joined: Tensor = self.trunk(hidden)
        return joined

    def heads(self, body: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Action logits and values for what :meth:`body` returned; otherwise as :meth:`forward`."""
        held = self.one_hot[position]
        joined = torch.tanh(body + held @ self.position)
        return self.actor(joined) + self.hold * held, self.critic(joined).squeeze(-1)

    def one_coin(self, coin: int, scaled: Tensor) -> Tensor:
        """Action logits of one coin's minutes [n, inputs] for each position held: float32 [n, 3, 3]."""
        hidden = torch.tanh(torch.addmm(self.input_bias[coin], scaled, self.input_weight[coin]))
        positions = torch.arange(ACTIONS).expand(len(scaled), ACTIONS)
        logits: Tensor = self.heads(self.trunk(hidden)[:, None], positions)[0]
        return logits


def rise_logits(action_logits: Tensor) -> Tensor:
    """The logit of p = π(long) + ½·π(flat) from action logits [..., 3]: float32 [...].

    p / (1 − p) = (2π(long)/π(flat) + 1) / (2π(short)/π(flat) + 1), taken in logarithms: no digit is lost
    where the policy is nearly sure, of *flat* least of all.
    """
    flat = action_logits[..., FLAT] - _LN2
    rise, fall = action_logits[..., LONG] - flat, action_logits[..., SHORT] - flat
    return nn.functional.softplus(rise) - nn.functional.softplus(fall)


class RisePolicy(nn.Module):
    """The agent as everything else asks it: with the position flat, about every coin, for a rise.

    Its interface is that of :mod:`tradingai.engine.models.predict`; it carries no state.
    """

    def __init__(self, policy: PolicyNetwork) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, scaled: Tensor, state: None = None) -> tuple[Tensor, None]:
        """Logits of p_RL float32 [steps, lanes, coins], and no state.

        ``scaled`` float32 [steps, lanes, coins · inputs] holds the coins' features side by side.
        """
        config = self.policy.config
        steps, lanes, _ = scaled.shape
        by_coin = scaled.reshape(steps * lanes, config.coins, config.inputs).transpose(0, 1)
        flat = torch.full(by_coin.shape[:2], FLAT, device=scaled.device)
        logits, _ = self.policy(by_coin, flat)
        return rise_logits(logits).transpose(0, 1).reshape(steps, lanes, config.coins), state


def build_policy(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PolicyNetwork:
    """The network of stored weights, in evaluation mode. Raises ArtifactError when they do not fit."""
    with torch.random.fork_rng(devices=[]):  # random first weights are overwritten: draw them from a copy
        network = PolicyNetwork(PolicyConfig.from_dict(config))
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ArtifactError(f"the stored weights do not fit the network: {error}") from error
    return network.eval()


def build_rise(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> RisePolicy:
    """The agent of stored weights as it is asked for a rise. Raises ArtifactError as :func:`build_policy`."""
    return RisePolicy(build_policy(config, tensors)).eval()
