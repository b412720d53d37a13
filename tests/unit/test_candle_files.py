"""Stored candles: what was written is read, whatever way it was written, and anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import ArtifactError, InterruptedRunError, MissingError, TradingAIError
from tradingai.engine.core.files import storage_error
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.providers.quality import Rule
from tradingai.engine.store import candle_files
from tradingai.engine.store.candle_files import (
    DatasetIdentity,
    Flags,
    read_candles,
    read_flags,
    values_sha256,
    verify_dataset,
    write_dataset,
)
from tradingai.engine.store.manifests import (
    DatasetManifest,
    list_dataset_manifests,
    read_dataset_manifest,
)

from tests.fakes.random_candles import random_candles

NEW_YEAR = 26_824_320
"""2021-01-01T00:00Z in minutes."""
CANDLES = random_candles(4000, seed=3, start_minute=NEW_YEAR - 1500)
FLAGS = Flags(CANDLES.ts[[5, 1700]], np.array([Rule.OUTLIER, Rule.FILLED], dtype=np.int32))


@pytest.fixture
def paths(tmp_path):
    return HomePaths(tmp_path / "home[1]")


def store(paths, parts=CANDLES, symbol="BTC-USD", flags=FLAGS, reporter=None):
    return write_dataset(
        paths,
        symbol,
        parts,
        identity=DatasetIdentity("file", None, None, {"file": "x.csv"}),
        quality={"filled": 3},
        flags=flags,
        created_at=datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        reporter=reporter or SilentReporter(),
    )


def same(left, right):
    return all(np.array_equal(column, right.columns()[name]) for name, column in left.columns().items())


def names(paths):
    return sorted(path.name for path in (paths.candles / "BTC-USD").iterdir())


def test_candles_flags_and_manifest_come_back(paths):
    manifest = store(paths)
    assert same(read_candles(paths, "BTC-USD"), CANDLES)
    flags = read_flags(paths, "BTC-USD")
    assert flags.ts.tolist() == FLAGS.ts.tolist()
    assert flags.mask.tolist() == [Rule.OUTLIER, Rule.FILLED]
    assert read_dataset_manifest(paths, "BTC-USD") == manifest == verify_dataset(paths, "BTC-USD")
    assert [(item.year, item.rows) for item in manifest.files] == [(2020, 1500), (2021, 2500)]
    assert (manifest.rows, manifest.start, manifest.end) == (4000, CANDLES.start, CANDLES.end)
    assert manifest.created_at == datetime(2025, 1, 2, 3, 4, tzinfo=UTC)
    assert not manifest.synthetic


def test_files_are_yearly_parquet_in_the_canonical_schema(paths):
    manifest = store(paths)
    frame = pl.read_parquet(paths.candles / "BTC-USD" / manifest.files[1].name, glob=False)
    assert frame.columns == ["ts", "open", "high", "low", "close", "volume"]
    assert frame.dtypes == [pl.Datetime("us", "UTC"), *[pl.Float64()] * 5]
    assert frame["ts"][0] == datetime(2021, 1, 1, tzinfo=UTC)
    assert names(paths) == sorted(
        ["manifest.json", manifest.flags_file, *(file.name for file in manifest.files)]
    )


@pytest.mark.parametrize("cuts", [[1], [1499], [1500], [1501], [700, 1600, 3999]])
def test_the_hash_does_not_depend_on_the_parts(paths, cuts):
    whole = store(paths)
    bounds = [0, *cuts, len(CANDLES)]
    parts = (CANDLES[lo:hi] for lo, hi in pairwise(bounds))
    assert store(paths, parts).sha256 == whole.sha256


def test_the_hash_is_over_values_and_sees_each_of_them():
    one = CANDLES[:100]
    reference = values_sha256(one)
    for name, column in one.columns().items():
        other = {key: value.copy() for key, value in one.columns().items()}
        other[name][50] = np.nextafter(column[50], np.inf) if name != "ts" else column[50] + 1
        assert values_sha256(Candles(**other)) != reference
    assert values_sha256(one[np.arange(100)]) == reference


def test_a_range_reads_only_the_years_it_touches(paths):
    manifest = store(paths)
    (paths.candles / "BTC-USD" / manifest.files[0].name).unlink()
    part = read_candles(
        paths, "BTC-USD", datetime(2021, 1, 1, 0, 10, tzinfo=UTC), datetime(2021, 1, 1, 0, 20, tzinfo=UTC)
    )
    assert same(part, CANDLES[1510:1521])
    with pytest.raises(ArtifactError, match="is named by its manifest and missing"):
        read_candles(paths, "BTC-USD", datetime(2020, 12, 31, 23, 50, tzinfo=UTC))


def test_a_range_without_candles_says_what_there_is(paths):
    store(paths)
    with pytest.raises(MissingError, match="there are 2020-12-30 23:00 to 2021-01-02 17:39 UTC"):
        read_candles(paths, "BTC-USD", CANDLES.end + timedelta(minutes=1))


def test_no_candles_at_all_names_the_commands(paths):
    with pytest.raises(MissingError) as caught:
        read_candles(paths, "ETH-USD")
    assert "tradingai data generate --symbols ETH-USD" in caught.value.remedy
    assert list_dataset_manifests(paths) == []


def test_manifests_are_listed_by_symbol(paths):
    store(paths, symbol="ETH-USD")
    store(paths)
    assert [manifest.symbol for manifest in list_dataset_manifests(paths)] == ["BTC-USD", "ETH-USD"]


@pytest.mark.parametrize("damage", ["truncated", "other values", "other schema", "fewer rows", "nothing"])
def test_a_damaged_file_is_refused(paths, damage):
    manifest = store(paths)
    path = paths.candles / "BTC-USD" / manifest.files[1].name
    frame = pl.read_parquet(path, glob=False)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "nothing":
        path.write_bytes(b"")
    elif damage == "other values":
        frame.with_columns(pl.col("volume") + 1.0).write_parquet(path)
    elif damage == "other schema":
        frame.with_columns(pl.col("volume").cast(pl.Int64)).write_parquet(path)
    else:
        frame.head(2000).write_parquet(path)
    with pytest.raises(ArtifactError, match=r"2021\..*\.parquet") as caught:
        read_candles(paths, "BTC-USD")
    assert caught.value.remedy
    with pytest.raises(ArtifactError):
        verify_dataset(paths, "BTC-USD")


def test_without_verification_values_are_taken_as_they_are(paths):
    manifest = store(paths)
    path = paths.candles / "BTC-USD" / manifest.files[1].name
    pl.read_parquet(path, glob=False).with_columns(pl.col("volume") + 1.0).write_parquet(path)
    assert read_candles(paths, "BTC-USD", verify=False).volume[-1] == CANDLES.volume[-1] + 1.0


def test_changed_flags_are_refused(paths):
    manifest = store(paths)
    path = paths.candles / "BTC-USD" / manifest.flags_file
    pl.read_parquet(path, glob=False).with_columns(pl.col("mask") * 2).write_parquet(path)
    with pytest.raises(ArtifactError, match="was changed"):
        read_flags(paths, "BTC-USD")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-30],
        lambda text: "[]",
        lambda text: text.replace('"rows"', '"lines"'),
        lambda text: text.replace('"schema": 1', '"schema": 2'),
        lambda text: text.replace("BTC-USD", "ETH-USD"),
    ],
)
def test_a_damaged_manifest_is_refused(paths, change):
    store(paths)
    path = paths.candles / "BTC-USD" / "manifest.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(ArtifactError, match=r"manifest\.json") as caught:
        read_candles(paths, "BTC-USD")
    assert caught.value.remedy
    with pytest.raises(ArtifactError):
        list_dataset_manifests(paths)


def test_a_manifest_whose_total_was_changed_is_found_out(paths):
    store(paths)
    path = paths.candles / "BTC-USD" / "manifest.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "sha256": "0" * 64}))
    with pytest.raises(ArtifactError, match="are not those of their manifest"):
        verify_dataset(paths, "BTC-USD")


def test_a_manifest_survives_its_json(paths):
    manifest = store(paths)
    document = json.loads((paths.candles / "BTC-USD" / "manifest.json").read_text())
    assert DatasetManifest.from_json(document) == manifest
    assert document["start"] == "2020-12-30T23:00:00Z"


def test_another_dataset_replaces_files_only_after_it_is_published(paths):
    first = store(paths)
    second = store(paths, CANDLES[100:])
    assert first.files[1].name == second.files[1].name
    assert first.files[0].name not in names(paths)
    assert same(read_candles(paths, "BTC-USD"), CANDLES[100:])


class StopsAfter(SilentReporter):
    """A reporter that asks to stop at the n-th safe point."""

    def __init__(self, points):
        super().__init__()
        self.points = points

    def safe_point(self):
        self.points -= 1
        if self.points < 0:
            raise InterruptedRunError("stopped")


def test_an_interrupted_write_leaves_the_dataset_and_no_rest(paths):
    store(paths)
    before = names(paths)
    with pytest.raises(InterruptedRunError):
        store(paths, random_candles(4000, seed=9, start_minute=NEW_YEAR - 1500), reporter=StopsAfter(1))
    assert names(paths) == before
    assert same(read_candles(paths, "BTC-USD"), CANDLES)


def test_what_a_killed_writer_left_is_swept(paths):
    store(paths)
    folder = paths.candles / "BTC-USD"
    (folder / ".2020.x.tmp").write_bytes(b"half")
    (folder / "2019.deadbeef.parquet").write_bytes(b"whole, never published")
    before = set(names(paths))
    store(paths)
    assert before - set(names(paths)) == {".2020.x.tmp", "2019.deadbeef.parquet"}


def test_a_damaged_manifest_keeps_its_files_from_being_swept(paths):
    store(paths)
    path = paths.candles / "BTC-USD" / "manifest.json"
    path.write_text("{")
    before = names(paths)
    with pytest.raises(InterruptedRunError):
        store(paths, reporter=StopsAfter(0))
    assert names(paths) == before


def test_a_reader_follows_a_dataset_published_meanwhile(paths, monkeypatch):
    """The manifest a reader holds may name files that were just replaced: it looks again once."""
    old = store(paths)
    new = store(paths, CANDLES[100:])
    answers = iter([replace(old), new])
    monkeypatch.setattr(candle_files, "read_dataset_manifest", lambda *_: next(answers))
    assert same(read_candles(paths, "BTC-USD"), CANDLES[100:])


@pytest.mark.parametrize(
    "parts", [[CANDLES[:10], CANDLES[11:]], [CANDLES[:10], CANDLES[9:]], [CANDLES[[0, 2, 3]]], []]
)
def test_parts_must_be_consecutive_minutes(paths, parts):
    with pytest.raises(ValueError, match=r"no consecutive minutes|at least one candle"):
        store(paths, parts)
    assert not list((paths.candles / "BTC-USD").glob("*.parquet"))


def test_a_disk_that_refuses_leaves_the_dataset(paths, monkeypatch):
    store(paths)

    def full(path, write):
        raise storage_error(OSError(28, "No space left on device"), path)

    monkeypatch.setattr(candle_files, "write_atomic", full)
    with pytest.raises(TradingAIError, match="No space left on device") as caught:
        store(paths, CANDLES[100:])
    assert "Free space" in caught.value.remedy
    monkeypatch.undo()
    assert same(read_candles(paths, "BTC-USD"), CANDLES)
