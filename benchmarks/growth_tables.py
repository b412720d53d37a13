"""The measured pipelines as Markdown tables: growth, steps, bounds, coins, cores, operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from growth_fits import (
    BY_EPOCH,
    Cost,
    Run,
    amount,
    at_once,
    costs,
    critical_path,
    exponent,
    line,
    row_us,
    spans,
    word,
)

SHOWN_STEPS: Final = 9
SHOWN_FUNCTIONS: Final = 5
LEAST_SHARE: Final = 0.02
"""Steps below this share of their stage are left out of the table; the JSON has them."""
LEAST_S: Final = 0.05
"""Below this many seconds a step is too short for its growth to be read off samples of 10 ms."""
ROWS: Final = (
    "A row is one minute of one coin. Of the networks' trainings (*) the fit is by epoch, since training may "
    "stop early. *Fixed* and *a further row* are the line through the sizes, *off the line* how far the "
    "worst size lies from it; the exponent is that of all sizes, then of the two largest, which has the word."
)
Document = dict[str, Any]


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose first ``left`` columns are words and the others numbers."""
    rule = ["---" if number < left else "---:" for number in range(len(headers))]
    lines = [headers, rule, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seconds(value: float) -> str:
    """Three figures, as far as they mean something: ``0.12``, ``4.7``, ``132``."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def share(value: float) -> str:
    """``12 %``."""
    return f"{100 * value:.0f} %"


def by_size(document: Document) -> list[Run]:
    """The pipelines that differ in nothing but the rows, the smallest first."""
    found = [run for run in document["runs"] if run["part"] == "rows"]
    return sorted(found, key=lambda run: run["rows"])


def base(document: Document) -> Run:
    """The pipeline that the others with fewer coins or cores are compared with."""
    return next(run for run in by_size(document) if run["days"] == document["base_days"])


def growth(document: Document) -> dict[str, dict[str, Any]]:
    """By stage: CPU seconds at each size, microseconds a row, exponent, and the line through the sizes.

    A stage that some size does not have (nothing was promoted there) is left out.
    """
    runs = by_size(document)
    found = [costs(run) for run in runs]
    everywhere = [stage for stage in found[-1] if all(stage in one for one in found)]
    return {stage: _growth(stage, runs, [one[stage] for one in found]) for stage in everywhere}


def _growth(stage: str, runs: Sequence[Run], found: Sequence[Cost]) -> dict[str, Any]:
    points = [(run["rows"] * run["coins"], amount(stage, one)) for run, one in zip(runs, found, strict=True)]
    slope, fitted = exponent(points), line(points)
    last = exponent(points[-2:])
    return {
        "counted": "epoch" if stage in BY_EPOCH else "whole",
        "rows": [run["rows"] for run in runs],
        "cpu_s": [one.cpu_s for one in found],
        "wall_s": [one.wall_s for one in found],
        "epochs": [one.epochs for one in found],
        "row_us": [row_us(stage, run, one) for run, one in zip(runs, found, strict=True)],
        "exponent": slope,
        "exponent_at_the_end": last,
        "word": word(last),
        "fixed_s": fitted.fixed_s,
        "each_row_us": fitted.row_us,
        "worst": fitted.worst,
    }


def rows_table(document: Document) -> str:
    """What a stage costs at each size, and how that grows."""
    days = [run["days"] for run in by_size(document)]
    headers = [
        "stage", *(f"{day:,} days" for day in days), "µs a row at the end", "fixed s", "µs a further row",
        "off the line", "exponent", "at the end", "growth",
    ]  # fmt: skip
    rows = []
    for stage, grown in growth(document).items():
        pairs = zip(grown["cpu_s"], grown["wall_s"], strict=True)
        by = " *" if grown["counted"] == "epoch" else ""
        rows.append(
            (
                stage, *(f"{seconds(cpu)} ({seconds(wall)})" for cpu, wall in pairs),
                f"{grown['row_us'][-1]:.2f}{by}", f"{grown['fixed_s']:.2f}{by}",
                f"{grown['each_row_us']:.2f}{by}", share(grown["worst"]),
                f"{grown['exponent']:.2f}", f"{grown['exponent_at_the_end']:.2f}", grown["word"],
            )
        )  # fmt: skip
    return markdown(headers, rows)


def steps_table(document: Document) -> str:
    """The steps of each stage: seconds at the smallest and the largest size, share, growth."""
    runs = by_size(document)
    first, last = runs[0], runs[-1]
    rows: list[tuple[str, ...]] = []
    small = costs(first)
    for stage, big in costs(last).items():
        shown = [
            (name, value)
            for name, value in list(big.steps_cpu_s.items())[:SHOWN_STEPS]
            if value >= LEAST_SHARE * big.cpu_s
        ]
        for number, (name, value) in enumerate(shown):
            before = small[stage].steps_cpu_s.get(name, 0.0) if stage in small else 0.0
            rows.append(
                (stage if not number else "", name, seconds(before), seconds(value),
                 share(value / big.cpu_s), _step_growth(first, last, before, value))
            )  # fmt: skip
    headers = ("stage", "step", f"{first['days']} days", f"{last['days']:,} days", "share", "growth")
    return markdown(headers, rows, left=2)


def _step_growth(first: Run, last: Run, before: float, value: float) -> str:
    """Exponent and word between two sizes; a dash where a step is too short to tell."""
    if min(before, value) < LEAST_S:
        return "–"
    slope = exponent([(first["rows"], before), (last["rows"], value)])
    return f"{word(slope)} ({slope:.2f})"


def bounds_table(document: Document) -> str:
    """What a stage's processes did with their wall time at the largest size, memory and disks."""
    rows = []
    for stage, one in costs(by_size(document)[-1]).items():
        if not one.steps_cpu_s:
            continue
        memory = (one.own_mb, one.beside_mb, one.peak_mb, one.read_mb, one.written_mb)
        rows.append(
            (
                stage, str(one.jobs), seconds(one.wall_s), share(one.cpu_s / one.wall_s),
                share(one.waited_s / one.wall_s), share(one.slept_s / one.wall_s),
                *(f"{mb:,.0f}" for mb in memory),
            )
        )  # fmt: skip
    headers = (
        "stage", "jobs", "wall s", "on a core", "waiting for one", "sleeping", "memory MB",
        "beside MB", "with mapped files MB", "read MB", "written MB",
    )  # fmt: skip
    return markdown(headers, rows)


def functions_table(document: Document) -> str:
    """The product's functions that a stage spends most CPU time in (what they call outside it included)."""
    rows: list[tuple[str, ...]] = []
    for stage, one in costs(by_size(document)[-1]).items():
        for number, (name, value) in enumerate(list(one.hot_cpu_s.items())[:SHOWN_FUNCTIONS]):
            function = name.removeprefix("tradingai.engine.")
            of_stage = share(value / one.cpu_s)
            rows.append((stage if not number else "", f"`{function}`", seconds(value), of_stage))
    return markdown(("stage", "function", "CPU s", "share"), rows, left=2)


def coins_table(document: Document) -> str:
    """What a stage costs with fewer coins; a dash where there is no such stage."""
    runs = sorted(
        [run for run in document["runs"] if run["part"] == "coins"] + [base(document)],
        key=lambda run: run["coins"],
    )
    return _compared(runs, lambda run: f"{run['coins']} coin{'s' if run['coins'] > 1 else ''}", "coins")


def _compared(runs: Sequence[Run], title: Callable[[Run], str], size: str) -> str:
    found = [costs(run) for run in runs]
    rows = []
    for stage in found[-1]:
        there = [(run[size], one[stage]) for run, one in zip(runs, found, strict=True) if stage in one]
        points = [(number, amount(stage, one)) for number, one in there if one.cpu_s > 0]
        slope = exponent(points) if len(points) > 1 else None
        rows.append(
            (
                stage, *(seconds(one[stage].cpu_s) if stage in one else "–" for one in found),
                "–" if slope is None else f"{word(slope)} ({slope:.2f})",
            )
        )  # fmt: skip
    return markdown(("CPU s", *(title(run) for run in runs), "growth"), rows)


def _by_cores(document: Document) -> list[Run]:
    """The base range on one core, then on all."""
    return [base(document), *(run for run in document["runs"] if run["part"] == "cores")]


def cores_table(document: Document) -> str:
    """Wall seconds by what runs side by side, on one core and on more."""
    runs = _by_cores(document)
    alone, many = spans(runs[0]), spans(runs[-1])
    rows = []
    for name, before in alone.items():
        faster = before / many[name]
        cells = [seconds(spans(run)[name]) for run in runs]
        rows.append((name, *cells, f"{faster:.2f}", share(faster / runs[-1]["cores"])))
    titles = [f"{run['cores']} core{'s' if run['cores'] > 1 else ''}, wall s" for run in runs]
    return markdown(("", *titles, "speed-up", "efficiency"), rows)


def cores_words(document: Document) -> str:
    """What the product made of the cores it was given, and what no number of cores can do away with."""
    lines = []
    for run in _by_cores(document):
        threads = sorted({job["torch_threads"] for job in run["jobs"] if job["torch_threads"]})
        each = " or ".join(map(str, threads))
        lines.append(
            f"Cores given: {run['cores']}. The product made it JOB_WORKERS {run['workers']}, ran at most "
            f"{at_once(run)} jobs at once and gave each {each} torch thread(s)."
        )
    run = base(document)
    longest, chain = critical_path(run)
    total = sum(job["cpu_s"] for job in run["jobs"])
    lines.append(
        f"The longest chain of jobs that wait for each other takes {seconds(longest)} of the "
        f"{seconds(total)} CPU s of all jobs: no number of cores makes the {run['days']} days more than "
        f"{total / longest:.2f} times as fast as one ({' → '.join(chain)})."
    )
    return "\n\n".join(lines)


def kernels_table(document: Document) -> str:
    """Torch's operations by their own share of a training's time, one thread."""
    rows: list[tuple[str, ...]] = []
    for found in document["kernels"]:
        for number, one in enumerate(found["operations"]):
            if one["share"] >= LEAST_SHARE:
                calls = f"{one['calls']:,}"
                rows.append(
                    (found["model"] if not number else "", f"`{one['name']}`", share(one["share"]), calls,
                     f"{one['us_a_call']:,.0f}")
                )  # fmt: skip
        rows.append(("", "outside of torch's operations", share(found["outside_torch"]), "", ""))
    return markdown(("model", "operation", "share", "calls", "µs a call"), rows, left=2)


def report(document: Document) -> str:
    """All tables with their titles."""
    machine, days = document["machine"], document["base_days"]
    parts = [
        (
            "Growth with rows: CPU seconds (wall seconds of the processes)",
            f"{ROWS}\n\n{rows_table(document)}",
        ),
        ("Steps by CPU time", steps_table(document)),
        ("What the processes did with their time, at the largest size", bounds_table(document)),
        ("Functions of the product by CPU time, at the largest size", functions_table(document)),
        (f"Growth with coins, {days} days", coins_table(document)),
        (f"Cores, {days} days", f"{cores_table(document)}\n\n{cores_words(document)}"),
        ("Torch's operations in training", kernels_table(document)),
    ]
    title = (
        f"Measured {document['at']} in {seconds(document['seconds'])} s on {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, load {machine['load'][0]} before it began."
    )
    return "\n\n".join([title, *(f"### {heading}\n\n{table}" for heading, table in parts)])
