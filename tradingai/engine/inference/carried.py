"""A promoted network with the state it carries from minute to minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.promoted import LiveModel


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


class CarriedNetwork:
    """A promoted network, fed minute by minute within :func:`one_thread`.

    Rows are float32 [k, F], unscaled, those of several coins side by side in the order of the artifact.
    """

    def __init__(self, live: LiveModel) -> None:
        self.live = live
        artifact = live.artifact
        self._network = artifact.network()
        self._scaler = Scaler.beside({part.symbol: part.scaler for part in artifact.coins})
        self._state: Any = None
        self._fed = 0
        self._logits: Floats = np.full(len(artifact.coins), np.nan)

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
        self._state, self._fed = None, 0
        self._logits = np.full(len(self._logits), np.nan)

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
        wrong = self._logits[~np.isfinite(self._logits)]
        return None if not len(wrong) else f"its logit is {wrong[0]}"

    def probability(self, symbol: str) -> float:
        """Calibrated P(up) of one of its coins at the newest minute."""
        coin = self.live.symbols.index(symbol)
        calibrator = self.live.artifact.coins[coin].calibrator
        return float(calibrator.probability(self._logits[coin : coin + 1])[0])

    def _feed(self, rows: Features) -> None:
        scaled = torch.from_numpy(self._scaler.transform(rows[:, None]))
        logits, self._state = self._network(scaled, self._state)
        self._logits = logits[-1, 0].numpy().astype(np.float64)
        self._fed += len(rows)
