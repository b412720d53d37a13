"""The label: does the price rise within the horizon?"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import HORIZON_MINUTES

Labels = npt.NDArray[np.int8]

UP: Final = 1
DOWN: Final = 0
NO_LABEL: Final = -1


def direction_labels(close: Floats, horizon: int = HORIZON_MINUTES) -> Labels:
    """Sign of the log return from close(t) to close(t + horizon), int8 [n].

    1 is up, 0 is down; -1 marks bars without a label: ties, and the last ``horizon`` bars, whose future is
    not there. The log return's sign is that of the difference, so no logarithm is taken.
    Raises DataError for a close that is not positive and finite, ValueError for a horizon below 1.

    >>> direction_labels(np.array([10.0, 11.0, 10.0, 9.0, 11.0]), horizon=2)
    array([-1,  0,  1, -1, -1], dtype=int8)
    """
    if horizon < 1:
        raise ValueError(f"a horizon of {horizon} minutes looks at no future")
    usable = np.isfinite(close) & (close > 0)
    if not usable.all():
        row = int(np.argmin(usable))
        raise DataError(f"close[{row}] is {close[row]}: a label needs positive prices")
    labels = np.full(len(close), NO_LABEL, dtype=np.int8)
    if len(close) > horizon:
        now, then = close[:-horizon], close[horizon:]
        labels[:-horizon] = np.where(then > now, UP, np.where(then < now, DOWN, NO_LABEL))
    return labels
