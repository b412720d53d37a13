"""What measured pipelines come to by stage: costs, how they grow, and what more cores can do. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

Job = dict[str, Any]
Run = dict[str, Any]

SEVERAL: Final = ("transformer", "ppo", "ensemble")
"""Targets that are of all coins; a training or evaluation of anything else is an LSTM's."""
STAGES: Final = (
    "candles", "features", "train lstm", "train transformer", "train ppo", "evaluate lstm",
    "evaluate transformer", "evaluate ppo", "evaluate ensemble", "promotion", "replay", "engine",
)  # fmt: skip
BY_EPOCH: Final = ("train lstm", "train transformer")
"""Stages whose cost is counted by epoch: early stopping may spare some."""
GROUPS: Final = {
    "generate": "candles", "features": "features", "train": "training", "evaluate": "evaluation",
    "replay": "replay",
}  # fmt: skip
"""What runs side by side, by kind of job."""


def stage_of(job: Job) -> str:
    """The stage a job belongs to; a stage is one kind of work on one kind of model."""
    kind = str(job["kind"])
    if kind in {"train", "evaluate"}:
        return f"{kind} {job['target'] if job['target'] in SEVERAL else 'lstm'}"
    return GROUPS[kind]


@dataclass(frozen=True)
class Cost:
    """What a stage cost in one pipeline, its jobs together; memory is that of the largest."""

    jobs: int
    wall_s: float
    cpu_s: float
    waited_s: float
    """Ready to run, and no core was free."""
    slept_s: float
    """Neither running nor ready: disks, locks, other threads."""
    own_mb: float
    beside_mb: float
    """Of the process that a job started, mapped files included."""
    peak_mb: float
    read_mb: float
    written_mb: float
    epochs: float | None
    steps_cpu_s: dict[str, float]
    hot_cpu_s: dict[str, float]


