import hashlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, MissingError
from tradingai.engine.core.events import FeaturesBuilt, JobSkipped, StateRepaired
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, SilentReporter
from tradingai.engine.features import compute as compute_module
from tradingai.engine.features import files as files_module
from tradingai.engine.features.build import build_features, default_peers, peak_memory_mb
from tradingai.engine.features.compute import compute
from tradingai.engine.features.files import load_features
from tradingai.engine.features.registry import FEATURES, feature_set
from tradingai.engine.store.manifests import (
    list_feature_manifests,
    read_dataset_manifest,
    read_feature_manifest,
    write_feature_manifest,
)

from tests.fakes.random_candles import random_candles, store_candles

ROWS = 3500


@pytest.fixture
def paths(tmp_path):
    return HomePaths(tmp_path)


@pytest.fixture
def pair(paths):
    """A home with two coins over the same minutes."""
    store_candles(paths, "BTC-USD", random_candles(ROWS, seed=1))
    store_candles(paths, "ETH-USD", random_candles(ROWS, seed=2))
    return paths


def build(paths, symbol="BTC-USD", peers=None, **options):
    reporter = SilentReporter()
    return build_features(paths, symbol, peers, reporter, **options), reporter


def test_the_stored_matrix_is_what_compute_gives_and_its_manifest_describes_it(pair):
    clock = SimulatedClock(parse_iso("2025-11-10T01:08:00Z"))
    manifest, reporter = build(pair, clock=clock)
    matrix = load_features(pair, "BTC-USD")
    features = feature_set("BTC-USD", ("ETH-USD",))
    expected = compute(
        features, random_candles(ROWS, seed=1), {"ETH-USD": random_candles(ROWS, seed=2).close}
    )
    assert np.array_equal(matrix.values, expected, equal_nan=True)
    assert np.array_equal(
        matrix.column("rsi_14"), expected[:, features.names.index("rsi_14")], equal_nan=True
    )
    assert not matrix.values.flags.writeable
    assert matrix.manifest == manifest == read_feature_manifest(pair, "BTC-USD")
    assert (manifest.rows, manifest.first_valid, len(manifest.names)) == (ROWS, 2878, 65)
    assert manifest.names == features.names
    assert manifest.lookbacks[manifest.names.index("rv_60")] == 60
    assert manifest.groups[manifest.names.index("rv_60")] == "volatility"
    assert manifest.definitions_sha256 == features.sha256
    assert manifest.sha256 == hashlib.sha256(expected.tobytes()).hexdigest()
    assert manifest.candles_sha256 == read_dataset_manifest(pair, "BTC-USD").sha256
    assert manifest.peers == {"ETH-USD": read_dataset_manifest(pair, "ETH-USD").sha256}
    assert (manifest.provider, manifest.market, manifest.synthetic) == ("synthetic", "cycles", True)
    assert (manifest.start, manifest.end) == (random_candles(ROWS).start, random_candles(ROWS).end)
    assert manifest.created_at == clock.now()
    (event,) = reporter.events
    assert isinstance(event, FeaturesBuilt)
    assert (event.symbol, event.rows, event.features, event.sha256) == ("BTC-USD", ROWS, 65, manifest.sha256)
    assert event.peak_memory_mb > 10


def test_the_matrix_is_a_private_npy_file(pair):
    manifest, _ = build(pair)
    path = pair.features / "BTC-USD" / manifest.file
    assert manifest.file == f"matrix.{manifest.sha256[:8]}.npy"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert np.load(path).shape == (ROWS, 65)
    assert sorted(item.name for item in path.parent.iterdir()) == ["manifest.json", manifest.file]


def test_progress_counts_rows_with_rate_and_rest(pair, monkeypatch):
    monkeypatch.setattr(compute_module, "BLOCK_MINUTES", 1000)
    seen: list[Progress] = []
    clock = SimulatedClock(parse_iso("2025-11-10T01:08:00Z"))

    class Watching(SilentReporter):
        def progress(self, progress: Progress) -> None:
            seen.append(progress)

        def safe_point(self) -> None:
            clock.advance(2.0)

    build_features(pair, "BTC-USD", (), Watching(), clock=clock)
    # 26,297,417 is 417 past a thousand: blocks end at rows 583, 1583, 2583, 3500, two seconds apart
    assert [(item.done, item.total, item.unit) for item in seen] == [
        (583, ROWS, "rows"), (1583, ROWS, "rows"), (2583, ROWS, "rows"), (3500, ROWS, "rows"),
    ]  # fmt: skip
    assert seen[1].rate == pytest.approx(1583 / 4)
    assert seen[1].eta_s == pytest.approx((3500 - 1583) / (1583 / 4))
    assert seen[1].detail["memory_mb"] == pytest.approx(peak_memory_mb(), rel=0.2)


