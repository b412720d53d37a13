"""What tells one network's training from another's: how it is made, what it says, what is minimised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from tradingai.engine.core.errors import DataError
from tradingai.engine.features.side_by_side import Matrix, SideBySide
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork, build_lstm
from tradingai.engine.models.transformer import TransformerConfig, TransformerNetwork, build_transformer
from tradingai.engine.models.warmup import LONGEST, MIN_ROWS
from tradingai.engine.training.config import LstmTraining, Training, TransformerTraining

Network = LstmNetwork | TransformerNetwork
State = tuple[Tensor, ...]
"""What a network carries from one chunk to the next."""


class Said(NamedTuple):
    """A network's answers to one chunk, float32 [steps, lanes, coins], and the state after it."""

    logits: Tensor
    trend: Tensor | None
    """Standardised forward return; None when the network has no such head."""
    state: State


class Losses(NamedTuple):
    """Sums over the labelled bars of a chunk."""

    minimised: Tensor
    cross_entropy: Tensor
    """Of the direction alone, nats."""


def new_network(training: Training, values: Matrix) -> Network:
    """A network with random weights for these inputs.

    Raises DataError for several coins where the network speaks of one, TypeError for settings of no network.
    """
    widths = values.widths if isinstance(values, SideBySide) else (int(values.shape[1]),)
    if isinstance(training, TransformerTraining):
        return TransformerNetwork(
            TransformerConfig(
                inputs=widths, projection=training.projection, width=training.width, heads=training.heads,
                layers=training.layers, window=training.window, feed_forward=training.feed_forward,
            )
        )  # fmt: skip
    if not isinstance(training, LstmTraining):
        raise TypeError(f"{type(training).__name__} are settings of no network")
    if len(widths) != 1:
        raise DataError(f"an LSTM reads one coin's features, not those of {len(widths)}")
    return LstmNetwork(LstmConfig(widths[0], training.projection, training.hidden))


def rebuilt(network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """A network of the same shape with these weights, in evaluation mode on the CPU."""
    build = build_transformer if isinstance(network, TransformerNetwork) else build_lstm
    return build(network.config.as_dict(), tensors)


def parameter_groups(network: Network) -> list[dict[str, Any]]:
    """For the optimiser: what weight decay pulls to zero, and what it leaves alone.

    An attention network's norms, biases and distances are left alone: a norm's gain at zero would silence its
    layer, and distances at zero would mean that all are alike.
    """
    parameters = list(network.parameters())
    if isinstance(network, LstmNetwork):
        return [{"params": parameters}]
    kept = {id(value) for name, value in network.named_parameters() if value.ndim == 1 or "distance" in name}
    return [
        {"params": [value for value in parameters if id(value) not in kept]},
        {"params": [value for value in parameters if id(value) in kept], "weight_decay": 0.0},
    ]


def answers(network: Network, scaled: Tensor, state: State | None) -> Said:
    """What the network says of ``scaled`` float32 [steps, lanes, F]; state None is a cold start."""
    if isinstance(network, TransformerNetwork):
        return Said(*network.outputs(scaled, state))
    if state is None:
        logits, after = network(scaled)
    else:
        hidden, cell = state
        logits, after = network(scaled, (hidden, cell))
    return Said(logits, None, after)


def losses(training: Training, said: Said, targets: Tensor, returns: Tensor | None) -> Losses:
    """Cross-entropy of the direction and, where there is a trend head, Huber's loss of its distance.

    ``targets`` int8 [steps, lanes, coins], -1 for bars without a label; ``returns`` float32, same shape.
    """
    known = (targets >= 0).float()
    direction = binary_cross_entropy_with_logits(
        said.logits, targets.clamp(min=0).float(), weight=known, reduction="sum"
    )
    if said.trend is None or returns is None or not isinstance(training, TransformerTraining):
        return Losses(direction, direction.detach())
    distance = (huber_loss(said.trend, returns, reduction="none") * known).sum()
    return Losses(direction + training.trend_share * distance, direction.detach())


def longest_warmup(network: Network) -> int:
    """Bars within which a cold start has surely caught up, where the network has a bound, with a margin.

    A recurrent network has none: it gets as long as any live tail.
    """
    if isinstance(network, TransformerNetwork):
        return min(LONGEST, max(MIN_ROWS, 3 * network.config.reach))
    return LONGEST


def limit_gradient(network: nn.Module, limit: float) -> None:
    """Scale all gradients down together when their norm is above the limit, as ``clip_grad_norm_`` does.

    In fewer and smaller steps: on a network of this size its bookkeeping costs more than the optimiser.
    """
    gradients = [value.grad for value in network.parameters() if value.grad is not None]
    norm = torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients]))
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
