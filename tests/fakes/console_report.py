"""Evaluation reports with the wireframes' numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tradingai.engine.core.report import (
    BaselineResult,
    CheckResult,
    Coverage,
    EvaluationReport,
    GateResult,
    GroupAccuracy,
    Interval,
    OracleLine,
    ReliabilityBin,
    TierResult,
)

ALPHA = 0.0076


def tiers(*, refused: bool) -> tuple[TierResult, ...]:
    """Low, medium, high."""
    hits = (0.594, 0.678, 0.782) if refused else (0.598, 0.701, 0.851)
    said = (0.602, 0.703, 0.864)
    bars = (60_480, 74_120, 281_300)
    bounds = ((0.55, 0.65), (0.65, 0.75), (0.75, 1.0))
    return tuple(
        TierResult(name, *bound, count, count // 15, confidence, hit, True)
        for name, bound, count, confidence, hit in zip(
            ("low", "medium", "high"), bounds, bars, said, hits, strict=True
        )
    )


def reliability(*, refused: bool) -> tuple[ReliabilityBin, ...]:
    """Ten bins from 0.5 to 1; over-confident from 0.75 on when refused."""
    bins = []
    for index in range(10):
        low = 0.5 + index * 0.05
        said = low + 0.025
        hit = said - 0.004 - (0.15 * max(0.0, said - 0.72) + 0.045 if refused and said > 0.75 else 0.0)
        bins.append(ReliabilityBin(low, low + 0.05, 46_000, said, hit))
    return tuple(bins)


def gates(*, refused: bool, accuracy: float) -> tuple[GateResult, ...]:
    """Five gates; calibration fails when refused."""
    calibration = (
        GateResult(
            "calibration",
            False,
            0.082,
            0.05,
            -0.032,
            "the worse of two: high tier says 86.4 %, hits 78.2 %, gap 8.2 pt; tier MAE 6.1 % (limit 5.0)",
            "The high tier's gap has to fall from 8.2 to 5.0 pt and tier MAE from 6.1 to 5.0 %: train again.",
            "high tier gap",
            "fraction",
            "≤",
        )
        if refused
        else GateResult(
            "calibration",
            True,
            0.013,
            0.05,
            0.037,
            "tier MAE 0.9 %, high tier's gap 1.3 pt (limits 5.0)",
            "",
            "high tier gap",
            "fraction",
            "≤",
        )
    )
    return (
        GateResult(
            "accuracy",
            True,
            accuracy,
            0.68,
            accuracy - 0.68,
            "test 2024-12-24 → 2025-11-10, 462,220 labelled bars, interval 71.0–72.0 %",
            "",
            "accuracy",
            "fraction",
            "≥",
        ),
        calibration,
        GateResult(
            "leakage",
            True,
            7,
            7,
            0,
            "prefix, future, splits, constants, shuffled 50.1 %, single 61.3 %, parity 4e-7",
            "",
            "checks passed",
            "checks",
            "=",
        ),
        GateResult(
            "significance",
            True,
            0.102,
            0.0,
            0.102,
            "worst of 3 baselines: momentum 60.8 %, difference +10.7 pt [10.2, 11.2]",
            "",
            "lower bound of the lead",
            "fraction",
            ">",
        ),
        GateResult(
            "sample",
            True,
            17_902,
            100,
            17_802,
            "on 100 % of 321 test days, busiest day holds 0.6 % (limit 20 %)",
            "",
            "non-overlapping predictions",
            "count",
            "≥",
        ),
    )


def leakage() -> tuple[CheckResult, ...]:
    """The battery of seven."""
    rows = (
        ("prefix invariance", "96 cuts, 0 differ"),
        ("future perturbation", "96 cuts, 0 differ"),
        ("split separation", "0 rows shared"),
        ("fitted constants", "61 of 61 refit"),
        ("shuffled labels", "50.1 %, 0.8 se"),
        ("single feature", "61.3 %, limit 73.5"),
        ("end-to-end parity", "4e-7"),
    )
    return tuple(CheckResult(name, True, detail) for name, detail in rows)


def report(model: str, data_sha256: str, artifact_sha256: str, *, refused: bool = False) -> EvaluationReport:
    """One coin's report."""
    accuracy = {"lstm_BTC-USD": 0.764, "lstm_ETH-USD": 0.754, "lstm_BNB-USD": 0.715}[model]
    interval = Interval(accuracy - 0.005, accuracy + 0.005, 0.05, 321)
    baselines = (
        BaselineResult("majority", 0.501, accuracy - 0.501, Interval(0.208, 0.220, ALPHA, 321)),
        BaselineResult("momentum", 0.608, accuracy - 0.608, Interval(0.102, 0.112, ALPHA, 321)),
        BaselineResult("inverse", 0.392, accuracy - 0.392, Interval(0.317, 0.329, ALPHA, 321)),
    )
    months = tuple(
        GroupAccuracy(f"2025-{month:02d}", 42_000, accuracy - 0.009 + 0.0017 * (month * 3 % 11))
        for month in range(1, 12)
    )
    return EvaluationReport(
        model=model,
        version="v1.0.0" if model.endswith("BTC-USD") else "v1.1.0",
        symbol=model.removeprefix("lstm_"),
        market="cycles",
        synthetic=True,
        exploratory=False,
        start=datetime(2024, 12, 24, tzinfo=UTC),
        end=datetime(2025, 11, 10, 0, 52, tzinfo=UTC),
        days=321,
        n=462_220,
        accuracy=accuracy,
        accuracy_ci=interval,
        baselines=baselines,
        log_loss=0.512,
        brier=0.168,
        ece=0.021,
        reliability=reliability(refused=refused),
        tier_mae=0.061 if refused else 0.009,
        tiers=tiers(refused=refused),
        sessions=(
            GroupAccuracy("tokyo", 154_000, accuracy - 0.011),
            GroupAccuracy("london", 154_000, accuracy + 0.007),
            GroupAccuracy("new york", 154_220, accuracy + 0.004),
        ),
        months=months,
        coverage=Coverage(0.75, 281_300, 0.6086, 0.782, 17_902, 321, 321, date(2025, 3, 2), 0.006),
        oracle=OracleLine(0.791, 462_220),
        leakage=leakage(),
        attempt=2,
        alpha=ALPHA,
        inputs={
            "artifact_sha256": artifact_sha256,
            "test_sha256": data_sha256,
            "candles_sha256": data_sha256,
            "features_sha256": "7d10aa94" + "0" * 56,
            "features": 52,
        },
        thresholds={"min_accuracy": 0.68, "max_calibration_error": 0.05},
        gates=gates(refused=refused, accuracy=accuracy),
        evaluated_at=datetime(2025, 11, 12, 11, 31, 49, tzinfo=UTC),
        seconds=41.0,
    )