def test_an_unchanged_second_run_does_nothing_and_says_so(pair):
    first, _ = build(pair)
    path = pair.features / "BTC-USD" / first.file
    written = path.stat().st_mtime_ns
    second, reporter = build(pair)
    assert second == first
    assert path.stat().st_mtime_ns == written
    (event,) = reporter.events
    assert isinstance(event, JobSkipped)
    assert event.reason == "3,500 rows of 65 features stand: candles and definitions are unchanged"


def test_force_builds_the_same_values_again(pair):
    first, _ = build(pair)
    second, reporter = build(pair, force=True)
    assert isinstance(reporter.events[0], FeaturesBuilt)
    assert second.sha256 == first.sha256


@pytest.mark.parametrize("changed", ["BTC-USD", "ETH-USD"])
def test_other_candles_of_the_coin_or_a_peer_build_again(pair, changed):
    first, _ = build(pair)
    store_candles(pair, changed, random_candles(ROWS, seed=9))
    second, reporter = build(pair)
    assert isinstance(reporter.events[0], FeaturesBuilt)
    assert second.sha256 != first.sha256
    assert [path.name for path in (pair.features / "BTC-USD").glob("matrix.*")] == [second.file]


def test_other_definitions_build_again(pair):
    manifest, _ = build(pair)
    write_feature_manifest(pair, replace(manifest, definitions_sha256="0" * 64))
    again, reporter = build(pair)
    assert isinstance(reporter.events[0], FeaturesBuilt)
    assert again.definitions_sha256 == feature_set("BTC-USD", ("ETH-USD",)).sha256


def test_other_peers_build_again(pair):
    build(pair)
    alone, reporter = build(pair, peers=())
    assert isinstance(reporter.events[0], FeaturesBuilt)
    assert len(alone.names) == len(FEATURES)


