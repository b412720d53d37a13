"""Two revisions by their benchmarks: what became faster, what slower, what is no longer as required.

    python benchmarks/bench_compare.py BASE [--new FILE] [--only scan,startup] [--days 120] [--rounds 3]

BASE is a document that `make bench` wrote, or a git revision: that is measured now by its own
benchmarks/run.py, in a worktree of its own, with this interpreter. The new side is the working tree, measured
now, or FILE. With several rounds both sides take turns, each beginning every second round, so that a machine
that slows down slows both; the figures are then medians.

The noise limit: with three rounds or more on both sides the larger of their spreads (highest minus lowest),
at least 2 %; with fewer rounds what the row states, 10 % where it states nothing else. Some rows also state a
difference in their unit that counts for nothing. There is no verdict between two machines, nor on a row whose
size differs.

Exit status: 0 nothing is slower, 1 something is slower, is no longer as required or failed, 2 no comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final, Literal

from bench_rows import Document, DocumentError, Row, document_from, in_columns, number

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "build" / "bench-compare"
ROUNDS_FOR_SPREAD: Final = 3
LEAST_NOISE: Final = 0.02
TIMES: Final = frozenset({"s", "ms", "bars/s", "steps/s", "rows/s", "×"})
"""Units whose better side is the faster one; of others it is just better."""

Change = Literal["better", "worse", "same", "none"]


class CompareError(Exception):
    """There is nothing to compare; the message names the value and what to do."""


@dataclass(frozen=True)
class Compared:
    """One row on both sides."""

    what: str
    unit: str
    comparison: Literal["≤", "≥"]
    base: float
    new: float
    limit: float
    """A difference up to it, in the unit, is noise."""
    change: Change
    """``none`` where there is no verdict."""
    lost: bool
    """As required on the base, not so now."""

    @property
    def ratio(self) -> float | None:
        """New over base; None where that says nothing."""
        return self.new / self.base if self.base > self.limit else None

    @property
    def verdict(self) -> str:
        """In the words of the unit."""
        fast = self.unit in TIMES
        words = {
            "better": "faster" if fast else "better",
            "worse": "slower" if fast else "worse",
            "same": "same",
            "none": "–",
        }
        return words[self.change] + (", NO LONGER MET" if self.lost else "")


@dataclass(frozen=True)
class Comparison:
    """Base and new."""

    rows: list[Compared]
    only_base: list[str]
    only_new: list[str]
    refusals: list[str]
    """Why there is no verdict, or none on rows whose size follows the range."""
    failed: list[str]
    """Benchmarks of the new side that did not end well."""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.failed or any(row.change == "worse" or row.lost for row in self.rows):
            return 1
        return 2 if self.refusals or not self.rows else 0


def compare(base: Sequence[Document], new: Sequence[Document]) -> Comparison:
    """Row by row; documents of one side are rounds of the same benchmarks."""
    broken = failures(base)
    if broken:
        raise CompareError(
            f"the base is not whole: {', '.join(broken)} failed; measure it again, or without that: ONLY=…"
        )
    machines = machine_differences(base[0], new[0])
    other_size = base[0].rows_a_coin != new[0].rows_a_coin
    refusals = [f"another machine: {difference}" for difference in machines]
    if other_size:
        refusals.append(f"another size: {base[0].rows_a_coin:,} rows a coin, now {new[0].rows_a_coin:,}")
    ours, theirs = rows_by_name(base), rows_by_name(new)
    rows = []
    for what in (name for name in ours if name in theirs):
        sized = ours[what][0].sized or theirs[what][0].sized
        judged = not machines and not (other_size and sized)
        lost = judged and _lost(base, new, what)
        rows.append(compared(ours[what], theirs[what], judged=judged, lost=lost))
    return Comparison(
        rows,
        [name for name in ours if name not in theirs],
        [name for name in theirs if name not in ours],
        refusals,
        failures(new),
    )


def compared(base: Sequence[Row], new: Sequence[Row], *, judged: bool, lost: bool) -> Compared:
    """One row, each side a row a round."""
    row = new[0]
    before, now = median(one.measured for one in base), median(one.measured for one in new)
    limit = noise_limit(base, new)
    difference = (before - now) * (1 if row.comparison == "≤" else -1)
    change: Change = "same" if abs(difference) <= limit else "better" if difference > 0 else "worse"
    return Compared(
        row.what, row.unit, row.comparison, before, now, limit, change if judged else "none", lost
    )


def noise_limit(base: Sequence[Row], new: Sequence[Row]) -> float:
    """How far apart two figures of the same code may be, in the unit of the row."""
    size = abs(median(one.measured for one in base))
    grain = max(base[0].grain, new[0].grain)
    if min(len(base), len(new)) >= ROUNDS_FOR_SPREAD:
        return max(grain, min(LEAST_NOISE, new[0].noise) * size, _spread(base), _spread(new))
    return max(grain, new[0].noise * size)


def machine_differences(base: Document, new: Document) -> list[str]:
    """In what two machines differ, apart from how busy they were."""
    names = [name for name in {**base.machine, **new.machine} if name != "load"]
    sides = [(name, base.machine.get(name), new.machine.get(name)) for name in names]
    return [f"{name} {before}, now {after}" for name, before, after in sides if before != after]


def rows_by_name(rounds: Sequence[Document]) -> dict[str, list[Row]]:
    """The rows that every round has."""
    found: dict[str, list[Row]] = {}
    for document in rounds:
        for row in document.rows:
            found.setdefault(row.what, []).append(row)
    return {what: rows for what, rows in found.items() if len(rows) == len(rounds)}


def failures(rounds: Sequence[Document]) -> list[str]:
    """Benchmarks that failed in any round."""
    return sorted({one.name for document in rounds for one in document.ran if one.failed})


def _lost(base: Sequence[Document], new: Sequence[Document], what: str) -> bool:
    """Met in most rounds of the base, not met in most rounds now; or its work is only now not done."""
    sides = []
    for rounds in (base, new):
        rows = [(row, row.met(one.rows_a_coin)) for one in rounds for row in one.rows if row.what == what]
        verdicts = [met for _, met in rows]
        good, bad = verdicts.count(True), verdicts.count(False)
        sides.append((good > bad, bad > good, any(row.fault for row, _ in rows)))
    (met, _, fault), (_, unmet_now, fault_now) = sides
    return (met and unmet_now) or (fault_now and not fault)


def _spread(rows: Sequence[Row]) -> float:
    values = [row.measured for row in rows]
    return max(values) - min(values)


def text(found: Comparison, base: Sequence[Document], new: Sequence[Document]) -> str:
    """The table, with what stands on one side only and why there is no verdict."""
    lines = [f"base  {side_name(base)}", f"new   {side_name(new)}", ""]
    cells = [("what", "base", "new", "ratio", "better is", "noise limit", "verdict")]
    for row in found.rows:
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f} ×"
        better = "less" if row.comparison == "≤" else "more"
        values = (number(value, row.unit) for value in (row.base, row.new))
        cells.append((row.what, *values, ratio, better, f"± {number(row.limit, row.unit)}", row.verdict))
    lines.append(in_columns(cells) if found.rows else "No row stands on both sides.")
    lines += [f"only in the base: {name}" for name in found.only_base]
    lines += [f"only now: {name}" for name in found.only_new]
    lines += [f"failed now: {name}" for name in found.failed]
    lines += [f"no verdict between the two, {reason}" for reason in found.refusals]
    lines += [f"busy: {line}" for line in busy_sides(base, new)]
    if found.refusals:
        lines.append("For a verdict measure both here and now: make bench-compare BASE=<git revision>")
    return "\n".join(lines)


def busy_sides(base: Sequence[Document], new: Sequence[Document]) -> list[str]:
    """Which side began on a machine where more wanted to run than it has cores."""
    found = []
    for name, rounds in (("base", base), ("new", new)):
        load, cores = max((one.machine["load"][0], one.machine["cores"]) for one in rounds)
        if load > cores:
            found.append(
                f"load {load:g} on {cores} cores before {name} began; what others did there may be in the "
                "figures, measure again when it is quiet"
            )
    return found


def side_name(rounds: Sequence[Document]) -> str:
    """When and of what commit, in how many rounds, how busy the machine was."""
    first = rounds[0]
    commit = (first.git["commit"] or "an unknown commit")[:12]
    dirty = " with changes" if first.git["dirty"] else ""
    count = f"{len(rounds)} round{'' if len(rounds) == 1 else 's'}"
    busy = ", ".join(f"{one.machine['load'][0]:g}" for one in rounds)
    return f"{commit}{dirty}, {first.at}, {count}, load before {busy}"


def read_document(path: Path, name: str) -> Document:
    """A document of `make bench`. Raises CompareError naming the value and what to do."""
    try:
        return document_from(json.loads(path.read_text()))
    except (OSError, ValueError, DocumentError) as error:
        raise CompareError(
            f"{name}={path} is no document of `make bench`: {error}; name one that it wrote (the newest is "
            "build/bench.json), or a git revision"
        ) from None


def revision_of(base: str) -> str:
    """The commit that BASE names. Raises CompareError naming the value and what to do."""
    command = ("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompareError(
            f"BASE={base} is neither a file nor a git revision; name a document that `make bench` wrote or a "
            "revision: make bench-compare BASE=HEAD~1"
        )
    return done.stdout.strip()


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A worktree of a commit, its byte code compiled so that the first start is like every other."""
    with tempfile.TemporaryDirectory(prefix="tradingai-bench-base-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            if not (tree / "benchmarks" / "run.py").exists():
                raise CompareError(
                    f"revision {commit[:12]} has no benchmarks/run.py; name a later one as BASE"
                )
            compiled = (sys.executable, "-m", "compileall", "-q", "tradingai", "benchmarks")
            subprocess.run(compiled, cwd=tree, check=True)
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    subprocess.run(("git", *arguments), cwd=ROOT, check=True)


def measured(tree: Path, out: Path, options: argparse.Namespace) -> Document:
    """One round of a checkout's own benchmarks. Raises CompareError when it leaves no document."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    command = [sys.executable, str(tree / "benchmarks" / "run.py"), "--out", str(out)]
    command += ["--only", options.only] if options.only else []
    command += ["--days", str(options.days)] if options.days is not None else []
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, check=False)
    if not out.exists():
        raise CompareError(
            f"{' '.join(command)} ended with {done.returncode} and left no document, its message is above; "
            "name benchmarks that both sides have: ONLY=…"
        )
    return read_document(out, "the document")


def sides(options: argparse.Namespace) -> tuple[list[Document], list[Document]]:
    """All rounds of base and new, in turns."""
    given = Path(options.base)
    base = [read_document(given, "BASE")] if given.is_file() else []
    new = [read_document(options.new, "NEW")] if options.new else []
    if base and new:
        return base, new
    if base:
        return base, [_round(ROOT, "new", number, options) for number in range(options.rounds)]
    commit = revision_of(options.base)
    with checked_out(commit) as tree:
        for number in range(options.rounds):
            turns = [("base", tree, base)] + ([] if options.new else [("new", ROOT, new)])
            for name, where, into in turns if number % 2 == 0 else turns[::-1]:
                into.append(_round(where, name, number, options))
    return [replace(one, git={"commit": commit, "dirty": False}) for one in base], new


def _round(tree: Path, side: str, number: int, options: argparse.Namespace) -> Document:
    print(f"… {side}, round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return measured(tree, KEPT / f"{side}-{number + 1}.json", options)


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("base", metavar="BASE", help="a document of make bench, or a git revision")
    parser.add_argument(
        "--new", type=Path, help="a document of make bench; default: measure the working tree"
    )
    parser.add_argument("--only", help="names of benchmarks, comma-separated")
    parser.add_argument("--days", type=int, help="fewer days than the full workload's")
    parser.add_argument("--rounds", type=int, default=1, help="3 or more: noise from their spread")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least 1")
    try:
        base, new = sides(options)
        found = compare(base, new)
    except CompareError as error:
        print(error, file=sys.stderr)
        return 2
    print(text(found, base, new))
    return found.status


if __name__ == "__main__":
    sys.exit(main())
