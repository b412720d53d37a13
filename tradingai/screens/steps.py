"""Starting the pipeline's steps: one place for the questions asked and the commands sent, whatever the
screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tradingai.engine.core.commands import (
    BuildFeatures,
    Evaluate,
    Promote,
    ResumeJob,
    Rollback,
    SetKillSwitch,
    StartTraining,
)
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import (
    AGENT,
    ENSEMBLE,
    parse_trainable,
)
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.observation_views import hours_words
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens.candle_steps import create_candles, fetch_candles
from tradingai.screens.commands import RunPipeline
from tradingai.screens.dialog import Dialog, Field, must_be, whole_number
from tradingai.screens.overview_parts import next_phase
from tradingai.screens.port import Host
from tradingai.widgets import numbers


def _models(text: str) -> str:
    try:
        parse_trainable(text)
    except UsageError as error:
        return f"{error.message}; {error.remedy}"
    return ""


def build_features(host: Host, coins: Sequence[str]) -> None:
    """Build the matrices of these coins; unchanged ones are skipped by their jobs."""
    if not coins:
        host.say("There are no candles yet: c on 2 Data creates some.", "warning")
        return
    host.order(*(BuildFeatures(**host.engine.issue(), symbol=coin) for coin in coins))


def _no_or_yes(text: str) -> str:
    return "" if text in {"no", "yes"} else "Start over: no or yes"


def train(host: Host, models: Sequence[str]) -> None:
    """Ask for models, epochs and seed."""

    def start(values: dict[str, str]) -> None:
        host.order(
            *(
                StartTraining(
                    **host.engine.issue(),
                    model=model,
                    epochs=int(values["epochs"]),
                    seed=int(values["seed"]),
                    fresh=values["again"] == "yes",
                )
                for model in parse_trainable(values["models"])
            )
        )

    fields = (
        Field(
            "models", "models", ",".join(models) or "lstm_BTC-USD", "lstm_BTC-USD,transformer", check=_models
        ),
        Field("epochs", "epochs", "10", check=whole_number(1, 1000)),
        Field("seed", "seed", str(host.snapshot.seed), check=whole_number(0, 2**31 - 1)),
        Field("again", "start over", "no", note="no or yes", check=_no_or_yes),
    )
    texts = [
        "It continues from its checkpoint when there is one, and ends early after 3 epochs without gain."
    ]
    if AGENT in models:
        texts = ["It continues from its checkpoint. ppo goes by stages of environment steps, not by epochs."]
    host.ask(Dialog("Train", texts, verb="train", keep="leave it", fields=fields), start)


def attempt_text(item: EvaluationView) -> str:
    """What an evaluation costs: the attempt it counts as, and the level it is held to."""
    if item.next_attempt is None:
        return f"{item.model}: counted as an attempt on its test data"
    alpha = f", α {item.next_alpha:.4f}" if item.next_alpha is not None else ""
    return f"{item.model}: attempt {item.next_attempt} on this test data{alpha}"


def evaluate(host: Host, models: Sequence[str]) -> None:
    """State each model's attempt and its α first; trying again is counted."""
    snapshot = host.snapshot
    items = [
        item
        for item in snapshot.evaluations
        if item.model in models and (item.trained or item.model == ENSEMBLE)
    ]
    if not items:
        host.say("There is no trained model to evaluate: t on 4 Training trains one.", "warning")
        return
    title = f"Evaluate {items[0].model}" if len(items) == 1 else f"Evaluate {len(items)} models"
    texts = [*(attempt_text(item) for item in items), "! Each attempt makes the significance gate stricter."]
    dialog = Dialog(title, texts, verb="evaluate", keep="leave it")
    commands = [Evaluate(**host.engine.issue(), model=item.model) for item in items]
    host.ask(dialog, lambda _: host.order(*commands))


