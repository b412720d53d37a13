"""One row of the table of benchmarks, the table, the machine, and the document in which they are kept."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

FULL_ROWS: Final = 3_081_668
END: Final = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
PACKAGES: Final = ("numpy", "polars", "torch", "scipy", "stable-baselines3")
DEFAULT_NOISE: Final = 0.10


class DocumentError(Exception):
    """Something is no document of these benchmarks; the message says what it lacks."""


@dataclass(frozen=True)
class Bench:
    """Where and on how much a benchmark runs."""

    home: Path
    rows: int

    @property
    def start(self) -> datetime:
        """Open time of the first candle."""
        return END - timedelta(minutes=self.rows - 1)


@dataclass(frozen=True)
class Row:
    """One line of the table. ``better`` says how many times the measured value beats the baseline."""

    what: str
    measured: float
    unit: str
    required: float | None
    comparison: Literal["≤", "≥"]
    baseline: str
    baseline_value: float
    better: float
    cpu_s: float | None = None
    """What it cost all its processes together, where that was measured; on a busy machine it tells more."""
    sized: bool = True
    """Whether its size follows ``--days``; such a row is judged on the full range only."""
    fault: str = ""
    """Why the figure does not count, whatever it is: what was measured did not do its work."""
    note: str = ""
    """What else was seen: the slowest of several, how many there were."""
    samples: list[float] = field(default_factory=list)
    """What ``measured`` is a quantile or a median of, in its unit."""
    noise: float = DEFAULT_NOISE
    """A change of this share between two single runs means nothing."""
    grain: float = 0.0
    """Nor does a change of so much in the row's unit: the measurement cannot tell it."""

    def met(self, rows: int) -> bool | None:
        """Whether the requirement is met; None where there is none, and for less than its full size."""
        if self.sized and rows != FULL_ROWS:
            return None
        if self.fault:
            return False
        if self.required is None:
            return None
        return self.measured <= self.required if self.comparison == "≤" else self.measured >= self.required


@dataclass(frozen=True)
class Ran:
    """One benchmark of a run: how busy the machine was before it, how long it took, whether it ended well."""

    name: str
    load: list[float]
    seconds: float
    failed: str = ""


@dataclass(frozen=True)
class Document:
    """What a run of ``make bench`` leaves."""

    at: str
    machine: dict[str, Any]
    git: dict[str, Any]
    """``commit`` (None where there is no repository) and ``dirty``: whether files differed from it."""
    rows_a_coin: int
    ran: list[Ran]
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """The document of build/bench.json."""
        size = self.rows_a_coin
        return {
            "at": self.at,
            "machine": self.machine,
            "git": self.git,
            "rows_a_coin": size,
            "ran": [asdict(item) for item in self.ran],
            "benchmarks": [{**asdict(row), "met": row.met(size)} for row in self.rows],
        }


def document_from(found: Any) -> Document:
    """A document from JSON, also of an earlier revision. Raises DocumentError saying what is wrong."""
    if not isinstance(found, Mapping) or not isinstance(found.get("benchmarks"), list):
        raise DocumentError("it has no list `benchmarks`")
    for name, kind in (("at", str), ("machine", dict), ("rows_a_coin", int)):
        if not isinstance(found.get(name), kind):
            raise DocumentError(f"it has no `{name}`")
    return Document(
        at=found["at"],
        machine=found["machine"],
        git=found.get("git", {"commit": None, "dirty": None}),
        rows_a_coin=found["rows_a_coin"],
        ran=[Ran(**item) for item in found.get("ran", [])],
        rows=[row_from(item) for item in found["benchmarks"]],
    )


def row_from(found: Any) -> Row:
    """A row from JSON; what this revision does not know is left out. Raises DocumentError for less."""
    if not isinstance(found, Mapping):
        raise DocumentError("a row of it is no object")
    wanted = [item.name for item in fields(Row)]
    needed = [item.name for item in fields(Row) if item.default is item.default_factory is MISSING]
    missing = [name for name in needed if name not in found]
    if missing:
        raise DocumentError(f"a row of it has no `{missing[0]}`")
    return Row(**{name: found[name] for name in wanted if name in found})


def write_document(path: Path, document: Document) -> None:
    """Write it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document.as_json(), indent=2, ensure_ascii=False) + "\n")


def machine() -> dict[str, Any]:
    """What these numbers are measured on, and how busy it is."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "load": load(),
    }


def load() -> list[float]:
    """Processes that wanted to run, in the mean of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def commit_of(folder: Path) -> dict[str, Any]:
    """The commit of a checkout, and whether its files differ from it; None of both without a repository."""
    said = []
    for command in (("rev-parse", "HEAD"), ("status", "--porcelain")):
        done = subprocess.run(("git", *command), cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"commit": None, "dirty": None}
        said.append(done.stdout.strip())
    return {"commit": said[0], "dirty": bool(said[1])}


def number(value: float, unit: str) -> str:
    """``5.70 s``, ``52.6 ×``, ``1,034 MB``."""
    size = abs(value)
    digits = 0 if size >= 1000 or unit in {"bars/s", "models"} else 1 if size >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def in_columns(cells: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = ["  ".join(row).rstrip() for row in padded]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def table(rows: Sequence[Row], size: int) -> str:
    """What, measured, required, verdict, baseline, how many times better; below it what does not count."""
    words = {True: "met", False: "NOT MET", None: "–"}
    cells = [("what", "measured", "CPU", "required", "", "baseline", "better by", "which is", "also")]
    for row in rows:
        cpu = "–" if row.cpu_s is None else number(row.cpu_s, "s")
        limit = "–" if row.required is None else f"{row.comparison} {number(row.required, row.unit)}"
        cells.append(
            (row.what, number(row.measured, row.unit), cpu, limit, words[row.met(size)],
             number(row.baseline_value, row.unit), f"{row.better:,.1f} ×", row.baseline, row.note)
        )  # fmt: skip
    faults = [f"{row.what} does not count: {row.fault}" for row in rows if row.fault]
    return "\n".join([in_columns(cells), *faults])
