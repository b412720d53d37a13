"""Frozen pictures for the console's tests: one home in four states, at one fixed moment.

Empty: nothing ran. Working: candles are there, features and a training run, an evaluation runs. Full:
three models, one of them refused. Failed: candles stopped, a feature differs, training ran out of memory,
the ledger is damaged.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tradingai.engine.queries.model_snapshot import (
    CurvePoint,
    EvaluationView,
    LedgerEntry,
    LedgerView,
    Problem,
    RunView,
)
from tradingai.engine.queries.snapshot import (
    Bar,
    CandleTail,
    CheckView,
    ConsoleSnapshot,
    DatasetView,
    EventsView,
    EventView,
    FeatureBuildView,
    FeaturesView,
    FeatureView,
    HeaderView,
    JobView,
    PhaseView,
    SystemView,
)

from tests.fakes.console_report import report

NOW = datetime(2025, 11, 12, 12, 4, 17, tzinfo=UTC)
COINS = ("BTC-USD", "ETH-USD", "BNB-USD")
MODELS = tuple(f"lstm_{coin}" for coin in COINS)
ROWS = 3_081_668
SHA = {
    "BTC-USD": "9f3c71ab2e08" + "0" * 52,
    "ETH-USD": "44d0b7e1c9a2" + "0" * 52,
    "BNB-USD": "c07be51f3d66" + "0" * 52,
}
FEATURES_SHA = "7d10aa94" + "0" * 56
ARTIFACTS = {
    "lstm_BTC-USD": "1f9b03c8" + "1" * 56,
    "lstm_ETH-USD": "c09e11d477b0" + "1" * 52,
    "lstm_BNB-USD": "b41e90d755c2" + "1" * 52,
}
QUALITY = {
    "rows_in": ROWS,
    "rows_out": ROWS,
    "out_of_order": 0,
    "duplicates": 0,
    "conflicting_duplicates": 0,
    "non_finite": 0,
    "non_positive": 0,
    "volume_repaired": 0,
    "ohlc_repaired": 0,
    "leading_dropped": 0,
    "gaps": 0,
    "filled": 0,
    "longest_gap": 0,
    "longest_gap_at": None,
    "outliers": 0,
    "stale_runs": 0,
    "stale_bars": 0,
    "zero_volume": 0,
    "empty": 0,
    "share_filled": 0.0,
    "share_empty": 0.0,
}

HEADER = HeaderView(engine="here", heartbeat_age_s=1.0, kill_on=False, threshold=0.75, threshold_source="env")
SYSTEM = SystemView(1.8, 2, 1_900_000_000, 8_000_000_000, 41_000_000_000, 64_000_000_000, 38_000_000, 7_440.0)


def at(text: str, day: int = 12) -> datetime:
    """A time of the story's day."""
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return datetime(2025, 11, day, hours, minutes, seconds, tzinfo=UTC)


LATER = (
    PhaseView("replay", "Replay 72 h", "later", "comes with a later version", screen="monitor"),
    PhaseView("observation", "Observation", "later", "comes with a later version", screen="observation"),
    PhaseView("go", "GO / NO-GO", "later", "needs an observation", screen="observation"),
)


def empty() -> ConsoleSnapshot:
    """A home in which nothing ever ran."""
    phases = (
        PhaseView("candles", "Candles", "next", "about 2 s", key="c", screen="data"),
        PhaseView("features", "Features", "waiting", key="b", screen="features"),
        PhaseView("training", "Training", "waiting", key="t", screen="training"),
        PhaseView("evaluation", "Evaluation", "waiting", key="v", screen="gates"),
        PhaseView("gates", "Gates", "waiting", key="v", screen="gates"),
        PhaseView("promotion", "Promotion", "waiting", key="p", screen="models"),
        *LATER,
    )
    return ConsoleSnapshot(
        now=NOW,
        home="/home/operator/tradingai",
        header=HEADER,
        phases=phases,
        models=MODELS,
        system=replace(SYSTEM, cpu_used=0.0, database_bytes=57_000, up_s=8.0),
    )


