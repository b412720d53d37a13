"""History reports of MetaTrader 5: hidden cells, grouped numbers, totals, slippage of stop orders."""

from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.providers.mt5.deals import read_slippage
from tradingai.engine.providers.mt5.export_file import recognise
from tradingai.engine.providers.mt5.report import number, read_report
from tradingai.engine.providers.mt5.server_time import ServerTime

from tests.fakes.mt5_exports import HistoryReport, Placed

AT = datetime(2026, 3, 10, 9, tzinfo=UTC)
ORDERS = [
    Placed(AT, "BTCUSD", "buy stop", 40_000.0, ((0.01, 40_010.0),)),
    Placed(AT + timedelta(hours=8), "BTCUSD", "sell stop", 40_000.0, ((0.05, 39_992.0), (0.15, 39_996.0))),
    Placed(AT + timedelta(hours=9), "BTCUSD", "buy limit", 39_000.0, ((0.01, 38_990.0),)),
    Placed(AT + timedelta(hours=10), "BTCUSD", "buy", 0.0, ((0.01, 40_001.0),)),
    Placed(AT + timedelta(hours=11), "EURUSD", "sell stop", 1.1, ((0.01, 1.09),)),
    Placed(AT + timedelta(hours=12), "AVAUSD", "buy stop", 20.0, ((3.0, 20.01),)),
]


def read(tmp_path, content: bytes, name="ReportHistory-12345678.html", only=None):
    path = tmp_path / name
    path.write_bytes(content)
    return read_slippage(read_report(recognise(path)), path, ServerTime.named("ftmo"), only)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (HistoryReport(ORDERS).html(), "r.html"),
        (HistoryReport(ORDERS).html("utf-8"), "r.htm"),
        (HistoryReport(ORDERS, deposit=False).html("utf-16-le"), "r.html"),
        (HistoryReport(ORDERS).csv(), "r.csv"),
        (HistoryReport(ORDERS).csv(";"), "r.csv"),
        (HistoryReport(ORDERS).csv("\t"), "r.csv"),
    ],
    ids=["html-utf16", "html-utf8", "html-without-mark", "csv", "csv-semicolon", "csv-tab"],
)
def test_slippage_is_that_of_stop_orders(tmp_path, content, name):
    slips, counts, _ = read(tmp_path, content, name)
    found = {slip.pair: slip for slip in slips}
    btc = found["BTC-USD"]
    # (40,010 − 40,000) / 40,000 is 2.5 bps; sold at (0.05 · 39,992 + 0.15 · 39,996) / 0.2 = 39,995: 1.25 bps.
    assert btc.bps == pytest.approx([2.5, 1.25])
    assert [us_to_datetime(int(ts)) for ts in btc.ts_us] == [AT, AT + timedelta(hours=8)]
    assert found["AVAX-USD"].bps == pytest.approx([5.0])
    assert (counts.stops, counts.limits, counts.markets) == (3, 1, 1)
    assert counts.limits_bps == pytest.approx(-10 / 39_000 * 1e4)
    assert counts.other_symbols == {"EURUSD": 1}
    assert counts.deals == 6  # BTC five, AVAX one


def test_one_pair_may_be_asked_for(tmp_path):
    slips, counts, _ = read(tmp_path, HistoryReport(ORDERS).html(), only="AVAX-USD")
    assert [slip.pair for slip in slips] == ["AVAX-USD"]
    assert counts.other_symbols == {"BTCUSD": 5, "EURUSD": 1}


def test_commissions_are_compared_with_the_notional(tmp_path):
    # 0.0325 % of 2 lots of 10 ETH at 2,000 is 13.00.
    orders = [Placed(AT, "ETHUSD", "buy stop", 1_999.0, ((2.0, 2_000.0),), commission=-13.0)]
    _, counts, _ = read(tmp_path, HistoryReport(orders).html())
    assert counts.as_json()["commission_pct"] == {"ETH-USD": pytest.approx(0.0325)}


def test_the_totals_end_a_section_and_hidden_cells_move_no_column(tmp_path):
    path = tmp_path / "r.html"
    path.write_bytes(HistoryReport(ORDERS).html())
    report = read_report(recognise(path))
    assert {name: len(section.rows) for name, section in report.sections.items()} == {
        "Positions": 6, "Orders": 6, "Deals": 8,
    }  # fmt: skip
    position = next(report.sections["Positions"].records())
    assert (position["Volume"], position["Price"], position["Profit"]) == ("0.01", "40 010.00", "- 70.25")
    assert "Cost" not in report.sections["Deals"].columns


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4 106.170", 4106.17),
        ("4\u00a0106.170", 4106.17),
        ("1\u202f234\u202f567.8", 1_234_567.8),
        ("- 70.25", -70.25),
        ("\u221270.25", -70.25),
        ("0.00", 0.0),
    ],
)
def test_numbers_are_grouped_with_spaces(text, value):
    assert number(text, "here") == value


def test_a_decimal_comma_is_refused():
    with pytest.raises(DataError, match="here: '4106,17' is no number"):
        number("4106,17", "here")


RUSSIAN = {
    "Positions": "Позиции", "Orders": "Ордера", "Deals": "Сделки", "Trade History Report": "Отчет",
    "Symbol": "Символ", "Volume": "Объем", "Price": "Цена", "Time": "Время",
}  # fmt: skip


@pytest.mark.parametrize("form", ["html", "csv"])
def test_another_language_is_refused_by_name(tmp_path, form):
    content = getattr(HistoryReport(ORDERS, labels=RUSSIAN), form)()
    with pytest.raises(DataError, match="another language than English") as refused:
        read(tmp_path, content, f"r.{form}")
    assert "View > Languages" in refused.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body><table><tr><td>hello</td></tr></table></body></html>", "no section Deals"),
        (HistoryReport(ORDERS, labels={"Deals": "Trades", "Orders": "Auftraege"}).html(), "no section Deals"),
        (HistoryReport(ORDERS).html()[:-2000], "was cut off"),
        (HistoryReport(ORDERS).html()[:-2001], "no text|cut off"),
        (HistoryReport(ORDERS, labels={"<b>Order</b>": "<b>Ticket</b>"}).html(), "no column 'Order'"),
        (HistoryReport(ORDERS, labels={"40 010.00": "forty"}).html(), "'forty' is no number"),
        (HistoryReport(ORDERS, labels={">40 000.00<": "><"}).html(), "'' is no number"),
        (HistoryReport(ORDERS, labels={">0.01<": ">0<"}).html(), "is no fill"),
        (HistoryReport(ORDERS, labels={"2026.03.10": "10/03/2026"}).html(), "'10/03/2026 1.* is no time as"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_a_report_that_cannot_be_read_is_one_clear_error(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as refused:
        read(tmp_path, content)
    assert refused.value.remedy


def test_a_csv_cut_off_within_a_row_is_refused(tmp_path):
    content = HistoryReport(ORDERS).csv()
    cut = content[: content.rindex(b"20.01") + 2]
    with pytest.raises(DataError, match="ends early"):
        read(tmp_path, cut, "r.csv")
