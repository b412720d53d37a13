"""Soak and chaos: 30 days of the live loop with faults drawn from a seed, then the invariants.

    python benchmarks/soak.py [--seed 1] [--days 30] [--interval 120] [--quick] [--out FILE] [--keep DIR]
    python benchmarks/soak.py --judge DIR

The engine is a process of its own over a home of its own, on a simulated clock; it is killed, its disk is
full, its clock is set, its provider and Telegram fail, as the plan of the seed says (soak_plan.py). The
report goes to build/soak-SEED.json; the exit status is 1 when an invariant does not hold. docs/soak.md says
what is checked how.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.files import write_json
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS

from soak_hits import by_kind
from soak_invariants import Evidence, Verdict, judge
from soak_plan import PER_30_DAYS, Plan, draw_plan, plan_from_json
from soak_world import Journal, Sample, World, disk

ROOT: Final = Path(__file__).resolve().parents[1]
QUICK: Final = dict.fromkeys(PER_30_DAYS, 1) | {"kill": 3, "feed": 5, "telegram": 3, "jump": 2}
"""How often each fault happens in a day of ``--quick``."""
TOLD: Final = (
    "FeedFailed", "FeedRecovered", "CandlesCleaned", "CandlesRejected", "ClockJumped", "ScanFailed",
    "ScanLate", "ScanOverrun", "TelegramFailed", "SignalsMissed", "UpkeepFailed", "AccountReset",
    "LiveCandlesCompacted", "DaySummarised", "EngineStarted", "EngineStopped",
)  # fmt: skip
"""Events that a report counts: what the engine itself noticed of the faults."""
KEPT: Final = "soak-evidence.json"
"""Beside a home that is kept: what else is judged."""


def make_home(home: Path) -> None:
    """A home whose models are always sure: one version of each says long, an earlier one short."""
    from tests.fakes.live import promote, sure_artifact, sure_home

    paths = sure_home(home)
    for symbol in PIPELINE_SYMBOLS:
        promote(paths, RealClock(), sure_artifact(symbol, logit=-1.5))


def soak(plan: Plan, folder: Path, out: Path, keep: Path | None = None) -> dict[str, Any]:
    """Live through the plan, judge what is left, and write the report.

    ``keep``: where the home and everything else that is judged are copied.
    """
    from tests.fakes.bot_api import CHAT, bot_api

    began = time.monotonic()
    journal = Journal(out.with_suffix(".journal.jsonl"))
    journal.file.unlink(missing_ok=True)
    journal.note("plan", 0.0, **plan.as_json())
    with disk(folder / "disk") as room, bot_api() as api:
        make_home(room.folder / "home")
        world = World(plan, room, api, journal)
        world.live()
        kept = {
            "channel": f"telegram:{CHAT}",
            "plan": plan.as_json(),
            "texts": api.texts(),
            "arrived_at": world.arrived_at,
            "answered": dict(api.answered),
            "journal": journal.lines,
            "unplanned": [*world.unplanned, *api.odd],
            "samples": [(one.start, one.at, one.mb) for one in world.samples],
        }
        if keep is not None:
            shutil.copytree(world.home, keep, symlinks=True)
            write_json(keep / KEPT, kept)
        verdicts, counted = judged(world.home, kept)
        size_mb = sum(file.stat().st_size for file in world.home.glob("tradingai.db*")) / 2**20
    report = document(plan, world, verdicts)
    report |= {**counted, "real_s": round(time.monotonic() - began, 1), "database_mb": round(size_mb, 1)}
    write_json(out, report)
    return report


def judged(home: Path, kept: dict[str, Any]) -> tuple[list[Verdict], dict[str, Any]]:
    """The verdicts on a home and what was kept of its life, and the report's counts."""
    plan = plan_from_json(kept["plan"])
    parts = {name: kept[name] for name in ("channel", "texts", "journal", "arrived_at", "answered")}
    with Evidence.of(home, plan=plan, **parts) as evidence:
        verdicts = judge(evidence, [Sample(*one) for one in kept["samples"]], kept["unplanned"])
        told = {kind: len(evidence.told(kind)) for kind in TOLD}
        return verdicts, {"told": told, "hit": by_kind(evidence)}


