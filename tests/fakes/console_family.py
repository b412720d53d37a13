"""The story with all kinds of models: a Transformer refused on one coin, an ensemble without the agent."""

from __future__ import annotations

import math
from dataclasses import replace

from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.queries.model_snapshot import (
    AgentView,
    ComponentView,
    EnsembleView,
    EvaluationView,
    LedgerEntry,
    LedgerView,
    PolicyPoint,
    RunView,
)
from tradingai.engine.queries.snapshot import ConsoleSnapshot

from tests.fakes.console_home import ARTIFACTS, COINS, MODELS, SHA, at
from tests.fakes.console_report import report
from tests.fakes.console_runs import curve, job
from tests.fakes.console_story import full

SEVERAL = ("transformer", "ppo", "ensemble")
ARTIFACT = {"transformer": "d0114c9e" * 8, "ppo": "40c6e2b1" * 8, "ensemble": "e5d2aa10" * 8}
AGENT = AgentView(
    joins=False,
    reason="the difference of days may be -0.12 R: it has to be above zero",
    days=161,
    daily_r_with=2.31,
    daily_r_without=2.14,
    difference=(-0.12, 0.46),
    alpha=0.05,
    required_gain=1.02,
)
TRANSFORMER_FACTS = {
    "inputs": "52 + 52 + 52 features",
    "network": "48 wide, 2 layers",
    "attention": "2 heads, 64 minutes, causal",
    "warm-up": "270 bars",
    "calibration BTC-USD": "temperature × 0.99",
    "calibration ETH-USD": "temperature × 0.96",
    "calibration BNB-USD": "platt × 0.94",
}
AGENT_FACTS = {
    "inputs": "52 features, position",
    "network": "32 a coin → 32 → action, value",
    "warm-up": "none, it has no memory",
}


def stages(count: int, top: float) -> tuple[PolicyPoint, ...]:
    """A policy that finds out how to earn ``top`` bps a minute and grows sure of it."""
    found, best = [], -math.inf
    for stage in range(1, count + 1):
        left = math.exp(-stage / 4)
        earned = top * (1 - left) + 0.05 * math.sin(2.1 * stage)
        found.append(
            PolicyPoint(
                stage=stage,
                env_steps=122_880 * stage,
                mean_return_bps=earned - 0.25 * left - 0.12,
                validation_return_bps=earned,
                entropy=0.06 + 0.9 * left,
                approx_kl=0.0016 * left + 0.00002 * stage,
                clip_fraction=0.017 * left,
                value_loss=4.6 + 3 * left,
                env_steps_per_s=137_000.0,
                best=earned > best,
            )
        )
        best = max(best, earned)
    return tuple(found)


def best_stage(points: tuple[PolicyPoint, ...]) -> int:
    """The stage that is kept."""
    return max(points, key=lambda point: point.validation_return_bps).stage


def agent_run(name: str, label: str, state: str, points: tuple[PolicyPoint, ...], **more: object) -> RunView:
    """One run of the agent."""
    fields = {"seed": 7, "facts": AGENT_FACTS, "took_s": 38.0, "bars_per_s": 137_000.0} | more
    best = best_stage(points) if points else None
    return RunView(name, label, "ppo", state, 25, stages=points, best_epoch=best, **fields)  # type: ignore[arg-type]


TRANSFORMER_RUN = RunView(
    "r21", "11-12 08:20", "transformer", "done", 10, curve(10, 0.505, 0.762), 7, "v1.0.0", 10, 3, False,
    at("08:20:00"), 241.0, 47_000.0, "job-21", facts=TRANSFORMER_FACTS,
)  # fmt: skip
AGENT_RUN = agent_run(
    "r22", "11-12 08:30", "done", stages(25, 0.95), version="v1.0.0", started_at=at("08:30:00"),
    job_id="job-22",
)  # fmt: skip
EARLIER_AGENT = agent_run(
    "r20", "11-12 08:10", "cancelled", stages(9, 0.7), seed=3, started_at=at("08:10:00")
)
LEARNING_JOB = job(
    23, "train", "ppo", "running", "12:03:55", done=1_536_000.0, total=3_072_000.0, unit="env steps",
    rate=131_400.0, eta_s=11.7, took_s=22.0, memory_bytes=540_000_000, pid=4712,
    detail={"epoch": 13, "epochs": 25},
)  # fmt: skip
LEARNING_RUN = agent_run(
    "r23", "11-12 12:03", "running", stages(12, 0.95), started_at=at("12:03:55"), took_s=22.0,
    bars_per_s=131_400.0, job_id="job-23",
)  # fmt: skip


