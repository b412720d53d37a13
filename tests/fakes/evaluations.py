"""Judged bars and reports without a model: probabilities are written down, everything else is computed."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.evaluation.assess import JudgedBars, Subject, assess
from tradingai.engine.gates import LEAKAGE_CHECKS, Thresholds

START = datetime_to_us(datetime(2025, 10, 1, tzinfo=UTC))
SUBJECT = Subject("lstm_BTC-USD", "BTC-USD", "cycles", True, {"data_sha256": "d" * 64})
CLEAN = tuple(CheckResult(name, passed=True, detail="as it should be") for name in LEAKAGE_CHECKS)


def wave_close(days=30, seed=0):
    """Closes whose direction a hidden wave decides about three times in four: [days · 1440 + 15]."""
    rng = np.random.default_rng(seed)
    minutes = np.arange(days * 1440 + HORIZON_MINUTES)
    phase = 2.0 * np.pi * minutes / 120.0 + np.cumsum(rng.normal(0.0, 0.025, len(minutes)))
    log_price = 0.0045 * np.sin(phase) + np.cumsum(rng.normal(0.0, 0.0008, len(minutes)))
    return 30_000.0 * np.exp(log_price), phase


def judged(probability, close, expected=None, *, majority=True, start=START):
    """Every minute of ``close`` that has a label's horizon behind it is a test bar."""
    n = len(close) - HORIZON_MINUTES
    rows = np.arange(n)
    labels = direction_labels(close)[:n]
    ts = start + rows * MINUTE_US
    return JudgedBars(
        rows, ts, np.asarray(probability, dtype=np.float64)[:n], labels, close, majority, expected
    )


def calibrated(right_with, labels, seed=1):
    """Probabilities that say ``right_with`` [n] and are right exactly that often."""
    rng = np.random.default_rng(seed)
    confidence = np.broadcast_to(right_with, labels.shape)
    right = rng.random(len(labels)) < confidence
    up = np.where(right, labels == 1, labels != 1)
    return np.where(up, confidence, 1.0 - confidence)


def decided(probability, close, *, leakage=CLEAN, thresholds=None, attempt=1, version="v1.0.0", **more):
    """The report with its gates decided."""
    bars = judged(probability, close, **more)
    return assess(SUBJECT, bars, thresholds or Thresholds(), leakage).report(attempt, version)


def numbered(report):
    """What a registry asks for: the report of one coin with its attempt and version."""

    def build(attempts, version):
        return ModelReport((replace(report, attempt=attempts[report.symbol], version=version),))

    return build


def assessed(assessment):
    """The same of an assessment, whose intervals follow the attempt."""

    def build(attempts, version):
        return ModelReport((assessment.report(attempts[assessment.subject.symbol], version),))

    return build


def gates(report):
    """Gate id to result."""
    return {gate.id: gate for gate in report.gates}
