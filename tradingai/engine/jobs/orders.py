"""From a command to the job that carries it out."""

from __future__ import annotations

from typing import Any

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import (
    BuildFeatures,
    Drill,
    Evaluate,
    FetchCandles,
    GenerateCandles,
    ImportCandles,
    ImportExecution,
    JobCommand,
    MeasureExecution,
    Replay,
    ScoreFolds,
    SimulateChallenge,
    StartObservation,
    StartTraining,
)
from tradingai.engine.core.settings import Settings
from tradingai.engine.jobs.spec import JobSpec, new_job

_KINDS: dict[type[JobCommand], tuple[str, str]] = {
    GenerateCandles: ("generate", "symbol"),
    FetchCandles: ("fetch", "symbol"),
    ImportCandles: ("import", "symbol"),
    ImportExecution: ("execution_import", "costs"),
    MeasureExecution: ("execution_measure", "costs"),
    BuildFeatures: ("features", "symbol"),
    StartTraining: ("train", "model"),
    Evaluate: ("evaluate", "model"),
    ScoreFolds: ("folds", "model"),
    Replay: ("replay", "candles"),
    Drill: ("drill", "candles"),
    SimulateChallenge: ("simulate", "challenge"),
    StartObservation: ("observe", "candles"),
}
"""The kind of job, and the parameter that names its target; a word that is no parameter is the target."""


def job_for(command: JobCommand, settings: Settings, clock: Clock) -> JobSpec:
    """The job for a command; its parameters are the command's own fields.

    Threads are the command's where it names some, else JOB_THREADS.
    """
    kind, target = _KINDS[type(command)]
    params: dict[str, Any] = command.payload()
    threads = params.pop("threads", None) or settings.job_threads
    return new_job(kind, params.get(target, target), params, clock=clock, threads=threads)
