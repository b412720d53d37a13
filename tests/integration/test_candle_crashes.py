"""A killed writer and a full disk leave the dataset that was there, or the new one, whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.store.candle_files import verify_dataset
from tradingai.engine.store.oracle_files import read_oracle

START, END = datetime(2024, 12, 20, tzinfo=UTC), datetime(2025, 1, 15, tzinfo=UTC)

GENERATE = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.providers.generate import generate_dataset
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    start, end = datetime(2024, 12, 20, tzinfo=UTC), datetime(2025, 1, 15, tzinfo=UTC)
    paths = HomePaths(Path(sys.argv[1]))
    generate_dataset(paths, "BTC-USD", "cycles", int(sys.argv[2]), start, end, None, SilentReporter())
except TradingAIError as error:
    sys.exit(f"{error.message} | {error.remedy}")
"""

KILLED_BEFORE = """
import os, signal, sys
from pathlib import Path
moment = int(sys.argv.pop())
calls = 0
def replace(self, target, original=Path.replace):
    global calls
    calls += 1
    if calls == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, target)
Path.replace = replace
"""
"""Kills the process just before the n-th file of a dataset would appear under its name."""


def generate(home, seed):
    return generate_dataset(HomePaths(home), "BTC-USD", "cycles", seed, START, END, None, SilentReporter())


def run(home, seed, *more, before=""):
    return subprocess.run(
        [sys.executable, "-c", before + GENERATE, str(home), str(seed), *map(str, more)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_killed_writer_leaves_the_old_dataset_or_the_new_one(tmp_path, moment):
    """Six files appear: oracle, its manifest, two years, the flags, the manifest."""
    paths = HomePaths(tmp_path / "home")
    old = generate(paths.root, 1)
    killed = run(paths.root, 2, moment, before=KILLED_BEFORE)
    assert killed.returncode == -signal.SIGKILL
    assert verify_dataset(paths, "BTC-USD") == old
    wanted = generate(tmp_path / "other", 2)
    generate(paths.root, 2)
    assert verify_dataset(paths, "BTC-USD").sha256 == wanted.sha256
    assert len(read_oracle(paths, "BTC-USD")[0]) == wanted.rows
    left = {path.name for path in (paths.candles / "BTC-USD").iterdir()}
    assert left == {path.name for path in (tmp_path / "other" / "data" / "candles" / "BTC-USD").iterdir()}


@pytest.mark.slow
def test_killed_at_random_moments_the_same_call_ends_the_same(tmp_path):
    paths = HomePaths(tmp_path / "home")
    wanted = generate(tmp_path / "other", 2)
    delays = np.random.default_rng(7).uniform(0.3, 1.5, 10)
    for delay in delays.tolist():
        process = subprocess.Popen([sys.executable, "-c", GENERATE, str(paths.root), "2"])
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if (paths.candles / "BTC-USD" / "manifest.json").exists():
            assert verify_dataset(paths, "BTC-USD").sha256 == wanted.sha256
    assert generate(paths.root, 2).sha256 == wanted.sha256


@pytest.mark.parametrize("limit", [100_000, 500_000])
def test_a_file_that_may_not_grow_is_a_clear_error_and_the_dataset_stays(tmp_path, limit):
    """The smaller limit stops the oracle, the larger one the first year of candles."""
    paths = HomePaths(tmp_path / "home")
    old = generate(paths.root, 1)
    before = {path.name for path in (paths.candles / "BTC-USD").iterdir()}
    failed = run(paths.root, 2, limit)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"cannot write {paths.data}"), failed.stderr
    assert "Traceback" not in failed.stderr
    assert verify_dataset(paths, "BTC-USD") == old
    assert {path.name for path in (paths.candles / "BTC-USD").iterdir()} == before
    assert not list(paths.data.rglob("*.tmp"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_a_clear_error_and_the_dataset_stays(small_disk):
    paths = HomePaths(small_disk / "home")
    old = generate(paths.root, 1)
    ballast = small_disk / "ballast"
    room = os.statvfs(small_disk)
    ballast.write_bytes(bytes(int(room.f_bavail * room.f_frsize - 800_000)))
    failed = run(paths.root, 2)
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert "Free space on that disk and run the same command again" in failed.stderr
    assert verify_dataset(paths, "BTC-USD") == old
    ballast.unlink()
    generate(paths.root, 2)
    assert verify_dataset(paths, "BTC-USD").seed == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_file_of_another_user_is_a_clear_error(tmp_path):
    """Root may read everything, so another user tries."""
    file = tmp_path / "prices.csv"
    file.write_text("ts,open,high,low,close,volume\n")
    file.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tradingai.engine.core.errors import DataError\n"
        "from tradingai.engine.providers.file import read_candle_file\n"
        "os.setuid(65534)\n"
        "try:\n    read_candle_file(Path(sys.argv[1]))\n"
        "except DataError as error:\n    sys.exit(error.message)\n"
    )
    tried = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False
    )
    assert tried.stderr.strip() == f"{file} may not be read by this user"
