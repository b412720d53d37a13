"""``kill -9`` in the middle of registry changes: the ledger stays valid and the links can be repaired."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.ledger import Candidate, read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.registry.links import linked_version
from tradingai.engine.registry.registry import Registry
from tradingai.engine.registry.verify import verify

from tests.fakes.evaluations import calibrated, decided, numbered, wave_close

ROOT = Path(__file__).resolve().parents[2]
LOOP = "tests.fakes.registry_loop"
ROUNDS = 12


@pytest.fixture(scope="module")
def report():
    close, _ = wave_close(days=16)
    found = decided(calibrated(0.85, direction_labels(close)), close)
    assert found.passed
    return found


@pytest.fixture
def home(tmp_path, report):
    """Two versions, the first one live."""
    paths = HomePaths(tmp_path / "home")
    paths.checkpoints.mkdir(parents=True)
    (tmp_path / "report.json").write_text(json.dumps(report.as_json()))
    registry = Registry(paths, RealClock(), who="test")
    for number in range(2):
        source = paths.checkpoints / f"{number}.pt"
        source.write_bytes(bytes([number]) * 1000)
        source.with_suffix(".json").write_text("{}")
        candidate = Candidate(
            report.model,
            {report.symbol: "t" * 64},
            f"start {number}",
            source,
            source.with_suffix(".json"),
            f"{number}",
        )
        registry.record(candidate, numbered(report))
        registry.promote(report.model)
    return paths


def start(paths, what):
    """The child that changes the registry until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-m", LOOP, paths.root, paths.root.parent / "report.json", what],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def killed_after(paths, what, seconds):
    """Start the loop, let it run for ``seconds`` after its first word, kill it."""
    child = start(paths, what)
    try:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        time.sleep(seconds)
        assert child.poll() is None, child.stderr.read()
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


@pytest.mark.parametrize("what", ["switch", pytest.param("record", marks=pytest.mark.slow)])
def test_killed_at_random_moments(home, report, what):
    chance = random.Random(20251110)
    registry = Registry(home, RealClock(), who="test")
    lengths = [len(read_ledger(home.ledger))]
    for _ in range(ROUNDS):
        killed_after(home, what, chance.uniform(0.0, 0.12))
        ledger = read_ledger(home.ledger)
        lengths.append(len(ledger))
        registry.repair()
        assert linked_version(home, report.model) == ledger.live()[report.model].version
        assert [item for item in verify(home) if not item.ok] == []
        assert registry.repair() == []
        assert not list(home.models.rglob(".*.tmp"))
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]
    attempts = [entry.details["attempt"] for entry in read_ledger(home.ledger).evaluations(report.model)]
    assert attempts == list(range(1, len(attempts) + 1))


def test_two_processes_at_once_lose_nothing(home, report):
    children = [start(home, "switch") for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    for child in children:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    ledger = read_ledger(home.ledger)
    assert len(ledger) > 4
    Registry(home, RealClock(), who="test").repair()
    assert linked_version(home, report.model) == ledger.live()[report.model].version
