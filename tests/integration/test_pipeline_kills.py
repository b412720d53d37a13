"""Twenty ``kill -9`` at random moments of the pipeline: the same values, a valid ledger, no half file."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.features.files import load_features
from tradingai.engine.models.artifact import load_artifact
from tradingai.engine.registry.verify import verify
from tradingai.engine.store.candle_files import verify_dataset
from tradingai.engine.store.oracle_files import read_oracle
from tradingai.engine.training.checkpoint import load_checkpoint

from tests.fakes.command_line import environment, tradingai
from tests.fakes.home_state import value_hashes
from tests.fakes.small_pipeline import REQUEST

KILLS = 20
SEED = 20251110
LONGEST_WAIT_S = 6.0


def begin(home):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.small_pipeline", str(home)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(SYMBOLS=",".join(REQUEST.symbols)), start_new_session=True,
    )  # fmt: skip


def workers_of(engine):
    """Processes whose parent is the engine."""
    with suppress(FileNotFoundError):
        text = Path(f"/proc/{engine}/task/{engine}/children").read_text()
        return [int(pid) for pid in text.split()]
    return []


def kill(pids):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def check_nothing_is_half(paths):
    """Whatever a reader finds by its name is whole: every manifest, checkpoint, report, ledger, database."""
    for symbol in REQUEST.symbols:
        if (paths.candles / symbol / "manifest.json").exists():
            verify_dataset(paths, symbol)
            read_oracle(paths, symbol)
        if (paths.features / symbol / "manifest.json").exists():
            load_features(paths, symbol)
    for path in paths.checkpoints.glob("*_best.pt"):
        load_artifact(path)
    for path in paths.checkpoints.glob("*_last.pt"):
        load_checkpoint(path)
    for path in paths.reports.rglob("*.json"):
        json.loads(path.read_text())
    assert [item for item in verify(paths) if not item.ok] == []
    database = paths.root / "tradingai.db"
    if database.exists():
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def story(home):
    """What the ledger says, without times and hashes of earlier entries."""
    fields = ("kind", "model", "version", "artifact_sha256")
    entries = [
        tuple(getattr(entry, field) for field in fields)
        for entry in read_ledger(home / "models" / "registry.json")
    ]
    return sorted(entries)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_at_random_moments(tmp_path):
    undisturbed, home = tmp_path / "undisturbed", tmp_path / "home"
    began = time.monotonic()
    whole = begin(undisturbed)
    _, err = whole.communicate(timeout=900)
    assert whole.returncode == 0, err
    takes = time.monotonic() - began
    chance, paths, victims = random.Random(SEED), HomePaths(home), []
    running = begin(home)
    while len(victims) < KILLS:
        victim = chance.choice(("engine", "worker", "both"))
        try:
            running.wait(chance.uniform(0.3, min(LONGEST_WAIT_S, takes / 3)))
        except subprocess.TimeoutExpired:
            workers = workers_of(running.pid)
            kill(([running.pid] if victim != "worker" else []) + (workers if victim != "engine" else []))
            victims.append(victim if victim != "worker" or workers else "nobody")
            if victims[-1] == "nobody":
                victims.pop()
        if victim != "worker" and running.poll() is None:
            running.wait(10)
        if running.poll() is not None:
            _, err = running.communicate()
            assert "damaged" not in err
            if running.returncode == 0:
                shutil.rmtree(home)
            else:
                check_nothing_is_half(paths)
            running = begin(home)
    running.kill()
    running.communicate()
    check_nothing_is_half(paths)
    last = begin(home)
    _, err = last.communicate(timeout=900)
    assert last.returncode == 0, err
    assert value_hashes(home) == value_hashes(undisturbed)
    assert story(home) == story(undisturbed)
    check_nothing_is_half(paths)
    assert not [
        path for folder in (paths.data, paths.models, paths.reports) for path in folder.rglob("*.tmp")
    ]
    verified = tradingai(home, "models", "verify", "--json", timeout=600)
    assert verified.document["ok"] is True, verified.out
    assert all(item["recomputed"] for item in verified.document["versions"])
    assert tradingai(home, "doctor").status == 0
