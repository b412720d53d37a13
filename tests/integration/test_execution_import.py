"""``tradingai execution`` as an operator uses it: import, show, rollback, bad files, and being killed."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.command_line import start, tradingai
from tests.fakes.homes import new_home
from tests.fakes.mt5_exports import FIRST, HistoryReport, Placed, random_quotes, spreads_of, tick_file

TICKS = "BTCUSD_202607010000_202607040000.csv"


@pytest.fixture
def home(tmp_path):
    new_home(tmp_path / "home")
    return tmp_path / "home"


def write(folder, content: bytes, name=TICKS):
    path = folder / name
    path.write_bytes(content)
    return str(path)


def data_of(home):
    return {
        item.name: item.readlink().name if item.is_symlink() else item.read_bytes()
        for item in (home / "data").glob("*execution_metrics*")
    }


def stops(count):
    first = datetime(2026, 7, 1, tzinfo=UTC)
    return [
        Placed(first + timedelta(minutes=11 * n), "BTCUSD", "buy stop", 40_000.0, ((0.01, 40_004.0 + n % 3),))
        for n in range(count)
    ]


def test_ticks_then_a_report_then_back(home, tmp_path):
    quotes = random_quotes(2000)
    ticks = tradingai(home, "execution", "import", write(tmp_path, tick_file(quotes)))
    assert ticks.status == 0, ticks.err
    assert "Assumed: server time is FTMO's: New York's wall time + 7 h" in ticks.out
    assert "Note: BTC-USD: slippage was never measured: the default holds" in ticks.out
    shown = tradingai(home, "execution", "show", "--json").document
    assert shown["measured"]
    # Measured when the newest tick was, not when the file was read.
    assert shown["measured_at"].startswith("2026-07-02T09:19")
    assert shown["age_days"] == pytest.approx(
        (datetime.now(UTC) - (FIRST + timedelta(minutes=1999))).total_seconds() / 86_400, abs=0.1
    )
    assert shown["written_at"][:4].isdigit()
    expected = [value for at, value in spreads_of(quotes) if at.hour < 8]
    tokyo = shown["pairs"]["BTC-USD"]["tokyo"]
    assert tokyo["spread"]["mean"] == pytest.approx(sum(expected) / len(expected), rel=1e-9)
    assert tokyo["spread"]["samples"] == len(expected)
    assert tokyo["spread"]["basis"] == "session"
    assert tokyo["slippage"] == {
        "mean": 3.0, "p50": 3.0, "p90": 3.0, "samples": 0, "basis": "default", "measured_until": None,
    }  # fmt: skip
    assert shown["pairs"]["ETH-USD"]["tokyo"]["default"]

    report = write(tmp_path, HistoryReport(stops(150)).html(), "ReportHistory-1.html")
    deals = tradingai(home, "execution", "import", report, "--json")
    assert deals.status == 0, deals.err
    assert deals.document["origin"]["counts"]["stop_orders"] == 150
    both = tradingai(home, "execution", "show", "--json").document
    assert both["pairs"]["BTC-USD"]["tokyo"]["spread"] == tokyo["spread"]
    assert both["pairs"]["BTC-USD"]["london"]["slippage"]["basis"] == "day"
    # Fills 4, 5 and 6 above 40,000 in equal numbers: 1.25 bps on average.
    assert both["pairs"]["BTC-USD"]["london"]["slippage"]["mean"] == pytest.approx(1.25)
    text = tradingai(home, "execution", "show").out
    assert "measured, whole day" in text
    assert "Measured until 2026-07-02 (" in text
    assert "days ago), source MT5 report ReportHistory-1.html" in text

    back = tradingai(home, "execution", "rollback")
    assert back.status == 0
    assert shown["file"] in back.out
    assert tradingai(home, "execution", "show", "--json").document["pairs"] == shown["pairs"]
    assert tradingai(home, "execution", "rollback", "--json").document["file"] == "defaults"
    assert not tradingai(home, "execution", "show", "--json").document["measured"]
    assert tradingai(home, "execution", "rollback").status == 4


SHORT = tick_file(random_quotes(30))
NO_STOPS = HistoryReport(stops(1), labels={"buy stop": "buy"}).html()


@pytest.mark.parametrize(
    ("content", "name", "arguments", "status", "word"),
    [
        (b"", TICKS, [], 1, "is empty"),
        (SHORT[:-20], TICKS, [], 1, "cells instead of 7"),
        (SHORT, "EURUSD_x.csv", [], 2, "no symbol that is known"),
        (SHORT, TICKS, ["--kind", "bars"], 2, "holds ticks, not bars"),
        (NO_STOPS, "r.html", [], 1, "no stop order"),
    ],
    ids=["empty", "cut off", "unknown symbol", "other kind", "no stop orders"],
)
def test_bad_input_is_one_error_and_changes_nothing(home, tmp_path, content, name, arguments, status, word):
    before = data_of(home)
    called = tradingai(home, "execution", "import", write(tmp_path, content, name), *arguments, "--json")
    assert called.status == status
    assert word in called.error["message"]
    assert called.error["remedy"]
    assert data_of(home) == before == {}


def test_a_damaged_file_is_refused_everywhere_and_rollback_leaves_it(home, tmp_path):
    path = write(tmp_path, tick_file(random_quotes(300)))
    for _ in range(2):
        assert tradingai(home, "execution", "import", path).status == 0
    (home / "data" / "execution_metrics.json").write_text('{"pairs": {"BTC-USD": {"tokyo": {}}}}')
    for arguments in (("show",), ("import", path)):
        called = tradingai(home, "execution", *arguments, "--json")
        assert called.status == 1
        assert "cannot be read" in called.error["message"]
        assert "execution rollback" in called.error["remedy"]
    assert tradingai(home, "execution", "rollback").status == 0
    assert tradingai(home, "execution", "show").status == 0


def test_kill_during_an_import_leaves_the_link_on_the_old_file(home, tmp_path):
    assert tradingai(home, "execution", "import", write(tmp_path, tick_file(random_quotes(300)))).status == 0
    before = data_of(home)
    row = tick_file(random_quotes(2)).splitlines(keepends=True)
    path = tmp_path / "BTCUSD_big.csv"
    with path.open("wb") as stream:
        stream.write(row[0])
        for _ in range(60):
            stream.write(row[1] * 100_000)
    process = start(home, "execution", "import", str(path))
    with process:
        for line in process.stderr:
            if "started" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert data_of(home) == before
    assert json.loads(before["execution_metrics_" + _day(before) + ".json"])["previous"] == "defaults"
    assert tradingai(home, "execution", "show").status == 0


def _day(found):
    return found["execution_metrics.json"].removeprefix("execution_metrics_").removesuffix(".json")
