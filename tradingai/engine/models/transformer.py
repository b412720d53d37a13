"""The attention network: all coins' features, minute by minute, to two numbers a coin.

One token is a minute. A token attends to itself and to the ``window - 1`` tokens before it, so that a layer
sees a bounded past, and what has to be carried is bounded, too: the keys and values of those tokens. Distance
enters as a learned addition to the attention, never as an absolute position: the same minutes give the same
answer wherever a stream begins, and however it is cut into pieces.

Sources: Vaswani et al., Attention Is All You Need (2017); layer norm ahead of each part, Xiong et al., On
Layer Normalization in the Transformer Architecture (2020); carried keys and values, Dai et al.,
Transformer-XL (2019); an addition for each distance, Raffel et al., Exploring the Limits of Transfer Learning
(2020), which begins as linear penalties, Press et al., Train Short, Test Long (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from tradingai.engine.core.errors import ArtifactError

TransformerState = tuple[Tensor, ...]
"""Keys and values of each layer in turn, float32 [lanes, heads, past, width / heads], past < window."""


class Outputs(NamedTuple):
    """What the network says of each minute, and what it takes along to the next."""

    direction: Tensor
    """Logit of P(up in 15 minutes), float32 [steps, lanes, coins]."""
    trend: Tensor
    """Expected log return over the same 15 minutes in standard deviations of ``momentum_15``, same shape."""
    state: TransformerState


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of the network. A narrow projection keeps noise among the features from being memorised.

    Raises ArtifactError for a width that the heads do not divide, and for sizes below one.
    """

    inputs: tuple[int, ...]
    """Features a minute of each coin, in the order of inputs and outputs."""
    projection: int = 16
    """What is left of a coin's features before the coins are mixed."""
    width: int = 48
    heads: int = 2
    layers: int = 2
    window: int = 64
    """Tokens that a layer sees, the current one included."""
    feed_forward: int = 96

    def __post_init__(self) -> None:
        sizes = (*self.inputs, self.projection, self.heads, self.layers, self.window, self.feed_forward)
        if not self.inputs or min(sizes) < 1 or self.width % self.heads:
            raise ArtifactError(f"no network has this shape: {self}")

    @property
    def reach(self) -> int:
        """Bars before the current one that can change an output."""
        return self.layers * (self.window - 1)

    def as_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return {**asdict(self), "inputs": list(self.inputs)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> TransformerConfig:
        """The inverse of :meth:`as_dict`. Raises ArtifactError for other keys."""
        try:
            found = {item.name: document[item.name] for item in fields(cls)}
            return cls(**{**found, "inputs": tuple(int(size) for size in found["inputs"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"damaged network configuration: {type(error).__name__} {error}") from error


class TransformerNetwork(nn.Module):
    """tanh(W x) a coin → one token → pre-norm blocks of windowed attention → direction and trend a coin."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        coins = len(config.inputs)
        self.projections = nn.ModuleList(nn.Linear(size, config.projection) for size in config.inputs)
        self.token = nn.Linear(coins * config.projection, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.direction = nn.Linear(config.width, coins)
        self.trend = nn.Linear(config.width, coins)

    def forward(
        self, scaled: Tensor, state: TransformerState | None = None
    ) -> tuple[Tensor, TransformerState]:
        """The direction of :meth:`outputs`, float32 [steps, lanes, coins], and the state."""
        outputs = self.outputs(scaled, state)
        return outputs.direction, outputs.state

    def outputs(self, scaled: Tensor, state: TransformerState | None = None) -> Outputs:
        """Direction and trend of every minute, and the state after the last.

        ``scaled`` is float32 [steps, lanes, sum of inputs], standardised; ``state`` None starts cold: there
        are no earlier tokens to attend to.
        """
        coins = torch.split(scaled.transpose(0, 1), list(self.config.inputs), dim=-1)
        projected = zip(self.projections, coins, strict=True)
        tokens = self.token(torch.cat([torch.tanh(projection(coin)) for projection, coin in projected], -1))
        after: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            past = state[2 * layer : 2 * layer + 2] if state is not None else None
            tokens, kept = block(tokens, past)
            after.extend(kept)
        normed = self.norm(tokens).transpose(0, 1)
        return Outputs(self.direction(normed).float(), self.trend(normed).float(), tuple(after))


class TrendHead(nn.Module):
    """The same network answering with its trend instead of its direction, for whatever streams a network."""

    def __init__(self, network: TransformerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, scaled: Tensor, state: TransformerState | None = None
    ) -> tuple[Tensor, TransformerState]:
        """Expected standardised return, float32 [steps, lanes, coins], and the state."""
        outputs = self.network.outputs(scaled, state)
        return outputs.trend, outputs.state


class _Block(nn.Module):
    """Attention over the window, then a feed-forward layer, each added to what comes in."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.window = config.heads, config.window
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, config.feed_forward)
        self.feed_out = nn.Linear(config.feed_forward, width)
        slopes = 2.0 ** (torch.arange(config.heads) * (-6.0 / max(config.heads - 1, 1)))
        self.distance = nn.Parameter(-slopes[:, None] * torch.arange(config.window))

    def forward(self, tokens: Tensor, past: TransformerState | None) -> tuple[Tensor, TransformerState]:
        """Tokens [lanes, steps, width] → the same, and the keys and values to carry on."""
        lanes, steps, width = tokens.shape
        parts = self.query_key_value(self.attention_norm(tokens)).view(lanes, steps, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if past is not None:
            key = torch.cat([past[0].to(key.dtype), key], dim=2)
            value = torch.cat([past[1].to(value.dtype), value], dim=2)
        seen = self._attend(query, key, value).transpose(1, 2).reshape(lanes, steps, width)
        tokens = tokens + self.attention_out(seen)
        tokens = tokens + self.feed_out(gelu(self.feed_in(self.feed_norm(tokens))))
        kept = min(self.window - 1, key.shape[2])
        first = key.shape[2] - kept
        return tokens, (key[:, :, first:].float(), value[:, :, first:].float())

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each query over its window; [lanes, heads, steps, d] of keys [lanes, heads, past + steps, d].

        A long sequence is done in pieces of a window's length, all whole ones in one call: the work grows
        with the steps, not with their square.
        """
        steps, size = query.shape[2], self.window
        past = key.shape[2] - steps
        begun = min(steps, size)
        done = [self._piece(query[:, :, :begun], key[:, :, : past + begun], value[:, :, : past + begun])]
        pieces = (steps - begun) // size
        if pieces:
            end = begun + pieces * size
            lo, hi = past + begun - (size - 1), past + end
            folded = self._piece(
                _folded(query[:, :, begun:end], size, size),
                _folded(key[:, :, lo:hi], 2 * size - 1, size),
                _folded(value[:, :, lo:hi], 2 * size - 1, size),
            )
            done.append(_unfolded(folded, pieces))
        if rest := (steps - begun) % size:
            lo = key.shape[2] - rest - (size - 1)
            done.append(self._piece(query[:, :, -rest:], key[:, :, lo:], value[:, :, lo:]))
        return done[0] if len(done) == 1 else torch.cat(done, dim=2)

    def _piece(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of the last minutes of ``key`` to all of it that lies in their windows.

        Written out: the fused kernel does not learn what is added to its scores.
        """
        steps, keys = query.shape[2], key.shape[2]
        now = torch.arange(keys - steps, keys, device=query.device)
        back = now[:, None] - torch.arange(keys, device=query.device)
        bias = self.distance[:, back.clamp(0, self.window - 1)]
        bias = bias.masked_fill((back < 0) | (back >= self.window), float("-inf"))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        seen: Tensor = scores.add_(bias).softmax(dim=-1) @ value
        return seen


def _folded(parts: Tensor, length: int, step: int) -> Tensor:
    """Pieces of ``length``, one every ``step``, as lanes of their own: [lanes · pieces, heads, length, d]."""
    return parts.unfold(2, length, step).permute(0, 2, 1, 4, 3).flatten(0, 1).contiguous()


def _unfolded(folded: Tensor, pieces: int) -> Tensor:
    """Pieces one after another again: [lanes · pieces, heads, length, d] → [lanes, heads, steps, d]."""
    apart = folded.view(-1, pieces, *folded.shape[1:])
    return apart.transpose(1, 2).flatten(2, 3)


def build_transformer(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TransformerNetwork:
    """The network of stored weights, in evaluation mode. Raises ArtifactError when they do not fit."""
    with torch.random.fork_rng(devices=[]):  # random first weights are overwritten: draw them from a copy
        network = TransformerNetwork(TransformerConfig.from_dict(config))
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ArtifactError(f"the stored weights do not fit the network: {error}") from error
    return network.eval()
