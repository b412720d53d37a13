"""Datasets from a file and a generator: skipped when done, repaired when damaged, never lost silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import ArtifactError, DataError, MissingError, UsageError
from tradingai.engine.core.events import CandlesStored, StateRepaired
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.providers.import_file import import_dataset
from tradingai.engine.providers.quality import Rule
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import read_candles, read_flags
from tradingai.engine.store.manifests import read_dataset_manifest
from tradingai.engine.store.oracle_files import read_oracle

from tests.fakes.random_candles import random_candles, store_candles

FIXTURE = Path(__file__).parent.parent / "data" / "BTC-USDT_1m_2023-03-09_2023-03-12.parquet"
START = datetime(2024, 12, 30, tzinfo=UTC)
END = datetime(2025, 1, 2, 12, 34, tzinfo=UTC)
ROWS = 3 * 1440 + 12 * 60 + 35
NOW = datetime(2025, 11, 10, 2, 0, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path):
    return HomePaths(tmp_path / "home")


def generate(
    paths, symbol="BTC-USD", market="cycles", seed=1, start=START, end=END, drift_at=None, **options
):
    reporter = SilentReporter()
    manifest = generate_dataset(
        paths, symbol, market, seed, start, end, drift_at, reporter, clock=SimulatedClock(NOW), **options
    )
    return manifest, [type(event) for event in reporter.events]


def load(paths, file, symbol="BTC-USD", **options):
    reporter = SilentReporter()
    manifest = import_dataset(paths, file, symbol, reporter, clock=SimulatedClock(NOW), **options)
    return manifest, [type(event) for event in reporter.events]


def parquet(folder, candles, name="prices.parquet"):
    path = folder / name
    frame = pl.DataFrame({key: pl.Series(column) for key, column in candles.columns().items()})
    frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))).write_parquet(path)
    return path


def same(left, right):
    return all(np.array_equal(column, right.columns()[name]) for name, column in left.columns().items())


def test_generated_candles_are_the_markets_and_labelled_synthetic(paths):
    manifest, events = generate(paths)
    assert events == [CandlesStored]
    first = int(START.timestamp()) // 60
    assert same(
        read_candles(paths, "BTC-USD"),
        SyntheticMarket("cycles", 1).candles("BTC-USD", first, first + ROWS - 1),
    )
    assert (manifest.provider, manifest.market, manifest.seed, manifest.synthetic) == (
        "synthetic",
        "cycles",
        1,
        True,
    )
    assert manifest.parameters == {"generator_version": 1, "cleaning_version": 1, "drift_at": None}
    assert (manifest.rows, manifest.start, manifest.end, manifest.created_at) == (ROWS, START, END, NOW)
    assert manifest.quality["filled"] == 0
    assert [item.year for item in manifest.files] == [2024, 2025]


def test_the_oracle_lies_apart_and_belongs_to_its_candles(paths):
    generate(paths)
    ts, expected = read_oracle(paths, "BTC-USD")
    first = int(START.timestamp()) // 60
    known_ts, known = SyntheticMarket("cycles", 1).oracle("BTC-USD", first, first + ROWS - 1)
    assert np.array_equal(ts, known_ts)
    assert np.array_equal(expected, known)
    assert not list(paths.candles.rglob("*oracle*"))
    store_candles(paths, "BTC-USD", random_candles(500))
    with pytest.raises(MissingError, match="belongs to other candles"):
        read_oracle(paths, "BTC-USD")


def test_a_damaged_oracle_is_refused(paths):
    generate(paths)
    file = next((paths.oracle / "BTC-USD").glob("*.npy"))
    values = np.load(file)
    np.save(file, -values)
    with pytest.raises(ArtifactError, match="was changed"):
        read_oracle(paths, "BTC-USD")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_oracle(paths, "BTC-USD")


def test_generating_the_same_again_does_nothing(paths):
    first, _ = generate(paths)
    again, events = generate(paths)
    assert (again, events) == (first, [])


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"market": "null"},
        {"end": END + timedelta(minutes=1)},
        {"start": START - timedelta(days=1)},
    ],
)
def test_anything_else_is_generated(paths, other):
    first, _ = generate(paths)
    second, events = generate(paths, **other)
    assert events == [CandlesStored]
    assert second.sha256 != first.sha256
    assert read_dataset_manifest(paths, "BTC-USD") == second


@pytest.mark.parametrize(
    "victim", ["candles/BTC-USD/2025*", "candles/BTC-USD/flags*", "oracle/BTC-USD/*.npy"]
)
def test_damage_is_repaired_and_said(paths, victim):
    first, _ = generate(paths)
    file = next(paths.data.glob(victim))
    file.write_bytes(file.read_bytes()[:20])
    second, events = generate(paths)
    assert events == [StateRepaired, CandlesStored]
    assert second.sha256 == first.sha256
    assert len(read_candles(paths, "BTC-USD")) == ROWS
    assert len(read_oracle(paths, "BTC-USD")[0]) == ROWS


def test_a_missing_oracle_is_made_again(paths):
    generate(paths)
    next((paths.oracle / "BTC-USD").glob("manifest.json")).unlink()
    _, events = generate(paths)
    assert events == [CandlesStored]
    read_oracle(paths, "BTC-USD")


def test_drift_defaults_to_85_percent_of_the_range_and_keeps_it(paths):
    manifest, _ = generate(paths, market="drift")
    expected = START + timedelta(minutes=round(0.85 * ROWS))
    assert manifest.parameters["drift_at"] == f"{expected:%Y-%m-%dT%H:%M:%SZ}"
    other, events = generate(paths, market="drift", drift_at=START + timedelta(days=1))
    assert events == [CandlesStored]
    assert other.parameters["drift_at"] == "2024-12-31T00:00:00Z"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": datetime(2024, 12, 30)}, "has no time zone"),  # noqa: DTZ001 - the naive time is the point
        ({"end": END + timedelta(seconds=5)}, "not a whole minute"),
        ({"end": START - timedelta(minutes=1)}, "before it starts"),
        ({"start": datetime(2017, 12, 31, tzinfo=UTC)}, "from 2018-01-01"),
        ({"symbol": "DOGE-USD"}, "no 'DOGE-USD'"),
        ({"drift_at": START}, "has no drift_at"),
    ],
)
def test_wrong_requests_are_refused_and_leave_nothing(paths, options, message):
    with pytest.raises(UsageError, match=message):
        generate(paths, **options)
    assert not paths.root.exists()


def test_a_real_file_is_imported_whole(paths):
    manifest, events = load(paths, FIXTURE)
    assert events == [CandlesStored]
    assert (manifest.rows, manifest.provider, manifest.market, manifest.synthetic) == (
        4320,
        "file",
        None,
        False,
    )
    assert manifest.parameters["file"] == FIXTURE.name
    assert manifest.quality["zero_volume"] == manifest.quality["empty"] == 66
    assert manifest.quality["filled"] == manifest.quality["ohlc_repaired"] == 0
    frame = pl.read_parquet(FIXTURE)
    assert np.array_equal(read_candles(paths, "BTC-USD").close, frame["close"].to_numpy())


def test_csv_and_parquet_of_the_same_rows_have_the_same_hash(paths, tmp_path):
    first, _ = load(paths, FIXTURE)
    csv = tmp_path / "prices.csv"
    pl.read_parquet(FIXTURE).with_columns(pl.col("ts").dt.epoch("ms")).write_csv(csv)
    second, _ = load(paths, csv, "ETH-USD")
    assert second.sha256 == first.sha256


def test_importing_the_same_again_does_nothing_and_damage_is_repaired(paths):
    first, _ = load(paths, FIXTURE)
    assert load(paths, FIXTURE) == (first, [])
    file = paths.candles / "BTC-USD" / first.files[0].name
    file.write_bytes(b"")
    again, events = load(paths, FIXTURE)
    assert events == [StateRepaired, CandlesStored]
    assert again.sha256 == first.sha256


def test_an_import_replaces_synthetic_candles_and_their_oracle(paths):
    generate(paths)
    load(paths, FIXTURE)
    assert not (paths.oracle / "BTC-USD").exists()
    with pytest.raises(MissingError):
        read_oracle(paths, "BTC-USD")


def test_imported_candles_are_not_lost_to_a_generator(paths):
    first, _ = load(paths, FIXTURE)
    with pytest.raises(UsageError, match="holds 4,320 candles of provider file") as caught:
        generate(paths)
    assert "--replace" in caught.value.remedy
    assert read_dataset_manifest(paths, "BTC-USD") == first
    assert generate(paths, replace=True)[0].synthetic


def test_fetched_candles_are_not_lost_to_an_import(paths):
    store_candles(paths, "BTC-USD", random_candles(500), provider="ccxt", market=None, seed=None)
    with pytest.raises(UsageError, match="provider ccxt"):
        load(paths, FIXTURE)
    assert load(paths, FIXTURE, replace=True)[0].provider == "file"


def test_a_file_of_other_minutes_does_not_push_out_what_an_earlier_one_brought(paths, tmp_path):
    raw = random_candles(1000, start_minute=28_000_000)
    first, _ = load(paths, parquet(tmp_path, raw[:600]))
    for name, part in (("later", raw[600:]), ("overlapping", raw[300:]), ("within", raw[1:599])):
        file = parquet(tmp_path, part, f"{name}.parquet")
        with pytest.raises(
            UsageError, match="holds 600 candles from 2023-03-28 10:40 to 2023-03-28 20:39"
        ) as no:
            load(paths, file)
        assert f"{file}, from " in no.value.message
        assert "--replace" in no.value.remedy
        assert read_dataset_manifest(paths, "BTC-USD") == first
    assert load(paths, parquet(tmp_path, raw, "longer.parquet"))[0].rows == 1000
    assert load(paths, parquet(tmp_path, raw[600:], "later.parquet"), replace=True)[0].rows == 400


def test_faults_of_a_file_are_counted_and_flagged(paths, tmp_path):
    raw = random_candles(1000, start_minute=28_000_000)
    raw.high[100] = raw.low[100] * 0.9
    raw.close[200] = np.nan
    raw.volume[300] = np.nan
    keep = np.r_[0:400, 405:600, 599:600, 600:1000]
    manifest, _ = load(paths, parquet(tmp_path, raw[keep]))
    quality = manifest.quality
    expected = {
        "ohlc_repaired": 1,
        "non_finite": 1,
        "volume_repaired": 1,
        "duplicates": 1,
        "gaps": 2,
        "filled": 6,
    }
    assert {key: quality[key] for key in expected} == expected
    assert (quality["rows_in"], quality["rows_out"], quality["longest_gap"]) == (996, 1000, 5)
    flags = read_flags(paths, "BTC-USD")
    row = (flags.ts - raw.ts[0]) // MINUTE_US
    found = dict(zip(row.tolist(), flags.mask.tolist(), strict=True))
    assert found[100] == Rule.OHLC
    assert found[200] == Rule.FILLED | Rule.NON_FINITE
    assert found[300] == Rule.VOLUME | Rule.ZERO_VOLUME
    assert found[403] == Rule.FILLED
    assert found[599] == Rule.DUPLICATE


@pytest.mark.parametrize("kind", ["missing", "blank", "flat"])
def test_a_file_that_is_forty_percent_empty_is_refused_and_nothing_is_touched(paths, tmp_path, kind):
    before, _ = load(paths, FIXTURE)
    raw = random_candles(1000, start_minute=28_000_000)
    empty = np.random.default_rng(0).permutation(np.arange(1, 999))[:400]
    if kind == "missing":
        raw = raw[np.setdiff1d(np.arange(1000), empty)]
    elif kind == "blank":
        for column in (raw.open, raw.high, raw.low, raw.close, raw.volume):
            column[empty] = np.nan
    else:
        raw.volume[empty] = 0.0
        for column in (raw.open, raw.high, raw.low):
            column[empty] = raw.close[empty]
    file = parquet(tmp_path, raw)
    with pytest.raises(DataError, match=r"40\.0 % of its 1,000 minutes are missing, or flat without volume"):
        load(paths, file)
    assert read_dataset_manifest(paths, "BTC-USD") == before
    assert load(paths, file, max_empty_share=0.5, replace=True)[0].quality["share_empty"] == pytest.approx(
        0.4
    )


def test_mistaken_columns_are_refused(paths, tmp_path):
    raw = random_candles(1000, start_minute=28_000_000)
    swapped = Candles(raw.ts, raw.open, raw.low, raw.high, raw.close, raw.volume)
    with pytest.raises(DataError, match="high and low do not hold open and close in 1,000 of 1,000 rows"):
        load(paths, parquet(tmp_path, swapped))
    assert not paths.root.exists()


def test_a_file_with_an_unreadable_row_touches_nothing(paths, tmp_path):
    before, _ = load(paths, FIXTURE)
    csv = tmp_path / "prices.csv"
    pl.read_parquet(FIXTURE).with_columns(pl.col("close").cast(pl.String).str.replace("^2", "x")).write_csv(
        csv
    )
    with pytest.raises(DataError, match="not a number"):
        load(paths, csv)
    assert load(paths, FIXTURE) == (before, [])


def test_a_wide_hole_is_refused_before_it_is_filled(paths, tmp_path):
    raw = random_candles(200, start_minute=26_000_000)
    raw.ts[100:] += 10_000_000 * MINUTE_US
    with pytest.raises(DataError, match="of its 10,000,200 minutes are missing"):
        load(paths, parquet(tmp_path, raw))
