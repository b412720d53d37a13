"""How often the accuracy interval holds the truth: one frozen model over thousands of disjoint ranges.

The model is an LSTM of the product's own training on ``cycles``, seed 9001. A piece is another seed of a
market, 360 days of one coin, scored once by the frozen model and cut into disjoint ranges of 15 days (the
fewest an interval is given for) and of 18 days (the quick workload's test range). Each range is judged by the
product's own :func:`assess` and :func:`decide`. The truth is the mean over every bar of every piece on
``cycles``, and one half on ``null``, where also the true difference from each baseline is none.
"""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t
from tradingai.engine.core.candles import Candles, datetime_to_us
from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.core.symbols import DAY_MINUTES, HORIZON_MINUTES, MINUTE_US, lstm_name, parse_market
from tradingai.engine.datasets.labels import NO_LABEL, direction_labels
from tradingai.engine.evaluation.assess import JudgedBars, Subject, assess
from tradingai.engine.evaluation.intervals import ACCURACY_ALPHA
from tradingai.engine.features.compute import compute
from tradingai.engine.features.registry import feature_set
from tradingai.engine.gates import Thresholds
from tradingai.engine.models.artifact import ModelArtifact, best_path, load_artifact
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.predict import Predictor
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.synthetic.market import SyntheticMarket

from gates_markets import EPOCHS, QUICK_DAYS, SYMBOL, trained_home

MODEL_SEED: Final = 9001
PIECE_DAYS: Final = 360
LENGTHS: Final = (15, 18)
"""Days of a range; both divide a piece."""
LANE_DAYS: Final = 9
"""A piece is scored in lanes of so many days, each warmed up; to 1e-6 the same as one carried state."""
FIRST_DAY: Final = datetime_to_us(datetime(2024, 1, 1, tzinfo=UTC)) // MINUTE_US // DAY_MINUTES
MONDAY: Final = 3
"""1970-01-01 was a Thursday: so many days after a Monday."""
GATES: Final = {"accuracy": "a", "calibration": "c", "significance": "g", "sample": "s"}
"""One letter a gate; leakage is about data, not about a range."""

Floats = npt.NDArray[np.float64]


class Piece(NamedTuple):
    """Candles from the features' look-back before the first range to the end, and P(up) [days · 1440]."""

    candles: Candles
    first: int
    """Row of the first judged minute."""
    probability: Floats


def frozen_model(folder: Path, code: str, epochs: int = EPOCHS, days: int = QUICK_DAYS) -> Path:
    """The frozen model's file, trained when it is not there."""
    kept = folder / f"frozen-{code}"
    if not kept.is_dir():
        home = folder / "homes" / f"frozen-{code}"
        shutil.rmtree(home, ignore_errors=True)
        paths = trained_home(home, "cycles", MODEL_SEED, days, epochs)
        best_path(paths, lstm_name(SYMBOL)).parent.rename(kept)
        shutil.rmtree(home)
    return kept / f"{lstm_name(SYMBOL)}_best.pt"


@lru_cache(maxsize=1)
def _artifact(path: Path) -> ModelArtifact:
    return load_artifact(path)


def coverage_unit(model: Path, market: str, seed: int, days: int = PIECE_DAYS) -> dict[str, Any]:
    """One piece: every range's interval, and what the gates say of it."""
    began = time.process_time()
    piece = scored_piece(_artifact(model), market, seed, days)
    ranges = {
        str(length): [judged_range(piece, at, length) for at in range(0, days - length + 1, length)]
        for length in LENGTHS
    }
    spent = time.process_time() - began
    bars = days * DAY_MINUTES
    return {"market": market, "seed": seed, "bars": bars, "ranges": ranges, "cpu_s": round(spent, 2)}


def scored_piece(artifact: ModelArtifact, market: str, seed: int, days: int) -> Piece:
    """The model's calibrated P(up) of ``days`` days from 2024-01-01 on, features from raw candles."""
    features, part = feature_set(SYMBOL), artifact.coin(SYMBOL)
    warmup, first = artifact.warmup.bars, features.lookback + artifact.warmup.bars
    start = FIRST_DAY * DAY_MINUTES - first
    source = SyntheticMarket(parse_market(market), seed)
    candles = clean(source.candles(SYMBOL, start, start + first + days * DAY_MINUTES - 1)).candles
    values = compute(features, candles)
    lane = min(LANE_DAYS, days) * DAY_MINUTES
    starts = np.arange(first, first + days * DAY_MINUTES, lane) - warmup
    with reproducible(choose_compute("cpu"), 1):
        logits = Predictor.of(artifact).cold_starts(values, starts, warmup + lane)[:, warmup:, 0]
    return Piece(candles, first, part.calibrator.probability(np.ascontiguousarray(logits).reshape(-1)))