def tampered(path):
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (tampered, "other values"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(b"x" * 1000), "cannot be read"),
        (lambda path: np.save(path, np.zeros((ROWS, 3), dtype=np.float32)), r"\(3500, 3\) instead of"),
        (lambda path: np.save(path, np.zeros((ROWS, 65))), "float64"),
    ],
)
def test_a_damaged_matrix_is_refused_and_the_next_build_repairs_it(pair, damage, message):
    manifest, _ = build(pair)
    damage(pair.features / "BTC-USD" / manifest.file)
    with pytest.raises(ArtifactError, match=message):
        load_features(pair, "BTC-USD")
    again, reporter = build(pair)
    assert [type(event) for event in reporter.events] == [StateRepaired, FeaturesBuilt]
    assert again.sha256 == manifest.sha256
    load_features(pair, "BTC-USD")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1}', "not a feature manifest"),
        ('{"schema": 2}', "layout 2"),
        ("[]", "layout None"),
        ("{", "not readable JSON"),
    ],
)
def test_a_damaged_manifest_is_refused_and_the_next_build_repairs_it(pair, text, message):
    manifest, _ = build(pair)
    (pair.features / "BTC-USD" / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_feature_manifest(pair, "BTC-USD")
    again, reporter = build(pair)
    assert isinstance(reporter.events[0], StateRepaired)
    assert again.sha256 == manifest.sha256


def test_manifests_are_listed_by_symbol(pair):
    assert list_feature_manifests(pair) == []
    for symbol in ("ETH-USD", "BTC-USD"):
        build(pair, symbol)
    assert [item.symbol for item in list_feature_manifests(pair)] == ["BTC-USD", "ETH-USD"]


def test_default_peers_share_the_market_and_cover_the_range(paths):
    own = random_candles(ROWS, seed=1)
    dataset = store_candles(paths, "BTC-USD", own)
    store_candles(paths, "ETH-USD", random_candles(ROWS + 10, seed=2))
    store_candles(paths, "BNB-USD", random_candles(ROWS - 1, seed=3))
    store_candles(paths, "ADA-USD", random_candles(ROWS, seed=4), seed=2)
    store_candles(paths, "SOL-USD", random_candles(ROWS, seed=5), market="null")
    store_candles(paths, "XRP-USD", random_candles(ROWS, seed=6), provider="file", market=None, seed=None)
    assert default_peers(paths, dataset) == ("ETH-USD",)
    assert dataset.end + timedelta(minutes=10) == read_dataset_manifest(paths, "ETH-USD").end


def test_missing_candles_and_features_name_the_command(paths):
    with pytest.raises(MissingError, match="BTC-USD"):
        build(paths)
    store_candles(paths, "BTC-USD", random_candles(ROWS))
    with pytest.raises(MissingError, match="ETH-USD"):
        build(paths, peers=("ETH-USD",))
    with pytest.raises(MissingError) as caught:
        load_features(paths, "BTC-USD")
    assert "tradingai features build --symbols BTC-USD" in caught.value.remedy


@pytest.mark.parametrize("rows", [1, 2878])
def test_too_few_candles_are_one_clear_message(paths, rows):
    store_candles(paths, "BTC-USD", random_candles(rows))
    with pytest.raises(DataError, match=f"BTC-USD has {rows:,} candles, its features look back 2,878"):
        build(paths)
    assert not (paths.features / "BTC-USD" / "manifest.json").exists()


def test_a_peer_that_does_not_cover_the_coin_is_refused(pair):
    store_candles(pair, "ETH-USD", random_candles(ROWS - 5, seed=2))
    with pytest.raises(DataError, match="ETH-USD do not cover"):
        build(pair, peers=("ETH-USD",))


def test_a_stop_in_the_middle_leaves_what_was_there(pair, monkeypatch):
    first, _ = build(pair)
    monkeypatch.setattr(compute_module, "BLOCK_MINUTES", 1000)

    class Stopping(SilentReporter):
        def safe_point(self) -> None:
            if self.last_progress:
                raise InterruptedRunError("stopped")

    with pytest.raises(InterruptedRunError):
        build_features(pair, "BTC-USD", (), Stopping())
    assert load_features(pair, "BTC-USD").manifest == first
    assert len(list((pair.features / "BTC-USD").iterdir())) == 2


def test_a_reader_between_two_publications_gets_the_new_one(pair, monkeypatch):
    first, _ = build(pair)
    store_candles(pair, "BTC-USD", random_candles(ROWS, seed=9))
    second, _ = build(pair)
    answers = iter([first, second])
    monkeypatch.setattr(files_module, "read_feature_manifest", lambda *_: next(answers))
    assert load_features(pair, "BTC-USD").manifest == second


def test_a_file_that_cannot_grow_is_one_clear_message_and_leaves_nothing(pair):
    program = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from tradingai.engine.core.errors import TradingAIError
        from tradingai.engine.core.paths import HomePaths
        from tradingai.engine.core.reporting import SilentReporter
        from tradingai.engine.features.build import build_features
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            build_features(HomePaths(Path(sys.argv[1])), "BTC-USD", None, SilentReporter())
        except TradingAIError as error:
            sys.exit(f"{error}|{error.remedy}")
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(pair.root)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.strip().endswith("what was finished is kept.")
    assert "cannot write" in run.stderr
    assert list((pair.features / "BTC-USD").iterdir()) == []


@pytest.mark.parametrize("kill_after", [1, 3])
def test_a_killed_build_leaves_no_trace_in_the_next_one(pair, monkeypatch, kill_after):
    expected, _ = build(pair)
    for leftover in (pair.features / "BTC-USD").iterdir():
        leftover.unlink()
    program = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        from tradingai.engine.core.paths import HomePaths
        from tradingai.engine.core.reporting import SilentReporter
        from tradingai.engine.features import compute
        from tradingai.engine.features.build import build_features
        compute.BLOCK_MINUTES = 1000
        class Killing(SilentReporter):
            blocks = 0
            def progress(self, progress):
                self.blocks += 1
                if self.blocks == {kill_after}:
                    os.kill(os.getpid(), signal.SIGKILL)
        build_features(HomePaths(Path(sys.argv[1])), "BTC-USD", None, Killing())
        """
    )
    run = subprocess.run([sys.executable, "-c", program, str(pair.root)], env=dict(os.environ), check=False)
    assert run.returncode == -signal.SIGKILL
    assert not (pair.features / "BTC-USD" / "manifest.json").exists()
    again, _ = build(pair)
    assert again.sha256 == expected.sha256
    assert len(list((pair.features / "BTC-USD").iterdir())) == 2