def promote(host: Host, item: EvaluationView) -> None:
    """Say what changes, and promote once the model's name was typed."""
    if item.report is None or not item.promotable or item.version is None:
        host.say(f"{item.model} cannot be promoted: {why_not(item)}", "warning")
        return
    model, version = item.model, item.version
    if item.missing:
        host.say(f"{model} {version} cannot be promoted: {why_not(item)}", "warning")
        return
    now = f"{item.live_version} is live now." if item.live_version else "Nothing is live for this model yet."
    gates = len(item.report.gates)
    accuracy = numbers.percent(item.report.accuracy)
    texts = [
        f"{version} passed {gates} of {gates} gates with {accuracy} on its test range. {now}",
        "Its artifact is compared with its hash once more before the link is moved.",
        *clock_text(host),
    ]
    keep = f"keep {item.live_version}" if item.live_version else "leave it"
    fields = (Field("name", "Type its name to confirm", hint=model, check=must_be(model)),)
    dialog = Dialog(f"Promote {model} {version}", texts, verb="promote", keep=keep, fields=fields, live=True)
    host.ask(
        dialog,
        lambda _: host.order(Promote(**host.engine.issue(), model=model, version=version, why="console")),
    )


def clock_text(host: Host) -> tuple[str, ...]:
    """What a change of a live model costs while an observation counts."""
    seen = host.snapshot.observation
    if seen is None or seen.state != "running" or not seen.continuous_s:
        return ()
    return (f"! The observation clock restarts: {hours_words(seen.continuous_s)} h are given up.",)


def why_not(item: EvaluationView) -> str:
    """Why a model may not be promoted now."""
    if item.report is None:
        return "it has not been evaluated; v evaluates it"
    if item.report.exploratory:
        return "its evaluation used looser thresholds and is EXPLORATORY"
    if not item.report.passed:
        failed = ", ".join(gate.id for gate in item.report.gates if not gate.passed)
        return f"refused by {failed or 'gates that have not decided'}; there is no way round"
    if item.missing and item.version != item.live_version:
        return f"it is made of {', '.join(item.missing)}, not live; promote that first, or evaluate it again"
    return f"{item.version} is live already"


def roll_back(host: Host, item: EvaluationView) -> None:
    """Make the version before live again, once it was typed."""
    if item.rollback_to is None or item.live_version is None:
        host.say(f"{item.model} has no earlier live version to go back to.", "warning")
        return
    model, target = item.model, item.rollback_to
    texts = [
        f"{item.live_version} stops being live, {target} is live again at once.",
        "Its artifact is compared with its hash before the link is moved. The ledger keeps both.",
        *clock_text(host),
    ]
    fields = (Field("version", "Type the version to confirm", hint=target, check=must_be(target)),)
    dialog = Dialog(
        f"Roll {model} back to {target}",
        texts,
        verb="roll back",
        keep=f"keep {item.live_version}",
        fields=fields,
        live=True,
    )
    host.ask(
        dialog,
        lambda _: host.order(Rollback(**host.engine.issue(), model=model, version=target, why="console")),
    )


def toggle_kill(host: Host) -> None:
    """On at once, since stopping must be easy; off only once it was typed."""
    if not host.snapshot.header.kill_on:
        host.order(SetKillSwitch(**host.engine.issue(), on=True, reason="console"))
        return
    source = host.snapshot.header.kill_source
    texts = [
        f"It is on, set by {source}. While it is on nothing is emitted.",
        "! Once it is off, signals are emitted from the next scan on.",
    ]
    fields = (Field("word", "Type kill off to confirm", hint="kill off", check=must_be("kill off")),)
    dialog = Dialog("Kill switch off", texts, verb="turn it off", keep="keep it on", fields=fields, live=True)
    host.ask(dialog, lambda _: host.order(SetKillSwitch(**host.engine.issue(), on=False, reason="console")))


def resume(host: Host, job: JobView) -> None:
    """Go on with a job that stopped."""
    host.order(ResumeJob(**host.engine.issue(), job_id=job.id))


