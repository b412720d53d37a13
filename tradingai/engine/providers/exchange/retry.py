"""Asking again: exponential back-off with jitter, on the injected clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tradingai.engine.core.clock import Clock

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
"""What the back-off grows to."""
_LOOK_UP_S: Final = 1.0
"""A wait is interrupted this often to see whether the work was called off."""


def backoff_s(attempt: int, rng: np.random.Generator) -> float:
    """Seconds before the try after the ``attempt``-th failure (from 0): doubled each time, then between half
    of that and all of it, so that several clients do not come back at once.
    """
    full = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt)
    return float(full * rng.uniform(0.5, 1.0))


async def wait(seconds: float, clock: Clock, safe_point: Callable[[], None]) -> None:
    """Sleep, calling ``safe_point`` every second: what it raises ends the wait."""
    left = seconds
    while left > 0:
        safe_point()
        step = min(left, _LOOK_UP_S)
        await clock.sleep(step)
        left -= step
    safe_point()
