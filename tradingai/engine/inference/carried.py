"""A promoted network with the state it carries from minute to minute."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from tradingai.engine.features.compute import Features
from tradingai.engine.inference.promoted import LiveModel
from tradingai.engine.models.lstm import LstmState


@contextmanager
def one_thread() -> Iterator[None]:
    """Run networks on one thread with tiny numbers flushed to zero, as every scan and every replay does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


class CarriedLstm:
    """One coin's LSTM, fed minute by minute within :func:`one_thread`. Rows are float32 [k, F], unscaled."""

    def __init__(self, live: LiveModel) -> None:
        self.live = live
        self._network = live.artifact.network()
        self._scaler = live.artifact.coins[0].scaler
        self._calibrator = live.artifact.coins[0].calibrator
        self._state: LstmState | None = None
        self._fed = 0
        self._logit = float("nan")

    @property
    def cold(self) -> bool:
        """True before the first minute, and after :meth:`forget`."""
        return self._fed == 0

    @property
    def warmup_rows(self) -> int:
        """Minutes from a cold start to the first probability, that minute included."""
        return self.live.artifact.warmup.bars + 1

    @property
    def missing(self) -> int:
        """Minutes it still has to see before its probability is what an endlessly carried state gives."""
        return max(0, self.warmup_rows - self._fed)

    def forget(self) -> None:
        """Start cold at the next minute."""
        self._state, self._fed, self._logit = None, 0, float("nan")

    def start(self, rows: Features) -> None:
        """Run through ``rows`` [k, F] from a cold start, all at once."""
        self.forget()
        self._feed(rows)

    def advance(self, rows: Features) -> None:
        """Go on through ``rows`` [k, F] one minute at a time: the same shapes whenever they arrive."""
        for row in rows:
            self._feed(row[None])

    def fault(self) -> str | None:
        """Why the newest minute gave no number, or None."""
        return None if math.isfinite(self._logit) else f"its logit is {self._logit}"

    def probability(self) -> float:
        """Calibrated P(up) at the newest minute."""
        return float(self._calibrator.probability(np.array([self._logit]))[0])

    def _feed(self, rows: Features) -> None:
        scaled = torch.from_numpy(self._scaler.transform(rows[:, None]))
        logits, self._state = self._network(scaled, self._state)
        self._logit = float(logits[-1, 0, 0])
        self._fed += len(rows)
