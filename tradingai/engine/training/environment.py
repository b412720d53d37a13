"""What the agent is trained on: an environment of many lanes, stepped together, held in tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor


class Step(NamedTuple):
    """What one step brought, each of shape [coins, lanes]."""

    reward: Tensor
    """float32"""
    terminated: Tensor
    """bool: the episode is over and nothing follows."""
    truncated: Tensor
    """bool: the episode was cut off; it would have gone on from the final observation."""
    final: tuple[Tensor, Tensor] | None
    """Features and positions that the step led to, before any reset; None when no episode was truncated."""


class VectorEnv(Protocol):
    """Lanes of one environment, stepped together; coins are a leading dimension with a layer each."""

    shape: tuple[int, int]
    """(coins, lanes of each)"""
    inputs: int

    def observe(self) -> tuple[Tensor, Tensor]:
        """Features float32 [coins, lanes, inputs] and positions int64 [coins, lanes]; yours to keep."""
        ...

    def step(self, actions: Tensor) -> Step:
        """Take the positions int64 [coins, lanes]; lanes whose episode ends begin the next one."""
        ...

    def advance(self, share: float) -> None:
        """Told before each rollout which share of the training is behind, 0 … 1: for a curriculum."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on but what :meth:`advance` was told."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned. Raises KeyError and RuntimeError when it does not fit."""
        ...
