"""The recurrent network: one coin's features, minute by minute, to the logit of P(up in 15 minutes)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from tradingai.engine.core.errors import ArtifactError

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state, each float32 [1, lanes, hidden]."""


@dataclass(frozen=True, slots=True)
class LstmConfig:
    """Shape of the network. A narrow projection keeps noise among the features from being memorised."""

    inputs: int
    """Features a minute."""
    projection: int = 16
    hidden: int = 32

    def as_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> LstmConfig:
        """The inverse of :meth:`as_dict`. Raises ArtifactError for other keys."""
        try:
            return cls(**{item.name: document[item.name] for item in fields(cls)})
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"damaged network configuration: {type(error).__name__} {error}") from error


class LstmNetwork(nn.Module):
    """tanh(W x) → LSTM → linear head.

    Sources: Hochreiter & Schmidhuber, Long Short-Term Memory (1997); the forget gate, Gers et al. (2000).
    """

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Linear(config.inputs, config.projection)
        self.lstm = nn.LSTM(config.projection, config.hidden)
        self.head = nn.Linear(config.hidden, 1)

    def forward(self, scaled: Tensor, state: LstmState | None = None) -> tuple[Tensor, LstmState]:
        """Logits float32 [steps, lanes, 1] and the state after the last step.

        ``scaled`` is float32 [steps, lanes, inputs], standardised; ``state`` None starts cold, from zeros.
        """
        hidden, state = self.lstm(torch.tanh(self.projection(scaled)), state)
        return self.head(hidden).float(), state


def build_lstm(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LstmNetwork:
    """The network of stored weights, in evaluation mode. Raises ArtifactError when they do not fit."""
    with torch.random.fork_rng(devices=[]):  # random first weights are overwritten: draw them from a copy
        network = LstmNetwork(LstmConfig.from_dict(config))
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ArtifactError(f"the stored weights do not fit the network: {error}") from error
    return network.eval()
