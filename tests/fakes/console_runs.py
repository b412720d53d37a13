"""The runs, jobs, evaluations, ledger and events of the stories."""

from __future__ import annotations

import math

from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.queries.model_snapshot import (
    CurvePoint,
    EvaluationView,
    LedgerEntry,
    LedgerView,
    RunView,
)
from tradingai.engine.queries.snapshot import (
    EventsView,
    EventView,
    JobView,
)

from tests.fakes.console_home import ARTIFACTS, COINS, FEATURES_SHA, MODELS, SHA, at
from tests.fakes.console_report import report


def curve(epochs: int, floor: float, top: float) -> tuple[CurvePoint, ...]:
    """Losses that fall and accuracies that rise towards a limit."""
    points = []
    for epoch in range(1, epochs + 1):
        left = math.exp(-epoch / 1.7)
        points.append(
            CurvePoint(
                epoch,
                floor - 0.008 + 0.19 * left,
                floor + 0.17 * left,
                top + 0.004 - 0.2 * left,
                top - 0.22 * left,
                204_000.0,
            )
        )
    return tuple(points)


def runs(*, running: bool) -> tuple[RunView, ...]:
    """Runs of all models, newest first."""
    facts = {
        "inputs": "52 features",
        "hidden": "96",
        "lanes × steps": "128 × 240",
        "learning rate": "1.0e-3, cosine",
        "warm-up": "240 bars",
        "train": "2,157,167 bars",
        "early stop half": "231,110 bars",
        "calibration half": "231,110 bars",
        "purged": "15 + 15 bars",
        "device": "cpu, 2 threads",
    }
    eth = "lstm_ETH-USD"
    rows = [
        RunView(
            "r15",
            "11-12 09:20",
            eth,
            "done",
            10,
            curve(10, 0.512, 0.754),
            7,
            "v1.1.0",
            9,
            3,
            False,
            at("09:20:11"),
            107.0,
            201_000.0,
            "job-15",
            facts=facts,
        ),
        RunView(
            "r14",
            "11-12 09:16",
            "lstm_BTC-USD",
            "done",
            10,
            curve(10, 0.503, 0.764),
            7,
            "v1.0.0",
            10,
            3,
            False,
            at("09:16:00"),
            109.0,
            203_000.0,
            "job-14",
            facts=facts,
        ),
        RunView(
            "r13",
            "11-12 09:13",
            "lstm_BNB-USD",
            "done",
            10,
            curve(10, 0.548, 0.715),
            7,
            "v1.1.0",
            8,
            3,
            False,
            at("09:13:02"),
            106.0,
            202_000.0,
            "job-13",
            facts=facts,
        ),
        RunView(
            "r12",
            "11-12 08:50",
            eth,
            "done",
            10,
            curve(8, 0.517, 0.748),
            11,
            None,
            5,
            3,
            True,
            at("08:50:00"),
            89.0,
            198_000.0,
            "job-12",
            facts=facts,
        ),
        RunView(
            "r09",
            "11-12 08:41",
            eth,
            "cancelled",
            10,
            curve(2, 0.549, 0.712),
            3,
            None,
            None,
            3,
            False,
            at("08:41:00"),
            22.0,
            199_000.0,
            "job-9",
        ),
    ]
    if running:
        rows.insert(
            0,
            RunView(
                "r17",
                "11-12 12:03",
                eth,
                "running",
                10,
                curve(5, 0.511, 0.759),
                7,
                None,
                5,
                3,
                False,
                at("12:03:15"),
                62.0,
                204_000.0,
                "job-17",
                facts=facts,
            ),
        )
    return tuple(rows)


def job(number: int, kind: str, target: str, state: str, started: str, **more: object) -> JobView:
    """One job."""
    fields = {"log": f"logs/jobs/job-{number}.log", "threads": 2, "started_at": at(started)} | more
    return JobView(f"job-{number}", kind, target, state, **fields)  # type: ignore[arg-type]


TRAINING_JOB = job(
    17,
    "train",
    "lstm_ETH-USD",
    "running",
    "12:03:15",
    done=12_512_000.0,
    total=21_571_670.0,
    unit="bars",
    rate=204_180.0,
    eta_s=44.0,
    took_s=62.0,
    memory_bytes=612_000_000,
    pid=4711,
    detail={
        "epoch": 6,
        "epochs": 10,
        "loss": 0.503,
        "best_epoch": 5,
        "without_gain": 0,
        "patience": 3,
        "validation_accuracy": 0.759,
        "checkpoint_epoch": 5,
    },
)


def evaluations() -> tuple[EvaluationView, ...]:
    """Two that pass and are live, one that is refused."""
    return tuple(
        EvaluationView(
            model,
            ModelReport((report(model, SHA[coin], ARTIFACTS[model], refused=coin == "BNB-USD"),)),
            version="v1.0.0" if coin == "BTC-USD" else "v1.1.0",
            live_version=None if coin == "BNB-USD" else "v1.0.0",
            live_since=None if coin == "BNB-USD" else at("05:52:00", 10),
            rollback_to=None,
            trained=True,
            next_attempt=3,
            next_alpha=0.05 * 6 / (math.pi**2 * 9),
            certificate="" if coin == "BNB-USD" else "5ac3" * 16,
        )
        for coin, model in zip(COINS, MODELS, strict=True)
    )


