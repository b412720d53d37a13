"""Logits and probabilities of a trained network over stored features.

Two ways to the same numbers, within 1e-6 of P(up) after the warm-up: *streaming*, one lane with its state
carried from row to row, as batch evaluation runs; and *cold starts*, each row from a window of its own, as
the live loop and the leakage checks see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from tradingai.engine.core.candles import Floats, Ints
from tradingai.engine.core.errors import DataError
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import ModelArtifact
from tradingai.engine.models.device import Compute, choose_compute
from tradingai.engine.models.lstm import LstmNetwork, LstmState

_ROWS_AT_ONCE: Final = 8192
_STEPS_AT_ONCE: Final = 256
_WINDOWS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A network in evaluation mode with its scaler. Features are float32 and unscaled everywhere."""

    network: LstmNetwork
    scaler: Scaler
    compute: Compute

    @classmethod
    def of(cls, artifact: ModelArtifact) -> Predictor:
        """On the CPU, where live and batch answers are the same on every machine."""
        return cls(artifact.network(), artifact.scaler, choose_compute("cpu"))

    def stream(self, values: Features, lo: int, hi: int, warmup: int = 0) -> Floats:
        """Logits of rows [lo, hi) of ``values`` [rows, F], float64 [hi - lo], the state carried throughout.

        The lane starts cold ``warmup`` rows before ``lo``. Raises DataError when these rows are not all there
        or not finite.
        """
        start = lo - warmup
        if not 0 <= start <= lo < hi <= len(values):
            raise DataError(f"rows {start} … {hi} cannot be predicted: there are {len(values)}")
        out = np.empty(hi - start)
        state: LstmState | None = None
        for at in range(start, hi, _ROWS_AT_ONCE):
            rows = np.array(values[at : min(at + _ROWS_AT_ONCE, hi)])
            logits, state = self._step(rows[:, None], state)
            out[at - start : at - start + len(rows)] = logits[:, 0]
        return _finite(out, start)[warmup:]

    def cold_starts(self, values: Features, starts: Ints, bars: int) -> Floats:
        """Logits of ``bars`` consecutive rows after each cold start, float64 [k, bars].

        ``starts`` [k] are rows of ``values`` [rows, F]. Raises DataError as :meth:`stream`.
        """
        if len(starts) and not 0 <= starts.min() <= starts.max() <= len(values) - bars:
            raise DataError(f"{bars} rows from {starts.min()} … {starts.max()}: there are {len(values)}")
        out = np.empty((len(starts), bars))
        for first in range(0, len(starts), _WINDOWS_AT_ONCE):
            group = starts[first : first + _WINDOWS_AT_ONCE]
            state: LstmState | None = None
            for at in range(0, bars, _STEPS_AT_ONCE):
                steps = np.arange(at, min(at + _STEPS_AT_ONCE, bars))
                logits, state = self._step(values[group + steps[:, None]], state)
                out[first : first + len(group), steps] = logits.T
        return _finite(out, int(starts.min(initial=0)))

    def truncated(self, values: Features, rows: Ints, warmup: int) -> Floats:
        """The logit of each row in ``rows`` [k] from a cold start ``warmup`` bars before it, float64 [k].

        Raises DataError for a row without that much past, and for features that are not finite.
        """
        return self.cold_starts(values, np.asarray(rows) - warmup, warmup + 1)[:, -1]

    def windows(self, windows: Features) -> Floats:
        """The logit of each window's last bar from a cold start at its first; [k, bars, F] → float64 [k].

        Raises DataError for features that are not finite.
        """
        count, bars, columns = windows.shape
        starts = np.arange(count) * bars
        return self.cold_starts(windows.reshape(count * bars, columns), starts, bars)[:, -1]

    def _step(self, rows: Features, state: LstmState | None) -> tuple[Features, LstmState]:
        """Logits float32 [steps, lanes] of unscaled rows [steps, lanes, F], which are overwritten."""
        with torch.inference_mode(), self.compute.autocast():
            scaled = torch.from_numpy(self.scaler.transform(rows, out=rows)).to(self.compute.device)
            logits, after = self.network(scaled, state)
            return logits.cpu().numpy(), after


def predict_logits(artifact: ModelArtifact, values: Features) -> Floats:
    """Logits of all rows of ``values`` float32 [n, F], float64 [n]; row 0 is a cold start.

    Rows before ``artifact.warmup.bars`` lack past. Raises DataError when features are not finite: leave out
    the rows before ``first_valid``.
    """
    return Predictor.of(artifact).stream(values, 0, len(values))


def predict_probability(artifact: ModelArtifact, values: Features) -> Floats:
    """Calibrated P(up) of all rows, float64 [n]; otherwise as :func:`predict_logits`."""
    return artifact.calibrator.probability(predict_logits(artifact, values))


def predict_rows(artifact: ModelArtifact, values: Features, lo: int, hi: int, first: int = 0) -> Floats:
    """Logits of rows [lo, hi), float64 [hi - lo], after the artifact's warm-up on rows from ``first`` on.

    The way calibration and evaluation get their logits. Raises what :meth:`Predictor.stream` raises.
    """
    return Predictor.of(artifact).stream(values, lo, hi, min(artifact.warmup.bars, lo - first))


def _finite(logits: Floats, lo: int) -> Floats:
    known = np.isfinite(logits)
    if not known.all():
        raise DataError(f"features at or near row {lo + int(np.argwhere(~known)[0].sum())} are not finite")
    return logits
