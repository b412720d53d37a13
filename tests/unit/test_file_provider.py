"""The operator's own files: common forms are understood, everything unclear is refused with row and value."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tradingai.engine.core.errors import DataError, UsageError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.file import read_candle_file
from tradingai.engine.providers.file_columns import find_columns

FIXTURE = Path(__file__).parent.parent / "data" / "BTC-USDT_1m_2023-03-09_2023-03-12.parquet"
START_S = 1_678_406_400
"""2023-03-10T00:00Z."""
HEADER = "ts,open,high,low,close,volume"


def iso(minute, zone="Z"):
    return f"{datetime.fromtimestamp(START_S + 60 * minute, UTC):%Y-%m-%dT%H:%M:%S}{zone}"


def lines(count=80, stamp=iso):
    return [f"{stamp(minute)},100,102,99,{100 + minute % 3},{minute + 0.5}" for minute in range(count)]


def write(folder, rows, header=HEADER, name="prices.csv"):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read_candle_file(path, **options)
    assert caught.value.remedy
    assert str(path) in caught.value.message
    return caught.value


def check(raw, count=80):
    candles = raw.candles
    assert np.array_equal(candles.ts, (START_S // 60 + np.arange(count)) * MINUTE_US)
    assert candles.close[:3].tolist() == [100, 101, 102]
    assert candles.volume[1] == 1.5


def test_the_fixture_reads_as_it_is():
    raw = read_candle_file(FIXTURE, base="BTC")
    frame = pl.read_parquet(FIXTURE)
    assert len(raw.candles) == 4320
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(raw.candles, name), frame[name].to_numpy())
    assert raw.candles.start == datetime(2023, 3, 9, 12, tzinfo=UTC)
    assert not raw.newest_first


@pytest.mark.parametrize(
    "stamp",
    [
        iso,
        lambda m: iso(m, "+00:00"),
        lambda m: iso(m, " UTC"),
        lambda m: iso(m, "+0000"),
        lambda m: iso(m).replace("T", " "),
        lambda m: iso(m)[:16] + "Z",
        lambda m: iso(m, ".000Z"),
        lambda m: iso(m + 330, "+05:30"),
        lambda m: iso(m - 300, "-05"),
        lambda m: str(START_S + 60 * m),
        lambda m: f"{START_S + 60 * m}.0",
        lambda m: str((START_S + 60 * m) * 1_000),
        lambda m: str((START_S + 60 * m) * 1_000_000),
        lambda m: str((START_S + 60 * m) * 1_000_000_000),
    ],
)
def test_time_formats(tmp_path, stamp):
    check(read_candle_file(write(tmp_path, lines(stamp=stamp))))


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,Open,High,Low,Close,Volume",
        "open_time,o,h,l,c,v",
        "Date,OPEN,HIGH,LOW,CLOSE,VOL",
        " unix , open , high , low , close , Volume BTC ",
        "<DATETIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>",
        '"Open time","Open price","High price","Low price","Close price","Base Volume"',
    ],
)
def test_column_names(tmp_path, header):
    check(read_candle_file(write(tmp_path, lines(), header), base="BTC"))


def test_of_two_volumes_the_coins_is_taken():
    header = ["unix", "date", "open", "high", "low", "close", "Volume USDT", "Volume BTC"]
    found = find_columns(header, "BTC", "x")
    assert found["volume"] == "Volume BTC"
    assert found["ts"] == "date"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path, separator):
    rows = [row.replace(",", separator) for row in lines()]
    check(read_candle_file(write(tmp_path, rows, HEADER.replace(",", separator))))


def test_other_columns_blank_lines_comments_and_quotes_do_not_matter(tmp_path):
    rows = [f'{row},"a, b",{number}' for number, row in enumerate(lines())]
    rows.insert(3, "")
    path = write(tmp_path, [HEADER + ",note,trades", *rows, ""], "# exported by hand\nhttps://example.com")
    check(read_candle_file(path))


def test_byte_order_mark_windows_line_ends_and_gzip(tmp_path):
    text = "\r\n".join([HEADER, *lines()]) + "\r\n"
    plain, packed = tmp_path / "a.CSV", tmp_path / "a.csv.gz"
    plain.write_bytes(b"\xef\xbb\xbf" + text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    check(read_candle_file(plain))
    check(read_candle_file(packed))


def test_newest_first_is_turned_round(tmp_path):
    raw = read_candle_file(write(tmp_path, lines()[::-1]))
    assert raw.newest_first
    check(raw)


def test_missing_values_are_left_to_cleaning(tmp_path):
    rows = lines()
    for row, cell in ((4, ""), (5, "NaN"), (6, "null"), (7, "N/A")):
        rows[row] = f"{iso(row)},100,102,99,{cell},1"
    assert np.flatnonzero(np.isnan(read_candle_file(write(tmp_path, rows)).candles.close)).tolist() == [
        4,
        5,
        6,
        7,
    ]


def test_some_rows_out_of_order_are_left_to_cleaning(tmp_path):
    rows = lines(200)
    rows[50], rows[51] = rows[51], rows[50]
    assert not np.all(np.diff(read_candle_file(write(tmp_path, rows)).candles.ts) > 0)


@pytest.mark.parametrize("kind", ["naive", "aware", "other zone", "ms", "integer", "text", "decimal"])
def test_parquet_columns(tmp_path, kind):
    times = [datetime.fromtimestamp(START_S + 60 * minute, UTC) for minute in range(80)]
    ts = (
        pl.Series(times).dt.replace_time_zone("UTC")
        if kind != "naive"
        else pl.Series(times).dt.replace_time_zone(None)
    )
    prices = {"open": 100.0, "high": 102.0, "low": 99.0}
    frame = pl.DataFrame({"time": ts}).with_columns(
        **{name: pl.lit(value) for name, value in prices.items()},
        close=pl.Series([100 + minute % 3 for minute in range(80)]),
        volume=pl.Series([minute + 0.5 for minute in range(80)]),
    )
    if kind == "other zone":
        frame = frame.with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    elif kind == "ms":
        frame = frame.with_columns(pl.col("time").dt.cast_time_unit("ms"))
    elif kind == "integer":
        frame = frame.with_columns(pl.col("time").dt.epoch("ms"))
    elif kind == "text":
        frame = frame.with_columns(pl.col("volume").cast(pl.String), pl.col("time").dt.to_string("%+"))
    elif kind == "decimal":
        frame = frame.with_columns(pl.col("open").cast(pl.Decimal(12, 4)))
    path = tmp_path / "prices.pq"
    frame.write_parquet(path)
    check(read_candle_file(path, assume_utc=kind == "naive"))


def test_times_without_a_zone_need_a_word(tmp_path):
    path = write(tmp_path, lines(stamp=lambda m: iso(m, "")))
    error = refused(path)
    assert error.message == f"{path} line 2: the time '2023-03-10T00:00:00' has no zone"
    assert "--assume-utc" in error.remedy
    check(read_candle_file(path, assume_utc=True))


def test_parquet_times_without_a_zone_need_a_word(tmp_path):
    frame = pl.read_parquet(FIXTURE).with_columns(pl.col("ts").dt.replace_time_zone(None))
    path = tmp_path / "prices.parquet"
    frame.write_parquet(path)
    assert "row 1: the time '2023-03-09 12:00:00' has no zone" in refused(path).message
    assert len(read_candle_file(path, assume_utc=True).candles) == 4320


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{iso(9)},100,102,99,abc,1", "line 11: close is 'abc', not a number"),
        (f'{iso(9)},"1,000.5",102,99,100,1', "line 11: open is '1,000.5', not a number"),
        (f"{iso(9)},100,102,-99,100,1", "line 11: low is -99 and must be above zero"),
        (f"{iso(9)},0,102,99,100,1", "line 11: open is 0 and must be above zero"),
        (f"{iso(9)},100,102,99,100,-4", "line 11: volume is -4 and must not be negative"),
        ("yesterday,100,102,99,100,1", "line 11: 'yesterday' is not a time"),
        ("2023-02-30T00:00:00Z,100,102,99,100,1", "line 11: '2023-02-30T00:00:00Z' is not a time"),
        (",100,102,99,100,1", "line 11 has no time"),
        ("1970-01-01T00:00:00Z,100,102,99,100,1", "is not between 2009 and 2100"),
        ("2023-03-10T00:09:30Z,100,102,99,100,1", "2023-03-10T00:09:30+00:00 is not the start of a minute"),
        (
            f"{iso(8)},100,102,99,101,8.5",
            "both hold the minute 2023-03-10 00:08 UTC and disagree: close 102.0 and 101.0",
        ),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path, row, message):
    rows = lines()
    rows[9] = row
    assert message in refused(write(tmp_path, rows)).message.replace(f"{tmp_path / 'prices.csv'} ", "")


def test_identical_duplicates_are_left_to_cleaning(tmp_path):
    rows = lines()
    rows.insert(9, rows[8])
    assert len(read_candle_file(write(tmp_path, rows)).candles) == 81


def test_line_numbers_count_what_stands_above(tmp_path):
    rows = ["", *lines()]
    rows[10] = f"{iso(9)},100,102,99,abc,1"
    path = write(tmp_path, [HEADER, *rows], "# comment")
    assert f"{path} line 13: close is 'abc'" in refused(path).message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("ts,open,high,low,close", "no column for volume"),
        ("open,high,low,close,volume,x", "no column for ts; there are open, high, low, close, volume, x"),
        ("ts,open,high,low,close,Volume ETH", "none of Volume ETH is clearly the volume in coins"),
        ("ts,open,high,low,Close,close,volume", "2 columns are called 'Close'"),
        ("1678406400,100,102,99,101,5", "the first line holds numbers"),
    ],
)
def test_missing_columns_are_named(tmp_path, header, message):
    assert message in refused(write(tmp_path, lines(), header), base="BTC").message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n# nothing\n", "has no lines"),
        (HEADER.encode() + b"\n", "has column names and no rows"),
        ((HEADER + "\n" + lines()[0] + "\n").encode(), "holds 1 row, a dataset needs at least 60"),
        ((HEADER + "\n" + "\n".join(lines(59)) + "\n").encode(), "holds 59 rows"),
        ((HEADER + "\n" + lines()[0] + ",7,8\n").encode(), "line 2 has 8 cells for 6 columns"),
        (("\n".join(["# a note", HEADER, "", *lines(), lines()[0] + ",9"])).encode(), "line 84 has 7 cells"),
        (b"\x1b[31m\x00\xff\x8f,b\n1,2\n", "is not text in UTF-8"),
        ((HEADER + "\n" + lines()[0] + "\n").encode("utf-16"), "is not text in UTF-8"),
        (b"open,\x1b[31mclose\n1,2\n", "there are open, '\\x1b[31mclose'"),
    ],
)
def test_files_that_are_no_table_of_candles(tmp_path, content, message):
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    assert message in refused(path).message


def test_mixed_epoch_units_are_refused(tmp_path):
    rows = lines(stamp=lambda m: str((START_S + 60 * m) * (1000 if m < 50 else 1)))
    assert "count in different units" in refused(write(tmp_path, rows)).message


def test_five_minute_bars_are_refused(tmp_path):
    assert (
        "its bars are 5 minutes apart" in refused(write(tmp_path, lines(stamp=lambda m: iso(5 * m)))).message
    )


def test_disorder_is_refused(tmp_path):
    rows = lines(100)
    rows[10:20] = rows[10:20][::-1]
    message = refused(write(tmp_path, rows)).message
    assert "9 of 100 rows are out of time order" in message
    assert "line 13, 2023-03-10 00:18 UTC" in message


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_parquet_file_is_refused(tmp_path, share):
    content = FIXTURE.read_bytes()
    path = tmp_path / "prices.parquet"
    path.write_bytes(content[: max(10, int(share * len(content)))])
    assert "cannot be read as Parquet" in refused(path).message


def test_a_parquet_column_of_another_type_is_refused(tmp_path):
    path = tmp_path / "prices.parquet"
    pl.read_parquet(FIXTURE).with_columns(close=pl.col("close") > 0).write_parquet(path)
    assert "close is True (Boolean), not a number" in refused(path).message
    pl.read_parquet(FIXTURE).with_columns(pl.concat_list("close").alias("close")).write_parquet(path)
    assert refused(path).message.endswith("row 1: close is a nested value (List(Float64)), not a number")
    pl.read_parquet(FIXTURE).with_columns(pl.col("ts").dt.date()).write_parquet(path)
    assert "the time column holds Date" in refused(path).message


def test_what_is_no_candle_file_is_refused(tmp_path):
    folder = tmp_path / "prices.csv"
    folder.mkdir()
    assert "is a directory" in refused(folder).message
    other = tmp_path / "prices.xlsx"
    other.write_bytes(b"x")
    assert "neither CSV nor Parquet" in refused(other).message
    with pytest.raises(UsageError, match="there is no file"):
        read_candle_file(tmp_path / "none.csv")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, lines())

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "may not be read by this user" in refused(path).message


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    check(read_candle_file(write(tmp_path, lines(), name="a[1]*.csv")))
