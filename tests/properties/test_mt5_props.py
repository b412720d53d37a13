"""What an export says survives its way through any server's clock, any form and any cut into pieces."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.providers.mt5 import export_file
from tradingai.engine.providers.mt5.deals import read_slippage
from tradingai.engine.providers.mt5.export_file import recognise
from tradingai.engine.providers.mt5.quotes import QuoteReader
from tradingai.engine.providers.mt5.report import read_report
from tradingai.engine.providers.mt5.server_time import ServerClock, ServerTime

from tests.fakes.mt5_exports import HistoryReport, Placed, Quote, bar_file, ftmo_time, spreads_of, tick_file

QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAYS = st.sampled_from([
    datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC),
])  # fmt: skip


def wall_of(zone: str):
    return lambda moment: moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


SERVERS = st.sampled_from([("ftmo", ftmo_time)] + [
    (zone, wall_of(zone)) for zone in ("Europe/Athens", "UTC", "Australia/Lord_Howe", "Asia/Kathmandu")
])  # fmt: skip
PRICE = st.none() | st.floats(0.01, 99_999.99).map(lambda value: round(value, 2))
QUOTES = st.lists(st.tuples(st.integers(1, 1_200_000), PRICE, PRICE), min_size=1, max_size=60)


@QUIET
@given(
    day=DAYS, server=SERVERS, rows=QUOTES, chunk=st.integers(80, 900), separator=st.sampled_from("\t;,"),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), quoted=st.booleans(),
)  # fmt: skip
def test_spreads_come_back_as_they_went_out(
    tmp_path, monkeypatch, day, server, rows, chunk, separator, encoding, quoted
):
    name, wall = server
    at, quotes = day, []
    for gap_ms, bid, ask in rows:
        at += timedelta(milliseconds=gap_ms)
        quotes.append(Quote(at, bid, ask))
    path = tmp_path / "BTCUSD_x.csv"
    path.write_bytes(tick_file(quotes, server=wall, separator=separator, encoding=encoding, quoted=quoted))
    monkeypatch.setattr(export_file, "CHUNK_BYTES", chunk)
    reader = QuoteReader(recognise(path), ServerClock(ServerTime.named(name)))
    parts = list(reader)
    expected = spreads_of(quotes)
    assert np.concatenate([part.ts_us for part in parts]).tolist() == [
        datetime_to_us(moment) for moment, _ in expected
    ]
    values = np.concatenate([part.bps for part in parts]).tolist()
    assert values == pytest.approx([value for _, value in expected], rel=1e-6)
    counts = reader.counts
    assert counts.rows == len(quotes)
    assert counts.rows == counts.used + counts.before_both + counts.zero + counts.negative


TYPES = st.sampled_from(["buy stop", "sell stop", "buy limit", "sell limit", "buy", "sell"])
FILLS = st.lists(st.tuples(st.integers(1, 500), st.integers(100, 9_999_999)), min_size=1, max_size=3)
ORDERS = st.lists(
    st.tuples(st.integers(1, 90_000), TYPES, st.integers(100, 9_999_999), FILLS), min_size=1, max_size=12
)


@QUIET
@given(day=DAYS, orders=ORDERS, form=st.sampled_from(["html", "csv"]))
def test_slippage_comes_back_as_it_went_out(tmp_path, day, orders, form):
    at, placed = day + timedelta(hours=8), []
    for gap_s, kind, asked, fills in orders:
        at += timedelta(seconds=gap_s)
        parts = tuple((lots / 100, cents / 100) for lots, cents in fills)
        placed.append(Placed(at, "BTCUSD", kind, asked / 100 if " " in kind else 0.0, parts))
    path = tmp_path / f"r.{form}"
    path.write_bytes(getattr(HistoryReport(placed), form)())
    slips, counts, _ = read_slippage(read_report(recognise(path)), path, ServerTime.named("ftmo"))
    expected = []
    for order in placed:
        filled = sum(lots * price for lots, price in order.fills) / sum(lots for lots, _ in order.fills)
        sign = {"buy stop": 1, "sell stop": -1}.get(order.type)
        if sign is not None:
            expected.append((datetime_to_us(order.at), sign * (filled - order.asked) / order.asked * 1e4))
    found = [(int(ts), value) for slip in slips for ts, value in zip(slip.ts_us, slip.bps, strict=True)]
    assert [ts for ts, _ in found] == [ts for ts, _ in expected]
    assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-9, abs=1e-9)
    assert counts.stops + counts.limits + counts.markets == len(placed)


ONE_STOP = Placed(datetime(2026, 7, 1, tzinfo=UTC), "BTCUSD", "buy stop", 9.0, ((1.0, 9.1),))
GOOD = {
    "BTCUSD_a.csv": tick_file([Quote(datetime(2026, 7, 1, tzinfo=UTC), 40_000.0, 40_012.0)] * 5),
    "BTCUSD_b.csv": tick_file([Quote(datetime(2026, 7, 1, tzinfo=UTC), 1.0, 2.0)] * 5, encoding="utf-16"),
    "BTCUSD_c.csv": bar_file([(datetime(2026, 7, 1, tzinfo=UTC), 40_000.0, 1200)] * 5),
    "r.html": HistoryReport([ONE_STOP]).html(),
    "r.csv": HistoryReport([ONE_STOP]).csv(),
}
PIECES = st.sampled_from([
    b"", b"\x00", b"\xff\xfe", b"\t", b"\r\n", b'"', b"<td>", b"<tr>", b"-", b"nan", b"1e999", b"2026.02.30",
    b",", b" ", "\u00a0".encode(), "Сделки".encode(), b"</table>", b"99999999999999999999",
])  # fmt: skip
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=4)


def read_all(path) -> list[float]:
    export = recognise(path)
    if export.kind == "deals":
        slips, _, _ = read_slippage(read_report(export), path, ServerTime.named("ftmo"))
        return [value for slip in slips for value in slip.bps]
    reader = QuoteReader(export, ServerClock(ServerTime.named("ftmo")))
    return [value for part in reader for value in part.bps]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(GOOD)), edits=EDITS, cut=st.none() | st.floats(0, 1))
def test_a_spoilt_file_is_read_or_refused_by_name(tmp_path, name, edits, cut):
    content = GOOD[name]
    for where, length, piece in edits:
        at = int(where * len(content))
        content = content[:at] + piece + content[at + length :]
    content = content if cut is None else content[: int(cut * len(content))]
    path = tmp_path / name
    path.write_bytes(content)
    refused: TradingAIError | None = None
    values: list[float] = []
    try:
        values = read_all(path)
    except TradingAIError as error:
        refused = error
    assert all(np.isfinite(value) for value in values)
    if refused is not None:
        assert str(path) in refused.message or "does not exist where" in refused.message
        assert refused.remedy