def several(model: str, *, refused: str = "", accuracy: float = 0.0) -> ModelReport:
    """Reports of all coins; ``accuracy`` is added to each."""
    coins = []
    for coin in COINS:
        one = report(f"lstm_{coin}", SHA[coin], ARTIFACT[model], refused=coin == refused)
        value = (one.accuracy or 0.0) + accuracy
        coins.append(replace(one, model=model, version="v1.0.0", accuracy=value))
    parts = [(part.model, part.version, part.sha256) for part in components()] if model == "ensemble" else ()
    return ModelReport.of(coins, parts)


def components() -> tuple[ComponentView, ...]:
    """Three LSTMs, the Transformer, the agent."""
    lstms = tuple(ComponentView(model, "lstm", "v1.0.0", ARTIFACTS[model]) for model in MODELS)
    others = (ComponentView(model, model, "v1.0.0", ARTIFACT[model]) for model in ("transformer", "ppo"))
    return (*lstms, *others)


def made() -> EnsembleView:
    """How the ensemble is made: the agent takes no part."""
    shares = {coin: {"lstm": 0.5, "transformer": 0.5} for coin in COINS}
    return EnsembleView("v1.0.0", components(), shares, AGENT)


def entries() -> tuple[LedgerEntry, ...]:
    """The evaluations of the models of several coins, the ensemble's last."""
    found = []
    for index, model in enumerate(SEVERAL, start=8):
        refused = ("calibration",) if model == "transformer" else ()
        coins = tuple(
            (coin, accuracy, refused if coin == "BNB-USD" else ())
            for coin, accuracy in zip(COINS, (0.768, 0.758, 0.719), strict=True)
        )
        parts = tuple((part.model, part.version) for part in components()) if model == "ensemble" else ()
        found.append(
            LedgerEntry(
                index, "v1.0.0", model, "refused" if refused else "evaluated", at(f"11:{40 + index}:00"),
                passed=not refused, accuracy=0.748, gates_passed=4 if refused else 5, gates_total=5,
                artifact_sha256=ARTIFACT[model], attempt=index - 5, who="engine, evaluation",
                certificate="" if refused else "77aa" * 16, coins=coins, components=parts,
            )
        )  # fmt: skip
    return tuple(found)


def family() -> ConsoleSnapshot:
    """Everything ran; the Transformer is refused on BNB-USD; the ensemble passed and waits for it."""
    base = full()
    live = {"live_version": "v1.0.0", "live_since": at("05:52:00", 10)}
    more = (
        EvaluationView("transformer", several("transformer", refused="BNB-USD", accuracy=0.004), trained=True,
                       version="v1.0.0", next_attempt=3, next_alpha=0.0034),
        EvaluationView("ppo", several("ppo", accuracy=-0.012), trained=True, version="v1.0.0", **live,
                       next_attempt=4, next_alpha=0.0019, certificate="5ac3" * 16),
        EvaluationView("ensemble", several("ensemble", accuracy=0.007), trained=True, version="v1.0.0",
                       next_attempt=5, next_alpha=0.0012, certificate="77aa" * 16, ensemble=made(),
                       missing=("lstm_BNB-USD v1.0.0", "transformer v1.0.0")),
    )  # fmt: skip
    shared = tuple(replace(item, share=1.0 if item.live_version else None) for item in base.evaluations)
    return replace(
        base,
        models=(*MODELS, "transformer", "ppo"),
        runs=(*base.runs, AGENT_RUN, TRANSFORMER_RUN, EARLIER_AGENT),
        evaluations=(*shared, *more),
        ledger=LedgerView((*base.ledger.entries, *entries())),
    )


def learning() -> ConsoleSnapshot:
    """The agent trains again, its earlier run overlaid."""
    base = family()
    return replace(
        base,
        jobs=(LEARNING_JOB, *base.jobs[1:]),
        runs=(LEARNING_RUN, *(run for run in base.runs if run.state != "running")),
    )


def unmade() -> ConsoleSnapshot:
    """All are trained and evaluated but the ensemble."""
    base = family()
    first = EvaluationView("ensemble", next_attempt=5, next_alpha=0.0012)
    return replace(base, evaluations=(*base.evaluations[:-1], first))
