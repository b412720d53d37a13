"""Calibration of the gates themselves: what they pass where nothing is, and where something is.

    python benchmarks/evidence_gates.py [null|cycles|power|coverage|leaks|all] [--units N] [--minutes M]
                                        [--folder DIR] [--any-code | --table-only | --estimate]

``null``      markets without anything to learn: promotions, and each gate's false passes
``cycles``    markets with the default cycles: how many pass, and which gate refuses the others
``power``     the share that passes, by planted amplitude and by length of the test range
``coverage``  how often the accuracy interval holds the truth, over disjoint ranges of a frozen model
``leaks``     the ten planted leaks in several strengths: which check catches which

Two processes with one thread each. Every finished unit is kept in the folder with a hash of the code that
decides results: a run that was killed, or whose ``--minutes`` (of the whole call) are over, goes on where it
was. The tables in docs/evidence.md and the numbers in docs/evidence-gates.json are written from all units
there are. ``--estimate`` runs two units of each part and prints what all of it would cost.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import product
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Final, NamedTuple

THREADS: Final = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip
if __name__ == "__main__":
    os.environ.update(THREADS)

from tradingai.engine.core.files import write_json  # noqa: E402 - numeric libraries read the environment once

import gates_coverage  # noqa: E402
import gates_leaks  # noqa: E402
import gates_markets  # noqa: E402
import gates_tables  # noqa: E402
from evidence_markets import deciding_code  # noqa: E402

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "evidence.md"
WORKERS: Final = 2
AMPLITUDES: Final = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the default amplitude of 45 basis points."""
TEST_DAYS: Final = {120: 18, 240: 36}
"""Days of a market to days of its test range."""
POWER_SEEDS: Final = 5
FULL: Final = {
    "null": 200,
    "cycles": 50,
    "power": len(AMPLITUDES) * len(TEST_DAYS) * POWER_SEEDS,
    "coverage": 200,
    "leaks": 20,
}
"""Units of a full run."""
Kept = dict[str, Any]


class Unit(NamedTuple):
    """One piece of work: the name of its kept result, and what makes it (called in a worker)."""

    key: str
    make: Callable[..., Kept]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


def units(part: str, count: int, folder: Path, frozen: Path | None) -> list[Unit]:
    """The first ``count`` units of a part, in an order in which any beginning is balanced."""
    if part in {"null", "cycles"}:
        first = 1001 if part == "null" else 2001
        seeds = range(first, first + count)
        return [
            Unit(f"{seed}", gates_markets.market_unit, (folder, part, seed), {"loose": part == "null"})
            for seed in seeds
        ]
    if part == "power":
        wanted = product(range(3001, 3001 + FULL["power"]), AMPLITUDES, TEST_DAYS)
        return [
            Unit(
                f"{seed}-{scale:g}-{days}", gates_markets.market_unit, (folder, "cycles", seed),
                {"days": days, "scale": scale, "loose": False},
            )
            for (seed, scale, days), _ in zip(wanted, range(count), strict=False)
        ]  # fmt: skip
    if part == "coverage":
        pairs = product(range(4001, 4001 + count), ("cycles", "null"))
        return [
            Unit(f"{market}-{seed}", gates_coverage.coverage_unit, (frozen, market, seed), {})
            for (seed, market), _ in zip(pairs, range(count), strict=False)
        ]
    return [Unit(f"{seed}", gates_leaks.leaks_unit, (seed,), {}) for seed in range(5001, 5001 + count)]


SOURCES: Final = {
    "null": ("gates_markets.py",),
    "cycles": ("gates_markets.py",),
    "power": ("gates_markets.py",),
    "coverage": ("gates_markets.py", "gates_coverage.py"),
    "leaks": ("gates_leaks.py", "../tests/fakes/leaks.py"),
}
PARTS: Final = tuple(SOURCES)


def part_code(part: str, product_code: str) -> str:
    """Hash of the product's deciding code and of the part's own, without layout and comments."""
    hasher = hashlib.sha256(product_code.encode())
    for name in SOURCES[part]:
        hasher.update(ast.dump(ast.parse((ROOT / "benchmarks" / name).read_text())).encode())
    return hasher.hexdigest()[:16]


def kept_path(folder: Path, part: str, key: str) -> Path:
    """Where a unit's result is kept."""
    return folder / "gates" / f"{part}-{key}.json"


def read_kept(path: Path, code: str, *, any_code: bool) -> Kept | None:
    """A kept result of this code (or of any), None when there is none."""
    if not path.is_file():
        return None
    kept: Kept = json.loads(path.read_text())
    return kept if any_code or kept["code"] == code else None


def make_and_keep(path: Path, code: str, unit: Unit) -> Kept:
    """Run in a worker: the unit's result, kept before it is returned."""
    result = {**unit.make(*unit.arguments, **unit.options), "code": code}
    write_json(path, result)
    return result