def datasets() -> tuple[DatasetView, ...]:
    """Three coins, two outliers."""
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
    return tuple(
        DatasetView(
            coin,
            "synthetic",
            ROWS,
            start,
            end,
            SHA[coin],
            "cycles",
            7,
            "1",
            148_000_000,
            6,
            at("09:12:03"),
            synthetic=True,
            quality=QUALITY | ({"outliers": 2} if coin == "BNB-USD" else {}),
        )
        for coin in COINS
    )


def candles(coin: str) -> CandleTail:
    """Smooth prices that end at the newest candle, from a closed form."""
    scale = {"BTC-USD": 42_000.0, "ETH-USD": 2_318.0, "BNB-USD": 312.0}[coin]
    end = datetime(2025, 11, 10, 1, 0, tzinfo=UTC)

    def price(step: float) -> float:
        wave = math.sin(step / 9) * 0.004 + math.sin(step / 3.7) * 0.0018 + math.cos(step / 1.9) * 0.0007
        return scale * (1 + wave)

    bars = []
    for index in range(160):
        opened, close = price(index), price(index + 1)
        reach = scale * 0.0009 * (1 + math.sin(index * 1.7) ** 2)
        bars.append(
            Bar(
                end - timedelta(minutes=15 * (159 - index)),
                opened,
                max(opened, close) + reach,
                min(opened, close) - reach,
                close,
            )
        )
    return CandleTail(coin, 15, tuple(bars))


def feature_columns() -> tuple[FeatureView, ...]:
    """Some of the declared features, with drift."""
    rows = (
        ("rv_1440", "volatility", 1440, 0.00079, 0.13),
        ("vol_regime_high", "regime", 2880, 1.0, 0.11),
        ("rv_60", "volatility", 60, 0.00081, 0.09),
        ("volume_z_60", "volume", 60, -0.42, 0.05),
        ("sma_ratio_50", "trend", 50, 1.0021, 0.04),
        ("macd_hist_12_26_9", "momentum", 35, 12.8, 0.03),
        ("tf_1h_rsi_14", "1h", 840, 55.1, 0.03),
        ("rsi_14", "momentum", 14, 61.24, 0.02),
        ("bb_pct_b_20_2", "bands", 20, 0.71, 0.02),
        ("lead_btc_mom_5", "lead-lag", 5, 0.0006, 0.02),
        ("session_london", "session", 0, 1.0, 0.0),
    )
    result = []
    for order, (name, group, lookback, value, drift) in enumerate(rows):
        step = group in {"regime", "session"}
        recent = tuple(
            (float(minute >= 30) if step else value * (1 + 0.1 * math.sin(minute / (4 + order))))
            for minute in range(60)
        )
        shares = tuple(round(math.exp(-((index - 9.5) ** 2) / 18), 4) for index in range(20))
        total = sum(shares)
        result.append(
            FeatureView(
                name,
                group,
                lookback,
                "Wilder 1978, chapter VI" if "rsi" in name else "as TA-Lib",
                recent,
                value,
                drift,
                tuple(share / total for share in shares),
                value * 0.5,
                value * 1.5,
            )
        )
    return tuple(result)


def builds() -> tuple[FeatureBuildView, ...]:
    """Three matrices."""
    return tuple(
        FeatureBuildView(
            coin, ROWS, 52, at("09:12:30"), 5.0, 612_000.0, 1_400_000_000, FEATURES_SHA, FEATURES_SHA
        )
        for coin in COINS
    )


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
    "train_lstm",
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
            report(model, SHA[coin], ARTIFACTS[model], refused=coin == "BNB-USD"),
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


