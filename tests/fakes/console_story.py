"""Frozen pictures for the console's tests: one home in four states, at one fixed moment.

Empty: nothing ran. Working: candles are there, features and a training run, an evaluation runs. Full:
three models, one of them refused. Failed: candles stopped, a feature differs, training ran out of memory,
the ledger is damaged.
"""

from __future__ import annotations

from dataclasses import replace

from tradingai.engine.queries.model_snapshot import (
    EvaluationView,
    Problem,
    RunView,
)
from tradingai.engine.queries.snapshot import (
    CheckView,
    ConsoleSnapshot,
    FeaturesView,
    PhaseView,
)

from tests.fakes import console_monitor, console_observation, console_risk
from tests.fakes.console_home import (
    COINS,
    HEADER,
    LATER,
    MODELS,
    NOW,
    OBSERVED,
    ROWS,
    SYSTEM,
    at,
    builds,
    candles,
    datasets,
    empty,
    feature_columns,
)
from tests.fakes.console_runs import TRAINING_JOB, evaluations, events, job, ledger, runs


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
        *OBSERVED,
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
                "train",
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
        live=console_monitor.LIVE,
        loop=console_monitor.LOOP,
        monitor=console_monitor.scanning(),
        risk=console_risk.active(),
        observation=console_observation.observing(),
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
        monitor=console_monitor.replayed(),
        risk=console_risk.replayed(),
        observation=console_observation.begun(),
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
        "train",
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
        loop=replace(console_monitor.LOOP, state="elsewhere"),
        monitor=console_monitor.halted(),
        risk=console_risk.halted(),
        observation=console_observation.restarted(),
    )


STATES = {"empty": empty, "working": working, "full": full, "failed": failed}
