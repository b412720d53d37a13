"""The five promotion gates: pure decisions over an evaluation report. There is no way round them.

Thresholds may be tightened for a promotion. Looser ones are allowed for looking only: the report they
lead to is exploratory and can never be promoted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.report import (
    BaselineResult,
    EvaluationReport,
    GateResult,
    TierResult,
)

MIN_ACCURACY: Final = 0.68
MAX_CALIBRATION_ERROR: Final = 0.05
CONFIDENCE_THRESHOLD: Final = 0.75
MIN_PREDICTIONS: Final = 100
MIN_DAY_SHARE: Final = 0.60
MAX_BUSIEST_DAY: Final = 0.20
LEAKAGE_CHECKS: Final = (
    "prefix_invariance",
    "future_perturbation",
    "split_separation",
    "fitted_constants",
    "shuffled_labels",
    "single_feature",
    "truncated_inference",
)
"""Every check of the battery; one that is absent from a report counts as not passed."""
HIGH_TIER: Final = "high"
_NOTHING_TO_SCORE: Final = "import or generate candles whose test range has prices that move"
_TOO_SHORT: Final = "evaluate on a longer test range: data over at least 100 days gives 15 test days"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the gates compare with. Accuracy and calibration error are fractions, not per cent."""

    min_accuracy: float = MIN_ACCURACY
    max_calibration_error: float = MAX_CALIBRATION_ERROR
    confidence: float = CONFIDENCE_THRESHOLD
    """CONFIDENCE_THRESHOLD: predictions below it are never traded, so the sample gate ignores them."""

    def __post_init__(self) -> None:
        _require("--min-accuracy", self.min_accuracy, 0.0, 1.0)
        _require("--max-calibration-error", self.max_calibration_error, 0.0, 1.0)
        _require("CONFIDENCE_THRESHOLD", self.confidence, 0.5, 1.0)

    @property
    def exploratory(self) -> bool:
        """Whether any threshold is looser than the product's; what is found then cannot be promoted."""
        return self.min_accuracy < MIN_ACCURACY or self.max_calibration_error > MAX_CALIBRATION_ERROR

    def as_json(self) -> dict[str, float]:
        """The document kept in the certificate."""
        return {
            "min_accuracy": self.min_accuracy,
            "max_calibration_error": self.max_calibration_error,
            "confidence": self.confidence,
        }


def decide(report: EvaluationReport, thresholds: Thresholds) -> tuple[GateResult, ...]:
    """All five gates, in the order of :data:`tradingai.engine.core.report.GATE_IDS`."""
    return (
        _accuracy(report, thresholds.min_accuracy),
        _calibration(report, thresholds.max_calibration_error),
        _leakage(report),
        _significance(report),
        _sample(report),
    )


def _require(name: str, value: float, lo: float, hi: float) -> None:
    if not (math.isfinite(value) and lo <= value <= hi):
        raise UsageError(
            f"{name} is {value!r}, which is not between {lo} and {hi}",
            remedy="Give it as a fraction: 0.68 means 68 %.",
        )


def _pct(value: float) -> str:
    return f"{100.0 * value:.1f} %"


def _pt(value: float) -> str:
    return f"{100.0 * value:.1f} pt"


def _accuracy(report: EvaluationReport, threshold: float) -> GateResult:
    if report.accuracy is None or report.start is None or report.end is None:
        return GateResult(
            id="accuracy", passed=False, value=None, threshold=threshold, margin=None, measure="accuracy",
            detail="the test range holds no labelled bar: there is nothing to score",
            to_pass=_NOTHING_TO_SCORE,
        )  # fmt: skip
    bounds = report.accuracy_ci.bounds
    spread = f"95 % interval {_pct(bounds[0])} to {_pct(bounds[1])}" if bounds else report.accuracy_ci.reason
    margin = report.accuracy - threshold
    passed = margin >= 0.0
    missing = f"accuracy on the test range must rise by {_short(-margin)}, to {_pct(threshold)}"
    return GateResult(
        id="accuracy",
        passed=passed,
        value=report.accuracy,
        threshold=threshold,
        margin=margin,
        measure="accuracy",
        detail=(
            f"test {report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}, {report.n:,} labelled bars: "
            f"{_pct(report.accuracy)} right, {spread}"
        ),
        to_pass="" if passed else missing,
    )