def _added(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, seconds in part.items():
            total[name] += seconds
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def cost(jobs: Sequence[Job]) -> Cost:
    """The jobs of one stage together."""
    rounds = [job["epochs"] for job in jobs if job.get("epochs")]
    return Cost(
        jobs=len(jobs),
        wall_s=sum(job["process_s"] for job in jobs),
        cpu_s=sum(job["cpu_s"] for job in jobs),
        waited_s=sum(job["waited_s"] for job in jobs),
        slept_s=sum(job["slept_s"] for job in jobs),
        own_mb=max(job["own_mb"] for job in jobs),
        beside_mb=max(job["beside_mb"] for job in jobs),
        peak_mb=max(job["peak_mb"] for job in jobs),
        read_mb=sum(job["read_mb"] for job in jobs),
        written_mb=sum(job["written_mb"] for job in jobs),
        epochs=sum(rounds) / len(rounds) if rounds else None,
        steps_cpu_s=_added(job["steps_cpu_s"] for job in jobs),
        hot_cpu_s=_added(job["hot_cpu_s"] for job in jobs),
    )


def costs(run: Run) -> dict[str, Cost]:
    """Cost by stage, in the order of STAGES; promotions and the engine's process are stages without a job."""
    by_stage: dict[str, list[Job]] = defaultdict(list)
    for job in run["jobs"]:
        by_stage[stage_of(job)].append(job)
    found = {stage: cost(jobs) for stage, jobs in by_stage.items()}
    promotions = run["promotions"]
    if promotions:
        found["promotion"] = _bare(
            len(promotions), sum(one["wall_s"] for one in promotions), sum(one["cpu_s"] for one in promotions)
        )
    found["engine"] = _bare(1, run["wall_s"], run["engine_cpu_s"])
    return {stage: found[stage] for stage in STAGES if stage in found}


def _bare(jobs: int, wall_s: float, cpu_s: float) -> Cost:
    return Cost(jobs, wall_s, cpu_s, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, {}, {})


@dataclass(frozen=True)
class Line:
    """``fixed_s`` + ``row_us`` · rows, and how far the worst point lies from it, as a share of the point."""

    fixed_s: float
    row_us: float
    worst: float


def line(points: Sequence[tuple[float, float]]) -> Line:
    """The line through (rows, seconds) whose squared relative errors are least.

    Relative, because a second more matters at a small size what it does not at a large one. Raises ValueError
    for fewer than two sizes and for seconds that are not above 0.

    >>> line([(1e6, 3.0), (2e6, 5.0), (4e6, 9.0)])
    Line(fixed_s=1.0, row_us=2.0, worst=0.0)
    """
    _check(points)
    weights = [1.0 / (seconds * seconds) for _, seconds in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    over = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True))
    under = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = over / under
    fixed = mean_y - slope * mean_x
    worst = max(abs(fixed + slope * x - y) / y for x, y in points)
    return Line(round(fixed, 9), round(1e6 * slope, 9), round(worst, 9))


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Slope of log seconds over log rows, least squares: 0 constant, 1 linear, 2 quadratic.

    Raises ValueError as :func:`line` does.
    """
    _check(points)
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - mean_x) ** 2 for x in xs)


def _check(points: Sequence[tuple[float, float]]) -> None:
    if len({x for x, _ in points}) < 2:
        raise ValueError(f"{len(points)} points of fewer than two sizes show no growth")
    if any(x <= 0 or y <= 0 for x, y in points):
        raise ValueError("sizes and seconds must be above 0")


def word(slope: float) -> str:
    """What an exponent means."""
    if slope < 0.2:
        return "constant"
    if slope < 0.8:
        return "less than linear"
    if slope <= 1.2:
        return "linear"
    return "more than linear"


def amount(stage: str, found: Cost) -> float:
    """CPU seconds that are compared between sizes: of an epoch where the number of epochs may differ."""
    if stage in BY_EPOCH and found.epochs:
        return found.cpu_s / found.epochs
    return found.cpu_s


def row_us(stage: str, run: Run, found: Cost) -> float:
    """CPU microseconds by minute and coin, and by epoch where epochs are counted."""
    return 1e6 * amount(stage, found) / (run["rows"] * run["coins"])


def spans(run: Run) -> dict[str, float]:
    """Wall seconds from the first start to the last end of what runs side by side; then the whole."""
    found: dict[str, float] = {}
    for kind, name in GROUPS.items():
        jobs = [job for job in run["jobs"] if job["kind"] == kind]
        if jobs:
            found[name] = max(job["ended_s"] for job in jobs) - min(job["started_s"] for job in jobs)
    return {**found, "pipeline": run["wall_s"]}


def at_once(run: Run) -> int:
    """How many jobs ran at the same time, at most."""
    edges = [(job["started_s"], 1) for job in run["jobs"]] + [(job["ended_s"], -1) for job in run["jobs"]]
    most = now = 0
    for _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most


def critical_path(run: Run) -> tuple[float, tuple[str, ...]]:
    """CPU seconds of the longest chain of jobs each of which waits for the one before, and the chain.

    The order is the pipeline's: all candles, all features, a model's training before its evaluation, models
    of several coins judged one after another behind the LSTMs, the replay last.
    """
    jobs = {(job["kind"], job["target"]): job for job in run["jobs"]}
    ends: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}

    def end(key: tuple[str, str]) -> tuple[float, tuple[str, ...]]:
        if key not in ends:
            before = [end(other) for other in _before(key, jobs)]
            seconds, chain = max(before, default=(0.0, ()))
            ends[key] = (seconds + jobs[key]["cpu_s"], (*chain, f"{key[0]} {key[1]}"))
        return ends[key]

    return max(end(key) for key in jobs)


def _before(key: tuple[str, str], jobs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What a job waits for."""
    kind, target = key
    waits = {"features": "generate", "train": "features", "replay": "evaluate"}
    if kind in waits:
        return [other for other in jobs if other[0] == waits[kind]]
    if kind != "evaluate":
        return []
    place = SEVERAL.index(target) if target in SEVERAL else 0
    earlier = SEVERAL[:place] if target in SEVERAL else ()
    judged = [
        other
        for other in jobs
        if other[0] == "evaluate" and target in SEVERAL and (other[1] not in SEVERAL or other[1] in earlier)
    ]
    return judged + [other for other in jobs if other == ("train", target)]
