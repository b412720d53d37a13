"""The momentum of the ``weak`` market: r_t = v_t (eps_t + 0.06 sum_{k=1..30} eps_{t-k} / sqrt(30))."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import HORIZON_MINUTES

Floats = npt.NDArray[np.float64]

STRENGTH: Final = 0.06
KERNEL_MINUTES: Final = 30
COEFFICIENT: Final = STRENGTH / np.sqrt(KERNEL_MINUTES)


def drift(eps: Floats) -> Floats:
    """The momentum term of each day after the first, in units of volatility.

    ``eps`` holds standard innovations of consecutive days [days + 1, 1440]; the result is [days, 1440].
    """
    days, width = eps.shape[0] - 1, eps.shape[1]
    before = eps[:-1, width - KERNEL_MINUTES :]
    window = np.concatenate([before, eps[1:]], axis=1)
    total = np.cumsum(np.concatenate([np.zeros((days, 1)), window], axis=1), axis=1)
    result: Floats = COEFFICIENT * (total[:, KERNEL_MINUTES:-1] - total[:, :width])
    return result


def expected_returns(eps: Floats, volatility: Floats) -> Floats:
    """E[sum of the next HORIZON_MINUTES returns] given the innovations so far, of each day after the first.

    ``eps`` [days + 1, 1440] as above, ``volatility`` [days, 1440] the slow volatility, taken as constant
    over the horizon. An innovation i minutes old counts in min(HORIZON, KERNEL - i) of the next returns.
    """
    width = eps.shape[1]
    window = np.concatenate([eps[:-1, width - KERNEL_MINUTES :], eps[1:]], axis=1)
    total = np.zeros_like(eps[1:])
    for age in range(KERNEL_MINUTES):
        first = KERNEL_MINUTES - age
        total += min(HORIZON_MINUTES, KERNEL_MINUTES - age) * window[:, first : first + width]
    result: Floats = COEFFICIENT * volatility * total
    return result