def _short(gap: float) -> str:
    """A missing amount, never shown as 0.0."""
    return _pt(gap) if gap >= 0.0005 else f"{100.0 * gap:.2g} pt"


def _calibration(report: EvaluationReport, threshold: float) -> GateResult:
    high = next((tier for tier in report.tiers if tier.name == HIGH_TIER), None)
    sizes = "; ".join(f"{t.name} {t.n:,} bars, {t.non_overlapping:,} non-overlapping" for t in report.tiers)
    sizes = sizes or "there is no labelled bar"
    need = "a tier is judged from 1,000 bars on, 100 of them non-overlapping"
    if report.tier_mae is None:
        return _uncalibrated(
            threshold,
            f"no confidence tier holds enough bars to be judged ({sizes}); {need}",
            "the model must be confident (0.55 and more) often enough for its confidence to be checked",
        )
    if high is None or not high.counts or high.gap is None:
        return _uncalibrated(
            threshold,
            f"tier MAE {_pct(report.tier_mae)}, but the high tier cannot be judged ({sizes}); {need}",
            "the model must say 0.75 and more often enough for its high tier to be checked",
            measure="high tier gap",
        )
    return _calibrated(report.tier_mae, high, high.gap, threshold)


def _uncalibrated(threshold: float, detail: str, to_pass: str, measure: str = "tier MAE") -> GateResult:
    return GateResult(
        id="calibration", passed=False, value=None, threshold=threshold, margin=None,
        detail=detail, to_pass=to_pass, measure=measure, comparison="≤",
    )  # fmt: skip


def _calibrated(mae: float, high: TierResult, gap: float, threshold: float) -> GateResult:
    measure, value = ("high tier gap", abs(gap)) if abs(gap) >= mae else ("tier MAE", mae)
    passed = value <= threshold
    lean = "over-confident" if gap > 0 else "under-confident"
    missing = [
        f"{name} must shrink by {_short(size - threshold)}"
        for name, size in (("the high tier's gap", abs(gap)), ("the tier MAE", mae))
        if size > threshold
    ]
    return GateResult(
        id="calibration",
        passed=passed,
        value=value,
        threshold=threshold,
        margin=threshold - value,
        measure=measure,
        comparison="≤",
        detail=(
            f"high tier says {_pct(high.confidence or 0.0)} and hits {_pct(high.hit_rate or 0.0)}: {lean} by "
            f"{_pt(abs(gap))}; tier MAE {_pct(mae)} (limit of both {_pct(threshold)})"
        ),
        to_pass=" and ".join(missing),
    )


def _leakage(report: EvaluationReport) -> GateResult:
    found = {check.name: check for check in report.leakage}
    names = (*LEAKAGE_CHECKS, *(name for name in found if name not in LEAKAGE_CHECKS))
    failed = []
    for name in names:
        check = found.get(name)
        if check is None:
            failed.append(f"{_title(name)} was not run")
        elif not check.ran:
            failed.append(f"{_title(name)} could not run: {check.detail}")
        elif not check.passed:
            failed.append(f"{_title(name)} failed: {check.detail}")
    good = len(names) - len(failed)
    looked_at = failed or [f"{_title(name)}: {found[name].detail}" for name in names]
    return GateResult(
        id="leakage",
        passed=not failed,
        value=float(good),
        threshold=float(len(names)),
        margin=float(good - len(names)),
        detail="; ".join(looked_at),
        to_pass=_leakage_remedy(report) if failed else "",
        measure="checks passed",
        unit="checks",
        comparison="=",
    )


