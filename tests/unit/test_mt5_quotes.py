"""Ticks and bars of MetaTrader 5: every quirk of the format, server time, and files that are none."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.errors import DataError, UsageError
from tradingai.engine.providers.mt5 import export_file
from tradingai.engine.providers.mt5.export_file import recognise
from tradingai.engine.providers.mt5.quotes import QuoteReader
from tradingai.engine.providers.mt5.server_time import ServerClock, ServerTime
from tradingai.engine.providers.mt5.symbols import PAIRS, known_pair, pair_of

from tests.fakes.mt5_exports import (
    FIRST,
    Quote,
    bar_file,
    ftmo_time,
    random_quotes,
    spreads_of,
    tick_file,
    utc_plus,
)

QUOTES = random_quotes(400)


def read(path, timezone="ftmo", point=None):
    """(reader, [(time, spread)])."""
    reader = QuoteReader(recognise(path), ServerClock(ServerTime.named(timezone)), point)
    parts = list(reader)
    ts = np.concatenate([part.ts_us for part in parts])
    bps = np.concatenate([part.bps for part in parts])
    return reader, [(us_to_datetime(int(at)), float(value)) for at, value in zip(ts, bps, strict=True)]


def write(tmp_path, content: bytes, name="BTCUSD_202607010000_202607020000.csv"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def assert_same(found, expected):
    assert [at for at, _ in found] == [at for at, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-9)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"zeros": True},
        {"newline": "\n"},
        {"separator": ",", "quoted": True},
        {"separator": ";"},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"encoding": "utf-16-le"},
        {"encoding": "utf-16", "separator": ",", "quoted": True},
    ],
    ids=lambda form: "-".join(f"{value}".strip() or name for name, value in form.items()) or "as written",
)
def test_a_tick_export_is_read_in_every_form_it_comes_in(tmp_path, form):
    reader, found = read(write(tmp_path, tick_file(QUOTES, **form)))
    assert_same(found, spreads_of(QUOTES))
    assert reader.counts.rows == len(QUOTES)


def test_pieces_of_a_file_are_read_as_the_whole_is(tmp_path, monkeypatch):
    path = write(tmp_path, tick_file(QUOTES))
    whole, expected = read(path)
    monkeypatch.setattr(export_file, "CHUNK_BYTES", 1009)
    pieces, found = read(path)
    assert_same(found, expected)
    assert pieces.sha256 == whole.sha256
    assert pieces.counts == whole.counts


def test_an_empty_side_is_the_one_before_and_nothing_is_filled_backwards(tmp_path):
    at = [FIRST + timedelta(seconds=number) for number in range(5)]
    quotes = [
        Quote(at[0], 100.0, None), Quote(at[1], 101.0, None), Quote(at[2], None, 102.0),
        Quote(at[3], 101.5, None), Quote(at[4], None, 102.5),
    ]  # fmt: skip
    reader, found = read(write(tmp_path, tick_file(quotes)))
    assert reader.counts.before_both == 2
    assert_same(
        found,
        [(at[2], 1 / 101.5 * 1e4), (at[3], 0.5 / 101.75 * 1e4), (at[4], 1 / 102.0 * 1e4)],
    )


def test_spreads_of_zero_and_below_are_counted_and_not_used(tmp_path):
    sides = [(100.0, 100.0), (100.0, 99.0), (100.0, 101.0), (100.0, 100.0)]
    quotes = [Quote(FIRST + timedelta(seconds=n), bid, ask) for n, (bid, ask) in enumerate(sides)]
    reader, found = read(write(tmp_path, tick_file(quotes)))
    assert reader.counts.as_json() == {"rows": 4, "used": 1, "before_both": 0, "zero": 2, "negative": 1}
    assert len(found) == 1


def test_ticks_of_one_millisecond_keep_their_order(tmp_path):
    quotes = [Quote(FIRST, 100.0, 101.0), Quote(FIRST, None, 102.0), Quote(FIRST, 101.0, None)]
    reader, found = read(write(tmp_path, tick_file(quotes)))
    assert [round(value, 3) for _, value in found] == [99.502, 198.02, 98.522]
    assert reader.clock.disordered == 0


# ------------------------------------------------------------------------------------------ server time


@pytest.mark.parametrize(
    ("server", "utc"),
    [
        ("2026.01.15 12:00:00", "2026-01-15T10:00:00"),  # winter: GMT+2
        ("2026.07.15 12:00:00", "2026-07-15T09:00:00"),  # summer: GMT+3
        ("2023.03.12 10:00:00", "2023-03-12T07:00:00"),  # the published dates of change, after it
        ("2024.03.10 10:00:00", "2024-03-10T07:00:00"),
        ("2026.03.08 10:00:00", "2026-03-08T07:00:00"),
        ("2026.03.20 12:00:00", "2026-03-20T09:00:00"),  # Europe has not changed yet
        ("2024.11.03 10:00:00", "2024-11-03T08:00:00"),
        ("2024.10.30 12:00:00", "2024-10-30T09:00:00"),  # Europe has changed already
    ],
)
def test_ftmo_changes_its_clocks_on_american_dates(server, utc):
    wall = datetime.strptime(server, "%Y.%m.%d %H:%M:%S").replace(tzinfo=UTC)
    found = ServerClock(ServerTime.named("ftmo")).to_utc(np.array([datetime_to_us(wall)]))
    assert us_to_datetime(int(found[0])) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def week(start, hours=36, minutes=7):
    moments = [start + timedelta(minutes=n) for n in range(0, hours * 60, minutes)]
    return [Quote(at, 100.0, 100.5 + number % 7) for number, at in enumerate(moments)]


@pytest.mark.parametrize("chunk", [997, 8_388_608])
def test_the_hour_that_exists_twice_is_told_apart_by_row_order(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(export_file, "CHUNK_BYTES", chunk)
    quotes = week(datetime(2026, 10, 31, 20, tzinfo=UTC))
    reader, found = read(write(tmp_path, tick_file(quotes)))
    assert_same(found, spreads_of(quotes))
    assert reader.clock.notes() == ()
    first, second = reader.clock.repeated["2026-11-01"]
    assert (first, second) == (8, 9)
    assert reader.clock.disordered == 0


def test_a_repeated_hour_that_stands_once_is_said(tmp_path):
    quotes = [one for one in week(datetime(2026, 10, 31, 20, tzinfo=UTC)) if one.at.hour != 6]
    reader, found = read(write(tmp_path, tick_file(quotes)))
    assert_same(found, spreads_of(quotes))
    (note,) = reader.clock.notes()
    assert "2026-11-01 stands once" in note


def test_the_hour_that_is_skipped_shows_that_the_zone_is_wrong(tmp_path):
    spring = week(datetime(2026, 3, 7, 20, tzinfo=UTC))
    _, found = read(write(tmp_path, tick_file(spring)))
    assert_same(found, spreads_of(spring))
    path = write(tmp_path, tick_file(spring, server=utc_plus(2)))
    with pytest.raises(DataError, match=r"2026-03-08 09:0\d:00 does not exist") as refused:
        read(path)
    assert "--timezone" in refused.value.remedy
    _, found = read(path, timezone="+02:00")
    assert_same(found, spreads_of(spring))


def test_rows_out_of_order_are_counted(tmp_path):
    quotes = [Quote(FIRST + timedelta(seconds=at), 100.0, 101.0) for at in (0, 5, 3, 9)]
    reader, _ = read(write(tmp_path, tick_file(quotes)))
    assert reader.clock.disordered == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ftmo", "New York's wall time + 7 h"),
        ("FTMO", "New York"),
        ("Europe/Athens", "Europe/Athens"),
        ("UTC+3", "UTC +3 h all year"),
        ("-05:30", "UTC -5.5 h"),
    ],
)
def test_the_assumption_is_said(name, words):
    assert words in ServerTime.named(name).words


@pytest.mark.parametrize("name", ["", "Moon/Base", "../etc/passwd", "+2:3:4", "EET+"])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(UsageError, match="unknown time zone") as refused:
        ServerTime.named(name)
    assert "Europe/Athens" in refused.value.remedy


# ------------------------------------------------------------------------------------------------- bars


def test_spreads_of_bars_are_points_and_the_point_is_inferred_from_the_decimals(tmp_path):
    bars = [(FIRST + timedelta(minutes=n), 67_910.24, 1200 + n) for n in range(5)]
    reader, found = read(write(tmp_path, bar_file(bars)))
    assert reader.point == 0.01
    expected = [(1200 + n) * 0.01 / (67_910.24 + (1200 + n) * 0.005) * 1e4 for n in range(5)]
    assert [value for _, value in found] == pytest.approx(expected)
    assert [at for at, _ in found] == [at for at, _, _ in bars]


def test_the_point_of_bars_may_be_given_and_a_bar_without_spread_is_counted(tmp_path):
    path = write(tmp_path, bar_file([(FIRST, 100.0, 10), (FIRST + timedelta(minutes=1), 100.0, 0)]))
    reader, found = read(path, point=0.1)
    assert [value for _, value in found] == pytest.approx([1 / 100.5 * 1e4])
    assert reader.counts.zero == 1


def test_bars_of_a_day_belong_to_no_session(tmp_path):
    with pytest.raises(DataError, match="no column TIME"):
        recognise(write(tmp_path, b"<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<SPREAD>\r\n"))


# -------------------------------------------------------------------------------------------- bad input

HEAD = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
GOOD = "2026.07.01\t11:00:00.051\t3975.95\t3976.00\t\t\t6\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \r\n\r\n", "is empty"),
        (b"PK\x03\x04\x14\x00\x06", "is a spreadsheet"),
        (bytes(range(256)) * 8, "no text|binary"),
        (b"\x00\x01\x02\x03" * 99, "binary|no text"),
        (b"time,open,high,low,close\n1,2,3,4,5\n", "no export of MetaTrader 5"),
        (b"<DATE>\t<TIME>\t<PRICE>\r\n", "neither those of ticks"),
        (HEAD.encode(), "a header and no rows"),
        ((HEAD + GOOD + "2026.07.01\t11:00:00.1").encode(), "line 3 has 2 cells instead of 7"),
        ((HEAD + GOOD + "2026.07.01\t11:00:00.100\t3975.9").encode(), "line 3 has 3 cells"),
        ((HEAD + GOOD + GOOD.replace("3976.00", "3976.00\t1")).encode(), "line 3 has 8 cells"),
        ((HEAD + GOOD.replace("3976.00", "abc") + GOOD).encode(), "line 2: ASK 'abc' is no number"),
        ((HEAD + GOOD.replace("3976.00", "3976,00") + GOOD).encode(), "line 2: ASK '3976,00' is no number"),
        ((HEAD + GOOD.replace("3976.00", "-1")).encode(), "line 2: ASK -1.0 is no price"),
        ((HEAD + GOOD.replace("3976.00", "nan")).encode(), "ASK nan is no price"),
        ((HEAD + GOOD + GOOD.replace("2026.07", "2026.13")).encode(), "line 3: '2026.13.01' .* is no time"),
        ((HEAD + GOOD + "1" * 1_100_000).encode(), "line 3 has no end within"),
        ((HEAD + GOOD.replace("11:00", "25:00")).encode(), "is no time"),
        ((HEAD + GOOD.replace("2026.07.01", "01.07.2026")).encode(), "is no time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as refused:
        read(path)
    assert str(path) in refused.value.message
    assert refused.value.remedy


def test_a_character_cut_in_two_is_a_damaged_file(tmp_path):
    with pytest.raises(DataError, match="is no text in UTF-16-LE"):
        read(write(tmp_path, tick_file(QUOTES, encoding="utf-16")[:-5]))


def test_a_missing_file_and_a_wrong_kind_are_named(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        recognise(tmp_path / "nothing.csv")
    path = write(tmp_path, tick_file(QUOTES))
    with pytest.raises(UsageError, match="holds ticks, not deals"):
        recognise(path, "deals")
    assert recognise(path, "ticks").kind == "ticks"


# ---------------------------------------------------------------------------------------------- symbols


def test_symbols_go_by_a_table_and_not_by_their_letters():
    named = {"BTCUSD": "BTC-USD", "DASHUSD": "DASH-USD", "DOGEUSD": "DOGE-USD", "AVAUSD": "AVAX-USD"}
    named |= {"LNKUSD": "LINK-USD", "BARUSD": "HBAR-USD", "VECUSD": "VET-USD", "ethusd.sim": "ETH-USD"}
    for name, pair in named.items():
        assert pair_of(name) == pair
    assert len(PAIRS) == len(set(PAIRS.values())) == 31
    assert pair_of("EURUSD") is None
    with pytest.raises(UsageError, match="'EURUSD' is no symbol that is known") as refused:
        known_pair("EURUSD", "file.csv")
    assert "AVAUSD" in refused.value.remedy
    assert ftmo_time(datetime(2026, 7, 1, tzinfo=UTC)) == datetime(2026, 7, 1, 3)  # noqa: DTZ001