def end_with_parent() -> None:
    """In a worker: exit when the process that started it was killed, instead of waiting for work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(part: str, wanted: Sequence[Unit], folder: Path, code: str, *, any_code: bool, until: float) -> None:
    """Make what is not kept yet, two at a time, and begin nothing after ``until`` (monotonic seconds)."""
    missing = [
        unit
        for unit in wanted
        if read_kept(kept_path(folder, part, unit.key), code, any_code=any_code) is None
    ]
    print(f"{part}: {len(wanted) - len(missing)} of {len(wanted)} units are there", flush=True)
    queue, running, done = list(reversed(missing)), set[Future[Kept]](), len(wanted) - len(missing)
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), initializer=end_with_parent) as pool:
        while queue or running:
            while queue and len(running) < WORKERS and time.monotonic() < until:
                unit = queue.pop()
                running.add(pool.submit(make_and_keep, kept_path(folder, part, unit.key), code, unit))
            if not running:
                print(f"{part}: the time is over, {len(queue)} units are left", flush=True)
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done += 1
                kept = future.result()
                print(f"{part}: {done} of {len(wanted)}, {kept['cpu_s']:.1f} CPU s", flush=True)


def collect(folder: Path, codes: dict[str, str], *, any_code: bool) -> dict[str, Any]:
    """Everything that is kept, by part, in the order of its units."""
    found: dict[str, Any] = {}
    for part in PARTS:
        results = []
        for path in sorted((folder / "gates").glob(f"{part}-*.json")):
            kept = read_kept(path, codes[part], any_code=any_code)
            if kept is not None:
                results.append(kept)
        seconds = [item.pop("cpu_s") for item in results]
        found[part] = {
            "codes": sorted({item.pop("code") for item in results}),
            "wanted": FULL[part],
            "units": len(results),
            "cpu_s": round(statistics.fmean(seconds), 1) if seconds else None,
            "results": results,
        }
    pieces = found["coverage"].pop("results")
    wanted = product(("cycles", "null"), gates_coverage.LENGTHS)
    ranges = (gates_coverage.counted(pieces, market, days) for market, days in wanted)
    found["coverage"]["results"] = [item._asdict() for item in ranges if item is not None]
    found["leaks"]["seeds"] = [item["seed"] for item in found["leaks"]["results"]]
    found["coverage"]["seeds"] = sorted({item["seed"] for item in pieces})
    found["leaks"]["results"] = gates_leaks.counted(found["leaks"]["results"])
    return found


def write_found(path: Path, found: dict[str, Any]) -> None:
    """The document's numbers as JSON, one result a line."""
    text = json.dumps(found, separators=(",", ":"))
    for first in ("market", "leak"):
        text = text.replace(f'{{"{first}":', f'\n{{"{first}":')
    path.write_text(text + "\n")


def estimate(found: dict[str, Any]) -> str:
    """What one unit of each part cost, and what a full run would."""
    lines = ["| part | units | CPU s a unit | CPU minutes in all | minutes on two quiet cores |"]
    lines.append("|---|---|---|---|---|")
    total = 0.0
    for part in PARTS:
        each = found[part]["cpu_s"]
        if each is None:
            lines.append(f"| {part} | {FULL[part]} | not measured | – | – |")
            continue
        minutes = each * FULL[part] / 60.0
        total += minutes
        lines.append(f"| {part} | {FULL[part]} | {each:.1f} | {minutes:.1f} | {minutes / WORKERS:.1f} |")
    lines.append(f"| all | | | {total:.1f} | {total / WORKERS:.1f} |")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("part", nargs="?", default="all", choices=(*PARTS, "all"))
    parser.add_argument("--units", type=int, help="of each part that runs (default: a full run)")
    parser.add_argument("--minutes", type=float, help="begin no unit after so many")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "evidence")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--any-code", action="store_true", help="take kept results of other code as well")
    how.add_argument(
        "--table-only", action="store_true", help="write the tables from kept results of any code"
    )
    how.add_argument("--estimate", action="store_true", help="two units a part (power: one of each length)")
    options = parser.parse_args()
    if options.units is not None and options.units < 1:
        parser.error(f"--units {options.units}: give at least 1")
    if options.minutes is not None and options.minutes <= 0:
        parser.error(f"--minutes {options.minutes:g}: give more than 0")
    return options


def main() -> None:
    options = parsed()
    folder, any_code = options.folder.resolve(), options.any_code or options.table_only
    (folder / "gates").mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + (60.0 * options.minutes if options.minutes else float("inf"))
    made_by = deciding_code()
    codes = {part: part_code(part, made_by) for part in PARTS}
    for part in () if options.table_only else PARTS if options.part == "all" else (options.part,):
        count = 2 if options.estimate else options.units or FULL[part]
        frozen = gates_coverage.frozen_model(folder, codes[part]) if part == "coverage" else None
        wanted = units(part, count, folder, frozen)
        run(part, wanted, folder, codes[part], any_code=any_code, until=until)
    found = collect(folder, codes, any_code=any_code)
    print(estimate(found))
    if options.estimate:
        return
    write_found(options.document.with_name("evidence-gates.json"), found)
    gates_tables.publish(options.document, found)
    print(gates_tables.verdicts(found))
    sys.exit(0 if gates_tables.as_required(found) else 1)


if __name__ == "__main__":
    main()