def _leakage_remedy(report: EvaluationReport) -> str:
    accused = dict.fromkeys(name for check in report.leakage if not check.passed for name in check.accused)
    if accused:
        names = ", ".join(list(accused)[:6])
        return f"repair or remove what is accused ({names}), build the features and train again"
    return "every check of the battery must run and pass; what stopped it is named above"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _significance(report: EvaluationReport) -> GateResult:
    judged = [(item, item.interval.lo) for item in report.baselines if item.interval.lo is not None]
    if not report.baselines or len(judged) < len(report.baselines):
        reasons = dict.fromkeys(item.interval.reason for item in report.baselines if item.interval.reason)
        reason = "; ".join(reasons) or "there is no baseline to compare with"
        return GateResult(
            id="significance", passed=False, value=None, threshold=0.0, margin=None,
            detail=f"refused: {reason}", measure="lower bound of the difference", comparison=">",
            to_pass=_TOO_SHORT,
        )  # fmt: skip
    worst, low = min(judged, key=lambda pair: pair[1])
    passed = low > 0.0
    level = f"{100.0 * (1.0 - report.alpha):.2f} %"
    return GateResult(
        id="significance",
        passed=passed,
        value=low,
        threshold=0.0,
        margin=low,
        measure="lower bound of the difference",
        comparison=">",
        detail=(
            f"worst of {len(judged)} baselines: {_compared(worst)}; paired over {worst.interval.blocks} days "
            f"at {level} (attempt {report.attempt}, α {report.alpha:.4f})"
        ),
        to_pass="" if passed else _significance_remedy(judged, level),
    )


def _significance_remedy(judged: list[tuple[BaselineResult, float]], level: str) -> str:
    short = [f"{_short(-low)} more against {item.name}" for item, low in judged if low <= 0.0]
    return f"for intervals above zero at {level} the model needs more than {', '.join(short)}"


def _compared(item: BaselineResult) -> str:
    lo, hi = item.interval.bounds or (math.nan, math.nan)
    spread = f"[{100.0 * lo:.1f}, {100.0 * hi:.1f}]"
    return f"{item.name} {_pct(item.accuracy)}, difference {100.0 * item.difference:+.1f} pt {spread}"


def _sample(report: EvaluationReport) -> GateResult:
    seen = report.coverage
    busiest = seen.busiest_share if seen.busiest_share is not None else 0.0
    missing = []
    if seen.non_overlapping < MIN_PREDICTIONS:
        more = MIN_PREDICTIONS - seen.non_overlapping
        missing.append(f"{more} more non-overlapping predictions at {seen.threshold} or above")
    if seen.day_share < MIN_DAY_SHARE:
        share = f"{_pct(MIN_DAY_SHARE)} of the test days instead of {_pct(seen.day_share)}"
        missing.append(f"such predictions on {share}")
    if busiest > MAX_BUSIEST_DAY:
        missing.append(f"no day may hold more than {_pct(MAX_BUSIEST_DAY)} of them; {seen.busiest_day} does")
    if seen.non_overlapping == 0:
        detail = f"no prediction reaches the threshold {seen.threshold}: there would be no signal to trade"
    else:
        detail = (
            f"{seen.non_overlapping:,} non-overlapping predictions at {seen.threshold} or above, on "
            f"{_pct(seen.day_share)} of {seen.test_days} test days, busiest day holds {_pct(busiest)} "
            f"(limit {_pct(MAX_BUSIEST_DAY)})"
        )
    return GateResult(
        id="sample",
        passed=not missing,
        value=float(seen.non_overlapping),
        threshold=float(MIN_PREDICTIONS),
        margin=float(seen.non_overlapping - MIN_PREDICTIONS),
        detail=detail,
        to_pass="needed: " + "; ".join(missing) if missing else "",
        measure="non-overlapping predictions",
        unit="count",
    )