def full() -> ConsoleSnapshot:
    """Everything ran; one gate refuses; ETH-USD trains again."""
    phases = (
        PhaseView(
            "candles", "Candles", "done", f"3 × {ROWS:,} rows, 2 flagged", 11.8, key="c", screen="data"
        ),
        PhaseView("features", "Features", "done", "3 × 52 features", 16.4, key="b", screen="features"),
        PhaseView(
            "training", "Training", "running", "lstm_ETH-USD, 58 %", 842.0, "", "t", "training", 0.58, 44.0
        ),
        PhaseView("evaluation", "Evaluation", "done", "accuracy 71.5–76.4 %", 69.0, key="v", screen="gates"),
        PhaseView(
            "gates",
            "Gates",
            "refused",
            "lstm_BNB-USD: 4 of 5, calibration",
            None,
            "train lstm_BNB-USD again",
            "v",
            "gates",
        ),
        PhaseView("promotion", "Promotion", "done", "2 of 3 models live", 0.2, key="p", screen="models"),
        *LATER,
    )
    return ConsoleSnapshot(
        now=NOW,
        home="/home/operator/tradingai",
        header=HEADER,
        workload="full workload, seed 7",
        synthetic="cycles, seed 7",
        phases=phases,
        jobs=(
            TRAINING_JOB,
            job(
                16,
                "evaluate",
                "lstm_BNB-USD",
                "refused",
                "11:31:08",
                ended_at=at("11:31:50"),
                took_s=42.0,
                summary="4 of 5 gates pass",
            ),
            job(
                13,
                "train_lstm",
                "lstm_BNB-USD",
                "done",
                "11:28:50",
                ended_at=at("11:30:37"),
                took_s=107.0,
                summary="71.9 % on validation",
            ),
        ),
        datasets=datasets(),
        candles={coin: candles(coin) for coin in COINS},
        features=FeaturesView(
            builds(),
            feature_columns(),
            "BTC-USD",
            4_000_000_000,
            check=CheckView(True, "causal at 96 cuts, parity 3e-7", at("09:13:00")),
        ),
        models=MODELS,
        runs=runs(running=True),
        evaluations=evaluations(),
        ledger=ledger(),
        events=events(),
        system=SYSTEM,
    )


def working() -> ConsoleSnapshot:
    """One job of each kind runs, and little is there yet."""
    phases = (
        PhaseView(
            "candles", "Candles", "running", "BNB-USD, 42 %, 1.2 M candles/s", 3.1, "", "c", "data", 0.42, 2.0
        ),
        PhaseView(
            "features",
            "Features",
            "running",
            "ETH-USD, 61 %, 598 k rows/s",
            8.2,
            "",
            "b",
            "features",
            0.61,
            2.0,
        ),
        PhaseView(
            "training",
            "Training",
            "running",
            "lstm_BTC-USD, first epoch",
            4.0,
            "",
            "t",
            "training",
            0.04,
            98.0,
        ),
        PhaseView(
            "evaluation",
            "Evaluation",
            "running",
            "lstm_BTC-USD, leakage 3 of 7",
            9.0,
            "",
            "v",
            "gates",
            0.4,
            14.0,
        ),
        PhaseView("gates", "Gates", "waiting", "", key="v", screen="gates"),
        PhaseView("promotion", "Promotion", "waiting", key="p", screen="models"),
        *LATER,
    )
    data = tuple(item for item in datasets() if item.symbol != "BNB-USD")
    training = replace(
        TRAINING_JOB,
        id="job-4",
        target="lstm_BTC-USD",
        done=862_000.0,
        eta_s=98.0,
        took_s=4.0,
        detail={"epoch": 1, "epochs": 10, "patience": 3},
        started_at=at("12:04:13"),
    )
    return ConsoleSnapshot(
        now=NOW,
        home="/home/operator/tradingai",
        header=HEADER,
        workload="full workload, seed 7",
        synthetic="cycles, seed 7",
        phases=phases,
        jobs=(
            training,
            job(
                5,
                "evaluate",
                "lstm_BTC-USD",
                "running",
                "12:04:08",
                done=3.0,
                total=7.0,
                unit="checks",
                eta_s=14.0,
                took_s=9.0,
                detail={"stage": "leakage", "check": "split separation"},
            ),
            job(
                3,
                "features",
                "ETH-USD",
                "running",
                "12:04:09",
                done=1_880_000.0,
                total=float(ROWS),
                unit="rows",
                rate=598_000.0,
                eta_s=2.0,
                took_s=8.2,
                memory_bytes=1_400_000_000,
            ),
            job(
                2,
                "generate",
                "BNB-USD",
                "running",
                "12:04:14",
                done=1_294_000.0,
                total=float(ROWS),
                unit="candles",
                rate=1_200_000.0,
                eta_s=2.0,
                took_s=3.1,
            ),
            job(
                1,
                "features",
                "BTC-USD",
                "done",
                "12:04:02",
                ended_at=at("12:04:07"),
                took_s=5.0,
                rate=612_000.0,
            ),
        ),
        datasets=data,
        candles={item.symbol: candles(item.symbol) for item in data},
        features=FeaturesView(builds()[:1], feature_columns(), "BTC-USD", 4_000_000_000),
        models=MODELS,
        runs=(
            RunView(
                "r4",
                "11-12 12:04",
                "lstm_BTC-USD",
                "running",
                10,
                (),
                7,
                None,
                None,
                3,
                False,
                at("12:04:13"),
                4.0,
                215_000.0,
                "job-4",
            ),
        ),
        evaluations=tuple(
            EvaluationView(model, trained=model == MODELS[0], next_attempt=1, next_alpha=0.0304)
            for model in MODELS
        ),
        events=events(),
        system=SYSTEM,
    )


