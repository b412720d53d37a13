"""Logits and probabilities of a trained network over stored features.

Two ways to the same numbers, within 1e-6 of P(up) after the warm-up: *streaming*, one lane with its state
carried from row to row, as batch evaluation runs; and *cold starts*, each row from a window of its own, as
the live loop and the leakage checks see it.

A network speaks of one coin or of several: ``forward(scaled [steps, lanes, inputs], state)`` gives logits
[steps, lanes, coins] and the state after the last step. State None is a cold start; what a state holds is the
network's own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tradingai.engine.core.candles import Floats, Ints
from tradingai.engine.core.errors import DataError
from tradingai.engine.features.compute import Features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import Matrix, SideBySide
from tradingai.engine.models.artifact import ModelArtifact
from tradingai.engine.models.device import Compute, choose_compute

_ROWS_AT_ONCE: Final = 8192
_STEPS_AT_ONCE: Final = 256
_WINDOWS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A network in evaluation mode with the scaler of its inputs.

    Features are float32 and unscaled everywhere; those of several coins lie side by side.
    """

    network: nn.Module
    scaler: Scaler
    compute: Compute
    coin: int = 0
    """Of which coin the methods that give one number a bar speak."""

    @classmethod
    def of(cls, artifact: ModelArtifact, symbol: str | None = None) -> Predictor:
        """On the CPU, where live and batch answers are the same on every machine.

        Without ``symbol`` it speaks of the artifact's first coin.
        """
        scaler = Scaler.beside({part.symbol: part.scaler for part in artifact.coins})
        coin = 0 if symbol is None else artifact.symbols.index(symbol)
        return cls(artifact.network(), scaler, choose_compute("cpu"), coin)

    def about(self, coin: int) -> Predictor:
        """The same network, speaking of another of its coins."""
        return replace(self, coin=coin)

    def stream(self, values: Matrix, lo: int, hi: int, warmup: int = 0) -> Floats:
        """Logits of rows [lo, hi) of ``values`` [rows, F], float64 [hi - lo]; see :meth:`stream_all`."""
        return np.ascontiguousarray(self.stream_all(values, lo, hi, warmup)[:, self.coin])

    def stream_all(self, values: Matrix, lo: int, hi: int, warmup: int = 0) -> Floats:
        """Logits of rows [lo, hi) of ``values`` [rows, F] for every coin, float64 [hi - lo, coins].

        The state is carried throughout; the lane starts cold ``warmup`` rows before ``lo``. Raises DataError
        when these rows are not all there or not finite.
        """
        start = lo - warmup
        if not 0 <= start <= lo < hi <= len(values):
            raise DataError(f"rows {start} … {hi} cannot be predicted: there are {len(values)}")
        parts: list[Floats] = []
        state: Any = None
        for at in range(start, hi, _ROWS_AT_ONCE):
            rows = np.array(values[slice(at, min(at + _ROWS_AT_ONCE, hi))])
            logits, state = self._step(rows[:, None], state)
            parts.append(logits[:, 0].astype(np.float64))
        return _finite(np.concatenate(parts), start)[warmup:]

    def cold_starts(self, values: Matrix, starts: Ints, bars: int) -> Floats:
        """Logits of ``bars`` consecutive rows after each cold start, float64 [k, bars, coins].

        ``starts`` [k], at least one, are rows of ``values`` [rows, F]. Raises DataError as
        :meth:`stream_all`.
        """
        if not 0 <= starts.min() <= starts.max() <= len(values) - bars:
            raise DataError(f"{bars} rows from {starts.min()} … {starts.max()}: there are {len(values)}")
        groups: list[Floats] = []
        for first in range(0, len(starts), _WINDOWS_AT_ONCE):
            group = starts[first : first + _WINDOWS_AT_ONCE]
            parts: list[Floats] = []
            state: Any = None
            for at in range(0, bars, _STEPS_AT_ONCE):
                steps = np.arange(at, min(at + _STEPS_AT_ONCE, bars))
                logits, state = self._step(values[group + steps[:, None]], state)
                parts.append(logits.astype(np.float64))
            groups.append(np.concatenate(parts).swapaxes(0, 1))
        return _finite(np.concatenate(groups), int(starts.min()))

    def truncated(self, values: Matrix, rows: Ints, warmup: int) -> Floats:
        """The logit of each row in ``rows`` [k] from a cold start ``warmup`` bars before it, float64 [k].

        Raises DataError for a row without that much past, and for features that are not finite.
        """
        return self.cold_starts(values, np.asarray(rows) - warmup, warmup + 1)[:, -1, self.coin]

    def windows(self, windows: Features) -> Floats:
        """The logit of each window's last bar from a cold start at its first; [k, bars, F] → float64 [k].

        Raises DataError for features that are not finite.
        """
        count, bars, columns = windows.shape
        starts = np.arange(count) * bars
        joined = windows.reshape(count * bars, columns)
        return self.cold_starts(joined, starts, bars)[:, -1, self.coin]

    def _step(self, rows: Features, state: Any) -> tuple[Features, Any]:
        """Logits float32 [steps, lanes, coins] of unscaled rows [steps, lanes, F], which are overwritten."""
        with torch.inference_mode(), self.compute.autocast():
            scaled = torch.from_numpy(self.scaler.transform(rows, out=rows)).to(self.compute.device)
            logits, after = self.network(scaled, state)
            return logits.cpu().numpy(), after


def inputs_of(matrices: Sequence[Features]) -> Matrix:
    """What a network of these coins reads: the one matrix, or all of them side by side."""
    return matrices[0] if len(matrices) == 1 else SideBySide(matrices)


def predict_logits(artifact: ModelArtifact, values: Matrix, symbol: str | None = None) -> Floats:
    """Logits of all rows of ``values`` float32 [n, F], float64 [n]; row 0 is a cold start.

    Rows before ``artifact.warmup.bars`` lack past. Raises DataError when features are not finite: leave out
    the rows before ``first_valid``.
    """
    return Predictor.of(artifact, symbol).stream(values, 0, len(values))


def predict_probability(artifact: ModelArtifact, values: Matrix, symbol: str | None = None) -> Floats:
    """Calibrated P(up) of all rows, float64 [n]; otherwise as :func:`predict_logits`."""
    calibrator = artifact.coin(symbol or artifact.symbols[0]).calibrator
    return calibrator.probability(predict_logits(artifact, values, symbol))


def predict_rows(artifact: ModelArtifact, values: Matrix, lo: int, hi: int, first: int = 0) -> Floats:
    """Logits of rows [lo, hi) for every coin, float64 [hi - lo, coins], warmed up on rows from ``first`` on.

    The way calibration and evaluation get their logits. Raises what :meth:`Predictor.stream_all` raises.
    """
    return Predictor.of(artifact).stream_all(values, lo, hi, min(artifact.warmup.bars, lo - first))


def _finite(logits: Floats, lo: int) -> Floats:
    known = np.isfinite(logits)
    if not known.all():
        raise DataError(f"features at or near row {lo + int(np.argwhere(~known)[0].sum())} are not finite")
    return logits
