"""From probabilities on a test range to a report with its gates decided; knows no files and no models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.report import (
    BaselineResult,
    CheckResult,
    Coverage,
    EvaluationReport,
    GroupAccuracy,
    Interval,
    OracleLine,
    ReliabilityBin,
    TierResult,
)
from tradingai.engine.evaluation import metrics
from tradingai.engine.evaluation.baselines import baseline_directions
from tradingai.engine.evaluation.intervals import ACCURACY_ALPHA, attempt_alpha, ratio_interval
from tradingai.engine.evaluation.tiers import tier_mae, tier_table
from tradingai.engine.gates import Thresholds, decide

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JudgedBars:
    """N consecutive test bars and what is known of them."""

    rows: Ints
    """Their rows in ``close``, int64 [N]."""
    ts: Ints
    """Open times in microseconds, int64 [N]."""
    probability: Floats
    """What the model said: P(up), [N]."""
    labels: npt.NDArray[np.int8]
    """1 up, 0 down, −1 none, [N]."""
    close: Floats
    """All closes of the dataset, [rows]."""
    majority_up: bool
    """What was more frequent among the training labels."""
    expected_return: Floats | None = None
    """The oracle's expected 15-minute return at each bar [N]; None when nobody knows it."""

    def scored(self) -> metrics.Scored:
        """The labelled bars. Raises DataError for a probability that is none."""
        return metrics.score(self.ts, self.probability, self.labels)


@dataclass(frozen=True, slots=True)
class Subject:
    """Which model on which data."""

    model: str
    symbol: str
    market: str | None
    synthetic: bool
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything of a report that depends on neither the attempt nor the version."""

    subject: Subject
    bars: JudgedBars
    scored: metrics.Scored
    thresholds: Thresholds
    leakage: tuple[CheckResult, ...]
    oracle: OracleLine | None
    backtest: BacktestResult | None = None
    evaluated_at: datetime | None = None
    seconds: float = 0.0

    def report(self, attempt: int, version: str) -> EvaluationReport:
        """The report of this attempt, its paired intervals at the attempt's α, its gates decided."""
        alpha = attempt_alpha(attempt)
        measured = _measure(self.scored, self.bars, self.thresholds.confidence, alpha)
        report = EvaluationReport(
            model=self.subject.model,
            version=version,
            symbol=self.subject.symbol,
            market=self.subject.market,
            synthetic=self.subject.synthetic,
            exploratory=self.thresholds.exploratory,
            oracle=self.oracle,
            leakage=self.leakage,
            attempt=attempt,
            alpha=alpha,
            inputs=self.subject.inputs,
            thresholds=self.thresholds.as_json(),
            backtest=self.backtest,
            backtest_reason="" if self.backtest else "no backtest was made",
            evaluated_at=self.evaluated_at,
            seconds=self.seconds,
            **measured,
        )
        return replace(report, gates=decide(report, self.thresholds))


def assess(
    subject: Subject,
    bars: JudgedBars,
    thresholds: Thresholds,
    leakage: Sequence[CheckResult],
    *,
    evaluated_at: datetime | None = None,
    seconds: float = 0.0,
) -> Assessment:
    """Score the labelled bars. Raises DataError when the model says something that is no probability."""
    scored = bars.scored()
    oracle = None
    if bars.expected_return is not None and len(scored.ts):
        oracle = metrics.oracle_line(scored, bars.expected_return[bars.labels >= 0])
    return Assessment(
        subject, bars, scored, thresholds, tuple(leakage), oracle, evaluated_at=evaluated_at, seconds=seconds
    )


def _measure(scored: metrics.Scored, bars: JudgedBars, threshold: float, alpha: float) -> dict[str, Any]:
    """Report fields from scored bars."""
    seen: Coverage = metrics.coverage(scored, threshold)
    if not len(scored.ts):
        return _nothing_to_score(seen)
    blocks = scored.blocks
    curve: tuple[ReliabilityBin, ...] = metrics.reliability(scored)
    tiers: tuple[TierResult, ...] = tier_table(scored.ts, scored.confidence, scored.right)
    rows = bars.rows[bars.labels >= 0]
    rules = baseline_directions(bars.close, rows, majority=bars.majority_up)
    baselines: tuple[BaselineResult, ...] = metrics.compare(scored, rules, alpha)
    sessions: tuple[GroupAccuracy, ...] = metrics.session_accuracy(scored)
    return {
        "start": us_to_datetime(int(scored.ts[0])),
        "end": us_to_datetime(int(scored.ts[-1])),
        "days": len(blocks),
        "n": len(scored.ts),
        "accuracy": float(scored.right.mean()),
        "accuracy_ci": ratio_interval(blocks.sums(scored.right), blocks.bars, ACCURACY_ALPHA),
        "baselines": baselines,
        "log_loss": metrics.log_loss(scored),
        "brier": metrics.brier(scored),
        "ece": metrics.expected_calibration_error(curve),
        "reliability": curve,
        "tier_mae": tier_mae(tiers),
        "tiers": tiers,
        "sessions": sessions,
        "months": metrics.month_accuracy(scored),
        "coverage": seen,
    }


def _nothing_to_score(seen: Coverage) -> dict[str, Any]:
    return {
        "start": None, "end": None, "days": 0, "n": 0, "accuracy": None,
        "accuracy_ci": Interval(None, None, ACCURACY_ALPHA, 0, "the test range holds no labelled bar"),
        "baselines": (), "log_loss": None, "brier": None, "ece": None, "reliability": (), "tier_mae": None,
        "tiers": (), "sessions": (), "months": (), "coverage": seen,
    }  # fmt: skip