def failed() -> ConsoleSnapshot:
    """Each step went wrong once, and says what was kept."""
    base = full()
    phases = (
        replace(
            base.phases[0],
            state="failed",
            result="import ETH-USD: no column close",
            next_action="name the columns time, open, high, low, close, volume",
        ),
        base.phases[1],
        replace(
            base.phases[2],
            state="failed",
            result="lstm_ETH-USD: out of memory in epoch 6",
            fraction=None,
            eta_s=None,
            next_action="r resumes from epoch 5",
        ),
        *base.phases[3:],
    )
    broken = job(
        17,
        "train_lstm",
        "lstm_ETH-USD",
        "failed",
        "12:03:15",
        ended_at=at("12:04:12"),
        took_s=57.0,
        message="stopped in epoch 6: out of memory at 4.1 GB",
        remedy="Kept to epoch 5. Fewer lanes need less memory.",
        resumable=True,
        detail={"epoch": 6, "epochs": 10, "checkpoint_epoch": 5},
    )
    run = replace(
        base.runs[0],
        state="failed",
        message="stopped in epoch 6: out of memory at 4.1 GB",
        remedy="Kept to epoch 5. Fewer lanes need less memory.",
    )
    return replace(
        base,
        header=replace(HEADER, engine="attached", heartbeat_age_s=47.0, kill_on=True, kill_source="cli"),
        phases=phases,
        jobs=(
            broken,
            job(
                18,
                "import",
                "ETH-USD",
                "failed",
                "12:00:11",
                ended_at=at("12:00:12"),
                took_s=0.4,
                message="prices.csv has no column close",
                remedy="Name the columns time, open, high, low, close, volume.",
            ),
            job(
                19,
                "features",
                "BNB-USD",
                "failed",
                "11:58:00",
                ended_at=at("11:58:09"),
                took_s=9.0,
                message="the disk is full",
                remedy="Free space and build again; what was finished is kept.",
            ),
            job(
                20,
                "evaluate",
                "lstm_BNB-USD",
                "failed",
                "11:50:00",
                ended_at=at("11:50:03"),
                took_s=3.0,
                message="artifact b41e90d7 does not match its hash",
                remedy="9 Models, then v verifies all artifacts.",
            ),
            *base.jobs[1:],
        ),
        features=replace(
            base.features,
            check=CheckView(
                False,
                "rv_1440 differs by 3e-4 at 2024-02-11 07:31Z between batch and live",
                at("11:59:00"),
                "rv_1440",
            ),
        ),
        runs=(run, *base.runs[1:]),
        ledger=replace(
            base.ledger,
            problem=Problem(
                "entry 6 (evaluated lstm_ETH-USD v1.1.0) was changed after it was written",
                "Restore the registry from a backup: tradingai restore FILE.",
            ),
        ),
        events=events(failed=True),
    )


STATES = {"empty": empty, "working": working, "full": full, "failed": failed}