LEDGER_ROWS = (
    ("v1.0.0", "lstm_BTC-USD", "evaluated", "05:50:10", 10, False, 0.764, 5, "1f9b03c8", 1, ""),
    ("v1.0.0", "lstm_ETH-USD", "evaluated", "05:50:40", 10, False, 0.754, 5, "8a77be02", 1, ""),
    ("v1.0.0", "lstm_BNB-USD", "refused", "05:51:10", 10, False, 0.711, 4, "77ac01f3", 1, ""),
    ("v1.0.0", "lstm_BTC-USD", "promoted", "05:52:00", 10, True, 0.764, 5, "1f9b03c8", 1, "first models"),
    ("v1.0.0", "lstm_ETH-USD", "promoted", "05:52:01", 10, True, 0.754, 5, "8a77be02", 1, "first models"),
    ("v1.1.0", "lstm_ETH-USD", "evaluated", "16:20:31", 11, False, 0.754, 5, "c09e11d477b0", 2, ""),
    ("v1.1.0", "lstm_BNB-USD", "refused", "11:31:49", 12, False, 0.715, 4, "b41e90d755c2", 2, ""),
)


def ledger() -> LedgerView:
    """Seven entries, oldest first."""
    entries = []
    for index, row in enumerate(LEDGER_ROWS, start=1):
        version, model, event, when, day, live, accuracy, gates, digest, attempt, why = row
        entries.append(
            LedgerEntry(
                index, version, model, event, at(when, day), live, gates == 5, accuracy, gates, 5,
                digest.ljust(64, "1"), attempt, "operator, console", why, SHA["BTC-USD"], FEATURES_SHA,
                "5ac3" * 16 if gates == 5 else "", "",
            )
        )  # fmt: skip
    return LedgerView(tuple(entries))


def events(*, failed: bool = False) -> EventsView:
    """The newest events, oldest first."""
    rows = [
        ("11:28:50", "JobStarted", "info", "train lstm_BNB-USD, 2 threads, seed 7", ""),
        ("11:30:37", "TrainingFinished", "info", "lstm_BNB-USD val 71.9 %, best epoch 8 of 10", ""),
        ("11:31:08", "JobStarted", "info", "evaluate lstm_BNB-USD", ""),
        ("11:31:49", "GateDecided", "info", "lstm_BNB-USD v1.1.0 accuracy PASS 71.5 % ≥ 68.0 %", "pass"),
        (
            "11:31:49",
            "GateDecided",
            "warning",
            "lstm_BNB-USD v1.1.0 calibration FAIL high gap 8.2 pt > 5.0",
            "fail",
        ),
        ("11:31:49", "GateDecided", "info", "lstm_BNB-USD v1.1.0 leakage PASS 7 of 7", "pass"),
        (
            "11:31:49",
            "GateDecided",
            "info",
            "lstm_BNB-USD v1.1.0 significance PASS +10.2 pt at α 0.0076",
            "pass",
        ),
        (
            "11:31:49",
            "GateDecided",
            "info",
            "lstm_BNB-USD v1.1.0 sample PASS 17,902 on 321 of 321 days",
            "pass",
        ),
        ("11:31:50", "EvaluationFinished", "info", "lstm_BNB-USD v1.1.0 71.5 %, refused, attempt 2", "fail"),
        ("12:03:15", "JobStarted", "info", "train lstm_ETH-USD, 2 threads, seed 7", ""),
        ("12:03:26", "EpochFinished", "info", "lstm_ETH-USD 1/10 val 0.606 63.7 %, 204 k bars/s", ""),
        ("12:03:37", "EpochFinished", "info", "lstm_ETH-USD 2/10 val 0.563 69.1 %, 204 k bars/s", ""),
        ("12:03:48", "EpochFinished", "info", "lstm_ETH-USD 3/10 val 0.540 72.1 %, 204 k bars/s", ""),
        ("12:03:59", "EpochFinished", "info", "lstm_ETH-USD 4/10 val 0.527 73.8 %, 204 k bars/s", ""),
        ("12:04:10", "EpochFinished", "info", "lstm_ETH-USD 5/10 val 0.520 74.7 %, 204 k bars/s", ""),
    ]
    if failed:
        rows.append(("12:04:12", "JobFailed", "error", "train lstm_ETH-USD: out of memory at 4.1 GB", "fail"))
    views = tuple(
        EventView(398 + index, at(when), kind, level, text, mark, {"type": kind, "text": text})
        for index, (when, kind, level, text, mark) in enumerate(rows)
    )
    return EventsView(views, 412, 2, 1 if failed else 0)