def stopped_jobs(snapshot: ConsoleSnapshot, kind: str) -> list[JobView]:
    """The newest job of each target, where it stopped and can be resumed."""
    found: dict[str, JobView] = {}
    for job in snapshot.jobs:
        if job.kind == kind:
            found.setdefault(job.target, job)
    return [job for job in found.values() if job.resumable]


def start_phase(host: Host, phase: str) -> None:
    """Start one step of the pipeline for every coin or model it is still to be done for."""
    snapshot = host.snapshot
    coins = tuple(data.symbol for data in snapshot.datasets)
    if phase == "candles":
        (create_candles if snapshot.provider in {"synthetic", "file"} else fetch_candles)(host)
    elif phase == "features":
        build_features(host, coins)
    elif phase == "training":
        stopped = stopped_jobs(snapshot, "train")
        if stopped:
            for job in stopped:
                resume(host, job)
            return
        untrained = [
            item.model for item in snapshot.evaluations if not item.trained and item.model != ENSEMBLE
        ]
        train(host, untrained or list(snapshot.models))
    elif phase in {"evaluation", "gates"}:
        evaluate(host, to_evaluate(snapshot))
    elif phase == "promotion":
        ready = [item for item in snapshot.evaluations if item.promotable]
        if ready:
            promote(host, ready[0])
        else:
            host.say("No model waits for promotion.", "warning")
    elif phase == "replay":
        from tradingai.screens.monitor_steps import start_replay

        start_replay(host, lambda: host.lead("monitor"))


def to_evaluate(snapshot: ConsoleSnapshot) -> list[str]:
    """What an evaluation is still to be done for, else every trained model.

    The ensemble comes when all others have theirs, since it is made of evaluated versions.
    """
    todo = [
        item.model for item in snapshot.evaluations if item.trained and (item.report is None or item.stale)
    ]
    if not todo or todo == [ENSEMBLE]:
        new = [item.model for item in snapshot.evaluations if item.model == ENSEMBLE and item.report is None]
        todo = todo or new
    else:
        todo = [model for model in todo if model != ENSEMBLE]
    return todo or [item.model for item in snapshot.evaluations if item.trained and item.model != ENSEMBLE]


def start_next(host: Host) -> None:
    """The next step; in an empty home the whole quick pipeline, since nothing can be lost there."""
    snapshot = host.snapshot
    if not snapshot.datasets and not snapshot.jobs:
        host.order(replace(_pipeline(host), first=True))
        return
    phase = next_phase(snapshot)
    if phase is None:
        host.say("Nothing waits to be started.", "info")
    elif phase.id == "gates":
        refused = [item.model for item in snapshot.evaluations if item.report and not item.report.passed]
        trained = [model for model in refused if model != ENSEMBLE]
        if trained:
            train(host, trained)
        else:
            evaluate(host, refused)
    else:
        start_phase(host, phase.id)


def _pipeline(host: Host) -> RunPipeline:
    snapshot = host.snapshot
    return RunPipeline(
        **host.engine.issue(), workload=snapshot.workload_id, market=snapshot.market, seed=snapshot.seed
    )


def _source(snapshot: ConsoleSnapshot) -> str:
    """What a pipeline works on: ``on cycles, seed 7``, ``on fetched candles of binance``."""
    if snapshot.provider == "synthetic":
        return f"on {snapshot.market}, seed {snapshot.seed}"
    return f"on fetched candles of {snapshot.exchange if snapshot.provider == 'ccxt' else 'Yahoo'}"


def start_all(host: Host) -> None:
    """Every step that is left, after a question."""
    snapshot = host.snapshot
    what = f"The {snapshot.workload_id} workload {_source(snapshot)}"
    texts = [
        f"{what}: candles, features, training, evaluation and gates. What is done is skipped.",
        "! Models that pass every gate are promoted; evaluations count as attempts.",
    ]
    dialog = Dialog("Run all steps", texts, verb="run all", keep="leave it")
    host.ask(dialog, lambda _: host.order(_pipeline(host)))
