"""A child that changes a registry until it is killed: arguments are home, report file, switch or record."""

import itertools
import json
import sys
from pathlib import Path

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.ledger import Candidate
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.registry.registry import Registry

from tests.fakes.evaluations import numbered


def switch(registry, model):
    """Promote and roll back between two versions."""
    while True:
        registry.promote(model, "v1.1.0")
        registry.rollback(model)


def record(registry, report, paths):
    """Evaluate one new artifact after another."""
    for number in itertools.count(len(registry.history())):
        source = paths.checkpoints / "candidate.pt"
        source.write_bytes(f"artifact {number}".encode() * 20_000)
        source.with_suffix(".json").write_text(json.dumps({"number": number}))
        candidate = Candidate(
            report.model,
            {report.symbol: "t" * 64},
            f"{number:064x}",
            source,
            source.with_suffix(".json"),
            str(number),
        )
        registry.record(candidate, numbered(report))


def main():
    """Loop until killed; the first line says that the loop has begun."""
    paths = HomePaths(Path(sys.argv[1]))
    report = EvaluationReport.from_json(json.loads(Path(sys.argv[2]).read_text()))
    registry = Registry(paths, RealClock(), who="loop")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.argv[3] == "switch":
        switch(registry, report.model)
    record(registry, report, paths)


if __name__ == "__main__":
    main()
