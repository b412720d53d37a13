"""Generalised advantage estimation."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """A_t = δ_t + γλ·A_{t+1} with δ_t = r_t + γV(s_{t+1}) − V(s_t), all tensors [T, ...] in time order.

    ``next_values[t]`` is V of the state that step t led to, before any reset. Where an episode *terminated*
    nothing follows and that value counts as 0; where it was *truncated* only the watching stopped and the
    value counts in full. In both the sum ends: what comes next in the row is another episode. So it does
    after the last step, whose future is in ``next_values`` as well.
    Source: Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation
    (2016).
    """
    alive = (~terminated).to(values.dtype)
    errors = rewards + discount * next_values * alive - values
    carried = discount * gae_lambda * (~(terminated | truncated)).to(values.dtype)
    estimates = torch.empty_like(errors)
    following = torch.zeros_like(errors[0])
    for step in range(len(errors) - 1, -1, -1):
        following = torch.addcmul(errors[step], carried[step], following)
        estimates[step] = following
    return estimates