def judged_range(piece: Piece, day: int, length: int) -> list[Any]:
    """[bars right, bars, interval's lower end, its upper end, gates passed, baselines' signs].

    The last 15 bars have no label, as in the product's test range. A sign is ``0`` where the paired interval
    of (model right − baseline right) holds zero, ``+`` above it, ``-`` below.
    """
    lo = day * DAY_MINUTES
    rows = piece.first + np.arange(lo, lo + length * DAY_MINUTES)
    labels = direction_labels(piece.candles.close)[rows]
    labels[-HORIZON_MINUTES:] = NO_LABEL
    bars = JudgedBars(
        rows=rows,
        ts=piece.candles.ts[rows],
        probability=piece.probability[lo : lo + len(rows)],
        labels=labels,
        close=piece.candles.close,
        majority_up=True,
    )
    subject = Subject("frozen", SYMBOL, None, synthetic=True, inputs={})
    report = assess(subject, bars, Thresholds(), ()).report(1, "v1.0.0")
    assert report.accuracy is not None
    assert report.accuracy_ci.lo is not None
    assert report.accuracy_ci.hi is not None
    passed = "".join(GATES[gate.id] for gate in report.gates if gate.passed)
    right = round(report.accuracy * report.n)
    bounds = (round(report.accuracy_ci.lo, 6), round(report.accuracy_ci.hi, 6))
    return [right, report.n, *bounds, passed, _signs(report)]


class Counted(NamedTuple):
    """Of all ranges of one market and length: how many intervals hold the truth, and what the gates said."""

    market: str
    days: int
    pieces: int
    ranges: int
    truth: float
    held: int
    below: int
    """Intervals that end below the truth."""
    above: int
    """Intervals that begin above it."""
    half_width: float
    """Mean."""
    variance: float
    """Of the ranges' accuracies, over what the intervals estimate of it in the mean."""
    weekdays: list[float]
    """Mean accuracy of the ranges that begin on each day of the week, Monday first; zeros for none."""
    gates: dict[str, int]
    """Gate to ranges that passed it."""
    signs: list[dict[str, int]]
    """Baseline by baseline: paired intervals below zero (``-``), with zero (``0``), above zero (``+``)."""
    placed: list[int]
    """Ranges by (measured − truth) ÷ half width, in :data:`PLACES` steps from −2 to 2, ends included."""


PLACES: Final = 16


def counted(pieces: list[dict[str, Any]], market: str, days: int) -> Counted | None:
    """All ranges of one market and length together; None without any."""
    chosen = [piece for piece in pieces if piece["market"] == market]
    rows = [row for piece in chosen for row in piece["ranges"][str(days)]]
    if not rows:
        return None
    first_days = [FIRST_DAY + k * days for piece in chosen for k in range(len(piece["ranges"][str(days)]))]
    right, n, lo, hi = (np.array([row[k] for row in rows], dtype=np.float64) for k in range(4))
    truth = 0.5 if market == "null" else float(right.sum() / n.sum())
    below, above = int((hi < truth).sum()), int((lo > truth).sum())
    half = (hi - lo) / 2.0
    estimated = half / student_t.ppf(1.0 - ACCURACY_ALPHA / 2.0, days - 1)
    weekday = (np.array(first_days) + MONDAY) % 7
    times = np.maximum(np.bincount(weekday, minlength=7), 1)
    places = np.clip(np.floor(((right / n - truth) / half + 2.0) * PLACES / 4.0), 0, PLACES - 1)
    return Counted(
        market, days, len(chosen), len(rows), round(truth, 6), len(rows) - below - above, below, above,
        round(float(half.mean()), 6), round(float((right / n).var() / np.square(estimated).mean()), 4),
        (np.bincount(weekday, right / n, minlength=7) / times).round(6).tolist(),
        {gate: sum(letter in row[4] for row in rows) for gate, letter in GATES.items()},
        [{sign: sum(row[5][k] == sign for row in rows) for sign in "-0+"} for k in range(len(rows[0][5]))],
        np.bincount(places.astype(np.int64), minlength=PLACES).tolist(),
    )  # fmt: skip


def _signs(report: EvaluationReport) -> str:
    signs = ""
    for baseline in report.baselines:
        lo, hi = baseline.interval.lo, baseline.interval.hi
        assert lo is not None
        assert hi is not None
        signs += "+" if lo > 0.0 else "-" if hi < 0.0 else "0"
    return signs