def document(plan: Plan, world: World, verdicts: list[Verdict]) -> dict[str, Any]:
    """The report."""
    journal = world.journal
    kinds = ("kill", "stop", "jump", "switch_on", "switch_off", "models", "look", "telegram", "disk")
    faults: dict[str, Any] = {kind: journal.count(kind) for kind in kinds}
    faults["feed"] = sum(one.kind == "feed" and one.begins < world.at for one in plan.windows)
    faults["start refused"] = journal.count("start refused")
    every = max(1, len(world.samples) // 240)
    return {
        "seed": plan.seed,
        "days": plan.seconds / 86_400,
        "lived_days": round(world.at / 86_400, 3),
        "interval_s": plan.interval_s,
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": sys.version.split()[0]},
        "disk": "a tmpfs of its own, remounted without room" if world.disk.mounted else "a limit of pages",
        "starts": world.starts,
        "down_s": round(world.down),
        "faults": faults,
        "invariants": [asdict(one) for one in verdicts],
        "holds": all(one.holds for one in verdicts),
        "memory": [asdict(one) for one in world.samples[::every]],
        "journal": world.journal.file.name,
    }


def show(report: dict[str, Any]) -> None:
    """The table on stdout."""
    print(
        f"seed {report['seed']}: {report['lived_days']:g} of {report['days']:g} days, "
        f"a scan every {report['interval_s']:g} s, {report['starts']} starts, "
        f"down {report['down_s'] / 3600:.1f} h, took {report['real_s']:.0f} s, "
        f"database {report['database_mb']:.0f} MB"
    )
    print("injected: " + ", ".join(f"{count} {kind}" for kind, count in report["faults"].items()))
    print("seen: " + ", ".join(f"{one['seen']:,} {kind}" for kind, one in report["hit"].items()))
    print("told: " + ", ".join(f"{count:,} {kind}" for kind, count in report["told"].items()))
    print(f"full disk: {report['disk']}")
    show_verdicts(report["invariants"])


def show_verdicts(invariants: list[dict[str, Any]]) -> None:
    """A line each."""
    for one in invariants:
        first = f"  {one['violations'][0]}" if one["violations"] else f"  {one['detail']}"
        word = "holds" if not one["violations"] else "BROKEN"
        print(f"  {word:<7}{one['name']:<28}{one['checked']:>9,}{first}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--interval", type=float, default=120, help="seconds between two scans")
    parser.add_argument("--quick", action="store_true", help="one day with every fault at least once")
    parser.add_argument("--keep", type=Path, help="copy the home there, which must not exist")
    parser.add_argument("--judge", type=Path, help="judge a home again that --keep copied, and run nothing")
    parser.add_argument("--out", type=Path, help="the report; default: build/soak-SEED.json")
    options = parser.parse_args()
    if options.judge is not None:
        verdicts, _ = judged(options.judge, json.loads((options.judge / KEPT).read_text(encoding="utf-8")))
        show_verdicts([asdict(one) for one in verdicts])
        return int(not all(one.holds for one in verdicts))
    sys.path.insert(0, str(ROOT))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays mounted
    out = options.out or ROOT / "build" / f"soak-{options.seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    days, counts = (1.0, QUICK) if options.quick else (options.days, None)
    interval_s = 600.0 if options.quick else options.interval
    plan = draw_plan(options.seed, days, PIPELINE_SYMBOLS, interval_s, counts)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        report = soak(plan, Path(folder), out, options.keep)
    show(report)
    broken = next((one for one in report["invariants"] if one["violations"]), None)
    if broken is not None:
        print(f"first violation: {broken['name']}: {broken['violations'][0]}", file=sys.stderr)
    return 0 if report["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
